"""Matrices, maps and tokens that stay in their file: rows are read when they are asked for."""
import dataclasses
import math
import mmap
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Union

import numpy as np
from numpy.typing import NDArray

Matrix = Union[NDArray, "MappedMatrix"]
BLOCK = 1024  # rows, of maps places, read at once where a whole array is gone through
_KEPT = 2**26  # bytes read from a file before its pages are handed back to the system


class MappedMatrix:
    """A view of n items, see tfxmr.data.views, in .npy files, of which no more than a few blocks are ever in memory.

    It has the shape, the dtype, the length and the row indexing of an array; indexing gives an array. Where an array
    is needed whole, NumPy makes one of it (`np.asarray`).

    Args:
      parts: arrays (n_p, ...) that differ in n_p alone, as `numpy.load(path, mmap_mode="r")` gives them, one after the
        other; or arrays in memory.
      rows: which of their rows, in which order, whole numbers from 0; None: all.
      functions: what is done to rows when they are read, in turn: (k, ...) -> (k, ...), of the same shape and type.
    """

    def __init__(
        self, parts: Sequence[NDArray], rows: NDArray | None = None,
        functions: Sequence[Callable[[NDArray], NDArray]] = (),
    ) -> None:
        self._parts = list(parts)
        self._starts = np.cumsum([0, *(len(part) for part in self._parts)])
        self._rows = np.arange(self._starts[-1]) if rows is None else rows
        self._functions = tuple(functions)
        self._read = 0

    @property
    def shape(self) -> tuple[int, ...]:
        """(n, d), (n, places, d) or (n, T)."""
        return len(self._rows), *self._parts[0].shape[1:]

    @property
    def ndim(self) -> int:
        """2 or 3."""
        return len(self.shape)

    @property
    def dtype(self) -> np.dtype:
        """float32, or int32 of tokens."""
        return self._parts[0].dtype

    def __len__(self) -> int:
        return len(self._rows)

    def take(self, rows: NDArray) -> "MappedMatrix":
        """Some of the rows, unread: MappedMatrix."""
        return MappedMatrix(self._parts, self._rows[rows], self._functions)

    def map(self, function: Callable[[NDArray], NDArray]) -> "MappedMatrix":
        """The same rows, with one more function to be done to them: MappedMatrix."""
        return MappedMatrix(self._parts, self._rows, (*self._functions, function))

    def __getitem__(self, key: Any) -> NDArray:
        rows = np.atleast_1d(self._rows[key])
        block = np.empty((len(rows), *self.shape[1:]), self.dtype)
        of_part = np.searchsorted(self._starts, rows, side="right") - 1
        for number in np.unique(of_part):
            here = of_part == number
            block[here] = self._parts[number][rows[here] - self._starts[number]]
        self._release(block.nbytes)
        for function in self._functions:
            block = function(block)
        return block if np.ndim(self._rows[key]) else block[0]

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray:
        if copy is False:
            raise ValueError("a MappedMatrix becomes an array by being read into one")
        whole, start = np.empty(self.shape, dtype or self.dtype), 0
        for block in blocks(self):
            whole[start : start + len(block)] = block
            start += len(block)
        return whole

    def astype(self, dtype: Any) -> NDArray:
        """The whole matrix as an array of a type."""
        return np.asarray(self, dtype)

    def _release(self, size: int) -> None:
        """Hands pages back once many were read: the system counts them as the process's memory, though it need not."""
        self._read += size
        if self._read > _KEPT:
            self._read = 0
            for part in self._parts:
                if isinstance(part.base, mmap.mmap):
                    part.base.madvise(mmap.MADV_DONTNEED)


def repeat(matrix: Matrix, rows: NDArray | None) -> Matrix:
    """Rows of an array or MappedMatrix, also again and again, without a copy: MappedMatrix. None: all, as they are."""
    if rows is None:
        return matrix
    return take(matrix if isinstance(matrix, MappedMatrix) else MappedMatrix([matrix]), rows)


def take(matrix: Matrix, rows: NDArray) -> Matrix:
    """Some rows of an array or MappedMatrix, as one of the same kind."""
    return matrix.take(rows) if isinstance(matrix, MappedMatrix) else matrix[rows]


def concatenate(matrices: Sequence[Matrix]) -> Matrix:
    """Matrices below each other: mapped if all are, and nothing is done to their rows; else an array."""
    mapped = [m for m in matrices if isinstance(m, MappedMatrix) and not m._functions]
    if len(mapped) == len(matrices):
        parts = [part for m in mapped for part in m._parts]
        starts = np.cumsum([0, *(m._starts[-1] for m in mapped)])
        rows = [m._rows + start for m, start in zip(mapped, starts[:-1], strict=True)]
        return MappedMatrix(parts, np.concatenate(rows))
    return np.concatenate([np.asarray(m) for m in matrices])


def in_memory(data: Any) -> Any:
    """MultiModalData with arrays in the place of every MappedMatrix."""
    splits = {
        name: dataclasses.replace(split, features={m: np.asarray(x) for m, x in split.features.items()})
        for name, split in data.splits.items()
    }
    return dataclasses.replace(data, splits=splits)


def blocks(matrix: Matrix) -> Iterator[NDArray]:
    """Yields an array (n, ...) or MappedMatrix by contiguous arrays of some of its rows in order."""
    step = max(1, BLOCK // math.prod(matrix.shape[1:-1]))  # rows of a map are as many vectors as it has places
    for start in range(0, len(matrix), step):
        yield np.ascontiguousarray(matrix[start : start + step])
