"""The user's own feature matrices: `--dataset=npz --data_dir=DIR`."""
import dataclasses
import os
import pathlib
import warnings
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import classes
from tfxmr.core.errors import InputError
from tfxmr.core.wording import agreeing, counted
from tfxmr.data.files import archive, word_tables
from tfxmr.data.labels import advice, class_sets, without_class
from tfxmr.data.memmap import MappedMatrix, blocks, repeat
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.views import NAME, dim, is_default, modality_of, ordered

SPLITS = {"train": True, "validation": False, "test": True}  # split -> must be there
SHARED = ("label", "id")  # arrays of the modalities that share their rows
OWN = ("label_", "id_")  # how the arrays of one modality alone begin
ROW = "row_"  # how an array begins that says which rows of a modality's matrix belong to the items


def load(data_dir: str | os.PathLike | None) -> MultiModalData:
    """Reads `train.npz`, `test.npz` and, if there, `validation.npz` and `classes.txt` from a folder.

    Each .npz file holds one matrix (n, d) of finite real numbers a modality, named as the modality (`image`,
    `text`, `video`, `audio`, `shape3d` or any other name), `label` (n,) of zero-based ints, and perhaps `id`
    (n,) of strings. Row n of every matrix is the same item. `classes.txt` has one class name a line, in label
    order, UTF-8. Items of several classes have a matrix `label` (n, C) of 0 and 1, in all splits and modalities; if
    every item has one class, it is read as their numbers.

    A modality whose items are not those of the others has labels of its own: beside the matrix `video` (n_v, d)
    stand `label_video` (n_v,) and perhaps `id_video` (n_v,). Its rows then belong to no row of another modality,
    even if the labels agree. The modalities without an own label array share `label`, `id` and their rows, as
    above; if there are none, `label` is omitted. So image-text pairs with loose videos are `image`, `text`,
    `label`, `video`, `label_video`.

    Where several texts belong to one image, as five sentences do, `image` may hold each image once, (N, d), beside
    `row_image` (n,), the row of `image` that belongs to each text, and perhaps `id_image` (N,). If `label` is omitted
    then, the data have no classes, and an image is found by its own texts alone.

    Beside its matrix, or in its place, a modality may have other views, arrays named MODALITY.NAME with the same rows:
    vectors (n, d) and maps (n, places, d) of real numbers, such as `image.regions`; or tokens (n, T), such as
    `text.words`, integers that say which words an item has in order, 1 to V, with zeros after the last one. What the
    numbers of `text.words` mean stands in the folder, as tfxmr.data.files.word_tables reads it:
    `text.words.table.npy` or `text.words.vocabulary.txt`.

    In the place of `train.npz` may stand a folder `train` with one .npy file an array (`image.npy`, `label.npy`): its
    matrices and maps of float32 and tokens of int32 stay in their files, and only the rows that are needed are read.

    Args:
      data_dir: the folder.
    Returns:
      MultiModalData; class_names is empty if there is no classes.txt.
    Raises:
      InputError: anything is missing or malformed; names file and array, what was found and expected.
    """
    folder = pathlib.Path(data_dir or "").expanduser()
    if not data_dir:
        raise InputError("--data_dir=DIR is missing: name the folder with train.npz and test.npz")
    if not folder.is_dir():
        raise InputError(f"--data_dir={data_dir} is no folder. Name the one with train.npz and test.npz.")
    class_names = read_classes(folder / "classes.txt")
    paths = {split: _source(folder, split) for split in SPLITS}
    arrays = {split: _read_arrays(path) for split, path in paths.items() if SPLITS[split] or path.exists()}
    instances = _number_items(paths, arrays)
    tables, vocabularies = word_tables.read(folder, views_of(arrays["train"]))
    sizes = word_tables.sizes(tables, vocabularies, folder)
    splits = {split: split_of(paths[split], found, class_names, sizes) for split, found in arrays.items()}
    splits = of_one_class(paths, splits)
    repeated = {split: tuple(sorted(n.removeprefix(ROW) for n in found if n.startswith(ROW)))
                for split, found in arrays.items()}
    items = sum(len(split.labels[group[0]]) for split in splits.values() for group in split.groups)
    for name, part in splits.items():
        for m, labels in part.labels.items():
            if not class_names and not classes.several(labels) and labels.max() >= items:
                array = f"label_{m}" if m in part.unpaired else "label"
                raise InputError(
                    f"{folder / name}.npz: array {array!r} holds {labels.max()}, expected less than the number of "
                    f"items, {items}: labels count the classes from 0. Renumber them, or add classes.txt.")
    numbered = [y for s in splits.values() for y in s.labels.values() if not classes.several(y)]
    if not class_names and numbered and min(labels.min() for labels in numbered) == 1:
        # Not refused: a class without items does no harm but to the class split by parity and to one output.
        warnings.warn(f"{folder}: the labels of all splits begin at 1, and are taken to lack class 0. If they "
                      "count from 1, subtract 1 from all.", stacklevel=2)
    widths = check_widths({split: f"{folder / split}.npz" for split in splits}, splits)
    for split in splits:
        if repeated[split] != repeated["train"]:
            raise InputError(f"{folder / split}.npz: found row arrays of {repeated[split] or 'nothing'}, expected of "
                             f"{repeated['train'] or 'nothing'} as in train.npz.")
    return MultiModalData(
        name="npz", splits=splits, class_names=class_names, instances=instances, repeated=repeated["train"],
        features={view: {"name": view, "dim": d, "source": "train.npz"} for view, d in widths.items()},
        tables=tables, vocabularies=vocabularies,
    )


