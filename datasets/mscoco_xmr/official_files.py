"""Reads MSCOCO's sentences and splits as they are published."""
from tfxmr_datasets import captions, files

KARPATHY = "dataset_coco.json"
SIZES = {
    "karpathy": {"train": 82783, "restval": 30504, "validation": 5000, "test": 5000},
    "2014": {"train": 82783, "validation": 40504},
    "2017": {"train": 118287, "validation": 5000},
}
NEEDED: captions.Needed = {"karpathy": [KARPATHY]} | {
    year: [(f"annotations/{name}", name) for name in (f"captions_train{year}.json", f"captions_val{year}.json")]
    for year in ("2014", "2017")
}


def read(where: files.Files, config: str) -> captions.Splits:
    """Reads the config's splits: split -> list of captions.Item. Raises InputError."""
    if config == "karpathy":
        (file,) = captions.require(where, config, NEEDED)
        splits = captions.read_karpathy(file, lambda entry: _names(int(entry["cocoid"])))
        splits = {split: splits[split] for split in SIZES[config] if split in splits} | splits
    else:
        found = captions.require(where, config, NEEDED)
        splits = {
            split: captions.read_coco(file, lambda entry: _names(int(entry["id"])))
            for split, file in zip(("train", "validation"), found, strict=True)
        }
    captions.check("mscoco", splits, SIZES[config], where)
    return splits


def _names(number: int) -> tuple[str, tuple[str, ...]]:
    """An image's name and its possible paths: the releases of 2014 and 2017 re-split and rename the same images."""
    parts = ("train", "val")
    paths = [f"{part}2017/{number:012}.jpg" for part in parts]
    paths += [f"{part}2014/COCO_{part}2014_{number:012}.jpg" for part in parts]
    return str(number), (*paths, *(path.partition("/")[2] for path in paths))
