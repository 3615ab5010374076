"""Data sets of images and their texts as they are: features made in loading, items by name, labels alone.

Their builders share one layout: `image`, `text` (one str; several sentences stand on a line each), `label`, `image_id`
and `text_id`, as `wikipedia`'s config `articles` has it: what reads one of them reads all. Such a data set is an
ImageTextDataset, which differs from another in values alone.

With --text_items=sentences each sentence is an item of its own, paired with its image: sentence k, from 0, of text t is
t#k. The image stands in as many rows as it has sentences (MultiModalData.repeated), though in memory once.
"""
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfxmr.core.progress import Progress
from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction.dataset import Dataset, Reader, Request
from tfxmr.features.image.descriptor import Descriptor, image_descriptor
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
        """Builds it if it is not built yet, describes its images and vectorises its texts."""
        builder, columns = self._columns(request, features=True)
        vectorizer = TextVectorizer(request.text_features).fit(columns["train"]["text"])
        matrices = {
            part: {"image": memmap.repeat(np.stack(c["image"]), c["row"]), "text": vectorizer.transform(c["text"])}
            for part, c in columns.items()
        }
        source = builder.info.full_name
        facts = {
            "image": {"name": request.image_features, "source": source},
            "text": {"name": request.text_features, "source": source},
        }
        facts["text"] |= {"items": "sentences"} if request.text_items == "sentences" else {}
        data = self._data(request, builder, columns, matrices, facts)
        return dataclasses.replace(data, recipes={"image": Descriptor(), "text": vectorizer})

    def listed(self, request: Request) -> MultiModalData:
        """As `arrays`, without columns: so splits and classes are counted in seconds."""
        builder, columns = self._columns(request, features=False)
        matrices = {
            part: dict.fromkeys(("image", "text"), np.zeros((len(c["label"]), 0))) for part, c in columns.items()
        }
        return self._data(request, builder, columns, matrices, {})

    def reader(self, request: Request) -> Reader:
        """Reads items of the first config that is built, of those of `complete`; without one there are none."""
        from tfxmr.extraction import tfds_io

        builders = (tfds_io.builder(self.builder_class(), c, request.data_dir) for c in self.complete or self.configs)
        builder = next((b for b in builders if b.data_path.exists()), None)
        records = tfds_io.Records(builder, ("image_id", "text_id")) if builder else None

        def read(modality: str, ids: Sequence[str]) -> Iterator[Any]:
            for name in ids:
                example = records.get(f"{modality}_id", name, images=modality == "image") if records else None
                yield example[modality] if example else sentence(name) if records and modality == "text" else None

        def sentence(name: str) -> str | None:
            whole, _, number = name.rpartition("#")
            example = records.get("text_id", whole, images=False) if records and number.isdecimal() else None
            return dict(enumerate(example["text"].split("\n"))).get(int(number)) if example else None

        return read

    def source(self, split: str | None) -> Source:
        """Where the items of a published split are; None: of the only one."""
        return self.sources.get(split) or Source(split)

    def _columns(self, request: Request, features: bool) -> tuple[Any, dict[str, dict[str, Any]]]:
        """(The builder; of each part the columns of its examples, a row a sentence where the request says so.)"""
        source = self.source(request.split.published(self.splits))
        builder = self.build(source.config, request)
        parts = source.parts or {part: part for part in builder.info.splits}
        columns = {part: _read(builder, split, features) for part, split in parts.items()}
        by_sentence = request.text_items == "sentences"
        return builder, {part: _by_sentence(c) if by_sentence else c | {"row": None} for part, c in columns.items()}

    def _data(
        self, request: Request, builder: Any, columns: Mapping[str, dict[str, Any]],
        matrices: Mapping[str, dict[str, Any]], facts: dict[str, Any],
    ) -> MultiModalData:
        splits = {}
        for part, column in columns.items():
            labels = np.asarray(column["label"], np.int32)
            ids = {m: column[f"{m}_id"] for m in ("image", "text")}
            features = {m: matrix.astype(np.float32, copy=False) if isinstance(matrix, np.ndarray) else matrix
                        for m, matrix in matrices[part].items()}
            splits[part] = Split(features, dict.fromkeys(features, labels), ids)
        split = request.split.published(self.splits)
        return MultiModalData(
            name=self.name,
            splits=splits,
            class_names=[] if self.instances else list(builder.info.features["label"].names),
            features=facts,
            split_facts={"name": split} if split in self.splits[1:] else {},  # the first is the official one
            instances=self.instances,
            repeated=("image",) if request.text_items == "sentences" else (),
        )


def _by_sentence(column: dict[str, Any]) -> dict[str, Any]:
    """Columns with one row a sentence; `row` says which of the images it belongs to."""
    lists = [text.split("\n") for text in column["text"]]
    rows = np.repeat(np.arange(len(lists)), list(map(len, lists)))
    return {
        "image": column["image"],
        "row": rows,
        "text": [sentence for own in lists for sentence in own],
        "label": [column["label"][row] for row in rows],
        "image_id": [column["image_id"][row] for row in rows],
        "text_id": [f"{name}#{k}" for name, own in zip(column["text_id"], lists, strict=True) for k in range(len(own))],
    }


def _read(builder: Any, split: str, features: bool) -> dict[str, list]:
    """Columns of a split, sorted by (label, image_id); images as descriptors, one image in memory at a time."""
    from tfxmr.extraction import tfds_io

    rows = []
    with Progress(f"{builder.name} {split}: image features", "item", builder.info.splits[split].num_examples) as told:
        for example in tfds_io.examples(builder, split, images=features):
            image = image_descriptor([example["image"]])[0] if features else None
            rows.append(example | {"image": image})
            told.update(len(rows))
    rows.sort(key=lambda row: (row["label"], row["image_id"]))
    return {column: [row[column] for row in rows] for column in rows[0]}
