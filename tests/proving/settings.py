"""What the proving methods' settings have in common."""
import dataclasses

from tfxmr.core.settings import setting
from tfxmr.models.base import OptimizerSettings


@dataclasses.dataclass(frozen=True)
class ProvingSettings(OptimizerSettings):
    """Settings of a proving method; each overrides the numbers that suit it."""

    steps: int = setting(150, "Training steps; of several stages those of the last.", minimum=1)
    learning_rate: float = setting(1e-3, "The optimizer's base learning rate.", minimum=0.0)
    feature_norm: str = setting(
        "zscore", "How features are normalised, with statistics of the training split.",
        choices=("none", "l2", "zscore", "minmax"),
    )
    units: int = setting(32, "Width of the common space.", minimum=1)
