"""Images to vectors or maps, by name: what `tfxmr extract --image_features=NAME` can make."""
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.features.image.descriptor import DESCRIPTORS
from tfxmr.features.image.fine_tuning_options import FineTuning


def make(
    name: str, layer: str | None = None, weights: str = "imagenet", seed: int = 0, tuning: FineTuning | None = None,
    memory: int = 0,
) -> Any:
    """The image feature of a name, fine-tuned by a FineTuning; see tfxmr.features.image.network and fine_tuning.

    A network takes as many images at once as `memory` MiB hold (0: 16); other features take them one by one.
    """
    made = _make(name, layer, weights, seed, tuning)
    if memory and hasattr(made, "hold"):
        made.hold(memory)
    return made


def _make(name: str, layer: str | None, weights: str, seed: int, tuning: FineTuning | None) -> Any:
    if name in DESCRIPTORS or ":" in name:
        if tuning and tuning.finetune:
            raise InputError(f"--finetune={tuning.finetune}: --image_features={name} has no weights to be trained here")
        return DESCRIPTORS[name]() if name in DESCRIPTORS else _outside(name)
    if tuning and tuning.finetune:
        from tfxmr.features.image.fine_tuning import FineTunedNetwork

        return FineTunedNetwork(name, layer, weights, seed, tuning)
    from tfxmr.features.image.network import ImageNetwork

    return ImageNetwork(name, layer, weights, seed)


def _outside(name: str) -> Any:
    """The feature of an exported network, onnx:FILE, of keras-hub, hub:PRESET, or of a function, MODULE:FUNCTION."""
    if name.startswith("onnx:"):
        from tfxmr.features.image.onnx_network import OnnxImages

        return OnnxImages(name)
    if name.startswith("hub:"):
        from tfxmr.features.image.hub_images import HubImages

        return HubImages(name)
    from tfxmr.features.image.own_images import OwnImages

    return OwnImages(name)
