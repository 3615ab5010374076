"""TFDS builder of NUS-WIDE's items of one concept (Chua et al., 2009)."""
import dataclasses
import io
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from numpy.typing import NDArray
from tfxmr_datasets import files
from tfxmr_datasets.nus_wide import official_files

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted

HOMEPAGE = "https://lms.comp.nus.edu.sg/wp-content/uploads/2019/research/nuswide/NUS-WIDE.html"


@dataclasses.dataclass(eq=False)
class NusWideConfig(tfds.core.BuilderConfig):
    """Which items and how they are represented: `image` is the parts of their matrix, or None for the images."""

    image: dict | None = None
    ten_thousand: bool = False


def _configs() -> list[NusWideConfig]:
    kinds = official_files.IMAGE_FEATURES | {"images": None}
    return [
        NusWideConfig(
            name=f"{'10k_' * subset}{name}", description=f"{'10,000 drawn' if subset else 'All'} items, {name}.",
            image=image, ten_thousand=subset,
        )
        for subset in (False, True) for name, image in kinds.items()
    ]  # fmt: skip


class Builder(tfds.core.GeneratorBasedBuilder):
    """Items with one concept, of ten: about 71,602, or 10,000 of them.

    Vectors keep the order of the official list of images; images are stored in the order of a hash of their names.
    """

    VERSION = tfds.core.Version("1.0.0")
    RELEASE_NOTES = {"1.0.0": "First release; 10k drawn by seed 0."}
    BUILDER_CONFIGS = _configs()
    MANUAL_DOWNLOAD_INSTRUCTIONS = f"""
    The folder given as manual_dir (`--manual_dir` of the tfxmr commands) holds these files of {HOMEPAGE},
    unpacked, directly or in a folder of any name inside it; lists, labels and images may stay in their .zip archives:
      every config: ImageList/Imagelist.txt (269,648 lines), TrainImagelist.txt (161,789), TestImagelist.txt (107,859);
        Groundtruth/AllLabels/Labels_<concept>.txt, 81 files of 269,648 lines;
        NUS_WID_Tags/AllTags1k.txt (about 540 MB), or Train_Tags1k.dat and Test_Tags1k.dat
      low634: Low_Level_Features/Train_Normalized_<CH, CORR, EDH, WT, CM55>.dat and Test_Normalized_<the same>.dat,
        or Normalized_<the same>.dat
      bow500: Low_Level_Features/BoW_Train_int.dat and BoW_Test_int.dat, or BoW_int.dat
      images: Flickr/<folder>/<name>.jpg as in the lists, and NUS_WID_Tags/TagList1k.txt (1,000 lines)
    """

    def _info(self) -> tfds.core.DatasetInfo:
        parts = self.builder_config.image
        return self.dataset_info_from_configs(
            homepage=HOMEPAGE,
            disable_shuffling=parts is not None,  # TFDS holds what it does not shuffle in memory: too much for images
            features=tfds.features.FeaturesDict({
                "image": _vector(parts, np.float32) if parts else tfds.features.Image(shape=(None, None, 3)),
                "text": _vector(official_files.TAGS, np.uint8) if parts else tfds.features.Text(),
                "label": tfds.features.ClassLabel(names=list(official_files.CLASSES)),
                "image_id": tfds.features.Text(),
                "text_id": tfds.features.Text(),
            }),
        )

    def _split_generators(self, dl_manager: tfds.download.DownloadManager) -> dict[str, Iterator]:
        config = self.builder_config
        where = files.Files.of_download_manager("nus_wide_10k" if config.ten_thousand else "nus_wide", dl_manager)
        official_files.require(where, official_files.TAGS, *([config.image] if config.image else []))
        lists = official_files.read_lists(where)
        tags = official_files.find_matrix(where, official_files.TAGS)
        image = official_files.find_matrix(where, config.image) if config.image else None
        items = official_files.choose(lists, official_files.read_labels(where))
        if config.ten_thousand:
            items = official_files.ten_thousand(lists, items)
        if config.image:
            return {split: self._vectors(lists, image, tags, *found) for split, found in items.items()}
        words = _read_words(where)
        names = {split: [lists["all"][row] for row in rows] for split, (rows, _) in items.items()}
        paths = where.require(*(_paths(name) for own in names.values() for name in own))
        path_of = dict(zip((name for own in names.values() for name in own), paths, strict=True))
        return {split: self._images(lists, path_of, words, tags, *found) for split, found in items.items()}

    def _generate_examples(self, examples: Iterable[tuple[Any, dict]]) -> Iterator[tuple[Any, dict]]:
        yield from examples

    def _vectors(
        self, lists: official_files.Lists, image: Any, tags: Any, rows: NDArray, labels: NDArray,
    ) -> Iterator[tuple[int, dict[str, Any]]]:
        images = official_files.read_matrix(image, self.builder_config.image, lists, rows, np.float32)
        texts = official_files.read_matrix(tags, official_files.TAGS, lists, rows, np.uint8)
        for n, row in enumerate(rows):
            yield n, {"image": images[n], "text": texts[n], **_names(lists["all"][row], labels[n])}

    def _images(
        self, lists: official_files.Lists, path_of: Mapping[str, files.File], words: NDArray, tags: Any, rows: NDArray,
        labels: NDArray,
    ) -> Iterator[tuple[str, dict[str, Any]]]:
        texts = official_files.read_matrix(tags, official_files.TAGS, lists, rows, np.uint8)
        for n, row in enumerate(rows):
            name = lists["all"][row]
            yield name, {
                "image": io.BytesIO(files.image(path_of[name])),
                "text": " ".join(words[np.flatnonzero(texts[n])]),
                **_names(name, labels[n]),
            }


def _vector(parts: official_files.Parts, dtype: type) -> tfds.features.Tensor:
    """The feature of one row. Bytes are written ten times faster than numbers."""
    dim = sum(part[0] for part in parts.values())
    return tfds.features.Tensor(shape=(dim,), dtype=dtype, encoding=tfds.features.Encoding.BYTES)


def _names(path: str, label: int) -> dict[str, Any]:
    name = path.removesuffix(".jpg")
    return {"label": int(label), "image_id": name, "text_id": name}


def _paths(name: str) -> tuple[str, ...]:
    """Where an image may be: under its folder in Flickr/ or images/, as published, or in one folder with all others."""
    return f"Flickr/{name}", f"images/{name}", name, f"images/{name.rpartition('/')[2]}"


def _read_words(where: files.Files) -> NDArray:
    """The 1,000 tags in the order of the columns, as an array of str."""
    (file,) = where.require(official_files.in_folders(official_files.TAG_NAMES, "NUS_WID_Tags"))
    words = [line.strip() for _, line in files.lines(file) if line.strip()]
    if len(words) != official_files.TAGS["tags"][0]:
        raise InputError(f"{file}: found {counted(len(words), 'tag')}, expected {official_files.TAGS['tags'][0]}.")
    return np.array(words)
