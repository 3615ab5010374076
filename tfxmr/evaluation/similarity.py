"""Similarities of queries to a gallery, in blocks of queries."""
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.core.wording import agreeing, counted
from tfxmr.evaluation import checks

Similarity = str | NDArray | Callable[..., NDArray]  # a name, a matrix (Q, G), or a function of queries and gallery
SIMILARITIES = ("cosine", "dot", "l2")
MEMORY = 512 * 2**20  # bytes that a block's similarities may take


class ZeroVectors(UserWarning):
    """Some representations are zero vectors, whose cosine similarity to everything counts as 0."""


def unit_rows(rows: NDArray) -> tuple[NDArray, NDArray]:
    """L2-normalises rows; a zero vector, which has no direction, stays one.

    So its cosine similarity to everything is 0, a tie, as scikit-learn's `cosine_similarity` has it.

    Args:
      rows: (n, d), finite, of a float type.

    Returns:
      ((n, d) of the same type, bool (n,): which rows are zero).
    """
    norms = _norms(rows)
    extreme = (norms == 0) | np.isinf(norms)  # zero, or with squares beyond the range of numbers
    if extreme.any():
        rows = rows.copy()
        largest = np.abs(rows[extreme]).max(axis=1, keepdims=True, initial=0)
        rows[extreme] /= np.where(largest > 0, largest, 1.0)
        norms[extreme] = _norms(rows[extreme])
    zero = norms == 0
    return (rows / np.where(zero, 1.0, norms)[:, None]).astype(rows.dtype, copy=False), zero


def _norms(rows: NDArray) -> NDArray:
    return np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))


def prepare(name: str, rows: ArrayLike, similarity: str) -> NDArray:
    """Checks representations (n, d) and, for cosine, L2-normalises each row; zero vectors stay, with a warning.

    Args:
      name: "query" or "gallery", for messages.
      rows: (n, d).
      similarity: one of SIMILARITIES.

    Returns:
      (n, d), float64 if the rows are, or for "l2", whose differences of large numbers need it; else float32.
    """
    if checks.length(name, rows) == 0:
        raise ValueError(f"{name} is empty; nothing can be ranked")
    rows = checks.array(name, rows, 2, "representations are (items, width)")
    wide = similarity == "l2" or rows.dtype.itemsize > 8  # no longdouble: its products take a hundred times as long
    rows = rows.astype(np.float64 if wide else np.result_type(rows.dtype, np.float32), copy=False)
    if similarity != "cosine":
        with np.errstate(over="ignore"):
            squares = np.einsum("nd,nd->n", rows, rows, dtype=np.float64)
        if squares.max() > np.finfo(rows.dtype).max / 4:  # four such add up to the largest squared distance
            raise ValueError(f"{name} row {int(squares.argmax())} is too large: its products overflow; scale it down")
        return rows
    rows, zero = unit_rows(rows)
    if zero.any():
        warnings.warn(
            f"{name}: {zero.sum():,} of {counted(len(rows), 'row')} "
            f"{agreeing(zero.sum(), 'is a zero vector', 'are zero vectors')}, the first is row {zero.argmax()}; their "
            "cosine similarity to everything is 0", ZeroVectors, stacklevel=3,
        )
    return rows


