"""Batches as a function of (seed, step)."""
import numpy as np
import pytest
import tensorflow as tf

from tfxmr import randomness
from tfxmr.data import Split
from tfxmr.errors import InputError
from tfxmr.training import sampling

ITEMS = 20
SPLIT = Split.of_pairs(
    {"image": np.arange(ITEMS)[:, None] * [1.0, 10.0], "text": np.arange(ITEMS)[:, None] * 100.0}, np.arange(ITEMS) % 3
)


def rows(seed, start, stop, size=8):
    """The items of each batch, by their first image feature."""
    return [b["image"][:, 0].numpy().astype(int) for b in sampling.batches(SPLIT, size, seed, start, stop)]


def test_pairs_and_labels_stay_together():
    for batch in sampling.batches(SPLIT, 8, 0, 0, 5):
        item = batch["image"][:, 0].numpy()
        np.testing.assert_array_equal(batch["image"][:, 1], item * 10)
        np.testing.assert_array_equal(batch["text"][:, 0], item * 100)
        np.testing.assert_array_equal(batch["label"], item % 3)


def test_a_resumed_run_draws_what_it_would_have_drawn():
    """Guards against a shuffle buffer, whose order a resumed run cannot find again."""
    straight = rows(7, 0, 6)
    np.testing.assert_array_equal(straight, rows(7, 0, 2) + rows(7, 2, 6))
    assert not np.array_equal(straight, rows(8, 0, 6))


def test_no_item_twice_in_a_batch_and_each_equally_often():
    drawn = rows(0, 0, 2000)
    assert all(len(set(batch)) == 8 for batch in drawn)
    counts = np.bincount(np.concatenate(drawn), minlength=ITEMS) / 2000
    assert abs(counts - 8 / ITEMS).max() < 5 * np.sqrt(0.4 * 0.6 / 2000)


def test_pairs_by_hand():
    """Guards against other batches of pairs than those of earlier runs with the same seed."""
    state = randomness.step_seed(randomness.derive(3, 0), tf.constant(11, tf.int64))
    expected = tf.random.experimental.stateless_shuffle(tf.range(ITEMS), state)[:8]
    np.testing.assert_array_equal(rows(3, 11, 12)[0], expected)


def loose(pairs=30, videos=7, audios=12):
    """Image-text pairs and loose videos and audio clips of three classes; features are the row and its class."""
    sizes = {"image": pairs, "text": pairs, "video": videos, "audio": audios}
    labels = {m: np.random.default_rng(n).permutation(n) % 3 for m, n in sizes.items()}
    return Split(
        {m: np.stack([np.arange(n), labels[m]], axis=1).astype(np.float32) for m, n in sizes.items()},
        {m: y.astype(np.int32) for m, y in labels.items()},
        unpaired=("video", "audio"),
    )


@pytest.mark.parametrize("sizes, anchors", [({}, ["image", "text"]), ({"audios": 40}, ["audio"])])
def test_unpaired_items_are_joined_by_class(sizes, anchors):
    """Guards against rows of one modality used on another, another row's label, pairs torn apart, an item drawn twice."""
    split = loose(**sizes)
    for batch in sampling.batches(split, 25, 1, 0, 20):
        assert sorted(batch) == ["audio", "image", "label", "text", "video"] and batch["label"].dtype == tf.int32
        for m in split.modalities:
            assert batch[m].shape == (25, 2)
            np.testing.assert_array_equal(batch[m][:, 1], batch["label"])
        for m in anchors:
            assert len(set(batch[m][:, 0].numpy())) == 25
        np.testing.assert_array_equal(batch["image"], batch["text"])


def test_scarce_items_are_drawn_equally_often_and_on_their_own():
    """Guards against items that never train: the last of a class, or those that one anchor item is tied to."""
    split, steps = loose(), 400
    drawn = [b for b in sampling.batches(split, 30, 2, 0, steps)]
    for m in ("video", "audio"):
        labels = split.labels[m]
        expected = np.bincount(split.labels["image"])[labels] / np.bincount(labels)[labels]  # a step
        counts = np.bincount(np.concatenate([b[m][:, 0].numpy().astype(int) for b in drawn]), minlength=len(labels)) / steps
        assert abs(counts - expected).max() < 5 * np.sqrt(expected.max() / steps)
    image, video, audio = (np.concatenate([b[m][:, 0].numpy() for b in drawn]) for m in ("image", "video", "audio"))
    one = image == 0
    of_class = [np.sum(split.labels[m] == split.labels["image"][0]) for m in ("video", "audio")]
    assert len(set(zip(video[one], audio[one], strict=True))) == np.prod(of_class)


def test_unpaired_draws_are_resumable():
    """Guards against partners that depend on where a run started, or not on its seed."""
    def rows_of(seed, start, stop):
        return [np.stack([b[m][:, 0] for m in ("image", "video", "audio")]) for b in sampling.batches(loose(), 8, seed, start, stop)]

    straight = rows_of(7, 0, 6)
    np.testing.assert_array_equal(straight, rows_of(7, 0, 2) + rows_of(7, 2, 6))
    assert all((a != b).any() for a, b in zip(straight, rows_of(8, 0, 6), strict=True))
    assert len({step[1:].tobytes() for step in straight}) == 6


def test_refuses_a_class_without_items():
    """Guards against a division by zero, or items of the next class, for a class that a modality lacks."""
    split = loose()
    split = split.take({m: np.flatnonzero(y != 2) if m == "video" else np.arange(len(y)) for m, y in split.labels.items()})
    with pytest.raises(InputError, match="no video item to train on of class 2"):
        sampling.batches(split, 8, 0, 0, 1)
