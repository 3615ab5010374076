"""A second domain: labelled items of other classes, or of another dataset, from which some methods learn as well."""
import dataclasses
import hashlib
from collections.abc import Sequence
from typing import Any

import numpy as np

from tfxmr.core.errors import InputError
from tfxmr.core.wording import agreeing, counted
from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.views import kind, modality_of


def of_training_items(source: MultiModalData, classes: Sequence[str | int] = ()) -> MultiModalData:
    """A dataset as a second domain: its training items alone, perhaps of some classes, which are numbered anew.

    Args:
      source: as loaded.
      classes: names or labels; () takes all.

    Raises:
      InputError: a class that there is not.
    """
    kept = source.labels_of(classes, "--source_classes") if classes else range(source.num_classes)
    return dataclasses.replace(source, splits={"train": source.splits["train"]}).of_classes(kept)


def needed(method_class: type[Any], name: str, data: MultiModalData) -> MultiModalData | None:
    """What of the second domain a method reads: the views that both domains have, of its `source_modalities`.

    Args:
      method_class: from tfxmr.models or tfxmr.baselines.
      name: of the method.
      data: MultiModalData restricted to what the method reads.

    Returns:
      The source, or None.

    Raises:
      InputError: a second domain that the method does not take, cannot do without, or of other views or widths.
    """
    source = data.source
    if source is None:
        if method_class.needs_source:
            raise InputError(
                f"{name} learns from a second domain: give --source_dataset=NAME, labelled items of other classes with "
                "features as wide as these"
            )
        return None
    if not method_class.takes_source:
        raise InputError(
            f"--source_dataset: {name} learns from one domain; omit the flag, or take one that learns from two"
        )
    read = method_class.source_modalities
    wanted = [view for view in data.views if not read or modality_of(view) in read]
    shared = [view for view in wanted if view in source.views]
    if not shared:
        raise InputError(
            f"--source_dataset: {source.shown} has {', '.join(source.views)}, and {name} reads "
            f"{', '.join(wanted or read)}; the domains need a view in common"
        )
    for view in shared:
        if source.dims[view] != data.dims[view] and kind(source.splits["train"].features[view]) != "tokens":
            raise InputError(
                f"--source_dataset: the {view} features of {source.shown} are {source.dims[view]} wide, and those of "
                f"{data.shown} {data.dims[view]}; extract both by the same features, those of words from one "
                "--text_corpus=FILE"
            )
    return source.reading(shared, name)


def refuse_leaks(data: MultiModalData, allow: bool = False) -> None:
    """Raises InputError if the second domain trains on items that the first one tests.

    Items are known by their features: pairs by their image's, since a short text may be that of several images, and
    features of texts differ by the vocabulary; pairs without an image by those of all modalities together.

    Args:
      data: as loaded, with a source or without.
      allow: True lets them pass.
    """
    if data.source is None or allow:
        return
    train, test = data.source.splits["train"], data.splits["test"]
    shared = [view for view in data.views if view in data.source.views]
    together = all(split.only(list(dict.fromkeys(map(modality_of, shared)))).paired for split in (train, test))
    pair = [view for view in shared if modality_of(view) == "image"] or shared
    for views in [pair] if together else [[view] for view in shared]:
        leaked = _digests(train, views) & _digests(test, views)
        if leaked:
            raise InputError(
                f"--source_dataset: {counted(len(leaked), 'training item')} of {data.source.shown} "
                f"{agreeing(len(leaked), 'is a test item', 'are test items')} of {data.shown} "
                f"by their features ({', '.join(views)}); drop them from the source, or take them with --allow_leaks"
            )


def _digests(split: Split, views: Sequence[str]) -> set[bytes]:
    """Digests of a split's items by some views; without those of one value throughout, such as texts without a word."""
    columns = [[(hashlib.sha256(row.data).digest(), np.ptp(row) > 0) for block in memmap.blocks(split.features[view])
                for row in map(np.ascontiguousarray, block)] for view in views]
    return {b"".join(d for d, _ in item) for item in zip(*columns, strict=True) if any(told for _, told in item)}
