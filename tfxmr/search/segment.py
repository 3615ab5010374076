"""A segment of a folder index: the vectors and columns of items of one modality that have the same columns.

  7.vectors  float32, little-endian, row after row
  7.items    an Arrow IPC stream: column `id` and the other columns, all text; a record batch for each time items came

Both only grow, and count up to where the index's manifest says: what a killed process wrote beyond is overwritten.
Arrow, for it is read through a memory map without parsing (a million lines of JSON take seconds), holds texts of any
length without pickle, and is there already: TensorFlow Datasets brings it.
"""
import dataclasses
import os
import pathlib
from collections.abc import Callable, Sequence
from typing import BinaryIO

import numpy as np
import pyarrow as pa
import pyarrow.compute
from numpy.typing import NDArray

from tfxmr.core.classes import SEPARATOR
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.search.engine import SETS, Columns, Where

FEW = 32  # rows that are read one by one: setting up Arrow's `take` costs half a millisecond


@dataclasses.dataclass(frozen=True)
class Entry:
    """What a manifest says of a segment.

    Attributes:
      number: in its files' names.
      modality: of its items.
      columns: names of its columns but `id`, sorted.
      rows: items in it, deleted ones too.
      bytes: length of its Arrow stream.
      batches: times that items came.
      largest: norm of its longest vector.
    """

    number: int
    modality: str
    columns: list[str]
    rows: int = 0
    bytes: int = 0
    batches: int = 0
    largest: float = 0.0

    def files(self, folder: pathlib.Path) -> tuple[pathlib.Path, pathlib.Path]:
        """(file of vectors, file of columns)."""
        return folder / f"{self.number}.vectors", folder / f"{self.number}.items"


class Segment:
    """A segment as it was when its manifest was read. What is appended later it does not see.

    Args:
      folder: of the index.
      entry: what its manifest says.
      dimensions: d.
      dead: int rows that were deleted.
      checked: whether this process wrote the files, so that their texts need no check.

    Attributes:
      entry: likewise.
      vectors: float32 (rows, d), in a memory map.
      live: bool (rows,), or None if none was deleted.

    Raises:
      InputError: its files are damaged.
      FileNotFoundError: one is missing.
    """

    def __init__(
        self, folder: pathlib.Path, entry: Entry, dimensions: int, dead: NDArray, checked: bool = False,
    ) -> None:
        self.entry = entry
        self.live = None
        if len(dead):
            self.live = np.ones(entry.rows, bool)
            self.live[dead] = False
        vectors, items = entry.files(folder)
        for path, size in ((vectors, 4 * entry.rows * dimensions), (items, entry.bytes)):
            if os.path.getsize(path) < size:
                raise damaged(path, f"it is {counted(os.path.getsize(path), 'byte')} long, not {size:,}")
        self.vectors: NDArray = np.asarray(np.memmap(vectors, "<f4", "r", shape=(entry.rows, dimensions)))
        try:
            with pa.memory_map(str(items)) as file:
                self._table = pa.ipc.open_stream(file.read_buffer(entry.bytes)).read_all()
            if not checked:
                self._table.validate(full=True)  # by damaged offsets Arrow would read anywhere in memory
        except (pa.ArrowException, OSError) as error:
            raise damaged(items, str(error).splitlines()[0]) from error
        if self._table.num_rows != entry.rows or self._table.column_names != ["id", *entry.columns]:
            raise damaged(items, "it does not hold what the manifest says")
        self._codes: dict[str, tuple[NDArray, dict[str, int]]] = {}
        self._squares: NDArray | None = None

    def squares(self) -> NDArray:
        """Squared norms of the vectors, float32 (rows,)."""
        if self._squares is None:
            found = np.empty(self.entry.rows, np.float32)
            for i in range(0, len(found), 4096):
                block = self.vectors[i : i + 4096]
                found[i : i + 4096] = np.einsum("nd,nd->n", block, block, dtype=np.float64)
            self._squares = found
        return self._squares

    def select(self, where: Where) -> NDArray | None:
        """Which rows are live and have what `where` asks of columns, bool (rows,); None: all."""
        mask = self.live
        for name, values in where.items():
            if name == "modality":
                continue
            found = self._having(name, values)
            mask = found if mask is None else mask & found
        return mask

    def _having(self, name: str, values: Sequence[str]) -> NDArray:
        if name == "id":  # all values differ: codes would be no shorter
            wanted = pa.array(values, pa.string())
            return pa.compute.is_in(self._table["id"], value_set=wanted).to_numpy()
        if name not in self.entry.columns:
            return np.zeros(self.entry.rows, bool)
        codes, place = self._encoded(name)
        wanted = np.zeros(len(place) + 1, bool)  # the last one for -1, no value
        wanted[[place[value] for value in values if value in place]] = True
        if name == SETS:
            wanted[[code for value, code in place.items() if not {*values}.isdisjoint(value.split(SEPARATOR))]] = True
        return wanted[codes]

    def _encoded(self, name: str) -> tuple[NDArray, dict[str, int]]:
        """A column as codes, int32 (rows,), -1 for None, and the code of each value; kept for the next time."""
        if name not in self._codes:
            column = self._table[name].dictionary_encode().unify_dictionaries()
            codes = [chunk.indices.fill_null(-1).to_numpy() for chunk in column.chunks]
            values = column.chunks[0].dictionary.to_pylist()
            self._codes[name] = np.concatenate(codes), {value: i for i, value in enumerate(values)}
        return self._codes[name]

    def look_up(self, rows: NDArray, names: Sequence[str] = ()) -> tuple[list[str], dict[str, list[str | None]]]:
        """Ids and columns (modality may be one) of some rows, int (n,); None where the segment lacks the column."""
        mine = ["id", *(name for name in names if name in self.entry.columns)]
        if len(rows) <= FEW:
            columns = [self._table[name] for name in mine]
            values = [[column[row].as_py() for row in rows.tolist()] for column in columns]
        else:
            values = [column.to_pylist() for column in self._table.select(mine).take(pa.array(rows)).columns]
        absent: list[str | None] = [None] * len(rows)
        found = dict.fromkeys(names, absent) | dict(zip(mine, values, strict=True))
        if "modality" in names:
            found["modality"] = [self.entry.modality] * len(rows)
        return found.pop("id"), found


