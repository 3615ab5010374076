"""TFDS builder of the Wikipedia image-text dataset (Rasiwasia et al., ACM Multimedia 2010)."""
import dataclasses
import io
import pathlib
import urllib.request
from collections.abc import Iterable, Iterator, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tfxmr_datasets.wikipedia_xmr import official_files
from tfxmr_datasets.wikipedia_xmr.official_files import Item, Matrix

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.wording import agreeing, counted

HOMEPAGE = "http://www.svcl.ucsd.edu/projects/crossmodal/"
ARCHIVE = HOMEPAGE + "wikipedia_dataset.zip"


@dataclasses.dataclass(eq=False)
class WikipediaConfig(tfds.core.BuilderConfig):
    """Which representation each modality has; None means the raw image or text."""

    image: Matrix | None = None
    text: Matrix | None = None

    @property
    def matrices(self) -> dict[str, Matrix]:
        """Modality -> Matrix."""
        return {m: matrix for m, matrix in (("image", self.image), ("text", self.text)) if matrix is not None}


def _configs() -> list[WikipediaConfig]:
    """Every image matrix with every text matrix (the official pair is the default), and the raw files."""
    pairs = [
        WikipediaConfig(name=f"{i}_{t}", description=f"Image: {i}, text: {t}.", image=image, text=text)
        for i, image in official_files.IMAGE_FEATURES.items() for t, text in official_files.TEXT_FEATURES.items()
    ]
    return [*pairs, WikipediaConfig(name="articles", description="The images and the texts themselves.")]


class Builder(tfds.core.GeneratorBasedBuilder):
    """2,866 image-text pairs of Wikipedia's featured articles in 10 classes: 2,173 to train, 693 to test.

    Examples keep the order of the official lists: example n of a split is line n of its list.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release."}
    BUILDER_CONFIGS = _configs()
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    The folder given as manual_dir (`--manual_dir` of the tfxmr commands) holds these files, directly or in a
    folder of any name inside it, such as the `wikipedia_dataset/` of the official archive {ARCHIVE}:
      every config: trainset_txt_img_cat.list, testset_txt_img_cat.list; categories.list is checked if there
      sift128, lda10: raw_features.mat
      cnn128: image_cnn_pca128.mat (I_cnn_tr 2173x128, I_cnn_te 693x128), which is no part of the archive
      tfidf1000: text_tfidf1000.mat (T_tfidf_tr 2173x1000, T_tfidf_te 693x1000), no part of the archive either
      articles: images/<class>/<image id>.jpg, texts/<text id>.xml
    Where manual_dir holds no official file, the archive is downloaded.
    """

    def _info(self) -> tfds.core.DatasetInfo:
        return self.dataset_info_from_configs(
            homepage=HOMEPAGE,
            disable_shuffling=True,
            features=tfds.features.FeaturesDict({
                "image": _vector(self.builder_config.image) or tfds.features.Image(shape=(None, None, 3)),
                "text": _vector(self.builder_config.text) or tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=list(official_files.CLASSES)),
                "image_id": tfds.features.Text(),
                "text_id": tfds.features.Text(),
            }),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        where = self._folders(dl_manager)
        if classes := official_files.find(official_files.CLASSES_FILE, where):
            official_files.check_classes(classes)
        items = {split: official_files.read_list(_path(name, where), split)
                 for split, name in official_files.LIST_FILES.items()}
        if not self.builder_config.matrices:
            every = items["train"] + items["test"]
            media = [name for item in every for name in (item.image_file, item.text_file)]
            _require(media, where, _path(official_files.LIST_FILES["train"], where).parent)
            return {split: self._articles(items[split], where) for split in items}
        return {split: self._vectors(items[split], split, where) for split in items}

    def _folders(self, dl_manager: tfds.download.DownloadManager) -> list[pathlib.Path]:
        """Returns the folders to look in, which hold every list and matrix that the config uses."""
        try:
            manual = dl_manager.manual_dir
        except AssertionError:  # TFDS's way to say that it does not exist or is empty
            manual = None
        place = manual or dl_manager._manual_dir  # where that is: TFDS has no public name for it
        matrices = self.builder_config.matrices.values()
        official = [*official_files.LIST_FILES.values(), *sorted({m.file for m in matrices if m.official})]
        where = official_files.folders(manual)
        _require([m.file for m in matrices if not m.official], where, place)
        if len(official_files.missing(official, where)) == len(official):
            where = [*_download(dl_manager, official, place), *where]
        _require(official, where, place)
        return where

    def _generate_examples(self, examples: Iterable[tuple[int, dict]]) -> Iterator[tuple[int, dict]]:
        yield from examples

    def _vectors(self, items: Sequence[Item], split: str, where: Sequence[pathlib.Path]) -> Iterator[tuple[int, dict]]:
        """Reads both matrices at once, so that a wrong one is refused before anything is written."""
        rows = {modality: official_files.read_matrix(_path(m.file, where), m, split, len(items))
                for modality, m in self.builder_config.matrices.items()}
        return self._generate_examples(
            (n, {"image": rows["image"][n], "text": rows["text"][n], **_labels(item)})
            for n, item in enumerate(items)
        )

    def _articles(self, items: Sequence[Item], where: Sequence[pathlib.Path]) -> Iterator[tuple[int, dict]]:
        return self._generate_examples(
            (n, {"image": io.BytesIO(official_files.read_image(_path(item.image_file, where))),
                 "text": official_files.read_text(_path(item.text_file, where)),
                 **_labels(item)})
            for n, item in enumerate(items)
        )


