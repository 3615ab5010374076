"""Recurrent layers against a slow NumPy loop, and their gradients against finite differences and Keras."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.parts.recurrent import GRU, LSTM, LSTMStack, RecurrentEncoder

SEED = randomness.step_seed(3, 4)
MASK = np.array([[1, 1, 0, 0], [1, 1, 1, 1], [0, 0, 0, 0], [0, 1, 0, 1]], bool)


@pytest.fixture
def x():
    return np.random.default_rng(0).normal(size=(4, 4, 3)).astype("f")


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def slow(layer, x, mask, initial=None):
    """One item and one place at a time."""
    kernel, recurrent, bias = layer.kernel.numpy(), layer.recurrent.numpy(), layer.bias.numpy()
    outputs = np.zeros((*x.shape[:2], layer.units))
    for n in range(len(x)):
        h, c = np.zeros(layer.units) if initial is None else initial[n], np.zeros(layer.units)
        for t in range(x.shape[1]):
            if mask[n, t]:
                z, a = x[n, t] @ kernel + bias, h @ recurrent
                if isinstance(layer, LSTM):
                    i, f, g, o = np.split(z + a, 4)
                    c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                    h = sigmoid(o) * np.tanh(c)
                else:
                    (u, r, new), (ua, ra, na) = np.split(z, 3), np.split(a + layer.recurrent_bias.numpy(), 3)
                    u, r = sigmoid(u + ua), sigmoid(r + ra)
                    h = u * h + (1 - u) * np.tanh(new + r * na)
            outputs[n, t] = h
    return outputs


@pytest.mark.parametrize("kind", [LSTM, GRU])
@pytest.mark.parametrize("traced", [False, True])
def test_recurrent_by_loops(x, kind, traced):
    """Guards the order of the gates, the mask (padding keeps the state), and the initial output."""
    layer = kind(3, 5, seed=1, init="torch")
    call = tf.function(layer) if traced else layer
    initial = np.random.default_rng(1).normal(size=(4, 5)).astype("f")
    for first in (None, initial):
        arguments = {} if first is None else {"initial": tf.constant(first)}
        outputs = call(tf.constant(x), tf.constant(MASK), **arguments)
        assert outputs.shape == (4, 4, 5)
        np.testing.assert_allclose(outputs, slow(layer, x, MASK, first), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(call(tf.constant(x)), slow(layer, x, MASK | True), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_steps_one_by_one_are_the_whole_run(x, kind):
    """Guards against a decoder that generates by another recurrence than it was trained by."""
    layer = kind(3, 5, seed=1, init="torch")
    states = layer.first_states(4)
    for t in range(4):
        states = layer.step(tf.constant(x[:, t]), states)
    np.testing.assert_allclose(states[0], layer(tf.constant(x))[:, -1], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", [LSTM, GRU])
def test_recurrent_gradients_by_finite_differences(x, kind):
    """Guards the hand-made gradient of the recurrent weights, with masks and an initial output; asked for twice."""
    layer = kind(3, 5, seed=1, init="torch")
    initial = tf.Variable(np.random.default_rng(1).normal(size=(4, 5)).astype("f"))
    inputs = tf.Variable(x)
    weight = np.random.default_rng(2).normal(size=(4, 4, 5)).astype("f")

    def value():
        return tf.reduce_sum(layer(inputs, tf.constant(MASK), initial=initial) * weight)

    variables = [inputs, initial, *(w.value for w in layer.trainable_weights)]
    with tf.GradientTape(persistent=True) as tape:
        loss = value()
    gradients = tape.gradient(loss, variables)
    for first, second in zip(gradients, tape.gradient(loss, variables), strict=True):
        np.testing.assert_array_equal(first, second)
    for variable, gradient in zip(variables, gradients, strict=True):
        kept, direction = variable.numpy(), np.random.default_rng(5).normal(size=variable.shape).astype("f")
        ends = []
        for sign in (1, -1):
            variable.assign(kept + sign * 1e-2 * direction)
            ends.append(float(value()))
        variable.assign(kept)
        np.testing.assert_allclose((gradient * direction).numpy().sum(), (ends[0] - ends[1]) / 2e-2, rtol=1e-2, atol=2e-3)


@pytest.mark.parametrize("ours, theirs", [(LSTM, keras.layers.LSTM), (GRU, keras.layers.GRU)])
def test_gradients_are_those_of_keras(x, ours, theirs):
    """Guards the gradient in a traced step to the last digits, by an independent implementation."""
    layer, keras_layer = ours(3, 5, seed=1, init="torch"), theirs(5, return_sequences=True)
    keras_layer.build((4, 4, 3))
    keras_layer.cell.kernel.assign(layer.kernel)
    keras_layer.cell.recurrent_kernel.assign(layer.recurrent)
    bias = layer.bias if ours is LSTM else np.stack((layer.bias, layer.recurrent_bias))
    keras_layer.cell.bias.assign(bias)

    def gradients(layer):
        @tf.function
        def step(x):
            with tf.GradientTape() as tape:
                tape.watch(x)
                loss = tf.reduce_sum(layer(x) ** 3)
            return tape.gradient(loss, [x, *layer.trainable_weights])
        return step(tf.constant(x))

    a, b = gradients(layer), gradients(keras_layer)
    for ours_, theirs_ in zip(a[:3], b[:3], strict=True):
        np.testing.assert_allclose(ours_, theirs_, rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(np.concatenate([np.ravel(g) for g in a[3:]]), np.ravel(b[3]), rtol=1e-4, atol=1e-6)


def test_stack_drops_outputs_by_its_seed(x):
    """Guards against equal masks of two layers, a hidden generator, dropout at retrieval, and outputs at padding."""
    stack, mask = LSTMStack(3, (64, 64), seed=0, keep=0.5), tf.constant(MASK)
    a = stack(tf.constant(x), mask, seed=SEED).numpy()
    np.testing.assert_array_equal(a, stack(tf.constant(x), mask, seed=SEED))
    plain = stack.layers[1](stack.layers[0](tf.constant(x), mask), mask).numpy() * MASK[..., None]
    np.testing.assert_array_equal(stack(tf.constant(x), mask), plain)
    assert not a[~MASK].any() and abs((a[MASK] == 0).mean() - 0.5) < 0.1
    lower = stack.layers[0](tf.constant(x), mask)
    masks = [tf.nn.experimental.stateless_dropout(tf.ones((4, 4, 64)), 0.5, randomness.fold_in(SEED, i)) for i in (0, 1)]
    assert (masks[0].numpy() != masks[1].numpy()).any()
    np.testing.assert_allclose(a, (stack.layers[1](lower * masks[0], mask) * masks[1]).numpy() * MASK[..., None], rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_encoder_takes_the_state_after_the_last_valid_word(x, kind):
    """Guards against a state after padding, and NaN or other than zeros of a sentence without words."""
    encoder = RecurrentEncoder(3, 5, kind=kind, seed=1)
    encoded = encoder(tf.constant(x), tf.constant(MASK)).numpy()
    np.testing.assert_allclose(encoded[0], encoder(tf.constant(x[:1, :2]))[0], rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(encoded[3], encoder(tf.constant(x[3:, 1::2]))[0], rtol=1e-5, atol=1e-6)
    assert not encoded[2].any()
    other = x.copy()
    other[~MASK] = 1e6
    np.testing.assert_array_equal(encoder(tf.constant(other), tf.constant(MASK)), encoded)


def test_initial_weights():
    """Guards the forget gate's bias, the count of parameters that MCSM and VSE++ state, and one seed for all weights."""
    lstm = LSTM(512, 512, seed=0)
    assert lstm.count_params() == 2_099_200
    np.testing.assert_array_equal(lstm.bias.numpy().reshape(4, 512).mean(1), [0, 1, 0, 0])
    gru = GRU(300, 1024, seed=0, init="torch")
    assert gru.count_params() == 4_073_472
    assert all(abs(np.abs(w.numpy()).max() - 1 / 32) < 1e-4 for w in gru.weights)
    assert (gru.bias.numpy() != gru.recurrent_bias.numpy()).all()
    again = LSTM(512, 512, seed=0)
    np.testing.assert_array_equal(lstm.recurrent, again.recurrent)


@pytest.mark.parametrize("kind", ["lstm", "gru"])
def test_sixteen_bits(x, kind):
    """Guards the state in 32 bits and gradients that fit the weights."""
    full, half = RecurrentEncoder(3, 5, kind=kind, seed=1), RecurrentEncoder(3, 5, kind=kind, seed=1, dtype="mixed_bfloat16")
    with tf.GradientTape() as tape:
        output = half(tf.constant(x), tf.constant(MASK))
    assert output.dtype == tf.float32
    np.testing.assert_allclose(output, full(tf.constant(x), tf.constant(MASK)), atol=0.03)
    gradients = tape.gradient(output, half.trainable_weights)
    assert all(g.dtype == tf.float32 and np.isfinite(g).all() for g in gradients)


def test_unknown_kinds_are_refused():
    with pytest.raises(ValueError, match="kind=rnn: must be one of lstm, gru"):
        RecurrentEncoder(3, 5, kind="rnn", seed=0)
    with pytest.raises(ValueError, match="init=he"):
        LSTM(3, 5, seed=0, init="he")