def _source(folder: pathlib.Path, split: str) -> pathlib.Path:
    """The path of a split's .npz file, or of its folder of .npy files."""
    file = folder / f"{split}.npz"
    if file.exists() and (folder / split).is_dir():
        raise InputError(f"{folder}: holds both {split}.npz and {split}/. Move one of them elsewhere.")
    return folder / split if (folder / split).is_dir() else file


def read_classes(path: Any) -> list[str]:
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
        raise InputError(f"{path}: is empty, expected one class name a line. Without names, omit the file.")
    return names


def views_of(names: Iterable[str]) -> list:
    """The views among the names of a split's arrays, in order; see tfxmr.data.views."""
    return ordered(n for n in names if n not in SHARED and not n.startswith((*OWN, ROW)))


def modalities_of(names: Iterable[str]) -> tuple:
    """The modalities among the names of a split's arrays, in the standard order."""
    return tuple(dict.fromkeys(map(modality_of, views_of(names))))


def without_labels(names: Iterable[str]) -> bool:
    """True if a split with arrays of these names has no classes: rows of a repeated modality in the place of labels."""
    return any(n.startswith(ROW) for n in names) and "label" not in names


def _number_items(paths: dict[str, Any], arrays: dict[str, Any]) -> bool:
    """Labels items by their number over all splits, if no split has labels but a row array; returns if it did."""
    rows: dict[str, Any] = {
        split: next((n for n in found if n.startswith(ROW)), None) for split, found in arrays.items()
    }
    if any("label" in found or rows[split] is None for split, found in arrays.items()):
        return False
    start = 0
    for split, found in arrays.items():
        size = _size(found, rows[split].removeprefix(ROW))
        found["label"] = start + _check_rows(paths[split], rows[split], found[rows[split]], size)
        start += size
    return True


def _size(arrays: dict[str, Any], modality: str) -> int:
    """The number of rows of the first view of a modality; 0 if it has none."""
    shape = next((arrays[view].shape for view in views_of(arrays) if modality_of(view) == modality), ())
    return shape[0] if shape else 0