def damaged(path: pathlib.Path, what: str) -> InputError:
    """The error of a damaged file."""
    return InputError(f"{path}: is damaged ({what}); index again with another --to")


def append(folder: pathlib.Path, entry: Entry, ids: Sequence[str], vectors: NDArray, columns: Columns) -> Entry:
    """Appends items to a segment's files, or begins these; they count once a manifest holds the entry that comes back.

    Args:
      folder: of the index.
      entry: of the segment as it is.
      ids: n ids.
      vectors: float32 (n, d).
      columns: the segment's columns -> n values.

    Returns:
      Entry of the segment as it is now.

    Raises:
      OSError: they cannot be written.
    """
    schema = pa.schema([(name, pa.string()) for name in ("id", *entry.columns)])
    values = [ids, *(columns[name] for name in entry.columns)]
    batch = pa.record_batch([pa.array(v, pa.string()) for v in values], schema=schema)
    rows = np.ascontiguousarray(vectors, "<f4")
    head = b"" if entry.bytes else schema.serialize().to_pybytes()
    content = head + batch.serialize().to_pybytes()
    paths = entry.files(folder)
    write_at(paths[0], 4 * entry.rows * rows.shape[1], lambda file: file.write(rows.data))
    write_at(paths[1], entry.bytes, lambda file: file.write(content))
    norms = np.sqrt(np.einsum("nd,nd->n", rows, rows, dtype=np.float64))
    return dataclasses.replace(
        entry, rows=entry.rows + len(rows), bytes=entry.bytes + len(content), batches=entry.batches + 1,
        largest=max(entry.largest, float(norms.max())),
    )


def write_at(path: pathlib.Path, offset: int, write: Callable[[BinaryIO], object]) -> None:
    """Writes from a byte of a file on, over whatever stands there, and waits until the disk has it.

    Args:
      path: the file; made if missing.
      offset: the byte.
      write: is given the open file.

    Raises:
      OSError: it cannot be written; its `filename` is `path`.
    """
    try:
        with open(path, "r+b" if path.exists() else "w+b") as file:
            file.truncate(offset)
            file.seek(offset)
            write(file)
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        error.filename, error.filename2 = str(path), None
        raise
