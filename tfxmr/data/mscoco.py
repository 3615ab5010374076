"""MSCOCO (Lin et al. 2014): images, and their sentences as one text each."""
from tfxmr_datasets.mscoco_xmr.mscoco_xmr_dataset_builder import Builder

from tfxmr.data import raw_media, tfds_io

_OFFICIAL = {"train": "train", "test": "validation"}  # the sentences of the official test images are not public
_KARPATHY = {"train": "train+restval", "validation": "validation", "test": "test"}
SPLITS = {
    "karpathy": _KARPATHY,
    "karpathy_82783": _KARPATHY | {"train": "train"},
    "2014": _OFFICIAL,
    "2017": _OFFICIAL,
}


def raw(data_dir=None, manual_dir=None, split="karpathy"):
    """The TFDS builder of images and texts, built if need be; see tfxmr.data.raw_media."""
    return tfds_io.build(Builder, split.partition("_")[0], data_dir, manual_dir)


def load(image_features="descriptor", text_features="tfidf", data_dir=None, manual_dir=None, split="karpathy"):
    """Builds the dataset if it is not built yet, and extracts features that need no training; see raw_media.load.

    Args:
      image_features: "descriptor".
      text_features: "tfidf" or "counts", on the vocabulary of the training texts.
      data_dir: folder of the prepared datasets; None means TFDS's default.
      manual_dir: folder with the official files; None means <data_dir>/downloads/manual.
      split: "karpathy" (113,287 images to train), "karpathy_82783", "2014" or "2017".

    Returns:
      MultiModalData of pairs without classes.
    """
    return raw_media.load("mscoco", raw(data_dir, manual_dir, split), SPLITS[split], text_features, instances=True)


def outline(data_dir=None, manual_dir=None, split="karpathy", **features):
    """As `load`, without features."""
    return raw_media.outline("mscoco", raw(data_dir, manual_dir, split), SPLITS[split], instances=True)


def media(modality, ids, data_dir=None, manual_dir=None):
    """Some items' images, uint8 (h, w, 3), or texts, str, from the built dataset. See tfxmr.data.media."""
    return raw_media.media(Builder, data_dir, modality, ids)
