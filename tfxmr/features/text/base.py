"""What every text feature is: options, fit on texts, transform of texts."""
import dataclasses
import hashlib
import pathlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.files import Place
from tfxmr.core.settings import Settings, seed_setting, setting
from tfxmr.features.feature import State


@dataclasses.dataclass(frozen=True)
class TextOptions(Settings):
    """How texts become vectors."""

    seed: int = seed_setting("Seed of everything that is drawn.")
    min_documents: int = setting(
        5, "Fitted texts that a word of bowN and tfidfN must be in; its occurrences for doc2vec.", minimum=1
    )
    min_words: int = setting(4, "Times that a word must occur in the fitted texts to be one of words.", minimum=1)
    mode: str = setting("dbow", "PV-DBOW or PV-DM.", choices=("dbow", "dm"), flag="doc2vec_mode")
    epochs: int = setting(
        0, "Passes over the fitted texts; 0: 20 for doc2vec, 10 for sentence_cnn.", minimum=0, flag="text_epochs"
    )
    max_length: int = setting(
        0, "Words of a text at most for sequence, words, sentence_cnn; 0: the longest fitted text.", minimum=0
    )
    model: str | None = setting(
        None, "doc2vec.npz that an earlier extraction wrote, to be used instead of training one.", flag="doc2vec_model"
    )
    vectors: str | None = setting(
        None,
        "word2vec file: for class names, and for word2vec, sequence and sentence_cnn, which train their own without.",
        flag="word_vectors",
    )


class TextFeature:
    """One way to make vectors, or word numbers, of texts. A subclass fills `fit`, `transform`, `_learned` and `_take`.

    Args:
      name: of the feature.
      options: TextOptions.

    Attributes:
      view: which view of the texts it makes: "" the default one, a vector; "words" their words' numbers.
      dtype: of the rows.
      dim: d of vectors, (T,) of word numbers; known once it is fitted.
      rule: settings that decide the vectors, for the manifest.
      fitted: False if nothing is learned from the texts.
      labels_used: True if the classes of the fitted texts decide the vectors.
      kind: what `tfxmr.features.restored` knows it by.
    """

    kind: str
    view = ""
    dtype: type = np.float32
    dim: int | tuple[int, ...]
    fitted = True
    labels_used = False

    def __init__(self, name: str, options: TextOptions) -> None:
        self.name = name
        self.options = options
        self.rule: dict[str, Any] = {}

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Learns from n texts, and from their labels (n,) where `labels_used`. Returns self."""
        raise NotImplementedError

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns (n, dim) of n texts, of type `dtype`."""
        raise NotImplementedError

    def known(self, rows: NDArray) -> NDArray:
        """Which of the rows (n, dim) say anything of their text: bool (n,)."""
        return np.any(rows, axis=1)

    def save(self, folder: pathlib.Path) -> None:
        """Writes what belongs to the matrices beside them into a folder (pathlib.Path)."""

    def state(self) -> State:
        """What makes the same rows of new texts, see `tfxmr.features.Feature`; of a fitted feature."""
        facts, arrays = self._learned()
        return {"feature": self.kind, "name": self.name, "rule": self.rule, "seed": self.options.seed, **facts}, arrays

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature that gave a state; see `tfxmr.features.restored`, which any state is given to."""
        made = cls(facts["name"], TextOptions(seed=facts["seed"]))
        made._take(facts, arrays, word_vectors)
        made.rule = dict(facts["rule"])
        return made

    def _learned(self) -> State:
        """What `fit` has learned of the texts."""
        raise NotImplementedError

    def _take(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place) -> None:
        """Takes what `_learned` gave in the place of `fit`; checks it, since it was read from files."""
        raise NotImplementedError


def sha256_of_texts(texts: Iterable[str]) -> str:
    """Digest of texts in order."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode()
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()
