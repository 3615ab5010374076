"""XMedia (Zhai, Peng and Xiao 2014) as matrices of five modalities, in the published division."""
from collections.abc import Mapping
from typing import Any

import numpy as np
from tfxmr_datasets.xmedia import official_files

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction.dataset import Dataset, Request


class XMedia(Dataset):
    """Items of image, text, video, audio and shape3d, of which images and texts alone may be pairs.

    They share their rows if their classes agree row by row.
    """

    def arrays(self, request: Request) -> MultiModalData:
        """Builds each modality if it is not built yet, and reads "train", "validation" and "test"."""
        builders = {m: self.build(m, request) for m in official_files.MODALITIES}
        return MultiModalData(
            name=self.name,
            splits={split: _split(builders, split) for split in ("train", "validation", "test")},
            class_names=list(builders["image"].info.features["label"].names),
            features={
                m: {"name": known.arrays["train"].replace("_tr", ""), "dim": known.dim, "source": official_files.FILE}
                for m, known in official_files.MODALITIES.items()
            },
        )


def _split(builders: Mapping[str, Any], split: str) -> Split:
    from tfxmr.extraction import tfds_io

    columns = {m: tfds_io.read(builder, split) for m, builder in builders.items()}
    labels = {m: columns[m]["label"].astype(np.int32) for m in columns}
    pairs = ("image", "text") if np.array_equal(labels["image"], labels["text"]) else ()
    return Split(
        features={m: columns[m]["features"] for m in columns},
        labels=labels,
        ids={m: columns[m]["id"] for m in columns},
        unpaired=tuple(m for m in columns if m not in pairs),
    )


XMEDIA = XMedia(
    name="xmedia",
    description="5,000 images and texts, 500 videos, 1,000 sounds and 500 3D models, 20 classes "
                "(Zhai et al., TCSVT 2014)",
    package=__package__,
    image_features=("cnn4096",),
    text_features=("bow3000",),
    fitted_on="not stated by those who publish the matrices",
)
