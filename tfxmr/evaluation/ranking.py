"""Ranking and average precision: NumPy in, numbers out.

Two choices decide more about a published value than the method does, so both are arguments and neither is hidden:
what the sum of precisions is divided by, and what equal similarities mean.
"""
import concurrent.futures
import os
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.core import progress
from tfxmr.core.wording import agreeing, counted
from tfxmr.evaluation import checks, order
from tfxmr.evaluation import similarity as similarity_module
from tfxmr.evaluation.metrics import ranking as one_ranking
from tfxmr.evaluation.similarity import Similarity

DENOMINATORS = ("relevant", "min(relevant, k)", "hits")
TIES = ("group", "index")
NO_RELEVANT = ("zero", "drop")
ROWS = 16  # queries that a thread ranks before it takes the next ones
COMPILE_FROM = 5e7  # similarities from which on compiling the fast path is worth its second


def average_precision(
    relevance: ArrayLike, cut: int | None = None, denominator: str = "relevant", num_relevant: int | None = None,
) -> float:
    """Average precision of one ranking, AP = 1/D sum_k rel_k * (relevant among the first k) / k.

    Args:
      relevance: 0/1 (n,), best first.
      cut: looks only at the first `cut` items; None looks at all.
      denominator: D. "relevant": all relevant items of the gallery, R. "min(relevant, k)": R, at most the cut.
        "hits": the relevant items among the first `cut`, as the releases of ACMR and DSCMR have it; the value
        then says nothing about relevant items that were not found. Without a cut all three are R.
      num_relevant: R where `relevance` is only the head of the ranking; None counts it.

    Returns:
      float in [0, 1]; 0 if nothing is relevant.

    Raises:
      ValueError: relevance that is no ranking of 0s and 1s, an unknown choice, a cut or R that cannot be.

    >>> average_precision([1, 0, 0, 1])  # (1/1 + 2/4) / 2
    0.75
    """
    (cut,) = check(denominator=denominator, cut=cut)
    relevance = one_ranking(relevance)
    found = int(relevance.sum())
    # Fewer than are there would give an average precision above 1.
    total = found if num_relevant is None else checks.whole("num_relevant", num_relevant, found)
    ranks = np.flatnonzero(relevance[:cut]) + 1
    hits = np.arange(1, len(ranks) + 1)
    return float(np.sum(hits / ranks) / max(_divisor(total, len(ranks), cut, denominator), 1))


def mean_average_precision(
    query: Any, gallery: Any, query_labels: ArrayLike, gallery_labels: ArrayLike, similarity: Similarity = "cosine",
    cut: int | None = None, denominator: str = "relevant", block_size: int | None = None, **choices: Any,
) -> float:
    """Mean over the queries of the average precision of the ranked gallery.

    Args:
      query, gallery, query_labels, gallery_labels, similarity, cut, denominator, block_size: as in
        `average_precisions`.
      **choices: its further arguments.

    Returns:
      float in [0, 1].

    Raises:
      ValueError: as `average_precisions`; or no query has a relevant item and such queries are dropped.

    >>> gallery = [[1.0, 0.1], [1.0, 1.0], [0.5, 1.0], [0.0, 1.0]]
    >>> mean_average_precision([[1.0, 0.0]], gallery, [0], [0, 1, 1, 0])  # ranks 1 and 4: (1/1 + 2/4) / 2
    0.75
    """
    values = average_precisions(
        query, gallery, query_labels, gallery_labels, similarity, cut, denominator, block_size, **choices
    )
    if np.isnan(values).all():
        raise ValueError("no query has a relevant item in the gallery; there is nothing to average")
    return float(np.nanmean(values))


def average_precisions(
    query: Any, gallery: Any, query_labels: ArrayLike, gallery_labels: ArrayLike, similarity: Similarity = "cosine",
    cut: int | None = None, denominator: str = "relevant", block_size: int | None = None, *, ties: str = "group",
    no_relevant: str = "zero", query_ids: Sequence | None = None, gallery_ids: Sequence | None = None,
    threads: int | None = None, memory: int | None = None,
) -> NDArray[np.float64]:
    """The average precision of each query.

    float32 representations are compared and ranked in float32, float64 ones in float64, which takes several times
    as long.

    Args:
      query: (Q, d) representations.
      gallery: (G, d) representations.
      query_labels: (Q,) numbers or texts, relevant means equal; or bool or 0/1 (Q, L), L >= 2, relevant means a
        common label.
      gallery_labels: (G,) or (G, L).
      similarity: "cosine", "dot", "l2", a matrix (Q, G), or a function (queries, gallery) -> (q, G).
      cut: as in `average_precision`.
      denominator: as in `average_precision`.
      block_size: queries scored at once; None takes as many as `memory` holds.
      ties: what equal similarities mean. "group": all items of a tied group share the group's last rank, as in
        scikit-learn; the order of the gallery does not matter. "index": the smaller gallery index comes first, as a
        stable sort has it; where the gallery is sorted by class this favours the first classes.
      no_relevant: a query without a relevant item counts as 0 ("zero") or is NaN ("drop"); a warning says how many.
      query_ids, gallery_ids: (Q,) and (G,); a gallery item with the query's own id is not ranked. None: all are.
      threads: queries ranked at once; None takes one for each processor. Does not change a bit of the result.
      memory: bytes that a block's similarities may take beside the inputs and their scaled copies; None takes a
        half a GiB.

    Returns:
      float64 (Q,), in [0, 1] or NaN.

    Raises:
      ValueError: shapes that do not fit, unknown choices, NaN or infinite values.

    >>> average_precisions([[1.0, 0.0], [0.0, 1.0]], [[1.0, 0.1], [0.1, 1.0]], [0, 0], [0, 1]).tolist()
    [1.0, 0.5]
    """
    (cut,) = check(denominator=denominator, ties=ties, no_relevant=no_relevant, cut=cut)
    num_queries, items = checks.length("query_labels", query_labels), checks.length("gallery_labels", gallery_labels)
    compiled = num_queries * items >= COMPILE_FROM and order.can_compile()
    cut = cut and min(cut, items)  # the compiled path's ranks have 64 bits

    def average(scores: NDArray, relevant: NDArray) -> NDArray:
        add_up = order.precision_sums_compiled if compiled and scores.dtype == np.float32 else order.precision_sums
        sums, hits = add_up(scores, relevant, ties, cut)
        total = np.array([np.count_nonzero(r) for r in relevant])  # faster than axis=1
        return np.where(total, sums / np.maximum(_divisor(total, hits, cut, denominator), 1), np.nan)

    values = over_queries(average, query, gallery, query_labels, gallery_labels, similarity, block_size,
                          query_ids=query_ids, gallery_ids=gallery_ids, threads=threads, memory=memory)
    lost = int(np.isnan(values).sum())
    if lost:
        how = "counted as 0" if no_relevant == "zero" else "skipped"
        warnings.warn(f"{lost:,} of {counted(len(values), 'query')} {agreeing(lost, 'has', 'have')} no relevant item "
                      f"in the gallery; {how}", stacklevel=2)
    return np.nan_to_num(values) if no_relevant == "zero" else values


