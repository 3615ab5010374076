"""Ranking and average precision: NumPy in, numbers out.

Two choices decide more about a published figure than the method does, so both are arguments and neither is hidden:
what the sum of precisions is divided by, and what equal similarities mean.
"""
import concurrent.futures
import warnings

import numpy as np
import scipy.stats

from tfxmr.evaluation import similarity as similarity_module

DENOMINATORS = ("relevant", "min(relevant, k)", "hits")
TIES = ("group", "index")
NO_RELEVANT = ("zero", "drop")


def average_precision(relevance, cut=None, denominator="relevant", num_relevant=None):
    """Average precision of one ranking, AP = 1/D sum_k rel_k * (relevant among the first k) / k.

    Args:
      relevance: 0/1 (n,), best first.
      cut: looks only at the first `cut` items; None looks at all.
      denominator: D. "relevant": all relevant items of the gallery, R. "min(relevant, k)": R, at most the cut.
        "hits": the relevant items among the first `cut`, as the releases of ACMR and DSCMR have it; the figure
        then says nothing about relevant items that were not found. Without a cut all three are R.
      num_relevant: R where `relevance` is only the head of the ranking; None counts it.

    Returns:
      float in [0, 1]; 0 if nothing is relevant.
    """
    _check(cut=cut, denominator=denominator)
    relevance = np.asarray(relevance, bool)
    total = int(relevance.sum()) if num_relevant is None else num_relevant
    ranks = np.flatnonzero(relevance[:cut]) + 1
    return _average(np.arange(1, len(ranks) + 1), ranks, total, cut, denominator)


def mean_average_precision(
    query,
    gallery,
    query_labels,
    gallery_labels,
    similarity="cosine",
    cut=None,
    denominator="relevant",
    block_size=None,
    **choices,
):
    """Mean over the queries of the average precision of the ranked gallery.

    Args:
      query, gallery, query_labels, gallery_labels, similarity, cut, denominator, block_size: as in
        `average_precisions`.
      **choices: its further arguments.

    Returns:
      float in [0, 1].

    Raises:
      ValueError: as `average_precisions`; or no query has a relevant item and such queries are dropped.
    """
    values = average_precisions(
        query, gallery, query_labels, gallery_labels, similarity, cut, denominator, block_size, **choices
    )
    if np.isnan(values).all():
        raise ValueError("no query has a relevant item in the gallery; there is nothing to average")
    return float(np.nanmean(values))


def average_precisions(
    query,
    gallery,
    query_labels,
    gallery_labels,
    similarity="cosine",
    cut=None,
    denominator="relevant",
    block_size=None,
    *,
    ties="group",
    no_relevant="zero",
    query_ids=None,
    gallery_ids=None,
    threads=None,
):
    """The average precision of each query.

    Args:
      query: (Q, d) representations.
      gallery: (G, d) representations.
      query_labels: (Q,) ints, relevant means equal; or 0/1 (Q, L), relevant means a common label.
      gallery_labels: (G,) or (G, L).
      similarity: "cosine", "dot", "l2", a matrix (Q, G), or a function (queries, gallery) -> (q, G).
      cut: as in `average_precision`.
      denominator: as in `average_precision`.
      block_size: queries ranked at once; None keeps the working memory below a quarter GiB.
      ties: what equal similarities mean. "group": all items of a tied group share the group's last rank, as in
        scikit-learn; the order of the gallery does not matter. "index": the smaller gallery index comes first, as a
        stable sort has it; where the gallery is sorted by class this favours the first classes.
      no_relevant: a query without a relevant item counts as 0 ("zero") or is NaN ("drop"); a warning says how many.
      query_ids, gallery_ids: (Q,) and (G,); a gallery item with the query's own id is not ranked. None: all are.
      threads: blocks ranked at once; None takes one for each processor. Does not change a bit of the result.

    Returns:
      float64 (Q,), in [0, 1] or NaN.

    Raises:
      ValueError: shapes that do not fit, unknown choices, NaN or infinite values, zero vectors under cosine.
    """
    _check(cut=cut, denominator=denominator, block_size=block_size, threads=threads, ties=ties, no_relevant=no_relevant)
    score, num_queries, gallery_size = similarity_module.scorer(query, gallery, similarity)
    query_labels, gallery_labels = _labels(query_labels, num_queries, gallery_labels, gallery_size)
    rank = _ranks_by_group if ties == "group" else _ranks_by_index

    def work(block):
        scores = score(block)
        relevant = _relevance(query_labels[block], gallery_labels)
        if query_ids is not None:
            own = np.asarray(query_ids)[block, None] == np.asarray(gallery_ids)
            scores, relevant = np.where(own, -np.inf, scores), relevant & ~own
        found = [_average(*rank(s, r), int(r.sum()), cut, denominator) for s, r in zip(scores, relevant, strict=True)]
        return np.where(relevant.any(axis=1), found, np.nan)

    parts, threads = similarity_module.blocks(num_queries, gallery_size, block_size, threads)
    with concurrent.futures.ThreadPoolExecutor(threads) as pool:
        values = np.concatenate(list(pool.map(work, parts)))
    lost = int(np.isnan(values).sum())
    if lost:
        how = "counted as 0" if no_relevant == "zero" else "left out"
        warnings.warn(f"{lost} of {num_queries} queries have no relevant item in the gallery; {how}", stacklevel=2)
    return np.nan_to_num(values) if no_relevant == "zero" else values


