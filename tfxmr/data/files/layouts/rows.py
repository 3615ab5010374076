"""Rows of a table, wherever it stands, as Items: which column is which, and several sentences of one image."""
import ast
import contextlib
import dataclasses
import itertools
import os
import pathlib
import re
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.names import meant
from tfxmr.data.files.layouts.found import FLAGS, MEANINGS, Asked
from tfxmr.data.files.media_files import SPLITS, Inside, Item, Problem

# What people call these columns, the likeliest first; letters of either case.
NAMES = {
    "image": ("image", "image_path", "file_name", "filename", "image_name", "filepath", "path", "file", "img", "photo"),
    "text": ("text", "caption", "captions", "sentence", "sentences", "description", "comment", "transcription",
             "transcript"),
    "class": ("class", "label", "category", "class_name"),
    "split": ("split", "subset", "partition"),
    "id": ("id",),
}
assert tuple(NAMES) == MEANINGS
SPLIT_NAMES = {name: name for name in SPLITS} | {
    "training": "train", "val": "validation", "valid": "validation", "dev": "validation", "testing": "test",
}
LIST = re.compile(r"\s*\[.*\]\s*", re.DOTALL)  # of classes in a cell of text, as pandas and JSON write one
LOOKED = 200  # images by which the folder that they stand in is found
Row = tuple[str, Mapping[str, Any] | None]  # (where, meaning -> value); None: it is malformed


def columns_of(names: Sequence[str], asked: Asked) -> dict[str, str]:
    """Which column holds what.

    Args:
      names: of the columns of the table.
      asked: of which `columns` go before what the names tell.

    Returns:
      Meaning -> name of the column, of those that there are; "image" and "text" always.

    Raises:
      InputError: a column that was named is not there, or there is none of images or texts.
    """
    found = recognised(names, asked)
    for meaning, named in asked.columns.items():
        if named not in names:
            raise InputError(
                f"--columns={meaning}={named}: {asked.data_dir} has no such column{meant(named, names)}; it has "
                f"{', '.join(names)}"
            )
    lacking = [meaning for meaning in ("image", "text") if meaning not in found]
    if lacking:
        free = [name for name in names if name not in found.values() and name.isprintable()]
        example = ",".join(f"{meaning}={free[n] if n < len(free) else 'NAME'}" for n, meaning in enumerate(lacking))
        raise InputError(
            f"--data_dir={asked.data_dir}: lacks the column {', '.join(lacking)}; its columns are "
            f"{', '.join(names)!r}. Say which one holds what, such as --columns={example}"
            + "".join(f"; its {name} are described by --{FLAGS[name]}=my_module:function" for name in names
                      if name in FLAGS)
        )
    return found


def recognised(names: Sequence[str], asked: Asked) -> dict[str, str]:
    """Meaning -> name of the column, of those that were named or have a usual name; nothing is refused."""
    lower = {name.lower(): name for name in reversed(names)}
    usual = {meaning: next((lower[n] for n in known if n in lower), None) for meaning, known in NAMES.items()}
    found = {meaning: asked.columns.get(meaning, usual[meaning]) for meaning in MEANINGS}
    return {meaning: column for meaning, column in found.items() if column is not None}


def told(columns: Mapping[str, str]) -> str:
    """The columns in words: "image=filename, text; no class, so that each image is found by its own texts"."""
    parts = [meaning if columns[meaning] == meaning else f"{meaning}={columns[meaning]}" for meaning in columns]
    what = "each image is found by its own texts" if {*FLAGS}.isdisjoint(columns) else "items are found by counterparts"
    none = "" if "class" in columns else f"; no column class, so {what} (hit@k)"
    return f"columns {', '.join(parts)}{none}"


