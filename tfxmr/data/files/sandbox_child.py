"""The process that parses a MATLAB or HDF5 file for tfxmr.data.files.sandbox; it imports no more than that takes.

    python -P sandbox_child.py FILE JSON

The JSON object holds `names` (of the arrays to read, or null: all), `largest` (bytes that they may have together),
`memory` (bytes more than at the start) and `seconds` (of processor time). On the standard output come, for each array,
a line of JSON and then its bytes in C order:

    {"name": ..., "dtype": "<f8", "shape": [2, 3]}      an array
    {"name": ..., "unusable": "a MATLAB struct"}        no array of numbers or strings, without bytes
    {"error": ...}                                      the last line, where the file cannot be read
    {"end": true}                                       the last line, where all is there
"""
import itertools
import json
import math
import os
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

try:
    import resource
except ImportError:  # Windows
    resource = None  # type: ignore[assignment]

if TYPE_CHECKING:
    import h5py

BLOCK = 2**22  # bytes that are turned at once of a matrix in MATLAB's order
ITEM_SIZES = {"double": 8, "single": 4, "logical": 1, "char": 2} | {
    f"{sign}int{bits}": bits // 8 for sign in ("", "u") for bits in (8, 16, 32, 64)
}
INTERNAL = ("#refs#", "#subsystem#")  # groups of HDF5 files in which MATLAB keeps what cells and objects hold


class Unusable(str):
    """What stands in the place of an array, in words."""


Found = Iterator[tuple[str, NDArray | Unusable]]  # name -> what stands there


class Budget:
    """Counts the bytes of what is read, before memory is taken for it."""

    def __init__(self, largest: int) -> None:
        self.largest = self.left = largest

    def take(self, size: int) -> None:
        """Raises ValueError if there are not so many bytes left."""
        self.left -= size
        if self.left < 0:
            raise MemoryError


def attempt(function: Callable[..., NDArray | Unusable], *arguments: Any) -> NDArray | Unusable:
    """What the function returns, or Unusable where it fails: the other arrays of the file may be good."""
    try:
        return function(*arguments)
    except MemoryError:
        raise
    except Exception as error:  # SciPy and h5py raise a dozen different types on damaged data
        return Unusable(f"damaged ({one_line(error)})")


def dense(matrix: Any, budget: Budget) -> NDArray:
    """A sparse matrix of SciPy, by rows or columns, as an array, once its indices are found to lie within it."""
    budget.take(math.prod(matrix.shape) * matrix.dtype.itemsize)
    if (np.diff(matrix.indptr) < 0).any():  # which SciPy's check skips where the last one is 0
        raise ValueError("a sparse matrix has a row or column that ends before it begins")
    matrix.check_format(full_check=True)  # SciPy's own conversions write wherever the indices say
    return matrix.toarray()


def strings(values: Iterable[str], budget: Budget) -> NDArray:
    """A list of str as an array (n,), without the blanks that MATLAB pads the rows of a matrix of characters with."""
    values = [value.rstrip(" \0").encode(errors="replace").decode() for value in values]
    budget.take(4 * len(values) * max(map(len, values), default=0))
    return np.array(values, str) if values else np.empty(0, "U1")


def listed(name: str, fields: Iterable[str]) -> str:
    """The full names of fields of a struct or members of a group, in words; ten at most."""
    names = [f"{name}/{field}" for field in itertools.islice(fields, 11)]
    return ", ".join(names[:10] + ["more"][: len(names) > 10])


# ---- MATLAB's version 5


def read_version5(path: str, names: list[str] | None, budget: Budget) -> Found:
    """Yields (name, array or Unusable) of a MATLAB file up to version 7."""
    import scipy.io

    claimed = Budget(budget.largest)
    for name, shape, kind in scipy.io.whosmat(path):
        if names is None or name in names:
            claimed.take(math.prod(shape) * ITEM_SIZES.get(kind, 0))
    found = scipy.io.loadmat(path, variable_names=names)
    for name in [name for name in found if not name.startswith("__")]:
        yield from of_version5(name, found.pop(name), budget)


def of_version5(name: str, value: Any, budget: Budget) -> Found:
    """Yields (name, array or Unusable) of what SciPy makes of a variable: also of the fields of a struct."""
    import scipy.sparse

    if scipy.sparse.issparse(value):
        yield name, attempt(dense, value, budget)
    elif not isinstance(value, np.ndarray):
        yield name, Unusable(f"a MATLAB {type(value).__name__}")
    elif type(value) is not np.ndarray:  # SciPy's MatlabObject, MatlabFunction, MatlabOpaque
        yield name, Unusable("a MATLAB object or function; in MATLAB, cellstr and table2array make arrays")
    elif value.dtype.names:
        yield name, Unusable(f"a MATLAB struct; its fields are {listed(name, value.dtype.names)}")
        if value.size == 1:
            for field in value.dtype.names:
                yield from of_version5(f"{name}/{field}", value[field].item(), budget)
    elif value.dtype.kind == "O":
        cells = [cell for cell in value.flat if isinstance(cell, np.ndarray)]
        texts = [cell for cell in cells if cell.dtype.kind == "U" and cell.size < 2]
        if len(texts) < value.size:
            yield name, Unusable("a MATLAB cell array of other things than strings")
        else:
            yield name, strings(["".join(text.flat) for text in texts], budget)
    elif value.dtype.kind == "U":
        yield name, strings(value.reshape(-1).tolist(), budget)
    else:
        budget.take(value.nbytes)
        yield name, value


