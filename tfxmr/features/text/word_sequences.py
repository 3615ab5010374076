"""Texts by the vectors of their words, or as tokens: the mean of the vectors, or a number a word."""
import collections
import pathlib
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, digest_file, replacing, write_text
from tfxmr.core.wording import counted
from tfxmr.data.files import word_tables
from tfxmr.features.feature import State, floats_of, length_of, words_of
from tfxmr.features.text.bag_of_words import WORD, split_words
from tfxmr.features.text.base import TextFeature, TextOptions, sha256_of_texts

# Beside the splits.
TABLE, VOCABULARY = (pattern.format("text.words") for pattern in (word_tables.TABLE, word_tables.VOCABULARY))
MARKS = ("<start>", "<end>", "<unknown>")  # words 1, 2 and 3 of `words`
Vectors = Any  # gensim's KeyedVectors, which takes a second to be imported, or word -> float32 (e,)


class MeanWordVectors(TextFeature):
    """word2vec: the mean of the vectors of a text's words; unknown words are skipped, a text of such alone is zero."""

    kind = "word2vec"
    dim: int

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Takes the word vectors of the options' file, or trains some on the texts."""
        self._vectors, self.rule, self.fitted = _vectors(texts, self.options)
        self._file: Place = self.options.vectors
        self.dim = self._vectors.vector_size
        return self

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns float32 (n, dim)."""
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            known = _known(text, self._vectors)
            if known:
                row[:] = np.mean([self._vectors[word] for word in known], axis=0)
        return rows

    def _learned(self) -> State:
        """The vectors that were trained on the texts; those of a file are named by the rule, with its digest."""
        # New texts have words that the fitted ones had not: it takes all words of a file, which is not ours to ship.
        if not self.fitted:
            return {"file": str(pathlib.Path(self._file or "").expanduser().absolute())}, {}
        words = list(self._vectors) if isinstance(self._vectors, dict) else self._vectors.index_to_key
        return {"words": words}, {"vectors": np.stack([self._vectors[word] for word in words])}

    def _take(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place) -> None:
        """Takes the vectors, or reads them from their file."""
        self.fitted = "words" in facts
        if not self.fitted:
            self._file = word_vectors or facts["file"]
            self._vectors = _load(self._file, facts["rule"])
            self.dim = self._vectors.vector_size
            return
        words, vectors = words_of(facts), floats_of(arrays, "vectors", 2)
        self._vectors, self.dim = dict(zip(words, vectors, strict=True)), vectors.shape[1]


class WordSequence(TextFeature):
    """sequence: the number of each word, in order, 1 to V; 0 fills up at the end. TABLE (V + 1, e) has the vectors.

    Row v of the table, and line v of VOCABULARY, belong to word v; row 0 is zero. Only words of the fitted texts that
    have a vector get a number; others are skipped, so that a text of such alone is a row of zeros.
    """

    kind, view = "sequence", "words"
    dtype: type = np.int32

    @classmethod
    def of_words(cls, name: str, words: Sequence[str], texts: Sequence[str]) -> Self:
        """The feature of given words, numbered in their order from 1; as long as the longest of some texts."""
        made = cls(name, TextOptions())
        made._number(words)
        made.length = max(len(_known(text, made._numbers)) for text in texts)
        made.dim = (made.length,)
        return made

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Numbers the words of the texts in alphabetical order."""
        vectors, self.rule, _ = _vectors(texts, self.options)
        known = sorted({word for text in texts for word in _known(text, vectors)})
        if not known:
            raise InputError(f"--text_features={self.name}: no word of {counted(len(texts), 'text')} has a vector")
        self._number(known)
        table = [np.zeros(vectors.vector_size, np.float32), *(vectors[word] for word in known)]
        self.table = np.stack(table).astype(np.float32)
        longest = max(len(_known(text, self._numbers)) for text in texts)
        self.length = self.options.max_length or longest
        self.dim = (self.length,)
        self.rule |= {"max_length": self.length, "longest_fitted": longest, "vocabulary_sha256": sha256_of_texts(known),
                      "table": TABLE, "vocabulary": VOCABULARY}
        return self

    def _number(self, words: Sequence[str]) -> None:
        """Numbers words in their order, from 1."""
        self.words = list(words)
        self._numbers = {word: number for number, word in enumerate(words, 1)}

    def numbered(self, texts: Sequence[str], length: int) -> NDArray:
        """The numbers of the words of n texts: int32 (n, length), 0 to V."""
        return _padded(([self._numbers[word] for word in _known(text, self._numbers)] for text in texts), length)

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns int32 (n, T), 0 to V."""
        return self.numbered(texts, self.length)

    def save(self, folder: pathlib.Path) -> None:
        """Writes the table of vectors, and the words."""
        with replacing(folder / TABLE) as file:
            np.save(file, self.table, allow_pickle=False)
        _write_words(folder, self.words)

    def _learned(self) -> State:
        """The words; their vectors make no number: they lie beside the numbers, and in what was trained on both."""
        return {"words": self.words, "length": self.length}, {}

    def _take(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place) -> None:
        """Takes the words. Those of a file of vectors that no fitted text has have no number, so it is not needed."""
        self._number(words_of(facts))
        self.length = length_of(facts)
        self.dim = (self.length,)


class WordNumbers(TextFeature):
    """words: <start>, the number of each word, in order, <end>; 0 fills up. VOCABULARY has the words, line v word v.

    A word that occurs less than `min_words` times in the fitted texts is <unknown>, as every word that they have not.
    Start and end stand in every row, also of an empty text: what generates a text reads row[:-1] and is asked for
    row[1:], and what only reads one has no row without a word. The words are those of `split_words`.
    """

    kind, view, dtype = "words", "words", np.int32

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Numbers the words of the texts in alphabetical order, after the three marks."""
        least = self.options.min_words
        counts = collections.Counter(word for text in texts for word in split_words(text))
        kept = sorted(word for word, count in counts.items() if count >= least)
        if not kept:
            raise InputError(f"--min_words={least}: no word occurs {counted(least, 'time')} in "
                             f"{counted(len(texts), 'text')}; lower it")
        self.words = [*MARKS, *kept]
        self._numbers = {word: number for number, word in enumerate(self.words, 1)}
        longest = max(len(split_words(text)) for text in texts)
        self._most = self.options.max_length or longest
        self.dim = (self._most + 2,)
        self.rule = {"min_words": least, "max_length": self._most, "longest_fitted": longest, "marks": list(MARKS),
                     "vocabulary_sha256": sha256_of_texts(self.words), "vocabulary": VOCABULARY}
        return self

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns int32 (n, T), 0 to V."""
        start, end, unknown = range(1, len(MARKS) + 1)
        found = ([self._numbers.get(word, unknown) for word in split_words(text)[: self._most]] for text in texts)
        return _padded(([start, *numbers, end] for numbers in found), self._most + 2)

    def known(self, rows: NDArray) -> NDArray:
        """Which rows have a word beside the marks: bool (n,)."""
        return np.any(rows > len(MARKS), axis=1)

    def save(self, folder: pathlib.Path) -> None:
        """Writes the words."""
        _write_words(folder, self.words)

    def _learned(self) -> State:
        """The words, the marks among them."""
        return {"words": self.words, "length": self._most}, {}

    def _take(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place) -> None:
        """Takes the words."""
        self.words, self._most = words_of(facts), length_of(facts)
        if tuple(self.words[: len(MARKS)]) != MARKS:
            raise ValueError(f"its words do not begin with {', '.join(MARKS)}")
        self._numbers = {word: number for number, word in enumerate(self.words, 1)}
        self.dim = (self._most + 2,)


def _vectors(texts: Sequence[str], options: TextOptions) -> tuple[Vectors, dict[str, Any], bool]:
    """(KeyedVectors, their facts, whether they were learned from the texts)."""
    from tfxmr.features import word_vectors
    from tfxmr.features.text.word2vec_training import train_word2vec

    if options.vectors:
        facts: dict[str, Any] = {"word_vectors": options.vectors, "word_vectors_sha256": digest_file(options.vectors)}
        return word_vectors.load(options.vectors), facts, False
    facts = {"word_vectors": "skip-gram, 300-d, trained on the fitted texts", "seed": options.seed}
    return train_word2vec(texts, seed=options.seed), facts, True


def _load(path: Place, rule: Mapping[str, Any]) -> Vectors:
    """KeyedVectors of the file that a rule names, or of a copy; raises InputError if it is missing or another one."""
    from tfxmr.features import word_vectors

    named = f"{rule['word_vectors']} (SHA-256 {rule['word_vectors_sha256'][:12]}...)"
    file = pathlib.Path(path or "").expanduser()
    remedy = f"the word2vec features were made with {named}: name a copy of it as --word_vectors=FILE"
    if not file.is_file():
        raise InputError(f"word vectors: there is no file {file}; {remedy}")
    digest = digest_file(file)
    if digest != rule["word_vectors_sha256"]:
        raise InputError(f"word vectors: {file} (SHA-256 {digest[:12]}...) is another file; {remedy}")
    return word_vectors.load(file)


def _write_words(folder: pathlib.Path, vocabulary: Iterable[str]) -> None:
    write_text(folder / VOCABULARY, "".join(f"{word}\n" for word in vocabulary))


def _padded(sequences: Iterable[list[int]], length: int) -> NDArray:
    """Lists of whole numbers as int32 (n, length), cut or filled up with zeros at the end."""
    # By hand: keras.utils.pad_sequences is the same, after three seconds for the import of TensorFlow.
    sequences = list(sequences)
    rows = np.zeros((len(sequences), length), np.int32)
    for row, numbers in zip(rows, sequences, strict=True):
        row[: len(numbers)] = numbers[:length]
    return rows


def _known(text: str, vectors: Container[str]) -> list[str]:
    """The words of a text that a table has, lower case first, then as they are written."""
    forms = ((word.lower(), word) for word in re.findall(WORD, text))
    return [next(form for form in pair if form in vectors) for pair in forms if any(form in vectors for form in pair)]
