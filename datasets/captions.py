"""What the image-sentence datasets share: annotation files, and examples of an image with its sentences."""
import dataclasses
import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import tensorflow_datasets as tfds
from tfxmr_datasets import files, partition

from tfxmr.core.errors import InputError

MAX_SENTENCES = 5  # some images of MSCOCO have six or seven; every published result takes the first five
# Of annotation files of hundreds of megabytes, only what is used is kept in memory.
_USED = {"images", "annotations", "split", "filename", "filepath", "cocoid", "sentences", "raw", "id", "image_id",
         "file_name", "caption"}  # fmt: skip
# What entries raise that lack something or hold another kind of thing, such as NaN for a number.
_MALFORMED = (KeyError, TypeError, AttributeError, ValueError, OverflowError)


@dataclasses.dataclass(frozen=True)
class Item:
    """An image with its sentences.

    Attributes:
      name: what it is called, unique in the dataset.
      paths: where its file may be, relative paths, the official one first.
      sentences: 1 to MAX_SENTENCES of them.
    """

    name: str
    paths: tuple[str, ...]
    sentences: tuple[str, ...]


Splits = dict[str, list[Item]]  # split -> its items
Needed = Mapping[str, Sequence[str | Sequence[str]]]  # config -> its annotation files, as of `Files.require`
Names = Callable[[dict[str, Any]], tuple[object, Sequence[str]]]  # an entry of a file -> (name, paths) of its Item


def item(file: files.File, name: object, paths: Sequence[str], sentences: Iterable[str]) -> Item:
    """Makes an Item: spaces and line breaks become one space, empty sentences are dropped.

    Raises:
      InputError: no sentence is left, or a path that leads out of the folder.
    """
    tidy = (" ".join(sentence.split()) for sentence in sentences)
    kept = tuple(filter(None, tidy))[:MAX_SENTENCES]
    if not kept:
        raise InputError(f"{file}: image {name} has no sentence. Copy the file again.")
    if not all(map(files.safe_name, paths)):
        raise InputError(f"{file}: image {name} is called {paths[0]!r}, which leads out of the folder.")
    return Item(str(name), tuple(paths), kept)


def read_json(file: files.File) -> dict[str, Any]:
    """Reads an annotation file. Raises InputError if it is none."""
    try:
        found = json.loads(file.read_bytes(), object_hook=lambda entry: {k: v for k, v in entry.items() if k in _USED})
    except (ValueError, OSError, RecursionError) as error:
        raise InputError(f"{file}: cannot be read as JSON ({error}). Copy it again.") from error
    if not isinstance(found, dict) or not isinstance(found.get("images"), list):
        raise InputError(f"{file}: holds no list 'images'. Is it the right file?")
    return found


def read_karpathy(file: files.File, names: Names) -> Splits:
    """Reads the splits of Karpathy and Fei-Fei (CVPR 2015), which come with the sentences.

    Args:
      file: dataset_flickr30k.json or dataset_coco.json.
      names: function from an entry of the file to (name, paths) of its Item.

    Returns:
      "train", "restval" (MSCOCO alone), "validation", "test" -> list of Items in the order of the file.
    """
    splits: Splits = {}
    for number, entry in enumerate(read_json(file)["images"]):
        try:
            if not isinstance(entry["split"], str):
                raise TypeError(f"split {entry['split']!r}")
            split = {"val": "validation"}.get(entry["split"], entry["split"])
            found = item(file, *names(entry), [sentence["raw"] for sentence in entry["sentences"]])
        except InputError:
            raise
        except _MALFORMED as error:
            raise InputError(f"{file}: entry {number} of 'images' {_what(error)}. Is it the right file?") from error
        splits.setdefault(split, []).append(found)
    return splits


