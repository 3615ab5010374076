"""Tests of feature normalisation."""
import dataclasses

import numpy as np
import pytest

from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.normalisation import normalise_features, statistics

TRAIN = Split.of_pairs({"image": [[1, 4, 7], [3, 4, 9]], "text": [[3, 4], [0, 0]]}, [0, 1])
TEST = Split.of_pairs({"image": [[5, 6, 8]], "text": [[0, 2]]}, [1], ["item"])
DATA = MultiModalData("x", {"train": TRAIN, "test": TEST}, [], features={"image": {"name": "sift"}})


def test_zscore():
    """Guards against statistics of the test items. Columns have means 2, 4, 8 and deviations 1, 0, 1."""
    found = normalise_features(DATA, "zscore", TRAIN)
    np.testing.assert_allclose(found.splits["train"].features["image"], [[-1, 0, -1], [1, 0, 1]])
    np.testing.assert_allclose(found.splits["test"].features["image"], [[3, 2, 0]])  # the constant one is only centred
    assert found.splits["test"].features["image"].dtype == np.float32
    assert found.features == {"image": {"name": "sift", "normalisation": "zscore"}, "text": {"normalisation": "zscore"}}
    assert found.splits["test"].ids == TEST.ids and found.splits["test"].labels["text"].tolist() == [1]


def test_minmax():
    """Columns reach from 1 to 3, 4 to 4 and 7 to 9; test items may leave [0, 1]."""
    found = normalise_features(DATA, "minmax", TRAIN)
    np.testing.assert_allclose(found.splits["train"].features["image"], [[0, 0, 0], [1, 0, 1]])
    np.testing.assert_allclose(found.splits["test"].features["image"], [[2, 2, 0.5]])


def test_l2():
    found = normalise_features(DATA, "l2", TRAIN)
    np.testing.assert_allclose(found.splits["train"].features["text"], [[0.6, 0.8], [0, 0]])
    np.testing.assert_allclose(found.splits["test"].features["text"], [[0, 1]])


def test_none():
    assert normalise_features(DATA, "none", TRAIN) is DATA


@pytest.mark.parametrize("kind", ["zscore", "minmax"])
def test_only_the_training_items_count(make_data, kind):
    """Guards against leakage: other numbers in all but the reference items must not move the result."""
    data = make_data(train=40, test=20)
    reference = data.splits["train"].take(np.arange(30))
    expected = normalise_features(data, kind, reference)
    train = data.splits["train"]
    changed = {m: np.concatenate([train.features[m][:30], 100 + train.features[m][30:]]) for m in data.modalities}
    moved = dataclasses.replace(data, splits={
        "train": Split(changed, train.labels, train.ids),
        "test": Split({m: data.splits["test"].features[m] * 7 for m in data.modalities}, data.splits["test"].labels),
    })
    found = normalise_features(moved, kind, reference)
    for m in data.modalities:
        np.testing.assert_array_equal(found.splits["train"].features[m][:30], expected.splits["train"].features[m][:30])


def test_rounded_constant_column():
    """Guards against rounding that makes a column of 0.1 vary by 1e-8: a test item of 0.2 would then become 1e7."""
    train = Split.of_pairs({"image": np.full((2173, 1), 0.1), "text": np.ones((2173, 1))}, np.zeros(2173))
    test = Split.of_pairs({"image": [[0.2]], "text": [[1]]}, [0])
    found = normalise_features(MultiModalData("x", {"train": train, "test": test}, []), "zscore", train)
    np.testing.assert_allclose(found.splits["train"].features["image"], 0, atol=1e-6)
    np.testing.assert_allclose(found.splits["test"].features["image"], [[0.1]], rtol=1e-5)


@pytest.mark.parametrize("value", [0.1, 0.7, 1 / 3])
@pytest.mark.parametrize("wrap", [np.asarray, lambda x: memmap.MappedMatrix([x])])
def test_constant_columns_become_0(value, wrap):
    """Guards against a mean that is rounded by 1e-17, a deviation of as much, and a column of ones as their ratio."""
    for items in range(2, 40):
        column = np.full((items, 1), value, np.float32)
        for kind in ("zscore", "minmax"):
            assert statistics(wrap(column), kind)[1] == 1


def test_loose_items_stay_loose():
    """Guards against loose items that pass for pairs after normalisation."""
    loose = dataclasses.replace(TRAIN, unpaired=("image", "text"))
    found = normalise_features(MultiModalData("x", {"train": loose}, []), "l2", loose)
    assert not found.splits["train"].paired
