"""What a random ranking scores, in closed form: printed beside every value, as unequal classes raise it."""
import dataclasses
from collections.abc import Callable

import numpy as np
import scipy  # which imports scipy.stats, half a second, at its first use
from numpy.typing import ArrayLike, NDArray

from tfxmr.evaluation import checks
from tfxmr.evaluation.ranking import check, is_relevant

BLOCK = 16  # different queries whose relevant items are counted at once


@dataclasses.dataclass(frozen=True)
class RandomRanking:
    """All that the chance level of a metric depends on: an item is relevant with probability R/n at every rank.

    Attributes:
      n: how many items are ranked, from 0 on.
      relevant: ints (m,), the different R: how many of the items are relevant, from 0 on.
      queries: (m,), how many queries have each of them.
    """

    n: int
    relevant: NDArray
    queries: NDArray

    def mean(self, expected: Callable[[int], float]) -> float:
        """Mean over the queries of expected(R); a query without a relevant item counts as 0."""
        values = [expected(int(relevant)) if relevant else 0.0 for relevant in self.relevant]
        return float(np.average(values, weights=self.queries))


def random_ranking(query_labels: ArrayLike, gallery_labels: ArrayLike, own: bool = False) -> RandomRanking:
    """What is known of a random ranking of the gallery for each query.

    Args:
      query_labels, gallery_labels, own: as in `chance_level`.

    Raises:
      ValueError: labels that do not fit.
    """
    query_labels, gallery_labels = checks.labels(query_labels, gallery_labels)
    own = checks.truth("own", own)
    patterns, counts = np.unique(query_labels, axis=0, return_counts=True)
    if patterns.ndim == 1:  # counted, not compared: without classes there are as many patterns as images
        values, sizes = np.unique(np.concatenate((patterns, gallery_labels)), return_counts=True)
        numbers = sizes[np.searchsorted(values, patterns)] - 1
    else:
        patterns, gallery_labels = patterns.astype(np.float32), gallery_labels.astype(np.float32)
        blocks = [patterns[i : i + BLOCK] for i in range(0, len(patterns), BLOCK)]
        numbers = np.concatenate([is_relevant(block, gallery_labels).sum(axis=1) for block in blocks])
    # A query without any label is not even relevant to itself.
    relevant, of_number = np.unique(np.maximum(numbers - own, 0), return_inverse=True)
    return RandomRanking(len(gallery_labels) - own, relevant, np.bincount(of_number, weights=counts))


def chance_level(
    query_labels: ArrayLike, gallery_labels: ArrayLike, cut: int | None = None, denominator: str = "relevant",
    own: bool = False,
) -> float:
    """Expected mean average precision of a random ranking, in closed form.

    With R of n items relevant, the item at rank j is relevant with probability R/n, and then 1 + (j-1)(R-1)/(n-1)
    relevant items are expected among the first j. So the sum of precisions up to rank k is expected to be
    R/n (H_k + (R-1)/(n-1) (k - H_k)), H_k the harmonic number. If it is divided by the hits, the number of hits
    is hypergeometric, and given h hits the formula holds with h of k in place of R of n.

    Args:
      query_labels: (Q,) ints, or 0/1 (Q, L).
      gallery_labels: (G,) ints, or 0/1 (G, L).
      cut: as in `average_precision`.
      denominator: as in `average_precision`.
      own: True if the gallery holds each query itself, which is not ranked.

    Returns:
      float in [0, 1]; queries without a relevant item count as 0.

    Raises:
      ValueError: labels that do not fit, an unknown denominator, a cut that is no whole number from 1 on.

    >>> chance_level([0], [0, 1])  # the one relevant item of two stands first or second: (1 + 1/2) / 2
    0.75
    """
    (cut,) = check(denominator=denominator, cut=cut)
    drawn = random_ranking(query_labels, gallery_labels, own)
    k = min(cut or drawn.n, drawn.n)
    return drawn.mean(lambda relevant: _chance(relevant, drawn.n, k, denominator))


def _chance(relevant: int, n: int, k: int, denominator: str) -> float:
    if denominator == "hits" and k < n:
        hits = np.arange(1, min(relevant, k) + 1)
        return float(np.sum([p * _chance(int(h), k, k, "relevant") for h, p in
                             zip(hits, scipy.stats.hypergeom.pmf(hits, n, relevant, k), strict=True)]))
    harmonic = np.sum(1.0 / np.arange(1, k + 1))
    total = relevant / n * (harmonic + (relevant - 1) / max(n - 1, 1) * (k - harmonic))
    return float(total / (relevant if denominator == "relevant" else min(relevant, k)))
