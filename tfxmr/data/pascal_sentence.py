"""The Pascal Sentence dataset (Rashtchian et al. 2010): images, and their sentences as one text each."""
from tfxmr_datasets.pascal_sentence.pascal_sentence_dataset_builder import Builder

from tfxmr.data import raw_media, tfds_io


def raw(data_dir=None, manual_dir=None, split="800_200"):
    """The TFDS builder of images and texts, built if need be; see tfxmr.data.raw_media."""
    return tfds_io.build(Builder, split, data_dir, manual_dir)


def load(image_features="descriptor", text_features="tfidf", data_dir=None, manual_dir=None, split="800_200"):
    """Builds the dataset if it is not built yet, and extracts features that need no training; see raw_media.load.

    Args:
      image_features: "descriptor".
      text_features: "tfidf" or "counts", on the vocabulary of the training texts.
      data_dir: folder of the prepared datasets; None means TFDS's default.
      manual_dir: folder with the official files; None means <data_dir>/downloads/manual.
      split: "800_200" or "800_100_100", which has validation items, too.

    Returns:
      MultiModalData of 1,000 pairs, 20 classes.
    """
    builder = raw(data_dir, manual_dir, split)
    return raw_media.load("pascal_sentence", builder, {name: name for name in builder.info.splits}, text_features)


def outline(data_dir=None, manual_dir=None, split="800_200", **features):
    """As `load`, without features."""
    builder = raw(data_dir, manual_dir, split)
    return raw_media.outline("pascal_sentence", builder, {name: name for name in builder.info.splits})


def media(modality, ids, data_dir=None, manual_dir=None):
    """Some items' images, uint8 (h, w, 3), or texts, str, from the built dataset. See tfxmr.data.media."""
    return raw_media.media(Builder, data_dir, modality, ids)
