"""Datasets of images and texts as they are: their features on the fly, their items by name, their labels alone.

The builders share one layout: `image`, `text` (one str; several sentences stand on a line each), `label`, `image_id`
and `text_id`, as `wikipedia`'s config `articles` has it: code that reads one of them, such as feature extraction, reads
all. A dataset's module gives its builder by `raw(data_dir, manual_dir, split)`, its items without features by
`items(data_dir, manual_dir, split)`, and a function that reads some of them by `reader(data_dir, manual_dir)`.

With `sentences` each sentence is an item of its own, paired with its image: sentence k, from 0, of text t is t#k.
The image stands in as many rows as it has sentences (MultiModalData.repeated), though in memory once.
"""
import numpy as np
import rich.progress

from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction import tfds_io
from tfxmr.features.image.descriptor import image_descriptor
from tfxmr.features.text.bag_of_words import KINDS, TextVectorizer

IMAGE_FEATURES = ("descriptor",)
TEXT_FEATURES = KINDS


def load(name, builder, splits=None, text_features="tfidf", split_name=None, instances=False, sentences=False):
    """Reads a built dataset, describing its images and vectorising its texts.

    Images get the descriptor of tfxmr.features.image.descriptor, texts the bag of words of
    tfxmr.features.text.bag_of_words on the vocabulary of the training texts.

    Args:
      name: the dataset's --dataset name.
      builder: its prepared TFDS builder.
      splits: split of the result -> the TFDS split it is read from; None: each under its own name.
      text_features: "tfidf" or "counts".
      split_name: which of the published splits this is, where it is not the default.
      instances: True if a label is the number of an image, which no other item shares.
      sentences: True if each sentence is an item of its own.

    Returns:
      MultiModalData of pairs, sorted by label and name.
    """
    columns = _columns(builder, splits, sentences, features=True)
    vectorizer = TextVectorizer(text_features).fit(columns["train"]["text"])
    matrices = {
        split: {"image": memmap.repeat(np.stack(c["image"]), c["row"]), "text": vectorizer.transform(c["text"])}
        for split, c in columns.items()
    }
    source = builder.info.full_name
    facts = {"image": {"name": "descriptor", "source": source}, "text": {"name": text_features, "source": source}}
    facts["text"] |= {"items": "sentences"} if sentences else {}
    return _data(name, builder, columns, matrices, facts, split_name, instances, sentences)


def items(name, builder, splits=None, split_name=None, instances=False, sentences=False):
    """As `load`, without features: the matrices have no columns. So splits and classes are counted in seconds."""
    columns = _columns(builder, splits, sentences, features=False)
    matrices = {
        split: dict.fromkeys(("image", "text"), np.zeros((len(c["label"]), 0))) for split, c in columns.items()
    }
    return _data(name, builder, columns, matrices, {}, split_name, instances, sentences)


def reader(builder):
    """A function (modality, ids) that yields images, uint8 (h, w, 3), or texts, str; None where there is no such item.

    Args:
      builder: a prepared TFDS builder; or None, which has no item.
    """
    records = tfds_io.Records(builder, ("image_id", "text_id")) if builder else None

    def read(modality, ids):
        for name in ids:
            example = records.get(f"{modality}_id", name, images=modality == "image") if records else None
            yield example[modality] if example else sentence(name) if records and modality == "text" else None

    def sentence(name):
        whole, _, number = name.rpartition("#")
        example = records.get("text_id", whole, images=False) if number.isdecimal() else None
        return example and dict(enumerate(example["text"].split("\n"))).get(int(number))

    return read


def built(builder_class, data_dir, configs=None):
    """The builder of the first of the configs whose dataset is built; None if there is none."""
    configs = configs or [config.name for config in builder_class.BUILDER_CONFIGS]
    builders = [tfds_io.builder(builder_class, config, data_dir) for config in configs]
    return next((b for b in builders if b.data_path.exists()), None)


def _columns(builder, splits, sentences, features):
    splits = splits or {split: split for split in builder.info.splits}
    columns = {split: _read(builder, source, features) for split, source in splits.items()}
    return {split: _by_sentence(c) if sentences else c | {"row": None} for split, c in columns.items()}


def _by_sentence(column):
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


def _read(builder, split, features):
    """Columns of a split, sorted by (label, image_id); images as descriptors, one image in memory at a time."""
    rows = []
    examples = tfds_io.examples(builder, split, images=features)
    if features:
        size = builder.info.splits[split].num_examples
        examples = rich.progress.track(examples, f"{builder.name} {split}: image features", size, transient=True)
    for example in examples:
        image = image_descriptor([example["image"]])[0] if features else None
        rows.append(example | {"image": image})
    rows.sort(key=lambda row: (row["label"], row["image_id"]))
    return {column: [row[column] for row in rows] for column in rows[0]}


def _data(name, builder, columns, matrices, facts, split_name, instances, sentences):
    splits = {}
    for split, column in columns.items():
        labels = np.asarray(column["label"], np.int32)
        ids = {m: column[f"{m}_id"] for m in ("image", "text")}
        features = {m: matrix.astype(np.float32, copy=False) if isinstance(matrix, np.ndarray) else matrix
                    for m, matrix in matrices[split].items()}
        splits[split] = Split(features, dict.fromkeys(features, labels), ids)
    return MultiModalData(
        name=name,
        splits=splits,
        class_names=[] if instances else list(builder.info.features["label"].names),
        features=facts,
        split_facts={"name": split_name} if split_name else {},
        instances=instances,
        repeated=("image",) if sentences else (),
    )
