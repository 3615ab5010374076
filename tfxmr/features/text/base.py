"""What every text feature is: options, fit on texts, transform of texts."""
import dataclasses
import hashlib

import numpy as np


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


def sha256_of_texts(texts):
    """Digest of texts in order."""
    digest = hashlib.sha256()
    for text in texts:
        content = text.encode()
        digest.update(len(content).to_bytes(8) + content)
    return digest.hexdigest()
