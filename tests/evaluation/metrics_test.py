"""Tests of the metrics against hand-worked rankings, slow loops and scikit-learn."""
import numpy as np
import pytest
from sklearn.metrics import ndcg_score, precision_recall_curve

from tfxmr.evaluation import average_precision, metrics

RANKING = [1, 0, 1, 0, 0, 1, 0, 0]  # 3 relevant, at ranks 1, 3 and 6


def test_precision_recall():
    """Guards against points at irrelevant items: their recall would be there twice."""
    precision, recall = metrics.precision_recall(RANKING)
    np.testing.assert_allclose(precision, [1, 2 / 3, 1 / 2], rtol=1e-15)
    np.testing.assert_allclose(recall, [1 / 3, 2 / 3, 1], rtol=1e-15)
    assert precision.mean() == pytest.approx(average_precision(RANKING))
    assert [len(x) for x in metrics.precision_recall([0, 0])] == [0, 0]


def test_precision_recall_is_scikit_learns():
    relevance = np.random.default_rng(0).integers(2, size=60)
    precision, recall = precision_recall_curve(relevance, -np.arange(60))[:2]
    relevant = np.flatnonzero(relevance[::-1])  # scikit-learn has a point at every item, last rank first
    found = metrics.precision_recall(relevance)
    np.testing.assert_allclose(found[0][::-1], precision[relevant], rtol=1e-12)
    np.testing.assert_allclose(found[1][::-1], recall[relevant], rtol=1e-12)


def test_eleven_point():
    """Guards against the precision at a recall in place of the highest from there on: .4 of rank 5 hides under .5."""
    np.testing.assert_allclose(metrics.eleven_point(RANKING), [1] * 4 + [2 / 3] * 3 + [1 / 2] * 4, rtol=1e-15)
    # Relevant at 4, 5, 6: precision 1/4, 2/5, 3/6 rises, so it is 1/2 everywhere.
    np.testing.assert_allclose(metrics.eleven_point([0, 0, 0, 1, 1, 1]), [1 / 2] * 11, rtol=1e-15)
    assert metrics.eleven_point([0, 0]).tolist() == [0] * 11


def test_eleven_point_reaches_round_recalls():
    """Guards against recall compared in floats: 3/10 is below numpy's .30000000000000004, and would be missed."""
    relevance = np.zeros(55)  # ten relevant items, the j-th at rank j (j + 1) / 2
    relevance[[j * (j + 1) // 2 - 1 for j in range(1, 11)]] = 1
    expected = [2 / (j + 1) for j in range(1, 11)]
    np.testing.assert_allclose(metrics.eleven_point(relevance), [1, *expected], rtol=1e-12)


def test_precision_and_recall_at():
    """Guards against k cut to the ranking's length, which would raise the precision of short rankings."""
    assert [metrics.precision_at(RANKING, k) for k in (1, 3, 8, 16)] == pytest.approx([1, 2 / 3, 3 / 8, 3 / 16])
    assert [metrics.recall_at(RANKING, k) for k in (1, 3, 8, 16)] == pytest.approx([1 / 3, 2 / 3, 1, 1])
    assert metrics.recall_at([0, 0], 1) == 0
    for bad in (0, -1, 1.5):
        with pytest.raises(ValueError, match="whole number from 1"):
            metrics.precision_at(RANKING, bad)
    with pytest.raises(ValueError, match="0s and 1s"):
        metrics.recall_at([2, 1, 0], 1)


def test_ndcg_by_hand():
    """Gains 1, 0, 2: DCG = 1 + 2 / 2 = 2; ideal 2, 1, 0: 2 + 1 / log2(3). Guards against the gain 2^level - 1."""
    ideal = 2 + 1 / np.log2(3)
    assert metrics.ndcg([1, 0, 2]) == pytest.approx(2 / ideal, rel=1e-12)
    assert metrics.ndcg([1, 0, 2], k=2) == pytest.approx(1 / ideal, rel=1e-12)  # the ideal is cut after sorting
    assert metrics.ndcg([3, 2, 0]) == 1 and metrics.ndcg([0, 0]) == 0
    with pytest.raises(ValueError, match="gains"):
        metrics.ndcg([1, -1])


@pytest.mark.parametrize("k", [None, 1, 5, 30])
def test_ndcg_is_scikit_learns(k):
    rng = np.random.default_rng(1)
    for _ in range(5):
        gains = rng.integers(4, size=20)
        assert metrics.ndcg(gains, k) == pytest.approx(ndcg_score([gains], [-np.arange(20)], k=k), rel=1e-12)


def test_mean_by_class():
    """Guards against a mean over all queries under each class, and a NaN that spreads silently."""
    assert metrics.mean_by_class([0.2, 0.4, 1.0], [3, 3, 1]) == {1: 1.0, 3: pytest.approx(0.3)}
    assert list(metrics.mean_by_class([0.5, 1], ["b", "a"])) == ["a", "b"]
    with pytest.raises(ValueError, match="NaN"):
        metrics.mean_by_class([0.2, np.nan], [0, 1])
    with pytest.raises(ValueError, match="one row a query"):
        metrics.mean_by_class([0.2, 0.3], [0])


def test_harmonic_mean():
    """Guards against the arithmetic mean, which rewards a method that never finds unseen classes."""
    assert metrics.harmonic_mean(0.6, 0.3) == pytest.approx(0.4)
    assert metrics.harmonic_mean(0.9, 0.0) == 0 and metrics.harmonic_mean(0, 0) == 0
    for bad in (-0.1, float("nan")):
        with pytest.raises(ValueError, match="at least 0"):
            metrics.harmonic_mean(bad, 0.5)
