"""Labels as others store them: class numbers, class names, one-hot rows or columns, matrices of 0 and 1."""
import numpy as np
from numpy.typing import NDArray

from tfxmr.core.wording import agreeing, counted


def one_hot(labels: NDArray) -> NDArray | None:
    """The classes of a one-hot matrix, or None if the array is none.

    Args:
      labels: an array. One-hot is a matrix of 0 and 1, or of -1 and 1, whose rows (n, C), or else whose columns (C, n),
        hold one 1 each. A vector that is stored as a matrix, (n, 1) or (1, n), is none.

    Returns:
      int64 (n,), or None.

    >>> one_hot(np.eye(3)[[2, 0]]).tolist()
    [2, 0]
    """
    if labels.ndim != 2 or min(labels.shape) < 2 or not _marks(labels):
        return None
    for axis in (1, 0):
        if ((labels == 1).sum(axis=axis) == 1).all():
            return labels.argmax(axis=axis)
    return None


def class_sets(labels: NDArray, items: int | None = None) -> NDArray[np.bool_] | None:
    """Which classes each item has, of a matrix of 0 and 1, or of -1 and 1; None if the array is none.

    Args:
      labels: an array; a vector that is stored as a matrix, (n, 1) or (1, n), is none.
      items: n; of (C, n) the columns are the items then. None: the rows are.

    Returns:
      bool (n, C), or None.

    >>> class_sets(np.array([[1, 1], [-1, 1], [1, -1]]), items=2).tolist()
    [[True, False, True], [True, True, False]]
    """
    if labels.ndim != 2 or min(labels.shape) < 2 or not _marks(labels):
        return None
    return (labels.T if items == labels.shape[1] != len(labels) else labels) > 0


def without_class(sets: NDArray[np.bool_]) -> str:
    """What is wrong if an item of sets (n, C) has no class, and what to do; "" if each has one."""
    empty = np.flatnonzero(~sets.any(axis=1))
    if not len(empty):
        return ""
    return (f"has {counted(len(empty), 'item')} without a class, first in row {empty[0]}. Drop "
            f"{agreeing(len(empty), 'it, or give it', 'these items, or give them')} a class of their own.")


def _marks(labels: NDArray) -> bool:
    """True if an array says by 0 and 1, or by -1 and 1, which classes an item has."""
    return labels.dtype.kind in "biuf" and any(np.isin(labels, values).all() for values in ((0, 1), (-1, 1)))


def advice(labels: NDArray) -> str:
    """What makes a vector (n,) of integers of labels that are none, in a sentence or two.

    Args:
      labels: an array that is no vector or holds no integers.
    """
    if labels.dtype.kind in "SU":
        return ("Number the class names of all splits together: names, numbers = "
                "numpy.unique(numpy.concatenate([train, test]), "
                "return_inverse=True). The names, one a line, make classes.txt.")
    if labels.dtype.kind not in "biuf":
        return "Store one class number an item, counted from 0."
    if labels.ndim and labels.size == max(labels.shape):
        broken = np.flatnonzero(labels.ravel() != np.rint(labels.ravel()))  # NaN, too, differs from itself
        if len(broken):
            return (f"Row {broken[0]} holds {labels.ravel()[broken[0]]}, which is no class number; drop the items "
                    "without a class.")
        return "Use .ravel()." if labels.ndim > 1 else "Use .astype('int32')."
    return ("Store each item's class number, counted from 0; or of items of several classes a matrix (n, classes) of 0 "
            "and 1.")