def split_of(
    path: Any, arrays: dict[str, Any], class_names: Sequence[str], sizes: dict[str, int] | None = None,
) -> Split:
    """Checks the arrays of one split as `load` does.

    Args:
      path: path of the split, or what messages call it.
      arrays: name -> array, as in a .npz file.
      class_names: C names, or an empty list.
      sizes: view of tokens -> V, their word count; None: there are none.

    Returns:
      Split.

    Raises:
      InputError: as `load`.
    """
    for view in views_of(arrays):
        if not NAME.fullmatch(view):
            raise InputError(f"{path}: array {view!r} is called as no view can be. Write a modality, such as 'image', "
                             "or MODALITY.NAME with one point, such as 'image.regions'.")
    modalities = list(modalities_of(arrays))
    if len(modalities) < 2:
        raise InputError(f"{path}: found {counted(len(modalities), 'modality array')} {views_of(arrays)} besides "
                         "labels and ids, expected those of two modalities, such as 'image' and 'text'.")
    own = [m for m in modalities if f"label_{m}" in arrays]
    _check_names(path, arrays, modalities, own)
    features, labels, ids = {}, {}, {}
    for m in modalities:
        label, id_ = (f"label_{m}", f"id_{m}") if m in own else SHARED
        labels[m] = _check_labels(path, label, arrays[label], class_names)
        size, rows = len(labels[m]), None
        if ROW + m in arrays:
            size = _size(arrays, m)
            label = ROW + m
            rows = _check_rows(path, label, arrays[label], size, len(labels[m]))
        for view in (view for view in views_of(arrays) if modality_of(view) == m):
            _check_shape(path, view, arrays[view], label, size)
            features[view] = repeat(_check_view(path, view, arrays[view], (sizes or {}).get(view)), rows)
        if rows is not None:
            own_names = np.array([f"{m} {row} of {path.name}" for row in range(size)])
            names = _check_ids(path, f"id_{m}", arrays.get(f"id_{m}", own_names), m, size)
            ids[m] = [names[row] for row in rows]
        elif id_ in arrays:
            ids[m] = _check_ids(path, id_, arrays[id_], label, size)
    return Split(features, labels, ids, tuple(own))


def of_one_class(places: dict[str, Any], splits: dict[str, Split]) -> dict[str, Split]:
    """Labels of all splits alike: as class numbers if they are matrices of which every item has one class.

    Args:
      places: split -> what messages call it.
      splits: split -> Split.

    Raises:
      InputError: some labels are (n,) and others (n, C), or of another number of classes.
    """
    every = [(places[name], m, labels) for name, split in splits.items() for m, labels in split.labels.items()]
    widths = {labels.shape[1:] for _, _, labels in every}
    if len(widths) > 1:
        told = ", ".join(f"{path} {m} {labels.shape}" for path, m, labels in every)
        raise InputError(f"the labels are of different kinds: {told}. Give all as class numbers (n,), or all as (n, "
                         "classes) of 0 and 1 with the same classes.")
    if widths == {()} or not all((labels.sum(axis=1) == 1).all() for _, _, labels in every):
        return splits
    return {
        name: dataclasses.replace(split, labels={m: y.argmax(axis=1).astype(np.int32) for m, y in split.labels.items()})
        for name, split in splits.items()
    }


def check_widths(places: dict[str, Any], splits: dict[str, Split]) -> dict[str, Any]:
    """Raises InputError if the splits have other modalities or widths than the training split.

    Args:
      places: split -> what messages call it.
      splits: split -> Split.

    Returns:
      View -> width d of a vector, (places, d) of a map, (T,) of tokens.
    """
    widths = {split: {view: dim(x) for view, x in data.features.items()} for split, data in splits.items()}
    for split, found in widths.items():
        if found != widths["train"]:
            raise InputError(f"{places[split]}: found the widths {found}, expected {widths['train']} as in "
                             f"{pathlib.PurePath(places['train']).name}. All splits need the same arrays "
                             "and widths.")
    return widths["train"]


