"""What ACMR, MS2GAN and the modality-invariant embedding share: the factor of a reversed gradient and its schedule."""
import dataclasses

import tensorflow as tf

from tfxmr.core.settings import setting
from tfxmr.engine.layers import reversal_ramp
from tfxmr.models.base import Method, MethodSettings, Step


@dataclasses.dataclass(frozen=True)
class AdversarySettings(MethodSettings):
    """Settings of a method with an adversary behind a gradient reversal (Ganin and Lempitsky, ICML 2015)."""

    lambda_adv: float = setting(1.0, "Factor of the reversed gradient of the adversarial loss.", minimum=0.0)
    adv_schedule: str = setting(
        "dann",
        "dann: --lambda_adv times 2 / (1 + exp(-10 p)) - 1, p = share of the stage done; constant: --lambda_adv "
        "throughout.",
        choices=("dann", "constant"),
    )


class Adversarial(Method):
    """Base of such a method."""

    Settings = AdversarySettings
    settings: AdversarySettings

    def reversal(self, step: Step) -> float | tf.Tensor:
        """The factor of the reversed gradient at a Step, a float or scalar tensor."""
        s = self.settings
        return s.lambda_adv * (1.0 if s.adv_schedule == "constant" else reversal_ramp(step.progress))
