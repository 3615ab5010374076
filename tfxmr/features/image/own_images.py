"""Images by the user's own function: `--image_features=my_module:function`; see tfxmr.features.own."""
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.files import Place
from tfxmr.features import own
from tfxmr.features.feature import State


class OwnImages:
    """Images by a function of the user's own.

    Args:
      name: MODULE:FUNCTION.

    Raises:
      InputError: as Function does.
    """

    kind = "own_images"
    fitted = labels_used = False
    view, dtype = "", np.float32

    def __init__(self, name: str) -> None:
        self.name = name
        self._function = own.Function("image", name)
        self.dim, self.rule = self._function.dim or 0, self._function.rule

    def transform(self, images: Sequence[NDArray]) -> NDArray:
        """Returns float32 (n, d) of n images, uint8 (height, width, 3)."""
        return self._function(images)

    def state(self) -> State:
        """Its name and the digest of its module; see `tfxmr.features.Feature`."""
        return {"feature": self.kind, "name": self.name, "rule": self.rule}, {}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature, if its module is the same; see `tfxmr.features.restored`."""
        return own.same(cls(facts["name"]), facts)