# ---- HDF5, which MATLAB's version 7.3 is


def read_hdf5(path: str, names: list[str] | None, budget: Budget) -> Found:
    """Yields (name, array or Unusable) of an HDF5 file; names in groups are joined by "/"."""
    import h5py

    with open(path, "rb") as stream:
        matlab = stream.read(10) == b"MATLAB 7.3"
    with h5py.File(path, "r") as file:
        groups, seen = [("", file)], set()
        while groups:
            prefix, group = groups.pop()
            address = h5py.h5o.get_info(group.id).addr
            if address in seen:  # links may go round in circles
                continue
            seen.add(address)
            for name in group:
                full = prefix + name
                wanted = names is None or any(n == full or n.startswith(f"{full}/") for n in names)
                if full in INTERNAL or not wanted:
                    continue
                if not isinstance(group.get(name, getlink=True), h5py.HardLink):
                    yield full, Unusable("a link to elsewhere, which is not followed")
                    continue
                item = group[name]
                if isinstance(item, h5py.Dataset):
                    yield full, attempt(of_dataset, file, item, matlab, budget)
                elif not isinstance(item, h5py.Group):
                    yield full, Unusable("a type without data")
                elif "MATLAB_sparse" in item.attrs:
                    yield full, attempt(of_sparse, item, budget)
                else:
                    yield full, Unusable(f"a group or MATLAB struct; it holds {listed(full, item)}")
                    groups.append((f"{full}/", item))


def of_dataset(file: "h5py.File", item: "h5py.Dataset", matlab: bool, budget: Budget) -> NDArray | Unusable:
    """The array of a dataset, or Unusable. MATLAB stores columns first, so that h5py sees every array transposed."""
    import h5py

    if item.external or item.is_virtual:  # these name any other file of this machine
        return Unusable("stored in other files, which are not opened")
    if item.shape is None:
        return Unusable("an empty dataset")
    kind = item.attrs.get("MATLAB_class", b"")
    kind = kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)
    if "MATLAB_empty" in item.attrs:  # then its values are its shape
        return np.empty(0, "U1") if kind in ("char", "cell") else np.zeros(0)
    if kind == "char":
        return strings(characters(item, budget), budget)
    if kind == "cell" or h5py.check_ref_dtype(item.dtype):
        return of_cell(file, item, budget)
    if kind in ("string", "table", "datetime", "function_handle"):
        return Unusable(f"a MATLAB {kind}; in MATLAB, cellstr and table2array make arrays")
    if h5py.check_string_dtype(item.dtype):
        budget.take(item.size * item.dtype.itemsize)
        return strings(np.ravel(item.asstr(errors="replace")[()]).tolist(), budget)
    if item.dtype.kind not in "biuf":
        return Unusable("complex numbers" if item.dtype.names == ("real", "imag") else f"an HDF5 array of {item.dtype}")
    budget.take(item.size * item.dtype.itemsize)
    values = item[()]
    return values.T if matlab and isinstance(values, np.ndarray) else np.asarray(values)


def characters(item: "h5py.Dataset", budget: Budget) -> list[str]:
    """The rows of a MATLAB matrix of characters, which are numbers of UTF-16: list of str."""
    if item.dtype.kind not in "iu" or item.ndim != 2:
        raise ValueError(f"{item.name} holds no characters")
    budget.take(item.size * item.dtype.itemsize)
    return [row.astype("<u2").tobytes().decode("utf-16-le", errors="replace") for row in item[()].T]


def of_cell(file: "h5py.File", item: "h5py.Dataset", budget: Budget) -> NDArray | Unusable:
    """The strings of a MATLAB cell array, each of which is a dataset of its own that a reference leads to."""
    import h5py

    if h5py.check_ref_dtype(item.dtype) is not h5py.Reference:
        return Unusable("a MATLAB cell array without references")
    budget.take(item.size * item.dtype.itemsize)
    texts = []
    for reference in np.ravel(item[()].T):
        cell = file[reference] if reference else None
        kind = cell.attrs.get("MATLAB_class", b"") if isinstance(cell, h5py.Dataset) else b""
        if cell is None or kind not in (b"char", "char") or cell.external or cell.is_virtual:
            return Unusable("a cell array, or references, to other things than strings")
        rows = [""] if "MATLAB_empty" in cell.attrs else characters(cell, budget)
        if len(rows) != 1:
            return Unusable("a cell array of matrices of characters")
        texts += rows
    return strings(texts, budget)


