"""Losses, dropout and batch normalisation against hand-worked constants and NumPy loops."""
import math

import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine import losses, randomness
from tfxmr.engine.parts.batch_norm import BatchNorm, DenseNormReLU, InputNorm
from tfxmr.engine.parts.dropout import Dropout
from tfxmr.engine.parts.mmd import mmd
from tfxmr.engine.parts.reinforce import cosine_reward, reinforce
from tfxmr.engine.parts.triplet import different, triplet

S = tf.constant([[0.5, 0.4, 0.9], [0.2, 0.1, 0.0], [0.3, 0.3, 0.3]])
SEED = randomness.step_seed(1, 2)


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("negatives, expected", [("all", [0.1 + 0.6, 0.3 + 0.1, 0.4]), ("hardest", [0.6, 0.3, 0.2])])
def test_triplet_by_hand(negatives, expected):
    """Guards the sign: a partner more similar than the negatives costs less; and the diagonal is no negative."""
    np.testing.assert_allclose(triplet(S, tf.ones((3, 3), tf.bool), 0.2, negatives), expected, rtol=1e-5)


@pytest.mark.parametrize("negatives", ["one", "all", "hardest"])
def test_triplet_keeps_to_allowed_negatives(negatives):
    """Guards against items of the same class as negatives; a row that has none pays nothing and gives no NaN."""
    allowed = different(tf.constant([0, 1, 0]))
    values = triplet(S, allowed, 0.2, negatives, SEED)
    np.testing.assert_allclose(values[0], 0.1, rtol=1e-5)
    np.testing.assert_allclose(values[2], 0.2, rtol=1e-5)
    with tf.GradientTape() as tape:
        tape.watch(S)
        value = triplet(S, tf.zeros((3, 3), tf.bool), 0.2, negatives, SEED)
    assert not value.numpy().any() and not tape.gradient(value, S).numpy().any()


