"""TFDS builder of MSCOCO's images and sentences (Lin et al., 2014; Chen et al., 2015)."""
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow_datasets as tfds
from tfxmr_datasets import captions, files
from tfxmr_datasets.mscoco_xmr import official_files

HOMEPAGE = "https://cocodataset.org/"


class Builder(tfds.core.GeneratorBasedBuilder):
    """123,287 images with five sentences each."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name, description=f"{' / '.join(map(str, sizes.values()))} images.")
        for name, sizes in official_files.SIZES.items()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    The folder given as manual_dir (`--manual_dir` of the tfxmr commands) holds, unpacked or as the .zip archives that
    {HOMEPAGE}#download offers:
      the images: train2017.zip (118,287 files, 18 GB) and val2017.zip (5,000 files, 1 GB),
        or train2014.zip (82,783 files, 13 GB) and val2014.zip (40,504 files, 6 GB)
      karpathy: dataset_coco.json (about 140 MB), of https://cs.stanford.edu/people/karpathy/deepimagesent/
      2014: annotations/captions_train2014.json, captions_val2014.json, of annotations_trainval2014.zip (241 MB)
      2017: annotations/captions_train2017.json, captions_val2017.json, of annotations_trainval2017.zip (241 MB)
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(homepage=HOMEPAGE, features=captions.features())

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        where = files.Files.of_download_manager("mscoco", dl_manager)
        splits = official_files.read(where, self.builder_config.name)
        located = captions.locate(where, splits)
        return {split: self._generate_examples(items, *located[split]) for split, items in splits.items()}

    def _generate_examples(
        self, items: Iterable[captions.Item], start: int, paths: Iterable[files.File],
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from captions.examples(items, start, paths)
