"""Files of several media: images, texts, sounds, videos and 3D shapes, in most of the layouts of images and texts.

    <split>/<class>/<id>.wav, <id>.txt, <id>.jpg   files of one name are one item
    a table with a column for each medium          text, and paths in audio, video, shape3d, image; in Parquet or Arrow
                                                   also bytes, as Hugging Face writes them
    metadata.csv with a column file_name           Hugging Face's audiofolder
    <id>.wav and <id>.txt in a .tar                WebDataset

Which of the sounds, videos and 3D shapes belong to the items is asked; images and texts do where there are some.
"""
import collections
import dataclasses
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.data.files.layouts import arrow, imagefolder, pairs, rows, tables, webdataset
from tfxmr.data.files.layouts.found import FLAGS, Asked, OfClasses
from tfxmr.data.files.layouts.rows import Row
from tfxmr.data.files.media_files import FILES, SPLITS, Inside, Item, Problem, kind_of_file
from tfxmr.data.views import MODALITIES

LAYOUTS = ("pairs", "table", "imagefolder", "arrow", "webdataset")
NAMES = {  # what people call these columns
    "audio": ("audio", "audio_path", "sound", "wav"), "video": ("video", "video_path", "clip", "movie"),
    "shape3d": ("shape3d", "model3d", "mesh", "shape", "model"),
}


@dataclasses.dataclass(frozen=True)
class Piece:
    """An item of several media, with one text if it has any.

    Attributes:
      id: of the item: "train/cat/001", or in a table its id there or the path of its first file.
      split: "train", "validation" or "test".
      classes: names of its classes, one or more; () of data without.
      files: modality -> path of the file, relative to the root, or where inside another it is; also of a text that
        stands in a file.
      text: the text, or None if it stands in a file, or there is none.
      number: which of several texts of the item this is, from 0; None if it has one.
    """

    id: str
    split: str
    classes: tuple[str, ...]
    files: Mapping[str, str | Inside]
    text: str | None = None
    number: int | None = None

    @property
    def text_id(self) -> str:
        """The name of the text: that of the item, with the number of several: "001.wav#2"."""
        return self.id if self.number is None else f"{self.id}#{self.number}"

    def as_text(self) -> Item:
        """What `media_files.read_text` reads the text of."""
        file = self.files.get("text")
        return Item(self.id, self.split, self.classes, "", self.text, None if file is None else str(file), self.number)


@dataclasses.dataclass(frozen=True)
class Several(OfClasses):
    """The items of several media that a folder or a table names, of which no medium has been read.

    Attributes:
      root: the folder that no path may leave.
      modalities: of the items, in the standard order.
      items: in the order of their names, or of the table.
      problems: pairs (kind of problem, what) of the things that are no item.
      told: how it was read, in a line.
      files: as of Found.
    """

    root: pathlib.Path
    modalities: tuple[str, ...]
    items: list[Piece]
    problems: list[Problem]
    told: str
    files: tuple[pathlib.Path, ...] = ()


@dataclasses.dataclass(frozen=True)
class _Rows:
    """The rows of a layout that has some.

    Attributes:
      root: the folder that no path may leave.
      rows: (where, meaning -> value).
      columns: meaning -> what holds it.
      told: how they were read, in words.
      files: that were read.
    """

    root: pathlib.Path
    rows: Sequence[Row]
    columns: Mapping[str, str]
    told: str
    files: tuple[pathlib.Path, ...]


def find(path: pathlib.Path, asked: Asked, layout: str | None, wanted: Sequence[str]) -> Several:
    """Lists the items.

    Args:
      path: a folder, or the file of a table.
      asked: whose columns say which column of a table is which.
      layout: one of LAYOUTS; None looks which one it is.
      wanted: modalities of FILES that belong to the items.

    Raises:
      InputError: it is laid out in another way, there are no such files, or there is one medium alone.
    """
    if layout is not None and layout not in LAYOUTS:
        raise InputError(f"--layout={layout}: --{FLAGS[wanted[0]]} goes with {', '.join(LAYOUTS)}; omit one of them")
    layout = layout or _seen(path)
    problems: list[Problem] = []
    if layout == "pairs":
        found = _of_pairs(path, wanted)
    elif layout == "webdataset":
        found = _of_rows(_shards(path, asked, wanted, problems), asked, problems)
    else:
        read = {"table": _table, "imagefolder": _imagefolder, "arrow": _arrow}[layout]
        found = _of_rows(read(path, asked, wanted), asked, problems)
    for m in wanted:
        if m not in found.modalities:
            raise InputError(f"--{FLAGS[m]}: {path} holds no {m} files ({', '.join(FILES[m])}); omit the flag, or "
                             f"name their column in a table, --columns={m}=NAME")
    if len(found.modalities) < 2:
        raise InputError(f"--data_dir={path}: holds {found.modalities[0]} files alone; retrieval across media takes "
                         "two: put a .txt or an image of the same name beside each")
    return found


