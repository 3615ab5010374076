"""NUS-WIDE (Chua et al. 2009), its items of one concept, as matrices; and 10,000 of them, 1,000 of each class."""
import dataclasses
from typing import Any

import numpy as np
from tfxmr_datasets.nus_wide import official_files

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction.dataset import Request
from tfxmr.extraction.image_text import ImageTextDataset, Source


@dataclasses.dataclass(frozen=True)
class NusWide(ImageTextDataset):
    """Published matrices; its images and tags themselves are as of any data set of images and texts.

    Attributes:
      prefix: what the names of its builder's configs begin with: "" of all items, "10k_" of the 10,000.
    """

    image_features: tuple[str, ...] = tuple(official_files.IMAGE_FEATURES)
    text_features: tuple[str, ...] = ("tags1000",)
    fitted_on: str = "not stated by those who publish the matrices"
    slow_features: bool = False
    complete: tuple[str, ...] = ("images", "10k_images")
    prefix: str = ""

    def arrays(self, request: Request) -> MultiModalData:
        """Pairs in 10 classes, "train" and "test", of the 10,000 "validation", too."""
        from tfxmr.extraction import tfds_io

        builder = self.build(f"{self.prefix}{request.image_features}", request)
        chosen = str(request.image_features)  # by `Dataset.chosen`
        files = ", ".join(whole for _, whole, *_ in official_files.IMAGE_FEATURES[chosen].values())
        names = {"image": (request.image_features, files), "text": (request.text_features, "AllTags1k.txt")}
        return MultiModalData(
            name=self.name,
            splits={split: _split(tfds_io.read(builder, split)) for split in builder.info.splits},
            class_names=list(builder.info.features["label"].names),
            features={
                m: {"name": name, "dim": builder.info.features[m].shape[0], "source": source}
                for m, (name, source) in names.items()
            },
        )

    def source(self, split: str | None) -> Source:
        """The config of the images and tags."""
        return Source(f"{self.prefix}images")


def _split(columns: dict[str, Any]) -> Split:
    pairs = Split.of_pairs({m: columns[m].astype(np.float32) for m in ("image", "text")}, columns["label"])
    return Split(pairs.features, pairs.labels, {m: columns[f"{m}_id"] for m in ("image", "text")})


NUS_WIDE = NusWide(
    name="nus_wide",
    description="about 71,602 images of one concept with their tags, 10 classes (Chua et al., CIVR 2009)",
    package=__package__,
)
NUS_WIDE_10K = NusWide(
    name="nus_wide_10k",
    description="10,000 of nus_wide's items, 1,000 of each class, drawn by a seed",
    package=__package__,
    prefix="10k_",
)
