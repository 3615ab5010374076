"""Datasets of images and texts as they are: their features on the fly, their items by name, their labels alone.

The builders share one layout: `image`, `text` (one str; several sentences stand on a line each), `label`, `image_id`
and `text_id`, as `wikipedia`'s config `articles` has it: code that reads one of them, such as feature extraction, reads
all. A dataset's module gives its builder by `raw(data_dir, manual_dir, split)`.
"""
import numpy as np
import rich.progress

from tfxmr.data import tfds_io
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.features.bag_of_words import KINDS, TextVectorizer
from tfxmr.features.image_descriptor import image_descriptor

IMAGE_FEATURES = ("descriptor",)
TEXT_FEATURES = KINDS


def load(name, builder, splits, text_features="tfidf", instances=False):
    """Reads a built dataset, describing its images and vectorising its texts.

    Images get the descriptor of tfxmr.features.image_descriptor, texts the bag of words of tfxmr.features.bag_of_words
    on the vocabulary of the training texts.

    Args:
      name: the dataset's --dataset name.
      builder: its prepared TFDS builder.
      splits: split of the result -> the TFDS split it is read from.
      text_features: "tfidf" or "counts".
      instances: True if a label is the number of an image, which no other item shares.

    Returns:
      MultiModalData of pairs, in the order of the labels and names.
    """
    items = {split: _read(builder, source, features=True) for split, source in splits.items()}
    vectorizer = TextVectorizer(text_features).fit(items["train"]["text"])
    source = f"{builder.info.full_name}"
    return MultiModalData(
        name=name,
        splits={
            split: _pairs({"image": columns["image"], "text": vectorizer.transform(columns["text"])}, columns)
            for split, columns in items.items()
        },
        class_names=[] if instances else list(builder.info.features["label"].names),
        features={
            "image": {"name": "descriptor", "source": source}, "text": {"name": text_features, "source": source},
        },
        instances=instances,
    )


def outline(name, builder, splits, instances=False):
    """As `load`, without features: their matrices are (n, 0). So splits and classes are counted in seconds."""
    items = {split: _read(builder, source, features=False) for split, source in splits.items()}
    empty = {split: np.zeros((len(columns["label"]), 0)) for split, columns in items.items()}
    return MultiModalData(
        name=name,
        splits={split: _pairs(dict.fromkeys(("image", "text"), empty[split]), c) for split, c in items.items()},
        class_names=[] if instances else list(builder.info.features["label"].names),
        instances=instances,
    )


def media(builder_class, data_dir, modality, ids, configs=None):
    """The images, uint8 (h, w, 3), or texts, str, of some items, from the first of the configs that is built.

    Returns:
      A list, with None for items that it has not got.
    """
    configs = configs or [config.name for config in builder_class.BUILDER_CONFIGS]
    builders = [tfds_io.builder(builder_class, config, data_dir) for config in configs]
    builder = next((b for b in builders if b.data_path.exists()), None)
    found, missing = {}, set(ids)
    for split in builder.info.splits if builder else ():
        for example in tfds_io.examples(builder, split, images=modality == "image"):
            if example[f"{modality}_id"] in missing:
                found[example[f"{modality}_id"]] = example[modality]
                missing.remove(example[f"{modality}_id"])
            if not missing:
                return [found[name] for name in ids]
    return [found.get(name) for name in ids]


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


def _pairs(features, columns):
    pairs = Split.of_pairs(features, columns["label"])
    return Split(pairs.features, pairs.labels, {m: columns[f"{m}_id"] for m in ("image", "text")})
