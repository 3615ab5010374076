"""What can be counted: numbers of a view, classes of items, words of texts."""
import collections
import hashlib
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.data import memmap
from tfxmr.data.memmap import Matrix
from tfxmr.features.text.bag_of_words import split_words

SAMPLE = 2000  # rows, evenly apart, whose effective rank is computed: more take minutes and say the same


def effective_rank(matrix: Matrix) -> float:
    """How many dimensions rows (n, d) fill: exp of the entropy of the shares of the singular values, centred.

    Roy and Vetterli, EUSIPCO 2007. It is d where all directions spread alike, 1 where all rows lie on a line, and 0
    where they are equal; of more than SAMPLE rows, it is that of so many of them.

    >>> round(effective_rank(np.array([[1.0, 0.0], [-1.0, 0.0], [0.0, 1.0], [0.0, -1.0]])), 6)
    2.0
    """
    rows = np.linspace(0, len(matrix) - 1, min(len(matrix), SAMPLE)).astype(int)
    x = np.asarray(matrix[rows], np.float64)
    x -= x.mean(axis=0)
    squares = np.linalg.eigvalsh(x @ x.T if len(x) < x.shape[1] else x.T @ x)
    # Squares of values that are zero come out as rounding, whose roots would count.
    values = np.sqrt(squares[squares > squares.max(initial=0) * 1e-12 * len(squares)])
    if not len(values):
        return 0.0
    shares = values / values.sum()
    return float(np.exp(-(shares * np.log(shares)).sum()))


def zero_rows(matrix: Matrix) -> int:
    """How many rows of a view (n, ...) hold nothing but zeros."""
    return sum(int((~block.reshape(len(block), -1).any(axis=1)).sum()) for block in memmap.blocks(matrix))


def constant_columns(matrix: Matrix) -> int:
    """How many columns of vectors (n, d) or maps (n, places, d) have one value in all rows."""
    low = high = None
    for block in memmap.blocks(matrix):
        least, most = block.min(axis=0), block.max(axis=0)
        low = least if low is None else np.minimum(low, least)
        high = most if high is None else np.maximum(high, most)
    return 0 if low is None else int((low == high).sum())


def balance(counts: ArrayLike) -> tuple[float, float]:
    """How unequal classes are, of their numbers of items.

    Returns:
      (items of the largest over those of the smallest class that has some; exp of the entropy of their shares, which is
      the number of classes where all are equal). (0, 0) without items.

    >>> balance([2, 2, 0])
    (1.0, 2.0)
    """
    found = np.asarray(counts, float)
    found = found[found > 0]
    if not len(found):
        return 0.0, 0.0
    shares = found / found.sum()
    return float(found.max() / found.min()), round(float(np.exp(-(shares * np.log(shares)).sum())), 9)


class Texts:
    """What is counted of the texts of a split, one after another.

    Attributes:
      count: of texts.
      empty: of those without a word, two letters or more.
      words: word -> in how many texts it is.
      length: of words, of all texts.
      digests: of each text's words in order; None without any.
    """

    def __init__(self, texts: Iterable[str], known: Iterable[str] | None = None) -> None:
        """Counts texts.

        Args:
          texts: str each.
          known: words of the training texts; None where these are they.
        """
        self.count = self.empty = self.length = self.strange = 0
        self.words: collections.Counter[str] = collections.Counter()
        self.digests: list[bytes | None] = []
        known = None if known is None else set(known)
        for text in texts:
            words = split_words(text)
            self.count += 1
            self.empty += not words
            self.length += len(words)
            self.strange += known is not None and bool(words) and known.isdisjoint(words)
            self.words.update(set(words))
            self.digests.append(hashlib.blake2b(" ".join(words).encode(), digest_size=16).digest() if words else None)
        self.unknown = 0.0 if known is None else _share(self.words, known)

    def facts(self) -> dict[str, Any]:
        """Columns of a table."""
        mean = self.length / max(self.count, 1)
        return {
            "texts": self.count, "empty": self.empty, "words each": round(mean, 1), "vocabulary": len(self.words),
            "no known word": self.strange, "words unknown": round(self.unknown, 3),
        }


def _share(words: Sequence | dict, known: set[str]) -> float:
    """Share of a split's words that no training text has."""
    return sum(word not in known for word in words) / max(len(words), 1)


def several(ids: Sequence[str]) -> NDArray:
    """How many rows the items of some ids have, by item."""
    return np.array([*collections.Counter(ids).values()], int)