def _ranks_by_group(scores, relevant):
    """(relevant items up to each one's tied group's end, that end's rank), both (R,), of one query.

    A tied group counts as a whole: its items stand at its last rank.
    """
    found = np.sort(scores[relevant])
    hits = len(found) - np.searchsorted(found, found, "left")
    ranks = len(scores) - np.searchsorted(np.sort(scores), found, "left")
    return hits, ranks


def _ranks_by_index(scores, relevant):
    """As `_ranks_by_group`, where the smaller index comes first among equals."""
    ranks = np.flatnonzero(relevant[np.argsort(-scores, kind="stable")]) + 1
    return np.arange(1, len(ranks) + 1), ranks


def _average(hits, ranks, total, cut, denominator):
    """Sums the precisions hits / ranks up to the cut and divides by the denominator."""
    if cut is not None:
        inside = ranks <= cut
        hits, ranks = hits[inside], ranks[inside]
    divisor = {"relevant": total, "min(relevant, k)": min(total, cut or total), "hits": len(ranks)}[denominator]
    return float(np.sum(hits / ranks) / divisor) if divisor else 0.0


def _relevance(query_labels, gallery_labels):
    """bool (q, G): equal labels, or a label in common."""
    if query_labels.ndim == 1:
        return query_labels[:, None] == gallery_labels
    return (query_labels.astype(np.float32) @ gallery_labels.T.astype(np.float32)) > 0


def _labels(query_labels, num_queries, gallery_labels, gallery_size):
    query_labels, gallery_labels = np.asarray(query_labels), np.asarray(gallery_labels)
    for name, labels, size in (("query", query_labels, num_queries), ("gallery", gallery_labels, gallery_size)):
        if labels.ndim not in (1, 2) or len(labels) != size:
            raise ValueError(f"{name}_labels has the shape {labels.shape}; {name} has {size} rows")
    if query_labels.shape[1:] != gallery_labels.shape[1:]:
        raise ValueError(
            f"query_labels is {query_labels.shape} and gallery_labels {gallery_labels.shape}; give both as (n,) or "
            "both as 0/1 (n, labels)"
        )
    return query_labels, gallery_labels


def chance_level(query_labels, gallery_labels, cut=None, denominator="relevant"):
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

    Returns:
      float in [0, 1]; queries without a relevant item count as 0.
    """
    _check(cut=cut, denominator=denominator)
    query_labels, gallery_labels = np.asarray(query_labels), np.asarray(gallery_labels)
    n = len(gallery_labels)
    k = min(cut or n, n)
    patterns, counts = np.unique(query_labels, axis=0, return_counts=True)
    values = [_chance(int(r.sum()), n, k, denominator) for r in _relevance(patterns, gallery_labels)]
    return float(np.average(values, weights=counts))


def _chance(relevant, n, k, denominator):
    if not relevant:
        return 0.0
    if denominator == "hits" and k < n:
        hits = np.arange(1, min(relevant, k) + 1)
        return float(np.sum([p * _chance(int(h), k, k, "relevant") for h, p in
                             zip(hits, scipy.stats.hypergeom.pmf(hits, n, relevant, k), strict=True)]))
    harmonic = np.sum(1.0 / np.arange(1, k + 1))
    total = relevant / n * (harmonic + (relevant - 1) / max(n - 1, 1) * (k - harmonic))
    return float(total / (relevant if denominator == "relevant" else min(relevant, k)))


def _check(*, cut=None, denominator="relevant", block_size=None, threads=None, ties="group", no_relevant="zero"):
    for name, value in (("cut", cut), ("block_size", block_size), ("threads", threads)):
        if value is not None and value < 1:
            raise ValueError(f"{name}={value}: give a whole number from 1 on")
    for name, value, choices in (
        ("denominator", denominator, DENOMINATORS), ("ties", ties, TIES), ("no_relevant", no_relevant, NO_RELEVANT),
    ):
        if value not in choices:
            raise ValueError(f"{name}={value!r}: choose one of {', '.join(choices)}")
