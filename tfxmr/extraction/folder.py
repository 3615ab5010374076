"""The user's own images and texts: `--dataset=folder --data_dir=DIR`."""
import collections
import dataclasses
import functools
import pathlib
import sys
import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import display
from tfxmr.core.classes import SEPARATOR
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.wording import counted, printable
from tfxmr.data.files import layouts, media_files
from tfxmr.data.files.layouts import Found, Piece, Several
from tfxmr.data.files.media_files import Item, Problem
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction import several_media
from tfxmr.extraction.dataset import Dataset, Preview, Reader, Request
from tfxmr.extraction.describing import Described, describe
from tfxmr.extraction.reading import OneByOne
from tfxmr.features.image.descriptor import Descriptor
from tfxmr.features.text.bag_of_words import KINDS, TextVectorizer, warn_of_phrases, warn_of_unknown

NAMED = 3  # items named for each kind of problem


class Folder(Dataset):
    """Images and texts in one of the layouts of tfxmr.data.files.layouts, which is found by looking.

    Items without classes are found by their counterparts (MultiModalData.instances). Without a split, all items train,
    and --split=random divides them. Nothing outside the folder is read, not through symbolic links either.

    With bad_items="refuse", unreadable or cut off images, empty or undecodable texts, images and texts without the
    other, duplicate ids and links out of the folder raise InputError; "skip" skips them. Both count them by kind.

    text_items="sentences" makes each of several texts of an image an item of its own, paired with that image
    (MultiModalData.repeated); "joined" makes them one text, each on a line.

    Sounds, videos and 3D shapes that the request describes belong to the items, too: tfxmr.extraction.several_media.
    """

    def arrays(self, request: Request) -> MultiModalData:
        """Describes the items by features that need no training but a vocabulary, of the training texts."""
        if several_media.wanted(request):
            data = self.divided(self.listed(request), request, self.fitted_on)
            return several_media.arrays(data, self.reader(request), request)
        data, described, row_of = self._looked_through(request, Descriptor())
        data = self.divided(data, request, self.fitted_on)
        read = self.reader(request)
        texts = {name: list(read("text", split.ids["text"])) for name, split in data.splits.items()}
        vectorizer = TextVectorizer(request.text_features, min_documents=1).fit(texts["train"])
        described.tell(f"images ({request.image_features})")
        splits = {}
        for name, split in data.splits.items():
            words = vectorizer.transform(texts[name])
            warn_of_phrases(texts[name], f"{request.data_dir} {name}")
            zeros = int((~words.any(axis=1)).sum())
            warn_of_unknown(zeros, len(texts[name]), f"{request.data_dir} {name}")
            features = {"image": described.matrix(row_of, split, "image", data.repeated), "text": words}
            splits[name] = Split(features, split.labels, split.ids)
        kinds = {"image": request.image_features, "text": request.text_features}
        facts = {m: {**known, "name": kinds[m]} for m, known in data.features.items()}
        recipes = {"image": Descriptor(), "text": vectorizer}
        return dataclasses.replace(data, splits=splits, features=facts, recipes=recipes)

    def listed(self, request: Request) -> MultiModalData:
        """Reads every file once, and lists the items that can be used.

        Returns:
          MultiModalData whose matrices have no columns: labels, ids and class names (of the training items, by
          alphabet).

        Raises:
          InputError: bad items, no training items, or a class without any.
        """
        return self._several(request) if several_media.wanted(request) else self._looked_through(request, _Size())[0]

    def _several(self, request: Request) -> MultiModalData:
        """As `listed`, of items with sounds, videos or 3D shapes."""
        several_media.own_features(request)  # which there are, before all files are read
        found = several_media.find(request)
        _tell(f"--data_dir={request.data_dir}: {found.told}{_of_several(found, request)}")
        good, problems = several_media.usable(found, request.text_items)
        if problems:
            _report(request.data_dir, problems, len(good), request.bad_items)
        return self._listed(request, good, dict(collections.Counter(kind for kind, _ in problems)), found.modalities)

    def _looked_through(self, request: Request, feature: Any) -> tuple[MultiModalData, Described, dict[str, int]]:
        """As `listed`, and in the same pass the images by a feature: (data, Described, id of an image -> its row)."""
        data_dir = request.data_dir
        found = layouts.find(data_dir, request.layout, request.columns, request.class_separator)
        _tell(f"--data_dir={data_dir}: {found.told}{_of_several(found, request)}")
        if found.items:  # before the long work: that some cannot be used mends nothing
            _classes(data_dir, found.items)
        images = list({item.image: item for item in found.items}.values())
        described = describe(feature, "image", images, len(images), functools.partial(_content, found.root),
                             lambda item, held: media_files.decoded(held, item), request.cache_dir)
        good, twins, problems = _usable(found, images, described)
        if twins:
            _tell(f"--data_dir={data_dir}: {_told(twins)}")
        if request.text_items == "joined":
            good = list({item.id: dataclasses.replace(item, number=None) for item in good}.values())
        if problems:
            _report(data_dir, problems, len(good), request.bad_items)
        data = self._listed(request, good, dict(collections.Counter(kind for kind, _ in problems)))
        return data, described, {item.id: row for row, item in enumerate(images)}

    def _listed(
        self, request: Request, good: Sequence[Item | Piece], counts: dict[str, int],
        modalities: Sequence[str] = ("image", "text"),
    ) -> MultiModalData:
        """The items that can be used as data without columns; `counts` are of the problems by kind."""
        data_dir, classes = request.data_dir, _classes(request.data_dir, good)
        several, splits = any(len(item.classes) > 1 for item in good), {}
        if several and (barred := next((name for name in classes if SEPARATOR in name), None)):
            raise InputError(
                f"--data_dir={data_dir}: class {barred!r} holds {SEPARATOR!r}, which stands between the classes of an "
                f"item; rename it, or say --class_separator={SEPARATOR!r} if it is several"
            )
        for name in media_files.SPLITS:
            members = [item for item in good if item.split == name]
            if members:
                empty = {m: np.zeros((len(members), 0), np.float32) for m in modalities}
                pairs = Split.of_pairs(empty, _labels(members, classes, several))
                ids = {m: [item.text_id if m == "text" else item.id for item in members] for m in modalities}
                splits[name] = dataclasses.replace(pairs, ids=ids)
        repeated = tuple(m for m in modalities if m != "text") if any(i.number is not None for i in good) else ()
        data = MultiModalData(
            self.name, splits, classes, repeated=repeated,
            features={m: {"source": str(data_dir), "skipped": counts} for m in modalities},
        )
        # As which layout and columns these media are read again, by commands that are told no more than a folder.
        how = {name: getattr(request, name) for name in layouts.READ_AS} | {"columns": ",".join(request.columns)}
        data = dataclasses.replace(data, media_places={name: value for name, value in how.items() if value})
        return data if classes else data.as_instances()

    def load(self, request: Request) -> MultiModalData:
        """As Dataset.load; that there are no test items is said before images are read."""
        self._refuse_undivided(request)
        return super().load(request)

    def items(self, request: Request) -> MultiModalData:
        """As Dataset.items; likewise."""
        self._refuse_undivided(request)
        return super().items(request)

    def _refuse_undivided(self, request: Request) -> None:
        found = _find(request)
        splits = {item.split for item in found.items}
        if splits and "test" not in splits:
            _tell(f"--data_dir={request.data_dir}: {found.told}")
            request.split.require_test(self.name, ())

    def preview(self, request: Request) -> Preview:
        """Whether there are classes, by the layout and the columns of tables; nothing where that cannot be told."""
        try:
            found = _find(request)
            several = found.modalities if isinstance(found, Several) else ()
            return Preview(instances=not found.has_classes, multi_label=found.multi_label, modalities=several)
        except InputError:
            return Preview()

    def reader(self, request: Request) -> Reader:
        """Looks the folder through but once; without --data_dir there is nothing."""
        if not request.data_dir:
            return lambda modality, ids: [None] * len(ids)
        if several_media.wanted(request):
            return several_media.Reader(several_media.find(request))
        found = layouts.find(request.data_dir, request.layout, request.columns, request.class_separator)
        root = found.root
        by_id = {item.text_id: [item] for item in found.items}
        of_image: dict[str, list] = {}
        for item in found.items:
            of_image.setdefault(item.id, []).append(item)

        def content(modality: str, id_: str) -> bytes | str | None:
            same = of_image.get(id_) or by_id.get(id_)
            if same is None:
                return None
            return media_files.image_bytes(root, same[0]) if modality == "image" else "\n".join(_texts(root, same))

        def decoded(modality: str, id_: str, held: bytes | str) -> Any:
            return held if isinstance(held, str) else media_files.decoded(held, (of_image.get(id_) or by_id[id_])[0])

        return OneByOne(content, decoded)

    def places(self, modality: str, ids: Sequence[str], request: Request) -> list[pathlib.Path | None]:
        """Where images lie, and texts but those of a table."""
        if not request.data_dir:
            return [None] * len(ids)
        if several_media.wanted(request):
            read = several_media.Reader(several_media.find(request))
            return [read.place(modality, id_) for id_ in ids]
        found = layouts.find(request.data_dir, request.layout, request.columns, request.class_separator)
        if modality == "image":
            names = {item.id: item.image for item in found.items if isinstance(item.image, str)}
        else:
            names = {item.text_id: item.text_file for item in found.items if item.text_file}
        places: list[pathlib.Path | None] = []
        for id_ in ids:
            try:
                places.append(media_files.place(found.root, names[id_]))
            except (KeyError, media_files.BadItem):
                places.append(None)
        return places


