"""Preconditions of this package's functions: whatever is given, they return a number or say what to give instead.

Every function here raises ValueError with the argument's name, and never another exception.
"""
import numbers
import operator
from collections.abc import Iterable
from typing import Any, NoReturn

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.wording import counted

NUMERIC, TEXT = "biuf", "US"  # kinds of NumPy's dtypes
SHAPES = {1: "a list", 2: "a matrix"}
LARGEST = 2**63 - 1  # of NumPy's whole numbers
EXACT = 2**53  # whole numbers beyond it are not told apart as float64


def array(name: str, values: Any, ndim: int, what: str = "", finite: bool = True) -> np.ndarray:
    """Real numbers as an array of `ndim` axes, none of them empty.

    Args:
      name: of the argument, for the message.
      values: what was given; numbers that are texts, complex, masked or Python objects are refused.
      ndim: 1 or 2.
      what: for the message on a wrong shape: "representations are (items, width)".
      finite: refuses NaN and infinite values.

    Returns:
      The array, of any real type.
    """
    found = _array(name, values)
    if found.dtype.kind not in NUMERIC:
        raise ValueError(f"{name} holds {_kind(found)}; give {SHAPES[ndim]} of real numbers")
    if found.ndim != ndim or not found.size:
        what = what or f"{SHAPES[ndim]} of at least one number is needed"
        raise ValueError(f"{name} has the shape {found.shape}; {what}")
    if finite and not np.isfinite(found).all():
        first = np.argwhere(~np.isfinite(found))[0]
        where = f", first at index {first[0]}" if ndim == 1 else f" in row {first[0]}"
        raise ValueError(f"{name} holds NaN or infinite values{where}")
    return found


def floats(name: str, values: Any) -> np.ndarray:
    """Finite real numbers as float64 (n,), n >= 1."""
    return array(name, values, 1).astype(np.float64)


def labels(
    query: Any, gallery: Any, num_queries: int | None = None, gallery_size: int | None = None,
) -> tuple[NDArray, NDArray]:
    """Labels of the queries and of the gallery, as arrays that can be compared.

    Args:
      query: (Q,) of one label an item, numbers or texts; or bool or 0/1 (Q, L), L >= 2, of several.
      gallery: (G,) or (G, L), likewise.
      num_queries, gallery_size: Q and G; None where the labels alone tell.

    Returns:
      (query, gallery), arrays.
    """
    query = _labels("query", query, num_queries)
    gallery = _labels("gallery", gallery, gallery_size)
    if query.shape[1:] != gallery.shape[1:]:
        raise ValueError(
            f"query_labels is {query.shape} and gallery_labels {gallery.shape}; give both as (n,) or "
            "both as 0/1 (n, labels)"
        )
    if gallery_size is None and query.ndim == 2 and len(query) == len(gallery) == 1:
        _refuse_vector("gallery", gallery, "row")  # one item each is less likely than MATLAB's row vectors
    if (query.dtype.kind in TEXT) != (gallery.dtype.kind in TEXT):
        raise ValueError(
            f"query_labels holds {_kind(query)} and gallery_labels {_kind(gallery)}, so none are equal; give both as "
            "numbers or both as texts"
        )
    if np.result_type(query, gallery).kind == "f":
        for name, found in (("query", query), ("gallery", gallery)):
            if found.dtype.kind in "iu" and (found.max() > EXACT or found.min() < -EXACT):
                raise ValueError(f"{name}_labels holds numbers above 2^53 and the other side floats, which cannot tell "
                                 "them apart; give both as integers")
    return query, gallery


def _labels(side: str, values: Any, size: int | None) -> NDArray:
    name = f"{side}_labels"
    found = _array(name, values)
    if found.dtype.kind == "O":
        found = _of_objects(name, found)
    elif found.dtype.kind in TEXT and not isinstance(values, np.ndarray):
        found = _of_objects(name, np.asarray(values, object))  # NumPy made the text "nan" of a NaN among texts
    if found.dtype.kind not in NUMERIC + TEXT:
        raise ValueError(f"{name} holds {_kind(found)}; give whole numbers or texts")
    if found.ndim == 2:
        if found.shape[1] == 1:
            _refuse_vector(side, found, "column")
        if found.shape[0] == 1 and size not in (None, 1):
            _refuse_vector(side, found, "row")
    rows = "" if size is None else f"; {side} has {counted(size, 'row')}"
    if found.ndim not in (1, 2) or not found.size or (size is not None and len(found) != size):
        raise ValueError(f"{name} has the shape {found.shape}{rows or '; give one label an item, (n,)'}")
    if found.dtype.kind == "f" and not np.isfinite(found).all():
        raise ValueError(
            f"{name} holds NaN or infinite values in row {np.argwhere(~np.isfinite(found))[0][0]}; drop items "
            "without a label"
        )
    if found.ndim == 2 and (found.dtype.kind in TEXT or not np.isin(found, (0, 1)).all()):
        if len(found) == 1 and size is None:
            _refuse_vector(side, found, "row")
        raise ValueError(
            f"{name} has the shape {found.shape} and holds other values than 0 and 1; several labels an item are 0/1 "
            "(n, labels), one label an item is (n,); of scores a class the label is .argmax(axis=1)"
        )
    return found


