"""Reads XMediaFeatures.mat, in either of MATLAB's formats, and the lists of test items."""
import dataclasses
import re

import h5py
import numpy as np
import scipy.io
import scipy.sparse
from tfxmr_datasets import files

from tfxmr.errors import InputError

FILE = "XMediaFeatures.mat"
CLASSES = (
    "insect", "bird", "wind", "dog", "tiger", "explosion", "elephant", "flute", "airplane", "drum",
    "train", "laughter", "wolf", "thunder", "horse", "autobike", "gun", "stream", "piano", "violin",
)  # fmt: skip


@dataclasses.dataclass(frozen=True)
class Modality:
    """What the file says of one modality.

    Attributes:
      arrays: "train" and "test" -> name of the matrix.
      labels: "train" and "test" -> name of the vector of classes.
      dim: columns of the matrices.
      sizes: "train" and "test" -> rows; None for any number.
      list_file: the list of its test items.
    """

    arrays: dict
    labels: dict
    dim: int
    sizes: dict
    list_file: str


def _modality(array, label, dim, train, test, list_file):
    return Modality(
        arrays={"train": array.format("tr"), "test": array.format("te")},
        labels={"train": f"tr{label}Cat", "test": f"te{label}Cat"},
        dim=dim, sizes={"train": train, "test": test}, list_file=list_file,
    )  # fmt: skip


MODALITIES = {
    "image": _modality("I_{}_CNN", "Img", 4096, 4000, 1000, "test_img.txt"),
    "text": _modality("T_{}_BOW", "Txt", 3000, 4000, 1000, "test_txt.txt"),
    "video": _modality("V_{}_CNN", "Vid", 4096, None, None, "test_vid.txt"),  # videos, or shots of them
    "audio": _modality("A_{}", "Aud", 78, 800, 200, "test_aud.txt"),
    "shape3d": _modality("d3_{}", "3d", 4700, 400, 100, "test_3d.txt"),
}


def read(file, modality):
    """Reads one modality's matrices and classes.

    Args:
      file: path of XMediaFeatures.mat, of version 5 or, which is HDF5, 7.3.
      modality: a Modality.

    Returns:
      "train" and "test" -> (float32 (n, dim), int32 (n,) from 0 on).

    Raises:
      InputError: the file is damaged, or an array absent, not numeric, not finite or of another shape.
    """
    names = [*modality.arrays.values(), *modality.labels.values()]
    found = _read_hdf5(file, names) if _is_hdf5(file) else _read_version5(file, names)
    rows, labels = {}, {}
    for split in ("train", "test"):
        name, label = modality.arrays[split], modality.labels[split]
        for array in (name, label):
            if array not in found:
                raise InputError(f"{file}: holds no array {array!r}. Is it the right {FILE}?")
            if found[array].dtype.kind not in "fiub" or not np.isfinite(found[array]).all():
                raise InputError(f"{file}: array {array!r} is no matrix of finite real numbers.")
        labels[split] = found[label].ravel()
        size = modality.sizes[split] or labels[split].size
        if found[name].shape != (size, modality.dim) or labels[split].size != size:
            raise InputError(
                f"{file}: array {name!r} has shape {found[name].shape} and {label!r} {labels[split].size} entries, "
                f"expected ({size}, {modality.dim}) and {size}."
            )
        rows[split] = found[name].astype(np.float32)
    classes = np.unique(np.concatenate(list(labels.values())))
    for first in (0, 1):
        if np.array_equal(classes, np.arange(first, first + len(CLASSES))):
            return {split: (rows[split], (labels[split] - first).astype(np.int32)) for split in rows}
    raise InputError(
        f"{file}: {' and '.join(modality.labels.values())} hold the classes {classes.tolist()}, expected all of 1 to "
        f"{len(CLASSES)} or all of 0 to {len(CLASSES) - 1}."
    )


def _is_hdf5(file):
    """Version 7.3 files are HDF5 after a block of 512 bytes."""
    with file.open("rb") as stream:
        start = stream.read(520)
    return b"\x89HDF\r\n\x1a\n" in (start[:8], start[512:])


def _read_version5(file, names):
    try:
        with file.open("rb") as stream:
            found = scipy.io.loadmat(stream, variable_names=names)
        return {name: found[name].toarray() if scipy.sparse.issparse(found[name]) else found[name]
                for name in names if name in found}
    except Exception as error:  # SciPy raises a dozen different types on damaged files
        raise InputError(f"{file}: cannot be read as a MATLAB file ({error}). Copy it again.") from error


def _read_hdf5(file, names):
    """MATLAB stores columns first, so that h5py sees every matrix transposed."""
    found = {}
    try:
        with file.open("rb") as stream, h5py.File(stream, "r") as stored:
            for name in names:
                link = stored.get(name, getlink=True)
                if link is None:
                    continue
                array = stored[name] if isinstance(link, h5py.HardLink) else None
                if isinstance(array, h5py.Group) and "MATLAB_sparse" in array.attrs:
                    found[name] = _dense(array)
                elif isinstance(array, h5py.Dataset) and not array.external and not array.is_virtual:
                    found[name] = array[()].T
                else:  # it may name any other file of this machine
                    raise InputError(f"{file}: {name!r} is no array of this file itself.")
    except InputError:
        raise
    except (OSError, KeyError, RuntimeError, TypeError, ValueError) as error:
        raise InputError(f"{file}: cannot be read as a MATLAB 7.3 file ({error}). Copy it again.") from error
    return found


def _dense(group):
    """A sparse matrix: values, their rows, and where each column's begin; the attribute is the number of rows."""
    ends = group["jc"][()]
    values, rows = (group[part][()] if part in group else [] for part in ("data", "ir"))
    shape = int(group.attrs["MATLAB_sparse"]), len(ends) - 1
    return scipy.sparse.csc_matrix((values, rows, ends), shape).toarray()


def read_list(file, labels):
    r"""Reads a list of test items, whose lines are `<class number>_<class>\<name> <class, from 0 on>`.

    Args:
      file: path of the list.
      labels: (n,) the classes of the test rows.

    Returns:
      n names such as "19_piano/84.jpg".

    Raises:
      InputError: a malformed line, or the list is not of these rows in their order.
    """
    names = []
    for number, line in files.lines(file):
        if not line.strip():
            continue
        match = re.fullmatch(r"((\d+)_(\w+)[\\/][\w.-]+) (\d+)\s*", line)
        label = int(match[4]) if match else -1
        if not match or not 0 <= label < len(CLASSES) or (int(match[2]) - 1, match[3]) != (label, CLASSES[label]):
            raise InputError(rf"{file}, line {number}: found {line!r}, expected <number>_<class>\<name> <number - 1>.")
        if len(names) < len(labels) and label != labels[len(names)]:
            raise InputError(
                f"{file}, line {number}: is of class {CLASSES[label]}, and test row {number} of {FILE} of class "
                f"{CLASSES[labels[len(names)]]}: the list is of another order. Remove it; ids are then row numbers."
            )
        names.append(match[1].replace("\\", "/"))
    if len(names) != len(labels):
        raise InputError(f"{file}: has {len(names)} lines, expected {len(labels)} as {FILE} has test rows. Remove it.")
    return names
