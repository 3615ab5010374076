"""What the items of a dataset are made of, to be shown: pictures and texts; or their names, where there is no more."""
import importlib

from tfxmr.extraction.loading import DATASETS


def names(data, split, modality, rows):
    """The ids of some items, or their row numbers (from 0) where they have none: list of str.

    Args:
      data: MultiModalData.
      split: "train", "validation" or "test".
      modality: "image", "text", ...
      rows: row numbers in this split.
    """
    ids = data.splits[split].ids.get(modality)
    return [str(row) if ids is None else ids[row] for row in rows]


def media(data, split, modality, rows, data_dir=None, manual_dir=None):
    """The pictures, texts or names of some items.

    A dataset's module may have `media(modality, ids, data_dir, manual_dir)`, a list as below with None where it has
    nothing. It goes by ids, since rows are others after --split=random.

    Args:
      data, split, modality, rows: as in `names`.
      data_dir: folder of the built datasets; None means TFDS's default.
      manual_dir: folder of the dataset's official files, where it has some.

    Returns:
      A list, for each item: uint8 (height, width, 3), a picture; or str, a text or, failing all else, a name such as
      "image 17" (its row) or "image train_cat_003" (its id).
    """
    found = [None] * len(rows)
    ids = names(data, split, modality, rows)
    if data.name in DATASETS and modality in data.splits[split].ids:
        module = importlib.import_module(DATASETS[data.name].module)
        if hasattr(module, "media"):
            found = module.media(modality, ids, data_dir, manual_dir)
    return [f"{modality} {name}" if item is None else item for item, name in zip(found, ids, strict=True)]
