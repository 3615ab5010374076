"""Reads NUS-WIDE's lists, labels and matrices of 269,648 lines, keeping only what is used."""
import warnings
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tfxmr_datasets import files, partition

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted

CLASSES = ("animal", "clouds", "flowers", "food", "grass", "person", "sky", "toy", "water", "window")
CONCEPTS = tuple("""
airport animal beach bear birds boats book bridge buildings cars castle cat cityscape clouds computer coral cow
dancing dog earthquake elk fire fish flags flowers food fox frost garden glacier grass harbor horses house lake leaf
map military moon mountain nighttime ocean person plane plants police protest railroad rainbow reflection road rocks
running sand sign sky snow soccer sports statue street sun sunset surf swimmers tattoo temple tiger tower town toy
train tree valley vehicle water waterfall wedding whales window zebra""".split())
LISTS = {"all": "Imagelist.txt", "train": "TrainImagelist.txt", "test": "TestImagelist.txt"}
LIST_SIZES = {"all": 269648, "train": 161789, "test": 107859}
PUBLISHED = {"train": 42941, "test": 28661}  # items of the ten classes, as the papers have it
TEN_THOUSAND = {"train": 800, "validation": 100, "test": 100}  # items of a class
SEED = 0
# Part of a matrix -> (columns, its file for all images, else its files for the training and the test images).
LOW_LEVEL = {
    name: (dim, f"Normalized_{name}.dat", f"Train_Normalized_{name}.dat", f"Test_Normalized_{name}.dat")
    for name, dim in {"CH": 64, "CORR": 144, "EDH": 73, "WT": 128, "CM55": 225}.items()
}
BAG_OF_WORDS = {"BoW": (500, "BoW_int.dat", "BoW_Train_int.dat", "BoW_Test_int.dat")}
IMAGE_FEATURES = {"low634": LOW_LEVEL, "bow500": BAG_OF_WORDS}
TAGS = {"tags": (1000, "AllTags1k.txt", "Train_Tags1k.dat", "Test_Tags1k.dat")}
TAG_NAMES = "TagList1k.txt"


Lists = dict[str, list[str]]  # "all", "train", "test" -> names of images
Parts = Mapping[str, tuple[int, str, str, str]]  # part of a matrix -> (columns, file, its two halves)
Chosen = dict[str, tuple[NDArray, NDArray]]  # split -> (rows in the list of all images, labels)


def in_folders(name: str, *folders: str) -> tuple[str, ...]:
    """The file in its official folder, or in none: alternatives for Files.find."""
    return (*(f"{folder}/{name}" for folder in folders), name)


def require(where: files.Files, *matrices: Parts) -> None:
    """Raises InputError that lists all that is missing of the lists, the labels and some matrices (LOW_LEVEL, ...)."""
    absent = []
    for parts in matrices:
        found = find_matrix(where, parts)
        absent += [f"{a} and {b} (or {whole})" for name, (_, whole, a, b) in parts.items() if found[name] is None]
    where.require(*_list_names(), *absent, *_label_names())  # what is absent is the name of no file


def _list_names() -> list[tuple[str, ...]]:
    return [in_folders(name, "ImageList") for name in LISTS.values()]


def _label_names() -> list[tuple[str, ...]]:
    return [in_folders(f"Labels_{concept}.txt", "Groundtruth/AllLabels", "AllLabels") for concept in CONCEPTS]


def read_lists(where: files.Files) -> Lists:
    """Reads the three lists of images.

    Returns:
      "all", "train", "test" -> list of "<folder>/<name>.jpg".

    Raises:
      InputError: a list is missing or cut off, or training and test images are not all images, each once.
    """
    found = where.require(*_list_names())
    lists = {}
    for part, file in zip(LISTS, found, strict=True):
        lists[part] = [line.strip().replace("\\", "/") for _, line in files.lines(file) if line.strip()]
        unsafe = next((name for name in lists[part] if not files.safe_name(name)), None)
        if unsafe:
            raise InputError(f"{file}: {unsafe!r} leads out of the folder.")
        if len(lists[part]) != LIST_SIZES[part]:
            raise InputError(f"{file}: found {counted(len(lists[part]), 'image')}, expected {LIST_SIZES[part]:,}. Copy "
                             "it again.")
    partition.check("nus_wide", {part: lists[part] for part in ("train", "test")}, LIST_SIZES)
    if set(lists["all"]) != {*lists["train"], *lists["test"]}:
        raise InputError(f"{found[0]}: its images are not those of {LISTS['train']} and {LISTS['test']} together.")
    return lists


def read_labels(where: files.Files) -> NDArray:
    """Reads the 81 label files of all images.

    Returns:
      (n,) the row in CONCEPTS of the one concept of each image; -1 where an image has none or several.
    """
    found = where.require(*_label_names())
    count = np.zeros(LIST_SIZES["all"], np.uint8)
    concept = np.full(LIST_SIZES["all"], -1, np.int16)
    for row, file in enumerate(found):
        words = file.read_bytes().split()
        # Before an array is made of them, whose every entry is as wide as the longest word.
        wrong = next((n for n, word in enumerate(words) if word not in (b"0", b"1")), None)
        if wrong is not None or len(words) != len(count):
            what = f"found {counted(len(words), 'line')}"
            if wrong is not None:
                what = f"line {wrong + 1} is {words[wrong][:40].decode(errors='replace')!r}"
            raise InputError(f"{file}: {what}, expected {counted(len(count), 'line')} of 0 or 1. Copy it again.")
        chosen = np.array(words) == b"1"
        count += chosen
        concept[chosen] = row
    return np.where(count == 1, concept, -1)


