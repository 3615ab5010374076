"""Finds and reads the files of a user's media folder, and never any outside it."""
import csv
import dataclasses
import os
import pathlib
import stat
from collections.abc import Sequence

from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.data.files import image_files

SPLITS = ("train", "validation", "test")
COLUMNS = ("image", "text", "class")  # of a CSV, and perhaps "split"
Problem = tuple[str, str]  # (its kind, what it is about)
MAX_TEXT = 2**24  # bytes; a longer text is no description of an image


class BadItem(Exception):
    """One item that cannot be used; the first argument is the kind of problem, the second says more."""


@dataclasses.dataclass(frozen=True)
class Item:
    """An image with its text.

    Attributes:
      id: "train/cat/001", or in a CSV the image's path.
      split: "train", "validation" or "test".
      class_name: the class.
      image: path of the image file, relative to the root.
      text: the text, or None if it stands in `text_file`.
      text_file: path of the text file, relative to the root, or None.
      number: which of several texts of the image this is, from 0; None if it has one.
    """

    id: str
    split: str
    class_name: str
    image: str
    text: str | None = None
    text_file: str | None = None
    number: int | None = None

    @property
    def text_id(self) -> str:
        """The name of the text: that of the image, or with the number, "cat/001.jpg#2"."""
        return self.id if self.number is None else f"{self.id}#{self.number}"


def find(data_dir: Place) -> tuple[pathlib.Path, list[Item], list[Problem]]:
    """Lists the items that a folder or a CSV names, without reading them.

    Args:
      data_dir: the folder, or the path of a CSV file.

    Returns:
      (root, items, problems): the folder that no path may leave; Items in the order of their names, or of the CSV; and
      pairs (kind of problem, what) of the things that are no item.

    Raises:
      InputError: there is no such folder, or the CSV cannot be read or lacks a column.
    """
    path = pathlib.Path(data_dir or "").expanduser()
    if data_dir and path.is_file() and path.suffix.lower() == ".csv":
        return path.parent, *_of_csv(path)
    if not data_dir or not path.is_dir():
        raise InputError(
            f"--data_dir={data_dir} is no folder and no .csv file. Name a folder with <split>/<class>/<id>.jpg and "
            f"<id>.txt, or a CSV with the columns {', '.join(COLUMNS)} and perhaps split"
        )
    return path, *_of_folders(path)


def read_text(root: pathlib.Path, item: Item) -> str:
    """The text of an item; raises BadItem."""
    content = item.text
    if content is None:
        try:
            content = read(root, str(item.text_file), MAX_TEXT).decode("utf-8-sig")
        except UnicodeDecodeError as error:
            raise BadItem("text is not UTF-8", f"{item.text_file} ({error})") from error
    if not content.strip():
        raise BadItem("empty text", item.text_file or item.text_id)
    return content.strip()


def read_image(root: pathlib.Path, item: Item) -> NDArray:
    """The image of an item, uint8 (height, width, 3); raises BadItem."""
    try:
        return image_files.decode(read(root, item.image), item.image)
    except InputError as error:
        raise BadItem("unreadable image", str(error)) from error


def read(root: pathlib.Path, name: str, limit: int | None = None) -> bytes:
    """The bytes of a plain file below a root.

    Args:
      root: pathlib.Path that the file must not be outside of, by `..` or by symbolic links.
      name: path relative to it.
      limit: bytes at most, or None.

    Raises:
      BadItem: outside, missing, no plain file (a pipe would never end), too long, or unreadable.
    """
    real = place(root, name)
    try:
        size = real.stat().st_size
        if limit and size > limit:
            raise BadItem("text is too long", f"{name} ({size} bytes, at most {limit})")
        return real.read_bytes()
    except OSError as error:
        raise BadItem("unreadable file", f"{name} ({error})") from error


def place(root: pathlib.Path, name: str) -> pathlib.Path:
    """The absolute path of a plain file below a root; arguments and errors as of `read`."""
    try:
        real = pathlib.Path(os.path.realpath(root / name, strict=True))
        if not real.is_relative_to(os.path.realpath(root)):
            raise BadItem("outside the folder", name)
        if not stat.S_ISREG(real.stat().st_mode):
            raise BadItem("no plain file", name)
        return real
    except FileNotFoundError as error:
        raise BadItem("missing file", name) from error
    except (OSError, ValueError) as error:  # ValueError: a name with a null byte
        raise BadItem("unreadable file", f"{name} ({error})") from error


