"""Reads the files of a user's media folder, and never any outside it; tfxmr.data.files.layouts finds them."""
import dataclasses
import os
import pathlib
import stat
import typing
from collections.abc import Iterator

from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data.files import image_files

SPLITS = ("train", "validation", "test")
Problem = tuple[str, str]  # (its kind, what it is about)
# Files of each modality that a function of the user's own describes -> what their names end with.
FILES = {
    "audio": (".wav", ".mp3", ".flac", ".ogg", ".opus", ".m4a", ".aac"),
    "video": (".mp4", ".avi", ".mov", ".mkv", ".webm", ".mpg", ".mpeg", ".m4v"),
    "shape3d": (".obj", ".off", ".ply", ".stl", ".glb", ".gltf"),
}
KINDS = {suffix: kind for kind, suffixes in {"image": image_files.SUFFIXES, "text": (".txt",), **FILES}.items()
         for suffix in suffixes}
MAX_TEXT = 2**24  # bytes; a longer text is no description of an image


class BadItem(Exception):
    """One item that cannot be used; the first argument is the kind of problem, the second says more."""


@typing.runtime_checkable
class Inside(typing.Protocol):
    """Where a medium is inside a file; hashable, and as a str its name. Roots are the folder that is not left."""

    def read(self, root: pathlib.Path) -> bytes:
        """Its bytes; raises BadItem."""
        ...

    def pieces(self, root: pathlib.Path) -> Iterator[bytes]:
        """Its bytes in pieces, of a long one; raises BadItem."""
        ...

    def length(self, root: pathlib.Path) -> int:
        """How many bytes it has; raises BadItem if they cannot be read."""
        ...

    def called(self, root: pathlib.Path) -> str:
        """The name of the file that it was, of which nothing but the ending is to be used; raises BadItem."""
        ...


@dataclasses.dataclass(frozen=True, slots=True)  # of which there may be a million
class Item:
    """An image with its text.

    Attributes:
      id: of the image: "train/cat/001", or in a table the image's path or its id there.
      split: "train", "validation" or "test".
      classes: names of its classes, one or more; () of data without.
      image: path of the image file, relative to the root; or where inside a file it is.
      text: the text, or None if it stands in `text_file`.
      text_file: path of the text file, relative to the root, or None.
      number: which of several texts of the image this is, from 0; None if it has one.
      text_name: the text's own id, where it has one.
    """

    id: str
    split: str
    classes: tuple[str, ...]
    image: str | Inside
    text: str | None = None
    text_file: str | None = None
    number: int | None = None
    text_name: str | None = None

    @property
    def text_id(self) -> str:
        """The name of the text: its own, or that of the image, with the number of several: "cat/001.jpg#2"."""
        return self.text_name or (self.id if self.number is None else f"{self.id}#{self.number}")


def kind_of_file(name: str) -> str:
    """The modality of a file by what its name ends with; "" of others.

    >>> kind_of_file("train/bell/1.WAV"), kind_of_file("1.jpg"), kind_of_file("1.txt"), kind_of_file("1.json")
    ('audio', 'image', 'text', '')
    """
    return KINDS.get(os.path.splitext(name)[1].lower(), "")


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
    return decoded(image_bytes(root, item), item)


def image_bytes(root: pathlib.Path, item: Item) -> bytes:
    """The bytes of the image of an item, see `read`; raises BadItem."""
    return read(root, item.image) if isinstance(item.image, str) else item.image.read(root)


def decoded(content: bytes, item: Item) -> NDArray:
    """The image of an item, of which the bytes are read; see `read_image`."""
    try:
        return image_files.decode(content, str(item.image))
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
            raise BadItem("text is too long", f"{name} ({counted(size, 'byte')}, at most {limit:,})")
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
