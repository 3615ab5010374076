"""Losses against constants worked out by hand."""
import math

import numpy as np
import pytest

from tfxmr.engine import losses


def test_costs_at_zero_logit_are_ln2():
    """Guards against logits being taken for probabilities, whose cost at 0 is infinite."""
    for cost in (losses.real_loss, losses.fake_loss, losses.generator_loss):
        assert float(cost(0.0)) == pytest.approx(math.log(2))
    assert float(losses.generator_loss(0.0, "saturating")) == pytest.approx(-math.log(2))


def test_costs_are_minus_log_of_the_probability():
    """Guards against real and fake being swapped: at D = .8 a real pair costs -ln .8, a fake one -ln .2."""
    logit = math.log(0.8 / 0.2)
    assert float(losses.real_loss(logit)) == pytest.approx(-math.log(0.8), rel=1e-6)
    assert float(losses.fake_loss(logit)) == pytest.approx(-math.log(0.2), rel=1e-6)


def test_generators_want_to_be_taken_for_real():
    """Guards against the sign of eq. 9-12 as printed: a generator's cost must fall as D's logit rises."""
    for kind in losses.GAN_LOSSES:
        low, high = (float(losses.generator_loss(z, kind)) for z in (-1.0, 1.0))
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


def test_row_distances(rng):
    """Guards against squared distances, all pairs, and the square root's infinite slope at 0."""
    import tensorflow as tf

    a, b = rng.normal(size=(2, 5, 3)).astype("f"), rng.normal(size=(2, 5, 3)).astype("f")
    expected = [[math.sqrt(sum((x - y) ** 2)) for x, y in zip(p, q, strict=True)] for p, q in zip(a, b, strict=True)]
    np.testing.assert_allclose(losses.row_distances(a, b), expected, rtol=1e-5)
    assert losses.row_distances(a[0][:, None], b[0][None]).shape == (5, 5)
    x = tf.Variable(a)
    with tf.GradientTape() as tape:
        value = losses.row_distances(x, a)
    assert not np.any(tape.gradient(value, x))


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


def test_margin_contrastive_by_a_slow_loop(rng):
    """Guards against a margin on the squared distance, and against a mean where the released code has a sum."""
    x, y, labels = rng.normal(size=(5, 2)), rng.normal(size=(5, 2)), np.array([0, 1, 0, 2, 1])
    expected = np.zeros(5)
    for u in range(5):
        for v in range(5):
            d = math.dist(x[u], y[v])
            expected[u] += d**2 / 2 if labels[u] == labels[v] else max(0, 1.5 - d) ** 2 / 2
    found = losses.margin_contrastive(losses.squared_distances(x.astype("f"), y.astype("f")), labels, 1.5)
    np.testing.assert_allclose(found, expected, rtol=1e-4)


def test_margin_contrastive_has_a_finite_gradient_at_zero():
    """Guards against the square root's infinite slope where two items of different classes coincide."""
    import tensorflow as tf

    x = tf.zeros((2, 3))
    with tf.GradientTape() as tape:
        tape.watch(x)
        cost = tf.reduce_sum(losses.margin_contrastive(losses.squared_distances(x, x), np.array([0, 1]), 1.0))
    assert float(cost) == pytest.approx(1.0, rel=1e-4)
    assert np.isfinite(tape.gradient(cost, x)).all()


def reference_correlation(x, y, ridge):
    """The paper's form, with symmetric square roots, in NumPy."""
    x, y = x - x.mean(axis=0), y - y.mean(axis=0)

    def power(view):
        values, vectors = np.linalg.eigh(view.T @ view / (len(view) - 1) + ridge * np.eye(view.shape[1]))
        return vectors @ np.diag(values**-0.5) @ vectors.T

    return np.linalg.svd(power(x) @ (x.T @ y / (len(x) - 1)) @ power(y), compute_uv=False).sum()


@pytest.mark.parametrize("ridge", [1e-6, 0.3])
def test_total_correlation(rng, ridge):
    """Value and gradient, the latter by central differences: guards the divisor n - 1 and each factor's side."""
    import tensorflow as tf

    x = rng.normal(size=(9, 3))
    y = x @ rng.normal(size=(3, 4)) + rng.normal(size=(9, 4))
    with tf.GradientTape() as tape:
        views = tf.constant(x), tf.constant(y)
        tape.watch(views)
        found = losses.total_correlation(*views, ridge)
    assert float(found) == pytest.approx(reference_correlation(x, y, ridge), rel=1e-9)
    for view, gradient in zip((x, y), tape.gradient(found, views), strict=True):
        for place in ((0, 0), (4, 2), (8, 1)):
            kept, value = view[place], []
            for step in (1e-5, -1e-5):
                view[place] = kept + step
                value.append(reference_correlation(x, y, ridge))
            view[place] = kept
            assert float(gradient[place]) == pytest.approx((value[0] - value[1]) / 2e-5, rel=1e-4, abs=1e-8)


def test_total_correlation_of_views_that_tell_all(rng):
    """A view and any invertible map of it correlate fully in each of 3 directions; equal correlations give no NaN."""
    import tensorflow as tf

    x = tf.constant(rng.normal(size=(20, 3)))
    with tf.GradientTape() as tape:
        tape.watch(x)
        found = losses.total_correlation(x, tf.matmul(x, tf.constant(rng.normal(size=(3, 3)))) + 5, 1e-9)
    assert float(found) == pytest.approx(3, abs=1e-6)
    assert np.isfinite(tape.gradient(found, x)).all()


def test_contrastive_margin_by_hand():
    """tau = 4, m = 1: distances 3 and 5 cost nothing on the right side, 2 on the wrong one; without m, 1."""
    distances = np.array([[3, 5], [5, 3]], "f")
    assert float(losses.contrastive(distances, np.array([0, 1]), 4.0, 1.0)) == 0
    assert float(losses.contrastive(distances[::-1], np.array([0, 1]), 4.0, 1.0)) == pytest.approx(2 + 2)
    assert float(losses.contrastive(distances[::-1], np.array([0, 1]), 4.0)) == pytest.approx(1 + 1)


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
    sets = np.array([[1, 0, 1, 0], [0, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 1], [0, 1, 1, 0]], "f")  # of several classes their mean
    expected = [sum(np.mean([minus_log_softmax(logits[m, u], c) for c in np.flatnonzero(sets[u])]) for m in range(3)) for u in range(5)]
    np.testing.assert_allclose(losses.semantic_discrimination(logits.astype("f"), sets), expected, rtol=1e-5)
    logits = rng.normal(size=(3, 5, 3))
    expected = [sum(minus_log_softmax(logits[m, u], m) for m in range(3)) for u in range(5)]
    np.testing.assert_allclose(losses.modality_classification(logits.astype("f")), expected, rtol=1e-5)
