"""TFDS builder of Flickr30k (Young et al., 2014)."""
from collections.abc import Iterable, Iterator
from typing import Any

import tensorflow_datasets as tfds
from tfxmr_datasets import captions, files
from tfxmr_datasets.flickr30k_xmr import official_files

HOMEPAGE = "https://shannon.cs.illinois.edu/DenotationGraph/"


class Builder(tfds.core.GeneratorBasedBuilder):
    """31,014 images (`karpathy`) or 31,783 (`entities`) with five sentences each."""

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name=name, description=f"{' / '.join(map(str, sizes.values()))} images.")
        for name, sizes in official_files.SIZES.items()
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    The folder given as manual_dir (`--manual_dir` of the tfxmr commands) holds, directly, in a folder of any name
    inside it or in a .zip archive:
      the images: 31,783 files <number>.jpg, in a folder such as flickr30k-images/ (4.4 GB), by the form on {HOMEPAGE}
      karpathy: dataset_flickr30k.json (about 36 MB), of https://cs.stanford.edu/people/karpathy/deepimagesent/
      entities: results_20130124.token (158,915 lines) of the owners' archive, and train.txt, val.txt, test.txt
        (29,783, 1,000 and 1,000 lines) of https://github.com/BryanPlummer/flickr30k_entities
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(homepage=HOMEPAGE, features=captions.features())

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        where = files.Files.of_download_manager("flickr30k", dl_manager)
        splits = official_files.read(where, self.builder_config.name)
        located = captions.locate(where, splits)
        return {split: self._generate_examples(items, *located[split]) for split, items in splits.items()}

    def _generate_examples(
        self, items: Iterable[captions.Item], start: int, paths: Iterable[files.File],
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        yield from captions.examples(items, start, paths)
