"""MSCOCO (Lin et al. 2014): images, and their sentences as one text each."""
from tfxmr_datasets.mscoco_xmr.mscoco_xmr_dataset_builder import Builder

from tfxmr.data.splits import OWN
from tfxmr.extraction import image_text, tfds_io

_OFFICIAL = {"train": "train", "test": "validation"}  # the sentences of the official test images are not public
_KARPATHY = {"train": "train+restval", "validation": "validation", "test": "test"}
SPLITS = {
    "karpathy": _KARPATHY,
    "karpathy_82783": _KARPATHY | {"train": "train"},
    "2014": _OFFICIAL,
    "2017": _OFFICIAL,
}
DEFAULT = OWN["mscoco"][0]


def raw(data_dir=None, manual_dir=None, split=DEFAULT):
    """The TFDS builder of images and texts, built if need be; see tfxmr.extraction.image_text."""
    return tfds_io.build(Builder, split.partition("_")[0], data_dir, manual_dir)


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
      split: "karpathy" (113,287 images to train), "karpathy_82783", "2014" or "2017".
      text_items: "sentences", each an item of its own; or "joined", all sentences of an image one text.

    Returns:
      MultiModalData of pairs without classes.
    """
    builder = raw(data_dir, manual_dir, split)
    facts = {"split_name": _named(split), "sentences": text_items == "sentences", "instances": True}
    return image_text.load("mscoco", builder, SPLITS[split], text_features, **facts)


def items(data_dir=None, manual_dir=None, split=DEFAULT, text_items="sentences"):
    """As `load`, without features: the matrices have no columns."""
    builder = raw(data_dir, manual_dir, split)
    facts = {"split_name": _named(split), "sentences": text_items == "sentences", "instances": True}
    return image_text.items("mscoco", builder, SPLITS[split], **facts)


def reader(data_dir=None, manual_dir=None):
    """A function (modality, ids) that yields items' images, uint8 (h, w, 3), or texts, str, of the built dataset."""
    return image_text.reader(image_text.built(Builder, data_dir))


def media(modality, ids, data_dir=None, manual_dir=None):
    """As `reader`, a list. See tfxmr.extraction.media."""
    return list(reader(data_dir)(modality, ids))


def _named(split):
    return None if split == DEFAULT else split
