"""Reads .npy and .npz files that anyone may have written: what they claim is checked before memory is taken for it."""
import math
import os
import pathlib
import zipfile
from collections.abc import Iterable
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted

KINDS = "biufcSU"  # of types; objects are pickles, and records are no matrices
MAPPED = ((np.float32, 2), (np.float32, 3), (np.int32, 2))  # types and ranks of arrays that may stay in their file
RATIO = 500
ALWAYS = 2**28


def largest(file_size: int) -> int:
    """Bytes that a file may unpack to: 256 MiB, or five hundred times its size.

    Deflate makes up to 1,032 bytes of one: 6 MB can hold 4 GB of zeros. The emptiest matrices that people pack, 4 to 8
    tags of 1,000 as doubles, come to 320 to 440.
    """
    return max(ALWAYS, RATIO * file_size)


def check_size(size: int, file_size: int) -> None:
    """Raises ValueError if a file of so many bytes may not unpack to `size` bytes."""
    if size > largest(file_size):
        raise ValueError(
            f"its {counted(file_size, 'byte unpacks', 'bytes unpack')} to {size:,}, more than {largest(file_size):,}; "
            "store the arrays uncompressed and dense, or as smaller numbers"
        )


def read_npz(path: str | os.PathLike, names: Iterable[str] | None = None) -> dict[str, NDArray]:
    """Reads the arrays of a .npz file.

    Args:
      path: pathlib.Path or str.
      names: those to read; None: all.

    Returns:
      name -> array, in the order of the file; without the names that it has not got.

    Raises:
      InputError: it is no archive of plain arrays, is damaged, or would unpack to more than `largest`.
    """
    name = None
    try:
        file_size = pathlib.Path(path).stat().st_size
        with zipfile.ZipFile(path) as archive:
            members = {info.filename.removesuffix(".npy"): info for info in archive.infolist()}
            members = {name: info for name, info in members.items() if names is None or name in names}
            check_size(sum(info.file_size for info in members.values()), file_size)
            arrays = {}
            for name, info in members.items():
                # NumPy writes no other. The others' decoders take a block at once, whatever it unpacks to.
                if info.compress_type not in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
                    raise ValueError("it is compressed by another method than numpy.savez_compressed has")
                with archive.open(info) as stream:
                    arrays[name] = _read(stream, info.file_size)
    except MemoryError:  # the file may be whole
        raise
    except Exception as error:  # zipfile and NumPy raise a dozen different types on damaged files
        raise refusal(path, name, error) from error
    return arrays


def read_npy(path: str | os.PathLike, mapped: bool = False) -> NDArray:
    """Reads the array of a .npy file.

    Args:
      path: pathlib.Path or str.
      mapped: True leaves a matrix or map of float32, or tokens of int32, in C order in their file: numpy.memmap.

    Returns:
      The array.

    Raises:
      InputError: it holds no plain array, or less of it than it claims.
    """
    try:
        with open(path, "rb") as stream:
            array = _read(stream, pathlib.Path(path).stat().st_size, mapped)
        return np.load(path, mmap_mode="r", allow_pickle=False) if array is None else array
    except MemoryError:
        raise
    except Exception as error:  # NumPy raises half a dozen different types on damaged headers
        raise refusal(path, None, error) from error


def refusal(path: str | os.PathLike, name: str | None, error: Exception) -> InputError:
    """The InputError of an error that was raised at a file's `path`, or at the array `name` in it (None: no array)."""
    if isinstance(error, OSError) and error.strerror:
        return InputError(f"{path}: cannot be read ({error.strerror}); make it readable")
    if isinstance(error, zipfile.BadZipFile) and name is None:
        return InputError(f"{path}: is no .npz archive, or is cut off. Write it with numpy.savez.")
    what = f"{path}: array {name!r}" if name else f"{path}:"
    reason = " ".join(str(error).split())[:300] or type(error).__name__
    return InputError(
        f"{what} cannot be read ({reason}); expected plain arrays of numbers (strings for names), no objects. Write "
        f"the file with numpy.{'save' if str(path).endswith('.npy') else 'savez'} again."
    )


def _read(stream: IO[bytes], size: int, mapped: bool = False) -> Any:
    """The array of a .npy stream of so many bytes; None for one that is to be mapped."""
    version = np.lib.format.read_magic(stream)
    if version not in ((1, 0), (2, 0)):
        raise ValueError(f"version {version} of the format is for records alone")
    read = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran_order, dtype = read(stream)
    except MemoryError:  # so Python's parser calls brackets in brackets without end
        raise ValueError("its header is nested too deeply") from None
    if dtype.kind not in KINDS or not dtype.itemsize:
        raise ValueError(f"it is of type {dtype}")
    if not all(type(length) is int and length >= 0 for length in shape):  # True passes for a length in NumPy
        raise ValueError(f"its shape is {shape}")
    if math.prod(shape) * dtype.itemsize > size - stream.tell():
        raise ValueError(f"it claims the shape {shape}, and {counted(size, 'byte holds', 'bytes hold')} less")
    if mapped and (dtype, len(shape)) in MAPPED and not fortran_order:
        return None
    stream.seek(0)
    array = np.lib.format.read_array(stream, allow_pickle=False)
    if dtype.kind == "U":
        check_text(array)
    return array


def check_text(array: NDArray) -> None:
    """Raises ValueError if an array of strings holds what is no character, at which any use of it would end."""
    codes = array.reshape(-1).astype(array.dtype.newbyteorder("=")).view(np.uint32)
    if ((codes > 0x10FFFF) | ((codes >= 0xD800) & (codes < 0xE000))).any():
        raise ValueError("its strings hold what is no character")