FOLDER = Folder(
    name="folder",
    description="your own images and texts: <split>/<class>/<id>.jpg and <id>.txt, or a table, in --data_dir",
    image_features=("descriptor",),
    text_features=KINDS,
    text_items=("sentences", "joined"),
    files=tuple(layouts.FLAGS),
    fitted_on="text: vocabulary and word weights on the training texts; image: on nothing",
)


def _texts(root: pathlib.Path, same: Sequence[Item]) -> list[str]:
    """The texts of one image that can be used; raises BadItem if none can."""
    texts = []
    for item in same:
        try:
            texts.append(media_files.read_text(root, item))
        except media_files.BadItem:
            if item is same[-1] and not texts:
                raise
    return texts


def _of_several(found: Found | Several, request: Request) -> str:
    """That items have several classes, or how it is said if they may have; in words after others, or ""."""
    if found.multi_label:
        return "; items have several classes"
    barred = any(SEPARATOR in name for item in found.items for name in item.classes)
    ask = barred and not request.class_separator
    return f"; if {SEPARATOR!r} in a class stands between several, say --class_separator={SEPARATOR!r}" if ask else ""


def _labels(members: Sequence[Item | Piece], classes: Sequence[str], several: bool) -> np.ndarray:
    """Labels of items, int (n,), zeros of data without classes; bool (n, C) if items have several."""
    number = {name: c for c, name in enumerate(classes)}
    if not several:
        return np.array([number[item.classes[0]] if item.classes else 0 for item in members])
    labels = np.zeros((len(members), len(classes)), bool)
    for row, item in enumerate(members):
        labels[row, [number[name] for name in item.classes]] = True
    return labels


