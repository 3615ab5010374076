"""Texts to vectors or word numbers, by name: what `tfxmr extract --text_features=NAME` can make."""
import collections
import dataclasses
import hashlib
import re

import numpy as np

from tfxmr.data import words
from tfxmr.errors import InputError
from tfxmr.features import word_vectors
from tfxmr.features.bag_of_words import WORD, TextVectorizer, split_words
from tfxmr.features.word2vec_training import train_word2vec
from tfxmr.files import replacing, write_text

NAMES = (
    "bowN, tfidfN (N words, such as bow3000), doc2vec, word2vec, sentence_cnn; word numbers, as the view text.words: "
    "sequence (with word vectors), words (with start and end)"
)
TABLE, VOCABULARY = (pattern.format("text.words") for pattern in (words.TABLE, words.VOCABULARY))  # beside the splits
MARKS = ("<start>", "<end>", "<unknown>")  # words 1, 2 and 3 of `words`


@dataclasses.dataclass(frozen=True)
class TextOptions:
    """How texts become vectors.

    Attributes:
      seed: of everything that is drawn.
      min_documents: a word in fewer of the fitted texts is left out of bowN, tfidfN and doc2vec.
      mode: of Doc2Vec, "dbow" or "dm".
      epochs: passes over the texts of doc2vec (20 if 0) and of sentence_cnn (10 if 0).
      min_words: times that a word must occur in the fitted texts to be one of `words`.
      max_length: words of a text at most for sequence, words and sentence_cnn; 0 takes the longest fitted text.
      model: path of a Doc2Vec model that `tfxmr extract` wrote, to be used as it is; None trains one.
      vectors: path of a word2vec file for word2vec, sequence and sentence_cnn; None trains vectors on the texts.
    """

    seed: int = 0
    min_documents: int = 5
    min_words: int = 4
    mode: str = "dbow"
    epochs: int = 0
    max_length: int = 0
    model: str | None = None
    vectors: str | None = None


class TextFeature:
    """One way to make vectors, or word numbers, of texts. A subclass fills `fit` and `transform`.

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
    """

    view = ""
    dtype = np.float32
    fitted = True
    labels_used = False

    def __init__(self, name, options):
        self.name = name
        self.options = options
        self.rule = {}

    def fit(self, texts, labels=None):
        """Learns from n texts, and from their labels (n,) where `labels_used`. Returns self."""
        raise NotImplementedError

    def transform(self, texts):
        """Returns (n, dim) of n texts, of type `dtype`."""
        raise NotImplementedError

    def known(self, rows):
        """Which of the rows (n, dim) say anything of their text: bool (n,)."""
        return rows.any(axis=1)

    def save(self, folder):
        """Writes what belongs to the matrices beside them into a folder (pathlib.Path)."""


class WordCounts(TextFeature):
    """bowN, the number of times that each of the N most frequent words occurs, and tfidfN, weighed by rarity."""

    def __init__(self, name, options):
        super().__init__(name, options)
        kind, size = re.fullmatch(r"(bow|tfidf)(\d+)", name).groups()
        kind = "counts" if kind == "bow" else kind
        self._vectorizer = TextVectorizer(kind, int(size), options.min_documents)
        self.rule = {
            "words": "two letters or more, lower case, without scikit-learn's English stop words",
            "max_words": int(size), "min_documents": options.min_documents, "weights": kind,
        }

    def fit(self, texts, labels=None):
        """Takes the vocabulary from texts."""
        self._vectorizer.fit(texts)
        self.dim = len(self._vectorizer.words)
        self.rule["vocabulary_sha256"] = sha256_of_texts(self._vectorizer.words)
        return self

    def transform(self, texts):
        """Returns float32 (n, dim), dim <= N."""
        return self._vectorizer.transform(texts)


class MeanWordVectors(TextFeature):
    """word2vec: the mean of the vectors of a text's words; unknown words are skipped, a text of such alone is zero."""

    def fit(self, texts, labels=None):
        """Takes the word vectors of the options' file, or trains some on the texts."""
        self._vectors, self.rule, self.fitted = _vectors(texts, self.options)
        self.dim = self._vectors.vector_size
        return self

    def transform(self, texts):
        """Returns float32 (n, dim)."""
        rows = np.zeros((len(texts), self.dim), np.float32)
        for row, text in zip(rows, texts, strict=True):
            known = _known(text, self._vectors)
            if known:
                row[:] = np.mean([self._vectors[word] for word in known], axis=0)
        return rows


