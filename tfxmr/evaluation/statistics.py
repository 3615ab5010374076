"""Statistics of metrics: deviation over runs, exact significance of paired runs, intervals over queries."""
import math

import numpy as np
import scipy  # which imports scipy.stats, half a second, at its first use
from numpy.typing import ArrayLike, NDArray

from tfxmr.core.wording import counted
from tfxmr.evaluation import checks

BLOCK = 2**20  # resampled values held at once: 8 MiB of indices and as much of values


def mean_and_deviation(values: ArrayLike) -> tuple[float, float]:
    """Mean and sample standard deviation (divided by n - 1) over runs.

    Args:
      values: (n,), finite; one value a run.

    Returns:
      (mean, deviation); the deviation of a single run is NaN: one run says nothing of the spread.

    >>> mean_and_deviation([1.0, 2.0, 3.0])
    (2.0, 1.0)
    """
    values = checks.floats("values", values)
    return float(np.mean(values)), float(np.std(values, ddof=1)) if len(values) > 1 else float("nan")


def wilcoxon(a: ArrayLike, b: ArrayLike) -> tuple[float, float]:
    """Exact two-sided Wilcoxon signed-rank test of paired runs: are a and b equally good?

    W is the smaller of the rank sums of the positive and the negative differences. Under the null hypothesis all 2^n
    signs are equally likely, so p = 2 P(rank sum <= W), at most 1. Of 10 pairs, W = 0, 1, 2 give 2, 4, 6 in 1024.

    Pairs without a difference are skipped, as Wilcoxon did (1945), and n is what remains; n = 0 gives W = 0, p = 1.
    Equal absolute differences share their mean rank, and p is exact with such ties, too. Differences are compared to
    12 digits of the largest value, because .3 - .2 and .2 - .1 are equal though not in floating point.

    Args:
      a: (n,), values of one method, one a run.
      b: (n,), values of the other in the same runs (seeds, splits).

    Returns:
      (W, p), floats; p in (0, 1].

    Raises:
      ValueError: lengths that differ, no pair, NaN or infinite values.

    >>> wilcoxon([0.1, 0.2, 0.3, 0.5, 0.7], [0.2, 0.4, 0.6, 0.9, 1.2])  # all five differ the same way: 2 / 2^5
    (0.0, 0.0625)
    """
    a, b = checks.floats("a", a), checks.floats("b", b)
    if len(a) != len(b):
        raise ValueError(f"a has {counted(len(a), 'run')} and b {len(b):,}; the test needs pairs, run by run")
    largest = max(np.abs(a).max(), np.abs(b).max())
    differences = np.round((a - b) / (largest or 1.0), 12)
    differences = differences[differences != 0]
    if not len(differences):
        return 0.0, 1.0
    ranks = scipy.stats.rankdata(np.abs(differences))
    statistic = min(ranks[differences > 0].sum(), ranks[differences < 0].sum())
    # By hand, because SciPy's exact distribution does not hold with ties: it tries all 2^n signs of up to 13 pairs, and
    # takes the normal approximation of more. Without ties it gives the same p, in three times the time.
    doubles = np.round(2 * ranks).astype(int)  # a mean rank is whole or a half
    probabilities = np.eye(1, 1 + doubles.sum())[0]  # P(2 * rank sum = 0, 1, ...), here of no rank
    for double in doubles:  # counted or not by a fair coin
        probabilities[double:] += probabilities[:-double].copy()
        probabilities /= 2
    return float(statistic), min(1.0, 2 * float(probabilities[: round(2 * statistic) + 1].sum()))


def bonferroni(p_values: ArrayLike) -> NDArray[np.float64]:
    """Bonferroni's adjustment for m comparisons: min(1, m p).

    Args:
      p_values: (m,) in [0, 1], of all the comparisons made, also of those not shown.

    Returns:
      float (m,); significant at a level where at most the level.

    >>> bonferroni([0.25, 0.75]).tolist()
    [0.5, 1.0]
    """
    p_values = _probabilities(p_values)
    # By hand, as Holm's below: SciPy adjusts false discovery rates alone, and statsmodels brings pandas for four lines.
    return np.minimum(1.0, len(p_values) * p_values)


