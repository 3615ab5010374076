"""XMedia (Zhai, Peng and Xiao 2014) as matrices of five modalities, in the published division."""
import numpy as np
from tfxmr_datasets.xmedia.official_files import FILE, MODALITIES
from tfxmr_datasets.xmedia.xmedia_dataset_builder import Builder

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction import tfds_io


def load(image_features="cnn4096", text_features="bow3000", data_dir=None, manual_dir=None):
    """Builds the dataset if it is not built yet, and reads it.

    Args:
      image_features: "cnn4096".
      text_features: "bow3000".
      data_dir: folder of the prepared datasets; None means TFDS's default.
      manual_dir: folder with the authors' file; None means <data_dir>/downloads/manual.

    Returns:
      MultiModalData with "train", "validation" and "test" items of image, text, video, audio and shape3d. Only images
      and texts may be pairs: they share their rows if their classes agree row by row.

    Raises:
      InputError: a missing or malformed file.
    """
    builders = {m: tfds_io.build(Builder, m, data_dir, manual_dir) for m in MODALITIES}
    return MultiModalData(
        name="xmedia",
        splits={split: _split(builders, split) for split in ("train", "validation", "test")},
        class_names=list(builders["image"].info.features["label"].names),
        features={
            m: {"name": known.arrays["train"].replace("_tr", ""), "dim": known.dim, "source": FILE}
            for m, known in MODALITIES.items()
        },
    )


def _split(builders, split):
    columns = {m: tfds_io.read(builder, split) for m, builder in builders.items()}
    labels = {m: columns[m]["label"].astype(np.int32) for m in columns}
    pairs = ("image", "text") if np.array_equal(labels["image"], labels["text"]) else ()
    return Split(
        features={m: columns[m]["features"] for m in columns},
        labels=labels,
        ids={m: columns[m]["id"] for m in columns},
        unpaired=tuple(m for m in columns if m not in pairs),
    )
