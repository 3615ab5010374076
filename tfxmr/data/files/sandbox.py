"""Parses MATLAB and HDF5 files in a process of its own, whose end is an error and not the end of this one.

SciPy's and HDF5's parsers are native code, which a damaged file, or one that means harm, can make crash, loop for ever
or take all memory.
"""
import io
import json
import math
import os
import pathlib
import re
import signal
import subprocess
import sys
import tempfile
import threading
from collections.abc import Sequence
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data.files import archive

CHILD = pathlib.Path(__file__).with_name("sandbox_child.py")
HDF5 = b"\x89HDF\r\n\x1a\n"
_LINE = 2**20  # bytes of a line of JSON at most


class Unusable(str):
    """What a file holds in the place of an array of numbers or strings, in words."""


def read(
    path: str | os.PathLike, names: Sequence[str] | None = None, remedy: str = "Save its matrices as .npz",
    called: Any = None,
) -> dict[str, NDArray | Unusable]:
    """Reads the arrays of a MATLAB file (of any version) or an HDF5 file.

    Args:
      path: path of the file.
      names: names of the arrays to read; None: all.
      remedy: what helps if the file cannot be read, for the message.
      called: what messages call the file; None: its path.

    Returns:
      name -> array of numbers or strings, as MATLAB shows it, or Unusable. Sparse matrices become dense; cell arrays of
      strings and matrices of characters become strings (n,). The fields of a struct and the members of an HDF5 group
      stand under its name, "/" and theirs. Names that the file has not got are skipped.

    Raises:
      InputError: the file is damaged, or unpacks to more than tfxmr.data.files.archive.largest, or takes too long.
    """
    called = called or path
    try:
        with open(path, "rb") as file:
            size = os.fstat(file.fileno()).st_size
    except OSError as error:
        raise InputError(f"{called}: cannot be read ({error.strerror}); make it readable") from None
    largest = archive.largest(size)
    # Seconds of the processor: some to start on a slow machine, and the rest to unpack at 100 MB/s. On a loaded machine
    # or a slow disk ten times as long may go by. SciPy takes up to 2.5 times a matrix to unpack it.
    options = {"names": names, "largest": largest, "memory": size + 3 * largest + 2**26,
               "seconds": 5 + largest // 100_000_000}
    try:
        return _run(os.fspath(path), options)
    except _Failure as failure:
        raise InputError(f"{called}: {failure}. {remedy}.") from None


def is_hdf5(path: str | os.PathLike) -> bool:
    """True if a file is HDF5, as MATLAB's version 7.3 is after a block of 512 bytes."""
    with open(path, "rb") as stream:
        return any(stream.seek(at) == at and stream.read(8) == HDF5 for at in (0, 512, 1024, 2048))


class _Failure(Exception):
    """Why a file cannot be read."""


def _run(path: str, options: dict[str, Any]) -> dict[str, NDArray | Unusable]:
    """Runs the child and takes over its arrays."""
    environment = os.environ | {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1"}  # threads take address space
    arguments = [sys.executable, "-P", str(CHILD), path, json.dumps(options)]  # -P: not the modules beside the child
    with tempfile.TemporaryFile() as complaints, subprocess.Popen(
        arguments, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=complaints, env=environment
    ) as child:
        stream: Any = child.stdout  # a pipe
        late = threading.Event()

        def end() -> None:
            late.set()
            child.kill()

        timer = threading.Timer(10 * options["seconds"], end)
        timer.start()
        try:
            return _take_over(stream, options["largest"])
        except MemoryError:
            raise _Failure("unpacks to more than the memory that is free") from None
        except (ValueError, KeyError, TypeError):  # it ended in the middle, or sends anything after a crash
            stream.close()  # or it may wait for ever to send the rest
            raise _Failure(_end(child.wait(), late.is_set(), options["seconds"], complaints)) from None
        finally:
            timer.cancel()
            child.kill()


def _end(status: int, late: bool, seconds: int, complaints: IO[bytes]) -> str:
    """What the end of a child without an answer means."""
    ended_by = signal.Signals(-status).name if status < 0 else ""
    if late or ended_by == "SIGXCPU":
        return f"cannot be read: its reader was not done after {seconds} s"
    if ended_by:
        return f"is damaged: its reader crashed on it ({ended_by})"
    complaints.seek(0)
    lines = complaints.read().decode(errors="replace").strip().splitlines()
    return f"cannot be read: its reader ended with status {status} ({lines[-1] if lines else 'no message'})"


def _take_over(stream: io.BufferedReader, largest: int) -> dict[str, NDArray | Unusable]:
    """The arrays that a child sends. It may send anything: ValueError, KeyError or TypeError if it is no answer."""
    found: dict[str, NDArray | Unusable] = {}
    left = largest
    while "end" not in (head := json.loads(stream.readline(_LINE))):
        if "error" in head:
            too_large = f"unpacks to more than {counted(largest, 'byte')}, too much for a file of its size"
            raise _Failure(too_large if head["error"] == "memory" else f"cannot be read ({head['error']})")
        if "unusable" in head:
            found[head["name"]] = Unusable(head["unusable"])
            continue
        if not re.fullmatch(r"[<>|=][biufU]\d+", head["dtype"]):
            raise ValueError(head["dtype"])
        dtype, shape = np.dtype(head["dtype"]), tuple(map(int, head["shape"]))
        size = math.prod(shape) * dtype.itemsize
        left -= size
        if left < 0:
            raise ValueError("more than it was allowed")
        buffer = np.empty(size, np.uint8)
        if stream.readinto(buffer.data) < size:
            raise ValueError("cut off")
        array = buffer.view(dtype).reshape(shape)
        if dtype.kind == "U":
            archive.check_text(array)
        found[head["name"]] = array
    return found
