"""The user's own feature matrices: `--dataset=npz --data_dir=DIR`."""
import pathlib
import zipfile
import zlib

import numpy as np

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.errors import InputError

SPLITS = {"train": True, "validation": False, "test": True}  # split -> must be there
RESERVED = ("label", "id")  # arrays that are no modality


def load(data_dir):
    """Reads `train.npz`, `test.npz` and, if there, `validation.npz` and `classes.txt` from a folder.

    Each .npz file holds one matrix (n, d) of finite real numbers a modality, named as the modality (`image`,
    `text`, `video`, `audio`, `shape3d` or any other name), `label` (n,) of zero-based ints, and perhaps `id`
    (n,) of strings. Row n of every matrix is the same item. `classes.txt` has one class name a line, in label
    order, UTF-8.

    Args:
      data_dir: the folder.
    Returns:
      MultiModalData; class_names is empty if there is no classes.txt.
    Raises:
      InputError: anything is missing or malformed; names file and array, what was found and expected.
    """
    folder = pathlib.Path(data_dir or "").expanduser()
    if not data_dir or not folder.is_dir():
        raise InputError(f"--data_dir={data_dir} is no folder. Name the one with train.npz and test.npz.")
    class_names = _read_classes(folder / "classes.txt")
    splits = {
        split: _read_split(folder / f"{split}.npz", class_names)
        for split, needed in SPLITS.items() if needed or (folder / f"{split}.npz").exists()
    }
    items = sum(len(split) for split in splits.values())
    for split, data in splits.items():
        highest = max(int(labels.max()) for labels in data.labels.values())
        if not class_names and highest >= items:
            raise InputError(f"{folder / split}.npz: array 'label' holds {highest}, expected less than the number of "
                             f"items, {items}: labels count the classes from 0. Number them anew, or add classes.txt.")
    widths = {split: {m: x.shape[1] for m, x in data.features.items()} for split, data in splits.items()}
    for split, found in widths.items():
        if found != widths["train"]:
            raise InputError(f"{folder / split}.npz: found the widths {found}, expected {widths['train']} as in "
                             "train.npz. All splits need the same modalities and widths.")
    return MultiModalData(
        name="npz", splits=splits, class_names=class_names,
        features={m: {"name": m, "dim": d, "source": "train.npz"} for m, d in widths["train"].items()},
    )


def _read_classes(path):
    """Returns the class names, or an empty list if there is no such file."""
    if not path.exists():
        return []
    try:
        names = [line.strip() for line in path.read_text(encoding="utf-8-sig").splitlines()]
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: cannot be read as UTF-8 text ({error}).") from error
    for number, name in enumerate(names, 1):
        if not name:
            raise InputError(f"{path}: line {number} is empty, expected a class name on every line.")
        if name in names[:number - 1]:
            raise InputError(f"{path}: line {number} repeats the class {name!r}, expected each name once.")
    if not names:
        raise InputError(f"{path}: is empty, expected one class name a line. Without names, remove the file.")
    return names


def _read_split(path, class_names):
    arrays = _read_arrays(path)
    modalities = [name for name in arrays if name not in RESERVED]
    if len(modalities) < 2:
        raise InputError(f"{path}: found {len(modalities)} modality array(s) {modalities} besides "
                         "'label' and 'id', expected at least two, such as 'image' and 'text'.")
    if "label" not in arrays:
        raise InputError(f"{path}: array 'label' is missing, found {sorted(arrays)}. Add zero-based ints (n,).")
    labels = _check_labels(path, arrays["label"], class_names)
    features = {m: _check_matrix(path, m, arrays[m], len(labels)) for m in modalities}
    return Split.of_pairs(features, labels, _check_ids(path, arrays.get("id"), len(labels)))


def _read_arrays(path):
    """Returns all arrays of a .npz file by name; object arrays, which are pickles, are refused."""
    if not path.exists():
        raise InputError(f"{path} is missing. Write it with numpy.savez: one matrix a modality, and 'label'.")
    if not zipfile.is_zipfile(path):
        raise InputError(f"{path}: is no .npz archive, or is cut off. Write it with numpy.savez.")
    arrays, name = {}, ""
    try:
        with np.load(path, allow_pickle=False) as stored:
            for name in stored.files:
                arrays[name] = stored[name]
                if not isinstance(arrays[name], np.ndarray):
                    raise ValueError("it is no .npy file")
    except (OSError, EOFError, ValueError, RuntimeError, MemoryError, zipfile.BadZipFile, zlib.error) as error:
        raise InputError(f"{path}: array {name!r} cannot be read ({error}); expected plain arrays of numbers "
                         "(strings for 'id'), no objects. Write the file with numpy.savez again.") from error
    return arrays


def _check_labels(path, labels, class_names):
    """Returns the labels as int32 (n,)."""
    what = f"{path}: array 'label'"
    if labels.ndim != 1:
        raise InputError(f"{what} has shape {labels.shape}, expected (n,). Flatten it with .ravel().")
    if labels.dtype.kind not in "iu":
        raise InputError(f"{what} has type {labels.dtype}, expected integers. Use .astype('int32').")
    if len(labels) == 0:
        raise InputError(f"{what} is empty, expected at least one item in the split.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise InputError(f"{what} holds {low}, expected zero-based labels, none below 0.")
    if class_names and high >= len(class_names):
        raise InputError(f"{what} holds {high}, expected 0 to {len(class_names) - 1}: classes.txt has "
                         f"{len(class_names)} lines, and labels start at 0.")
    if high > np.iinfo(np.int32).max:
        raise InputError(f"{what} holds {high}, expected zero-based class numbers that fit in 32 bits.")
    return labels.astype(np.int32)


def _check_matrix(path, name, matrix, num_items):
    """Returns the matrix as float32 (n, d)."""
    what = f"{path}: array {name!r}"
    if matrix.dtype.kind not in "fiu":
        raise InputError(f"{what} has type {matrix.dtype}, expected real numbers: use .astype('float32').")
    if matrix.ndim != 2 or matrix.shape[1] == 0:
        raise InputError(f"{what} has shape {matrix.shape}, expected a matrix (n, width).")
    if len(matrix) != num_items:
        raise InputError(f"{what} has {len(matrix)} rows, expected {num_items}: one an entry of 'label'.")
    with np.errstate(over="ignore"):
        matrix = matrix.astype(np.float32)
    bad = np.flatnonzero(~np.isfinite(matrix).all(axis=1))
    if len(bad):
        raise InputError(f"{what} holds NaN or infinite values (as float32) in {len(bad)} row(s), first in "
                         f"row {bad[0]}; expected finite numbers.")
    return matrix


def _check_ids(path, ids, num_items):
    if ids is None:
        return None
    if ids.dtype.kind != "U" or ids.shape != (num_items,):
        raise InputError(f"{path}: array 'id' has type {ids.dtype} and shape {ids.shape}, expected unicode "
                         f"strings of shape ({num_items},): one an entry of 'label'.")
    return ids.tolist()
