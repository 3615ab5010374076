"""Texts to bag-of-words vectors, the vocabulary taken from the training texts."""
import collections
import re
import warnings
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.wording import agreeing, counted
from tfxmr.features.feature import State, floats_of, words_of

KINDS = ("tfidf", "counts")
WORD = r"[^\W\d_]{2,}"  # two or more letters of any alphabet
# Letters of scripts that put no spaces between words: Thai, Lao, Burmese, Khmer, Japanese, Chinese.
UNSPACED = re.compile("[\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\U00020000-\U0003ffff]")
LONGEST = 6  # letters between two spaces, on average, where words of these scripts are divided
_RULES = {"lowercase": True, "token_pattern": WORD, "stop_words": "english"}


def split_words(text: str) -> list[str]:
    """Lower-cases a text, splits it on non-letters and returns the words of two letters or more."""
    return re.findall(WORD, text.lower())


def warn_of_phrases(texts: Sequence[str], where: str) -> None:
    """Warns of texts that have no spaces between their words, so that whole phrases are taken as words.

    Args:
      texts: n strings.
      where: what they are, for the message: "folder train".
    """
    phrases = [text for text in texts if _lacks_spaces(text)]
    if phrases:
        warnings.warn(f"{where}: {len(phrases):,} of {counted(len(texts), 'text')} "
                      f"{agreeing(len(phrases), 'has', 'have')} no spaces between words (such as {phrases[0][:20]!r}): "
                      "whole phrases are taken as words, which other texts hardly share. Put spaces between the words "
                      "first, with a segmenter for the language", stacklevel=3)


def _lacks_spaces(text: str) -> bool:
    pieces = [piece for piece in text.split() if UNSPACED.search(piece)]
    return bool(pieces) and sum(map(len, pieces)) > LONGEST * len(pieces)


def warn_of_unknown(zeros: int, count: int, where: str) -> None:
    """Warns of texts no word of which is known: they are all alike, vectors or rows of zeros.

    Args:
      zeros: how many there are.
      count: of how many texts.
      where: what they are, for the message: "folder test".
    """
    if zeros:
        warnings.warn(f"{where}: {zeros:,} of {counted(count, 'text')} ({zeros / count:.0%}) "
                      f"{agreeing(zeros, 'has', 'have')} no word that their features know; nothing tells them apart. "
                      "Skip them, or take other features (tfxmr extract, with a lower --min_documents or --min_words, "
                      "or a --text_corpus)", stacklevel=3)


class TextVectorizer:
    """Counts words, or weighs them by how rare they are; scikit-learn's vectorizers with one word rule, to the bit.

    "counts" holds the occurrences of each word. "tfidf" multiplies them by ln((1 + n) / (1 + n_word)) + 1,
    n the number of training texts and n_word of those with the word, and L2-normalises each row (a text
    with no known word stays zero). Words are as in `split_words`, without scikit-learn's English stop words.

    Args:
      kind: "tfidf" or "counts"; None is refused, as a data set that has not chosen one.
      max_words: largest size of the vocabulary, positive; it takes the most frequent words of the training
        texts, ties by alphabet.
      min_documents: positive; a word in fewer training texts is skipped.

    Attributes:
      name, view, dtype, dim: as of any feature of texts, see tfxmr.features.Feature.
    """

    view, dtype = "", np.float32

    def __init__(self, kind: str | None = "tfidf", max_words: int = 1000, min_documents: int = 2) -> None:
        if kind not in KINDS:
            raise InputError(f"kind of text vector is {kind!r}; choose one of {', '.join(KINDS)}")
        for name, value in (("max_words", max_words), ("min_documents", min_documents)):
            if value < 1:
                raise InputError(f"{name} is {value}; it must be at least 1")
        self.kind, self.max_words, self.min_documents = kind, max_words, min_documents
        self.words: list[str] = []  # in column order, alphabetical
        self._idf: NDArray | None = None  # float64, one a word

    def fit(self, texts: Iterable[str]) -> Self:
        """Takes the vocabulary (and the word weights) from training texts.

        Args:
          texts: iterable of n strings.

        Returns:
          self.

        Raises:
          InputError: no word of the texts is left for the vocabulary.
        """
        # Half a second to be imported, for which a search by a sentence does not wait: only fitting needs it.
        from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

        texts = list(texts)
        counter = CountVectorizer(min_df=self.min_documents, **_RULES)
        try:
            totals = counter.fit_transform(texts).sum(axis=0).A1
        except ValueError as error:
            raise InputError(
                f"no word for the vocabulary in {counted(len(texts), 'training text')}: all are empty, stop words, or "
                f"in fewer than min_documents={self.min_documents} {agreeing(self.min_documents, 'text')}; lower it or "
                "check the texts"
            ) from error
        # scikit-learn's own max_features breaks ties differently on different processors.
        kept = np.sort(np.argsort(-totals, kind="stable")[: self.max_words])
        idf = None
        if self.kind == "tfidf":
            idf = TfidfVectorizer(vocabulary=counter.get_feature_names_out()[kept], **_RULES).fit(texts).idf_
        self._take(counter.get_feature_names_out()[kept].tolist(), idf)
        return self

    def _take(self, words: list[str], idf: NDArray | None) -> None:
        """Takes words in column order, and their weights of "tfidf"."""
        if idf is not None and (len(idf) != len(words) or idf.min() <= 0):
            raise ValueError(f"its {counted(len(words), 'word has', 'words have')} not a weight above 0 each")
        self.words, self._idf = words, idf
        self._columns = {word: column for column, word in enumerate(words)}

    @property
    def name(self) -> str:
        """The kind, "tfidf" or "counts"."""
        return self.kind

    @property
    def dim(self) -> int:
        """Number of words, at most max_words."""
        return len(self.words)

    def known(self, rows: NDArray) -> NDArray:
        """Which of the rows (n, d) are of a text with a known word: bool (n,)."""
        return np.any(rows, axis=1)

    def state(self) -> State:
        """What makes the same rows of new texts, see `tfxmr.features.Feature`: the words, and how rare they are."""
        facts = {"feature": "vectorizer", "name": self.name, "max_words": self.max_words,
                 "min_documents": self.min_documents, "words": self.words}
        return facts, {} if self._idf is None else {"idf": self._idf}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The vectorizer that gave a state; see `tfxmr.features.restored`."""
        made = cls(facts["name"], facts["max_words"], facts["min_documents"])
        made._take(words_of(facts), floats_of(arrays, "idf", 1, np.float64) if made.kind == "tfidf" else None)
        return made

    def transform(self, texts: Iterable[str]) -> NDArray:
        """Returns the vectors of texts, float32 (n, d), d <= max_words; unknown words are ignored."""
        if not self.words:
            from sklearn.exceptions import NotFittedError

            raise NotFittedError("fit the vectorizer on texts first")
        texts = list(texts)
        rows = np.zeros((len(texts), len(self.words)), np.float32)
        for row, text in zip(rows, texts, strict=True):
            # No stop word is in the vocabulary, so that none needs to be skipped here.
            counts = collections.Counter(self._columns[word] for word in split_words(text) if word in self._columns)
            columns = sorted(counts)
            values = np.array([counts[column] for column in columns], np.float64)
            if self._idf is not None and columns:
                values *= self._idf[columns]
                values /= np.sqrt(np.add.accumulate(values * values)[-1])  # one after the other, as scikit-learn adds
            row[columns] = values
        return rows