def _find(request: Request) -> Found | Several:
    if several_media.wanted(request):
        return several_media.find(request)
    return layouts.find(request.data_dir, request.layout, request.columns, request.class_separator)


class _Size:
    """The height and width of an image, which it has if it can be decoded; as a feature, see `describe`."""

    name, view, fitted, labels_used, alone, dtype, dim = "size", "", False, False, True, np.int32, 2
    rule = {"rule": "height and width in pixels"}

    def transform(self, images: Sequence[NDArray]) -> NDArray:
        """Returns int32 (n, 2)."""
        return np.array([image.shape[:2] for image in images], np.int32)


def _content(root: pathlib.Path, item: Item) -> bytes:
    return media_files.image_bytes(root, item)


def _usable(
    found: Found, images: Sequence[Item], described: Described,
) -> tuple[list[Item], list[tuple[Item, Item]], list[Problem]]:
    """The items whose image and text can be read.

    Args:
      found: the items.
      images: the first item of each image.
      described: of these images.

    Returns:
      (the items; of each image whose file has the same bytes as an earlier one's the items (earlier, this); all
      problems, with those of the layout.)
    """
    good, twins, problems = [], [], list(found.problems)
    of_image: dict[Any, list[Problem]] = {}
    first: dict[bytes, Item] = {}
    for row, (item, key) in enumerate(zip(images, described.keys, strict=True)):
        of_image[item.image] = [described.bad[row].args] if row in described.bad else []
        problems.extend(of_image[item.image])
        if key and (earlier := first.setdefault(key, item)) is not item:
            twins.append((earlier, item))
    for item in found.items:
        bad_text = _problem(media_files.read_text, found.root, item)
        problems.extend(bad_text)
        if not of_image[item.image] and not bad_text:
            good.append(item)
    return good, twins, problems


