"""The k best of many scores: found by 32-bit products, ordered by exact ones.

A matrix product rounds the same two vectors differently with their place in it and with the number of queries beside
them. So products only say which items may be among the best; these few are scored again, each by itself in 64 bits, and
ranked by that score, rounded to 32 bits. Equal vectors tie, and one query is answered as in a batch of many.
"""
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

ROUNDING = 2.0**-24  # of a 32-bit operation, relative
ROWS = 4096  # that are scored again at once


def exact_scores(queries: NDArray, rows: NDArray, similarity: str) -> NDArray:
    """Scores pairs of vectors, each pair by itself: the same for equal pairs, wherever they stand.

    Args:
      queries: float32 (n, d).
      rows: float32 (n, d).
      similarity: "cosine" (of unit vectors), "dot", or "l2": minus the squared Euclidean distance.

    Returns:
      float32 (n,), a higher one is better.

    >>> exact_scores(np.float32([[1, 0], [1, 0]]), np.float32([[0.5, 2], [3, 1]]), "l2")
    array([-4.25, -5.  ], dtype=float32)
    """
    a, b = queries.astype(np.float64), rows.astype(np.float64)
    if similarity == "l2":
        a -= b
        b = -a
    # einsum, unlike BLAS, adds every row up in the same order; + 0 makes -0.0 the 0.0 that it equals
    return np.einsum("nd,nd->n", a, b).astype(np.float32) + 0


def slack(queries: NDArray, largest: float, similarity: str) -> NDArray:
    """By how much two 32-bit scores of a query can have the wrong order, at most.

    Args:
      queries: float32 (Q, d).
      largest: norm of the longest vector that is searched.
      similarity: as in `exact_scores`.

    Returns:
      float32 (Q,): twice the largest error of a product of d numbers.
    """
    norms = np.linalg.norm(queries.astype(np.float64), axis=1)
    size = (norms + largest) ** 2 if similarity == "l2" else norms * largest
    return (2 * ROUNDING * (queries.shape[1] + 8) * size).astype(np.float32)


class Best:
    """The k best places of each of Q queries, while blocks of places are offered.

    Args:
      num_queries: Q.
      k: at least 1.
      slack: (Q,), see `slack`.
      score: function of (queries, places), int (n,) each, to the exact scores, float32 (n,).
      names: function of places to what orders equal scores, a list of str.
    """

    def __init__(
        self, num_queries: int, k: int, slack: NDArray, score: Callable[[NDArray, NDArray], NDArray],
        names: Callable[[NDArray], list[str]],
    ) -> None:
        self._k, self._slack, self._score, self._names = k, slack, score, names
        self._queries, self._places = np.empty(0, np.int64), np.empty(0, np.int64)
        self._scores = np.empty(0, np.float32)
        self._bound = np.full(num_queries, -np.inf, np.float32)  # what none of a query's best can be below
        self._pending: list[tuple[NDArray, NDArray]] = []
        self._num_pending = 0

    def offer(self, scores: NDArray, start: int, rows: NDArray | None = None) -> None:
        """Takes in a block of places.

        Args:
          scores: 32-bit ones, (Q, n), -inf for places that do not count.
          start: the first place.
          rows: int (n,): the places are `start` + `rows`; None: n places that follow each other.
        """
        bound, n = self._bound, scores.shape[1]
        if n > self._k and np.isneginf(bound).any():
            kth = np.partition(scores, n - self._k, axis=1)[:, n - self._k]
            bound = np.maximum(bound, kth - self._slack)
        least = np.maximum(bound, np.finfo(np.float32).min)  # above the -inf of what does not count
        hits = np.flatnonzero((scores >= least[:, None]).ravel())  # many times faster than nonzero of two axes
        if not len(hits):
            return
        queries, columns = np.divmod(hits, n)
        self._pending.append((queries, start + (columns if rows is None else rows[columns])))
        self._num_pending += len(hits)
        # Sorting for every block would cost a fifth of the product; waiting too long lets more through.
        enough = self._k * len(bound)
        first = np.isneginf(self._bound).any() and len(self._queries) + self._num_pending >= enough
        if first or self._num_pending > 2 * enough:
            self._reduce()

    def _reduce(self) -> None:
        """Scores what is pending exactly, and keeps the k best of each query."""
        queries, places = (np.concatenate(part) for part in zip(*self._pending, strict=True))
        self._pending, self._num_pending = [], 0
        new = [self._score(queries[i : i + ROWS], places[i : i + ROWS]) for i in range(0, len(queries), ROWS)]
        scores = np.concatenate([self._scores, *new])
        queries, places = np.concatenate([self._queries, queries]), np.concatenate([self._places, places])
        order = np.lexsort((-scores, queries))
        queries, places, scores = queries[order], places[order], scores[order]
        equal = (queries[1:] == queries[:-1]) & (scores[1:] == scores[:-1])
        if equal.any():  # names are fetched for those alone that tie
            tied = np.flatnonzero(np.r_[False, equal] | np.r_[equal, False])
            rank = np.zeros(len(places), np.int64)
            rank[tied] = np.unique(np.array(self._names(places[tied])), return_inverse=True)[1]
            order = np.lexsort((rank, -scores, queries))
            queries, places, scores = queries[order], places[order], scores[order]
        starts = np.searchsorted(queries, np.arange(len(self._bound)))
        kept = np.arange(len(queries)) - starts[queries] < self._k
        self._queries, self._places, self._scores = queries[kept], places[kept], scores[kept]
        counts = np.bincount(self._queries, minlength=len(self._bound))
        full = np.flatnonzero(counts == self._k)
        last = np.cumsum(counts)[full] - 1
        self._bound[full] = self._scores[last] - self._slack[full]

    def ranked(self) -> tuple[NDArray, NDArray]:
        """(places int64, scores float32) of all queries, one query after the other, best first."""
        if self._pending:
            self._reduce()
        return self._places, self._scores