def _refuse_vector(side: str, found: NDArray, shape: str) -> NoReturn:
    raise ValueError(
        f"{side}_labels has the shape {found.shape}, a {shape}; give one label an item as (n,), which "
        f"{side}_labels.ravel() is"
    )


def ids(query: Any, num_queries: int, gallery: Any, gallery_size: int) -> tuple[list[str] | None, list[str] | None]:
    """Ids of the queries and of the gallery as two lists of texts; (None, None) without any."""
    if query is None and gallery is None:
        return None, None
    found = []
    for side, given, size in (("query", query, num_queries), ("gallery", gallery, gallery_size)):
        shape = () if given is None else _array(f"{side}_ids", given).shape
        if shape != (size,):
            raise ValueError(
                f"{side}_ids has the shape {shape}; give ids of both sides, one a row: {side} has "
                f"{counted(size, 'row')}"
            )
        found.append([str(name) for name in given])
    return found[0], found[1]


def whole(name: str, value: Any, least: int = 1) -> int:
    """The whole number `value`, from `least` to 2^63 - 1; 2.0 is one, True is none. `name` is for the message."""
    try:
        found: int | None = operator.index(value)
    except TypeError:
        is_whole = isinstance(value, (float, np.floating)) and float(value).is_integer()
        found = int(value) if is_whole else None
    if found is None or isinstance(value, bool) or not least <= found <= LARGEST:
        raise ValueError(f"{name}={short(value)}: give a whole number from {least} on")
    return found


def optional_whole(name: str, value: Any) -> int | None:
    """As `whole`, from 1 on; None stays None."""
    return None if value is None else whole(name, value)


def number(name: str, value: Any, low: float, high: float, remedy: str) -> float:
    """The real number `value` in [low, high]; `name` begins the message, `remedy` ends it."""
    real = isinstance(value, numbers.Real) and not isinstance(value, (bool, np.bool_))
    if not real or not low <= value <= high:
        raise ValueError(f"{name}={short(value)}: {remedy}")
    return float(value)


def choice(name: str, value: Any, choices: Iterable[str]) -> str:
    """`value`, which is one of `choices` (texts). `name` is for the message."""
    if not isinstance(value, str) or value not in choices:
        raise ValueError(f"{name}={short(value)}: choose one of {', '.join(choices)}")
    return value


def truth(name: str, value: Any) -> bool:
    """`value`, which is True or False."""
    if not isinstance(value, (bool, np.bool_)):
        raise ValueError(f"{name}={short(value)}: give True or False")
    return bool(value)


def length(name: str, values: Any) -> int:
    """len(values)."""
    try:
        return len(values)
    except TypeError:
        raise ValueError(f"{name}={short(values)}: an array of at least one row is needed") from None


def short(value: Any) -> str:
    """A value's repr on one line of at most 40 characters; of a NumPy number the number alone."""
    text = " ".join(repr(value.item() if isinstance(value, np.generic) else value).split())
    return text if len(text) <= 40 else f"{text[:37]}..."


def _array(name: str, values: Any) -> NDArray:
    try:
        found = np.asarray(values)
    except (ValueError, TypeError, OverflowError):  # rows of unlike lengths, above all
        raise ValueError(f"{name}: rows of unlike lengths or kinds make no array") from None
    if np.ma.is_masked(values):
        raise ValueError(f"{name} has masked entries; drop them, or fill them with .filled(value)")
    return found


def _of_objects(name: str, objects: NDArray) -> NDArray:
    """An array of objects as one of texts or of whole numbers, if all are; else itself."""
    for kinds in ((str,), (bytes,), (int, np.integer)):
        if objects.size and all(isinstance(item, kinds) for item in objects.ravel()):
            return _array(name, objects.tolist())
    return objects


def _kind(found: NDArray) -> str:
    return {
        "O": "Python objects (such as None, lists or unlike types)", "U": "texts", "S": "texts", "c": "complex numbers",
        "M": "dates", "m": "durations", "V": "records",
    }.get(found.dtype.kind, "numbers")
