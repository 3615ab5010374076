"""Convolutions of texts against loops."""
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine.parts.text_convolution import Convolution, TextConvolutions, max_pool, valid_windows

VALID = np.array([[1, 1, 1, 0, 0, 0, 0], [1, 1, 1, 1, 1, 1, 1], [0, 0, 0, 0, 0, 0, 0]], bool)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(3, 7, 4)).astype("f")


def test_convolution_by_loops(x):
    """Guards a flipped kernel and words that stand at padding."""
    layer = Convolution(4, 6, 3, seed=1, stddev=0.5, bias=0.1)
    kernel = layer.kernel.numpy()
    words = x * VALID[..., None]
    expected = [[0.1 + sum(words[n, t + j] @ kernel[j] for j in range(3)) for t in range(5)] for n in range(3)]
    np.testing.assert_allclose(layer(tf.constant(x), tf.constant(VALID)), expected, rtol=1e-4, atol=1e-5)
    assert Convolution(300, 300, 5, seed=0).count_params() == 450_300


def test_windows_and_pooling_by_loops(x):
    """Guards a window that begins in a text and ends in padding: it counts, its padding does not."""
    for width, stride in ((3, 1), (2, 2), (3, 2)):
        starts = range(0, 7 - width + 1, stride)
        windows = np.array([[VALID[n, s : s + width].any() for s in starts] for n in range(3)])
        np.testing.assert_array_equal(valid_windows(tf.constant(VALID), width, stride), windows)
        pooled, valid = max_pool(tf.constant(x), tf.constant(VALID), width, stride)
        np.testing.assert_array_equal(valid, windows)
        for n in range(3):
            for k, s in enumerate(starts):
                rows = x[n, s : s + width][VALID[n, s : s + width]]
                np.testing.assert_array_equal(pooled[n, k], rows.max(0) if len(rows) else np.zeros(4))


def test_text_convolutions_by_loops(x):
    """Guards the maximum over windows with a word alone, of biases that padding would let win, and the order of widths."""
    layer = TextConvolutions(4, 6, (2, 3), seed=1)
    for convolution in layer.layers:
        convolution.bias.assign(np.full(6, 5.0))
    x = x.copy()
    x[0] -= 9
    output = layer(tf.constant(x), tf.constant(VALID)).numpy()
    for n in range(3):
        expected = []
        for convolution in layer.layers:
            activity = convolution(tf.constant(x), tf.constant(VALID)).numpy()[n]
            good = [a for t, a in enumerate(activity) if VALID[n, t : t + convolution.width].any()]
            expected.append(np.maximum(good, 0).max(0) if good else np.zeros(6))
        np.testing.assert_allclose(output[n], np.concatenate(expected), rtol=1e-5)
    assert not output[2].any()


def test_a_text_shorter_than_the_window():
    """Guards against an empty maximum (-inf) of one-word texts."""
    layer = TextConvolutions(4, 6, (3, 5), seed=1)
    word = np.random.default_rng(0).normal(size=(1, 1, 4)).astype("f")
    expected = [np.maximum(word[0, 0] @ c.kernel.numpy()[0], 0) for c in layer.layers]
    np.testing.assert_allclose(layer(tf.constant(word))[0], np.concatenate(expected), rtol=1e-4, atol=1e-6)


def test_text_convolutions_in_sixteen_bits(x):
    full, half = (TextConvolutions(4, 6, (2, 3), seed=1, dtype=dtype) for dtype in ("float32", "mixed_bfloat16"))
    with tf.GradientTape() as tape:
        output = half(tf.constant(x), tf.constant(VALID))
    assert output.dtype == tf.float32
    np.testing.assert_allclose(output, full(tf.constant(x), tf.constant(VALID)), atol=0.05)
    assert all(g.dtype == tf.float32 and np.isfinite(g).all() for g in tape.gradient(output, half.trainable_weights))
