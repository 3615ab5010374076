"""What every feature can do: make vectors, maps or word numbers of media, and say what making the same again takes."""
from collections.abc import Mapping
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

State = tuple[dict[str, Any], dict[str, NDArray]]  # JSON facts, and arrays of numbers


class Feature(Protocol):
    """One way to make arrays of images or of texts.

    Attributes:
      name: as `tfxmr extract` calls it.
      view: which view of its modality it makes: "" the default one, a vector; "regions", "pixels", "words" others.
      dtype: of the rows.
      dim: d of a vector, (places, d) of a map, (T,) of word numbers; known once it is fitted.

    A feature may say further: `alone = True`, a row is the same to the bit whatever else is given at once, and threads
    may make them; and `prepared(medium)`, what a thread does for one medium before `transform` is given it; and
    `cached = False`, more decides its rows than is known, so that they are not kept for other commands.
    """

    name: str
    view: str
    dtype: type

    @property
    def dim(self) -> int | tuple[int, ...]:
        """The shape of a row."""

    def transform(self, media: Any, /) -> NDArray:
        """Returns (n, dim) of n images, uint8 (height, width, 3), or n texts."""

    def state(self) -> State:
        """All that makes the same rows of new media in another process, see tfxmr.features.restored.

        Returns:
          (facts, arrays): JSON-able facts, among them "feature", one of tfxmr.features.recipes.KINDS or the name of an
          image descriptor, and "name"; and arrays of numbers. What others have published and may be large, the weights
          of ImageNet or a file of word vectors, is not in it but named there, with its digest.
        """


def words_of(facts: Mapping[str, Any]) -> list[str]:
    """The vocabulary in the facts of a state; raises ValueError if it is no list of different words."""
    words = facts["words"]
    if not isinstance(words, list) or not words or not all(isinstance(word, str) for word in words):
        raise ValueError("its words are no list of words")
    if len(set(words)) < len(words):
        raise ValueError("one of its words stands there twice")
    return words


def floats_of(arrays: Mapping[str, NDArray], name: str, rank: int, dtype: Any = np.float32) -> NDArray:
    """An array of a state; raises ValueError if it has another rank or type, or holds NaN or infinite values."""
    array = arrays[name]
    if array.dtype != dtype or array.ndim != rank or not array.size or not np.isfinite(array).all():
        expected = f"finite {np.dtype(dtype)} of rank {rank}"
        raise ValueError(f"its array {name} is {array.dtype} {array.shape}, expected {expected}")
    return array


def length_of(facts: Mapping[str, Any]) -> int:
    """The number of words of a text at most, in the facts of a state; raises ValueError if it is none."""
    length = facts["length"]
    if type(length) is not int or not 0 < length < 2**24:
        raise ValueError(f"its length is {length!r}")
    return length
