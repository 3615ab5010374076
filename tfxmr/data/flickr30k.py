"""Flickr30k (Young et al. 2014): images, and their sentences as one text each."""
from tfxmr_datasets.flickr30k_xmr.flickr30k_xmr_dataset_builder import Builder

from tfxmr.data import raw_media, tfds_io

SPLITS = {"train": "train", "validation": "validation", "test": "test"}


def raw(data_dir=None, manual_dir=None, split="karpathy"):
    """The TFDS builder of images and texts, built if need be; see tfxmr.data.raw_media."""
    return tfds_io.build(Builder, split, data_dir, manual_dir)


def load(image_features="descriptor", text_features="tfidf", data_dir=None, manual_dir=None, split="karpathy"):
    """Builds the dataset if it is not built yet, and extracts features that need no training; see raw_media.load.

    Args:
      image_features: "descriptor".
      text_features: "tfidf" or "counts", on the vocabulary of the training texts.
      data_dir: folder of the prepared datasets; None means TFDS's default.
      manual_dir: folder with the official files; None means <data_dir>/downloads/manual.
      split: "karpathy" or "entities".

    Returns:
      MultiModalData of pairs without classes.
    """
    return raw_media.load("flickr30k", raw(data_dir, manual_dir, split), SPLITS, text_features, instances=True)


def outline(data_dir=None, manual_dir=None, split="karpathy", **features):
    """As `load`, without features."""
    return raw_media.outline("flickr30k", raw(data_dir, manual_dir, split), SPLITS, instances=True)


def media(modality, ids, data_dir=None, manual_dir=None):
    """Some items' images, uint8 (h, w, 3), or texts, str, from the built dataset. See tfxmr.data.media."""
    return raw_media.media(Builder, data_dir, modality, ids)
