"""Digests by which two runs are known to have used the same items and features, however the items are split."""
import hashlib
from collections.abc import Iterable

import numpy as np

from tfxmr.core import classes
from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.views import modality_of
from tfxmr.extraction import catalogue


def digests(data: MultiModalData) -> dict:
    """Digests of each modality's items and of its views, over all splits and in no order.

    Args:
      data: as loaded, of all classes, not normalised.

    Returns:
      view -> {"rows_sha256": of the features; "split_ids_sha256": of which item, by its id, is in which split, or
      "split_rows_sha256" where items have no ids; "items_sha256": of the items' ids and classes, or of their features
      and classes, of one's own data alone: others have a name that says what their items are; and of tokens
      what `words` gives}.
    """
    own = data.name in catalogue.OWN_NAMES or catalogue.find(data.name) is None
    found = {}
    for view in data.views:
        m = modality_of(view)
        rows = [hashlib.sha256(row).digest() for split in data.splits.values()
                for block in memmap.blocks(split.features[view]) for row in np.ascontiguousarray(block)]
        ids = _ids(data, m)
        split = [name.encode() for name in data.splits for _ in range(len(data.splits[name].labels[m]))]
        found[view] = {"rows_sha256": _of_all(rows)}
        found[view][f"split_{'ids' if ids else 'rows'}_sha256"] = _of_pairs(split, ids or rows)
        if own:
            found[view]["items_sha256"] = _of_pairs(ids or rows, _classes(data, m))
        found[view] |= words(data, view)
    return found


def words(data: MultiModalData, view: str) -> dict:
    """Digests of what the numbers of a view of tokens mean; {} of other views.

    Returns:
      {"table_sha256": of the table of word vectors; "words_sha256": of the vocabulary}, without what it has not got.
    """
    found = {}
    if view in data.tables:
        found["table_sha256"] = hashlib.sha256(np.ascontiguousarray(data.tables[view]).data).hexdigest()
    if view in data.vocabularies:
        found["words_sha256"] = hashlib.sha256("\n".join(data.vocabularies[view]).encode()).hexdigest()
    return found


def _of_pairs(a: Iterable[bytes], b: Iterable[bytes]) -> str:
    return _of_all(map(b"\t".join, zip(a, b, strict=True)))


def _of_all(parts: Iterable[bytes]) -> str:
    return hashlib.sha256(b"\n".join(sorted(parts))).hexdigest()


def _ids(data: MultiModalData, modality: str) -> list[bytes]:
    """The ids of all items as bytes; [] if a split has none."""
    if not all(modality in split.ids for split in data.splits.values()):
        return []
    return [str(name).encode() for split in data.splits.values() for name in split.ids[modality]]


def _classes(data: MultiModalData, modality: str) -> list[bytes]:
    labels = np.concatenate([split.labels[modality] for split in data.splits.values()])
    if data.instances:  # a label is the number of an item, which another order of the items changes
        return [b""] * len(labels)
    return [classes.name(label, data.class_names).encode() for label in labels]