class WordSequence(TextFeature):
    """sequence: the number of each word, in order, 1 to V; 0 fills up at the end. TABLE (V + 1, e) has the vectors.

    Row v of the table, and line v of VOCABULARY, belong to word v; row 0 is zero. Only words of the fitted texts that
    have a vector get a number; others are skipped, so that a text of such alone is a row of zeros.
    """

    view, dtype = "words", np.int32

    def fit(self, texts, labels=None):
        """Numbers the words of the texts in alphabetical order."""
        vectors, self.rule, _ = _vectors(texts, self.options)
        known = sorted({word for text in texts for word in _known(text, vectors)})
        if not known:
            raise InputError(f"--text_features={self.name}: no word of {len(texts)} texts has a vector")
        self._numbers = {word: number for number, word in enumerate(known, 1)}
        table = [np.zeros(vectors.vector_size, np.float32), *(vectors[word] for word in known)]
        self.words, self.table = known, np.stack(table).astype(np.float32)
        longest = max(len(_known(text, self._numbers)) for text in texts)
        self.length = self.options.max_length or longest
        self.dim = (self.length,)
        self.rule |= {"max_length": self.length, "longest_fitted": longest, "vocabulary_sha256": sha256_of_texts(known),
                      "table": TABLE, "vocabulary": VOCABULARY}
        return self

    def numbered(self, texts, length):
        """The numbers of the words of n texts: int32 (n, length), 0 to V."""
        return _padded(([self._numbers[word] for word in _known(text, self._numbers)] for text in texts), length)

    def transform(self, texts):
        """Returns int32 (n, T), 0 to V."""
        return self.numbered(texts, self.length)

    def save(self, folder):
        """Writes the table of vectors, and the words."""
        with replacing(folder / TABLE) as file:
            np.save(file, self.table, allow_pickle=False)
        _write_words(folder, self.words)


class WordNumbers(TextFeature):
    """words: <start>, the number of each word, in order, <end>; 0 fills up. VOCABULARY has the words, line v word v.

    A word that occurs less than `min_words` times in the fitted texts is <unknown>, as every word that they have not.
    Start and end stand in every row, also of an empty text: what generates a text reads row[:-1] and is asked for
    row[1:], and what only reads one has no row without a word. The words are those of `split_words`.
    """

    view, dtype = "words", np.int32

    def fit(self, texts, labels=None):
        """Numbers the words of the texts in alphabetical order, after the three marks."""
        least = self.options.min_words
        counts = collections.Counter(word for text in texts for word in split_words(text))
        kept = sorted(word for word, count in counts.items() if count >= least)
        if not kept:
            raise InputError(f"--min_words={least}: no word occurs {least} times in {len(texts)} texts; lower it")
        self.words = [*MARKS, *kept]
        self._numbers = {word: number for number, word in enumerate(self.words, 1)}
        longest = max(len(split_words(text)) for text in texts)
        self._most = self.options.max_length or longest
        self.dim = (self._most + 2,)
        self.rule = {"min_words": least, "max_length": self._most, "longest_fitted": longest, "marks": list(MARKS),
                     "vocabulary_sha256": sha256_of_texts(self.words), "vocabulary": VOCABULARY}
        return self

    def transform(self, texts):
        """Returns int32 (n, T), 0 to V."""
        start, end, unknown = range(1, len(MARKS) + 1)
        found = ([self._numbers.get(word, unknown) for word in split_words(text)[: self._most]] for text in texts)
        return _padded(([start, *numbers, end] for numbers in found), *self.dim)

    def known(self, rows):
        """Which rows have a word beside the marks: bool (n,)."""
        return (rows > len(MARKS)).any(axis=1)

    def save(self, folder):
        """Writes the words."""
        _write_words(folder, self.words)


def make(name, options):
    """The TextFeature of a name. Raises InputError for an unknown one."""
    if re.fullmatch(r"(bow|tfidf)\d+", name):
        return WordCounts(name, options)
    if name == "doc2vec":
        from tfxmr.features.doc2vec import DocumentVectors

        return DocumentVectors(name, options)
    if name == "sentence_cnn":
        from tfxmr.features.sentence_cnn import SentenceNetwork

        return SentenceNetwork(name, options)
    kinds = {"word2vec": MeanWordVectors, "sequence": WordSequence, "words": WordNumbers}
    if name not in kinds:
        raise InputError(f"--text_features={name}: there is no such feature to extract; there are {NAMES}")
    return kinds[name](name, options)


def sha256_of_texts(texts):
    """Digest of texts in order."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode()
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()


def _vectors(texts, options):
    """(KeyedVectors, their facts, whether they were learned from the texts)."""
    if options.vectors:
        from tfxmr.features.store import file_sha256

        facts = {"word_vectors": options.vectors, "word_vectors_sha256": file_sha256(options.vectors)}
        return word_vectors.load(options.vectors), facts, False
    facts = {"word_vectors": "skip-gram, 300-d, trained on the fitted texts", "seed": options.seed}
    return train_word2vec(texts, seed=options.seed), facts, True


def _write_words(folder, vocabulary):
    write_text(folder / VOCABULARY, "".join(f"{word}\n" for word in vocabulary))


def _padded(sequences, length):
    """Lists of whole numbers as int32 (n, length), cut or filled up with zeros at the end."""
    sequences = list(sequences)
    rows = np.zeros((len(sequences), length), np.int32)
    for row, numbers in zip(rows, sequences, strict=True):
        row[: len(numbers)] = numbers[:length]
    return rows


def _known(text, vectors):
    """The words of a text that a table has, lower case first, then as they are written."""
    forms = ((word.lower(), word) for word in re.findall(WORD, text))
    return [next(form for form in pair if form in vectors) for pair in forms if any(form in vectors for form in pair)]
