"""Feature normalisation with statistics of the training items only."""
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.data import memmap, views
from tfxmr.data.multimodal import MultiModalData, Split

CACHED = 2**16  # numbers that are float64 at once

Statistics = tuple[NDArray | None, NDArray | None]  # centre and scale of the columns, if any


def normalise_features(data: MultiModalData, kind: str, train: Split) -> MultiModalData:
    """Normalises every view of every split of a dataset, but tokens, which are word ids.

    Args:
      data: MultiModalData.
      kind: "none"; "l2": each row to unit norm (zero rows stay); "zscore": each column to mean 0, variance 1
        on the training items (constant columns are only centred); "minmax": each column to [0, 1] there. In a map
        (n, places, d) each vector of a place is a row: its d columns have one statistic over all items and places.
      train: Split of the items that a method may train on; the statistics are theirs alone.

    Returns:
      MultiModalData; its `features` facts say what was done.
    """
    if kind == "none":
        return data
    measured = [view for view in data.views if views.kind(train.features[view]) != "tokens"]
    found = {view: statistics(train.features[view], kind) for view in measured}
    splits = {}
    for name, split in data.splits.items():
        normalised = {view: apply(split.features[view], kind, *found[view]) for view in measured}
        splits[name] = dataclasses.replace(split, features=split.features | normalised)
    facts = {view: {**data.features.get(view, {})} for view in data.views}
    facts |= {view: {**facts[view], "normalisation": kind} for view in measured}
    kept = {view: (kind, *pair) for view, pair in found.items()}
    return dataclasses.replace(data, splits=splits, features=facts, normalisations=kept)


def statistics(train: Any, kind: str) -> Statistics:
    """(centre, scale) of the columns of a matrix or map of training items, scale above 0; (None, None) without any."""
    # By hand: scikit-learn's scalers give the same of float64 matrices, but take no maps, and no file by blocks to the
    # same bits.
    if kind in ("l2", "none"):
        return None, None
    if isinstance(train, memmap.MappedMatrix) or views.kind(train) == "map":
        return _statistics_by_blocks(train, kind)
    train = train.astype(np.float64)
    extent = np.ptp(train, axis=0)
    if kind == "zscore":
        return train.mean(axis=0), _scale(train.std(axis=0), extent)
    return train.min(axis=0), _scale(extent, extent)


def _statistics_by_blocks(train: Any, kind: str) -> tuple[NDArray, NDArray]:
    """As `statistics`, of a matrix or map that is never in memory as a whole, or not as float64."""
    def blocks() -> Iterator[NDArray]:
        return (block.reshape(-1, train.shape[-1]) for block in memmap.blocks(train))

    count = math.prod(train.shape[:-1])
    lowest, highest = np.full(train.shape[-1], np.inf), np.full(train.shape[-1], -np.inf)
    total = np.zeros(train.shape[-1])
    for block in blocks():
        lowest, highest = np.minimum(lowest, block.min(axis=0)), np.maximum(highest, block.max(axis=0))
        total += block.sum(axis=0, dtype=np.float64)
    if kind == "minmax":
        return lowest, _scale(highest - lowest, highest - lowest)
    centre = total / count
    squares = sum(((block - centre) ** 2).sum(axis=0) for block in blocks())
    return centre, _scale(np.sqrt(squares / count), highest - lowest)


def _scale(scale: NDArray, extent: NDArray) -> NDArray:
    """What columns are divided by, 1 for constant ones; rounding may leave these a deviation above 0."""
    return np.where((extent > 0) & (scale > 0), scale, 1.0)


def apply(rows: Any, kind: str, centre: NDArray | None, scale: NDArray | None) -> Any:
    """A view's rows normalised with the (centre, scale) that `statistics` gave; "none" leaves them as they are."""
    if kind == "none":
        return rows
    if isinstance(rows, memmap.MappedMatrix):
        return rows.map(lambda block: apply(block, kind, centre, scale))
    if views.kind(rows) == "map" and len(rows):  # by blocks, since centre and scale make float64 of all
        return np.concatenate([_apply_rows(block, centre, scale) for block in memmap.blocks(rows)])
    return _apply_rows(rows, centre, scale)


def _apply_rows(rows: NDArray, centre: NDArray | None, scale: NDArray | None) -> NDArray:
    if centre is None:
        norms = np.linalg.norm(rows, axis=-1, keepdims=True)
        return (rows / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    made = np.empty(rows.shape, np.float32)
    step = max(1, CACHED // max(1, math.prod(rows.shape[1:])))
    for start in range(0, len(rows), step):  # the float64 of a few rows stay in the cache: three times as fast
        block = rows[start : start + step] - centre
        block /= scale
        made[start : start + step] = block
    return made
