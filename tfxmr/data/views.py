"""Views: the arrays that describe the items of a modality, their names, kinds and order.

A view is called MODALITY.NAME, such as "image.regions"; the default view of a modality is called as the modality, and
is always a vector. What an array is follows from its type and shape:

  vector  float32 (n, d)
  map     float32 (n, places, d): a vector for each place of an item, as a convolution gives them
  tokens  int32 (n, T): the numbers of an item's words in order, 1 to V, and zeros after the last one
"""
import re
import shlex
from collections.abc import Iterable
from typing import Any

import numpy as np

from tfxmr.core.errors import InputError

MODALITIES = ("image", "text", "video", "audio", "shape3d")  # the order everywhere; other names follow
PIXELS = (64 * 64, 3)  # of an image in the view image.pixels: rows first, red, green and blue in [0, 1]
NAME = re.compile(r"[^.]+(\.[^.]+)?")

# The flag of `tfxmr extract` and the feature that make a view.
FEATURES = {
    "image": "vgg19_fc7", "text": "doc2vec", "image.regions": "vgg19_pool5", "image.pixels": "pixels",
    "text.words": "sequence",
}


def modality_of(view: str) -> str:
    """The modality of a view: "image" of "image.regions" and of "image"."""
    return view.partition(".")[0]


def is_default(view: str) -> bool:
    """True for the view that is called as its modality."""
    return "." not in view


def ordered(names: Iterable[str]) -> list:
    """Sorts names of modalities or views: the standard modalities first, then others; default views first."""
    rank = {name: i for i, name in enumerate(MODALITIES)}
    return sorted(names, key=lambda name: (rank.get(modality_of(name), len(rank)), modality_of(name), name))


def kind(array: Any) -> str:
    """What a view's array (n, ...) is, also a MappedMatrix: "vector", "map" or "tokens"."""
    if array.ndim == 3:
        return "map"
    return "tokens" if array.dtype.kind in "iu" else "vector"


def dim(array: Any) -> int | tuple[int, ...]:
    """The shape of one item: d of a vector, (places, d) of a map, (T,) of tokens."""
    return array.shape[1] if kind(array) == "vector" else tuple(array.shape[1:])


def typed(view: str, array: Any) -> np.ndarray:
    """An array as a view holds it, contiguous: int32 for whole numbers (n, T) of a view with a name, else float32."""
    array = np.asarray(array)
    tokens = not is_default(view) and array.ndim == 2 and kind(array) == "tokens"
    return np.ascontiguousarray(array, np.int32 if tokens else np.float32)


def refusal(data: Any, view: str, wanted: Iterable[str], method: str, reason: str = "") -> InputError:
    """The InputError of data that lack a view which a method reads.

    Args:
      data: MultiModalData.
      view: the one that they lack.
      wanted: all views that the method reads.
      method: its name.
      reason: more on what was found, in words.
    """
    own = "a matrix (n, d) of floats" if is_default(view) else "maps (n, places, d), vectors (n, d) or tokens (n, T)"
    remedy = f"add it to the files of the data as the array {view!r}, {own}"
    if data.media and all(name in FEATURES for name in wanted):
        remedy = f"make it by `{extract_line(data.name, wanted)}`, and train with --dataset=features --features=DIR"
    return InputError(
        f"{method} reads the view {view}; dataset {data.name} has {', '.join(data.views)}{reason}: {remedy}"
    )


def extract_line(dataset: str, wanted: Iterable[str]) -> str:
    """The command that makes views of a data set, all of them in FEATURES.

    Args:
      dataset: its name.
      wanted: names of the views.
    """
    features: dict[str, list[str]] = {}
    for view in ordered(wanted):
        features.setdefault(modality_of(view), []).append(FEATURES[view])
    flags = [f"--{modality}_features={','.join(names)}" for modality, names in features.items()]
    place = ["--data_dir=DATA"] if dataset == "folder" else []
    return shlex.join(["tfxmr", "extract", f"--dataset={dataset}", *place, *flags, "--out=DIR"])
