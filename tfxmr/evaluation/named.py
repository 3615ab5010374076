"""Metrics by name, over all queries: P@10, R@10, hit@10, nDCG, nDCG@10, 11-point, median_rank."""
import functools
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.evaluation import checks, instance, order, ranking
from tfxmr.evaluation.chance import chance_of
from tfxmr.evaluation.metrics import NAMES, check_name, eleven_point_of
from tfxmr.evaluation.similarity import Similarity

INSTANCE = ("hit@1", "hit@5", "hit@10", "median_rank")  # of data without classes, where each item has its counterparts


check = check_name


def measure(
    names: Sequence[str], query: Any, gallery: Any, query_labels: ArrayLike, gallery_labels: ArrayLike,
    similarity: Similarity = "cosine", *, ties: str = "group", **choices: Any,
) -> dict[str, tuple[float, float | None]]:
    """Computes metrics of the rankings, from one sort a query.

    P@k is the share of relevant items among the first k, R@k the share of the relevant items that are there, nDCG the
    discounted gain over the best possible one with gain 1 for relevant items, 11-point the mean of the interpolated
    precision at recall 0, .1, ..., 1. Under ties "group" the first three are their expected values over all orders of
    the tied items, as in scikit-learn's `ndcg_score`.

    hit@k is the share of the queries with any relevant item among the first k, which papers on images and sentences
    call R@k; median_rank is the median of the best relevant item's rank. Ties count against both, whatever `ties` says:
    see tfxmr.evaluation.instance.instance_ranks.

    Args:
      names: of NAMES.
      query, gallery, query_labels, gallery_labels, similarity, ties: as in
        `tfxmr.evaluation.ranking.average_precisions`.
      **choices: block_size, query_ids, gallery_ids, threads, memory, likewise.

    Returns:
      {name: (mean over the queries, chance level or None)}; a query without a relevant item counts as 0, its rank as
        1 + the number of items.

    Raises:
      ValueError: unknown names; and as `average_precisions`.

    >>> measure(["P@1", "hit@2"], [[1.0, 0.0]], [[1.0, 0.1], [0.1, 1.0]], [0], [1, 0])  # the wrong item is nearer
    {'P@1': (0.0, 0.5), 'hit@2': (1.0, 1.0)}
    """
    if not checks.length("names", names):
        raise ValueError(f"names is empty; there are {NAMES}")
    for name in names:
        check(name)
    ranking.check(ties=ties)
    work = functools.partial(_values, names, ties)
    values = ranking.over_queries(work, query, gallery, query_labels, gallery_labels, similarity, **choices)
    own = choices.get("query_ids") is not None
    own = own and set(map(str, choices["query_ids"])) <= set(map(str, choices["gallery_ids"]))
    return {
        name: (
            float((np.median if name == "median_rank" else np.mean)(column)),
            chance_of(name, query_labels, gallery_labels, own),
        )
        for name, column in zip(names, values.T, strict=True)
    }


def _of_ranks(name: str, ranks: NDArray) -> NDArray:
    return ranks.astype(float) if name == "median_rank" else (ranks <= int(name.partition("@")[2])).astype(float)


def _values(names: Sequence[str], ties: str, scores: NDArray, relevant: NDArray) -> NDArray:
    """The metrics of some queries: similarities and relevance (n, items) to (n, names)."""
    total = relevant.sum(axis=1)
    ranks = instance.best_ranks(scores, relevant)
    if all(name.startswith(("hit", "median")) for name in names):  # which need no sort
        return np.stack([_of_ranks(name, ranks) for name in names], axis=1)
    ranked = order.ranked_relevance(scores, relevant, ties)
    discounts = 1 / np.log2(np.arange(2, ranked.shape[1] + 2))
    ideal = np.concatenate(([1.0], np.cumsum(discounts)))
    columns = []
    for name in names:
        kind, _, k = name.partition("@")
        if kind in ("hit", "median_rank"):
            columns.append(_of_ranks(name, ranks))
            continue
        head = ranked[:, : int(k or ranked.shape[1])]
        if kind == "P":
            columns.append(head.sum(axis=1) / int(k))
        elif kind == "R":
            columns.append(head.sum(axis=1) / np.maximum(total, 1))
        elif kind == "nDCG":
            columns.append(head @ discounts[: head.shape[1]] / ideal[np.minimum(total, head.shape[1])])
        else:
            rows = zip(scores, relevant, strict=True)
            curves = [eleven_point_of(*order.hits_and_ranks(-s, r, ties)) for s, r in rows]
            columns.append(np.mean(curves, axis=1))
    return np.stack(columns, axis=1)
