"""Reads Flickr30k's sentences and splits as they are published."""
import re
from collections.abc import Mapping

from tfxmr_datasets import captions, files

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted

KARPATHY = "dataset_flickr30k.json"
TOKENS = ("results_20130124.token", "results.csv")
LISTS = {"train": "train.txt", "validation": "val.txt", "test": "test.txt"}
SIZES = {
    "karpathy": {"train": 29000, "validation": 1014, "test": 1000},
    "entities": {"train": 29783, "validation": 1000, "test": 1000},
}
NEEDED: captions.Needed = {"karpathy": [KARPATHY], "entities": [TOKENS, *LISTS.values()]}
FOLDERS = ("flickr30k-images", "flickr30k_images", "images")  # of the official archive, of copies


def read(where: files.Files, config: str) -> captions.Splits:
    """Reads the config's splits: split -> list of captions.Item. Raises InputError."""
    if config == "karpathy":
        (file,) = captions.require(where, config, NEEDED)
        splits = captions.read_karpathy(file, lambda entry: _names(entry["filename"]))
    else:
        tokens, *lists = captions.require(where, config, NEEDED)
        splits = _read_entities(read_tokens(tokens), tokens, dict(zip(LISTS, lists, strict=True)))
    captions.check("flickr30k", splits, SIZES[config], where)
    return splits


def _names(filename: str) -> tuple[str, tuple[str, ...]]:
    return filename.removesuffix(".jpg"), (filename, *(f"{folder}/{filename}" for folder in FOLDERS))


def read_tokens(file: files.File) -> dict[str, list[str]]:
    """Reads the sentences: "<image>.jpg#<0 to 4> TAB <sentence>" a line, or "<image>.jpg| <0 to 4>| <sentence>".

    Returns:
      Image's file name -> its sentences in the order of their numbers.
    """
    found: dict[str, dict[int, str]] = {}
    for number, line in files.lines(file):
        # One line of results.csv has no second bar: "2199200615.jpg| 4   A dog runs across the grass ."
        match = re.fullmatch(r"([^#|\t]+\.jpg)(?:#|\| *)([0-9]{1,9})(?:\t|\| ?| {2,})(.*)", line)
        if match:
            found.setdefault(match[1], {})[int(match[2])] = match[3]
        elif line.strip() and number > 1:  # the first line of results.csv names the columns
            raise InputError(f"{file}, line {number}: found {line[:80]!r}, expected <image>.jpg#<number> TAB "
                             "<sentence>.")
    return {image: [sentences[n] for n in sorted(sentences)] for image, sentences in found.items()}


def _read_entities(
    sentences: Mapping[str, list[str]], tokens: files.File, lists: Mapping[str, files.File],
) -> captions.Splits:
    splits = {}
    for split, file in lists.items():
        names = [line.strip() for _, line in files.lines(file) if line.strip()]
        lacking = [name for name in names if f"{name}.jpg" not in sentences]
        if lacking:
            raise InputError(f"{file}: {counted(len(lacking), 'image has', 'images have')} no sentence in {tokens}, "
                             f"first {lacking[0]!r}.")
        splits[split] = [
            captions.item(tokens, *_names(f"{name}.jpg"), sentences[f"{name}.jpg"]) for name in names
        ]
    return splits