def _seen(path: pathlib.Path) -> str:
    """The name of the layout that a folder or file looks like, the surest sign first."""
    if webdataset.fits(path):
        return "webdataset"
    if path.is_file():
        return "table"
    signs = {"arrow": arrow.fits, "imagefolder": imagefolder.fits, "pairs": pairs.of_files}
    return next((name for name, fits in signs.items() if fits(path)), "table")


def _of_pairs(root: pathlib.Path, wanted: Sequence[str]) -> Several:
    problems: list[Problem] = []
    items: list[Piece] = []
    for split in SPLITS:
        for folder in pairs.entries(root, split, problems):
            where, found = f"{split}/{folder}", collections.defaultdict[str, dict[str, str]](dict)
            for file in pairs.entries(root, where, problems):
                stem, m = os.path.splitext(file)[0], kind_of_file(file)
                if m in ("image", "text", *wanted):
                    if m in found[stem]:
                        problems.append(("duplicate id", f"{found[stem][m]} and {where}/{file}"))
                    found[stem].setdefault(m, f"{where}/{file}")
            items += [Piece(f"{where}/{stem}", split, (folder,), found[stem]) for stem in sorted(found) if found[stem]]
    modalities = tuple(m for m in MODALITIES if any(m in piece.files for piece in items))
    if not items:
        raise InputError(f"--data_dir={root}: holds no item; expected {'/, '.join(SPLITS)}/ with a folder for each "
                         f"class, in which stand files of one name, such as <id>{FILES[wanted[0]][0]} and <id>.txt")
    told = f"{', '.join(modalities)} by split and class, files of one name are one item"
    return Several(root, modalities, _whole(items, modalities, problems), problems, told)


def _whole(items: Sequence[Piece], modalities: Sequence[str], problems: list[Problem]) -> list[Piece]:
    """The items that have all modalities; adds the others to the problems."""
    for piece in items:
        for m in modalities:
            if m not in piece.files and not (m == "text" and piece.text is not None):
                problems.append((f"item without {m}", str(next(iter(piece.files.values()), piece.id))))
    return [p for p in items if all(m in p.files or m == "text" and p.text is not None for m in modalities)]


def _of_rows(read: _Rows, asked: Asked, problems: list[Problem]) -> Several:
    found: dict[tuple, list[Piece]] = {}  # files -> items with them
    for where, row in read.rows:
        _take(found, row, where, read.columns, asked, problems)
    modalities = tuple(m for m in MODALITIES if m in read.columns)
    items = [
        dataclasses.replace(piece, number=number if len(same) > 1 else None)
        for same in found.values() for number, piece in enumerate(same)
    ]
    items = _unique(_placed(read.root, items, modalities), problems)
    return Several(read.root, modalities, items, problems, f"{read.told}, {rows.told(read.columns)}", read.files)


def _table(path: pathlib.Path, asked: Asked, wanted: Sequence[str]) -> _Rows:
    files = [("", path)] if path.is_file() else tables.of_folder(path)
    if not files:
        raise InputError(f"--data_dir={path}: holds neither {'/, '.join(SPLITS)}/ nor a table "
                         f"({', '.join(tables.SUFFIXES)}) nor .tar files")
    root, found, told, columns = path.parent if path.is_file() else path, list[Row](), "", dict[str, str]()
    for split, file in files:
        table = tables.read(file, asked, root)
        own = _columns(table, asked, wanted)
        columns |= own  # what one of the tables has is asked of all
        told = told or f"{', '.join(name.name for _, name in files)}: {table.told}"
        found += [(f"{file.name} {where}", row) for where, row in tables.meanings(table, own, split)]
    return _Rows(root, found, columns, told, tuple(file for _, file in files))


def _imagefolder(path: pathlib.Path, asked: Asked, wanted: Sequence[str]) -> _Rows:
    found, told, columns = list[Row](), "", dict[str, str]()
    files = imagefolder.metadata(path) if path.is_dir() else []
    for folder, file in files:
        table = tables.read(file, asked, path)
        own = _columns(table, asked, wanted)
        columns |= own
        told = told or f"an audiofolder with {file.name}: {table.told}"
        found += [(f"{folder / file.name} {where}", row and imagefolder.placed(row, folder))
                  for where, row in tables.meanings(table, own)]
    if not files:
        raise InputError(f"--layout=imagefolder: {path} holds no {' or '.join(imagefolder.METADATA)}; omit it")
    return _Rows(path, found, columns, told, tuple(file for _, file in files))


