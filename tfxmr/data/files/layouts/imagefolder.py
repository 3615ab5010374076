"""Hugging Face's imagefolder: images with `metadata.csv`, .jsonl or .parquet, or in a folder for each class."""
import collections
import dataclasses
import os
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.data.files import image_files
from tfxmr.data.files.layouts import rows, tables
from tfxmr.data.files.layouts.found import Asked, Found, inside, left_out
from tfxmr.data.files.layouts.rows import SPLIT_NAMES, Row
from tfxmr.data.files.media_files import FILES, Item, kind_of_file

METADATA = ("metadata.csv", "metadata.jsonl", "metadata.parquet")


def fits(path: pathlib.Path) -> bool:
    """True of a folder with metadata at its top or in the folder of a split."""
    return path.is_dir() and bool(metadata(path))


def find(path: pathlib.Path, asked: Asked) -> Found:
    """The items of such a folder; raises InputError if there is none."""
    found: list[Row] = []
    columns: dict[str, str] = {}
    told = ""
    for folder, file in metadata(path):
        table = tables.read(file, asked, path)
        own = rows.columns_of(table.names, dataclasses.replace(asked, data_dir=str(file)))
        columns |= own
        told = told or f"an imagefolder with {file.name}: {table.told}, {rows.told(columns)}"
        for where, row in tables.meanings(table, own):
            found.append((f"{folder / file.name} {where}", row and placed(row, folder)))
    if not told:
        return _of_classes(path)
    items, problems = rows.items(found, "class" in columns, asked)
    if items and (kind := kind_of_file(str(items[0].image))) in FILES:
        raise InputError(f"--data_dir={left_out(path, kind, len({item.image for item in items}))}")
    return Found(path, items, problems, "imagefolder", told, tuple(file for _, file in metadata(path)))


def metadata(path: pathlib.Path) -> list[tuple[pathlib.Path, pathlib.Path]]:
    """(Folder relative to the root, file) of the metadata at the top, or else of each split."""
    folders = ["", *sorted(e.name for e in os.scandir(path) if e.is_dir() and e.name.lower() in SPLIT_NAMES)]
    found = [(pathlib.Path(f), path / f / name) for f in folders for name in METADATA if inside(path / f / name, path)]
    return [pair for pair in found if pair[0] == pathlib.Path("")] or found


def placed(row: Mapping[str, Any], folder: pathlib.Path) -> dict[str, Any]:
    """A row with the paths of its files as seen from the root, and the split of the folder that they stand in."""
    found, split = dict(row), row.get("split")
    for m in ("image", *FILES):
        if isinstance(name := row.get(m), str) and name.strip():
            found[m] = (folder / name.strip()).as_posix()
            first = found[m].partition("/")[0].lower()
            split = split or (first if first in SPLIT_NAMES else "")
    return found | {"split": split}


def of_classes(path: pathlib.Path) -> bool:
    """True of a folder with images in a folder for each class, which has no texts at all."""
    images = _images(path)
    return next(images, None) is not None and next(path.glob("*/*.txt"), next(path.glob("*/*/*.txt"), None)) is None


def _images(path: pathlib.Path) -> Iterator[tuple[str, str, str]]:
    """(split, class, path relative to the root) of each image, of a folder with splits or without."""
    names = sorted(entry.name for entry in os.scandir(path) if entry.is_dir() and not entry.name.startswith("."))
    splits = [name for name in names if name.lower() in SPLIT_NAMES]
    for split in splits or [""]:
        for folder in sorted(e for e in (path / split).iterdir() if e.is_dir() and not e.name.startswith(".")):
            for file in sorted(os.listdir(folder)):
                if file.lower().endswith(image_files.SUFFIXES):
                    own = SPLIT_NAMES.get(split.lower(), "train")
                    yield own, folder.name, (pathlib.Path(split) / folder.name / file).as_posix()


def _of_classes(path: pathlib.Path) -> Found:
    items = [Item(image, split, (name,), image, name.replace("_", " ")) for split, name, image in _images(path)]
    if not items:
        raise InputError(
            f"--data_dir={path}: holds no {' or '.join(METADATA)}, and no image in <class>/ or <split>/<class>/"
        )
    told = "images in a folder for each class and no texts: the name of the class is the text of each"
    folders = sorted({os.path.dirname(str(item.image)) for item in items})
    kinds = collections.Counter(kind_of_file(file) for folder in folders for file in os.listdir(path / folder))
    said = [left_out(path, m, kinds[m]) for m in FILES if kinds[m]]
    return Found(path, items, [], "imagefolder", "; ".join([told, *said]))
