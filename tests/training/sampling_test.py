"""Batches as a function of (seed, step)."""
import numpy as np

from tfxmr.data import Split
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
