"""Precision-recall curves averaged over queries, and those of a random ranking."""
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.evaluation import checks, order
from tfxmr.evaluation.chance import random_ranking
from tfxmr.evaluation.metrics import eleven_point_of
from tfxmr.evaluation.ranking import check, is_relevant, over_queries
from tfxmr.evaluation.similarity import Similarity

PERCENT = np.arange(1, 101)
RECALLS = {"11-point": np.arange(11) / 10, "uninterpolated": PERCENT / 100}


def mean_curve(
    kind: str, query: Any, gallery: Any, query_labels: ArrayLike, gallery_labels: ArrayLike,
    similarity: Similarity = "cosine", *, ties: str = "group", **choices: Any,
) -> tuple[NDArray, NDArray]:
    """The mean over the queries of their precision at each recall.

    Args:
      kind: "11-point": the highest precision at any recall from r on, at r = 0, .1, ..., 1, see
        `tfxmr.evaluation.metrics.eleven_point`; "uninterpolated": the precision where recall reaches r = .01, .02,
        ..., 1.
      query, gallery, query_labels, gallery_labels, similarity, ties: as in
        `tfxmr.evaluation.ranking.average_precisions`.
      **choices: block_size, query_ids, gallery_ids, threads, memory, likewise.

    Returns:
      (recall (n,), precision (n,)), in [0, 1]; a query without a relevant item counts as 0.

    Raises:
      ValueError: an unknown kind; and as `average_precisions`.

    >>> recall, precision = mean_curve("11-point", [[1.0, 0.0]], [[0.0, 1.0], [1.0, 0.0]], [0], [0, 0])
    >>> recall[[0, 10]].tolist(), precision[[0, 10]].tolist()  # both items are relevant
    ([0.0, 1.0], [1.0, 1.0])
    """
    _check(kind)
    check(ties=ties)

    def work(scores: NDArray, relevant: NDArray) -> NDArray:
        pairs = zip(scores, relevant, strict=True)
        return np.stack([_curve(kind, *order.hits_and_ranks(-row, wanted, ties)) for row, wanted in pairs])

    curves = over_queries(work, query, gallery, query_labels, gallery_labels, similarity, **choices)
    return RECALLS[kind], curves.mean(axis=0)


def chance_curve(
    kind: str, query_labels: ArrayLike, gallery_labels: ArrayLike, draws: int = 400, seed: int = 0,
) -> tuple[NDArray, NDArray]:
    """`mean_curve` of random rankings, by seeded draws, as no closed form of the interpolated one is known.

    Args:
      kind: as in `mean_curve`.
      query_labels, gallery_labels: (Q,) and (G,) ints, or 0/1 (Q, L) and (G, L).
      draws: rankings drawn for each number of relevant items that occurs; of several labels an item, as many in all.
      seed: of the draws.

    Returns:
      (recall (n,), precision (n,)).

    Raises:
      ValueError: an unknown kind, labels that do not fit, draws or a seed that are no whole numbers.

    >>> recall, precision = chance_curve("11-point", [0], [0, 0, 0])
    >>> precision.min().item()
    1.0
    """
    _check(kind)
    draws, rng = checks.whole("draws", draws), np.random.default_rng(checks.whole("seed", seed, 0))
    query_labels, gallery_labels = checks.labels(query_labels, gallery_labels)
    size, curves = len(gallery_labels), []
    if query_labels.ndim == 1:
        patterns, queries = np.unique(query_labels, return_counts=True)
        relevant = is_relevant(patterns, gallery_labels).sum(axis=1)
    else:  # many more numbers of relevant items than there are classes: each has fewer of the draws
        drawn = random_ranking(query_labels, gallery_labels)
        relevant, queries = drawn.relevant, drawn.queries
        draws = max(1, min(draws, draws * query_labels.shape[1] // len(relevant)))
    for count in relevant:
        ranks = (np.sort(rng.choice(size, count, replace=False)) + 1 for _ in range(draws))
        curves.append(np.mean([_curve(kind, np.arange(1, count + 1), r) for r in ranks], axis=0))
    return RECALLS[kind], np.average(curves, axis=0, weights=queries)


def _curve(kind: str, hits: NDArray, ranks: NDArray) -> NDArray:
    """Precision at RECALLS of one ranking, of the hits and ranks of its relevant items."""
    if kind == "11-point":
        return eleven_point_of(hits, ranks)
    if not len(ranks):
        return np.zeros(len(PERCENT))
    needed = -(-PERCENT * len(ranks) // 100)  # in whole numbers, as .1 * 3 is above 3/10 in floats
    return (hits / ranks)[needed - 1]


def _check(kind: str) -> None:
    if not isinstance(kind, str) or kind not in RECALLS:
        raise ValueError(f"no curve {checks.short(kind)}; there are {', '.join(RECALLS)}")
