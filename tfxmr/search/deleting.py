"""Items that are taken out of an index: those of some ids, or of some values of columns."""
import pathlib
from collections.abc import Iterable, Iterator, Sequence

from tfxmr.core.errors import InputError
from tfxmr.search.index import Index

AT_ONCE = 10_000  # ids in one question to an index


def by_ids(index: Index, names: Iterable[str]) -> tuple[int, list[str]]:
    """Deletes items by their ids. What is not there is told, so that the same again, also after a kill, is no error.

    Args:
      index: open.
      names: ids; or MODALITY:ID, which is needed where two modalities have the id.

    Returns:
      (number of deleted items, those of `names` that the index does not hold).

    Raises:
      InputError: two modalities have an id, and then nothing is deleted; another process writes the index.
    """
    found: dict[str, list[str]] = {}  # modality -> ids
    missing = []
    for some in _batches(list(dict.fromkeys(names))):
        items = index.items({"id": sorted({*some, *(name.partition(":")[2] or name for name in some)})})
        held: dict[str, list[str]] = {}  # id -> modalities
        for id_, modality in zip(items.ids, items.columns.get("modality", ()), strict=True):
            held.setdefault(id_, []).append(str(modality))
        for name in some:
            modality, _, id_ = name.partition(":")
            there = [modality] if modality in held.get(id_, ()) else sorted(held.get(name, ()))
            if len(there) > 1:
                raise InputError(f"--delete={name}: {' and '.join(there)} have it; write --delete={there[0]}:{name}")
            if there:
                found.setdefault(there[0], []).append(id_ if modality in held.get(id_, ()) else name)
            else:
                missing.append(name)
    count = sum(index.delete({"modality": [m], "id": part}) for m, ids in found.items() for part in _batches(ids))
    return count, missing


def ids_of(place: str) -> list[str]:
    """The ids in a file, one a line. Raises InputError if there is none, or it is no text."""
    try:
        lines = pathlib.Path(place).expanduser().read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        raise InputError(f"--delete_file={place}: is no text in UTF-8; give a file with an id a line") from error
    except OSError as error:
        raise InputError(f"--delete_file={place}: cannot be read ({error.strerror}); give a file with an id a line"
                         ) from error
    found = [line for line in (line.removesuffix("\r") for line in lines) if line]
    if not found:
        raise InputError(f"--delete_file={place}: is empty; give a file with an id a line")
    return found


def where(asked: Sequence[str]) -> dict[str, list[str]]:
    """The filter of texts COLUMN=VALUE: all columns must have one of their values.

    >>> where(["class=boat", "class=bus", "split=test"])
    {'class': ['boat', 'bus'], 'split': ['test']}

    Raises:
      InputError: a text is no COLUMN=VALUE.
    """
    found: dict[str, list[str]] = {}
    for text in asked:
        column, sign, value = text.partition("=")
        if not (column and sign and value):
            raise InputError(f"--delete_where={text}: give COLUMN=VALUE, such as --delete_where=class=boat")
        found.setdefault(column, []).append(value)
    return found


def _batches(names: Sequence[str]) -> Iterator[Sequence[str]]:
    return (names[start : start + AT_ONCE] for start in range(0, len(names), AT_ONCE))
