"""The files that a user provides, in folders or in the archives they come in, found by their official names."""
import contextlib
import dataclasses
import io
import lzma
import os
import pathlib
import re
import shutil
import struct
import tempfile
import zipfile
import zlib
from collections.abc import Iterator, Sequence
from typing import Any, Self

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.wording import agreeing, counted
from tfxmr.data.files import archive, image_files

MAX_NAMED = 20  # missing files are named up to here and counted beyond: there may be 100,000 of them
MAX_BYTES = 2**30  # of one file read whole; no official one is as large
MAX_LINE = 2**24  # bytes of a line of a text file
# What damaged archives raise, besides InputError.
_DAMAGED = (zipfile.BadZipFile, zlib.error, lzma.LZMAError, struct.error, EOFError, OSError, RuntimeError, ValueError)


@contextlib.contextmanager
def _unpacking(what: object) -> Iterator[None]:
    """Turns what a damaged archive raises into InputError."""
    try:
        yield
    except InputError:
        raise
    except _DAMAGED as error:
        raise InputError(f"{what}: cannot be read ({error}). Copy the archive again.") from error


class _Stream(io.RawIOBase):
    """What an archive holds of a file, as a stream whose errors are InputErrors."""

    def __init__(self, member: "Member") -> None:
        self._member = member
        with _unpacking(member):
            self._file: Any = member.archive.open(member.name)  # which has `readinto`, though IO[bytes] has not

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        with _unpacking(self._member):
            return self._file.readinto(buffer)

    def seek(self, *position: int) -> int:
        with _unpacking(self._member):
            return self._file.seek(*position)

    def tell(self) -> int:
        return self._file.tell()


@dataclasses.dataclass(frozen=True)
class Member:
    """A file inside a .zip archive, which is read where it is: nothing is unpacked."""

    archive: zipfile.ZipFile
    name: str

    def __str__(self) -> str:
        return f"{self.archive.filename}: {self.name}"

    def open(self, mode: str = "rb") -> io.BufferedReader:
        """Opens it as a stream of bytes. Raises InputError, here or in reading, if it is damaged."""
        return io.BufferedReader(_Stream(self))

    def read_bytes(self) -> bytes:
        """Reads it whole. Raises InputError if it is damaged or larger than MAX_BYTES."""
        if self.archive.getinfo(self.name).file_size > MAX_BYTES:
            raise InputError(f"{self}: is larger than {MAX_BYTES} bytes, as no official file is.")
        with self.open() as stream:
            return stream.read()


File = pathlib.Path | Member  # what can be opened, and read whole by `read_bytes`


@contextlib.contextmanager
def on_disk(file: File) -> Iterator[str]:
    """The path of a file, in a `with` statement, for whose time a file inside an archive is unpacked.

    Raises:
      InputError: it is damaged, or unpacks to more than tfxmr.data.files.archive.largest.
    """
    if not isinstance(file, Member):
        yield os.fspath(file)
        return
    with tempfile.NamedTemporaryFile() as copy:
        try:
            info = file.archive.getinfo(file.name)
            archive.check_size(info.file_size, info.compress_size)
            with file.open() as stream:
                shutil.copyfileobj(stream, copy)
            copy.flush()
        except Exception as error:  # zipfile and its decoders raise half a dozen different types on damaged archives
            raise InputError(f"{file}: cannot be unpacked ({error}). Copy the archive again.") from error
        yield copy.name


