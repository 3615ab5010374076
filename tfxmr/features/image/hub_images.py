"""Images by a preset of keras-hub: `--image_features=hub:PRESET`; see tfxmr.features.hub_preset."""
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.features import hub_preset
from tfxmr.features.feature import State
from tfxmr.features.image import batches

CONVERSION = ("image_size", "interpolation", "antialias", "crop_to_aspect_ratio", "pad_to_aspect_ratio", "scale",
              "offset")


class HubImages:
    """The vectors of a preset's image network, of images that its own ImageConverter resizes, crops and scales.

    Of two towers, as CLIP and SigLIP, the vector by which images are compared with texts. Of a network of images alone
    the class token, the first place, where it has one as DINOv2 and ViT; else the mean over the places.

    Args:
      name: hub:PRESET.

    Attributes:
      name: hub: and the preset's name, or its folder's.

    Raises:
      InputError: there is no such preset, or it is none of images.
    """

    kind = "hub_images"
    fitted = labels_used = False
    view, dtype = "", np.float32
    batch = batches.BATCH

    def __init__(self, name: str) -> None:
        self.preset = preset = hub_preset.Preset("image", name)
        self.name = preset.name
        layers = preset.module("keras_hub").layers
        self.converter = preset.read(layers.ImageConverter.from_preset, "ImageConverter")
        whole = preset.network()
        self._network, self.pooling = self._tower(whole)
        sides = self._network.inputs[0].shape[1:3]
        if self.converter.image_size is None and None in sides:
            raise InputError(f"{preset.flag}: neither its ImageConverter nor its network says how large images are; "
                             "save the preset with an image_size")
        self.converter.image_size = self.converter.image_size or sides
        self.dim = int(self._network.output.shape[-1])
        self.rule = preset.rule(whole, pooling=self.pooling, preprocessing={
            key: hub_preset.plain(getattr(self.converter, key)) for key in CONVERSION
        })

    def _tower(self, whole: Any) -> tuple[Any, str]:
        """(keras.Model from images to vectors, where these are taken)."""
        keras = self.preset.module("keras")  # imported here, so that what is refused does not wait for it
        inputs = hub_preset.inputs_of(whole)
        if "images" not in inputs or len(inputs["images"].shape) != 4:
            raise self.preset.refusal(whole)
        if hasattr(whole, "get_vision_embeddings"):
            images = keras.Input(inputs["images"].shape[1:], name="images")
            return keras.Model({"images": images}, whole.get_vision_embeddings(images)), "projection"
        output = whole.output
        if len(inputs) > 1 or isinstance(output, dict | list | tuple) or len(output.shape) not in (2, 3, 4):
            raise self.preset.refusal(whole)
        if len(output.shape) == 3 and getattr(whole, "use_class_token", True):
            pooled, pooling = output[:, 0], "cls"
        elif len(output.shape) == 2:
            pooled, pooling = output, "none"
        else:
            pooled, pooling = keras.ops.mean(output, axis=tuple(range(1, len(output.shape) - 1))), "mean"
        return keras.Model({"images": inputs["images"]}, pooled), pooling

    def hold(self, memory: int) -> None:
        """As of tfxmr.features.image.network.ImageNetwork."""
        self.batch = self.rule["batch"] = batches.within(self._network, memory, self.name)

    def transform(self, images: Sequence[NDArray]) -> NDArray:
        """Returns float32 (n, d) of n images, uint8 (height, width, 3)."""
        if not len(images):
            return np.zeros((0, self.dim), np.float32)
        size = batches.padded(self.batch, len(images))
        return hub_preset.in_batches(self._network, {"images": self.inputs(images)}, size)

    def inputs(self, images: Sequence[NDArray]) -> NDArray:
        """What the network takes for n images, uint8 (height, width, 3): float32 (n, ...), each converted by itself.

        They are converted as real numbers: of whole ones Keras would round what it has resized.
        """
        return np.stack([np.asarray(self.converter(image.astype(np.float32)), np.float32) for image in images])

    def state(self) -> State:
        """Which preset it is, and what it held; see `tfxmr.features.Feature`."""
        return {"feature": self.kind, "name": self.name, "preset": self.preset.given, "rule": self.rule}, {}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature, of the preset or a copy of it; see `tfxmr.features.restored`."""
        held = {key: value for key, value in facts["rule"].items() if key != "batch"}
        made = hub_preset.remade(cls, {**facts, "rule": held}, image_weights, "image_weights")
        made.rule, made.batch = dict(facts["rule"]), batches.of_rule(facts["rule"])
        return made