def bonferroni_threshold(comparisons: int, level: float = 0.05) -> float:
    """What an unadjusted p-value must not exceed, level / comparisons: .05 / 12 = .0042 in MS2GAN's table 2.

    >>> bonferroni_threshold(5)
    0.01
    """
    comparisons = checks.whole("comparisons", comparisons)
    return _inside("level", level) / comparisons


def holm(p_values: ArrayLike) -> NDArray[np.float64]:
    """Holm's step-down adjustment (Scandinavian Journal of Statistics 1979): never larger than Bonferroni's.

    The i-th smallest of m values is multiplied by m - i + 1, and none is smaller than one before it.

    Args:
      p_values: (m,) in [0, 1], of all the comparisons made, also of those not shown.

    Returns:
      float (m,), in the order given; significant at a level where at most the level.

    >>> holm([0.5, 0.25]).tolist()  # 2 x .25; then the larger of .5 and that
    [0.5, 0.5]
    """
    p_values = _probabilities(p_values)
    order = np.argsort(p_values, kind="stable")
    adjusted = np.empty(len(p_values))
    adjusted[order] = np.maximum.accumulate(p_values[order] * np.arange(len(p_values), 0, -1))
    return np.minimum(1.0, adjusted)


def runs_needed(threshold: float) -> int:
    """The least number n of pairs by which `wilcoxon` can reach a threshold in (0, 1): 2^(1-n) is its least p.

    >>> runs_needed(0.05)  # 2^-5 = .03; of 5 pairs 2^-4 = .06 is the least
    6
    """
    return max(1, math.ceil(1 - math.log2(_inside("threshold", threshold))))


def bootstrap_interval(
    values: ArrayLike, confidence: float = 0.95, resamples: int = 2000, seed: int = 0,
) -> tuple[float, float]:
    """Percentile bootstrap interval of the mean over queries (Efron and Tibshirani 1993, chapter 13).

    It speaks of other queries drawn alike, with this trained model; it does not cover the spread over runs, and it is
    somewhat too narrow for fewer than some 30 queries.

    Args:
      values: (Q,), finite; one value a query, such as its average precision.
      confidence: in (0, 1).
      resamples: from 1 on.
      seed: of the resampling; the same seed gives the same interval.

    Returns:
      (low, high).

    >>> low, high = bootstrap_interval([0.0, 1.0] * 50)
    >>> 0.3 < low < 0.5 < high < 0.7
    True
    """
    values, confidence = checks.floats("values", values), _inside("confidence", confidence)
    resamples, seed = checks.whole("resamples", resamples), checks.whole("seed", seed, 0)
    if len(values) == 1:
        values = np.repeat(values, 2)  # SciPy refuses a single one
    means = scipy.stats.bootstrap(
        (values,), np.mean, n_resamples=resamples, batch=max(1, BLOCK // len(values)), method="percentile",
        rng=np.random.default_rng(seed),
    ).bootstrap_distribution
    low, high = np.quantile(means, [(1 - confidence) / 2, (1 + confidence) / 2])  # SciPy's differ in the last bit
    return float(low), float(high)


def _probabilities(p_values: ArrayLike) -> NDArray:
    p_values = checks.floats("p_values", p_values)
    if not ((p_values >= 0) & (p_values <= 1)).all():
        raise ValueError("p_values must lie in [0, 1]")
    return p_values


def _inside(name: str, value: float) -> float:
    """A number between 0 and 1, neither of them."""
    remedy = "must be a number between 0 and 1, neither of them"
    return checks.number(name, value, math.nextafter(0, 1), math.nextafter(1, 0), remedy)