def _arrow(path: pathlib.Path, asked: Asked, wanted: Sequence[str]) -> _Rows:
    found, columns = list[Row](), dict[str, str]()
    files, held = arrow.tables_of(path)
    for split, _, table in held:
        own = _columns(table, asked, wanted) if table.names else {}
        columns |= own
        found += tables.meanings(table, own, split)
    return _Rows(path, found, columns, arrow.TOLD, files)


def _shards(path: pathlib.Path, asked: Asked, wanted: Sequence[str], problems: list[Problem]) -> _Rows:
    shards = webdataset.rows_of(path, asked, problems)
    held = [m for m in (*MODALITIES, "class") if m not in FILES or m in wanted]
    names = {m: m for m in held if any(m in row for _, row in shards.rows)}
    found = [(where, {m: row.get(m) for m in (*names, "split")}) for where, row in shards.rows]
    return _Rows(shards.root, found, names, shards.told, shards.files)


def _columns(table: tables.Table, asked: Asked, wanted: Sequence[str]) -> dict[str, str]:
    """Which column holds what; a column of paths that is called as images often are is that of the files in it."""
    for meaning, column in asked.columns.items():
        if column not in table.names:
            raise InputError(f"--columns={meaning}={column}: {asked.data_dir} has no such column; it has "
                             f"{', '.join(table.names)}")
    found = rows.recognised(table.names, asked)
    lower = {name.lower(): name for name in reversed(table.names)}
    for m in wanted:
        if named := asked.columns.get(m) or next((lower[n] for n in NAMES[m] if n in lower), None):
            found[m] = named
    first = next((row for _, row in table.rows if row), {}) if "image" in found else {}
    cell = first.get(found.get("image", ""), "")
    if (held := "" if isinstance(cell, Inside) else kind_of_file(str(cell))) not in ("image", "text", ""):
        column = found.pop("image")
        if held in wanted:
            found.setdefault(held, column)
    return found


def _take(
    found: dict[tuple, list[Piece]], row: Mapping[str, Any] | None, where: str, columns: Mapping[str, str],
    asked: Asked, problems: list[Problem],
) -> None:
    """Adds a row to the items, or to the problems."""
    values = {name: "" if value is None else str(value).strip() for name, value in (row or {}).items()}
    inside = {m: value for m, value in (row or {}).items() if isinstance(value, Inside)}
    files = {m: inside.get(m) or values.get(m, "") for m in MODALITIES if m in columns and m != "text"}
    split = rows.SPLIT_NAMES.get(values.get("split", "").lower() or "train")
    classes = rows.classes_of((row or {}).get("class"), asked.class_separator) if "class" in columns else ()
    lacking = [m for m, file in files.items() if not file] + ["class"] * ("class" in columns and not classes)
    if row is None or split is None or not files or lacking:
        what = f" (no {', '.join(lacking)})" if lacking and row else f" (split {values.get('split')!r})" * (not split)
        problems.append(("malformed line", f"{where}{what}"))
        return
    same = found.setdefault(tuple(files.items()), [])
    held = row.get("text")
    sentences = held if isinstance(held, list | tuple) else [values.get("text", "")]
    for text in sentences if "text" in columns else [None]:
        piece = Piece(values.get("id") or str(next(iter(files.values()))), split, classes, files,
                      None if text is None else str(text))
        if same and (same[0].split, same[0].classes) != (piece.split, piece.classes):
            problems.append(("item in two splits or classes", f"{where}: {same[0].id}"))
        elif any(other.text == piece.text for other in same):
            problems.append(("duplicate line", f"{where}: {same[0].id}"))
        else:
            same.append(dataclasses.replace(piece, id=same[0].id if same else piece.id))


def _placed(root: pathlib.Path, items: Sequence[Piece], modalities: Sequence[str]) -> list[Piece]:
    """The items with their files in the folder in which those of a modality stand; tables often hold bare names."""
    folders = {}
    for m in modalities:
        if m != "text":
            folders[m] = rows.folder_of_images(root, (piece.files[m] for piece in items))
    return [
        dataclasses.replace(piece, files={m: f"{folders[m]}/{file}" if folders[m] and isinstance(file, str) else file
                                          for m, file in piece.files.items()})
        for piece in items
    ]


def _unique(items: Sequence[Piece], problems: list[Problem]) -> list[Piece]:
    """The items but those whose id is another's; adds these to the problems."""
    first: dict[str, Mapping[str, str | Inside]] = {}
    kept = []
    for piece in items:
        if first.setdefault(piece.id, piece.files) != piece.files:
            problems.append(("duplicate id", f"{piece.id}, of {next(iter(piece.files.values()))}"))
        else:
            kept.append(piece)
    return kept
