"""Reads the files of the official Wikipedia archive, and says exactly what is missing or malformed."""
import dataclasses
import html
import pathlib
import re
from collections.abc import Iterable, Sequence

import numpy as np
from numpy.typing import NDArray
from tfxmr_datasets import files

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data.files import sandbox

CLASSES = ("art", "biology", "geography", "history", "literature", "media",
           "music", "royalty", "sport", "warfare")
CLASSES_FILE = "categories.list"
LIST_FILES = {"train": "trainset_txt_img_cat.list", "test": "testset_txt_img_cat.list"}
SPLIT_SIZES = {"train": 2173, "test": 693}
MAX_NAMED = 20  # missing images and texts are named up to here and counted beyond: there are 5,732 of them


@dataclasses.dataclass(frozen=True)
class Matrix:
    """A feature matrix in a .mat file: one array a split, rows in the order of the split's list.

    Attributes:
      file: name of the .mat file.
      arrays: split -> name of the array in the file.
      dim: number of columns.
      official: True if the file is part of the official archive.
    """

    file: str
    arrays: dict
    dim: int
    official: bool = False


IMAGE_FEATURES = {
    "sift128": Matrix("raw_features.mat", {"train": "I_tr", "test": "I_te"}, 128, official=True),
    "cnn128": Matrix("image_cnn_pca128.mat", {"train": "I_cnn_tr", "test": "I_cnn_te"}, 128),
}
TEXT_FEATURES = {
    "lda10": Matrix("raw_features.mat", {"train": "T_tr", "test": "T_te"}, 10, official=True),
    "tfidf1000": Matrix("text_tfidf1000.mat", {"train": "T_tfidf_tr", "test": "T_tfidf_te"}, 1000),
}


@dataclasses.dataclass(frozen=True)
class Item:
    """One line of a list: a text, an image, and their common class (zero-based)."""

    text_id: str
    image_id: str
    label: int

    @property
    def image_file(self) -> str:
        """Path of the image inside the archive."""
        return f"images/{CLASSES[self.label]}/{self.image_id}.jpg"

    @property
    def text_file(self) -> str:
        """Path of the text inside the archive. Text ids contain dots, which start no file extension."""
        return f"texts/{self.text_id}.xml"


def folders(root: pathlib.Path | None) -> list[pathlib.Path]:
    """Lists the folders in which files are looked for: `root`, and any unpacked archive one level below."""
    if root is None or not root.is_dir():
        return []
    below = [folder for folder in sorted(root.iterdir()) if (folder / LIST_FILES["train"]).exists()]
    return [root, *below]


def find(name: str, where: Iterable[pathlib.Path]) -> pathlib.Path | None:
    """Returns the path of the file called `name` in the first of the folders that holds it, or None."""
    return next((folder / name for folder in where if (folder / name).exists()), None)


def missing(names: Iterable[str], where: Sequence[pathlib.Path]) -> list[str]:
    """Returns those of the names that no folder holds."""
    return [name for name in names if find(name, where) is None]


def read_list(path: pathlib.Path, split: str) -> list[Item]:
    """Reads an official list, whose lines are `<text id> TAB <image id> TAB <class 1..10>`.

    Returns:
      The items in the order of the list.
    Raises:
      InputError: a line is malformed, or the number of lines is not that of the official split.
    """
    items = []
    for number, line in enumerate(path.read_bytes().decode(errors="replace").splitlines(), 1):
        fields = line.split("\t")
        classes = map(str, range(1, len(CLASSES) + 1))
        # An id becomes part of a file's name, which must not lead out of the folder.
        if len(fields) != 3 or re.search(r"[/\\\0]", line) or fields[2].strip() not in classes:
            raise InputError(f"{path}, line {number}: found {line[:80]!r}, expected "
                             f"<text id> TAB <image id> TAB <class 1..{len(CLASSES)}>.")
        items.append(Item(fields[0], fields[1], int(fields[2]) - 1))
    if len(items) != SPLIT_SIZES[split]:
        raise InputError(f"{path}: found {counted(len(items), 'line')}, expected the {SPLIT_SIZES[split]} of the "
                         f"official {split} split. Copy the file again from the official archive.")
    return items


def check_classes(path: pathlib.Path) -> None:
    """Raises InputError if the file's class names are not the official ten in their order."""
    names = tuple(path.read_bytes().decode(errors="replace").split())
    if names != CLASSES:
        raise InputError(f"{path}: found the classes {', '.join(names)}, expected {', '.join(CLASSES)}.")


def read_matrix(path: pathlib.Path, matrix: Matrix, split: str, num_rows: int) -> NDArray:
    """Reads one array of a .mat file.

    Args:
      path: the .mat file.
      matrix: the Matrix it holds.
      split: "train" or "test".
      num_rows: length of the split's list.
    Returns:
      float32 (num_rows, matrix.dim).
    Raises:
      InputError: the file is damaged, or the array absent, not numeric, not finite or of another shape.
    """
    name = matrix.arrays[split]
    array = sandbox.read(path, [name], "Copy it again").get(name)
    if array is None:
        raise InputError(f"{path}: holds no array {name!r}. Is it the right {matrix.file}?")
    if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
        raise InputError(f"{path}: array {name!r} is no matrix of real numbers.")
    if array.shape != (num_rows, matrix.dim):
        raise InputError(f"{path}: array {name!r} has shape {array.shape}, expected "
                         f"({num_rows}, {matrix.dim}): one row for each line of {LIST_FILES[split]}.")
    if not np.isfinite(array).all():
        raise InputError(f"{path}: array {name!r} holds NaN or infinite values.")
    return array.astype(np.float32)


def read_text(path: pathlib.Path) -> str:
    """Returns what stands between <text> and </text>. No XML parser: not every file is valid XML."""
    content = path.read_bytes()
    # In two steps, each of which looks at a byte once: one expression for both looks again from every <text on.
    start, end = re.search(rb"<text\b[^<>]*>", content), content.rfind(b"</text>")
    try:
        if start is None or end < start.end():
            raise ValueError("holds no <text> ... </text>")
        return html.unescape(content[start.end() : end].decode("utf-8", errors="replace")).strip()
    except ValueError as error:  # also a character whose number has thousands of digits
        raise InputError(f"{path}: {error}. Copy it again from the official archive.") from error


def read_image(path: pathlib.Path) -> bytes:
    """Returns the image file's bytes as tfxmr_datasets.files.image does.

    Some images are grey. A grey JPEG is stored as it is: TFDS decodes it to three equal channels.
    """
    return files.image(path)
