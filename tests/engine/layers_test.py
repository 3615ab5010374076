"""Towers and their product against NumPy."""
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine.layers import Dense, Tower, matmul, reversal_ramp, reverse_gradient


@pytest.fixture
def rng():
    return np.random.default_rng(0)


@pytest.mark.parametrize("rows", [(5,), (3, 5)])
def test_matmul_and_its_gradients(rng, rows):
    """Guards the hand-written gradient against a missing transpose or a wrong sum over leading axes."""
    x = tf.Variable(rng.normal(size=(*rows, 4)).astype("f"))
    kernel = tf.Variable(rng.normal(size=(4, 6)).astype("f"))
    weight = rng.normal(size=(*rows, 6)).astype("f")
    with tf.GradientTape() as tape:
        value = tf.reduce_sum(matmul(x, tf.convert_to_tensor(kernel)) * weight)
    dx, dk = tape.gradient(value, (x, kernel))
    np.testing.assert_allclose(matmul(tf.convert_to_tensor(x), tf.convert_to_tensor(kernel)), x.numpy() @ kernel.numpy(), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(dx, weight @ kernel.numpy().T, rtol=1e-5, atol=1e-6)
    flat = x.numpy().reshape(-1, 4).T @ weight.reshape(-1, 6)
    np.testing.assert_allclose(dk, flat, rtol=1e-5, atol=1e-5)


def test_dense_on_parts_is_dense_on_their_concatenation(rng):
    """Guards against the parts of a pair being multiplied by each other's weights."""
    layer = Dense((2, 3), 4, 0.5, seed=1)
    a, b = rng.normal(size=(7, 2)).astype("f"), rng.normal(size=(7, 3)).astype("f")
    kernel = np.concatenate([k.numpy() for k in layer.kernels])
    expected = np.concatenate([a, b], axis=1) @ kernel
    np.testing.assert_allclose(layer(tf.constant(a), tf.constant(b)), expected, rtol=1e-5, atol=1e-6)


def test_tower_is_relu_between_and_linear_at_the_end(rng):
    """Guards against a ReLU on the output, which would forbid negative representations."""
    tower = Tower(3, (8, 2), stddev=1.0, seed=0)
    x = rng.normal(size=(5, 3)).astype("f")
    (w1, b1), (w2, b2) = [(d.kernels[0].numpy(), d.bias.numpy()) for d in tower.layers]
    expected = np.maximum(x @ w1 + b1, 0) @ w2 + b2
    np.testing.assert_allclose(tower(tf.constant(x)), expected, rtol=1e-5, atol=1e-6)
    assert expected.min() < 0


def test_initial_weights_are_normal_with_zero_biases():
    """N(0, .02^2) as the authors' code; the tolerances are five standard errors of 10^6 draws."""
    dense = Tower(1000, (1000, 2), seed=3).layers[0]
    weights = dense.kernels[0].numpy()
    assert abs(weights.mean()) < 5 * 0.02 / 1e3
    assert abs(weights.std() - 0.02) < 5 * 0.02 / np.sqrt(2e6)
    assert not dense.bias.numpy().any()


def test_towers_of_one_model_start_apart():
    """Guards against one seed for all layers, which gives twins."""
    a, b = Tower(4, (4, 4), seed=0), Tower(4, (4, 4), seed=1)
    weights = [layer.kernels[0].numpy() for tower in (a, b) for layer in tower.layers]
    for i, one in enumerate(weights):
        assert all(np.abs(one - other).max() > 1e-3 for other in weights[:i])


def test_dropout_keeps_nine_in_ten_and_only_with_a_seed():
    """Guards against `keep` being taken for the rate to drop, which would destroy the network."""
    tower = Tower(1, (100_000, 1), keep=0.9, stddev=0.0)
    tower.layers[0].bias.assign(tf.ones(100_000))
    tower.layers[1].kernels[0].assign(tf.ones((100_000, 1)))
    kept = float(tower(tf.ones((1, 1)), seed=tf.constant((1, 2)))[0, 0]) * 0.9 / 100_000
    assert abs(kept - 0.9) < 5 * np.sqrt(0.09 / 100_000)  # survivors are scaled by 1 / .9
    assert float(tower(tf.ones((1, 1)))[0, 0]) == pytest.approx(100_000)


def test_dropout_mask_follows_the_seed():
    """Guards against masks that a resumed run would not draw again, and against one mask for all steps."""
    tower = Tower(2, (64, 64, 3), keep=0.5, stddev=1.0)
    x = tf.ones((4, 2))
    same = [tower(x, seed=tf.constant((1, 2))).numpy() for _ in range(2)]
    np.testing.assert_array_equal(*same)
    assert np.abs(same[0] - tower(x, seed=tf.constant((1, 3))).numpy()).max() > 1e-3


def test_tanh_tower(rng):
    """Guards against an output that stays linear where a method wants its activation after every layer."""
    tower = Tower(3, (4, 2), activation=tf.tanh, output_activation=tf.tanh, stddev=1.0)
    x = rng.normal(size=(5, 3)).astype("f")
    (w1, b1), (w2, b2) = [(d.kernels[0].numpy(), d.bias.numpy()) for d in tower.layers]
    np.testing.assert_allclose(tower(tf.constant(x)), np.tanh(np.tanh(x @ w1 + b1) @ w2 + b2), rtol=1e-5, atol=1e-6)


def test_glorot_counts_the_concatenated_width():
    """+-sqrt(6 / (300 + 200 + 100)) = +-.1: guards against a part's own width, which would draw it too wide."""
    for kernel in Dense((300, 200), 100, None, seed=0).kernels:
        values = kernel.numpy()
        assert 0.0999 < np.abs(values).max() <= 0.1
        assert abs(values.std() - 0.1 / np.sqrt(3)) < 1e-3


def test_torch_draws_weights_and_biases_by_the_concatenated_width():
    """+-1 / sqrt(300 + 200) = +-.04472, of variance .0447^2 / 3 = 1 / 1500, as PyTorch's Linear(500, 4000).

    Guards Glorot's bound (.0365 here), a part's own width (.0577), and biases that stay 0 or repeat the weights.
    """
    dense = Dense((300, 200), 4000, None, seed=0, init="torch")
    draws = [v.numpy() for v in (*dense.kernels, dense.bias)]
    for values in draws:
        assert 0.0445 < np.abs(values).max() <= 500**-0.5
        assert values.var() == pytest.approx(1 / 1500, rel=0.05)
        assert abs(values.mean()) < 5 * (1500 * values.size) ** -0.5  # five standard errors
    for i, one in enumerate(draws):
        assert all(np.abs(one.ravel()[:4000] - other.ravel()[:4000]).max() > 1e-3 for other in draws[:i])


def test_torch_draws_by_the_seed():
    """Guards against weights that a run started again would not draw again, and biases that no seed changes."""
    one, same, other = (Tower(4, (5, 3), stddev=None, init="torch", seed=s).get_weights() for s in (1, 1, 2))
    assert all(np.array_equal(a, b) for a, b in zip(one, same, strict=True))
    assert all(np.abs(a - b).max() > 1e-3 for a, b in zip(one, other, strict=True))


def test_reversal_ramp():
    """0, .98661 and .99991 at the start, halfway and the end of a training."""
    assert [float(reversal_ramp(p)) for p in (0.0, 0.5, 1.0)] == pytest.approx([0, 0.986614, 0.999909], abs=1e-6)


@pytest.mark.parametrize("scale", [1.0, 0.5, 0.0])
def test_reversed_gradient(scale):
    """Identity forward, -scale backward; as a number and as a tensor that changes within a graph."""
    x = tf.constant([[1.0, -2.0], [3.0, 0.5]])

    @tf.function
    def gradient(scale):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = reverse_gradient(x, scale)
            loss = tf.reduce_sum(y**2)
        return y, tape.gradient(loss, x)

    for given in (scale, tf.constant(scale)):
        y, dx = gradient(given)
        np.testing.assert_array_equal(y, x)
        np.testing.assert_allclose(dx, -scale * 2 * x)
