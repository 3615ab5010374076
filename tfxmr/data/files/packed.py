"""Sounds, videos and 3D shapes inside other files, which a function that takes paths is lent as files of their own."""
import contextlib
import dataclasses
import hashlib
import os
import pathlib
import tempfile
from collections.abc import Callable, Iterator, Sequence

from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file
from tfxmr.data.files.media_files import FILES, BadItem, Inside

AT_ONCE = 2**28  # bytes of files that are lent together; one of more is lent alone


@dataclasses.dataclass(frozen=True)
class Packed:
    """A file inside another one.

    Attributes:
      root: the folder that is not left.
      inside: where it is.
      modality: of FILES.
    """

    root: pathlib.Path
    inside: Inside
    modality: str

    def __str__(self) -> str:
        return str(self.root / str(self.inside))

    @property
    def suffix(self) -> str:
        """What its name ends with, one of FILES; "" of any other. Raises OSError."""
        with _readable(self):
            found = os.path.splitext(self.inside.called(self.root))[1].lower()
        return found if found in FILES[self.modality] else ""

    @property
    def name(self) -> str:
        """A name that tells its kind; raises OSError."""
        return f"file{self.suffix}"

    @property
    def size(self) -> int:
        """Bytes of its content; raises OSError."""
        with _readable(self):
            return self.inside.length(self.root)

    def read_bytes(self) -> bytes:
        """Its content; raises OSError if it can be read no more."""
        with _readable(self):
            return self.inside.read(self.root)

    def write(self, path: pathlib.Path) -> pathlib.Path:
        """Writes its content into a file, whose path is returned; raises OSError."""
        with _readable(self), open(path, "xb") as file:
            file.writelines(self.inside.pieces(self.root))
        return path


@contextlib.contextmanager
def _readable(file: Packed) -> Iterator[None]:
    """Raises OSError for BadItem, as of a file of its own that is gone."""
    try:
        yield
    except BadItem as error:
        raise OSError(f"{file}: {': '.join(map(str, error.args))}") from error


def digest(file: pathlib.Path | Packed) -> str:
    """SHA-256 of a file's content, as hexadecimal digits, wherever it is; raises OSError."""
    if isinstance(file, pathlib.Path):
        return digest_file(file)
    found = hashlib.sha256()
    with _readable(file):
        for piece in file.inside.pieces(file.root):
            found.update(piece)
    return found.hexdigest()


def by_paths(
    function: Callable[[list[pathlib.Path], list[str]], NDArray], files: Sequence[pathlib.Path | Packed],
) -> list[NDArray]:
    """What a function makes of the paths of files, which have names of their own for messages.

    Packed ones are written into a temporary folder, which is removed as soon as the function has returned; their names
    there are numbers, whatever they are called inside. No more than AT_ONCE bytes lie there, but for a single file.

    Args:
      function: (paths, names) -> (n, d).
      files: in order.

    Returns:
      The arrays of some files each, in order.

    Raises:
      InputError: a packed file cannot be read, or not be written.
    """
    plain = [file for file in files if isinstance(file, pathlib.Path)]
    if len(plain) == len(files):
        return [function(plain, list(map(str, files)))]
    made = []
    for part in _parts(files):
        with tempfile.TemporaryDirectory(prefix="tfxmr-") as folder:
            paths = []
            for number, file in enumerate(part):
                try:
                    new = pathlib.Path(folder, f"{number}{getattr(file, 'suffix', '')}")
                    paths.append(file.write(new) if isinstance(file, Packed) else file)
                except OSError as error:
                    raise InputError(f"{file}: cannot be unpacked into {folder} ({error}); if that is full, name a "
                                     "larger folder by the environment variable TMPDIR") from error
            made.append(function(paths, list(map(str, part))))
    return made


def _parts(files: Sequence[pathlib.Path | Packed]) -> Iterator[list[pathlib.Path | Packed]]:
    """The files in parts of AT_ONCE bytes of packed ones, or of one file."""
    part: list[pathlib.Path | Packed] = []
    held = 0
    for file in files:
        size = 0
        if isinstance(file, Packed):
            with contextlib.suppress(OSError):  # which is told when it is written
                size = file.size
        if part and held + size > AT_ONCE:
            yield part
            part, held = [], 0
        part.append(file)
        held += size
    yield part
