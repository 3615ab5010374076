"""NUS-WIDE (Chua et al. 2009), its items of one concept, as matrices."""
import numpy as np
from tfxmr_datasets.nus_wide.nus_wide_dataset_builder import IMAGE_FEATURES, Builder

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction import image_text, tfds_io


def raw(data_dir=None, manual_dir=None, split=None, prefix=""):
    """The TFDS builder of images and tags as words, built if need be; see tfxmr.extraction.image_text."""
    return tfds_io.build(Builder, f"{prefix}images", data_dir, manual_dir)


def load(image_features="low634", text_features="tags1000", data_dir=None, manual_dir=None, prefix=""):
    """Builds the dataset if it is not built yet, and reads it.

    Args:
      image_features: "low634" or "bow500".
      text_features: "tags1000".
      data_dir: folder of the prepared datasets; None means TFDS's default.
      manual_dir: folder with the official files; None means <data_dir>/downloads/manual.
      prefix: "" for all items, "10k_" for the 10,000.

    Returns:
      MultiModalData of pairs in 10 classes, "train" and "test", with prefix "10k_" "validation", too.

    Raises:
      InputError: a missing or malformed file.
    """
    builder = tfds_io.build(Builder, f"{prefix}{image_features}", data_dir, manual_dir)
    files = ", ".join(whole for _, whole, *_ in IMAGE_FEATURES[image_features].values())
    return MultiModalData(
        name="nus_wide_10k" if prefix else "nus_wide",
        splits={split: _split(tfds_io.read(builder, split)) for split in builder.info.splits},
        class_names=list(builder.info.features["label"].names),
        features={
            "image": {"name": image_features, "dim": builder.info.features["image"].shape[0], "source": files},
            "text": {"name": text_features, "dim": builder.info.features["text"].shape[0], "source": "AllTags1k.txt"},
        },
    )


def _split(columns):
    pairs = Split.of_pairs({m: columns[m].astype(np.float32) for m in ("image", "text")}, columns["label"])
    return Split(pairs.features, pairs.labels, {m: columns[f"{m}_id"] for m in ("image", "text")})


def items(data_dir=None, manual_dir=None, prefix=""):
    """As `load`, of the images and tags: the matrices have no columns."""
    return image_text.items("nus_wide_10k" if prefix else "nus_wide", raw(data_dir, manual_dir, prefix=prefix))


def reader(data_dir=None, manual_dir=None):
    """A function (modality, ids) that yields items' images, uint8 (h, w, 3), or tags, str, of a built dataset."""
    return image_text.reader(image_text.built(Builder, data_dir, ("images", "10k_images")))


def media(modality, ids, data_dir=None, manual_dir=None):
    """As `reader`, a list. See tfxmr.extraction.media."""
    return list(reader(data_dir)(modality, ids))