def over_queries(
    work: Callable[[NDArray, NDArray], NDArray], query: Any, gallery: Any, query_labels: ArrayLike,
    gallery_labels: ArrayLike, similarity: Similarity = "cosine", block_size: int | None = None, *,
    query_ids: Sequence | None = None, gallery_ids: Sequence | None = None, threads: int | None = None,
    memory: int | None = None,
) -> NDArray:
    """Applies a function to the similarities of a few queries at a time, on several threads.

    Args:
      work: function (scores (q, G), which it may overwrite, -inf for the query itself; relevant, bool (q, G)) -> array
        (q, ...).
      query, gallery, query_labels, gallery_labels, similarity, block_size, query_ids, gallery_ids, threads, memory: as
        in `average_precisions`.

    Returns:
      What `work` gave for all queries, (Q, ...).

    Raises:
      ValueError: as `average_precisions`.
    """
    block_size, threads, memory = check(block_size=block_size, threads=threads, memory=memory)
    score, num_queries, gallery_size = similarity_module.scorer(query, gallery, similarity)
    query_labels, gallery_labels = checks.labels(query_labels, gallery_labels, num_queries, gallery_size)
    if query_labels.ndim == 1:
        query_labels, gallery_labels = _codes(query_labels, gallery_labels)
    else:  # once, as products of floats are fast
        query_labels, gallery_labels = (labels.astype(np.float32) for labels in (query_labels, gallery_labels))
    names, gallery_names = checks.ids(query_ids, num_queries, gallery_ids, gallery_size)
    codes = None if names is None or gallery_names is None else _codes(names, gallery_names)

    def one_part(scores: NDArray, queries: slice) -> NDArray:
        relevant = is_relevant(query_labels[queries], gallery_labels)
        if codes is not None:
            own = codes[0][queries, None] == codes[1]
            scores[own], relevant[own] = -np.inf, False
        return work(scores, relevant)

    found: list[NDArray] = []
    with concurrent.futures.ThreadPoolExecutor(threads or os.cpu_count()) as pool:
        for block in similarity_module.blocks(num_queries, gallery_size, block_size, memory):
            scores = score(block)  # the product has threads of its own
            starts = range(0, len(scores), ROWS)
            queries = [slice(block.start + i, min(block.start + i + ROWS, block.stop)) for i in starts]
            found.extend(pool.map(one_part, [scores[i : i + ROWS] for i in starts], queries))
            progress.advance(len(scores), "query")  # of an evaluation, if this is a part of one
    return np.concatenate(found)


def _divisor(total: Any, hits: Any, cut: int | None, denominator: str) -> Any:
    """What a sum of precisions is divided by, of one query or many; may be 0."""
    if denominator == "relevant":
        return total
    return np.minimum(total, cut or total) if denominator == "min(relevant, k)" else hits


def is_relevant(query_labels: NDArray, gallery_labels: NDArray) -> NDArray[np.bool_]:
    """bool (q, G): equal labels, or a label in common."""
    if query_labels.ndim == 1:
        return query_labels[:, None] == gallery_labels
    return (query_labels.astype(np.float32, copy=False) @ gallery_labels.T.astype(np.float32, copy=False)) > 0


def _codes(query: NDArray | list[str], gallery: NDArray | list[str]) -> tuple[NDArray, NDArray]:
    """Equal values as equal numbers of 32 bits, which compare fast."""
    codes = np.unique(np.concatenate((query, gallery)), return_inverse=True)[1].astype(np.int32)
    return codes[: len(query)], codes[len(query) :]


def check(
    *, denominator: str = "relevant", ties: str = "group", no_relevant: str = "zero", **counts: Any,
) -> list[int | None]:
    """Raises ValueError for a choice that there is not, or a count below 1. Returns the counts, as int or None."""
    checks.choice("denominator", denominator, DENOMINATORS)
    checks.choice("ties", ties, TIES)
    checks.choice("no_relevant", no_relevant, NO_RELEVANT)
    return [checks.optional_whole(name, value) for name, value in counts.items()]
