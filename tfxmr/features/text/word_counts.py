"""Word counts and TF-IDF vectors as text features."""
import re
from collections.abc import Mapping, Sequence
from typing import Any, Self

from numpy.typing import NDArray

from tfxmr.core.files import Place
from tfxmr.features.feature import State
from tfxmr.features.text.bag_of_words import TextVectorizer
from tfxmr.features.text.base import TextFeature, TextOptions, sha256_of_texts


class WordCounts(TextFeature):
    """bowN, the number of times that each of the N most frequent words occurs, and tfidfN, weighed by rarity."""

    kind = "word_counts"

    def __init__(self, name: str, options: TextOptions) -> None:
        super().__init__(name, options)
        (kind, size), = re.findall(r"^(bow|tfidf)(\d+)$", name)
        kind = "counts" if kind == "bow" else kind
        self._vectorizer = TextVectorizer(kind, int(size), options.min_documents)
        self.rule = {
            "words": "two letters or more, lower case, without scikit-learn's English stop words",
            "max_words": int(size), "min_documents": options.min_documents, "weights": kind,
        }

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Takes the vocabulary from texts."""
        self._vectorizer.fit(texts)
        self.dim = len(self._vectorizer.words)
        self.rule["vocabulary_sha256"] = sha256_of_texts(self._vectorizer.words)
        return self

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns float32 (n, dim), dim <= N."""
        return self._vectorizer.transform(texts)

    def _learned(self) -> State:
        """The vectorizer's state."""
        facts, arrays = self._vectorizer.state()
        return {"vectorizer": facts}, arrays

    def _take(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place) -> None:
        """Takes the vectorizer."""
        self._vectorizer = TextVectorizer.of_state(facts["vectorizer"], arrays)
        self.dim = self._vectorizer.dim