def _vector(matrix: Matrix | None) -> tfds.features.Tensor | None:
    """The feature of one row of the matrix, or None. Bytes are written ten times faster than floats."""
    if matrix is None:
        return None
    return tfds.features.Tensor(shape=(matrix.dim,), dtype=np.float32, encoding=tfds.features.Encoding.BYTES)


def _labels(item: Item) -> dict[str, Any]:
    return {"label": item.label, "image_id": item.image_id, "text_id": item.text_id}


def _path(name: str, where: Sequence[pathlib.Path]) -> pathlib.Path:
    """The path of a file that `_require` has found."""
    return next(folder / name for folder in where if (folder / name).exists())


def _require(names: Iterable[str], where: Sequence[pathlib.Path], place: Place) -> None:
    """Raises InputError that lists each of the files that no folder holds."""
    absent = official_files.missing(names, where)
    if absent:
        more = len(absent) - official_files.MAX_NAMED
        lines = [*absent[:official_files.MAX_NAMED], *([f"... and {more:,} more"] if more > 0 else [])]
        raise InputError(f"wikipedia: {counted(len(absent), 'file')} missing. Put "
                         f"{agreeing(len(absent), 'it', 'them')} into the folder {place} (flag --manual_dir):\n  "
                         + "\n  ".join(lines))


def _download(dl_manager: tfds.download.DownloadManager, official: Sequence[str], place: Place) -> list[pathlib.Path]:
    """Downloads and unpacks the official archive; returns the folders of its files.

    The archive is published without a checksum, so none is registered; the lists, the matrices' shapes and
    every image and text are checked as they are read.
    """
    try:
        # TFDS tries nine times, over three minutes, before it gives up on a machine without network.
        urllib.request.urlopen(urllib.request.Request(ARCHIVE, method="HEAD"), timeout=20).close()
        return official_files.folders(dl_manager.download_and_extract(ARCHIVE))
    except (OSError, ValueError, tfds.download.DownloadError) as error:
        raise InputError(
            f"wikipedia: {place} (flag --manual_dir) holds none of {', '.join(official)}, and downloading "
            f"{ARCHIVE} failed: {error}. Get the archive another way and unpack it there.") from error
