"""Third-party matrix files: .mat of both kinds, .npy, .npz, .h5."""
import math
import os
import pathlib
import re
import zipfile
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data.files import archive, sandbox, word_tables
from tfxmr.data.files.sandbox import Unusable
from tfxmr.data.labels import advice, class_sets, one_hot, without_class
from tfxmr.data.views import modality_of

Arrays = dict[str, NDArray | Unusable]  # name -> what stands there
Files = Mapping[str, Arrays]  # path -> what the file holds
Source = tuple[str, str]  # (path, name there) of an array
Splits = dict[str, dict[str, NDArray]]  # split -> array name -> array

SUFFIXES = (".mat", ".npy", ".npz", ".h5", ".hdf5", ".h5py")

# layout -> array of the npz format -> the names under which it has been published.
LAYOUTS: dict[str, dict[str, tuple[str, ...]]] = {
    "wikipedia": {
        "train/image": ("I_tr", "I_cnn_tr", "train_imgs_deep"), "test/image": ("I_te", "I_cnn_te", "test_imgs_deep"),
        "train/text": ("T_tr", "T_tfidf_tr", "train_text"), "test/text": ("T_te", "T_tfidf_te", "test_text"),
        "train/label": ("train_imgs_labels", "trainset_txt_img_cat"),
        "test/label": ("test_imgs_labels", "testset_txt_img_cat"),
        "train/id_image": ("trainset_txt_img_cat.image_id",), "test/id_image": ("testset_txt_img_cat.image_id",),
        "train/id_text": ("trainset_txt_img_cat.text_id",), "test/id_text": ("testset_txt_img_cat.text_id",),
    },
    "pascal_sentence": {
        f"{split}/{name}": (f"{short}_{key}",)
        for split, short in (("train", "train"), ("validation", "valid"), ("test", "test"))
        for name, key in (("image", "img"), ("text", "txt"), ("label", "img_lab"))
    },
    "xmedia": {
        f"{split}/{name}": (key.format(short),)
        for split, short in (("train", "tr"), ("test", "te"))
        for name, key in (
            ("image", "I_{}_CNN"), ("text", "T_{}_BOW"), ("audio", "A_{}"), ("shape3d", "d3_{}"), ("video", "V_{}_CNN"),
            ("label_image", "{}ImgCat"), ("label_text", "{}TxtCat"), ("label_audio", "{}AudCat"),
            ("label_shape3d", "{}3dCat"), ("label_video", "{}VidCat"),
        )
    },
}
CLASSES = {
    "xmedia": (
        "insect", "bird", "wind", "dog", "tiger", "explosion", "elephant", "flute", "airplane", "drum", "train",
        "laughter", "wolf", "thunder", "horse", "autobike", "gun", "stream", "piano", "violin",
    ),
    "wikipedia": (
        "art", "biology", "geography", "history", "literature", "media", "music", "royalty", "sport", "warfare",
    ),
}


