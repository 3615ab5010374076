"""TFDS builder of the Pascal Sentence dataset (Rashtchian et al., 2010)."""
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import tensorflow_datasets as tfds
from tfxmr_datasets import files
from tfxmr_datasets.pascal_sentence import official_files

from tfxmr.core.errors import InputError

HOMEPAGE = "http://vision.cs.uiuc.edu/pascal-sentences/"


class Builder(tfds.core.GeneratorBasedBuilder):
    """1,000 images of 20 classes with about five sentences each.

    Examples stand in the order of classes and image ids.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release; splits drawn by seed 0."}
    BUILDER_CONFIGS = [
        tfds.core.BuilderConfig(name="800_200", description="800 images to train, 200 to test."),
        tfds.core.BuilderConfig(name="800_100_100", description="800 to train, 100 to validate, 100 to test."),
    ]
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    The folder given as manual_dir (`--manual_dir` of the tfxmr commands) holds, directly or in a folder of any name
    inside it (page and images: or in a .zip archive):
      the sentences: pascal-sentences.html (or index.html; 430,454 bytes), the page {HOMEPAGE},
        or 1,000 files <class>/<id>.txt (in a folder such as sentence/), one sentence a line
      the images: 1,000 files <class>/<id>.jpg (in a folder such as dataset/)
    Both are on that page; save it with its images.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            homepage=HOMEPAGE,
            disable_shuffling=True,
            features=tfds.features.FeaturesDict({
                "image": tfds.features.Image(shape=(None, None, 3)),
                "text": tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=list(official_files.CLASSES)),
                "image_id": tfds.features.Text(),
                "text_id": tfds.features.Text(),
            }),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        where = files.Files.of_download_manager("pascal_sentence", dl_manager)
        page = where.find(*official_files.PAGES)
        sentences = official_files.read_page(page) if page else official_files.read_folders(where)
        if not sentences:
            raise InputError(
                f"pascal_sentence: the sentences are missing. Put {official_files.PAGES[0]} or the files "
                f"<class>/<id>.txt, and the images <class>/<id>.jpg, into the folder {where.place} (flag --manual_dir)."
            )
        splits = official_files.divide(sentences, self.builder_config.name)
        images = dict(zip(sentences, where.require(*(f"{name}.jpg" for name in sentences)), strict=True))
        return {split: self._generate_examples(names, sentences, images) for split, names in splits.items()}

    def _generate_examples(
        self, names: Iterable[str], sentences: Mapping[str, list[str]], images: Mapping[str, files.File],
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        for n, name in enumerate(names):
            yield n, {
                "image": io.BytesIO(files.image(images[name])),
                "text": "\n".join(sentences[name]),
                "label": name.partition("/")[0],
                "image_id": name,
                "text_id": name,
            }
