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
    train = train.astype(np.float64)  # in float32 a constant column's deviation comes out above 0
    if kind == "zscore":
        centre, scale = train.mean(axis=0), train.std(axis=0)
    else:
        centre, scale = train.min(axis=0), np.ptp(train, axis=0)
    return centre, np.where(scale > 0, scale, 1.0)


def _statistics_by_blocks(train, kind):
    """As `_statistics`, of a matrix that is never in memory as a whole."""
    if kind == "zscore":
        centre = sum(block.sum(axis=0, dtype=np.float64) for block in mapped.blocks(train)) / len(train)
        squares = sum(((block - centre) ** 2).sum(axis=0) for block in mapped.blocks(train))
        scale = np.sqrt(squares / len(train))
    else:
        centre = np.min([block.min(axis=0) for block in mapped.blocks(train)], axis=0).astype(np.float64)
        scale = np.max([block.max(axis=0) for block in mapped.blocks(train)], axis=0) - centre
    return centre, np.where(scale > 0, scale, 1.0)


def _apply(rows, centre, scale):
    if isinstance(rows, mapped.MappedMatrix):
        return rows.map(lambda block: _apply(block, centre, scale))
    if centre is None:
        norms = np.linalg.norm(rows, axis=1, keepdims=True)
        return (rows / np.where(norms > 0, norms, 1.0)).astype(np.float32)
    return ((rows - centre) / scale).astype(np.float32)