def _check_names(path: Any, arrays: dict[str, Any], modalities: Sequence[str], own: Any) -> None:
    """Refuses a label or id array that is missing or belongs to no matrix; `own` have label arrays of their own."""
    if len(own) < len(modalities) and "label" not in arrays:
        without = next(m for m in modalities if m not in own)
        raise InputError(f"{path}: array 'label' is missing, found {sorted(arrays)}. Add zero-based ints (n,), or "
                         f"'label_{without}' if the {without} items are no pairs with the others.")
    for name in arrays:
        if name in SHARED and len(own) == len(modalities):
            raise InputError(f"{path}: array {name!r} is of no use: every modality has a label array of its own. "
                             "Omit it, or the own arrays of the modalities that are to share it.")
        kind, _, modality = name.partition("_")
        if name.startswith(ROW) and (modality in own or sum(n.startswith(ROW) for n in arrays) > 1):
            raise InputError(f"{path}: array {name!r} is for one modality that shares 'label' with the others; found "
                             f"{sorted(n for n in arrays if n.startswith((ROW, 'label_')))}. Omit the others.")
        if name.startswith((*OWN, ROW)) and modality not in modalities:
            raise InputError(f"{path}: array {name!r} has no matrix {modality!r} beside it, found {modalities}. Add "
                             f"the matrix or remove {name!r}; no matrix may have a name that starts with '{kind}_'.")
        if name.startswith(OWN) and modality not in own and not (kind == "id" and ROW + modality in arrays):
            raise InputError(f"{path}: array {name!r} needs 'label_{modality}' beside it; the ids of items that "
                             "share 'label' stand in 'id'.")


def _read_arrays(path: Any) -> dict[str, Any]:
    """Returns all arrays of a .npz file, or of a folder of .npy files, by name; matrices of float32 stay in theirs."""
    if path.is_dir():
        arrays = {file.stem: archive.read_npy(file, mapped=True) for file in sorted(path.glob("*.npy"))}
        return {name: MappedMatrix([x]) if isinstance(x, np.memmap) else x for name, x in arrays.items()}
    if not path.exists():
        raise InputError(f"{path} is missing. Write it with numpy.savez: one matrix a modality, and 'label'.")
    return archive.read_npz(path)


def _check_labels(path: Any, name: str, labels: Any, class_names: Sequence[str]) -> NDArray:
    """Returns the labels as int32 (n,), or of several classes an item as bool (n, C)."""
    what = f"{path}: array {name!r}"
    labels = np.asarray(labels[:]) if labels.ndim == 2 else labels  # one of whole numbers may have stayed in its file
    if (sets := class_sets(labels)) is not None:
        return _check_sets(what, sets, class_names)
    if labels.ndim != 1:
        raise InputError(f"{what} has shape {labels.shape}, expected (n,). {advice(labels)}")
    if labels.dtype.kind not in "iu":
        raise InputError(f"{what} has type {labels.dtype}, expected integers. {advice(labels)}")
    if len(labels) == 0:
        raise InputError(f"{what} is empty, expected at least one item in the split.")
    low, high = int(labels.min()), int(labels.max())
    if low < 0:
        raise InputError(f"{what} holds {low}, expected zero-based labels, none below 0.")
    if class_names and high >= len(class_names):
        raise InputError(f"{what} holds {high}, expected 0 to {len(class_names) - 1}: classes.txt has "
                         f"{counted(len(class_names), 'line')}, and labels start at 0.")
    if high > np.iinfo(np.int32).max:
        raise InputError(f"{what} holds {high}, expected zero-based class numbers that fit in 32 bits.")
    return labels.astype(np.int32)


def _check_sets(what: str, labels: NDArray[np.bool_], class_names: Sequence[str]) -> NDArray[np.bool_]:
    """Returns the classes of items of several, bool (n, C), or raises InputError."""
    if class_names and labels.shape[1] != len(class_names):
        turned = " Turn it with .T: its columns are the items." if len(labels) == len(class_names) else ""
        raise InputError(f"{what} has {counted(labels.shape[1], 'column')}, expected {len(class_names):,}: a class for "
                         f"each line of classes.txt.{turned}")
    if wrong := without_class(labels):
        raise InputError(f"{what} {wrong}")
    return labels


