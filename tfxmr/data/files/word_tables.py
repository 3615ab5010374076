"""What the numbers of a view of tokens mean: a table of word vectors, a vocabulary or both, beside the data."""
import pathlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.wording import agreeing, counted
from tfxmr.data.files import archive
from tfxmr.data.memmap import MappedMatrix, blocks

TABLE = "{}.table.npy"  # float32 (V + 1, e): row v is the vector of word v; row 0, of the padding, is zero
VOCABULARY = "{}.vocabulary.txt"  # V lines of UTF-8: words 1 to V


def read(folder: pathlib.Path, views: Iterable[str]) -> tuple[dict[str, NDArray], dict[str, list[str]]]:
    """Reads the tables and vocabularies of a folder.

    Args:
      folder: pathlib.Path.
      views: names of the views that the data have.

    Returns:
      (view -> float32 (V + 1, e), view -> list of V + 1 words, the first one ""), see MultiModalData.

    Raises:
      InputError: a file is malformed or belongs to no view.
    """
    def files(pattern: str) -> dict[str, pathlib.Path]:
        return {path.name.removesuffix(pattern.format("")): path for path in sorted(folder.glob(pattern.format("*")))}

    tables = {view: _read_table(path) for view, path in files(TABLE).items()}
    vocabularies = {view: read_vocabulary(path) for view, path in files(VOCABULARY).items()}
    for pattern, found in ((TABLE, [*tables]), (VOCABULARY, [*vocabularies])):
        for view in found:
            if view not in views:
                raise InputError(f"{folder / pattern.format(view)}: belongs to no array {view!r}, found "
                                 f"{', '.join(views)}; add the array (n, T), or move the file elsewhere")
    return tables, vocabularies


def sizes(tables: dict[str, NDArray], vocabularies: dict[str, list[str]], folder: Any = "") -> dict:
    """View -> V, the number of its words, without the padding; raises InputError where a table and a vocabulary differ.

    Args:
      tables, vocabularies: as `read` gives them.
      folder: where they stand, for the message.
    """
    for view in tables.keys() & vocabularies.keys():
        if len(tables[view]) != len(vocabularies[view]):
            raise InputError(f"{pathlib.Path(folder, TABLE.format(view))}: has {counted(len(tables[view]), 'row')}, "
                             f"expected {len(vocabularies[view]):,}: one for the padding, and one a line of "
                             f"{VOCABULARY.format(view)}")
    return {view: len(found) - 1 for view, found in (vocabularies | tables).items()}


def check(what: str, tokens: NDArray, view: str, size: int | None) -> NDArray:
    """Checks tokens, and warns of items without words.

    Args:
      what: what messages call the array.
      tokens: integers (n, T), an array or MappedMatrix.
      view: its name.
      size: V; None if nothing says what the numbers mean.

    Returns:
      int32 (n, T).

    Raises:
      InputError: numbers below 0 or above V, zeros before the last word, or no V.
    """
    if size is None:
        raise InputError(f"{what} holds integers (n, T), which are word ids: add {TABLE.format(view)} with "
                         f"their vectors, or {VOCABULARY.format(view)} with the words, to the folder of train.npz. "
                         "Counts and other measurements need .astype('float32').")
    row, empty = 0, 0
    for block in blocks(tokens):
        outside = (block < 0) | (block > size)
        early = (block[:, :-1] == 0) & (block[:, 1:] != 0)
        for wrong, expected in (
            (outside, f"expected 0 for the padding, or the number of a word, 1 to {size}"),
            (early, "and a word after it, expected zeros for the padding alone: move them to the end"),
        ):
            if wrong.any():
                item, place = np.argwhere(wrong)[0]
                raise InputError(f"{what} holds {block[item, place]} in row {row + item}, place {place}, {expected}.")
        row, empty = row + len(block), empty + int((~block.any(axis=1)).sum())
    if empty:
        warnings.warn(f"{what}: {empty:,} of {counted(row, 'item')} {agreeing(empty, 'has', 'have')} no word; nothing "
                      "tells them apart", stacklevel=2)
    if isinstance(tokens, MappedMatrix) and tokens.dtype == np.int32:
        return tokens
    return np.ascontiguousarray(tokens, np.int32)


def _read_table(path: Any) -> NDArray:
    return check_table(path, archive.read_npy(path))


def check_table(path: Any, table: NDArray) -> NDArray:
    """A table as float32 (V + 1, e), read from a path or what messages call it; raises InputError if it is none."""
    if table.dtype.kind != "f" or table.ndim != 2 or len(table) < 2 or not table.shape[1]:
        raise InputError(f"{path}: has type {table.dtype} and shape {table.shape}, expected floats (V + 1, width): a "
                         "row for the padding, and one a word")
    with np.errstate(over="ignore"):
        table = np.ascontiguousarray(table, np.float32)
    bad = np.flatnonzero(~np.isfinite(table).all(axis=1))
    if len(bad):
        raise InputError(f"{path}: holds NaN or infinite values (as float32) in row {bad[0]}; expected finite numbers")
    if table[0].any():
        raise InputError(f"{path}: row 0 holds {table[0][table[0] != 0][0]:g}, expected zeros, for the padding; the "
                         "vectors of the words begin in row 1")
    return table


def read_vocabulary(path: Any) -> list[str]:
    """The words of a text file, a line a word, after the padding's ""; raises InputError if a line is none."""
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error})") from error
    return check_vocabulary(path, [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)])


def check_vocabulary(path: Any, found: Sequence[str]) -> list[str]:
    """Words (V,) as a list with the padding's "" before them; raises InputError if one is empty or stands twice."""
    first: dict[str, int] = {}
    for number, word in enumerate(found, 1):
        if not word.strip() or "\n" in word:
            raise InputError(f"{path}: line {number} is empty, or several, expected a word on every line; the padding "
                             "has none")
        if word in first:
            raise InputError(f"{path}: line {number} repeats {word!r} of line {first[word]}, expected each word once")
        first[word] = number
    if not found:
        raise InputError(f"{path}: is empty, expected a word a line")
    return ["", *found]
