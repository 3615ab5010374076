"""Reads XMediaFeatures.mat, in either of MATLAB's formats, and the lists of test items."""
import dataclasses
import re
from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray
from tfxmr_datasets import files

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data.files import sandbox

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


def _modality(array: str, label: str, dim: int, train: int | None, test: int | None, list_file: str) -> Modality:
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


def read(file: files.File, modality: Modality) -> dict[str, tuple[NDArray, NDArray]]:
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
    with files.on_disk(file) as path:
        found = sandbox.read(path, names, "Copy it again", called=file)
    rows, labels = {}, {}
    for split in ("train", "test"):
        name, label = modality.arrays[split], modality.labels[split]
        matrix, classes = _real(file, name, found), _real(file, label, found).ravel()
        size = modality.sizes[split] or classes.size
        if matrix.shape != (size, modality.dim) or classes.size != size:
            raise InputError(
                f"{file}: array {name!r} has shape {matrix.shape} and {label!r} {counted(classes.size, 'entry')}, "
                f"expected ({size}, {modality.dim}) and {size}."
            )
        rows[split], labels[split] = matrix.astype(np.float32), classes
    classes = np.unique(np.concatenate(list(labels.values())))
    for first in (0, 1):
        if np.array_equal(classes, np.arange(first, first + len(CLASSES))):
            return {split: (rows[split], (labels[split] - first).astype(np.int32)) for split in rows}
    raise InputError(
        f"{file}: {' and '.join(modality.labels.values())} hold the classes {classes.tolist()}, expected all of 1 to "
        f"{len(CLASSES)} or all of 0 to {len(CLASSES) - 1}."
    )


def _real(file: files.File, name: str, found: Mapping[str, NDArray | sandbox.Unusable]) -> NDArray:
    """An array of real numbers among those of a file; raises InputError if it is none."""
    if name not in found:
        raise InputError(f"{file}: holds no array {name!r}. Is it the right {FILE}?")
    array = found[name]
    if isinstance(array, sandbox.Unusable):
        raise InputError(f"{file}: array {name!r} is no matrix of finite real numbers but {array}. "
                         "Copy the file again.")
    if array.dtype.kind not in "fiub" or not np.isfinite(array).all():
        raise InputError(f"{file}: array {name!r} is no matrix of finite real numbers.")
    return array


def read_list(file: files.File, labels: Sequence[int] | NDArray) -> list[str]:
    r"""Reads a list of test items, whose lines are `<class number>_<class>\<name> <class, from 0 on>`.

    Args:
      file: path of the list.
      labels: (n,) the classes of the test rows.

    Returns:
      n names such as "19_piano/84.jpg".

    Raises:
      InputError: a malformed line, or the list is not of these rows in their order.
    """
    names: list[str] = []
    for number, line in files.lines(file):
        if not line.strip():
            continue
        match = re.fullmatch(r"(([0-9]{1,3})_(\w+)[\\/][\w.-]+) ([0-9]{1,3})\s*", line)
        label = int(match[4]) if match else -1
        if not match or not 0 <= label < len(CLASSES) or (int(match[2]) - 1, match[3]) != (label, CLASSES[label]):
            raise InputError(f"{file}, line {number}: found {line[:80]!r}, expected "
                             r"<number>_<class>\<name> <number - 1>.")
        if len(names) < len(labels) and label != labels[len(names)]:
            raise InputError(
                f"{file}, line {number}: is of class {CLASSES[label]}, and test row {number} of {FILE} of class "
                f"{CLASSES[labels[len(names)]]}: the list is of another order. Omit it; ids are then row numbers."
            )
        names.append(match[1].replace("\\", "/"))
    if len(names) != len(labels):
        raise InputError(f"{file}: has {counted(len(names), 'line')}, expected {len(labels)} as {FILE} has rows. Omit "
                         "it.")
    return names