def test_one_negative_is_drawn_uniformly_and_by_its_seed():
    """Guards against a draw that favours a column, and against a hidden generator. 5 standard errors of 2,000 rows."""
    size = 2000
    similarities = tf.tile(tf.range(4, dtype=tf.float32)[None], (size, size // 4)) - 3 * tf.eye(size)
    similarities = tf.linalg.set_diag(similarities, tf.zeros(size))
    draw = lambda seed: triplet(similarities, tf.ones((size, size), tf.bool), 1.0, "one", seed).numpy()  # noqa: E731
    counts = np.bincount(draw(SEED).astype(int), minlength=5)[1:]
    assert np.abs(counts - size / 4).max() < 5 * np.sqrt(size * 3 / 16)
    np.testing.assert_array_equal(draw(SEED), draw(SEED))
    assert (draw(SEED) != draw(randomness.step_seed(1, 3))).any()


def test_triplet_refuses_what_it_does_not_know():
    with pytest.raises(ValueError, match="negatives=some"):
        triplet(S, S > 0, 0.2, "some")
    with pytest.raises(ValueError, match="needs a seed"):
        triplet(S, S > 0, 0.2, "one")


def test_mmd_by_loops(rng):
    """Guards the bandwidth (of distinct rows) and the mean over unequal sample sizes."""
    a, b = rng.normal(size=(4, 3)).astype("f"), rng.normal(size=(6, 3)).astype("f") + 1
    rows = np.concatenate((a, b))
    square = lambda x, y: ((x - y) ** 2).sum()  # noqa: E731
    gamma = 90 / sum(square(x, y) for x in rows for y in rows)
    mean = lambda xs, ys: np.mean([np.exp(-gamma * square(x, y)) for x in xs for y in ys])  # noqa: E731
    expected = mean(a, a) + mean(b, b) - 2 * mean(a, b)
    np.testing.assert_allclose(mmd(tf.constant(a), tf.constant(b)), expected, rtol=1e-4)
    assert abs(mmd(tf.ones((3, 2)), tf.ones((2, 2))).numpy()) < 1e-6


def test_mmd_gradient_takes_the_bandwidth_as_constant(rng):
    """Guards against a gradient through gamma, by finite differences at the fixed bandwidth."""
    a, b = tf.constant(rng.normal(size=(3, 2)), tf.float64), tf.constant(rng.normal(size=(3, 2)), tf.float64)
    rows = np.concatenate((a, b))
    gamma = 30 / sum(((x - y) ** 2).sum() for x in rows for y in rows)

    def fixed(a):
        k = lambda x, y: np.exp(-gamma * ((x[:, None] - y[None]) ** 2).sum(-1)).mean()  # noqa: E731
        return k(a, a) - 2 * k(a, b.numpy())

    with tf.GradientTape() as tape:
        tape.watch(a)
        value = mmd(a, b)
    step = np.zeros((3, 2))
    step[1, 0] = 1e-5
    expected = (fixed(a.numpy() + step) - fixed(a.numpy() - step)) / 2e-5
    np.testing.assert_allclose(tape.gradient(value, a)[1, 0], expected, rtol=1e-4)


def test_cosine_reward_by_hand():
    a = tf.constant([[2.0, 0.0], [1.0, 0.0], [1.0, 0.0], [0.0, 0.0]])
    b = tf.constant([[3.0, 0.0], [0.0, 1.0], [-1.0, 0.0], [0.0, 1.0]])
    np.testing.assert_allclose(
        cosine_reward(a, b), [0, math.log(0.5), math.log(1e-6), math.log(0.5)], rtol=1e-4, atol=1e-6
    )
    damped = cosine_reward(a[:1], b[:1], (0.1, 0.0))
    np.testing.assert_allclose(damped, [math.log(1 / math.sqrt(4.1) + 0.5)], rtol=1e-5)


def test_reinforce_by_hand():
    """Guards the sign, the baseline of the other samples (not of all K), and that the reward is a constant."""
    log_prob, reward = tf.constant([[-1.0], [-2.0], [-3.0]]), tf.constant([[3.0], [0.0], [0.0]])
    with tf.GradientTape(persistent=True) as tape:
        tape.watch((log_prob, reward))
        value = reinforce(log_prob, reward)
    np.testing.assert_allclose(value, [-(3 * -1 - 1.5 * -2 - 1.5 * -3) / 3], rtol=1e-5)
    np.testing.assert_allclose(tape.gradient(value, log_prob)[:, 0], [-1, 0.5, 0.5], rtol=1e-5)
    assert tape.gradient(value, reward) is None
    with pytest.raises(ValueError, match=">= 2"):
        reinforce(log_prob[:1], reward[:1])


def test_small_losses_by_hand():
    np.testing.assert_allclose(losses.pairwise_l2(tf.constant([[1.0, 2.0]]), tf.constant([[0.0, 0.0]])), [2.5])
    np.testing.assert_allclose(losses.sigmoid_modality(tf.zeros((2, 5)), tf.constant([0, 4])), [5 * math.log(2)] * 2)
    right = losses.sigmoid_modality(tf.constant([[9.0, -9.0]]), tf.constant([0]))
    np.testing.assert_allclose(right, [2 * math.log1p(math.exp(-9))], rtol=1e-4)
    np.testing.assert_allclose(losses.least_squares_domain(tf.constant([3.0, 0.0]), 1.0), [2, 0.5])


def test_dropout_by_its_seed():
    """Guards against a hidden generator, dropout at retrieval, and a lost rescaling."""
    x, layer = tf.ones((100, 100)), Dropout(0.25)
    y = layer(x, seed=SEED).numpy()
    np.testing.assert_array_equal(y, layer(x, seed=SEED))
    np.testing.assert_allclose(np.unique(y), [0, 4 / 3], rtol=1e-6)
    assert abs((y == 0).mean() - 0.25) < 5 * math.sqrt(0.25 * 0.75 / 1e4)
    np.testing.assert_array_equal(layer(x), x)
    with pytest.raises(ValueError, match="rate=1"):
        Dropout(1.0)


def test_batch_norm_by_numpy(rng):
    """Guards epsilon under the root, the moving average's direction, and moving statistics that are trained."""
    layer = BatchNorm(3)
    x = rng.normal(2, 3, size=(8, 3)).astype("f")
    y = layer(tf.constant(x), training=True)
    np.testing.assert_allclose(y, (x - x.mean(0)) / np.sqrt(x.var(0) + 1e-5), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(layer.moving_mean, 0.1 * x.mean(0), rtol=1e-5)
    np.testing.assert_allclose(layer.moving_variance, 0.9 + 0.1 * x.var(0, ddof=1), rtol=1e-5)
    expected = (x - layer.moving_mean.numpy()) / np.sqrt(layer.moving_variance.numpy() + 1e-5)
    np.testing.assert_allclose(layer(tf.constant(x)), expected, rtol=1e-4, atol=1e-5)
    assert not layer.trainable_weights and len(layer.non_trainable_weights) == 2
    assert len(BatchNorm(3, scale=True).trainable_weights) == 2


def test_input_norm_does_not_blow_up_what_training_never_had(rng):
    """Guards against 316 of a 1 where a feature was constant in training: a word that few labelled texts do not have."""
    layer, plain = InputNorm(3), BatchNorm(3, scale=True)
    first = rng.normal(size=(8, 3)).astype("f")
    np.testing.assert_allclose(layer(first), plain(first))  # before any training all features count
    for _ in range(150):
        x = rng.normal(size=(8, 3)).astype("f")
        x[:, 1] = 0.1
        np.testing.assert_allclose(layer(x, training=True), plain(x, training=True), rtol=1e-6)
    test = np.ones((1, 3), "f")
    found, blown_up = layer(test).numpy(), plain(test).numpy()
    np.testing.assert_allclose(found[:, [0, 2]], blown_up[:, [0, 2]])
    assert found[0, 1] == 0 and blown_up[0, 1] > 250


def test_batch_norm_tells_joint_statistics_from_separate_ones(rng):
    """Guards the choice of MHTN: modalities normalised together keep their gap, apart they lose it."""
    layer = BatchNorm(2)
    a, b = tf.constant(rng.normal(size=(50, 2)), tf.float32), tf.constant(rng.normal(size=(50, 2)) + 9, tf.float32)
    joint = layer(tf.concat((a, b), 0), training=True).numpy()
    assert (joint[50:].mean(0) - joint[:50].mean(0)).min() > 1
    apart = [layer(x, training=True).numpy().mean(0) for x in (a, b)]
    np.testing.assert_allclose(apart, 0, atol=1e-5)


def test_batch_norm_moves_inside_a_function(rng):
    """Guards against an update that a traced step drops."""
    layer, x = BatchNorm(2), tf.constant(rng.normal(size=(5, 2)), tf.float32)
    step = tf.function(lambda: layer(x, training=True))
    step(), step()
    np.testing.assert_allclose(layer.moving_mean, 0.19 * x.numpy().mean(0), rtol=1e-4)


def test_dense_norm_relu(rng):
    """Guards the order product, normalisation, ReLU, and the initial variance 2 / d."""
    layer = DenseNormReLU(400, 50, seed=0)
    x = rng.normal(size=(20, 400)).astype("f")
    kernel = layer.dense.kernels[0].numpy()
    assert abs(kernel.var() - 2 / 400) < 5 * 2 / 400 * math.sqrt(2 / kernel.size)
    product = x @ kernel
    normed = (product - product.mean(0)) / np.sqrt(product.var(0) + 1e-5)
    output, linear = layer(tf.constant(x), training=True, linear=True)
    np.testing.assert_allclose(output, np.maximum(normed, 0), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(linear, product, rtol=1e-4, atol=1e-4)
    half = DenseNormReLU(400, 50, seed=0, dtype="mixed_bfloat16")(tf.constant(x), training=True)
    assert half.dtype == tf.float32
    np.testing.assert_allclose(half, output, atol=0.1)
