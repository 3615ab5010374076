"""Similarities of queries to a gallery, in blocks of queries."""
import os

import numpy as np

SIMILARITIES = ("cosine", "dot", "l2")
BLOCK_BYTES = 256 * 2**20  # what a block's scores and their sorted copy may take, over all threads


def prepare(name, rows, similarity):
    """Checks representations (n, d) and, for cosine, scales each row to unit length. Returns float64 (n, d)."""
    rows = np.asarray(rows, np.float64)
    if rows.ndim != 2:
        raise ValueError(f"{name} has the shape {rows.shape}; representations are (items, width)")
    if not len(rows):
        raise ValueError(f"{name} is empty; nothing can be ranked")
    if not np.isfinite(rows).all():
        raise ValueError(f"{name} holds NaN or infinite values in row {np.argwhere(~np.isfinite(rows))[0][0]}")
    if similarity != "cosine":
        return rows
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    if norms.min() == 0:
        raise ValueError(f"{name} row {int(norms.argmin())} is a zero vector, which has no cosine similarity")
    return rows / norms


def scorer(query, gallery, similarity):
    """Makes a function that scores a block of queries against the whole gallery.

    A matrix product rounds two equal gallery rows differently when they lie in different tiles (in 8 % of the cases
    with OpenBLAS), which breaks their tie at random. So equal rows are multiplied once.

    Args:
      query: (Q, d) representations; anything that `similarity` takes, if that is a function.
      gallery: (G, d) representations, likewise.
      similarity: "cosine", "dot" or "l2" (negative squared Euclidean distance); or the similarities themselves,
        (Q, G); or a function (queries, gallery) -> (q, G).

    Returns:
      (function of a slice of queries -> float (q, G), Q, G).

    Raises:
      ValueError: shapes that do not fit, NaN or infinite values, zero vectors under cosine, unknown similarity.
    """
    if isinstance(similarity, np.ndarray):
        if similarity.ndim != 2 or not similarity.size:
            raise ValueError(f"similarity has the shape {similarity.shape}; a matrix of similarities is (Q, G)")
        return lambda block: _finite(similarity[block]), *similarity.shape
    if callable(similarity):
        return lambda block: _finite(np.asarray(similarity(query[block], gallery))), len(query), len(gallery)
    if similarity not in SIMILARITIES:
        raise ValueError(
            f"similarity={similarity!r}: choose one of {', '.join(SIMILARITIES)}, or give a matrix or a function"
        )
    query, gallery = prepare("query", query, similarity), prepare("gallery", gallery, similarity)
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"query is {query.shape[1]} wide and gallery {gallery.shape[1]}; they must agree")
    distinct, place = np.unique(gallery, axis=0, return_inverse=True)
    repeated = len(distinct) < len(gallery)
    rows = distinct if repeated else gallery
    squares = np.sum(rows**2, axis=1)

    def score(block):
        products = query[block] @ rows.T
        if similarity == "l2":
            products = 2 * products - squares - np.sum(query[block] ** 2, axis=1)[:, None]
        return products[:, place.ravel()] if repeated else products

    return score, len(query), len(gallery)


def blocks(num_queries, gallery_size, block_size=None, threads=None):
    """Cuts the queries into blocks whose scores fit into BLOCK_BYTES over all threads.

    Args:
      num_queries: Q.
      gallery_size: G.
      block_size: queries in a block; None chooses it.
      threads: blocks at work at once; None takes one for each processor.

    Returns:
      (list of slices, threads).
    """
    threads = threads or os.cpu_count() or 1
    if block_size is None:
        block_size = max(1, BLOCK_BYTES // (threads * gallery_size * 3 * 8))  # scores, sorted copy, relevance
    return [slice(i, i + block_size) for i in range(0, num_queries, block_size)], threads


def _finite(scores):
    if not np.isfinite(scores).all():
        raise ValueError("similarity holds NaN or infinite values")
    return scores
