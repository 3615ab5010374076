"""Flickr30k (Young et al. 2014): images, and their sentences as one text each."""
from tfxmr_datasets.flickr30k_xmr.flickr30k_xmr_dataset_builder import Builder

from tfxmr.data.splits import OWN
from tfxmr.extraction import image_text, tfds_io

SPLITS = {"train": "train", "validation": "validation", "test": "test"}
DEFAULT = OWN["flickr30k"][0]


def raw(data_dir=None, manual_dir=None, split=DEFAULT):
    """The TFDS builder of images and texts, built if need be; see tfxmr.extraction.image_text."""
    return tfds_io.build(Builder, split, data_dir, manual_dir)


def load(
    image_features="descriptor", text_features="tfidf", data_dir=None, manual_dir=None, split=DEFAULT,
    text_items="sentences",
):
    """Builds the dataset if it is not built yet, and extracts features that need no training; see image_text.load.

    Args:
      image_features: "descriptor".
      text_features: "tfidf" or "counts", on the vocabulary of the training texts.
      data_dir: folder of the prepared datasets; None means TFDS's default.
      manual_dir: folder with the official files; None means <data_dir>/downloads/manual.
      split: "karpathy" or "entities".
      text_items: "sentences", each an item of its own; or "joined", all sentences of an image one text.

    Returns:
      MultiModalData of pairs without classes.
    """
    builder = raw(data_dir, manual_dir, split)
    facts = {"split_name": _named(split), "sentences": text_items == "sentences", "instances": True}
    return image_text.load("flickr30k", builder, SPLITS, text_features, **facts)


def items(data_dir=None, manual_dir=None, split=DEFAULT, text_items="sentences"):
    """As `load`, without features: the matrices have no columns."""
    builder = raw(data_dir, manual_dir, split)
    facts = {"split_name": _named(split), "sentences": text_items == "sentences", "instances": True}
    return image_text.items("flickr30k", builder, SPLITS, **facts)


def reader(data_dir=None, manual_dir=None):
    """A function (modality, ids) that yields items' images, uint8 (h, w, 3), or texts, str, of the built dataset."""
    return image_text.reader(image_text.built(Builder, data_dir, ("entities", "karpathy")))


def media(modality, ids, data_dir=None, manual_dir=None):
    """As `reader`, a list. See tfxmr.extraction.media."""
    return list(reader(data_dir)(modality, ids))


def _named(split):
    return None if split == DEFAULT else split
