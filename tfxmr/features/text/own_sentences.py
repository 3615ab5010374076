"""Texts by the user's own function: `--text_features=my_module:function`; see tfxmr.features.own."""
from collections.abc import Mapping, Sequence
from typing import Any, Self

from numpy.typing import NDArray

from tfxmr.core.files import Place
from tfxmr.features import own
from tfxmr.features.feature import State
from tfxmr.features.text.base import TextFeature, TextOptions


class OwnSentences(TextFeature):
    """Texts by a function of the user's own.

    Args:
      name: MODULE:FUNCTION.
      options: TextOptions, of which none is used.

    Raises:
      InputError: as Function does.
    """

    kind, fitted = "own_sentences", False
    dim: int

    def __init__(self, name: str, options: TextOptions) -> None:
        super().__init__(name, options)
        self._function = own.Function("text", name)
        self.dim, self.rule = self._function.dim or 0, self._function.rule

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Learns nothing."""
        return self

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns float32 (n, dim)."""
        return self._function(texts)

    def _learned(self) -> State:
        return {}, {}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature, if its module is the same; see `tfxmr.features.restored`."""
        return own.same(cls(facts["name"], TextOptions(seed=facts["seed"])), facts)
