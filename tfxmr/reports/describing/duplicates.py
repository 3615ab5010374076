"""Items that stand in two splits: of equal rows, of rows in nearly one direction, of one source by their ids.

Rows without a number but zero, as of texts without a known word, are equal to each other by no merit of the items, and
are no duplicates here.
"""
import dataclasses
import hashlib
from collections.abc import Callable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from tfxmr.data import memmap
from tfxmr.data.memmap import Matrix

BLOCK = 1024  # rows of either side whose cosines are in memory at once
SAMPLE = 1000  # rows that decide in which directions the others are looked at first
AXES = 32  # of these directions
SLACK = 1e-4  # of cosines of float32
SEPARATORS = ("#", "-", "_", ".")  # what may stand between the name of a source and the number of its part
PARTS = 8  # parts that a source has on average, at most: more, and it is a kind or a year


@dataclasses.dataclass(frozen=True)
class Twins:
    """Rows of one split that have a twin in another.

    Attributes:
      twin: int (n,), the row of the other split, -1 without one.
    """

    twin: NDArray

    @property
    def count(self) -> int:
        """How many have one."""
        return int((self.twin >= 0).sum())

    @property
    def example(self) -> tuple[int, int] | None:
        """(A row, its twin), or None."""
        found = np.flatnonzero(self.twin >= 0)
        return (int(found[0]), int(self.twin[found[0]])) if len(found) else None


def digests(views: Sequence[Matrix]) -> list[bytes | None]:
    """A digest of each item by some of its views (n, ...) together; None where one of them is zero throughout."""
    columns = [
        [hashlib.blake2b(row.data, digest_size=16).digest() if row.any() else None
         for block in memmap.blocks(view) for row in map(np.ascontiguousarray, block)]
        for view in views
    ]
    return [None if None in item else b"".join(filter(None, item)) for item in zip(*columns, strict=True)]


def exact(first: Sequence[bytes | None], second: Sequence[bytes | None]) -> Twins:
    """Which items of the second split have the digest of one of the first.

    >>> exact([b"a", b"b", None], [b"b", b"c", None]).twin.tolist()
    [1, -1, -1]
    """
    rows = {digest: row for row, digest in reversed([*enumerate(first)]) if digest is not None}
    return Twins(np.array([-1 if digest is None else rows.get(digest, -1) for digest in second], int))


def repeated(digested: Sequence[bytes | None]) -> int:
    """How many items have the digest of an earlier one in their own split.

    >>> repeated([b"a", b"b", b"a", b"a", None, None])
    2
    """
    told = [digest for digest in digested if digest is not None]
    return len(told) - len(set(told))


def near(
    first: Sequence[Matrix], second: Sequence[Matrix], least: float = 0.999, told: Callable[[int], object] = id,
) -> Twins:
    """Which items of the second split have one in the first of a cosine above `least`, in each of some views.

    Cosines are bounded by those of a few directions first: with P orthogonal and x, y of unit norm,
    cos(x, y) <= <Px, Py> + |x - P'Px| |y - P'Py|. Only pairs that pass are computed from all columns.

    Args:
      first, second: the views, (n, d) and (m, d) each, in the same order.
      least: the cosine.
      told: is called with the number of rows that are done.

    Returns:
      Twins of the second split.
    """
    bounds = [_bounds(a, b) for a, b in zip(first, second, strict=True)]
    twin = np.full(len(second[0]), -1)
    for start in range(0, len(twin), BLOCK):
        rows = slice(start, start + BLOCK)
        units = [_unit(view[rows]) for view in second]
        for low in range(0, len(first[0]), BLOCK):
            other = slice(low, low + BLOCK)
            may = np.logical_and.reduce([b[rows] @ a[other].T > least - SLACK for a, b in bounds])
            may[twin[rows] >= 0] = False  # one twin is enough
            if may.any():
                found = _confirmed(may, units, [_unit(view[other]) for view in first], least)
                new = found.any(axis=1)
                twin[start + np.flatnonzero(new)] = low + found[new].argmax(axis=1)
        told(min(start + BLOCK, len(twin)))
    return Twins(twin)


def sources(ids: Mapping[str, Sequence[str]], classes: int = 0) -> tuple[str, dict[str, list[str]]] | None:
    """From which source each item was taken, by what stands in its id before the last separator.

    The separator is the one of the fewest sources, of those by which a source has 1 to PARTS items on average, but not
    always one.

    Args:
      ids: split -> the ids of its items.
      classes: how many there are: no more sources than twice as many are taken for classes, not for sources.

    Returns:
      (separator, split -> the source of each item), or None where ids do not tell.

    >>> sources({"train": ["ab-1", "ab-2"], "test": ["ab-3.7", "cd-1"]})
    ('-', {'train': ['ab', 'ab'], 'test': ['ab', 'cd']})
    """
    total, best, fewest = sum(map(len, ids.values())), None, 0
    for separator in SEPARATORS:
        found = {split: [name.rpartition(separator)[0] or name for name in names] for split, names in ids.items()}
        count = len(set().union(*found.values()))
        few = count < max(total / PARTS, 2 * classes + 1)
        if not few and count < len(set().union(*ids.values())) and (best is None or count < fewest):
            best, fewest = (separator, found), count
    return best


def _unit(rows: NDArray) -> NDArray:
    """Rows (n, d) of unit norm; zero stays zero."""
    norms = np.linalg.norm(rows, axis=1, keepdims=True)
    return rows / np.where(norms > 0, norms, 1)


def _bounds(first: Matrix, second: Matrix) -> tuple[NDArray, NDArray]:
    """The rows of two splits in the directions of the largest spread, and their distance from these: (n, AXES + 1)."""
    width = first.shape[1]
    if width <= 2 * AXES:
        return _unit(np.asarray(first[:])), _unit(np.asarray(second[:]))
    sample = _unit(first[np.linspace(0, len(first) - 1, min(len(first), SAMPLE)).astype(int)])
    values, vectors = np.linalg.eigh(sample @ sample.T)
    axes, _ = np.linalg.qr(sample.T @ vectors[:, -AXES:])  # (d, AXES)
    return _project(first, axes), _project(second, axes)


def _project(matrix: Matrix, axes: NDArray) -> NDArray:
    parts = []
    for block in map(_unit, memmap.blocks(matrix)):
        inside = block @ axes
        squares = np.square(block).sum(axis=1, keepdims=True) - np.square(inside).sum(axis=1, keepdims=True)
        parts.append(np.hstack([inside, np.sqrt(np.maximum(squares, 0))]))
    return np.concatenate(parts)


def _confirmed(may: NDArray, units: Sequence[NDArray], others: Sequence[NDArray], least: float) -> NDArray:
    """Which of the pairs that may be near, bool (r, s), are so in all columns."""
    i, j = np.nonzero(may)
    found = np.zeros_like(may)
    if len(i) > may.size // 50:  # most columns are read anyway: one product is faster than its entries
        return may & np.logical_and.reduce([a @ b.T > least for a, b in zip(units, others, strict=True)])
    for start in range(0, len(i), BLOCK):
        p, q = i[start : start + BLOCK], j[start : start + BLOCK]
        cosines = [np.einsum("nd,nd->n", a[p], b[q]) for a, b in zip(units, others, strict=True)]
        found[p, q] = np.logical_and.reduce([cosine > least for cosine in cosines])
    return found
