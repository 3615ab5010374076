"""Labels as others store them: class numbers, class names, one-hot rows or columns."""
import numpy as np
from numpy.typing import NDArray


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
    if one_hot(labels) is not None:
        return f"It is one-hot: use .argmax(axis={1 if ((labels == 1).sum(axis=1) == 1).all() else 0})."
    if labels.ndim == 2 and _marks(labels):
        several = (labels == 1).sum(axis=1)
        row = np.flatnonzero(several != 1)[0]
        return (f"Row {row} has {several[row]} classes, and one label an item is needed: drop the items of no "
                "class or of several, or choose one class of each, and store its number.")
    return "One label an item is needed: store its class number, counted from 0."
