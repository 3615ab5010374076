"""Options of fine-tuning; apart from it, since flags are made of them before TensorFlow is needed."""
import dataclasses

from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting

HEAD_RATE = 10  # the new layer's learning rate over the others', as in Caffe's recipe of fine-tuning


@dataclasses.dataclass(frozen=True)
class FineTuning(Settings):
    """How an image network is fine-tuned; attributes as the flags say."""

    finetune: int = setting(
        0, "Epochs in which the image network learns the classes of the training items before its layer is taken; 0: "
        "none.", minimum=0)
    finetune_rate: float = setting(
        1e-3, f"Learning rate of --finetune; the new softmax layer has {HEAD_RATE} times as much.",
        minimum=0.0)
    finetune_layers: str = setting(
        "connected", "Layers that --finetune trains: the fully connected ones (fc6, fc7), or all, which takes far more "
        "time and memory and is all that networks without such layers have.", choices=("connected", "all"))

    def __post_init__(self) -> None:
        """Raises InputError for values out of range, or options of a fine-tuning that is not asked for."""
        super().__post_init__()
        for field in dataclasses.fields(self)[1:]:
            value = getattr(self, field.name)
            if not self.finetune and value != field.default:
                raise InputError(f"--{field.name}={value}: goes with --finetune=EPOCHS")