def choose(lists: Lists, concept: NDArray) -> Chosen:
    """The items of the ten classes by official split: split -> (rows in the list of all images, labels from 0 on)."""
    row_of = {name: row for row, name in enumerate(lists["all"])}
    label_of = np.full(len(CONCEPTS) + 1, -1)  # the last entry is that of concept -1
    label_of[[CONCEPTS.index(c) for c in CLASSES]] = np.arange(len(CLASSES))
    chosen = {}
    for split in ("train", "test"):
        rows = np.sort([row_of[name] for name in lists[split]])
        labels = label_of[concept[rows]]
        chosen[split] = rows[labels >= 0], labels[labels >= 0]
    sizes = np.bincount(concept[concept >= 0], minlength=len(CONCEPTS))
    largest = sorted(CONCEPTS[c] for c in np.argsort(-sizes, kind="stable")[: len(CLASSES)])
    found = {split: len(rows) for split, (rows, _) in chosen.items()}
    if found != PUBLISHED or largest != sorted(CLASSES):
        warnings.warn(
            f"nus_wide: found {found} items with one concept that is one of {', '.join(CLASSES)}; the papers have "
            f"{PUBLISHED}. The ten largest such classes here are {', '.join(largest)}", stacklevel=2,
        )
    return chosen


def ten_thousand(lists: Lists, chosen: Chosen) -> Chosen:
    """The drawn 10,000 of the chosen items, 1,000 a class: split -> (rows, labels), sorted by row."""
    rows, labels = (np.concatenate([chosen[split][i] for split in chosen]) for i in (0, 1))
    drawn: dict[str, list[tuple[int, int]]] = {split: [] for split in TEN_THOUSAND}
    for label, class_name in enumerate(CLASSES):
        row_of = {lists["all"][row]: row for row in rows[labels == label]}
        rest = len(row_of) - sum(TEN_THOUSAND.values())
        if rest < 0:
            raise InputError(f"nus_wide_10k: {counted(len(row_of), 'item')} of class {class_name}, fewer than are to "
                             "be drawn.")
        parts = partition.draw(row_of, TEN_THOUSAND | {"rest": rest}, SEED)
        for split, own in drawn.items():
            own.extend((row_of[name], label) for name in parts[split])
    partition.check(
        "nus_wide_10k", drawn, {split: size * len(CLASSES) for split, size in TEN_THOUSAND.items()}
    )
    return {split: tuple(np.array(sorted(own)).T) for split, own in drawn.items()}


def find_matrix(where: files.Files, parts: Parts) -> dict[str, Any]:
    """Finds a matrix's files: part -> its file for all images, or those for training and test images, or None."""
    folders = ("Low_Level_Features", "NUS_WID_Low_Level_Features/Low_Level_Features", "NUS_WID_Tags")
    found = {}
    for name, (_, whole, *halves) in parts.items():
        candidates = [[where.find(*in_folders(n, *folders)) for n in names] for names in ((whole,), halves)]
        found[name] = next((files for files in candidates if None not in files), None)
    return found


def read_matrix(found: Mapping[str, Any], parts: Parts, lists: Lists, rows: NDArray, dtype: type) -> NDArray:
    """Reads some rows of a matrix, line by line: memory holds these rows alone.

    Args:
      found: what `find_matrix` gave.
      parts: LOW_LEVEL, BAG_OF_WORDS or TAGS.
      lists: what `read_lists` gave.
      rows: (n,) ascending rows in the list of all images.
      dtype: of the result.

    Returns:
      (n, sum of the parts' columns).
    """
    matrix: NDArray = np.empty((len(rows), sum(dim for dim, *_ in parts.values())), dtype)
    position = {lists["all"][row]: n for n, row in enumerate(rows)}
    first = 0
    for name, (dim, *_) in parts.items():
        names = ("all",) if len(found[name]) == 1 else ("train", "test")
        for file, part in zip(found[name], names, strict=True):
            _read_rows(file, lists[part], position, matrix[:, first : first + dim])
        first += dim
    return matrix


def _read_rows(file: files.File, names: Sequence[str], position: Mapping[str, int], matrix: NDArray) -> None:
    """Fills the rows of a matrix from a text file that has a line of numbers for each of `names`."""
    number = 0
    with file.open("rb") as stream:
        for number, line in enumerate(stream, 1):
            row = position.get(names[number - 1]) if number <= len(names) else None
            if row is None:
                continue
            try:
                values = np.fromstring(line, np.float32, sep=" ")
                if values.shape != matrix.shape[1:] or not np.isfinite(values).all():
                    raise ValueError(counted(len(values), "number"))
                if matrix.dtype == np.uint8 and not np.isin(values, (0, 1)).all():
                    raise ValueError("tags that are neither 0 nor 1")
            except ValueError as error:
                raise InputError(
                    f"{file}, line {number}: expected {counted(matrix.shape[1], 'finite number')}, found: {error}. "
                    "Copy it again."
                ) from error
            matrix[row] = values
    if number != len(names):
        raise InputError(f"{file}: has {counted(number, 'line')}, expected {len(names):,}. Copy it again.")
