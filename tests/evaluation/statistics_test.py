"""Tests of the statistics against hand-worked constants, enumeration and the normal distribution."""
import itertools

import numpy as np
import pytest
import scipy.stats

from tfxmr.evaluation import statistics


def enumerated(differences):
    """(W, two-sided p) of non-zero differences by counting all 2^n signs."""
    ranks = scipy.stats.rankdata(np.abs(differences))
    positive = np.array(list(itertools.product([0, 1], repeat=len(ranks)))) @ ranks
    smaller = np.minimum(positive, ranks.sum() - positive)
    statistic = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    return statistic, np.mean(smaller <= statistic)


def test_mean_and_deviation():
    """Guards against the population's deviation: of 1, 2, 3 the sample's is 1, not .816."""
    assert statistics.mean_and_deviation([1, 2, 3]) == (2, 1)
    mean, deviation = statistics.mean_and_deviation([0.5])
    assert mean == 0.5 and np.isnan(deviation)
    for bad in ([], [1, np.nan], [[1, 2]]):
        with pytest.raises(ValueError, match="values"):
            statistics.mean_and_deviation(bad)


@pytest.mark.parametrize("lower, statistic, p", [
    ([], 0, 2 / 1024), ([1], 1, 4 / 1024), ([2], 2, 6 / 1024), ([3], 3, 10 / 1024), ([1, 2], 3, 10 / 1024)
])
def test_wilcoxon_of_ten_runs(lower, statistic, p):
    """Guards against the normal approximation (.0051 for W = 0) and a one-sided p.

    Subsets of 1..10 with a sum of at most 3: {}, {1}, {2}, {3}, {1, 2}.
    """
    differences = np.arange(1, 11) / 100
    differences[[i - 1 for i in lower]] *= -1
    for sign in (1, -1):
        found = statistics.wilcoxon(0.5 + sign * differences, np.full(10, 0.5))
        assert found == (statistic, pytest.approx(p, rel=1e-12))


def test_wilcoxon_against_bonferroni():
    """Guards against a p-value read against .05: MS2GAN's table 2 makes 12 comparisons, so W = 1 passes, W = 2 not."""
    threshold = statistics.bonferroni_threshold(12)
    assert threshold == pytest.approx(0.0041667, abs=1e-7)
    assert 4 / 1024 <= threshold < 6 / 1024


@pytest.mark.parametrize("ties", [False, True])
def test_wilcoxon_is_the_enumeration(ties):
    """Guards against SciPy's exact distribution where ranks tie, for which it does not hold."""
    rng = np.random.default_rng(3)
    for n in (1, 2, 3, 7, 10):
        magnitudes = rng.integers(1, 4, size=n) if ties else rng.permutation(n) + 1
        differences = magnitudes * rng.choice([-1, 1], size=n)
        found = statistics.wilcoxon(differences, np.zeros(n))
        assert found == pytest.approx(enumerated(differences), rel=1e-12)


@pytest.mark.parametrize("ties, pairs", [(True, 2), (True, 7), (True, 12), (False, 2), (False, 13), (False, 50)])
def test_wilcoxon_is_scipys(ties, pairs):
    """Guards against ranks or a p of our own: with ties SciPy tries all signs, without it has the exact distribution."""
    rng = np.random.default_rng(pairs)
    a, b = rng.integers(0, 4, (2, pairs)) if ties else rng.uniform(size=(2, pairs))
    expected = scipy.stats.wilcoxon(a[a != b], b[a != b], method="auto" if ties else "exact")
    assert statistics.wilcoxon(a, b) == (expected.statistic, expected.pvalue)


def test_wilcoxon_ties_by_hand():
    """Differences 1, 1, 1, -1 all have rank 2.5: W = 2.5, and p = 2 (1 + 4) / 16; guards against ranks 1 to 4."""
    assert statistics.wilcoxon([1, 1, 1, -1], [0] * 4) == (2.5, pytest.approx(10 / 16))


def test_wilcoxon_sees_ties_through_rounding():
    """Guards against .3 - .2 and .2 - .1 as different ranks: then W would be 1 or 2 by chance."""
    assert 0.3 - 0.2 != 0.2 - 0.1
    for scale in (1e-6, 1, 1e6):
        found = statistics.wilcoxon(scale * np.array([0.3, 0.1, 0.9]), scale * np.array([0.2, 0.2, 0.1]))
        assert found == (1.5, pytest.approx(2 * 3 / 8))  # rank sums <= 1.5 of {1.5, 1.5, 3}: 0, 1.5, 1.5


def test_wilcoxon_without_differences():
    """Guards against zeros that keep a rank: what remains is tested as if alone."""
    a, b = np.array([1, 2, 3, 4, 9, 9.0]), np.array([0, 0, 0, 0, 9, 9.0])
    assert statistics.wilcoxon(a, b) == statistics.wilcoxon(a[:4], b[:4]) == (0, pytest.approx(2 / 16))
    assert statistics.wilcoxon(b, b) == (0, 1) == statistics.wilcoxon([0.0], [0.0])