def items(rows: Iterable[Row], classes: bool, asked: Asked) -> tuple[list[Item], list[Problem]]:
    """The Items of a table: an image has one for each of its sentences.

    Args:
      rows: of the table, in order; without a split they train.
      classes: whether each row must have a class.
      asked: says what stands between several classes of an item.

    Returns:
      (items in the order of their images' first rows, problems).
    """
    found: dict[Any, list[Item]] = {}  # image -> its Items, whose ids are those of the rows
    problems: list[Problem] = []
    for where, row in rows:
        values = row or {}
        split, own_id = (_plain(values.get(name)) for name in ("split", "id"))
        own_classes = classes_of(values.get("class"), asked.class_separator) if classes else ()
        image = values.get("image")
        if not isinstance(image, Inside):
            image = _plain(image)
        part = SPLIT_NAMES.get(split.lower() or "train")
        if part is None:
            problems.append(("malformed line", f"{where} (split {split!r}; {', '.join(SPLITS)} are known)"))
            continue
        if row is None or not image or (classes and not own_classes):
            problems.append(("malformed line", where))
            continue
        others = found.setdefault(image, [])
        for text in _texts(values.get("text")):
            item = Item(own_id or str(image), part, own_classes, image, text)
            if others and (others[0].split, others[0].classes) != (item.split, item.classes):
                problems.append(("image in two splits or classes", f"{where}: {image}"))
            elif any(other.text == text for other in others):
                problems.append(("duplicate line", f"{where}: {image}, with the same text"))
            else:
                others.append(item)
    return _named(found, problems), problems


def _plain(value: Any) -> str:
    return "" if value is None else str(value).strip()


def classes_of(value: Any, separator: str) -> tuple[str, ...]:
    """The classes of a cell, by alphabet: those of a list, of a text that is one, or of a text with separators.

    Args:
      value: of the cell.
      separator: what stands between classes of a text; "": nothing, it is one.
    """
    if isinstance(value, str) and (listed := LIST.fullmatch(value)):
        with contextlib.suppress(ValueError, SyntaxError, RecursionError, MemoryError):  # it is the name of a class
            value = ast.literal_eval(listed[0].strip())  # of strings and numbers alone; JSON's lists of them, too
    if isinstance(value, str) and separator:
        value = value.split(separator)
    parts = value if isinstance(value, list | tuple) else [value]
    return tuple(sorted({_plain(part) for part in parts} - {""}))


def _texts(value: Any) -> list[str]:
    """The sentences of a cell: one, or those of a list. Of an empty one the reader of texts tells."""
    return [_plain(part) for part in value] if isinstance(value, list | tuple) else [_plain(value)]


def _named(found: Mapping[Any, list[Item]], problems: list[Problem]) -> list[Item]:
    """The Items with their final ids: a column id names the images, or the texts where it differs within an image."""
    of_texts = any(item.id != same[0].id for same in found.values() for item in same)
    kept: list[Item] = []
    taken: dict[str, Any] = {}
    for image, same in found.items():
        for number, item in enumerate(same):
            if taken.get(item.id, image) != image or (of_texts and item.id in taken):
                problems.append(("duplicate id", f"{item.id}, of {taken[item.id]} and of {image}"))
                continue
            taken[item.id] = image
            kept.append(dataclasses.replace(
                item, id=str(image) if of_texts else item.id, number=number if len(same) > 1 else None,
                text_name=item.id if of_texts else None,
            ))
    return kept


def folder_of_images(root: pathlib.Path, images: Iterable[str | Inside]) -> str:
    """The folder below `root` in which the images stand, "" for itself: tables often hold bare file names."""
    names = [image for image in itertools.islice(images, LOOKED) if isinstance(image, str) and is_safe(image)]
    if not names or any(os.path.exists(root / name) for name in names):
        return ""
    folders = sorted(entry.name for entry in os.scandir(root) if entry.is_dir(follow_symlinks=False))
    counts = {folder: sum(os.path.exists(root / folder / name) for name in names) for folder in folders}
    best = max(counts, key=lambda folder: counts[folder], default="")
    return best if best and counts[best] else ""


def below(folder: str, items: Sequence[Item]) -> list[Item]:
    """The Items with their images in a folder; their ids stay."""
    return [dataclasses.replace(item, image=f"{folder}/{item.image}") for item in items] if folder else list(items)


def is_safe(name: str) -> bool:
    """True of a relative path without `..` or a null byte, which may be looked for."""
    upwards = ".." in name and ".." in pathlib.PurePath(name).parts  # that most have no dots at all is known sooner
    return not os.path.isabs(name) and not upwards and "\0" not in name
