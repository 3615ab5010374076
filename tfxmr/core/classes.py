"""Labels of items: class numbers (n,), or of items of several classes bool (n, C). One set of questions for both."""
from collections.abc import Collection, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

SEPARATOR = "|"  # between the classes of an item where they are one text


def as_labels(labels: ArrayLike) -> NDArray:
    """Labels as Split holds them: int32 (n,), or bool (n, C) of a matrix of 0 and 1."""
    found = np.asarray(labels)
    return found.astype(bool) if found.ndim == 2 else found.astype(np.int32)


def several(labels: NDArray) -> bool:
    """True of labels (n, C), of items that may have several classes."""
    return labels.ndim == 2


def present(labels: NDArray) -> list[int]:
    """The classes that some item has, ascending.

    >>> present(np.array([4, 1, 4])), present(np.array([[True, False, True]]))
    ([1, 4], [0, 2])
    """
    return (np.flatnonzero(labels.any(axis=0)) if several(labels) else np.unique(labels)).tolist()


def having(labels: NDArray, wanted: Collection[int]) -> NDArray[np.bool_]:
    """Which items have one of the classes `wanted`, bool (n,).

    >>> having(np.array([4, 1]), {1, 2}).tolist(), having(np.eye(3, dtype=bool), [0]).tolist()
    ([False, True], [True, False, False])
    """
    found = sorted(wanted)
    return np.asarray(labels[:, found].any(axis=1)) if several(labels) else np.isin(labels, found)


def counts(labels: NDArray, num_classes: int) -> NDArray[np.int_]:
    """How many items each class has, (C,); an item of several counts for each of them.

    >>> counts(np.array([2, 0, 2]), 3).tolist(), counts(np.array([[True, True, False]]), 3).tolist()
    ([1, 0, 2], [1, 1, 0])
    """
    return labels.sum(axis=0) if several(labels) else np.bincount(labels, minlength=num_classes)


def vectors(labels: NDArray, num_classes: int) -> NDArray[np.float64]:
    """Label vectors (n, C): 1 for each class of an item, else 0."""
    return labels.astype(np.float64) if several(labels) else np.eye(num_classes)[labels]


def renumbered(labels: NDArray, kept: Sequence[int], num_classes: int) -> NDArray:
    """Labels of items of the classes `kept` alone, which become 0, 1, ... in their order.

    Args:
      labels: (n,) or (n, C), of items that have one of them.
      kept: ascending.
      num_classes: C.

    >>> renumbered(np.array([4, 1]), [1, 4], 5).tolist(), renumbered(np.ones((1, 3), bool), [0, 2], 3).tolist()
    ([1, 0], [[True, True]])
    """
    if several(labels):  # of one class alone, nothing is left to tell
        return labels[:, kept] if len(kept) > 1 else np.zeros(len(labels), np.int32)
    number = np.full(num_classes, -1, np.int32)
    number[kept] = np.arange(len(kept), dtype=np.int32)
    return number[labels]


def members(labels: NDArray) -> Iterator[tuple[Any, NDArray[np.bool_]]]:
    """Yields each class that some item has, and which items have it, bool (n,); labels may be texts (n,), too."""
    if several(labels):
        yield from ((c, labels[:, c]) for c in present(labels))
    else:
        yield from ((c.item(), labels == c) for c in np.unique(labels))


def numbers(labels: NDArray) -> list[Any]:
    """Each item's class number; of items of several classes the list of them. As JSON holds it."""
    return [np.flatnonzero(row).tolist() for row in labels] if several(labels) else labels.tolist()


def name(label: Any, names: Sequence[Any] = (), prefix: str = "") -> str:
    """What an item's class is called: its name, or number; those of several with bars between them.

    Args:
      label: int, or bool (C,).
      names: of the classes, or none.
      prefix: of a number, where there are no names.

    >>> name(1, ["boat", "sea"]), name(np.array([True, True]), ["boat", "sea"]), name(2, prefix="class ")
    ('sea', 'boat|sea', 'class 2')
    """
    found = np.flatnonzero(label).tolist() if np.ndim(label) else [int(label)]
    return SEPARATOR.join(str(names[c]) if len(names) else f"{prefix}{c}" for c in found)