def _check_rows(path: Any, name: str, rows: NDArray, size: int, num_items: int | None = None) -> NDArray:
    """Returns row numbers, int64 (n,), of a matrix with `size` rows, each of which is there."""
    what = f"{path}: array {name!r}"
    if rows.ndim != 1 or rows.dtype.kind not in "iu" or num_items not in (None, len(rows)):
        raise InputError(f"{what} has type {rows.dtype} and shape {rows.shape}, expected integers of shape "
                         f"({'n' if num_items is None else num_items},): one an item.")
    lacking = np.setdiff1d(np.arange(size), rows)
    if rows.min(initial=0) < 0 or rows.max(initial=0) >= size:
        raise InputError(f"{what} holds {rows.min()} to {rows.max()}, expected row numbers from 0 to {size - 1}.")
    if len(lacking):
        them = agreeing(len(lacking), "it", "them")
        raise InputError(f"{what} lacks {len(lacking):,} of {counted(size, 'row')}, first row {lacking[0]}. Drop "
                         f"{them} from the matrix, or add the items that belong to {them}.")
    return rows.astype(np.int64)


def _check_shape(path: Any, view: str, array: Any, label: str, num_items: int | None) -> None:
    """Refuses an array that is no view of as many items as another array, `label`, says."""
    what = f"{path}: array {view!r}"
    if array.dtype.kind not in "fiu":
        raise InputError(f"{what} has type {array.dtype}, expected real numbers: use .astype('float32').")
    ranks, valid = ((2,), "a matrix (n, width)") if is_default(view) else ((2, 3), "(n, width) or (n, places, width)")
    if array.ndim not in ranks or 0 in array.shape[1:]:
        own = f" A map needs a name of its own, such as '{view}.regions'." if array.ndim == 3 else ""
        raise InputError(f"{what} has shape {array.shape}, expected {valid}.{own}")
    if len(array) != num_items:
        turned = " Turn it with .T: its columns are the items." if array.shape[1:] == (num_items,) else ""
        raise InputError(f"{what} has {counted(len(array), 'row')}, expected {num_items:,}: one an entry of "
                         f"{label!r}.{turned}")


def _check_view(path: Any, view: str, array: Any, num_words: int | None) -> Any:
    """Returns the array of a view, of whose words there are `num_words`: float32 (n, ...), or tokens, int32 (n, T)."""
    what = f"{path}: array {view!r}"
    tokens = array.dtype.kind in "iu" and array.ndim == 2 and not is_default(view)
    if num_words is not None and not tokens:
        raise InputError(f"{what} has type {array.dtype} and shape {array.shape}, expected integers (n, T), numbers of "
                         f"words: use .astype('int32'), or remove {word_tables.TABLE.format(view)} and "
                         f"{word_tables.VOCABULARY.format(view)}.")
    if tokens:
        return word_tables.check(what, array, view, num_words)
    if not isinstance(array, MappedMatrix) or array.dtype != np.float32:
        with np.errstate(over="ignore"):
            array = np.ascontiguousarray(array, np.float32)
    finite = (np.isfinite(block).reshape(len(block), -1).all(axis=1) for block in blocks(array))
    bad = np.flatnonzero(~np.concatenate([*finite, np.ones(0, bool)]))
    if len(bad):
        raise InputError(f"{what} holds NaN or infinite values (as float32) in {counted(len(bad), 'row')}, first in "
                         f"row {bad[0]}; expected finite numbers.")
    return array


def _check_ids(path: Any, name: str, ids: Any, label: str, num_items: int | None) -> list[str]:
    if ids.dtype.kind != "U" or ids.shape != (num_items,):
        raise InputError(f"{path}: array {name!r} has type {ids.dtype} and shape {ids.shape}, expected unicode "
                         f"strings of shape ({num_items},): one an entry of {label!r}.")
    return ids.tolist()
