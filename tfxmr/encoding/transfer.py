"""Another data set as a run's encoder sees it, to be evaluated on it."""
import dataclasses
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.data import MultiModalData
from tfxmr.data.multimodal import Split
from tfxmr.encoding.encoder import Encoder
from tfxmr.extraction import describing
from tfxmr.extraction.reading import Reader


def described(encoder: Encoder, data: MultiModalData, read: Reader, cache_dir: Place = None) -> MultiModalData:
    """Items with the features that the run's own chain makes of their media: its vocabulary, not one fitted on them.

    Args:
      encoder: Encoder.
      data: MultiModalData, of which labels, ids and class names are used.
      read: function (modality, ids) -> media.
      cache_dir: folder of what is kept of features that are fitted to no data; the option of that name.

    Returns:
      MultiModalData, raw features of the views that the encoder reads.

    Raises:
      InputError: an image or text is missing or cannot be encoded.
    """
    splits = {name: _described(encoder, split, data.repeated, read, cache_dir) for name, split in data.splits.items()}
    facts = {view: encoder.facts["features"].get(view, {}) for view in encoder.views}
    return dataclasses.replace(data, splits=splits, features=facts, recipes={}, tables={}, vocabularies={})


def taken(encoder: Encoder, data: MultiModalData) -> MultiModalData:
    """Data whose features were given as matrices, with the views that the encoder reads.

    Raises:
      InputError: a view is missing, or of another width than the run's.
    """
    data = data.only(encoder.modalities) if set(encoder.modalities) < set(data.modalities) else data
    data = data.reading(tuple(encoder.views), f"this run of {encoder.model}")
    for view, shape in encoder.views.items():
        if data.dims[view] != shape:
            raise InputError(
                f"dataset {data.name} has {view} features of width {data.dims[view]}, and this run of {encoder.model} "
                f"learned from {shape}; make them as the run's were made"
            )
    return data


def _described(
    encoder: Encoder, split: Split, repeated: Sequence[str], read: Reader, cache_dir: Place
) -> Split:
    features: dict[str, Any] = {}
    for modality in encoder.modalities:
        ids = split.ids.get(modality)
        if ids is None:
            raise InputError(f"the items have no names to find their {modality} by")
        rows = np.arange(len(ids))
        if modality in repeated:  # an image of five sentences is described once
            first, rows = split.items_of(modality)
            ids = [ids[i] for i in first]
        for view in encoder.views_of(modality):
            made = describing.described(encoder.recipe(view), modality, ids, read, cache_dir)
            features[view] = made[rows] if modality in repeated else made
    kept = split.only(encoder.modalities)
    return dataclasses.replace(kept, features={view: features[view] for view in sorted(features, key=_order(encoder))})


def _order(encoder: Encoder) -> Any:
    return [*encoder.views].index


def made_of_media(encoder: Encoder) -> bool:
    """Whether all of an encoder's features are made of media by steps that the run knows."""
    return all(encoder.recipe(view) is not None for view in encoder.views)
