"""A training-free image descriptor: where the edges run and where the colours are."""
from collections.abc import Iterable, Mapping
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray
from PIL import Image
from skimage.feature import hog

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.data.views import PIXELS
from tfxmr.features.feature import State

SIDE = 64  # pixels every image is resized to, whatever its shape
ORIENTATIONS = 9  # unsigned edge directions, 20 degrees each
CELL = 8  # pixels a side of the cell whose gradients share one histogram
BLOCK = 2  # cells a side of the block that is normalised together (L2-Hys)
THUMBNAIL = 8  # pixels a side of the colour thumbnail

PLACES = (SIDE // CELL - BLOCK + 1) ** 2  # 49, the blocks of cells, 7 a side, each half over the next one
HOG_DIM = PLACES * BLOCK**2 * ORIENTATIONS  # 1764
DIM = HOG_DIM + 3 * THUMBNAIL**2  # 1956
REGION_DIM = BLOCK**2 * ORIENTATIONS + 3  # 39


def image_descriptor(images: Iterable[NDArray]) -> NDArray:
    """Describes images by a histogram of oriented gradients and a colour thumbnail.

    The first HOG_DIM = 1764 columns are the HOG of the grey image (Dalal and Triggs, CVPR 2005: 8x8-pixel
    cells, 9 directions, 2x2-cell blocks, L2-Hys); the last 192 are an 8x8 RGB thumbnail, rows first. Nothing
    is learned, so the descriptor of an image never depends on other images.

    Args:
      images: iterable of uint8 arrays (height, width, 3), (height, width, 1) or (height, width), of any size;
        or one array (n, height, width, 3).

    Returns:
      float32 (n, 1956), all in [0, 1].

    Raises:
      InputError: an image is not uint8 or has another shape.
    """
    rows = [_describe(_to_rgb(np.asarray(image), n)) for n, image in enumerate(images)]
    return np.stack(rows) if rows else np.zeros((0, DIM), np.float32)


def image_regions(descriptors: NDArray) -> NDArray:
    """Parts descriptors by the places of the image: what one block of 2x2 cells, 16x16 of 64x64 pixels, says of it.

    Nothing is computed again: a place has the 36 columns of its HOG block, and the mean of those 2x2 pixels of the
    thumbnail that lie on it, which are as large as the cells.

    Args:
      descriptors: float32 (n, 1956), as `image_descriptor` gives them.

    Returns:
      float32 (n, 49, 39), all in [0, 1]; places rows first, of each the HOG, then red, green and blue.
    """
    edges = descriptors[:, :HOG_DIM].reshape(-1, PLACES, BLOCK**2 * ORIENTATIONS)
    thumbnails = descriptors[:, HOG_DIM:].reshape(-1, THUMBNAIL, THUMBNAIL, 3)
    windows = np.lib.stride_tricks.sliding_window_view(thumbnails, (BLOCK, BLOCK), axis=(1, 2))  # (n, 7, 7, 3, 2, 2)
    colours = windows.mean(axis=(4, 5)).reshape(-1, PLACES, 3)
    return np.concatenate([edges, colours], axis=2)


def image_pixels(images: Iterable[NDArray]) -> NDArray:
    """Images as maps of their pixels, for methods that draw.

    Args:
      images: as of `image_descriptor`; resized to 64 x 64, whatever their shape.

    Returns:
      float32 (n, 4096, 3) in [0, 1]; pixels rows first, of each red, green and blue.

    Raises:
      InputError: an image is not uint8 or has another shape.
    """
    small = [_resized(_to_rgb(np.asarray(image), n)) for n, image in enumerate(images)]
    return np.array([np.asarray(image) for image in small], np.float32).reshape(-1, *PIXELS) / 255


class Descriptor:
    """descriptor: `image_descriptor` as an image feature; it needs no weights."""

    name, view, fitted, labels_used, dtype = "descriptor", "", False, False, np.float32
    alone = True
    dim: int | tuple[int, ...] = DIM
    rule = {"rule": "HOG and a colour thumbnail"}
    transform = staticmethod(image_descriptor)

    def state(self) -> State:
        """Its name, see `tfxmr.features.Feature`: nothing is learned."""
        return {"feature": self.name, "name": self.name}, {}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature; see `tfxmr.features.restored`."""
        return cls()


class DescriptorRegions(Descriptor):
    """descriptor_regions: the descriptor's 49 places, a map, see `image_regions`."""

    name, view, dim = "descriptor_regions", "regions", (PLACES, REGION_DIM)
    rule = {"rule": "of each place the HOG block and the mean colour"}

    @staticmethod
    def transform(images: Iterable[NDArray]) -> NDArray:
        """Returns float32 (n, 49, 39)."""
        return image_regions(image_descriptor(images))


class Pixels(Descriptor):
    """pixels: the image itself, 64 x 64, see `image_pixels`."""

    name, view, dim = "pixels", "pixels", PIXELS
    rule = {"rule": "colours of 64 x 64 pixels, in [0, 1]"}
    transform = staticmethod(image_pixels)


DESCRIPTORS = {kind.name: kind for kind in (Descriptor, DescriptorRegions, Pixels)}  # all that need no weights


def _to_rgb(image: NDArray, n: int) -> Image.Image:
    """Checks one array and returns it as a PIL image in RGB."""
    if image.ndim == 3 and image.shape[2] == 1:
        image = image[:, :, 0]
    right_shape = image.ndim == 2 or image.ndim == 3 and image.shape[2] == 3
    if image.dtype != np.uint8 or image.size == 0 or not right_shape:
        raise InputError(
            f"image {n} is {image.dtype} {image.shape}; expected uint8 (height, width, 3) or (height, width)"
        )
    return Image.fromarray(image).convert("RGB")


def _resized(image: Image.Image) -> Image.Image:
    return image.resize((SIDE, SIDE), Image.Resampling.BILINEAR)


def _describe(image: Image.Image) -> NDArray:
    image = _resized(image)
    edges = hog(
        np.asarray(image.convert("L")),
        orientations=ORIENTATIONS,
        pixels_per_cell=(CELL, CELL),
        cells_per_block=(BLOCK, BLOCK),
        block_norm="L2-Hys",
    )
    colours = np.asarray(image.resize((THUMBNAIL, THUMBNAIL), Image.Resampling.BOX)) / 255
    return np.concatenate([edges, colours.ravel()]).astype(np.float32)
