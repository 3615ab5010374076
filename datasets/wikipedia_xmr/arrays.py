"""The Wikipedia dataset (Rasiwasia et al. 2010) as matrices, in the official split and order."""
import itertools
import os
import pathlib

from tfxmr_datasets.wikipedia_xmr import official_files
from tfxmr_datasets.wikipedia_xmr.wikipedia_xmr_dataset_builder import IMAGE_FEATURES, TEXT_FEATURES, Builder

from tfxmr.core.errors import InputError
from tfxmr.data.files import image_files
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction import tfds_io


def load(image_features="sift128", text_features="lda10", data_dir=None, manual_dir=None):
    """Builds the dataset if it is not built yet, and reads it.

    Args:
      image_features: "sift128" or "cnn128".
      text_features: "lda10" or "tfidf1000".
      data_dir: folder of the prepared datasets; None means TFDS's default.
      manual_dir: folder with the official files; None means <data_dir>/downloads/manual.
    Returns:
      MultiModalData with 2,173 "train" and 693 "test" pairs of 10 classes, without class embeddings.
      Ids are the official image and text ids.
    Raises:
      InputError: an unknown feature name, or a missing or malformed file.
    """
    matrices = {
        "image": _choose("--image_features", image_features, IMAGE_FEATURES),
        "text": _choose("--text_features", text_features, TEXT_FEATURES),
    }
    builder = tfds_io.build(Builder, f"{image_features}_{text_features}", data_dir, manual_dir)
    names = {"image": image_features, "text": text_features}
    return MultiModalData(
        name="wikipedia",
        splits={split: _split(tfds_io.read(builder, split)) for split in ("train", "test")},
        class_names=list(builder.info.features["label"].names),
        features={m: {"name": names[m], "dim": matrix.dim, "source": matrix.file}
                  for m, matrix in matrices.items()},
    )


def _choose(flag, name, table):
    if name not in table:
        raise InputError(f"{flag}={name} is unknown for wikipedia. Valid: {', '.join(table)}.")
    return table[name]


def _split(columns):
    pairs = Split.of_pairs({m: columns[m] for m in ("image", "text")}, columns["label"])
    ids = {m: columns[f"{m}_id"] for m in ("image", "text")}
    return Split(pairs.features, pairs.labels, ids)


def media(modality, ids, data_dir=None, manual_dir=None):
    """Reads some articles' images, uint8 (h, w, 3), or texts, str, from the raw files. See tfxmr.extraction.media.

    They come from manual_dir if it has them, else from the built config `articles`, else there are none.
    """
    where = official_files.folders(pathlib.Path(manual_dir).expanduser()) if manual_dir else []
    found = {name: _read(modality, name, where) for name in ids}
    missing = {name for name, item in found.items() if item is None}
    articles = Builder(config="articles", data_dir=data_dir and os.path.expanduser(data_dir))
    if missing and articles.is_prepared():
        for example in itertools.chain(*(tfds_io.examples(articles, split) for split in ("train", "test"))):
            name = example[f"{modality}_id"]
            if name in missing:
                found[name] = example[modality]
                missing.remove(name)
            if not missing:
                break
    return [found[name] for name in ids]


def _read(modality, name, where):
    """One image or text from the official files in the folders `where`, or None."""
    if modality == "text":
        path = official_files.find(f"texts/{name}.xml", where)
        return path and official_files.read_text(path)
    paths = (official_files.find(f"images/{c}/{name}.jpg", where) for c in official_files.CLASSES)
    path = next(filter(None, paths), None)
    if path is None:
        return None
    return image_files.decode(path.read_bytes(), path)
