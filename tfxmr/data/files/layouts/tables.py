"""Tables of images and texts: CSV, TSV, JSON lines and Parquet, a line or more for each image."""
import csv
import dataclasses
import io
import json
import pathlib
import re
from collections.abc import Iterable, Iterator
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data.files import image_files, media_files
from tfxmr.data.files.layouts import columnar, rows
from tfxmr.data.files.layouts.found import Asked, Found, inside, left_out
from tfxmr.data.files.layouts.rows import Row

TEXT = (".csv", ".tsv", ".txt")
JSON = (".jsonl", ".ndjson")
SUFFIXES = (*TEXT, *JSON, ".parquet")
DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "bars"}
MAX_BYTES = 2**31  # of a table of texts


@dataclasses.dataclass(frozen=True)
class Table:
    """A table that is read.

    Attributes:
      names: of its columns.
      rows: pairs (where, column -> value), where is "line 7"; of a malformed row the value is None.
      told: how it was read, in words.
    """

    names: list[str]
    rows: Iterable[tuple[str, dict[str, Any] | None]]
    told: str


def fits(path: pathlib.Path) -> bool:
    """True of a folder with a table at its top or in data/, where Hugging Face keeps Parquet files."""
    return bool(_tables(path))


def find(path: pathlib.Path, asked: Asked) -> Found:
    """The items of a table, or of a folder with a table or one for each split; raises InputError."""
    files = [("", path)] if path.is_file() else of_folder(path)
    if not files:
        raise InputError(f"--data_dir={path}: holds no table ({', '.join(SUFFIXES)})")
    root = path.parent if path.is_file() else path
    found: list[Row] = []
    columns, told = dict[str, str](), ""
    for split, file in files:
        table = read(file, asked, root)
        own = rows.columns_of(table.names, dataclasses.replace(asked, data_dir=str(file)))
        columns |= own  # a class in one of the tables is asked of all
        told = told or f"{', '.join(name.name for _, name in files)}: {table.told}, {rows.told(columns)}"
        before = f"{file.name} " if len(files) > 1 else ""
        found.extend((before + where, row) for where, row in meanings(table, own, split))
    items, problems = rows.items(found, "class" in columns, asked)
    if items and (kind := media_files.kind_of_file(str(items[0].image))) in media_files.FILES:
        raise InputError(f"--data_dir={left_out(path, kind, len({item.image for item in items}))}")
    folder = rows.folder_of_images(root, (item.image for item in items))
    told += f"; images in {folder}/" if folder else ""
    return Found(root, rows.below(folder, items), problems, "table", told, tuple(file for _, file in files))


def meanings(table: Table, columns: dict[str, str], split: str = "") -> Iterator[Row]:
    """The rows of a table by what their columns mean; `split` is that of rows that tell of none."""
    for where, row in table.rows:
        if row is None:
            yield where, None
        else:
            values = {meaning: row.get(column) for meaning, column in columns.items()}
            yield where, values | {"split": values.get("split") or split}


def of_folder(path: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    """The tables of a folder: (split, file) of those named by their split, or else ("", file) of the only one.

    Raises:
      InputError: there are several, and their names do not tell which splits they are.
    """
    files = _tables(path)
    by_split = [(split, file) for file in files if (split := split_of(file.stem))]
    if by_split or len(files) < 2:
        return by_split or [("", file) for file in files]
    raise InputError(
        f"--data_dir={path}: holds {counted(len(files), 'table')}, {', '.join(file.name for file in files[:5])}; name "
        f"one of them as --data_dir={path / files[0].name}, or call them train, validation and test"
    )


def _tables(path: pathlib.Path) -> list[pathlib.Path]:
    """The tables at the top of a folder, or else in data/; a .txt is one only if nothing else is."""
    for folder in (path, path / "data"):
        files = sorted(e for e in folder.iterdir() if inside(e, path)) if folder.is_dir() else []
        for suffixes in (tuple(s for s in SUFFIXES if s != ".txt"), (".txt",)):
            found = [file for file in files if file.suffix.lower() in suffixes and "readme" not in file.name.lower()]
            if found:
                return found
    return []


def split_of(stem: str) -> str:
    """The split that a file's name begins with: "train" of "train-00000-of-00002"; "" of none."""
    return rows.SPLIT_NAMES.get(re.split(r"[-_.\d]", stem.lower(), maxsplit=1)[0], "")


def read(path: pathlib.Path, asked: Asked, root: pathlib.Path) -> Table:
    """Reads a table.

    Args:
      path: a file with one of SUFFIXES.
      asked: whose columns tell the delimiter.
      root: the folder that images are relative to.

    Raises:
      InputError: it cannot be read.
    """
    suffix = path.suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"--data_dir={path}: is no folder and no file of a table ({', '.join(SUFFIXES)})")
    if suffix == ".parquet":
        names, found = columnar.rows(path, root)
        return Table(names, [(f"row {number}", row) for number, row in enumerate(found)], "Parquet")
    text, encoding = _decoded(path)
    if suffix in JSON:
        return _json_lines(path, text)
    return _delimited(path, text, encoding, asked)


