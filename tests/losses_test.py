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


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_squared_distances(rng):
    """Guards against a Gram matrix of the wrong side, and against rounding that gives an item a distance below 0."""
    a, b = rng.normal(size=(2, 5, 3)).astype("f"), rng.normal(size=(2, 4, 3)).astype("f")
    expected = [[[sum((x - y) ** 2) for y in q] for x in p] for p, q in zip(a, b, strict=True)]
    np.testing.assert_allclose(losses.squared_distances(a, b), expected, rtol=1e-4, atol=1e-5)
    far = (1000 * rng.normal(size=(40, 128))).astype("f")
    assert np.min(losses.squared_distances(far, far)) == 0


@pytest.mark.parametrize("modalities", [2, 3])
@pytest.mark.parametrize("third", losses.CONTRASTIVE_THIRDS)
def test_contrastive_distances_by_a_slow_loop(rng, modalities, third):
    """Guards against a third term within a modality where the paper's prose wants it between modalities."""
    f, s = (rng.normal(size=(modalities, 4, 3)) for _ in range(2))

    def gap(a, b):
        return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))

    expected = np.zeros((4, 4))
    for u in range(4):
        for v in range(4):
            for m in range(modalities):
                expected[u, v] += gap(f[m, u], f[m, v])
                for n in range(m + 1, modalities):
                    expected[u, v] += {
                        "cross": gap(s[m, u], s[n, v]),
                        "symmetric": gap(s[m, u], s[n, v]) / 2 + gap(s[n, u], s[m, v]) / 2,
                        "literal": gap(s[m, u], s[m, v]),
                    }[third]
    found = losses.contrastive_distances(f.astype("f"), s.astype("f"), third).numpy()
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    assert np.allclose(found, found.T, atol=1e-4) == (third != "cross")


@pytest.mark.parametrize("labels, expected", [
    ((0, 0, 1), (0 + 2 + 1 + 1 + 0) / 5 + (0 + 1 + 0 + 2) / 4),
    ((0, 0, 0), (0 + 2 + 0 + 1 + 1 + 0 + 4 + 0 + 0) / 9),
    ((0, 1, 2), (0 + 1 + 0) / 3 + (0 + 0 + 0 + 1 + 0 + 2) / 6),
], ids=["both kinds", "no pair of different classes", "no pair of two items of one class"])
def test_contrastive_by_hand(labels, expected):
    """tau = 4: guards the means over ordered pairs with (u, u) among them, and a division by no pair at all."""
    distances = np.array([[0, 6, 4], [5, 5, 3], [8, 2, 0]], "f")
    assert float(losses.contrastive(distances, np.array(labels), 4.0)) == pytest.approx(expected)


def test_contrastive_is_zero_where_all_pairs_lie_right():
    """Same class at most tau, different classes at least tau: the same threshold bounds both, without a gap."""
    labels = np.array([0, 1, 0])
    distances = np.array([[0, 4, 3], [9, 4, 5], [4, 7, 1]], "f")
    assert float(losses.contrastive(distances, labels, 4.0)) == 0
    assert float(losses.contrastive(distances, labels, 3.9)) > 0
    assert float(losses.contrastive(distances, labels, 4.1)) > 0


def test_large_margin_pushes_apart():
    """zeta - 2 and 0 at squared gaps of 2 and 9: guards against the sign that would pull the two features together."""
    f, s = np.zeros((2, 1, 2), "f"), np.array([[[1, 1]], [[3, 0]]], "f")
    assert losses.large_margin(f, s, 4.0).numpy() == pytest.approx([2.0])
    assert losses.large_margin(f, s, 10.0).numpy() == pytest.approx([8.0 + 1.0])
    assert losses.large_margin(f, s, 2.0).numpy() == pytest.approx([0.0])


def test_cross_entropies_by_a_slow_loop(rng):
    """Guards against labels taken for modalities, or modalities for labels."""
    def minus_log_softmax(logits, label):
        return math.log(sum(math.exp(z) for z in logits)) - logits[label]

    labels = np.array([2, 0, 1, 3, 3])
    logits = rng.normal(size=(3, 5, 4))
    expected = [sum(minus_log_softmax(logits[m, u], labels[u]) for m in range(3)) for u in range(5)]
    np.testing.assert_allclose(losses.semantic_discrimination(logits.astype("f"), labels), expected, rtol=1e-5)
    logits = rng.normal(size=(3, 5, 3))
    expected = [sum(minus_log_softmax(logits[m, u], m) for m in range(3)) for u in range(5)]
    np.testing.assert_allclose(losses.modality_classification(logits.astype("f")), expected, rtol=1e-5)
