"""What the items of a dataset are made of, to be shown: images and texts; or their names, where there is no more."""
import pathlib
import warnings
from collections.abc import Sequence

import numpy as np

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.data.multimodal import MultiModalData
from tfxmr.extraction import catalogue
from tfxmr.extraction.dataset import Request, reading


def names(data: MultiModalData, split: str, modality: str, rows: Sequence[int]) -> list[str]:
    """The ids of some items, or their row numbers (from 0) where they have none: list of str.

    Args:
      data: MultiModalData.
      split: "train", "validation" or "test".
      modality: "image", "text", ...
      rows: row numbers in this split.
    """
    ids = data.splits[split].ids.get(modality)
    return [str(row) if ids is None else ids[row] for row in rows]


def places(
    data: MultiModalData, split: str, modality: str, rows: Sequence[int], data_dir: Place = None,
    manual_dir: Place = None,
) -> list[pathlib.Path | None]:
    """The absolute path of each item's image or text where it lies in a file of its own, else None.

    Args:
      data, split, modality, rows, data_dir, manual_dir: as in `media`.
    """
    known = catalogue.find(data.name)
    if known is None or modality not in data.splits[split].ids:
        return [None] * len(rows)
    return known.places(modality, names(data, split, modality, rows), _request(data, data_dir, manual_dir))


def media(
    data: MultiModalData, split: str, modality: str, rows: Sequence[int], data_dir: Place = None,
    manual_dir: Place = None,
) -> list[np.ndarray | str]:
    """The images, texts or names of some items.

    The data set is asked by ids, since rows are others after --split=random.

    Args:
      data, split, modality, rows: as in `names`.
      data_dir: folder of the built datasets, or of one's own images and texts; None: where the data say that they
        were, else TFDS's default.
      manual_dir: folder of the dataset's official files, where it has some; None: as of data_dir.

    Returns:
      A list, for each item: uint8 (height, width, 3), an image; or str, a text or, failing all else, a name such as
      "image 17" (its row) or "image train_cat_003" (its id).
    """
    found: list[np.ndarray | str | None] = [None] * len(rows)
    ids = names(data, split, modality, rows)
    known = catalogue.find(data.name)
    if known and known.has_media and modality in data.splits[split].ids:
        asked = _request(data, data_dir, manual_dir)
        if not (data_dir or manual_dir):
            asked = _request(data, data.media_places.get("data_dir"), data.media_places.get("manual_dir"))
        try:
            found = known.media(modality, ids, asked)
        except InputError as error:
            if data_dir or manual_dir:
                raise
            _warn(str(error))
        else:
            if found and all(item is None for item in found):
                _warn(f"none of these {modality} items is in {asked.data_dir}" if asked.data_dir
                      else "nothing says where they are")
    shown = (np.ndarray, str)  # sounds, videos and 3D shapes are none
    return [item if isinstance(item, shown) else f"{modality} {name}" for item, name in zip(found, ids, strict=True)]


def _request(data: MultiModalData, data_dir: Place, manual_dir: Place) -> Request:
    return Request(data_dir, manual_dir, **reading(data.media_places))


def _warn(why: str) -> None:
    """Says, once a command, why names stand where images and texts are asked for, and what helps."""
    warnings.warn(f"names stand in the places of images and texts: {why}; name where they are by --data_dir=DIR",
                  stacklevel=3)
