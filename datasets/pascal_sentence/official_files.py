"""Reads the official page of sentences, or the folders that many copies come in."""
import html.parser
import re
from collections.abc import Iterable, Mapping

from tfxmr_datasets import files, partition

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted

CLASSES = (
    "aeroplane", "bicycle", "bird", "boat", "bottle", "bus", "car", "cat", "chair", "cow",
    "diningtable", "dog", "horse", "motorbike", "person", "pottedplant", "sheep", "sofa", "train", "tvmonitor",
)  # fmt: skip
PAGES = ("pascal-sentences.html", "index.html")
CLASS_SIZE = 50
SPLITS = {"800_200": {"train": 40, "test": 10}, "800_100_100": {"train": 40, "validation": 5, "test": 5}}  # of a class
SEED = 0
Sentences = Mapping[str, list[str]]  # "<class>/<id>" -> its sentences


class _Page(html.parser.HTMLParser):
    """Collects the sentences that follow each image: cells of one row each, in a table of their own."""

    def __init__(self) -> None:
        super().__init__()
        self.sentences: dict[str, list[str]] = {}
        self.name: str | None = None
        self.cell: str | None = None

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """An image opens an item, a cell a sentence; a cell inside a cell begins again."""
        if tag == "img":
            self.name = (dict(attrs).get("src") or "").removesuffix(".jpg")
            if self.name in self.sentences:
                raise InputError(f"{self.name}.jpg stands twice")
            self.sentences[self.name] = []
        self.cell = "" if tag == "td" else self.cell

    def handle_data(self, data: str) -> None:
        """Text counts inside cells alone."""
        if self.cell is not None:
            self.cell += data

    def handle_endtag(self, tag: str) -> None:
        """A cell's end completes a sentence, unless it is empty: the cell of the image, or of the table itself."""
        if tag == "td" and self.cell is not None:
            sentence = " ".join(self.cell.split())
            if self.name is not None and sentence:
                self.sentences[self.name].append(sentence)
            self.cell = None


def read_page(file: files.File) -> Sentences:
    """Reads the official page.

    Returns:
      "<class>/<id>" -> list of its sentences, without the spaces around them.
    Raises:
      InputError: an image twice, without a sentence, of an unknown class, or classes not of 50 images.
    """
    page = _Page()
    try:
        page.feed(file.read_bytes().decode("utf-8", errors="replace"))
        page.close()
        check(page.sentences)
    except (ValueError, AssertionError) as error:  # InputError, and what the parser raises on damaged pages
        raise InputError(f"{file}: {error}. Copy the official page again.") from error
    return page.sentences


def read_folders(where: files.Files) -> Sentences:
    """As `read_page`, from `<class>/<id>.txt` or, as some copies have it, `<class>/<id>txt`, a sentence a line."""
    found = {}
    for class_name in CLASSES:
        for folder in where.folders:
            for path in sorted((folder / class_name).glob("*txt")):
                name = f"{class_name}/{path.name.removesuffix('txt').removesuffix('.')}"
                if name in found:
                    raise InputError(f"{path}: is the second text of {name}. Move one of them elsewhere.")
                found[name] = [" ".join(line.split()) for _, line in files.lines(path) if line.strip()]
    if found:
        try:
            check(found)
        except InputError as error:
            raise InputError(f"{where.place}: of the texts <class>/<id>.txt {error}.") from error
    return found


def check(sentences: Sentences) -> None:
    """Raises InputError if these are not CLASS_SIZE images of each class with at least one sentence each."""
    for name, own in sentences.items():
        class_name, _, number = name.partition("/")
        if class_name not in CLASSES or not re.fullmatch(r"[\w-]+", number):
            raise InputError(f"{name!r} is no <class>/<id> of a Pascal class")
        if not own:
            raise InputError(f"{name} has no sentence")
    for class_name in CLASSES:
        size = sum(name.startswith(f"{class_name}/") for name in sentences)
        if size != CLASS_SIZE:
            raise InputError(f"{counted(size, 'image is', 'images are')} of class {class_name}, expected {CLASS_SIZE}")


def divide(names: Iterable[str], config: str) -> dict[str, list[str]]:
    """Divides the names "<class>/<id>" by the config's split: split -> names in the order of classes and ids."""
    sizes = SPLITS[config]
    # One order of the draw for all configs: they train on the same images, and 800_200 tests all that the other
    # validates or tests with.
    counts = {"train": sizes["train"], "test": sizes["test"], "validation": sizes.get("validation", 0)}
    splits: dict[str, list[str]] = {split: [] for split in sizes}
    for class_name in CLASSES:
        drawn = partition.draw((n for n in names if n.startswith(f"{class_name}/")), counts, SEED)
        for split, own in splits.items():
            own.extend(drawn[split])
    partition.check("pascal_sentence", splits, {split: size * len(CLASSES) for split, size in sizes.items()})
    return splits