def scorer(query: Any, gallery: Any, similarity: Similarity) -> tuple[Callable[[slice], NDArray], int, int]:
    """Makes a function that scores a block of queries against the whole gallery.

    A matrix product rounds two equal gallery rows differently when they lie in different tiles (in 8 % of the cases
    with OpenBLAS), which breaks their tie at random. So equal rows are multiplied once.

    Args:
      query: (Q, d) representations; anything that `similarity` takes, if that is a function.
      gallery: (G, d) representations, likewise.
      similarity: "cosine" (of a zero vector 0), "dot" or "l2" (negative squared Euclidean distance); or the
        similarities themselves, (Q, G); or a function (queries, gallery) -> (q, G).

    Returns:
      (function of a slice of queries -> float array (q, G) that the caller may overwrite, Q, G). The function
      uses one buffer again and again: its answer holds until the next call.

    Raises:
      ValueError: shapes that do not fit, NaN or infinite values, unknown similarity.
    """
    if isinstance(similarity, np.ndarray):
        checks.array("similarity", similarity, 2, "a matrix of similarities is (Q, G)")
        return lambda block: _own(similarity[block]), *similarity.shape
    if callable(similarity):
        num_queries, gallery_size = checks.length("query", query), checks.length("gallery", gallery)
        if not num_queries or not gallery_size:
            raise ValueError(f"{'gallery' if num_queries else 'query'} is empty; nothing can be ranked")

        def score_by_function(block: slice) -> NDArray:
            scores = _own(checks.array("similarity", similarity(query[block], gallery), 2, "it must give (q, G)"))
            if scores.shape != (len(query[block]), gallery_size):
                raise ValueError(
                    f"similarity gave the shape {scores.shape} for {counted(len(query[block]), 'query')} and "
                    f"{counted(gallery_size, 'gallery item')}; it must give (queries, gallery items)"
                )
            return scores

        return score_by_function, num_queries, gallery_size
    if not isinstance(similarity, str) or similarity not in SIMILARITIES:
        raise ValueError(
            f"similarity={checks.short(similarity)}: choose one of {', '.join(SIMILARITIES)}, or give a matrix or a "
            "function"
        )
    query, gallery = prepare("query", query, similarity), prepare("gallery", gallery, similarity)
    if query.shape[1] != gallery.shape[1]:
        raise ValueError(f"query is {query.shape[1]} wide and gallery {gallery.shape[1]}; they must agree")
    rows, place = _distinct(gallery)
    squares = np.sum(rows**2, axis=1)
    buffer = np.empty((0, len(rows)), np.result_type(query, rows))

    def score(block: slice) -> NDArray:
        nonlocal buffer
        queries = query[block]
        if len(buffer) < len(queries):
            buffer = np.empty((len(queries), len(rows)), buffer.dtype)
        products = np.matmul(queries, rows.T, out=buffer[: len(queries)])
        if similarity == "l2":
            products *= 2
            products -= squares
            products -= np.sum(queries**2, axis=1)[:, None]
        return products if place is None else products[:, place]

    return score, len(query), len(gallery)


def blocks(
    num_queries: int, gallery_size: int, block_size: int | None = None, memory: int | None = None,
) -> list[slice]:
    """Cuts the queries into blocks whose similarities fit into the memory.

    Args:
      num_queries: Q.
      gallery_size: G.
      block_size: queries in a block; None chooses it.
      memory: bytes for a block's similarities (float64 counted); None takes MEMORY.

    Returns:
      list of slices.
    """
    num_queries, gallery_size = checks.whole("num_queries", num_queries), checks.whole("gallery_size", gallery_size)
    memory = checks.optional_whole("memory", memory) or MEMORY
    block_size = checks.optional_whole("block_size", block_size) or max(1, memory // (8 * gallery_size))
    return [slice(i, min(i + block_size, num_queries)) for i in range(0, num_queries, block_size)]


def _distinct(rows: NDArray) -> tuple[NDArray, NDArray | None]:
    """(distinct rows, where each row is among them), or (rows, None) when no two rows are equal."""
    rows = np.ascontiguousarray(rows + 0)  # + 0 makes -0.0 the 0.0 that it equals
    words = rows.view(np.uint32)
    # By hand, for np.unique of rows, which sorts them, is needed in the rare case alone.
    odd = np.random.default_rng(0).integers(2**63, size=words.shape[1], dtype=np.uint64) * 2 + 1
    hashes = np.einsum("nw,w->n", words, odd)  # modulo 2^64: equal rows have equal ones
    if len(np.unique(hashes)) == len(rows):
        return rows, None
    distinct, place = np.unique(rows, axis=0, return_inverse=True)
    return distinct, place.ravel()


def _own(scores: NDArray) -> NDArray:
    """A copy of similarities that may be overwritten."""
    wide = scores.dtype.itemsize > 8  # longdouble
    return np.array(scores, dtype=np.float64 if wide else np.result_type(scores.dtype, np.float32))