def _of_folders(root: pathlib.Path) -> tuple[list[Item], list[Problem]]:
    items: list[Item] = []
    problems: list[Problem] = []
    for split in SPLITS:
        for folder in _entries(root, split, problems):
            found = _of_class(root, split, folder, problems)
            items.extend(found[stem] for stem in sorted(found))
    if not items and not problems:
        raise InputError(
            f"--data_dir={root}: holds no item. Expected {'/, '.join(SPLITS)}/ with a folder for each class, in which "
            f"stand <id>.jpg (or {', '.join(image_files.SUFFIXES[1:])}) and <id>.txt"
        )
    return items, problems


def _of_class(root: pathlib.Path, split: str, name: str, problems: list[Problem]) -> dict[str, Item]:
    """The items of one class's folder, by the name of their files without its ending."""
    images: dict[str, str] = {}
    texts = set()
    where = f"{split}/{name}"
    for file in _entries(root, where, problems):
        stem, suffix = os.path.splitext(file)
        if suffix.lower() in image_files.SUFFIXES:
            if stem in images:
                problems.append(("duplicate id", f"{where}/{images[stem]} and {where}/{file}"))
            images.setdefault(stem, file)
        elif suffix.lower() == ".txt":
            texts.add(stem)
    problems += [("text without an image", f"{where}/{stem}.txt") for stem in sorted(texts - images.keys())]
    problems += [("image without a text", f"{where}/{images[s]}") for s in sorted(images.keys() - texts)]
    return {
        stem: Item(f"{where}/{stem}", split, name, f"{where}/{images[stem]}", text_file=f"{where}/{stem}.txt")
        for stem in images.keys() & texts
    }


def _entries(root: pathlib.Path, name: str, problems: list[Problem]) -> list[str]:
    """The names in a folder in order, without hidden ones; none where there is no such folder."""
    path = root / name
    if not os.path.lexists(path) or (path.is_file() and not path.is_symlink()):
        return []
    if not pathlib.Path(os.path.realpath(path)).is_relative_to(os.path.realpath(root)):
        problems.append(("outside the folder", name))
        return []
    try:
        return sorted(entry for entry in os.listdir(path) if not entry.startswith("."))
    except OSError as error:
        problems.append(("unreadable file", f"{name} ({error})"))
        return []


def _of_csv(path: pathlib.Path) -> tuple[list[Item], list[Problem]]:
    items: dict[str, list[Item]] = {}  # image -> its Items, without numbers
    problems: list[Problem] = []
    try:
        with open(path, encoding="utf-8-sig", newline="") as file:
            rows = csv.DictReader(file, strict=True)
            _check_columns(path, rows.fieldnames or ())
            for row in rows:
                line = f"line {rows.line_num}"
                values = {name: (value or "").strip() for name, value in row.items() if isinstance(name, str)}
                split = values.get("split", "train") or "train"
                if None in row or not values["image"] or not values["class"] or split not in SPLITS:
                    problems.append(("malformed line", f"{line} (split {split!r}; {', '.join(SPLITS)} are known)"))
                    continue
                item = Item(values["image"], split, values["class"], values["image"], values["text"])
                others = items.setdefault(item.image, [])
                if item in others:
                    problems.append(("duplicate line", f"{line}: {item.image}, with the same text"))
                elif others and (others[0].split, others[0].class_name) != (split, item.class_name):
                    problems.append(("image in two splits or classes", f"{line}: {item.image}"))
                else:
                    others.append(item)
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(
            f"--data_dir={path}: cannot be read as CSV in UTF-8 ({error}); save it again as that, with commas"
        ) from error
    for same in items.values():
        if len(same) > 1:
            same[:] = [dataclasses.replace(item, number=number) for number, item in enumerate(same)]
    return [item for same in items.values() for item in same], problems


def _check_columns(path: pathlib.Path, names: Sequence[str]) -> None:
    """Refuses a CSV without the columns that are needed, and says which delimiter it has where that is the reason."""
    lacking = [column for column in COLUMNS if column not in names]
    delimiter = next((d for d in ";\t|" if len(names) == 1 and d in names[0]), None)
    if delimiter:
        named = "tabs" if delimiter == "\t" else repr(delimiter)
        raise InputError(f"--data_dir={path}: its columns are divided by {named}; save it with commas between them")
    if lacking:
        raise InputError(
            f"--data_dir={path}: lacks the column {', '.join(lacking)}; its first line is {','.join(names)!r}, and "
            f"names the columns: {','.join(COLUMNS)} and perhaps split"
        )
