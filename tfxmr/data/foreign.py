"""Matrices as people pass them around: .mat of both kinds, .npy, .npz, .h5."""
import pathlib
import zipfile

import h5py
import numpy as np
import scipy.io
import scipy.sparse

from tfxmr.data.labels import advice, one_hot
from tfxmr.errors import InputError

SUFFIXES = (".mat", ".npy", ".npz", ".h5", ".hdf5", ".h5py")

# layout -> array of the npz format -> the names under which it has been published.
LAYOUTS = {
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


def read(path):
    """Reads all arrays of a file.

    A MATLAB file of version 7.3 is HDF5 with its axes reversed: they are turned back. A .npy file holds one array,
    under the file's name without its ending. An official list of Wikipedia, `<text id> TAB <image id> TAB <class>`,
    gives the column of classes under the file's name without its ending, and NAME.text_id and NAME.image_id.

    Args:
      path: a file; what it holds is told by its content where the ending does not tell.

    Returns:
      name -> array of numbers, or of strings; names in HDF5 groups are joined by "/". What is neither is left out.

    Raises:
      InputError: no such file, another kind of file, a damaged one, or one that holds pickled objects.
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"{path}: there is no such file")
    try:
        arrays = _read(path)
    except InputError:
        raise
    except Exception as error:  # SciPy and h5py raise a dozen different types on damaged files
        raise InputError(
            f"{path}: cannot be read ({error}); expected plain arrays in {', '.join(SUFFIXES)}, no pickled objects"
        ) from error
    dense = {k: v.toarray() if scipy.sparse.issparse(v) else v for k, v in arrays.items()}
    return {k: v for k, v in dense.items() if isinstance(v, np.ndarray) and v.dtype.kind in "biufU"}


def _read(path):
    with open(path, "rb") as file:
        start = file.read(128)
    if path.suffix == ".list":
        lines = path.read_bytes().decode(errors="replace").splitlines()
        text_ids, image_ids, classes = zip(*(line.split("\t") for line in lines), strict=True)
        return {path.stem: np.array(classes, int), f"{path.stem}.text_id": np.array(text_ids),
                f"{path.stem}.image_id": np.array(image_ids)}
    if h5py.is_hdf5(path):
        return _read_hdf5(path, start.startswith(b"MATLAB 7.3"))
    if path.suffix == ".mat":
        return {k: v for k, v in scipy.io.loadmat(path).items() if not k.startswith("__")}
    if start.startswith(b"\x93NUMPY"):
        return {path.stem: np.load(path, allow_pickle=False)}
    if zipfile.is_zipfile(path):
        with np.load(path, allow_pickle=False) as stored:
            return {name: stored[name] for name in stored.files}
    raise InputError(f"{path}: is none of {', '.join(SUFFIXES)}; a pickle is never read. Save the matrices as .npz")


def _read_hdf5(path, matlab):
    found = {}

    def visit(name, item):
        if isinstance(item, h5py.Dataset) and item.external is None and not item.is_virtual:
            found[name] = item[()]

    with h5py.File(path, "r") as file:
        file.visititems(visit)  # which follows no link out of the file
    return {name: value.T if matlab and isinstance(value, np.ndarray) else value for name, value in found.items()}


def arrange(files, mapping):
    """Puts arrays of several files into the splits of the npz format.

    Args:
      files: path -> (name -> array), as `read` gives them.
      mapping: "split/array" -> names, the first of which that is there is taken; those that are nowhere are left out.

    Returns:
      (split -> (array name -> array), "split/array" -> "file:name" it was taken from).

    Raises:
      InputError: two files hold an array of that name, there is none for training or for test, one that another split
        has, or one array for two splits.
    """
    places = {}
    for path, arrays in files.items():
        for name, array in arrays.items():
            places.setdefault(name, []).append((path, array))
    splits, sources = {}, {}
    for target, names in mapping.items():
        name = next((n for n in names if n in places), None)
        if name is None:
            continue
        if len(places[name]) > 1:
            raise InputError(f"array {name!r} stands in {' and in '.join(p for p, _ in places[name])}; name one file")
        (path, array), = places[name]
        split, _, array_name = target.partition("/")
        splits.setdefault(split, {})[array_name] = array
        sources[target] = f"{path}:{name}"
    repeated = [source for source in sources.values() if list(sources.values()).count(source) > 1]
    if repeated:
        targets = " and ".join(target for target in sources if sources[target] == repeated[0])
        raise InputError(f"array {repeated[0]} stands for {targets}: what trains may not test; name one array a split")
    known = {name for arrays in splits.values() for name in arrays if not name.startswith("id")}
    lacking = {f"{s}/{name}" for s in splits for name in known} - sources.keys()
    for target in (t for t in mapping if t in lacking):
        raise InputError(f"no array for {target}: expected {' or '.join(mapping[target])}, found "
                         f"{', '.join(sorted(places))}. Say which one it is by --array={target}=NAME")
    missing = [split for split in ("train", "test") if split not in splits]
    if missing:
        known = [name for names in mapping.values() for name in names]
        raise InputError(
            f"no {' and no '.join(missing)} arrays: found {', '.join(sorted(places)) or 'nothing'}; expected some of "
            f"{', '.join(known)}. Say which is which by --array=train/image=NAME and so on"
        )
    return splits, sources


def tidy_labels(splits, base=None, names=()):
    """Makes the label arrays of all splits zero-based whole numbers (n,); changes `splits`.

    Args:
      splits: split -> (array name -> array); labels (n,), (n, 1) or (1, n), numbers or class names, or one-hot.
      base: number of the first class; None takes 1 if the smallest number of all is 1, else 0.
      names: the classes in label order, or none: class names in the place of numbers then stand in order of the
        alphabet.

    Returns:
      (the base, the class names, or `names` where the labels are numbers).

    Raises:
      InputError: labels that are no whole numbers of 32 bits or known names, or several or none an item.
    """
    labels = [(arrays, name) for arrays in splits.values() for name in arrays if name.partition("_")[0] == "label"]
    texts = [(arrays, name) for arrays, name in labels if arrays[name].dtype.kind == "U"]
    if texts:
        return 0, _number_names(texts, labels, names)
    counted = []  # labels that have a first number; one-hot ones have none
    for arrays, name in labels:
        classes = one_hot(arrays[name])
        if classes is None:
            classes = _whole_numbers(name, arrays[name])
            counted.append((arrays, name))
        arrays[name] = classes
    if base is None:
        base = int(min((arrays[name].min() for arrays, name in counted if arrays[name].size), default=0) == 1)
    for arrays, name in counted:
        arrays[name] -= base
    return base, names


def _number_names(texts, labels, names):
    """Puts numbers in the place of class names; returns the names in the order of their numbers."""
    found = sorted({str(value) for arrays, name in texts for value in arrays[name].flat})
    if len(texts) != len(labels):
        raise InputError(f"array {texts[0][1]}: holds class names such as {found[0]!r}, and other label arrays numbers")
    unknown = [value for value in found if names and value not in names]
    if unknown:
        raise InputError(f"array {texts[0][1]}: holds {unknown[0]!r}, which is none of the classes {', '.join(names)}")
    names = list(names) or found
    number = {name: n for n, name in enumerate(names)}
    for arrays, name in texts:
        arrays[name] = np.array([number[value] for value in arrays[name].flat], np.int64)
    return names


def _whole_numbers(name, values):
    """Labels as int64 (n,), or InputError."""
    if values.dtype.kind not in "biuf" or values.ndim == 0 or values.size != max(values.shape):
        raise InputError(f"array {name}: has type {values.dtype} and shape {values.shape}. {advice(values)}")
    values = values.ravel()
    limit = np.iinfo(np.int32).max
    bad = values[~((values >= -limit) & (values <= limit) & (values == np.rint(values)))]  # NaN compares as False
    if len(bad):
        raise InputError(f"array {name}: holds {bad[0]}, expected whole numbers of 32 bits: one class number an item")
    return values.astype(np.int64)


def take_ids(files, splits, sources):
    """Takes the names of the items out of `splits`, whose labels are tidy.

    Args:
      files: as in `arrange`.
      splits, sources: what `arrange` gave; arrays `id` name the items of all modalities, `id_M` those of one.

    Returns:
      split -> modality -> list of n names.

    Raises:
      InputError: names that are no n strings, or a list of other items than the labels, or in another order.
    """
    found = {}
    for split, arrays in splits.items():
        modalities = [n for n in arrays if n.partition("_")[0] not in ("label", "id")]
        names = {m: next((n for n in (f"id_{m}", "id") if n in arrays), None) for m in modalities}
        found[split] = {}
        for m, name in names.items():
            if name:
                ids, (path, _, array) = arrays[name], sources[f"{split}/{name}"].rpartition(":")
                if ids.dtype.kind != "U" or ids.shape != (len(arrays[m]),):
                    raise InputError(
                        f"{path}: array {array!r} has type {ids.dtype} and shape {ids.shape}; names of the {split} {m} "
                        f"items are {len(arrays[m])} strings"
                    )
                classes = files[path].get(array.rpartition(".")[0])  # of an official list, counted from 1
                if classes is not None and not np.array_equal(classes - 1, arrays.get("label")):
                    raise InputError(f"{path}: its classes are not the labels of the {split} items; it is another list")
                found[split][m] = ids.tolist()
        for name in [n for n in arrays if n.partition("_")[0] == "id"]:
            del arrays[name]
    return found


def share_labels(arrays):
    """Makes images and texts pairs where their own labels agree, as XMedia has them; changes `arrays` of a split."""
    pair = [arrays.get(f"label_{m}") for m in ("image", "text")]
    if "label" not in arrays and all(labels is not None for labels in pair):
        if np.array_equal(*pair):
            arrays["label"] = arrays.pop("label_image")
            arrays.pop("label_text")