def of_sparse(group: "h5py.Group", budget: Budget) -> NDArray | Unusable:
    """A sparse matrix: values, their rows, and where each column's begin; the attribute is the number of rows."""
    import h5py
    import scipy.sparse

    parts = {}
    for name in ("data", "ir", "jc"):
        item = group[name] if isinstance(group.get(name, getlink=True), h5py.HardLink) else None
        if not isinstance(item, h5py.Dataset):
            parts[name] = np.zeros(0, np.float64 if name == "data" else np.uint64)  # of a matrix without values
            continue
        if item.external or item.is_virtual or item.ndim != 1 or item.dtype.kind not in "biuf":
            return Unusable("a sparse matrix without the vectors data, ir and jc")
        budget.take(item.size * item.dtype.itemsize)
        parts[name] = item[()]
    rows, columns = int(np.ravel(group.attrs["MATLAB_sparse"])[0]), len(parts["jc"]) - 1
    if any((parts[name] >= 2**63).any() for name in ("ir", "jc")):  # these would wrap around
        raise ValueError("a sparse matrix has rows or columns that lie outside of it")
    indices = parts["ir"].astype(np.int64), parts["jc"].astype(np.int64)
    return dense(scipy.sparse.csc_array((parts["data"], *indices), (rows, columns)), budget)


# ---- what comes out


def write(stream: BinaryIO, name: str, value: NDArray | Unusable) -> None:
    """Writes one array as this module's documentation says."""
    if not isinstance(value, Unusable) and value.dtype.kind not in "biufU":
        value = Unusable("complex numbers" if value.dtype.kind == "c" else f"an array of {value.dtype}")
    if isinstance(value, Unusable):
        write_line(stream, name=name, unusable=value)
        return
    write_line(stream, name=name, dtype=value.dtype.str, shape=value.shape)
    if value.flags.c_contiguous:
        stream.write(value.reshape(-1).view(np.uint8).data)
        return
    rows = max(1, BLOCK * len(value) // value.nbytes)
    for start in range(0, len(value), rows):
        stream.write(value[start : start + rows].tobytes())


def write_line(stream: BinaryIO, **entries: Any) -> None:
    """Writes a line of JSON."""
    entries = {k: v.encode(errors="replace").decode() if isinstance(v, str) else v for k, v in entries.items()}
    stream.write(json.dumps(entries).encode() + b"\n")


def one_line(error: Exception) -> str:
    """The message of an error, in a line of printable characters."""
    return " ".join(re.sub(r"[^ -~]", " ", str(error)).split())[:200] or type(error).__name__


def main(path: str, options: dict[str, Any]) -> int:
    """Reads the file and writes its arrays. Returns the exit status."""
    out = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # whatever the libraries print is no part of the arrays
    with open(path, "rb") as stream:
        hdf5 = any(stream.seek(at) == at and stream.read(8) == b"\x89HDF\r\n\x1a\n" for at in (0, 512, 1024, 2048))
    if hdf5:
        import h5py  # noqa: F401
    else:
        import scipy.io  # noqa: F401
    limit(options["memory"], options["seconds"])
    try:
        for name, value in (read_hdf5 if hdf5 else read_version5)(path, options["names"], Budget(options["largest"])):
            write(out, name, value)
        last: dict[str, Any] = {"end": True}
    except MemoryError:
        last = {"error": "memory"}
    except Exception as error:  # SciPy and h5py raise a dozen different types on damaged files
        last = {"error": one_line(error)}
    write_line(out, **last)
    out.flush()
    return 0


def limit(memory: int, seconds: int) -> None:
    """Bounds this process: bytes more than now, and seconds of the processor's time.

    Windows has no such limits: what was read is counted, and the parent looks at the clock.
    """
    if resource is None:
        return
    lower(resource.RLIMIT_CPU, seconds)
    lower(resource.RLIMIT_CORE, 0)
    try:
        with open("/proc/self/statm") as file:
            now = int(file.read().split()[0]) * resource.getpagesize()
    except OSError:  # no Linux: what was read is counted all the same
        return
    lower(resource.RLIMIT_AS, now + memory)


def lower(kind: int, value: int) -> None:
    """Sets a limit of this process, unless a lower one is there, as `ulimit` and batch systems set them."""
    soft, hard = resource.getrlimit(kind)
    known = [limit for limit in (value, soft, hard) if limit != resource.RLIM_INFINITY]
    resource.setrlimit(kind, (min(known), hard))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1], json.loads(sys.argv[2])))
