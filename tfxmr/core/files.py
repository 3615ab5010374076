"""Files that are written whole or not at all, and read back with an error that names the file and the remedy."""
import contextlib
import errno
import hashlib
import json
import os
import pathlib
import re
from collections.abc import Iterator
from typing import Any, BinaryIO

from tfxmr.core.errors import InputError

Place = str | os.PathLike | None  # a path as users give it; None: where it is by default, or none


def to_json(value: Any) -> str:
    """JSON text, readable, with a final newline."""
    return json.dumps(value, indent=1) + "\n"


def read_json(path: pathlib.Path, remedy: str, kind: type | tuple[type, ...] = dict) -> Any:
    """Reads a JSON file of this project's own.

    Args:
      path: pathlib.Path.
      remedy: what to do if it is damaged, for the message: "start the extraction again with a new --out".
      kind: type of what it holds, or a tuple of types.

    Returns:
      What it holds, of that type.

    Raises:
      InputError: it is missing, cannot be read, is no JSON, or holds something else.
    """
    try:
        text = path.read_text(encoding="utf-8")
        value = json.loads(text)
        if "\\ud" in text.lower():  # halves of characters, at which any writing of them would end; but as `write_text`
            json.dumps(value, ensure_ascii=False).encode(errors="surrogateescape")
    except FileNotFoundError:
        raise InputError(f"{path}: is missing; {remedy}") from None
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    except (ValueError, RecursionError) as error:  # also bytes that are no UTF-8
        raise InputError(f"{path}: is damaged ({str(error) or 'nested too deeply'}); {remedy}") from error
    if not isinstance(value, kind):
        raise InputError(f"{path}: is damaged (it holds a {type(value).__name__}); {remedy}")
    return value


def write_text(path: pathlib.Path, text: str) -> None:
    """Writes a text file in UTF-8 as `replacing` does; bytes of file names that are no UTF-8 stay as they are."""
    write_bytes(path, text.encode(errors="surrogateescape"))


def write_bytes(path: pathlib.Path, content: bytes) -> None:
    """Writes a file as `replacing` does."""
    with replacing(path) as file:
        file.write(content)


@contextlib.contextmanager
def replacing(path: pathlib.Path) -> Iterator[BinaryIO]:
    """Opens a binary file that takes the place of `path` (pathlib.Path) at the end of the `with` block.

    A reader, or a kill at any moment, finds the old content or the new one whole; an error in the block leaves the old.

    Raises:
      OSError: it cannot be written; its `filename` is `path`, so that a message can name it.
    """
    # By hand: Python has no such function, and the packages for it are kept no more (atomicwrites), or sync nothing.
    temporary = path.with_name(path.name + ".tmp")
    try:
        with open(temporary, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        with contextlib.suppress(OSError):
            temporary.unlink()  # of a full disk every byte is wanted
        error.filename, error.filename2 = str(path), None  # a failed write names no file
        raise


# What usually helps, by the system's error number. None of it loses anything.
REMEDIES = {
    errno.ENOSPC: "free some space there, or give another folder",
    errno.EDQUOT: "free some of your quota there, or give another folder",
    errno.EFBIG: "raise the limit on the size of files (ulimit -f), or give another folder",
    errno.EROFS: "give a folder that can be written",
    errno.EACCES: "change its permissions, or give another one",
    errno.EPERM: "change its permissions, or give another one",
    errno.ENOTDIR: "a part of this path is a file; give another one",
    errno.EEXIST: "a part of this path is a file; give another one",
    errno.EISDIR: "give a file, not a folder",
    errno.ENOENT: "it, or a folder above it, is missing or was removed meanwhile; put it back, or give another one",
    errno.ENAMETOOLONG: "give a shorter name",
    errno.EMFILE: "raise the limit on open files (ulimit -n)",
    errno.ENOMEM: "close other programs, or use a machine with more memory",
}


def explain(error: OSError) -> str:
    """One line on an error of the system: the path, what is wrong, and what usually helps."""
    path = os.fsdecode(error.filename) if isinstance(error.filename, str | bytes) else None
    remedy = REMEDIES.get(error.errno or 0, "see to that disk or file")
    parts = [path, f"{error.strerror or error}; {remedy}, and give the same command again"]
    return ": ".join(part for part in parts if part)


def system_error(error: Exception, path: str | os.PathLike | None = None) -> OSError | None:
    """The OSError behind an error of TensorFlow's, which tells the system's reason in words alone.

    Args:
      error: TensorFlow's.
      path: the file or folder that it is about; None takes it from the words, "/a/file; No space left on device".

    Returns:
      OSError, or None if the error's words hold no such reason.
    """
    numbers = (*REMEDIES, errno.EIO, errno.ESTALE)
    number = next((n for n in numbers if os.strerror(n).lower() in str(error).lower()), None)
    found = re.search(r"(/[^;]+); ", str(error))
    return OSError(number, os.strerror(number), str(path or (found[1] if found else "a file"))) if number else None


def digest_file(path: str | os.PathLike) -> str:
    """SHA-256 of a file's content, as hexadecimal digits."""
    with open(pathlib.Path(path).expanduser(), "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
