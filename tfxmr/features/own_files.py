"""Sounds, videos and 3D shapes by the user's own function of their files: `--audio_features=my_module:function`."""
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.files import Place
from tfxmr.data.files.layouts import FLAGS
from tfxmr.data.files.packed import Packed, by_paths
from tfxmr.features import own
from tfxmr.features.feature import State


class OwnFiles:
    """Files by a function of the user's own, see tfxmr.features.own.

    Args:
      modality: "audio", "video" or "shape3d".
      name: MODULE:FUNCTION.
      dim: of a row, where it is known; None: the first file says it.

    Attributes:
      dim: of a row; 0 before the first file.

    Raises:
      InputError: as Function does.
    """

    kind = "own_files"
    fitted = labels_used = False
    view, dtype = "", np.float32
    cached = False  # no known sound tells whether what the function imports has changed

    def __init__(self, modality: str, name: str, dim: int | None = None) -> None:
        self.name, self.modality = name, modality
        self._function = own.Function(modality, name, dim, FLAGS[modality])
        self.rule = self._function.rule

    @property
    def dim(self) -> int:
        """Of a row."""
        return self._function.dim or 0

    def transform(self, files: Sequence[pathlib.Path | Packed]) -> NDArray:
        """Returns float32 (n, d) of n files, by their paths or inside others."""
        return np.concatenate(by_paths(self._function, files))

    def state(self) -> State:
        """Its name and the digest of its module; see `tfxmr.features.Feature`."""
        facts = {"modality": self.modality, "dim": self.dim, "rule": self.rule}
        return {"feature": self.kind, "name": self.name, **facts}, {}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature, if its module is the same; see `tfxmr.features.restored`."""
        return own.same(cls(facts["modality"], facts["name"], int(facts["dim"])), facts)
