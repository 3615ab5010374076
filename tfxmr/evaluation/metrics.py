"""Metrics of a ranking beside average precision: curves, precision and recall at k, nDCG.

A ranking's relevance is 0/1 (n,), best first. A query with nothing to find scores 0 wherever average precision would.
"""
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.core import classes
from tfxmr.evaluation import checks

LARGEST = 1e150  # the product of two such numbers is finite


def precision_recall(relevance: ArrayLike) -> tuple[NDArray, NDArray]:
    """Raw precision-recall curve of one ranking: both after each relevant item.

    Args:
      relevance: 0/1 (n,), best first, of the whole gallery.

    Returns:
      (precision (R,), recall (R,)), each in (0, 1]; empty if nothing is relevant. The mean of the precision is the
      average precision.

    >>> precision, recall = precision_recall([1, 0, 0, 1])
    >>> precision.tolist(), recall.tolist()
    ([1.0, 0.5], [0.5, 1.0])
    """
    ranks = np.flatnonzero(ranking(relevance)) + 1
    hits = np.arange(1, len(ranks) + 1)
    return hits / ranks, hits / max(len(ranks), 1)


def eleven_point(relevance: ArrayLike) -> NDArray:
    """Interpolated precision at recall 0, .1, ..., 1: the highest precision at any recall r' >= r.

    Manning, Raghavan and Schuetze, Introduction to Information Retrieval, section 8.4.

    Args:
      relevance: as in `precision_recall`.

    Returns:
      float (11,) in [0, 1], never rising; zeros if nothing is relevant.

    >>> eleven_point([1, 0, 0, 1])[[0, 5, 6, 10]].tolist()
    [1.0, 1.0, 0.5, 0.5]
    """
    ranks = np.flatnonzero(ranking(relevance)) + 1
    return eleven_point_of(np.arange(1, len(ranks) + 1), ranks)


def eleven_point_of(hits: NDArray, ranks: NDArray) -> NDArray:
    """As `eleven_point`, of the relevant items' hits and ranks, see `tfxmr.evaluation.order.hits_and_ranks`."""
    if not len(ranks):
        return np.zeros(11)
    highest = np.maximum.accumulate((hits / ranks)[::-1])[::-1]
    # j hits reach recall i/10 when 10 j >= i R; in whole numbers, as .1 * 3 is above 3/10 in floats.
    needed = -(-np.arange(11) * len(ranks) // 10)
    return highest[np.maximum(needed, 1) - 1]


def precision_at(relevance: ArrayLike, k: int) -> float:
    """Share of relevant items among the first k, of relevance 0/1 (n,).

    A ranking shorter than k counts as filled up with irrelevant ones.

    >>> precision_at([1, 0, 0, 1], 2)
    0.5
    """
    k = checks.whole("k", k)
    return float(np.sum(ranking(relevance)[:k]) / k)


def recall_at(relevance: ArrayLike, k: int) -> float:
    """Share of all relevant items that are among the first k, of relevance 0/1 (n,); 0 if nothing is relevant.

    At class level, that is: the recall@k of image-sentence papers asks whether any correct item is there, which is
    `tfxmr.evaluation.instance.recall_at_ranks`.

    >>> recall_at([1, 0, 0, 1], 2)
    0.5
    """
    found = ranking(relevance)
    return float(np.sum(found[: checks.whole("k", k)]) / max(int(np.sum(found)), 1))


def ndcg(gains: ArrayLike, k: int | None = None) -> float:
    """Normalised discounted cumulative gain of one ranking: DCG = sum_i gain_i / log2(i + 1), over the ideal DCG.

    Jaervelin and Kekaelaeinen, ACM TOIS 2002, with the discount of scikit-learn's `ndcg_score`: gains enter as they
    are, so give 2^level - 1 where that is wanted.

    Args:
      gains: >= 0 (n,), best ranked first, of the whole gallery (the ideal ranking is its descending order).
      k: looks only at the first k; None looks at all.

    Returns:
      float in [0, 1]; 0 if every gain is 0.

    Raises:
      ValueError: gains that are negative, NaN or infinite.

    >>> ndcg([0, 0, 1])  # 1 / log2(4), over 1 / log2(2)
    0.5
    """
    gains = checks.floats("gains", gains)
    if (gains < 0).any():
        raise ValueError("gains must be at least 0, one for each ranked item (n,)")
    # By hand: scikit-learn's ndcg_score takes scores, not a ranking, and refuses a gallery of one item.
    discount = 1 / np.log2(np.arange(2, len(gains) + 2))
    discount[len(gains) if k is None else checks.whole("k", k):] = 0
    ideal = np.sort(gains)[::-1] @ discount
    return float(gains @ discount / ideal) if ideal else 0.0


def mean_by_class(values: ArrayLike, labels: ArrayLike) -> dict[Any, float]:
    """Mean of the queries' values in each class, such as the mAP a class from `average_precisions`.

    Args:
      values: (Q,), no NaN.
      labels: (Q,), the queries' classes; or 0/1 (Q, C), of several classes: a query counts for each of its own.

    Returns:
      {label: mean}, labels ascending.

    >>> mean_by_class([0.25, 0.75, 1.0], ["boat", "boat", "tree"])
    {'boat': 0.5, 'tree': 1.0}
    """
    values = checks.array("values", values, 1, finite=False).astype(np.float64)
    if np.isnan(values).any():
        raise ValueError("values holds NaN; take out queries that do not count before averaging")
    labels, _ = checks.labels(labels, labels)
    if len(values) != len(labels):
        raise ValueError(f"values {values.shape} and labels {labels.shape} must have one row a query")
    labels = classes.as_labels(labels) if classes.several(labels) else labels
    return {label: float(values[having].mean()) for label, having in classes.members(labels)}


def harmonic_mean(seen: float, unseen: float) -> float:
    """2 s u / (s + u) of the values on seen and unseen classes (Xian et al., TPAMI 2019); 0 if either is 0.

    >>> harmonic_mean(0.25, 0.75)
    0.375
    """
    for name, value in (("seen", seen), ("unseen", unseen)):
        checks.number(name, value, 0, LARGEST, "must be a number of at least 0")
    return 2 * seen * unseen / (seen + unseen) if seen and unseen else 0.0


def ranking(relevance: ArrayLike) -> NDArray[np.bool_]:
    """One ranking's relevance, 0/1 (n,), as bool (n,); n may be 0. Raises ValueError if it is none."""
    if checks.length("relevance", relevance) == 0:
        return np.zeros(0, bool)
    remedy = "relevance must be one ranking of 0s and 1s (n,), best first; ndcg takes graded ones"
    relevance = checks.array("relevance", relevance, 1, remedy)
    if not np.isin(relevance, (0, 1)).all():
        raise ValueError(remedy)
    return relevance.astype(bool)
