"""Ranking and average precision: NumPy in, numbers out."""
import numpy as np

SIMILARITIES = ("cosine", "dot", "l2")
DENOMINATORS = ("relevant",)


def average_precision(relevance, cut=None, denominator="relevant", num_relevant=None):
    """Average precision of one ranking, AP = 1/R sum_k rel_k * (relevant among the first k) / k.

    Args:
      relevance: 0/1 (n,), best first.
      cut: looks only at the first `cut` items; None looks at all.
      denominator: R. "relevant": all relevant items of the gallery.
      num_relevant: R where `relevance` is only the head of the ranking; None counts it.

    Returns:
      float in [0, 1]; 0 if nothing is relevant.
    """
    _check_choice("denominator", denominator, DENOMINATORS)
    _check_positive("cut", cut)
    relevance = np.asarray(relevance, bool)
    total = int(relevance.sum()) if num_relevant is None else num_relevant
    ranks = np.flatnonzero(relevance[:cut]) + 1
    return float(np.sum(np.arange(1, len(ranks) + 1) / ranks) / total) if total else 0.0


def mean_average_precision(
    query,
    gallery,
    query_labels,
    gallery_labels,
    similarity="cosine",
    cut=None,
    denominator="relevant",
    block_size=512,
):
    """Mean over the queries of the average precision of the ranked gallery; relevant means same label.

    Equal similarities rank by gallery index. A query without a relevant item counts as 0.

    Args:
      query: (Q, d) representations.
      gallery: (G, d) representations.
      query_labels: (Q,) ints.
      gallery_labels: (G,) ints.
      similarity: "cosine", "dot" or "l2" (negative Euclidean distance).
      cut: as in `average_precision`.
      denominator: as in `average_precision`.
      block_size: queries ranked at once; bounds the memory to about 20 * block_size * G bytes.

    Returns:
      float in [0, 1].

    Raises:
      ValueError: shapes that do not fit, NaN or infinite values, or zero vectors under cosine.
    """
    values = average_precisions(
        query, gallery, query_labels, gallery_labels, similarity, cut, denominator, block_size
    )
    return float(np.mean(values))


def average_precisions(
    query,
    gallery,
    query_labels,
    gallery_labels,
    similarity="cosine",
    cut=None,
    denominator="relevant",
    block_size=512,
):
    """The average precision of each query, float64 (Q,); arguments as in `mean_average_precision`."""
    _check_choice("denominator", denominator, DENOMINATORS)
    _check_positive("cut", cut)
    _check_positive("block_size", block_size)
    query, gallery = prepare("query", query, similarity), prepare("gallery", gallery, similarity)
    query_labels, gallery_labels = np.asarray(query_labels), np.asarray(gallery_labels)
    for name, rows, labels in (("query", query, query_labels), ("gallery", gallery, gallery_labels)):
        if labels.shape != (len(rows),):
            raise ValueError(f"{name}_labels has the shape {labels.shape}; {name} has {len(rows)} rows")
        if not len(rows):
            raise ValueError(f"{name} is empty; nothing can be ranked")
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"query is {query.shape[1]} wide and gallery {gallery.shape[1]}; they must agree")
    values = np.empty(len(query))
    for start in range(0, len(query), block_size):
        block = slice(start, start + block_size)
        order = np.argsort(-similarities(query[block], gallery, similarity), axis=1, kind="stable")
        relevant = gallery_labels[order] == query_labels[block, None]
        hits = np.cumsum(relevant, axis=1)
        total = hits[:, -1].astype(float)
        precision = (hits / np.arange(1, len(gallery) + 1))[:, :cut]
        values[block] = np.sum(precision * relevant[:, :cut], axis=1) / np.maximum(total, 1)
    return values


def prepare(name, rows, similarity):
    """Checks representations (n, d) and, for cosine, scales each row to unit length. Returns float64 (n, d)."""
    _check_choice("similarity", similarity, SIMILARITIES)
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"{name} has the shape {rows.shape}; representations are (items, width)")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinite values in row {np.argwhere(~np.isfinite(rows))[0][0]}")
    if similarity != "cosine":
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if len(rows) and norms.min() == 0:
        raise ValueError(f"{name} row {int(norms.argmin())} is a zero vector, which has no cosine similarity")
    return rows / norms


def similarities(query, gallery, similarity):
    """Similarity of each prepared query (Q, d) to each prepared gallery item (G, d): float64 (Q, G)."""
    products = query @ gallery.T
    if similarity == "l2":
        return 2 * products - np.sum(gallery**2, axis=1) - np.sum(query**2, axis=1)[:, None]
    return products


def chance_level(query_labels, gallery_labels):
    """Expected mean average precision of a random ranking, in closed form.

    With R of n items relevant and H_n the harmonic number, E[AP] = (H_n + (R-1)/(n-1) * (n - H_n)) / n:
    the item at rank k is relevant with probability R/n, and then (k-1)(R-1)/(n-1) of those before it are.

    Args:
      query_labels: (Q,) ints.
      gallery_labels: (G,) ints.

    Returns:
      float in [0, 1].
    """
    gallery_labels = np.asarray(gallery_labels)
    n = len(gallery_labels)
    harmonic = np.sum(1.0 / np.arange(1, n + 1))
    relevant = np.array([np.sum(gallery_labels == label) for label in np.asarray(query_labels)])
    values = (harmonic + (relevant - 1) / max(n - 1, 1) * (n - harmonic)) / n
    return float(np.mean(np.where(relevant > 0, values, 0.0)))


def _check_positive(name, value):
    if value is not None and value < 1:
        raise ValueError(f"{name}={value}: give a whole number from 1 on")


def _check_choice(name, value, choices):
    if value not in choices:
        raise ValueError(f"{name}={value!r}: choose one of {', '.join(choices)}")
