"""Data sets with media, described in loading by what comes from elsewhere, KIND:PLACE or MODULE:FUNCTION."""
import dataclasses
from typing import Any

from tfxmr.core.files import Place
from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction import describing

MODALITIES = ("image", "text")


def is_one(flag: str, name: str) -> bool:
    """Whether a feature is one from elsewhere, KIND:PLACE.

    >>> is_one("image_features", "onnx:vision_model.onnx"), is_one("image_features", "descriptor")
    (True, False)
    """
    return flag in ("image_features", "text_features") and ":" in name


def names(request: Any) -> dict[str, str]:
    """Modality -> the feature from elsewhere that a tfxmr.extraction.Request asks for."""
    asked = {m: getattr(request, f"{m}_features") for m in MODALITIES}
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
    features = {m: made(m, name) for m, name in asked.items()}  # before the long work, since it may raise
    own = {f"{m}_features": next(iter(getattr(dataset, f"{m}_features")), None) for m in asked}
    plain = dataclasses.replace(request, **own)
    # Other vectors and views are the data set's own.
    whole = len(asked) == len(MODALITIES) and not request.views
    data = dataset.divided(dataset.listed(plain), request, "nothing") if whole else dataset.arrays(plain)
    read = dataset.reader(request)
    splits = described(data, features, read, request.cache_dir)
    facts = {m: {**data.features.get(m, {}), "name": f.name, **f.rule} for m, f in features.items()}
    return dataclasses.replace(
        data, splits=splits, features=data.features | facts, recipes={**data.recipes, **features},
    )


def made(modality: str, name: str) -> Any:
    """The feature of a name; raises InputError if it makes no vectors."""
    if modality == "image":
        from tfxmr.features.image import by_name as images

        return images.make(name)
    from tfxmr.features.text import by_name as texts
    from tfxmr.features.text.base import TextOptions

    return texts.make(name, TextOptions())


def described(data: MultiModalData, features: dict[str, Any], read: Any, cache_dir: Place) -> dict[str, Split]:
    """The splits with the vectors of some features in the place of their own; an image of several texts once."""
    distinct = {name: split.distinct(data.repeated) for name, split in data.splits.items()}
    found = {name: dict(split.features) for name, split in data.splits.items()}
    for m, feature in features.items():
        ids = [id_ for part in distinct.values() for id_ in part.ids[m]]
        rows, stop = describing.described(feature, m, ids, read, cache_dir), 0
        for name, split in data.splits.items():
            start, stop = stop, stop + len(distinct[name].ids[m])
            own: Any = rows[start:stop]
            found[name][m] = memmap.repeat(own, split.items_of(m)[1]) if m in data.repeated else own
    return {name: dataclasses.replace(split, features=found[name]) for name, split in data.splits.items()}
