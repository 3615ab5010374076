"""Feature normalisation with statistics of the training items only."""
import dataclasses

import numpy as np

from tfxmr.data import mapped


def normalise_features(data, kind, train):
    """Normalises every split of a dataset.

    Args:
      data: MultiModalData.
      kind: "none"; "l2": each row to unit length (zero rows stay); "zscore": each column to mean 0, variance 1
        on the training items (constant columns are only centred); "minmax": each column to [0, 1] there.
      train: Split of the items that a method may train on; the statistics are theirs alone.

    Returns:
      MultiModalData; its `features` facts say what was done.
    """
    if kind == "none":
        return data
    found = {m: statistics(train.features[m], kind) for m in data.modalities}
    splits = {
        name: dataclasses.replace(
            split, features={m: _apply(split.features[m], *found[m]) for m in split.modalities}
        )
        for name, split in data.splits.items()
    }
    facts = {m: {**data.features.get(m, {}), "normalisation": kind} for m in data.modalities}
    return dataclasses.replace(data, splits=splits, features=facts)


def statistics(train, kind):
    """(centre, scale) of the columns of a matrix of training items, scale above 0; None, None for "l2"."""
    if kind == "l2":
        return None, None
    if isinstance(train, mapped.MappedMatrix):
        return _statistics_by_blocks(train, kind)
    train = train.astype(np.float64)
    extent = np.ptp(train, axis=0)
    if kind == "zscore":
        return train.mean(axis=0), _scale(train.std(axis=0), extent)
    return train.min(axis=0), _scale(extent, extent)


def _statistics_by_blocks(train, kind):
    """As `statistics`, of a matrix that is never in memory as a whole."""
    lowest, highest = train[0].astype(np.float64), train[0].astype(np.float64)
    total = np.zeros(train.shape[1])
    for block in mapped.blocks(train):
        lowest, highest = np.minimum(lowest, block.min(axis=0)), np.maximum(highest, block.max(axis=0))
        total += block.sum(axis=0, dtype=np.float64)
    if kind == "minmax":
        return lowest, _scale(highest - lowest, highest - lowest)
    centre = total / len(train)
    squares = sum(((block - centre) ** 2).sum(axis=0) for block in mapped.blocks(train))
    return centre, _scale(np.sqrt(squares / len(train)), highest - lowest)


def _scale(scale, extent):
    """What columns are divided by, 1 for constant ones; rounding may leave these a deviation above 0."""
    return np.where((extent > 0) & (scale > 0), scale, 1.0)


def _apply(rows, centre, scale):
    if isinstance(rows, mapped.MappedMatrix):
        return rows.map(lambda block: _apply(block, centre, scale))
    if centre is None:
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    return ((rows - centre) / scale).astype(np.float32)
