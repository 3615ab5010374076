"""Tests of matrices that stay in their file: every row as in the array, in the same order, and few in memory."""
import numpy as np
import pytest

from tfxmr.data import memmap
from tfxmr.data.memmap import MappedMatrix
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.normalisation import normalise_features
from tfxmr.engine.sampling import batches


@pytest.fixture
def matrix():
    return np.random.default_rng(0).normal(size=(2500, 3)).astype(np.float32)


@pytest.fixture
def stored(matrix, tmp_path):
    """The matrix as one of two files."""
    parts = []
    for number, part in enumerate((matrix[:900], matrix[900:])):
        np.save(tmp_path / f"{number}.npy", part)
        parts.append(np.load(tmp_path / f"{number}.npy", mmap_mode="r"))
    return MappedMatrix(parts)


def test_reads_as_an_array_does(matrix, stored, monkeypatch):
    monkeypatch.setattr(memmap, "_KEPT", 100)  # pages go back after every read
    rows = np.array([2499, 0, 899, 900, 900])
    assert stored.shape == matrix.shape and len(stored) == 2500
    for key in (slice(800, 1000), slice(None, None, -7), rows, 899, 2499, slice(5, 5)):
        assert np.array_equal(stored[key], matrix[key])
    assert np.array_equal(np.asarray(stored), matrix)
    assert np.array_equal(np.concatenate(list(memmap.blocks(stored))), matrix)
    assert stored.astype(np.float64).dtype == np.float64
    chosen = stored.take(rows).map(lambda block: 2 * block)
    assert np.array_equal(chosen[1:4], 2 * matrix[rows][1:4])
    assert np.array_equal(chosen.take([3, 0])[:], 2 * matrix[rows][[3, 0]])


def test_concatenates_without_reading(matrix, stored):
    """Guards against row numbers that forget the files before them, and against functions that get lost."""
    rows = np.array([1000, 1])
    both = memmap.concatenate([stored.take(rows), stored])
    assert isinstance(both, MappedMatrix) and np.array_equal(both[:], np.concatenate([matrix[rows], matrix]))
    halved = stored.map(lambda block: block / 2)
    assert np.array_equal(memmap.concatenate([halved, matrix]), np.concatenate([matrix / 2, matrix]))


def data_of(features):
    labels = np.arange(2500) % 4
    split = Split({"image": features, "text": np.eye(4, dtype=np.float32)[labels]}, dict.fromkeys(
        ("image", "text"), labels.astype(np.int32)))
    return MultiModalData("made", {"train": split}, [])


@pytest.mark.parametrize("kind", ["none", "l2", "zscore", "minmax"])
def test_normalises_as_arrays(kind, matrix, stored):
    expected, found = (
        normalise_features(data, kind, data.splits["train"]).splits["train"].features["image"]
        for data in (data_of(matrix), data_of(stored))
    )
    assert isinstance(found, MappedMatrix)
    np.testing.assert_allclose(found[:], expected, rtol=1e-5, atol=1e-6)


def test_batches_are_those_of_the_array(matrix, stored):
    """Guards against another draw, or other rows, than those that the matrix in memory gives."""
    for one, other in zip(*(batches(data_of(x).splits["train"], 16, 3, 5, 8) for x in (matrix, stored)), strict=True):
        assert np.array_equal(one["image"], other["image"]) and one["image"].shape == other["image"].shape
        assert np.array_equal(one["label"], other["label"])