def read_coco(file: files.File, names: Names) -> list[Item]:
    """Reads an official annotation file of MSCOCO: captions in `annotations`, each of an image in `images`.

    Args:
      file: captions_<train|val><2014|2017>.json.
      names: as of `read_karpathy`.

    Returns:
      List of Items in the order of `images`.
    """
    found = read_json(file)
    sentences: dict[Any, list[str]] = {}
    try:
        for annotation in found["annotations"]:
            sentences.setdefault(annotation["image_id"], []).append(annotation["caption"])
        return [item(file, *names(entry), sentences.get(entry["id"], ())) for entry in found["images"]]
    except InputError:
        raise
    except _MALFORMED as error:
        raise InputError(f"{file}: an image or annotation {_what(error)}. Is it a file of captions?") from error


def _what(error: Exception) -> str:
    """What an error of _MALFORMED means, in words."""
    return f"lacks {error}" if isinstance(error, KeyError) else f"is malformed ({error})"


def require(where: files.Files, config: str, needed: Needed) -> list[files.File]:
    """The annotation files of a config.

    Args:
      where: finds them.
      config: its name, which is that of a --split.
      needed: config -> its files, as of `Files.require`.

    Raises:
      InputError: some are missing; says which --split the files fit that are there.
    """
    try:
        return where.require(*needed[config])
    except InputError as error:
        others = {name: names for name, names in needed.items() if name != config}
        raise InputError(f"{error}{_fitting(where, others)}") from error


def _fitting(where: files.Files, needed: Needed) -> str:
    """Lines on what the annotation files that are there can be used for; "" if there are none."""
    lines = []
    for config, names in needed.items():
        found = [(name, where.find(*([name] if isinstance(name, str) else name))) for name in names]
        there = [str(file).rpartition("/")[2] for _, file in found if file is not None]
        lacking = [name if isinstance(name, str) else name[0] for name, file in found if file is None]
        if there and not lacking:
            lines.append(f"The files there are those of --split={config} ({', '.join(there)}): give that flag.")
        elif there:
            lines.append(f"{', '.join(there)}: of --split={config}, which needs {', '.join(lacking)}, too.")
    return "".join(f"\n{line}" for line in lines)


def check(dataset: str, splits: Splits, sizes: Mapping[str, int], where: files.Files) -> None:
    """Checks that the splits are disjoint, complete and of the published sizes.

    Args:
      dataset: its --dataset name.
      splits: as read.
      sizes: split -> number of its images.
      where: in which folder the files were found, for the message.

    Raises:
      InputError: they are not; says how a part of a data set is used.
    """
    try:
        if splits.keys() != sizes.keys():
            raise InputError(f"{dataset}: found the splits {', '.join(splits)}, expected {', '.join(sizes)}.")
        partition.check(dataset, {split: [i.name for i in items] for split, items in splits.items()}, sizes)
    except InputError as error:
        raise InputError(
            f"{error}\nOfficial names stand for official numbers. A part of them, or your own captions_*.json: "
            f"--dataset=folder --data_dir={where.place}"
        ) from error


def features() -> tfds.features.FeaturesDict:
    """The features of an example."""
    return tfds.features.FeaturesDict({
        "image": tfds.features.Image(shape=(None, None, 3)),
        "text": tfds.features.Text(doc="The sentences, one a line."),
        "label": tfds.features.Scalar(np.int64, doc="The image's number: each is a class of its own."),
        "image_id": tfds.features.Text(),
        "text_id": tfds.features.Text(),
    })


def locate(where: files.Files, splits: Splits) -> dict[str, tuple[int, list[files.File]]]:
    """Finds every image file; raises InputError that lists the missing ones. Returns split -> (first number, files)."""
    found = where.require(*(item.paths for items in splits.values() for item in items))
    located, start = {}, 0
    for split, items in splits.items():
        located[split] = start, found[start : start + len(items)]
        start += len(items)
    return located


def examples(items: Iterable[Item], start: int, paths: Iterable[files.File]) -> Iterator[tuple[str, dict[str, Any]]]:
    """Yields (key, example) of each Item; `start` is the number of the first."""
    for number, (found, path) in enumerate(zip(items, paths, strict=True), start):
        yield found.name, {
            "image": io.BytesIO(files.image(path)),
            "text": "\n".join(found.sentences),
            "label": number,
            "image_id": found.name,
            "text_id": found.name,
        }
