"""Tests of precision-recall curves: worked by hand, against single rankings, and against all orders of a gallery."""
import itertools

import numpy as np
import pytest

from tfxmr.evaluation import eleven_point
from tfxmr.evaluation.curves import chance_curve, mean_curve


def curve(kind, scores, query_labels, gallery_labels, **choices):
    arrays = np.asarray(query_labels), np.asarray(gallery_labels)
    return mean_curve(kind, None, None, *arrays, np.asarray(scores, float), **choices)


def test_two_rankings_by_hand():
    """Ranks 1 and 3 of two relevant items give precision 1 and 2/3; ranks 2 and 4 give 1/2 and 1/2."""
    scores, labels = [[4, 3, 2, 1], [4, 3, 2, 1]], [1, 2, 1, 2]
    recall, precision = curve("11-point", scores, [1, 2], labels)
    np.testing.assert_allclose(recall, np.arange(11) / 10)
    np.testing.assert_allclose(precision, [(1 + 1 / 2) / 2] * 6 + [(2 / 3 + 1 / 2) / 2] * 5)
    recall, precision = curve("uninterpolated", scores, [1, 2], labels)
    np.testing.assert_allclose(recall, np.arange(1, 101) / 100)
    np.testing.assert_allclose(precision, [(1 + 1 / 2) / 2] * 50 + [(2 / 3 + 1 / 2) / 2] * 50)


def test_interpolation_looks_ahead():
    """Guards against a curve called uninterpolated that is not: precision rises from 1/3 to 2/4 here."""
    scores, labels = [[5, 4, 3, 2, 1]], [0, 0, 1, 1, 0]
    assert curve("11-point", scores, [1], labels)[1].tolist() == [0.5] * 11
    np.testing.assert_allclose(curve("uninterpolated", scores, [1], labels)[1], [1 / 3] * 50 + [1 / 2] * 50)


def test_mean_of_single_rankings():
    rng = np.random.default_rng(0)
    scores, query_labels, gallery_labels = rng.normal(size=(40, 30)), rng.integers(3, size=40), rng.integers(3, size=30)
    rankings = [(gallery_labels == y)[np.argsort(-s)] for s, y in zip(scores, query_labels, strict=True)]
    expected = np.mean([eleven_point(ranking) for ranking in rankings], axis=0)
    np.testing.assert_allclose(curve("11-point", scores, query_labels, gallery_labels)[1], expected)


@pytest.mark.parametrize("kind", ["11-point", "uninterpolated"])
def test_nothing_to_find_counts_as_zero(kind):
    """Guards against a mean over the queries that found something: average precision keeps the others, too."""
    assert set(curve(kind, [[2, 1], [2, 1]], [1, 7], [1, 0])[1]) == {0.5}
    assert set(chance_curve(kind, np.array([7]), np.array([1, 0]))[1]) == {0}


@pytest.mark.parametrize("kind", ["11-point", "uninterpolated"])
def test_chance_is_the_mean_over_all_orders(kind):
    """Guards against a chance level of R/n, below what random rankings reach after interpolation."""
    gallery, places = np.array([1, 1, 0, 0, 0, 2]), range(6)
    expected = {
        label: np.mean([
            curve(kind, [-np.arange(6.0)], [1], np.isin(places, chosen).astype(int))[1]
            for chosen in itertools.combinations(places, int((gallery == label).sum()))
        ], axis=0)
        for label in (1, 2)
    }
    found = chance_curve(kind, np.array([1, 2, 1]), gallery, draws=4000)[1]
    np.testing.assert_allclose(found, (2 * expected[1] + expected[2]) / 3, atol=0.012)


def test_unknown_kind():
    for make in (mean_curve, chance_curve):
        with pytest.raises(ValueError, match="no curve '3-point'; there are 11-point, uninterpolated"):
            make("3-point", np.zeros(1), np.zeros(1), *[np.zeros(1)] * (2 if make is mean_curve else 0))
