"""Images by any exported network: `--image_features=onnx:FILE`; see tfxmr.features.onnx_graph for its files."""
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.features import onnx_graph
from tfxmr.features.feature import State

CONFIG = "preprocessor_config.json"
KNOWN = ("do_resize", "do_center_crop", "do_rescale", "do_normalize", "do_convert_rgb")
LAYOUTS = ("NCHW", "NHWC")


class OnnxImages:
    """The vectors of an exported image network, preprocessed as CONFIG and the model's own JSON say.

    As Hugging Face's processors do: resized (`size`: a side, shortest_edge, or height and width; `resample`: Pillow's
    number), cropped in the middle (`crop_size`), times `rescale_factor`, less `image_mean`, over `image_std`. An image
    runs alone, so that its row never depends on others, which networks of 8-bit integers would else make it do.

    Args:
      name: onnx:FILE.

    Attributes:
      name: onnx: and the file's name, without its folder.

    Raises:
      InputError: the file is no such network, or what it takes is not declared.
    """

    kind = "onnx_images"
    fitted = labels_used = False
    alone = True
    view, dtype = "", np.float32

    def __init__(self, name: str) -> None:
        self.graph = graph = onnx_graph.Graph("image", name)
        self.name = f"{onnx_graph.PREFIX}{graph.path.name}"
        self.options = graph.read(CONFIG) | graph.declared
        usual = "pixel_values" if "pixel_values" in graph.inputs else next(iter(graph.inputs))
        self._input = self.options.get("input", usual)
        if self._input not in graph.inputs:
            raise InputError(f"{graph.flag}: has no input {self._input!r}; there are {', '.join(graph.inputs)}")
        shape = graph.inputs[self._input][1]
        self.layout = self.options.get("layout", "NHWC" if shape[-1] == 3 else "NCHW")
        if self.layout not in LAYOUTS or len(shape) != 4:
            raise InputError(f"{graph.flag}: its input {self._input} is {shape}, in the layout {self.layout}; an image "
                             f"network takes 4 axes, {' or '.join(LAYOUTS)}")
        self._complete(shape[1:3] if self.layout == "NHWC" else shape[2:])
        self.pooling = self.options.get("pooling", "cls")
        self.dim = len(self._row(np.zeros((8, 8, 3), np.uint8)))
        self.rule = graph.rule(pooling=self.pooling, preprocessing={
            "layout": self.layout, **{key: self.options[key] for key in onnx_graph.KEYS if key in self.options}
        })

    def _complete(self, sides: list[int | None]) -> None:
        """Fills in what is not declared, from the graph's (height, width); raises InputError if nothing says it."""
        options, flag, config = self.options, self.graph.flag, f"{CONFIG} or {self.graph.path.stem}.json"
        unknown = [key for key, value in options.items() if key.startswith("do_") and value and key not in KNOWN]
        if unknown:
            raise InputError(f"{flag}: {CONFIG} asks for {', '.join(unknown)}, which is not known here; give the "
                             f"images' size, mean and so on in {self.graph.path.with_suffix('.json')}")
        if "size" not in options:
            if None in sides:
                raise InputError(f'{flag}: its images may have any size; declare "size" in {config} beside it')
            options["size"] = {"height": sides[0], "width": sides[1]}
        lacking = [key for key in ("image_mean", "image_std") if key not in options]
        if options.get("do_normalize", True) and lacking:
            raise InputError(f'{flag}: declare "{lacking[0]}" in {config} beside it, such as [0.5, 0.5, 0.5], or '
                             '"do_normalize": false where the graph does that')

    def transform(self, images: Iterable[NDArray]) -> NDArray:
        """Returns float32 (n, d) of n images, uint8 (height, width, 3)."""
        return self.graph.rows(self._row, images, self.dim)

    def inputs(self, image: NDArray) -> NDArray:
        """What the graph takes for an image, uint8 (height, width, 3): (1, 3, height, width), or channels last."""
        options, found = self.options, Image.fromarray(image).convert("RGB")
        if options.get("do_resize", True):
            found = found.resize(self._size(found), options.get("resample", Image.Resampling.BILINEAR))
        if self._crops:
            found = _cropped(found, *_sides(options.get("crop_size", options["size"])))
        values: NDArray = np.asarray(found, np.float32)
        if options.get("do_rescale", True):
            values = values * np.float32(options.get("rescale_factor", 1 / 255))
        if options.get("do_normalize", True):
            values = (values - np.float32(options["image_mean"])) / np.float32(options["image_std"])
        return values[None] if self.layout == "NHWC" else values.transpose(2, 0, 1)[None]

    @property
    def _crops(self) -> bool:
        return self.options.get("do_center_crop", "crop_size" in self.options)

    def _size(self, image: Image.Image) -> tuple[int, int]:
        """(width, height) that an image is resized to."""
        size = self.options["size"]
        shortest = size.get("shortest_edge") if isinstance(size, dict) else size if self._crops else None
        if shortest is None:
            height, width = _sides(size)
            return width, height
        width, height = image.size
        least = min(width, height)
        return shortest * width // least, shortest * height // least

    def _row(self, image: NDArray) -> NDArray:
        return self.graph.vector(self.graph.run({self._input: self.inputs(image)}), self.pooling)

    def state(self) -> State:
        """Where the file is, and what it held; see `tfxmr.features.Feature`."""
        return {"feature": self.kind, "name": self.name, "path": str(self.graph.path), "rule": self.rule}, {}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature, of the file or a copy of it; see `tfxmr.features.restored`."""
        return onnx_graph.remade(cls, facts, image_weights, "image_weights")


def _sides(size: Any) -> tuple[int, int]:
    """(height, width) of a size as Hugging Face writes it."""
    if isinstance(size, int):
        return size, size
    return (size["height"], size["width"]) if "height" in size else (size["shortest_edge"],) * 2


def _cropped(image: Image.Image, height: int, width: int) -> Image.Image:
    """The middle of an image; black where it is smaller."""
    left, top = (image.width - width) // 2, (image.height - height) // 2
    return image.crop((left, top, left + width, top + height))
