"""TFDS builder of `scenes`, the generated dataset: nothing is downloaded."""
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tfxmr_datasets.scenes import generator

ITEMS_PER_CLASS = {"train": 80, "test": 20}


class Builder(tfds.core.GeneratorBasedBuilder):
    """Builds `scenes`: 1,600 training and 400 test pairs of image and text in 20 classes.

    An example holds "image" uint8 (64, 64, 3), "text" (1 to 4 sentences), "label" (0..19) and "id" (unique).
    The version names the items: any change to the generator that changes one of them needs a new version.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release: seed 2024, 80 training and 20 test items a class."}

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            features=tfds.features.FeaturesDict({
                "image": tfds.features.Image(shape=(64, 64, 3), dtype=np.uint8),
                "text": tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=list(generator.CLASSES)),
                "id": tfds.features.Text(),
            }),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        return {split: self._generate_examples(split) for split in ITEMS_PER_CLASS}

    def _generate_examples(self, split: str) -> Iterator[tuple[str, dict[str, Any]]]:
        for example in generator.examples(split, ITEMS_PER_CLASS[split]):
            yield example["id"], example
