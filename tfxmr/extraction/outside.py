"""Data sets with media, described in loading by what comes from elsewhere, KIND:PLACE or MODULE:FUNCTION."""
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.progress import Progress
from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData, Split

BLOCK = {"image": 16, "text": 256}  # items in memory at once, as of `tfxmr extract`


def is_one(flag: str, name: str) -> bool:
    """Whether a feature is one from elsewhere, KIND:PLACE.

    >>> is_one("image_features", "onnx:vision_model.onnx"), is_one("image_features", "descriptor")
    (True, False)
    """
    return flag in ("image_features", "text_features") and ":" in name


def names(request: Any) -> dict[str, str]:
    """Modality -> the feature from elsewhere that a tfxmr.extraction.Request asks for."""
    asked = {m: getattr(request, f"{m}_features") for m in BLOCK}
    return {m: name for m, name in asked.items() if name and is_one(f"{m}_features", name)}


def arrays(dataset: Any, request: Any) -> MultiModalData:
    """What Dataset.arrays gives, with those vectors that `names` says.

    Args:
      dataset: tfxmr.extraction.Dataset, with media.
      request: as its `chosen` gives it.

    Raises:
      InputError: the features cannot be made, or an item has no medium.
    """
    asked = names(request)
    features = {m: _made(m, name) for m, name in asked.items()}  # before the long work, since it may raise
    own = {f"{m}_features": next(iter(getattr(dataset, f"{m}_features")), None) for m in asked}
    plain = dataclasses.replace(request, **own)
    # Other vectors and views are the data set's own.
    whole = len(asked) == len(BLOCK) and not request.views
    data = dataset.listed(plain) if whole else dataset.arrays(plain)
    read = dataset.reader(request)
    splits = {name: _described(data, name, split, features, read) for name, split in data.splits.items()}
    facts = {m: {**data.features.get(m, {}), "name": f.name, **f.rule} for m, f in features.items()}
    return dataclasses.replace(
        data, splits=splits, features=data.features | facts, recipes={**data.recipes, **features},
    )


def _made(modality: str, name: str) -> Any:
    """The feature of a name; raises InputError if it makes no vectors."""
    if modality == "image":
        from tfxmr.features.image import by_name as images

        return images.make(name)
    from tfxmr.features.text import by_name as texts
    from tfxmr.features.text.base import TextOptions

    return texts.make(name, TextOptions())


def _described(data: MultiModalData, name: str, split: Split, features: dict[str, Any], read: Any) -> Split:
    """A split with the vectors of some features in the place of its own; an image of several texts once."""
    distinct, found = split.distinct(data.repeated), dict(split.features)
    for m, feature in features.items():
        rows: Any = _rows(feature, m, name, distinct.ids[m], read)
        found[m] = memmap.repeat(rows, split.items_of(m)[1]) if m in data.repeated else rows
    return dataclasses.replace(split, features=found)


def _rows(feature: Any, modality: str, split: str, ids: Sequence[str], read: Any) -> NDArray:
    """The vectors of items by their ids, (n, d)."""
    rows = np.zeros((len(ids), feature.dim), feature.dtype)
    with Progress(f"{split} {modality} {feature.name}", "item", len(ids)) as progress:
        for start in range(0, len(ids), BLOCK[modality]):
            chosen = ids[start : start + BLOCK[modality]]
            media = list(read(modality, chosen))
            for id_, medium in zip(chosen, media, strict=True):
                if medium is None:
                    raise InputError(f"there is no {modality} of item {id_!r}: name the folder of the media by "
                                     "--data_dir")
            rows[start : start + len(media)] = feature.transform(media)
            progress.update(start + len(media))
    return rows
