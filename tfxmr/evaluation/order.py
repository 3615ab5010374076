"""The order of ranked galleries, and the sum of precisions sum_k rel_k * (relevant among the first k) / k.

`precision_sums` is the definition, in NumPy alone. `precision_sums_compiled` gives the same bits several times faster
by one sort of integers a query; it takes float32 alone and needs numba (the extra `fast`).
"""
import functools
import importlib.util
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray


def precision_sums(
    scores: NDArray, relevant: NDArray, ties: str = "group", cut: int | None = None,
) -> tuple[NDArray, NDArray]:
    """Sums the precision at each relevant item.

    Args:
      scores: float (q, n), no NaN; -inf ranks last.
      relevant: bool (q, n).
      ties: "group": all items of a tied group stand at the group's last rank, and its relevant ones are found at once;
        "index": among equals the smaller index comes first.
      cut: what stands beyond this rank does not count; None counts all.

    Returns:
      (sums float64 (q,), how many relevant items were counted, int64 (q,)).
    """
    # By hand: scikit-learn's average_precision_score is that of "group" alone, without a cut.
    sums, counts = np.zeros(len(scores)), np.zeros(len(scores), np.int64)
    for i, (row, wanted) in enumerate(zip(-scores, relevant, strict=True)):
        hits, ranks = hits_and_ranks(row, wanted, ties)
        counts[i] = len(ranks) if cut is None else np.searchsorted(ranks, cut, "right")
        if counts[i]:
            sums[i] = np.cumsum((hits / ranks)[: counts[i]])[-1]  # one by one, as a loop adds them
    return sums, counts


def hits_and_ranks(negated: NDArray, relevant: NDArray, ties: str = "group") -> tuple[NDArray, NDArray]:
    """Where one query's relevant items stand.

    Args:
      negated: float (n,), the negative similarities.
      relevant: bool (n,), R of them.
      ties: as in `precision_sums`.

    Returns:
      (hits, ranks), ints (R,), in the order of the ranking: relevant item j stands at rank ranks[j], and hits[j]
      relevant items stand there or above.
    """
    if ties == "index":
        ranks = np.flatnonzero(relevant[np.argsort(negated, kind="stable")]) + 1
        return np.arange(1, len(ranks) + 1), ranks
    found = np.sort(negated[relevant])
    return np.searchsorted(found, found, "right"), np.searchsorted(np.sort(negated), found, "right")


def ranked_relevance(scores: NDArray, relevant: NDArray, ties: str = "group") -> NDArray:
    """The relevance at each rank, best first.

    Args:
      scores, relevant, ties: as in `precision_sums`.

    Returns:
      float64 (q, n): 0 or 1; under ties "group" each tied group's share of relevant items, which is what is expected
      at its ranks over all orders of its items.
    """
    places = np.argsort(-scores, axis=1, kind="stable")
    ranked = np.take_along_axis(relevant, places, axis=1).astype(np.float64)
    if ties == "group":
        starts = np.diff(np.take_along_axis(scores, places, axis=1), axis=1, prepend=np.nan) != 0  # NaN: 0 starts, too
        starts = np.flatnonzero(starts)  # of the groups, all rows after each other
        sizes = np.diff(starts, append=ranked.size)
        ranked = np.repeat(np.add.reduceat(ranked.ravel(), starts) / sizes, sizes).reshape(ranked.shape)
    return ranked


def precision_sums_compiled(
    scores: NDArray, relevant: NDArray, ties: str = "group", cut: int | None = None,
) -> tuple[NDArray, NDArray]:
    """As `precision_sums`, bit for bit, of float32 scores, which are overwritten.

    The bits of a float, read as an integer and with those below the sign flipped in negative ones, sort as the float
    does. A bit under that key says whether the item is relevant, so the sorted keys hold the ranking and its hits.
    |score| < 2, as of every cosine, leaves room for it in 32 bits; else, and for indices, the keys have 64.
    """
    pack, pack_wide, add_up = _kernels()
    bits = np.subtract(0, scores, out=scores).view(np.int32)  # the best first; 0 - x makes 0.0 of 0.0 and of -0.0
    narrow = ties == "group" and scores.size and -2 < scores.min() and scores.max() < 2
    keys = pack(bits, relevant) if narrow else pack_wide(bits, relevant, ties == "index")
    keys.sort(axis=1)
    sums, counts = np.zeros(len(keys)), np.zeros(len(keys), np.int64)
    add_up(keys, keys.shape[1] if cut is None else cut, sums, counts)
    return sums, counts


def can_compile() -> bool:
    """True if numba is installed."""
    return importlib.util.find_spec("numba") is not None


@functools.cache
def _kernels() -> tuple[Callable, ...]:
    """Compiles the loops; they release the interpreter's lock."""
    import numba

    one, below_sign = np.int32(1), np.int32(0x7FFFFFFF)  # NumPy's, else numba computes in 64 bits

    @numba.njit(nogil=True)
    def pack(bits: NDArray, relevant: NDArray) -> NDArray:
        for q in range(bits.shape[0]):
            for i in range(bits.shape[1]):
                b = bits[q, i]
                b ^= (b >> np.int32(31)) & below_sign
                bits[q, i] = (b << one) | np.int32(relevant[q, i])
        return bits

    @numba.njit(nogil=True)
    def pack_wide(bits: NDArray, relevant: NDArray, indexed: bool) -> NDArray:
        keys = np.empty(bits.shape, np.int64)
        shift, step = (32, 2) if indexed else (1, 0)
        for q in range(bits.shape[0]):
            for i in range(bits.shape[1]):
                b = bits[q, i]
                b ^= (b >> 31) & 0x7FFFFFFF
                keys[q, i] = (np.int64(b) << shift) | (i * step) | relevant[q, i]
        return keys

    @numba.njit(nogil=True)
    def add_up(keys: NDArray, cut: int, sums: NDArray, counts: NDArray) -> None:
        places = np.empty(keys.shape[1] + 1, np.int32)
        for q in range(keys.shape[0]):
            found = 0
            for i in range(keys.shape[1]):  # without a branch, which could not be foretold
                places[found] = i
                found += keys[q, i] & 1
            first = 0
            while first < found:
                end = first + 1  # of the tied group; its relevant items sort after its others, so the last is its end
                while end < found and keys[q, places[end]] == keys[q, places[first]]:
                    end += 1
                rank = places[end - 1] + 1
                if rank > cut:
                    break
                for _ in range(first, end):
                    sums[q] += end / rank
                first = end
            counts[q] = first

    return pack, pack_wide, add_up