def read(path: str | os.PathLike) -> Arrays:
    """Reads all arrays of a file.

    A MATLAB file of version 7.3 is HDF5 with its axes reversed: they are turned back. A .npy file holds one array,
    under the file's name without its ending; so does a .npz file of `scipy.sparse.save_npz`. An official list of
    Wikipedia, `<text id> TAB <image id> TAB <class>`, gives the column of classes under the file's name without its
    ending, and NAME.text_id and NAME.image_id; so does a .txt file of words, one a line.

    Args:
      path: a file; what it holds is told by its content where the ending does not tell.

    Returns:
      name -> array of real numbers or strings, or sandbox.Unusable, which says what else stands there; names in HDF5
      groups and MATLAB structs are joined by "/".

    Raises:
      InputError: no such file, another kind of file, a damaged one, one that holds pickled objects, or one that unpacks
        to more than archive.largest.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        with open(path, "rb") as file:
            start = file.read(6)
    except OSError as error:
        raise InputError(f"{path}: cannot be read ({error.strerror}); make it readable") from error
    if path.suffix == ".list":
        return _read_list(path)
    if path.suffix == ".mat" or sandbox.is_hdf5(path):
        return sandbox.read(path)
    if start == b"\x93NUMPY":
        arrays: Arrays = {path.stem: archive.read_npy(path)}
    elif zipfile.is_zipfile(path):
        stored = archive.read_npz(path)
        sparse = {"format", "shape", "data"} <= stored.keys()
        arrays = {path.stem: _dense(path, stored)} if sparse else {**stored}
    elif path.suffix == ".txt":
        arrays = {path.stem: np.array(word_tables.read_vocabulary(path)[1:])}
    else:
        raise InputError(f"{path}: is none of {', '.join(SUFFIXES)}; a pickle is never read. Save the matrices as .npz")
    return {name: _usable(array) for name, array in arrays.items()}


def _usable(array: NDArray | Unusable) -> NDArray | Unusable:
    """An array of real numbers or strings, or Unusable."""
    if isinstance(array, np.ndarray) and array.dtype.kind == "S":
        return np.char.decode(array, "utf-8", "replace")
    return Unusable("complex numbers") if isinstance(array, np.ndarray) and array.dtype.kind == "c" else array


def _read_list(path: pathlib.Path) -> Arrays:
    """The columns of an official list of Wikipedia."""
    rows = [line.split("\t") for line in path.read_bytes().decode(errors="replace").splitlines()]
    for number, row in enumerate(rows, 1):
        if len(row) != 3 or not re.fullmatch(r"[0-9]{1,4}", row[2].strip()):
            raise InputError(f"{path}, line {number}: expected <text id> TAB <image id> TAB <class number>")
    if not rows:
        raise InputError(f"{path}: is empty, expected lines of <text id> TAB <image id> TAB <class number>")
    text_ids, image_ids, classes = zip(*rows, strict=True)
    return {path.stem: np.array([int(c) for c in classes]), f"{path.stem}.text_id": np.array(text_ids),
            f"{path.stem}.image_id": np.array(image_ids)}


def _dense(path: pathlib.Path, arrays: Mapping[str, NDArray]) -> NDArray | Unusable:
    """The matrix that scipy.sparse.save_npz has stored, as an array, or Unusable."""
    import scipy.sparse  # takes a tenth of a second, which commands without such files need not wait for

    kind = arrays["format"].item() if arrays["format"].ndim == 0 else ""
    kind = kind.decode(errors="replace") if isinstance(kind, bytes) else str(kind)
    if kind not in ("csr", "csc", "coo") or arrays["data"].dtype.kind not in "biuf":
        return Unusable(f"a sparse matrix of format {kind} and type {arrays['data'].dtype}; csr, csc and coo of real "
                        "numbers are read")
    try:
        for name in ("indices", "indptr", "row", "col"):
            if name in arrays and arrays[name].dtype.kind not in "iu":
                raise ValueError(f"its {name} are no whole numbers")
        shape = tuple(int(n) for n in arrays["shape"])
        if len(shape) != 2 or min(shape) < 0:
            raise ValueError(f"its shape is {shape}")
        archive.check_size(math.prod(shape) * arrays["data"].dtype.itemsize, path.stat().st_size)
        if kind == "coo":
            matrix = scipy.sparse.coo_array((arrays["data"], (arrays["row"], arrays["col"])), shape)
            return matrix.toarray()  # the constructor has checked the indices
        build = {"csr": scipy.sparse.csr_array, "csc": scipy.sparse.csc_array}[kind]
        matrix = build((arrays["data"], arrays["indices"], arrays["indptr"]), shape)
        if (np.diff(matrix.indptr) < 0).any():  # which SciPy's check skips where the last one is 0
            raise ValueError("its indptr goes down")
        matrix.check_format(full_check=True)  # toarray writes wherever the indices say
        return matrix.toarray()
    except MemoryError:
        raise
    except Exception as error:  # SciPy raises half a dozen different types on damaged matrices
        raise archive.refusal(path, None, error) from error


def arrange(
    files: Files, mapping: Mapping[str, Sequence[str]], named: Collection[str] = (),
) -> tuple[Splits, dict[str, Source]]:
    """Puts arrays of several files into the splits of the npz format.

    Args:
      files: path -> (name -> array or Unusable), as `read` gives them.
      mapping: "split/array" -> names, the first of which that is there is taken; those that are nowhere are skipped. A
        name is that of an array in one file, or FILE:NAME, with FILE as in `files` or without its folders.
      named: those of the mapping that must be found.

    Returns:
      (split -> (array name -> array), "split/array" -> (path, name) it was taken from).

    Raises:
      InputError: what is named is nowhere or is no array, two files hold an array of that name, there is none for
        training or for test, one that another split has, or one array for two splits.
    """
    found = find(files, mapping, named)
    sources = {target: (path, name) for target, (path, name, _) in found.items()}
    splits: Splits = {}
    for target, (*_, value) in found.items():
        split, _, array = target.partition("/")
        splits.setdefault(split, {})[array] = value
    _refuse_leaks(sources)
    known = {name for arrays in splits.values() for name in arrays if not name.startswith("id")}
    lacking = {f"{s}/{name}" for s in splits for name in known} - sources.keys()
    for target in (t for t in mapping if t in lacking):
        raise InputError(f"no array for {target}: expected {' or '.join(mapping[target])}, found {_found(files)}. Say "
                         f"which one it is by --array={target}=NAME")
    missing = [split for split in ("train", "test") if split not in splits]
    if missing:
        expected = [name for names in mapping.values() for name in names]
        raise InputError(
            f"no {' and no '.join(missing)} arrays: found {_found(files)}; expected some of {', '.join(expected)}. Say "
            "which is which by --array=train/image=NAME and so on"
        )
    return splits, sources


def find(
    files: Files, mapping: Mapping[str, Sequence[str]], named: Collection[str] = (),
) -> dict[str, tuple[str, str, NDArray]]:
    """Finds arrays in files.

    Args:
      files, mapping, named: as in `arrange`.

    Returns:
      target -> (path, name there, array), without the targets of which there is none.

    Raises:
      InputError: what is named is nowhere or is no array, or two files hold an array of that name.
    """
    arrays, nowhere = {}, []
    for target, names in mapping.items():
        found = [(name, places) for name in names if (places := _places(files, name))]
        if not found:
            nowhere += [f"{names[0]} (--array={target}={names[0]})"] if target in named else []
            continue
        usable = [entry for entry in found if not all(isinstance(value, Unusable) for *_, value in entry[1])]
        name, places = (usable or found)[0]
        if len(places) > 1:
            raise InputError(
                f"array {name!r} stands in {' and in '.join(path for path, *_ in places)}; name one, such as "
                f"--array={target}={pathlib.Path(places[0][0]).name}:{name}"
            )
        (path, array_name, value), = places
        if isinstance(value, Unusable):
            raise InputError(f"{path}: {array_name!r}, for {target}, is no array of real numbers or strings but "
                             f"{value}")
        arrays[target] = path, array_name, value
    if nowhere:
        raise InputError(f"there is no {', no '.join(nowhere)}; found {_found(files)}")
    return arrays


def _places(files: Files, name: str) -> list[tuple[str, str, NDArray | Unusable]]:
    """Where an array stands that is called NAME or FILE:NAME: list of (path, its name there, it)."""
    places = [(path, name, arrays[name]) for path, arrays in files.items() if name in arrays]
    if places or ":" not in name:
        return places
    file, _, array = name.rpartition(":")
    paths = [file] if file in files else [path for path in files if pathlib.PurePath(path).name == file]
    return [(path, array, files[path][array]) for path in paths if array in files[path]]


def _found(files: Files, most: int = 40) -> str:
    """The names of all arrays, and of what is none, for messages."""
    names = {name: value for arrays in files.values() for name, value in arrays.items()}
    words = [f"{n} ({value})" if isinstance(value, Unusable) else n for n, value in sorted(names.items())]
    more = [f"{len(words) - most} more"] if len(words) > most else []
    return ", ".join([*words[:most], *more]) or "nothing"


def _refuse_leaks(sources: Mapping[str, Source]) -> None:
    """Raises InputError if one array stands for two splits, or for two modalities; labels and names may be shared."""
    for target, source in sources.items():
        for other in (o for o in sources if o != target and sources[o] == source):
            (split, array), (other_split, other_array) = target.split("/"), other.split("/")
            if split != other_split:
                raise InputError(f"array {source[0]}:{source[1]} stands for {target} and {other}: what trains may not "
                                 "test; name one array a split")
            if array.partition("_")[0] not in ("label", "id") or other_array.partition("_")[0] not in ("label", "id"):
                raise InputError(f"array {source[0]}:{source[1]} stands for {target} and {other}; name one array each")


def tidy_labels(splits: Splits, base: int | None = None, names: Sequence[str] = ()) -> tuple[int, Sequence[str]]:
    """Makes the label arrays of all splits zero-based whole numbers (n,), or bool (n, C); changes `splits`.

    Args:
      splits: split -> (array name -> array); labels (n,), (n, 1) or (1, n), numbers or class names; or matrices of 0
        and 1, or -1 and 1, of the classes of each item, one-hot or, in any of them, several.
      base: number of the first class; None takes 1 if the smallest number of all is 1, else 0.
      names: the classes in label order, or none: class names in the place of numbers then stand in order of the
        alphabet.

    Returns:
      (the base, the class names, or `names` where the labels are numbers).

    Raises:
      InputError: labels that are no whole numbers of 32 bits or known names, or an item without a class.
    """
    labels = [(split, name) for split, arrays in splits.items() for name in arrays if name.partition("_")[0] == "label"]
    texts = [(split, name) for split, name in labels if splits[split][name].dtype.kind == "U"]
    if texts:
        return 0, _number_names(splits, texts, labels, names)
    sets = {
        (split, name): found for split, name in labels
        if (found := class_sets(splits[split][name], _items(splits[split], name))) is not None
    }
    if len(sets) == len(labels) and any((found.sum(axis=1) != 1).any() for found in sets.values()):
        for (split, name), found in sets.items():
            if wrong := without_class(found):
                raise InputError(f"array {split}/{name} {wrong}")
            splits[split][name] = found
        return 0, names
    counted = []  # labels that have a first number; one-hot ones have none
    for split, name in labels:
        classes = one_hot(splits[split][name])
        if classes is None:
            classes = _whole_numbers(f"{split}/{name}", splits[split][name])
            counted.append(classes)
        splits[split][name] = classes
    if base is None:
        base = int(min((classes.min() for classes in counted if classes.size), default=0) == 1)
    for classes in counted:
        classes -= base
    return base, names


def _items(arrays: Mapping[str, NDArray], label: str) -> int | None:
    """The number of items that a label array of a split is of: `label` or `label_MODALITY`; None if nothing tells."""
    modality = label.partition("_")[2]
    views = [name for name in arrays if name.partition("_")[0] not in ("label", "id")]
    return next((len(arrays[view]) for view in views if not modality or modality_of(view) == modality), None)


def _number_names(
    splits: Splits, texts: Sequence[tuple[str, str]], labels: Sequence[tuple[str, str]], names: Sequence[str],
) -> list[str]:
    """Puts numbers in the place of class names; returns the names in the order of their numbers."""
    found = {place: splits[place[0]][place[1]].ravel() for place in texts}
    words = sorted(set().union(*(values.tolist() for values in found.values())))
    for split, name in labels:
        if (split, name) not in found:
            raise InputError(f"array {split}/{name}: holds numbers, and that for {'/'.join(texts[0])} class names such "
                             f"as {words[0]!r}; give one of them for all")
    unknown = [word for word in words if names and word not in names]
    if unknown:
        raise InputError(f"array {'/'.join(texts[0])}: holds {unknown[0]!r}, which is none of the classes "
                         f"{', '.join(names)}")
    names = list(names) or words
    number = {name: n for n, name in enumerate(names)}
    for (split, name), values in found.items():
        splits[split][name] = np.array([number[value] for value in values.tolist()], np.int64)
    return names


def _whole_numbers(where: str, values: NDArray) -> NDArray:
    """Labels as int64 (n,), a copy, or InputError."""
    if values.dtype.kind not in "biuf" or values.ndim == 0 or values.size != max(values.shape):
        raise InputError(f"array {where}: has type {values.dtype} and shape {values.shape}. {advice(values)}")
    values = values.ravel()
    limit = np.iinfo(np.int32).max
    bad = values[~((values >= -limit) & (values <= limit) & (values == np.rint(values)))]  # NaN compares as False
    if len(bad):
        raise InputError(f"array {where}: holds {bad[0]}, expected whole numbers of 32 bits: one class number an item")
    return values.astype(np.int64)


def take_ids(files: Files, splits: Splits, sources: Mapping[str, Source]) -> dict[str, dict[str, list[str]]]:
    """Takes the names of the items out of `splits`, whose labels are tidy.

    Args:
      files: as in `arrange`.
      splits, sources: what `arrange` gave; arrays `id` name the items of all modalities, `id_M` those of one.

    Returns:
      split -> modality -> list of n names.

    Raises:
      InputError: names that are no n strings, or a list of other items than the labels, or in another order.
    """
    found: dict[str, dict[str, list[str]]] = {}
    for split, arrays in splits.items():
        modalities = {modality_of(n): None for n in arrays if n.partition("_")[0] not in ("label", "id")}
        names = {m: next((n for n in (f"id_{m}", "id") if n in arrays), None) for m in modalities}
        found[split] = {}
        for m, name in names.items():
            if name:
                ids, (path, array) = arrays[name], sources[f"{split}/{name}"]
                ids = ids.ravel() if ids.size == max(ids.shape, default=0) else ids
                count = next(len(arrays[name]) for name in arrays if modality_of(name) == m)
                if ids.dtype.kind != "U" or ids.shape != (count,):
                    raise InputError(
                        f"{path}: array {array!r} has type {ids.dtype} and shape {ids.shape}; names of the {split} {m} "
                        f"items are {counted(count, 'string')}"
                    )
                # An official list gives the classes, too, counted from 1.
                classes: Any = files[path].get(array.rpartition(".")[0]) if path.endswith(".list") else None
                if classes is not None and not ("label" in arrays and np.array_equal(classes - 1, arrays["label"])):
                    raise InputError(f"{path}: its classes are not the labels of the {split} items; it is another list")
                found[split][m] = ids.tolist()
        for name in [n for n in arrays if n.partition("_")[0] == "id"]:
            del arrays[name]
    return found


def as_map(where: str, array: NDArray, channels_first: bool = False) -> NDArray:
    """An array (n, places, channels) of what a layer of convolutions gives, places by rows.

    Args:
      where: what messages call it.
      array: (n, places, channels) or (n, height, width, channels).
      channels_first: True if it is (n, channels, places) or (n, channels, height, width).

    Raises:
      InputError: it has other axes.
    """
    if array.ndim not in (3, 4) or not array.size:
        raise InputError(f"array {where}: has shape {array.shape}, and a map has three or four axes, none empty: "
                         "items, channels, and places or height and width; reshape it")
    if channels_first:
        array = np.moveaxis(array, 1, -1)
    return array.reshape(len(array), -1, array.shape[-1])


def as_tokens(where: str, array: NDArray) -> NDArray:
    """Word numbers as int32 (n, T), whatever type they are stored as; raises InputError if they are none."""
    limit = np.iinfo(np.int32).max
    if array.dtype.kind not in "biuf" or array.ndim != 2:
        raise InputError(f"array {where}: has type {array.dtype} and shape {array.shape}; with a table or vocabulary "
                         "it holds whole numbers (n, T): those of an item's words, from 1, then zeros")
    bad = array[~((array >= 0) & (array <= limit) & (array == np.rint(array)))]  # NaN compares as False
    if bad.size:
        raise InputError(f"array {where}: holds {bad[0]}; with a table or vocabulary it holds whole numbers: those "
                         "of an item's words, from 1, then zeros")
    return array.astype(np.int32)


def share_labels(arrays: dict[str, NDArray]) -> None:
    """Makes images and texts pairs where their own labels agree, as XMedia has them; changes `arrays` of a split."""
    if "label" not in arrays and {"label_image", "label_text"} <= arrays.keys():
        if np.array_equal(arrays["label_image"], arrays["label_text"]):
            arrays["label"] = arrays.pop("label_image")
            arrays.pop("label_text")