def _classes(data_dir: Place, items: Sequence[Item | Piece]) -> list[str]:
    """The classes of the training items, by alphabet; raises InputError if nothing trains, or one of them not."""
    if not any(item.split == "train" for item in items):
        raise InputError(f"--data_dir={data_dir}: no usable item trains; put items into train/ (CSV: split train)")
    classes = {name for item in items if item.split == "train" for name in item.classes}
    strange = sorted({f"{name!r} ({item.split})" for item in items for name in item.classes if name not in classes})
    if classes and strange:
        raise InputError(f"--data_dir={data_dir}: no item trains class {', '.join(strange)}; add some, or omit it")
    return sorted(classes)


def _told(twins: Sequence[tuple[Item, Item]]) -> str:
    """Which images are the same file again: they are used as they are, and a copy in another split is a leak."""
    across = [pair for pair in twins if pair[0].split != pair[1].split]
    a, b = (across or twins)[0]
    leak = f", {len(across):,} of them in another split" if across else ""
    found = counted(len(twins), "image is", "images are")
    return f"{found} byte-identical to another one{leak}, such as {b.id} to {a.id}"


@functools.cache
def _tell(line: str) -> None:
    """Says once a process how something was found."""
    display.say(printable(line), 2, sys.stderr)


def _problem(read: Callable[[pathlib.Path, Item], Any], root: pathlib.Path, item: Item) -> list[Problem]:
    """A list of what `read` finds wrong with an item, (kind of problem, what); empty if nothing is."""
    try:
        read(root, item)
        return []
    except media_files.BadItem as error:
        return [error.args]


def _report(data_dir: Place, problems: Sequence[Problem], good: int, bad_items: str) -> None:
    """Counts the problems by kind; raises InputError or warns."""
    by_kind = collections.defaultdict(list)
    for kind, what in problems:
        by_kind[kind].append(what)
    lines = [
        f"  {kind}: {len(names)}, such as {'; '.join(map(printable, names[:NAMED]))}"
        for kind, names in sorted(by_kind.items())
    ]
    sizes = f"{counted(len(problems), 'problem')}, {counted(good, 'item')} that can be used"
    summary = "\n".join([f"--data_dir={data_dir}: {sizes}", *lines])
    if bad_items == "refuse":
        raise InputError(f"{summary}\nMend them, or skip them with --bad_items=skip")
    warnings.warn(summary, stacklevel=3)
