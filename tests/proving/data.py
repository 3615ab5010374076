"""Made-up data with all that the proving methods read: vectors, maps, tokens with a table, a second domain."""
import dataclasses

import numpy as np
from making import paired_data

from tfxmr.data import MultiModalData, domains

METHODS = (
    "proving.tokens:WordsLSTM", "proving.regions:Regions", "proving.two_domains:TwoDomains", "proving.staged:Staged",
    "proving.whole_gallery:WholeGallery", "proving.chosen_view:ChosenView",
)
PLACES, WORDS, VOCABULARY, WIDTH = 5, 7, 24, 6


def with_views(data: MultiModalData, seed=0) -> MultiModalData:
    """The data with image.regions (n, 5, 6), of which one place tells the class, and text.words, most of the class's own.

    One image of each split has equal places, one text no word at all.
    """
    rng = np.random.default_rng(seed)
    marks = 3 * rng.normal(size=(data.num_classes, WIDTH))
    splits = {}
    for name, split in data.splits.items():
        labels = split.labels["image"]
        regions = rng.normal(size=(len(labels), PLACES, WIDTH))
        regions[np.arange(len(labels)), rng.integers(0, PLACES, len(labels))] += marks[labels]
        words = rng.integers(1, VOCABULARY + 1, (len(labels), WORDS))
        own = rng.random(words.shape) < 0.6
        words = np.where(own, 1 + labels[:, None] * 2 % VOCABULARY, words)
        words[np.arange(WORDS) >= rng.integers(2, WORDS + 1, len(labels))[:, None]] = 0
        regions[0], words[0] = 1, 0
        more = {"image.regions": regions.astype(np.float32), "text.words": words.astype(np.int32)}
        splits[name] = dataclasses.replace(split, features=split.features | more)
    table = np.vstack([np.zeros((1, WIDTH)), rng.normal(size=(VOCABULARY, WIDTH))]).astype(np.float32)
    return dataclasses.replace(data, splits=splits, tables={"text.words": table})


def with_source(data: MultiModalData) -> MultiModalData:
    """The data with a second domain of other classes and items, whose vectors are as wide."""
    dims = {m: data.dims[m] for m in data.modalities}
    source = domains.of_training_items(paired_data(classes=4, train=40, test=8, dims=dims, seed=1))
    return dataclasses.replace(data, source=source)


def make(**sizes) -> MultiModalData:
    """Data with views, and a source of other classes and items."""
    return with_source(with_views(paired_data(**({"classes": 6, "train": 60, "test": 24} | sizes))))


def of(method_class, data: MultiModalData) -> MultiModalData:
    """The data without the second domain, unless the method takes one."""
    return data if method_class.takes_source else dataclasses.replace(data, source=None)
