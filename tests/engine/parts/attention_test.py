"""Attention against a loop over items and places."""
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.parts.attention import Attention, masked_softmax

VALID = np.array([[1, 1, 0], [0, 0, 0], [0, 1, 0], [1, 1, 1]], bool)
SEED = randomness.step_seed(3, 4)


@pytest.fixture
def h():
    return np.random.default_rng(0).normal(size=(4, 3, 5)).astype("f")


@pytest.mark.parametrize("hidden", [True, False])
def test_attention_by_loops(h, hidden):
    """Guards the softmax over valid places alone, w after tanh, and pooling of h (not of W h)."""
    layer = Attention(5, seed=1, hidden=hidden)
    pooled, weights = layer(tf.constant(h), tf.constant(VALID))
    vector = layer.vector.numpy()[:, 0]
    for n in range(4):
        places = np.flatnonzero(VALID[n])
        inner = h[n] @ layer.hidden.kernels[0].numpy() + layer.hidden.bias.numpy() if hidden else h[n]
        powers = np.exp(np.tanh(inner) @ vector)[places]
        expected = np.zeros(3)
        expected[places] = powers / powers.sum()
        np.testing.assert_allclose(weights[n], expected, rtol=1e-5, atol=1e-6)
        np.testing.assert_allclose(pooled[n], expected @ h[n], rtol=1e-4, atol=1e-6)
    every = layer(tf.constant(h))[1]
    np.testing.assert_allclose(every[3], weights[3], rtol=1e-5)


def test_a_row_without_a_valid_place_gives_zeros_and_finite_gradients(h):
    """Guards against 0 / 0, and against padding of which an infinite value gets into the sum."""
    layer = Attention(5, seed=1)
    x = h.copy()
    x[~VALID] = np.inf
    with tf.GradientTape() as tape:
        inputs = tf.Variable(h)
        pooled, weights = layer(inputs, tf.constant(VALID))
        loss = tf.reduce_sum(pooled**2) + tf.reduce_sum(weights**2)
    assert not pooled[1].numpy().any() and not weights[1].numpy().any()
    for gradient in tape.gradient(loss, [inputs, *layer.trainable_weights]):
        assert np.isfinite(gradient).all()
    assert not layer.hidden.bias.numpy().any()
    np.testing.assert_allclose(layer(tf.constant(x), tf.constant(VALID))[0], pooled, rtol=1e-6)


def test_masked_softmax_of_large_scores():
    """Guards against exp of large scores, and a valid place that is far below a masked one."""
    scores = tf.constant([[1e4, 1e4, 0.0], [-1e4, 1e4, -1e4]])
    valid = tf.constant([[True, True, True], [True, False, True]])
    np.testing.assert_allclose(masked_softmax(scores, valid), [[0.5, 0.5, 0], [0.5, 0, 0.5]])


def test_dropout_of_attention(h):
    """Guards dropout at retrieval, a hidden generator, and rows that draw masks of their own."""
    layer = Attention(5, seed=1, keep=0.5)
    a, b = (layer(tf.constant(h), tf.constant(VALID), seed=SEED)[1].numpy() for _ in range(2))
    np.testing.assert_array_equal(a, b)
    assert (a != layer(tf.constant(h), tf.constant(VALID))[1].numpy()).any()
    assert layer.row_parts() == [layer.hidden] and Attention(5, seed=1, keep=0.5, hidden=False).row_parts() == []


def test_attention_in_sixteen_bits(h):
    full, half = (Attention(5, seed=1, dtype=dtype) for dtype in ("float32", "mixed_bfloat16"))
    pooled, weights = half(tf.constant(h), tf.constant(VALID))
    assert pooled.dtype == weights.dtype == tf.float32
    np.testing.assert_allclose(pooled, full(tf.constant(h), tf.constant(VALID))[0], atol=0.03)
