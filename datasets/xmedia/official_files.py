"""Reads XMediaFeatures.mat, in either of MATLAB's formats, and the lists of test items."""
import dataclasses
import re

import numpy as np
from tfxmr_datasets import files

from tfxmr.core.errors import InputError
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
    with files.on_disk(file) as path:
        found = sandbox.read(path, names, "Copy it again", called=file)
    rows, labels = {}, {}
    for split in ("train", "test"):
        name, label = modality.arrays[split], modality.labels[split]
        for array in (name, label):
            if array not in found:
                raise InputError(f"{file}: holds no array {array!r}. Is it the right {FILE}?")
            if isinstance(found[array], sandbox.Unusable):
                raise InputError(f"{file}: array {array!r} is no matrix of finite real numbers but {found[array]}. "
                                 "Copy the file again.")
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
        match = re.fullmatch(r"(([0-9]{1,3})_(\w+)[\\/][\w.-]+) ([0-9]{1,3})\s*", line)
        label = int(match[4]) if match else -1
        if not match or not 0 <= label < len(CLASSES) or (int(match[2]) - 1, match[3]) != (label, CLASSES[label]):
            raise InputError(f"{file}, line {number}: found {line[:80]!r}, expected "
                             r"<number>_<class>\<name> <number - 1>.")
        if len(names) < len(labels) and label != labels[len(names)]:
            raise InputError(
                f"{file}, line {number}: is of class {CLASSES[label]}, and test row {number} of {FILE} of class "
                f"{CLASSES[labels[len(names)]]}: the list is of another order. Leave it out; ids are then row numbers."
            )
        names.append(match[1].replace("\\", "/"))
    if len(names) != len(labels):
        raise InputError(f"{file}: has {len(names)} lines, expected {len(labels)} as {FILE} has rows. Leave it out.")
    return names
