"""What a random ranking scores, in closed form: printed beside every value, as unequal classes raise it."""
from collections.abc import Callable

import numpy as np
import scipy  # which imports scipy.stats, half a second, at its first use
from numpy.typing import ArrayLike, NDArray

from tfxmr.evaluation import checks
from tfxmr.evaluation.metrics import check_name
from tfxmr.evaluation.ranking import check, is_relevant


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
    query_labels, gallery_labels = checks.labels(query_labels, gallery_labels)
    n = len(gallery_labels) - checks.truth("own", own)
    k = min(cut or n, n)
    return _mean(lambda relevant: _chance(relevant, n, k, denominator), query_labels, gallery_labels, own)


def chance_of(name: str, query_labels: ArrayLike, gallery_labels: ArrayLike, own: bool = False) -> float | None:
    """Expected value of one of `tfxmr.evaluation.named.NAMES` under a random ranking.

    An item is relevant with probability R/n at every rank. So P@k is expected to be R/n, R@k to be k/n, and the
    discounted gain up to k to be R/n of the sum of discounts, over the ideal gain of R items. None of k items drawn
    from n is relevant with probability C(n - R, k) / C(n, k), the rest of 1 is hit@k; median_rank is the smallest k
    whose hit@k reaches one half.

    Args:
      name: "P@10", "R@10", "hit@10", "nDCG", "nDCG@10", "median_rank" or "11-point", for any k.
      query_labels, gallery_labels, own: as in `chance_level`.

    Returns:
      float in [0, 1], median_rank from 1 on; None for "11-point", of which no closed form is known.
    """
    check_name(name)
    query_labels, gallery_labels = checks.labels(query_labels, gallery_labels)
    own = checks.truth("own", own)
    if name == "median_rank":
        return _median_rank(query_labels, gallery_labels, own)
    kind, _, number = name.partition("@")
    n = len(gallery_labels) - own
    wanted = int(number or n)
    k = min(wanted, n)
    discounts = np.cumsum(1 / np.log2(np.arange(2, k + 2)))
    expected = {
        "P": lambda relevant: relevant / n * k / wanted if relevant else 0.0,
        "R": lambda relevant: k / n if relevant else 0.0,
        "hit": lambda relevant: float(scipy.stats.hypergeom.sf(0, n, relevant, k)) if relevant else 0.0,
        "nDCG": lambda relevant: relevant / n * discounts[-1] / discounts[min(relevant, k) - 1] if relevant else 0.0,
    }
    if kind not in expected:
        return None
    return _mean(expected[kind], query_labels, gallery_labels, own)


def _mean(value: Callable[[int], float], query_labels: NDArray, gallery_labels: NDArray, own: bool) -> float:
    """Mean over the queries of value(number of relevant items in the gallery)."""
    relevant, counts = _relevant(query_labels, gallery_labels, own)
    return float(np.average([value(int(number)) for number in relevant], weights=counts))


def _relevant(query_labels: NDArray, gallery_labels: NDArray, own: bool) -> tuple[NDArray, NDArray]:
    """(different numbers of relevant items in the gallery, the number of queries with each)."""
    patterns, counts = np.unique(query_labels, axis=0, return_counts=True)
    numbers = [int(is_relevant(patterns[i : i + 1], gallery_labels).sum()) for i in range(len(patterns))]
    # A query without any label is not even relevant to itself.
    relevant, of_number = np.unique(np.maximum(np.array(numbers) - own, 0), return_inverse=True)
    return relevant, np.bincount(of_number, weights=counts)


def _median_rank(query_labels: NDArray, gallery_labels: NDArray, own: bool) -> float:
    relevant, counts = _relevant(query_labels, gallery_labels, own)
    n = len(gallery_labels) - own
    hits = scipy.stats.hypergeom.sf(0, n, relevant[:, None], np.arange(1, n + 1))
    reached = np.average(hits, axis=0, weights=counts) >= 0.5
    return float(np.argmax(reached) + 1 if reached.any() else n + 1)


def _chance(relevant: int, n: int, k: int, denominator: str) -> float:
    if not relevant:
        return 0.0
    if denominator == "hits" and k < n:
        hits = np.arange(1, min(relevant, k) + 1)
        return float(np.sum([p * _chance(int(h), k, k, "relevant") for h, p in
                             zip(hits, scipy.stats.hypergeom.pmf(hits, n, relevant, k), strict=True)]))
    harmonic = np.sum(1.0 / np.arange(1, k + 1))
    total = relevant / n * (harmonic + (relevant - 1) / max(n - 1, 1) * (k - harmonic))
    return float(total / (relevant if denominator == "relevant" else min(relevant, k)))