def _decoded(path: pathlib.Path) -> tuple[str, str]:
    """(The text of a file, its encoding), found by its first bytes and by what can be decoded."""
    try:
        if path.stat().st_size > MAX_BYTES:
            raise InputError(f"--data_dir={path}: is larger than {MAX_BYTES} bytes; save it as Parquet, or in parts")
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"--data_dir={path}: cannot be read ({error.strerror}); make it readable") from error
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        encodings = ["utf-16"]
    else:
        # One damaged byte makes no file of Windows: there, no two letters beyond ASCII are any in UTF-8.
        lenient = content.decode("utf-8-sig", "replace")
        damaged = lenient.count("�") < sum(not c.isascii() for c in lenient) / 2
        encodings = ["utf-8-sig"] if damaged else ["utf-8-sig", "cp1252"]
    for encoding in encodings:
        try:
            return content.decode(encoding), {"utf-8-sig": "UTF-8", "utf-16": "UTF-16"}.get(encoding, "Windows-1252")
        except UnicodeDecodeError as error:
            why = error
    raise InputError(f"--data_dir={path}: cannot be read as UTF-8 ({why}); save it again as that") from why


def _delimited(path: pathlib.Path, text: str, encoding: str, asked: Asked) -> Table:
    """Reads CSV and its like; what stands between the columns is found by the first line."""
    first = next((line for line in io.StringIO(text, newline=None) if line.strip()), "")
    if not first:
        raise InputError(f"--data_dir={path}: is empty; its first line names the columns, such as image,text")
    headers = {delimiter: _fields(first, delimiter) for delimiter in DELIMITERS}

    def fit(delimiter: str) -> tuple[int, bool, int]:
        names = headers[delimiter]
        return len(rows.recognised(names, asked)), delimiter == "\t" and path.suffix == ".tsv", len(names)

    delimiter = max(DELIMITERS, key=fit)
    names = headers[delimiter]
    lines, quotes = _parsed(path, text, delimiter, first)
    told = f"{encoding}, {DELIMITERS[delimiter]} between the columns{quotes}"
    if _is_no_header(names):
        names = ["image", "text"]
        told += ", no line that names the columns"
        lines = [(line, [re.sub(r"#\d+$", "", fields[0]), *fields[1:]]) for line, fields in lines]
    else:
        lines = lines[1:]
    return Table(names, [(f"line {line}", None if len(fields) > len(names) else dict(zip(names, fields, strict=False)))
                         for line, fields in lines], told)


def _fields(line: str, delimiter: str) -> list[str]:
    try:
        fields = next(csv.reader([line], delimiter=delimiter, skipinitialspace=True), [])
    except csv.Error:  # a line feed of old Macs in a text, or a field beyond csv's limit: no line that names columns
        fields = [line]
    return [name.strip().strip("'") for name in fields]


def _is_no_header(names: list[str]) -> bool:
    """True of "1000268201.jpg#0 TAB A child climbs": Flickr's lists name no columns."""
    return len(names) == 2 and re.sub(r"#\d+$", "", names[0]).lower().endswith(image_files.SUFFIXES)


def _parsed(path: pathlib.Path, text: str, delimiter: str, first: str) -> tuple[list[tuple[int, list[str]]], str]:
    """(The lines as (number, fields), what is special about their quotes in words)."""
    quote = "'" if re.match(r"\s*'.*'\s*$", first) else '"'
    ways: list[tuple[dict[str, Any], str]] = [({"quotechar": quote}, f", in {quote}" if quote == "'" else "")]
    if f"\\{quote}" in text:
        ways.insert(0, ({"quotechar": quote, "escapechar": "\\", "doublequote": False}, ", \\ before quotes"))
    if delimiter != ",":  # a text holds commas, which nothing else would tell from those between columns
        ways.append(({"quoting": csv.QUOTE_NONE}, ", quotes as they stand"))
    for way, told in ways:
        reader = csv.reader(
            io.StringIO(text, newline=""), delimiter=delimiter, skipinitialspace=True, strict=True, **way
        )
        try:
            return [(reader.line_num, fields) for fields in reader if fields], told
        except csv.Error as error:
            why = f"line {reader.line_num}: {error}"
    raise InputError(
        f"--data_dir={path}: cannot be read as CSV ({why}); save it again with texts in \", each \" of a text doubled"
    )


def _json_lines(path: pathlib.Path, text: str) -> Table:
    """Reads an object a line."""
    found: list[tuple[str, dict[str, Any] | None]] = []
    names: dict[str, None] = {}
    for number, line in enumerate(io.StringIO(text), 1):
        if line.strip():
            try:
                row = json.loads(line)
            except (ValueError, RecursionError):
                row = None
            row = row if isinstance(row, dict) else None
            names.update(dict.fromkeys(row or ()))
            found.append((f"line {number}", row))
    if not names:
        raise InputError(f"--data_dir={path}: holds no line that is a JSON object, such as "
                         '{"image": "1.jpg", "text": "a cat"}')
    return Table(list(names), found, "JSON lines")
