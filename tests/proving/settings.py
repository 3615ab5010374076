"""What the proving methods' settings have in common."""
import dataclasses

from tfxmr.core.settings import changed, setting
from tfxmr.models.base import OptimizerSettings


@dataclasses.dataclass(frozen=True)
class ProvingSettings(OptimizerSettings):
    """Settings of a proving method; each overrides the numbers that suit it."""

    steps: int = setting(150, "Training steps; of several stages those of the last.", minimum=1)
    feature_norm: str = changed("zscore")
    units: int = setting(32, "Width of the common space.", minimum=1)
