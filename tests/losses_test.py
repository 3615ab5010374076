"""Losses against constants worked out by hand."""
import math

import numpy as np
import pytest

from tfxmr import losses


def test_costs_at_zero_logit_are_ln2():
    """Guards against logits being taken for probabilities, whose cost at 0 is infinite."""
    for cost in (losses.real_cost, losses.fake_cost, losses.generator_cost):
        assert float(cost(0.0)) == pytest.approx(math.log(2))
    assert float(losses.generator_cost(0.0, "saturating")) == pytest.approx(-math.log(2))


def test_costs_are_minus_log_of_the_probability():
    """Guards against real and fake being swapped: at D = .8 a real pair costs -ln .8, a fake one -ln .2."""
    logit = math.log(0.8 / 0.2)
    assert float(losses.real_cost(logit)) == pytest.approx(-math.log(0.8), rel=1e-6)
    assert float(losses.fake_cost(logit)) == pytest.approx(-math.log(0.2), rel=1e-6)


def test_generators_want_to_be_taken_for_real():
    """Guards against the sign of eq. 9-12 as printed: a generator's cost must fall as D's logit rises."""
    for kind in losses.GAN_LOSSES:
        low, high = (float(losses.generator_cost(z, kind)) for z in (-1.0, 1.0))
        assert high < low


@pytest.mark.parametrize(
    ("kind", "expected"), [("tf_l2_loss", 64 * 12.5), ("l2_sum", 64 * 5), ("l2_mean", 5), ("sq_mean", 12.5)]
)
def test_recovery_readings(kind, expected):
    """The difference (3, 4) has length 5: half its square is 12.5; the reference batch is 64."""
    value = losses.recovery(np.array([[3.0, 1.0]], "f"), np.array([[0.0, -3.0]], "f"), kind)
    assert value.shape == (1,)
    assert float(value[0]) == pytest.approx(expected, rel=1e-6)


@pytest.mark.parametrize("kind", losses.RECOVERIES)
def test_recovery_has_a_finite_gradient_at_zero(kind):
    """Guards against the square root's infinite slope at 0, which turns the weights into NaN."""
    import tensorflow as tf

    x = tf.Variable([[1.0, 2.0]])
    with tf.GradientTape() as tape:
        value = losses.recovery(x, tf.constant([[1.0, 2.0]]), kind)
    assert np.isfinite(tape.gradient(value, x).numpy()).all()
