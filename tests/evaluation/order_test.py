"""Tests of the sums of precisions: the compiled path against the plain one, bit for bit, and both against a loop."""
import fractions

import hypothesis
import numpy as np
import pytest
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from tfxmr.evaluation import order

# Whole numbers tie heavily; the others are what a bit trick gets wrong: both zeros, the last bits, the edges of 32 bits.
VALUES = strategies.sampled_from([*map(float, range(-3, 4)), -0.0, 0.5, np.nextafter(np.float32(0.5), np.float32(1)),
                                  1.9999999, -1.9999999, 1e-45, -1e-45, 3e38, -3e38, -np.inf])
SHAPES = arrays.array_shapes(min_dims=2, max_dims=2, min_side=1, max_side=30)


@strategies.composite
def problems(draw):
    scores = draw(arrays.arrays(np.float32, SHAPES, elements=VALUES.map(np.float32)))
    relevant = draw(arrays.arrays(bool, scores.shape))
    return scores, relevant, draw(strategies.sampled_from(["group", "index"])), draw(
        strategies.none() | strategies.integers(1, 35))


def slow(scores, relevant, ties, cut):
    """One query by the definition, in exact fractions: (sum, count)."""
    places = sorted(range(len(scores)), key=lambda i: (-scores[i], i))
    total, count = fractions.Fraction(0), 0
    for rank, item in enumerate(places, 1):
        if not relevant[item]:
            continue
        end = rank
        if ties == "group":
            end = sum(1 for s in scores if s >= scores[item])
        hits = sum(relevant[other] for other in places[:end])
        if cut is None or end <= cut:
            total, count = total + fractions.Fraction(int(hits), end), count + 1
    return float(total), count


@hypothesis.settings(deadline=None, max_examples=300)
@hypothesis.given(problems())
def test_plain_against_the_definition(problem):
    """Guards against an order that depends on more than the scores, and cuts that split a tied group."""
    sums, counts = order.precision_sums(*problem)
    for q, expected in enumerate(slow(s, r, *problem[2:]) for s, r in zip(*problem[:2], strict=True)):
        assert (pytest.approx(expected[0], rel=1e-12), expected[1]) == (sums[q], counts[q])


@hypothesis.settings(deadline=None, max_examples=500)
@hypothesis.given(problems())
def test_compiled_equals_plain(problem):
    """Guards against keys that sort otherwise than floats: signs, both zeros, tiny, huge and infinite scores."""
    pytest.importorskip("numba", reason="numba (the extra `fast`) is not installed")
    plain = order.precision_sums(*problem)
    compiled = order.precision_sums_compiled(problem[0].copy(), *problem[1:])
    np.testing.assert_array_equal(plain, compiled)


@pytest.mark.parametrize("scale", [1, 100])
def test_compiled_equals_plain_on_long_rankings(scale):
    """Cosines with the few ties that chance brings, in 32-bit keys and, 100 times as large, in 64-bit ones."""
    pytest.importorskip("numba", reason="numba (the extra `fast`) is not installed")
    rng = np.random.default_rng(0)
    scores = (scale * 0.1 * rng.standard_normal((5, 30000))).astype(np.float32)
    relevant = rng.random(scores.shape) < [[0.5], [0.1], [0.01], [0], [1]]
    assert sum(len(np.unique(row)) < len(row) for row in scores) == 5
    for ties in ("group", "index"):
        for cut in (None, 1000):
            plain = order.precision_sums(scores, relevant, ties, cut)
            np.testing.assert_array_equal(plain, order.precision_sums_compiled(scores.copy(), relevant, ties, cut))
