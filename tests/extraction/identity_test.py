"""Tests of the digests by which runs know each other's data."""
import dataclasses

import numpy as np

from tfxmr.data.splits import SplitRule
from tfxmr.extraction import identity


def own(data, ids=False):
    """The data as one's own, with ids if asked for."""
    splits = {
        name: dataclasses.replace(split, ids={m: [f"{name}{i}" for i in range(len(split))] for m in split.modalities if ids})
        for name, split in data.splits.items()
    }
    return dataclasses.replace(data, name="npz", splits=splits)


def found(data, key, modality="image"):
    return identity.digests(data)[modality].get(key)


def test_a_split_changes_nothing_but_its_own_digest(make_data):
    """Guards against a data set that is another one after --split=random, and repeats that are no repeats."""
    for ids in (False, True):
        data = own(make_data(), ids)
        again = [SplitRule("random", seed, ["60", "0", "30"]).apply(data) for seed in (0, 1)]
        for key in ("rows_sha256", "items_sha256"):
            assert len({found(d, key) for d in (data, *again)}) == 1
        split = "split_ids_sha256" if ids else "split_rows_sha256"
        assert len({found(d, split) for d in (data, *again)}) == 3 and None not in {found(d, split) for d in again}


def test_ids_are_the_items(make_data):
    """Guards against other features of the same items that make another data set, where ids tell; and the reverse."""
    data, other = own(make_data(), ids=True), own(make_data(seed=1), ids=True)
    assert found(data, "items_sha256") == found(other, "items_sha256")
    assert found(data, "split_ids_sha256") == found(other, "split_ids_sha256")
    assert found(data, "rows_sha256") != found(other, "rows_sha256")
    assert found(own(make_data()), "items_sha256") != found(own(make_data(seed=1)), "items_sha256")
    renamed = dataclasses.replace(data, class_names=[f"other {c}" for c in range(5)])
    assert found(data, "items_sha256") != found(renamed, "items_sha256")


def test_known_names_say_what_the_items_are(make_data):
    data = dataclasses.replace(own(make_data()), name="wikipedia")
    assert set(identity.digests(data)["text"]) == {"rows_sha256", "split_rows_sha256"}
    imported = dataclasses.replace(make_data(), name="my own name")  # tfxmr import --dataset=NAME
    assert "items_sha256" in identity.digests(imported)["text"]


def test_labels_that_number_items_are_none(make_data):
    """Guards against data without classes that are others in another order."""
    data = dataclasses.replace(own(make_data(), ids=True), instances=True)
    moved = {
        name: dataclasses.replace(split, labels={m: labels[::-1] + np.int32(1) for m, labels in split.labels.items()})
        for name, split in data.splits.items()
    }
    assert found(data, "items_sha256") == found(dataclasses.replace(data, splits=moved), "items_sha256")
