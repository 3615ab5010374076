"""Arrays in .npy files that are filled block by block, and resumed at the block that was not finished."""
import errno
import hashlib
import io
import math
import os
import pathlib
import shutil
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import write_text
from tfxmr.core.wording import agreeing, counted

NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


def allocate(path: pathlib.Path, shape: Sequence[int], dtype: np.dtype) -> None:
    """Makes a file that holds an array of a shape and type, as long as it is to be; keeps the rows that are there.

    A write to a mapped file on a full disk kills the process without a word (SIGBUS), so the room is taken before.
    """
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(dtype)
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    size = len(header.getvalue()) + dtype.itemsize * math.prod(shape)
    old = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "r+b" if path.exists() else "xb") as file:
            # Only truncated, a file has holes. macOS has no such call.
            getattr(os, "posix_fallocate", lambda *_: None)(file.fileno(), 0, size)
            file.truncate(size)
            file.write(header.getvalue())
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        free = shutil.disk_usage(path.parent).free
        raise InputError(
            f"--out={path.parents[1]}: {path.parent.name}/{path.name} needs {counted(max(size - old, 0), 'byte')} "
            f"more, and {free:,} {agreeing(free, 'is', 'are')} free ({error.strerror}); make room and start the same "
            "command again, or give an --out on another disk"
        ) from error


def fill(
    path: pathlib.Path, log: pathlib.Path, rows_from: Callable[[int], Iterable[tuple[NDArray, bytes]]],
) -> tuple[str, str]:
    """Writes the rows of an array that `allocate` has made, from the first row that is not yet there.

    Rows that are there are taken for what was written only if their digest says so; others are made again.

    Args:
      path: of the array.
      log: file that gets a line for each block that is safely on the disk: the number of rows up to its end, the
        chained digest of what they were made of, and the digest of these rows.
      rows_from: function of the number of rows done that yields what follows: pairs of rows (k, ...) and the bytes that
        they were made of.

    Returns:
      (chained digest of what all rows were made of, digest of the rows).
    """
    array = np.lib.format.open_memmap(path, "r+")
    log.parent.mkdir(exist_ok=True)
    done, source_sha256, digest = resumed(array, path, log)
    if done < len(array):
        with open(log, "a", encoding="ascii") as file:
            for rows, source in rows_from(done):
                rows = np.ascontiguousarray(rows, array.dtype)
                array[done : done + len(rows)] = rows
                array.flush()  # before the line that says so
                done += len(rows)
                source_sha256 = hashlib.sha256(source_sha256.encode() + source).hexdigest()
                digest.update(rows)
                file.write(f"{done} {source_sha256} {digest.hexdigest()}\n")
                file.flush()
                os.fsync(file.fileno())
    return source_sha256, digest.hexdigest()


def resumed(array: NDArray, path: pathlib.Path, log: pathlib.Path) -> tuple[int, str, Any]:
    """What of an array that was being filled is whole, by the log of its blocks.

    Args:
      array: the rows, (n, ...), mapped.
      path: of its file, for the warning.
      log: of the blocks, which loses the lines of those that are not what was written.

    Returns:
      (Number of rows that hold what was written, digest of their media, the hash object of their bytes.)
    """
    done, source_sha256, digest, kept = 0, "", hashlib.sha256(), []
    text = log.read_text(encoding="ascii", errors="replace") if log.exists() else ""
    lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]  # a kill may cut off the last
    for line in lines:
        number, source, expected = (line.split() + [""] * 3)[:3]
        end = int(number) if number.isdecimal() and len(number) < 19 else 0
        trial = digest.copy()
        trial.update(array[done:end].data)
        if not done < end <= len(array) or trial.hexdigest() != expected:
            break
        done, source_sha256, digest = end, source, trial
        kept.append(line)
    if len(kept) < len(lines):
        warnings.warn(f"{path}: row {done} and those after it are not what was written there; they "
                      "are made again", stacklevel=3)
    if "".join(kept) != text:
        write_text(log, "".join(kept))
    return done, source_sha256, digest
