"""Data sets of images and their texts as they are: features made in loading, items by name, labels alone.

Their builders share one layout: `image`, `text` (one str; several sentences stand on a line each), `label`, `image_id`
and `text_id`, as `wikipedia`'s config `articles` has it: what reads one of them reads all. Such a data set is an
ImageTextDataset, which differs from another in values alone.

With --text_items=sentences each sentence is an item of its own, paired with its image: sentence k, from 0, of text t is
t#k. The image stands in as many rows as it has sentences (MultiModalData.repeated), though in memory once.
"""
import collections
import dataclasses
import itertools
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction.dataset import Dataset, Reader, Request
from tfxmr.extraction.describing import describe
from tfxmr.extraction.reading import OneByOne, Recorded
from tfxmr.features.image.descriptor import Descriptor
from tfxmr.features.text.bag_of_words import KINDS, TextVectorizer


@dataclasses.dataclass(frozen=True)
class Source:
    """Where the items of a published split are.

    Attributes:
      config: of the builder; None: its only one.
      parts: "train", "test", perhaps "validation" -> the TFDS split that it is; {}: each under its own name.
    """

    config: str | None
    parts: Mapping[str, str] = dataclasses.field(default_factory=dict)


@dataclasses.dataclass(frozen=True)
class ImageTextDataset(Dataset):
    """A data set of images with their texts, in pairs sorted by label and name.

    Images get the descriptor of tfxmr.features.image.descriptor, texts the bag of words of
    tfxmr.features.text.bag_of_words on the vocabulary of the training texts.

    Attributes:
      sources: published split -> Source, of those that are no config of their own name with parts of their own names.
      complete: configs in which images and texts are looked for by their ids, those with most items first; (): all.
    """

    image_features: tuple[str, ...] = ("descriptor",)
    text_features: tuple[str, ...] = KINDS
    slow_features: bool = True
    records: bool = True
    sources: Mapping[str | None, Source] = dataclasses.field(default_factory=dict)
    complete: tuple[str, ...] = ()

    def arrays(self, request: Request) -> MultiModalData:
        """Builds it if it is not built yet; describes its images, and its texts by words of the training texts."""
        from tfxmr.extraction import tfds_io

        builder, parts = self._parts(request)
        rows: dict[str, list[dict[str, Any]]] = {}
        count = sum(builder.info.splits[split].num_examples for split in parts.values())
        described = describe(Descriptor(), "image", _images(builder, parts, rows), count, lambda image: image,
                             lambda _, image: tfds_io.decoded(builder, "image", image), request.cache_dir)
        row_of = {row["image_id"]: n for n, row in enumerate(itertools.chain(*rows.values()))}
        columns = {part: _columns(every, request.text_items) for part, every in rows.items()}
        data = self.divided(self._data(request, builder, columns), request, self.fitted_on)
        texts = {id_: text for c in columns.values() for id_, text in zip(c["text_id"], c["text"], strict=True)}
        of_split = {name: [texts[id_] for id_ in split.ids["text"]] for name, split in data.splits.items()}
        vectorizer = TextVectorizer(request.text_features).fit(of_split["train"])
        described.tell(f"images ({request.image_features})")
        splits = {}
        for name, split in data.splits.items():
            images = described.matrix(row_of, split, "image", data.repeated)
            splits[name] = dataclasses.replace(
                split, features={"image": images, "text": vectorizer.transform(of_split[name])}
            )
        source = builder.info.full_name
        facts = {
            "image": {"name": request.image_features, "source": source},
            "text": {"name": request.text_features, "source": source},
        }
        facts["text"] |= {"items": "sentences"} if request.text_items == "sentences" else {}
        recipes = {"image": Descriptor(), "text": vectorizer}
        return dataclasses.replace(data, splits=splits, features=facts, recipes=recipes)

    def listed(self, request: Request) -> MultiModalData:
        """As `arrays`, without columns: so splits and classes are counted in seconds."""
        builder, parts = self._parts(request)
        rows: dict[str, list[dict[str, Any]]] = {}
        collections.deque(_images(builder, parts, rows), maxlen=0)
        return self._data(request, builder, {part: _columns(every, request.text_items) for part, every in rows.items()})

    def reader(self, request: Request) -> Reader:
        """Reads items of the first config that is built, of those of `complete`; without one there are none."""
        from tfxmr.extraction import tfds_io

        builders = (tfds_io.builder(self.builder_class(), c, request.data_dir) for c in self.complete or self.configs)
        builder = next((b for b in builders if b.data_path.exists()), None)
        if builder is None:
            return lambda modality, ids: [None] * len(ids)
        records = tfds_io.Records(builder, ("image_id", "text_id"))

        def content(modality: str, id_: str) -> Recorded | str | None:
            example = records.get(f"{modality}_id", id_, images=False)
            if example is None:
                return sentence(id_) if modality == "text" else None
            return Recorded(example["image"]) if modality == "image" else example["text"]

        def sentence(id_: str) -> str | None:
            whole, _, number = id_.rpartition("#")
            example = records.get("text_id", whole, images=False) if number.isdecimal() else None
            return dict(enumerate(example["text"].split("\n"))).get(int(number)) if example else None

        def decoded(modality: str, id_: str, held: bytes | str) -> Any:
            return held if isinstance(held, str) else tfds_io.decoded(records.builder, "image", held)

        return OneByOne(content, decoded)

    def source(self, split: str | None) -> Source:
        """Where the items of a published split are; None: of the only one."""
        return self.sources.get(split) or Source(split)

    def _parts(self, request: Request) -> tuple[Any, Mapping[str, str]]:
        """(The builder, built; "train", "test", perhaps "validation" -> the TFDS split that it is.)"""
        source = self.source(request.split.published(self.splits))
        builder = self.build(source.config, request)
        return builder, source.parts or {part: part for part in builder.info.splits}

    def _data(self, request: Request, builder: Any, columns: Mapping[str, dict[str, Any]]) -> MultiModalData:
        """The items of all parts, whose matrices have no columns."""
        splits = {}
        for part, column in columns.items():
            labels = np.asarray(column["label"], np.int32)
            ids = {m: column[f"{m}_id"] for m in ("image", "text")}
            empty = np.zeros((len(labels), 0), np.float32)
            splits[part] = Split(dict.fromkeys(ids, empty), dict.fromkeys(ids, labels), ids)
        split = request.split.published(self.splits)
        return MultiModalData(
            name=self.name,
            splits=splits,
            class_names=[] if self.instances else list(builder.info.features["label"].names),
            split_facts={"name": split} if split in self.splits[1:] else {},  # the first is the official one
            instances=self.instances,
            repeated=("image",) if request.text_items == "sentences" else (),
        )


def _images(
    builder: Any, parts: Mapping[str, str], rows: dict[str, list[dict[str, Any]]],
) -> Iterator[Recorded]:
    """Yields the images of all parts, as they are stored, and notes all else of their examples in `rows`."""
    from tfxmr.extraction import tfds_io

    for part, split in parts.items():
        rows[part] = []
        for example in tfds_io.examples(builder, split, images=False):
            image = Recorded(example.pop("image"))
            rows[part].append(example)
            yield image


def _columns(rows: list[dict[str, Any]], text_items: str | None) -> dict[str, list]:
    """Columns of a part's examples, sorted by (label, image_id); with "sentences" one row a sentence."""
    rows = sorted(rows, key=lambda row: (row["label"], row["image_id"]))
    if text_items == "sentences":
        rows = [
            row | {"text": sentence, "text_id": f"{row['text_id']}#{k}"}
            for row in rows for k, sentence in enumerate(row["text"].split("\n"))
        ]
    return {column: [row[column] for row in rows] for column in rows[0]}