def test_wilcoxon_of_many_ties():
    """Enumeration would need 2^60 signs; the normal approximation is good there (W's deviation is some 130)."""
    rng = np.random.default_rng(4)
    differences = rng.integers(1, 6, size=60) * rng.choice([-1, 1], size=60, p=[0.4, 0.6])
    expected = scipy.stats.wilcoxon(differences, method="asymptotic", correction=False)
    statistic, p = statistics.wilcoxon(differences, np.zeros(60))
    assert statistic == expected.statistic and p == pytest.approx(expected.pvalue, abs=0.01)


def test_wilcoxon_refuses():
    with pytest.raises(ValueError, match="needs pairs"):
        statistics.wilcoxon([1, 2], [1])
    with pytest.raises(ValueError, match="b holds NaN or infinite values, first at index 1"):
        statistics.wilcoxon([1, 2], [1, np.inf])


def test_bonferroni():
    """Guards against probabilities above 1."""
    np.testing.assert_allclose(statistics.bonferroni([0.01, 0.2, 0.5]), [0.03, 0.6, 1], rtol=1e-12)
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        statistics.bonferroni([0.5, 1.5])
    with pytest.raises(ValueError, match="comparisons=0"):
        statistics.bonferroni_threshold(0)


def test_bootstrap_is_near_the_normal_interval():
    """Guards against an interval of the values in place of their mean, and against the wrong quantiles.

    The ends' Monte Carlo error is sqrt(.025 * .975 / 4000) / density(1.96) = .0025 / .0584 = .042 standard errors;
    .2 is almost five of it. The percentiles' own deviation from the normal ones is O(1/Q), below .01 at Q = 400.
    """
    values = np.random.default_rng(5).uniform(size=400)
    low, high = statistics.bootstrap_interval(values, resamples=4000)
    error = values.std() / np.sqrt(400)
    assert (low - values.mean()) / error == pytest.approx(-1.96, abs=0.2)
    assert (high - values.mean()) / error == pytest.approx(1.96, abs=0.2)


def test_bootstrap_coverage():
    """Of 300 intervals at 90 %, those that hold the true mean: 270 less some 3 for Q = 50, deviation sqrt(27) = 5.2.

    Four deviations and the 3 make 24. Guards against all of the 10 % at each end, which would give 240.
    """
    rng = np.random.default_rng(6)
    intervals = [statistics.bootstrap_interval(rng.uniform(size=50), 0.9, 400, seed) for seed in range(300)]
    assert abs(sum(low <= 0.5 <= high for low, high in intervals) - 270) <= 24


@pytest.mark.parametrize("queries", [1, 2, 37, 693])
def test_bootstrap_is_that_of_older_results(queries):
    """Guards against intervals that a SciPy of another stream or quantile changes in files that are compared."""
    values = np.random.default_rng(8).uniform(size=queries)
    means = values[np.random.default_rng(9).integers(queries, size=(200, queries))].mean(axis=1)
    expected = tuple(np.quantile(means, [0.025, 0.975]))
    assert statistics.bootstrap_interval(values, resamples=200, seed=9) == pytest.approx(expected, rel=1e-15)


def test_bootstrap_blocks_and_seeds(monkeypatch):
    """Guards against a result that depends on the block size, and means left unfilled in the last block."""
    values = np.random.default_rng(7).uniform(size=30)
    whole = statistics.bootstrap_interval(values, resamples=100)
    monkeypatch.setattr(statistics, "BLOCK", 7 * 30)  # 14 blocks of 7 resamples and one of 2
    assert statistics.bootstrap_interval(values, resamples=100) == whole
    assert statistics.bootstrap_interval(values, resamples=100, seed=1) != whole
    assert statistics.bootstrap_interval([0.3] * 9) == pytest.approx((0.3, 0.3))


def test_holm():
    """Worked out: .01 x 4, .02 x 3, .03 x 2, .04 x 1, none below the one before; R's p.adjust says the same."""
    assert statistics.holm([0.04, 0.01, 0.03, 0.02]) == pytest.approx([0.06, 0.04, 0.06, 0.06])
    assert statistics.holm([0.9, 0.8]).tolist() == [1, 1]
    with pytest.raises(ValueError, match=r"\[0, 1\]"):
        statistics.holm([1.1])


@pytest.mark.parametrize("comparisons", [1, 2, 9, 12, 100])
def test_runs_needed(comparisons):
    """The least p of n pairs is that of n differences of one sign."""
    threshold = statistics.bonferroni_threshold(comparisons)
    n = statistics.runs_needed(threshold)
    for pairs, reached in ((n, True), (n - 1, False)):
        assert (statistics.wilcoxon(np.arange(1, pairs + 1), np.zeros(pairs))[1] <= threshold) == reached


def test_bootstrap_refuses():
    for arguments, name in (({"confidence": 95}, "confidence=95"), ({"resamples": 0}, "resamples=0")):
        with pytest.raises(ValueError, match=name):
            statistics.bootstrap_interval([0.1, 0.2], **arguments)
