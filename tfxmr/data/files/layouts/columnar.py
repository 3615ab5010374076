"""Parquet and Arrow files, whose images may be bytes in a column, as Hugging Face writes them."""
import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.data.files.media_files import BadItem, place


@dataclasses.dataclass(frozen=True)
class Cell:
    """A medium that is a cell of a column, bytes or {"bytes", "path"}.

    Attributes:
      file: path relative to the root.
      column: its name.
      group: of rows, as the file divides them.
      row: in that group.
      number: of the row in the file, for its name.
    """

    file: str
    column: str
    group: int
    row: int
    number: int

    def __str__(self) -> str:
        return f"{self.file}#{self.number}"

    def read(self, root: pathlib.Path) -> bytes:
        """Its bytes; raises BadItem."""
        value = self._value(root)
        content = value.get("bytes") if isinstance(value, dict) else value
        if not isinstance(content, bytes):
            raise BadItem("no bytes in the cell", str(self))
        return content

    def _value(self, root: pathlib.Path) -> Any:
        path = place(root, self.file)
        try:
            return _column(os.fspath(path), _state(path), self.column, self.group)[self.row].as_py()
        except MemoryError:
            raise  # says nothing on the file
        except Exception as error:  # pyarrow raises a dozen different types on damaged files
            raise BadItem("unreadable file", f"{self.file} ({error})") from error

    def pieces(self, root: pathlib.Path) -> Iterator[bytes]:
        """Its bytes, at once; raises BadItem."""
        yield self.read(root)

    def length(self, root: pathlib.Path) -> int:
        """How many bytes it has; raises BadItem."""
        return len(self.read(root))

    def called(self, root: pathlib.Path) -> str:
        """The path that stands beside the bytes, "" where there is none; raises BadItem."""
        value = self._value(root)
        return str(value.get("path") or "") if isinstance(value, dict) else ""


def _state(path: pathlib.Path) -> tuple[int, int]:
    """What tells a file from the one that was there before, of which the old content is mapped no more."""
    return path.stat().st_mtime_ns, path.stat().st_size


@functools.lru_cache(maxsize=4)  # rows are read in their order
def _column(path: str, changed: tuple[int, int], column: str, group: int) -> Any:
    if path.endswith(".parquet"):
        from pyarrow import parquet

        return parquet.ParquetFile(path).read_row_group(group, columns=[column]).column(0)
    return _batches(path, changed)[group].column(column)


@functools.lru_cache(maxsize=4)
def _batches(path: str, _changed: tuple[int, int]) -> list[Any]:
    """The record batches of an Arrow file, a stream or not, of which nothing is in memory until it is used."""
    import pyarrow
    from pyarrow import ipc

    mapped = pyarrow.memory_map(path)
    try:
        found = list(ipc.open_stream(mapped))
    except pyarrow.ArrowInvalid:
        mapped.seek(0)
        reader = ipc.open_file(mapped)
        found = [reader.get_batch(number) for number in range(reader.num_record_batches)]
    for batch in found:
        batch.validate(full=True)  # or a damaged file would be read beyond its end
    return found


def rows(path: pathlib.Path, root: pathlib.Path) -> tuple[list[str], list[dict[str, Any]]]:
    """The columns and rows of a Parquet or Arrow file; images that are bytes become Cells, class numbers names.

    Args:
      path: of the file.
      root: the folder that Cells are relative to.

    Raises:
      InputError: it is damaged.
    """
    from pyarrow import parquet, types

    try:
        if path.suffix.lower() == ".parquet":
            file = parquet.ParquetFile(os.fspath(path))
            schema, groups = file.schema_arrow, range(file.num_row_groups)
            images = [f.name for f in schema if _holds_bytes(f.type, types)]
            others = [name for name in schema.names if name not in images]
            parts = [(file.metadata.row_group(g).num_rows, file.read_row_group(g, columns=others)) for g in groups]
        else:
            held = _batches(os.fspath(path), _state(path))
            schema = held[0].schema if held else None
            images = [f.name for f in schema or () if _holds_bytes(f.type, types)]
            others = [name for name in (schema.names if schema else ()) if name not in images]
            parts = [(batch.num_rows, batch.select(others)) for batch in held]
        names = _class_names(schema)
        found: list[dict[str, Any]] = []
        for group, (size, part) in enumerate(parts):
            columns = {name: [_named(v, names.get(name)) for v in part.column(name).to_pylist()] for name in others}
            for row in range(size):
                cells = {name: Cell(os.path.relpath(path, root), name, group, row, len(found)) for name in images}
                found.append({name: values[row] for name, values in columns.items()} | cells)
    except MemoryError:
        raise
    except Exception as error:  # as above
        reason = (str(error).splitlines() or [type(error).__name__])[0][:200]
        kind = "Parquet" if path.suffix.lower() == ".parquet" else "Arrow"
        raise InputError(f"--data_dir={path}: cannot be read as {kind} ({reason}); copy it again") from error
    return [*images, *others], found


def _holds_bytes(kind: Any, types: Any) -> bool:
    if types.is_struct(kind):
        return any(field.name == "bytes" for field in kind)
    return types.is_binary(kind) or types.is_large_binary(kind)


def _class_names(schema: Any) -> dict[str, list[str]]:
    """Column -> names of its classes, as Hugging Face notes them in the schema."""
    noted = (schema.metadata or {}).get(b"huggingface") if schema is not None else None
    features = json.loads(noted).get("info", {}).get("features", {}) if noted else {}
    found = {}
    for name, facts in features.items():
        facts = facts[0] if isinstance(facts, list) and facts else facts  # [FACTS], and {"feature": FACTS}, are lists
        facts = facts.get("feature", facts) if isinstance(facts, dict) else {}
        if isinstance(facts, dict) and facts.get("names"):
            found[name] = facts["names"]
    return found


def _named(value: Any, names: list[str] | None) -> Any:
    if names and isinstance(value, list):
        return [_named(part, names) for part in value]
    return names[value] if names and isinstance(value, int) and 0 <= value < len(names) else value