class Files:
    """Finds official files below one folder: in it, in its subfolders, and in the .zip archives of these.

    Folders and archives are listed once, so that looking for 100,000 images takes seconds.

    Args:
      dataset: its --dataset name, for messages.
      root: the folder, on a local disk; None finds nothing.
      place: where missing files belong, for messages.
    """

    def __init__(self, dataset: str, root: Place, place: Place) -> None:
        self.dataset, self.place = dataset, place
        self._listings: dict[str, list[tuple[pathlib.Path, set[str]]]] = {}
        self._members: dict[str, Member] = {}
        folder = pathlib.Path(root) if root else None  # TFDS's own paths read lines three times as slowly
        self.folders = [folder, *(e for e in sorted(folder.iterdir()) if e.is_dir())] if folder else []
        for folder in self.folders:
            for path in sorted(folder.glob("*.zip")):
                self._index(path)

    @classmethod
    def of_download_manager(cls, dataset: str, dl_manager: Any) -> Self:
        """Those in the folder --manual_dir of a TFDS build."""
        try:
            root = dl_manager.manual_dir
        except AssertionError:  # TFDS's way to say that it does not exist or is empty
            root = None
        return cls(dataset, root, root or dl_manager._manual_dir)  # where that is: TFDS has no public name for it

    def find(self, *names: str) -> File | None:
        """The first file that has one of the names: a path or Member with `open` and `read_bytes`; or None."""
        for name in names:
            parent, _, last = name.rpartition("/")
            for place, listing in self._places(parent):
                if last in listing:
                    return place / last
            if name in self._members:
                return self._members[name]
        return None

    def require(self, *names: str | Sequence[str]) -> list[File]:
        """As `find` of each entry, a name or a tuple of alternatives. Raises InputError that lists what is missing."""
        wanted = [(name,) if isinstance(name, str) else name for name in names]
        found = [self.find(*alternatives) for alternatives in wanted]
        absent = [alternatives[0] for alternatives, file in zip(wanted, found, strict=True) if file is None]
        if absent:
            more = len(absent) - MAX_NAMED
            lines = [*absent[:MAX_NAMED], *([f"... and {more:,} more"] if more > 0 else [])]
            raise InputError(
                f"{self.dataset}: {counted(len(absent), 'file')} missing. Put {agreeing(len(absent), 'it', 'them')} "
                f"into the folder {self.place} (flag --manual_dir):\n  " + "\n  ".join(lines)
            )
        return [file for file in found if file is not None]

    def _places(self, parent: str) -> list[tuple[pathlib.Path, set[str]]]:
        """The folders of this relative path that there are, with the names of what is in them."""
        if parent not in self._listings:
            places = [folder / parent if parent else folder for folder in self.folders]
            self._listings[parent] = [(p, {path.name for path in p.iterdir()}) for p in places if p.is_dir()]
        return self._listings[parent]

    def _index(self, path: pathlib.Path) -> None:
        """Lists an archive's files, by their names and by their names without the first folder."""
        try:
            archive = zipfile.ZipFile(path)
        except _DAMAGED as error:
            raise InputError(f"{path}: is no readable zip archive ({error}). Copy it again.") from error
        for name in archive.namelist():
            if not safe_name(name):
                raise InputError(f"{path}: holds a file called {name!r}, which leads out of its folder. Do not use it.")
            if not name.endswith("/"):
                member = Member(archive, name)
                self._members.setdefault(name, member)
                self._members.setdefault(name.partition("/")[2] or name, member)


def safe_name(name: str) -> bool:
    """True if a relative path with slashes, from a list or an archive, leads to no place outside of its folder."""
    parts = pathlib.PurePosixPath(name).parts
    return bool(parts) and not name.startswith("/") and ".." not in parts and not re.search(r"[\\\0]|^\w:", name)


def lines(file: File) -> Iterator[tuple[int, str]]:
    """Yields (number from 1 on, line as str without its end) of a text file, one at a time; empty lines too.

    Raises:
      InputError: a line is longer than MAX_LINE, or the archive is damaged.
    """
    with file.open("rb") as stream:
        for number, line in enumerate(iter(lambda: stream.readline(MAX_LINE), b""), 1):
            if len(line) == MAX_LINE:
                raise InputError(f"{file}: line {number} is longer than {MAX_LINE} bytes. Is it the right file?")
            yield number, line.decode("utf-8-sig" if number == 1 else "utf-8", errors="replace").rstrip("\r\n")


def image(file: File) -> bytes:
    """The bytes of an image file that TFDS decodes as `image_files` does; raises InputError if it is none."""
    return image_files.encode(file.read_bytes(), str(file))
