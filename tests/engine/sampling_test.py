"""Batches as a function of (seed, step)."""
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.data import Split
from tfxmr.engine import randomness, sampling

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


def test_by_classes(make_data):
    """Two classes a place, each as often as another, and items of these; guards against a wrong partner that is right."""
    split = make_data(classes=4, train=40).splits["train"].take(np.arange(30))  # classes of unequal size
    firsts, items = [], {m: {row.tobytes(): c for row, c in zip(x, split.labels[m], strict=True)} for m, x in split.features.items()}
    for batch in sampling.batches(split, 64, 0, 0, 50, "classes"):
        wrong = batch["wrong"]
        assert (batch["label"].numpy() != wrong["label"].numpy()).all()
        for side in (batch, wrong):
            for m in ("image", "text"):
                assert [items[m][row.tobytes()] for row in side[m].numpy()] == side["label"].numpy().tolist()
        firsts += [batch["label"].numpy(), wrong["label"].numpy()]
    counts = np.bincount(np.concatenate(firsts), minlength=4) / (2 * 64 * 50)
    np.testing.assert_allclose(counts, 0.25, atol=0.02)
    pairs = {(i.tobytes(), t.tobytes()) for i, t in zip(split.features["image"], split.features["text"], strict=True)}
    batch = next(iter(sampling.batches(split, 64, 0, 7, 8, "classes")))
    drawn = zip(batch["wrong"]["image"].numpy(), batch["wrong"]["text"].numpy(), strict=True)
    assert {(i.tobytes(), t.tobytes()) for i, t in drawn} <= pairs  # pairs stay pairs
    again = next(iter(sampling.batches(split, 64, 0, 7, 8, "classes")))
    np.testing.assert_array_equal(batch["wrong"]["image"], again["wrong"]["image"])
    with pytest.raises(InputError, match="of one class, and items of two are to be drawn"):
        sampling.batches(split.of_classes([1]), 4, 0, 0, 1, "classes")


def test_repaired(make_data):
    """Each item has a random partner of its class; guards against pairs that stay, and partners of another class."""
    split = make_data(classes=4, train=40).splits["train"]
    kept = 0
    for batch in sampling.batches(split, 20, 0, 0, 20, "repaired"):
        rows = {m: [np.flatnonzero((split.features[m] == row).all(axis=1))[0] for row in batch[m].numpy()] for m in ("image", "text")}
        assert len(set(rows["text"])) == 20  # without replacement: a text gets an image, not an image a text
        for m in rows:
            np.testing.assert_array_equal(split.labels[m][rows[m]], batch["label"])
        kept += sum(i == t for i, t in zip(*rows.values(), strict=True))
    assert 0.04 < kept / 400 < 0.18  # one of ten of the class


def test_rows_of_one_item_are_told(make_data):
    """Guards against sentences of one image that pass for other images' ones, and batches that change by being told."""
    data = make_data(train=40)
    of_image = np.arange(40) // 5
    plain = next(iter(sampling.batches(data.splits["train"], 20, 0, 5, 6)))
    told = next(iter(sampling.batches(data.splits["train"], 20, 0, 5, 6, numbers=of_image)))
    assert set(told) == {*plain, "item"} and told["item"].dtype == "int32"
    for row, item in zip(told["image"].numpy(), told["item"].numpy(), strict=True):
        place = np.flatnonzero((data.splits["train"].features["image"] == row).all(axis=1))
        assert of_image[place].tolist() == [item]


def test_a_second_domain_has_a_stream_of_its_own(make_data):
    """Guards against a source that changes the batches of the dataset, or draws the same rows."""
    data, other = make_data(train=40), make_data(train=30, classes=3, seed=1)
    plain = next(iter(sampling.batches(data.splits["train"], 20, 0, 5, 6)))
    both = next(iter(sampling.batches(data.splits["train"], 20, 0, 5, 6, source=other.splits["train"])))
    np.testing.assert_array_equal(plain["image"], both["image"])
    assert both["source"]["image"].shape == (20, 6) and set(both["source"]["label"].numpy()) <= {0, 1, 2}
    small = next(iter(sampling.batches(data.splits["train"], 20, 0, 5, 6, source=other.splits["train"].take(np.arange(9)))))
    assert small["source"]["text"].shape[0] == 9


def test_contrasted_batches():
    """Guards against an item of the own class as the wrong one, against classes drawn equally often, and other batches.

    SPLIT's classes have 7, 7 and 6 items: of an item of class 0 each of the 13 others is the wrong one equally often.
    """
    made = list(sampling.batches(SPLIT, 8, 3, 0, 2000, "contrasted"))
    np.testing.assert_array_equal([b["image"][:, 0] for b in made[:6]], rows(3, 0, 6))
    labels, wrong = (np.concatenate([b[k] for b in bs]) for k, bs in (("label", made), ("label", [b["wrong"] for b in made])))
    items = np.concatenate([b["wrong"]["image"][:, 0] for b in made]).astype(int)
    assert (labels != wrong).all()
    np.testing.assert_array_equal(items % 3, wrong)
    np.testing.assert_array_equal(np.concatenate([b["wrong"]["text"][:, 0] for b in made]), 100 * items)
    counts = np.bincount(items[labels == 0], minlength=ITEMS)
    others = np.arange(ITEMS) % 3 != 0
    assert not counts[~others].any()
    share = counts[others] / counts.sum()
    assert abs(share - 1 / 13).max() < 5 * np.sqrt(1 / 13 * 12 / 13 / counts.sum())
    again = list(sampling.batches(SPLIT, 8, 3, 4, 6, "contrasted"))
    np.testing.assert_array_equal(again[0]["wrong"]["image"], made[4]["wrong"]["image"])


def test_contrasted_batches_of_one_class():
    one = Split.of_pairs({"image": np.eye(4)}, np.zeros(4, int))
    with pytest.raises(InputError, match="of one class, and items of another are to be drawn"):
        next(iter(sampling.batches(one, 2, 0, 0, 1, "contrasted")))
