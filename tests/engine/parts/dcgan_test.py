"""The halves of the DCGAN, layer by layer against NumPy."""
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.parts.dcgan import ImagePainter, ImageReader


def convolved(x, kernel, bias):
    """A convolution with stride 2 and padding "same" of one picture (n, n, c): 5 x 5, one pixel before, two after."""
    padded = np.pad(x, ((1, 2), (1, 2), (0, 0)))
    side = len(x) // 2
    return np.stack([
        [np.tensordot(padded[2 * i : 2 * i + 5, 2 * j : 2 * j + 5], kernel, 3) + bias for j in range(side)]
        for i in range(side)
    ])


def test_reader_against_a_loop():
    """Guards columns first, colours first, [0, 1] that is not centred, and leading axes that get mixed."""
    reader = ImageReader(2, seed=0)
    pictures = np.random.default_rng(0).uniform(size=(2, 3, 4096, 3)).astype("f")
    found = reader(tf.constant(pictures))
    assert found.shape == (2, 3, 16 * 16) and reader.width == 256
    x = 2 * pictures[1, 2].reshape(64, 64, 3) - 1
    for layer in reader.layers:
        x = convolved(x, layer.kernel.numpy(), layer.bias.numpy())
        x = np.where(x > 0, x, 0.2 * x)
    np.testing.assert_allclose(found[1, 2], x.ravel(), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_painter(dtype):
    """Guards noise that does not depend on the seed, or that makes figures random, and colours out of their range."""
    painter = ImagePainter(5, noise_dim=3, channels=2, seed=0, dtype=dtype)
    c, seed = tf.constant(np.random.default_rng(0).normal(size=(6, 5)), tf.float32), randomness.step_seed(3, 4)
    drawn = painter(c, seed, training=True).numpy()
    assert drawn.shape == (6, 4096, 3) and drawn.dtype == np.float32 and 0 <= drawn.min() < drawn.max() <= 1
    np.testing.assert_array_equal(painter(c), painter(c))
    np.testing.assert_allclose(painter(c, seed, training=True), drawn, atol=1e-6)
    other = painter(c, randomness.step_seed(3, 5), training=True).numpy()
    assert np.abs(other - drawn).max() > 0.01 and np.abs(drawn[0] - drawn[1]).max() > 0.01
    with tf.GradientTape() as tape:
        loss = tf.reduce_sum(painter(c, seed, training=True) ** 2)
    gradients = tape.gradient(loss, painter.trainable_variables)
    assert len(gradients) == 2 + 1 + 4 * 4 and all(g is not None for g in gradients)


def test_reader_and_painter_are_transposed():
    """A transposed convolution is the gradient of the convolution of its kernel; guards a shift by a pixel."""
    painter = ImagePainter(2, noise_dim=1, channels=1, seed=0)
    layer, x = painter.layers[-1], np.random.default_rng(0).normal(size=(1, 32, 32, 1)).astype("f")
    picture = tf.Variable(tf.zeros((1, 64, 64, 3)))
    with tf.GradientTape() as tape:
        read = tf.nn.conv2d(picture, layer.kernel, 2, "SAME")
        loss = tf.reduce_sum(read * x)
    np.testing.assert_allclose(layer(tf.constant(x)), tape.gradient(loss, picture), atol=1e-5)
