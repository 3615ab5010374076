"""Tests of the instance-level metrics against hand-worked ranks and slow loops."""
import numpy as np
import pytest

from tfxmr.evaluation import instance

SIMILARITY = np.array([
    [0.9, 0.8, 0.7, 0.6],
    [0.1, 0.4, 0.3, 0.2],
    [0.5, 0.5, 0.5, 0.5],
])


def test_instance_ranks():
    """Guards against optimistic ties: where all similarities are equal, the one correct item is last, not first."""
    correct = np.array([[0, 0, 1, 1], [0, 1, 0, 0], [1, 0, 0, 0]], bool)
    assert instance.instance_ranks(SIMILARITY, correct).tolist() == [3, 1, 4]
    assert instance.instance_ranks(SIMILARITY, [[2, 3], [1], [0]]).tolist() == [3, 1, 4]
    assert instance.instance_ranks(SIMILARITY, [2, 1, 0]).tolist() == [3, 1, 4]  # one index each
    # Correct items that tie with each other do not push each other down.
    assert instance.instance_ranks(SIMILARITY[2:], [[0, 3]]).tolist() == [3]


@pytest.mark.parametrize("correct, message", [
    ([[1], [], [0]], "query 1 has no correct item"),
    ([[1], [1]], "2 entries for 3 queries"),
    ([[1], [4], [0]], "indices"),
    ([[1], [-1], [0]], "indices"),
    (np.eye(3, 4).astype(int), "distinct indices"),  # 0/1 ints would be read as the items 0 and 1
    (np.eye(3, 4).astype(bool).tolist(), "bool array"),
    (np.eye(3, dtype=bool), "must agree"),
])
def test_instance_ranks_refuses(correct, message):
    with pytest.raises(ValueError, match=message):
        instance.instance_ranks(SIMILARITY, correct)


def test_instance_ranks_of_whole_numbers():
    """Guards against an OverflowError over a matrix of counts, such as of common words."""
    assert instance.instance_ranks([[3, 1, 2]], [[2]]).tolist() == [2]


def test_instance_ranks_refuses_nan():
    """Guards against NaN similarities, whose comparisons are all false and would rank first."""
    with pytest.raises(ValueError, match="finite"):
        instance.instance_ranks([[np.nan, 0.1]], [[0]])


def test_ranks_to_figures():
    ranks = [1, 2, 5, 11]
    assert [instance.recall_at_ranks(ranks, k) for k in (1, 5, 10)] == [0.25, 0.75, 0.75]
    assert instance.median_rank(ranks) == 3.5 and instance.median_rank([7, 1, 2]) == 2


def slow_recalls(image, text, captions, k):
    """Recall@k both ways in plain loops, for data without ties."""
    image, text = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in (image, text))
    to_text, to_image = [], []
    for i, row in enumerate(image):
        top = np.argsort(-(text @ row))[:k]
        to_text.append(any(t // captions == i for t in top))
    for t, row in enumerate(text):
        to_image.append(t // captions in np.argsort(-(image @ row))[:k])
    return np.mean(to_text), np.mean(to_image)


@pytest.mark.parametrize("folds", [1, 2])
def test_image_sentence_recalls(folds):
    """Guards against captions dealt to the wrong image, folds that overlap, and galleries of the other folds."""
    rng = np.random.default_rng(2)
    image = rng.normal(size=(12, 6))
    text = np.repeat(image, 3, axis=0) + 2 * rng.normal(size=(36, 6))
    found = instance.image_sentence_recalls(image, text, captions_per_image=3, folds=folds, ks=(1, 2))
    for k in (1, 2):
        parts = [slow_recalls(i, t, 3, k) for i, t in zip(np.split(image, folds), np.split(text, folds), strict=True)]
        expected = np.mean(parts, axis=0)
        assert 0 < expected.min() and expected.max() < 1
        assert [found[d][f"R@{k}"] for d in ("image->text", "text->image")] == pytest.approx(expected, rel=1e-12)
    assert set(found["image->text"]) == {"R@1", "R@2", "median_rank"}


def test_image_sentence_constants():
    """A collapsed encoder finds nothing; guards against its counting as perfect by the order of the gallery."""
    same = instance.image_sentence_recalls(np.ones((4, 3)), np.ones((20, 3)), ks=(3,))
    assert same == {"image->text": {"R@3": 0, "median_rank": 16}, "text->image": {"R@3": 0, "median_rank": 4}}
    image = np.eye(4)
    with pytest.warns(UserWarning, match="zero vectors"):
        assert instance.image_sentence_recalls(0 * image, np.ones((20, 4)), ks=(3,)) == same
    perfect = instance.image_sentence_recalls(image, np.repeat(image, 5, axis=0), folds=2, ks=(1,))
    assert perfect == {d: {"R@1": 1, "median_rank": 1} for d in ("image->text", "text->image")}


def test_image_sentence_refuses():
    image, text = np.eye(4), np.repeat(np.eye(4), 5, axis=0)
    with pytest.raises(ValueError, match="captions_per_image=3 asks for 12"):
        instance.image_sentence_recalls(image, text, captions_per_image=3)
    with pytest.raises(ValueError, match="folds=3 does not divide 4"):
        instance.image_sentence_recalls(image, text, folds=3)
    with pytest.raises(ValueError, match="instance_ranks"):
        instance.image_sentence_recalls(image, text, similarity=np.zeros((4, 20)))
