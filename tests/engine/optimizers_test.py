"""The fused Adam and SGD against their equations and Keras' own."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine.optimizers import SGD, Adam


def test_two_steps_by_hand():
    """Kingma and Ba 2015, algorithm 1: guards the bias correction and where epsilon stands."""
    lr, b1, b2, eps = 0.1, 0.9, 0.999, 1e-8
    w, m, v = 1.0, 0.0, 0.0
    x = keras.Variable([1.0])
    adam = Adam(lr, epsilon=eps)
    adam.build([x])
    for t, g in ((1, 0.5), (2, -2.0)):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= lr * np.sqrt(1 - b2**t) / (1 - b1**t) * m / (np.sqrt(v) + eps)
        adam.apply([tf.constant([g])], [x])
        assert float(x.numpy()[0]) == pytest.approx(w, rel=1e-6)


def test_pytorch_epsilon_by_hand():
    """w -= lr / (1 - b1^t) m / (sqrt(v / (1 - b2^t)) + eps), as torch.optim.Adam: guards where epsilon stands.

    With gradients as small as epsilon, the first step is lr / 2; added before the correction, lr / (1 + 32).
    """
    lr, b1, b2, eps = 0.1, 0.5, 0.999, 1e-8
    w, m, v = 0.0, 0.0, 0.0
    x = keras.Variable([0.0])
    adam = Adam(lr, beta_1=b1, epsilon=eps, epsilon_corrected=True)
    adam.build([x])
    for t, g in ((1, 1e-8), (2, -3e-8), (3, 1e-8)):
        m, v = b1 * m + (1 - b1) * g, b2 * v + (1 - b2) * g * g
        w -= lr / (1 - b1**t) * m / (np.sqrt(v / (1 - b2**t)) + eps)
        adam.apply([tf.constant([g])], [x])
        assert float(x.numpy()[0]) == pytest.approx(w, rel=1e-4)
        assert t > 1 or w == pytest.approx(-lr / 2)


def apply_all(optimizer, x, gradients):
    @tf.function
    def step(gradient):
        optimizer.apply([gradient], [x])

    for gradient in gradients:
        step(tf.constant(gradient))


def test_equals_keras_in_a_graph_with_a_schedule():
    """Guards against a step counter or a learning rate that is read once, when the graph is made."""
    gradients = np.random.default_rng(0).normal(size=(20, 3, 4)).astype("f")
    schedule = keras.optimizers.schedules.ExponentialDecay(0.05, 5, 0.5, staircase=True)
    found = []
    for kind in (Adam, keras.optimizers.Adam):
        x = keras.Variable(np.ones((3, 4), "f"))
        optimizer = kind(schedule, epsilon=1e-8)
        optimizer.build([x])
        apply_all(optimizer, x, gradients)
        found.append(x.numpy())
    np.testing.assert_allclose(*found, rtol=1e-5, atol=1e-6)


def test_sgd_by_hand():
    """v <- m v - rate (g + l2 w), w <- w + v: guards against a penalty beside the momentum, and one on biases."""
    rate, m, l2 = 0.1, 0.9, 0.5
    kernel, bias = keras.Variable([[2.0]]), keras.Variable([2.0])
    sgd = SGD(rate, momentum=m, l2=l2)
    sgd.build([kernel, bias])
    w, b, v, u = 2.0, 2.0, 0.0, 0.0
    for g in (0.5, -2.0, 1.0):
        v = m * v - rate * (g + l2 * w)
        w += v
        u = m * u - rate * g
        b += u
        sgd.apply([tf.constant([[g]]), tf.constant([g])], [kernel, bias])
        assert (float(kernel.numpy()[0, 0]), float(bias.numpy()[0])) == pytest.approx((w, b), rel=1e-6)


def test_adam_with_a_penalty():
    """The first step of Adam is the rate times the sign of g + l2 w: at g = 1, w = -4 the penalty of .5 turns it."""
    kernel, bias = keras.Variable([[-4.0]]), keras.Variable([-4.0])
    adam = Adam(0.1, epsilon=1e-8, l2=0.5)
    adam.build([kernel, bias])
    adam.apply([tf.constant([[1.0]]), tf.constant([1.0])], [kernel, bias])
    assert (float(kernel.numpy()[0, 0]), float(bias.numpy()[0])) == pytest.approx((-3.9, -4.1), rel=1e-5)


def test_rising_momentum_by_hand():
    """m_t = .9 - .4 exp(-t / 2), t from 0: guards against a momentum that is read once, or a step too late."""
    x = keras.Variable([1.0])
    sgd = SGD(0.1, momentum=0.9, initial_momentum=0.5, rise=2)
    sgd.build([x])
    gradients, w, v = (0.5, -2.0, 1.0), 1.0, 0.0
    for t, g in enumerate(gradients):
        v = (0.9 - 0.4 * np.exp(-t / 2)) * v - 0.1 * g
        w += v
    apply_all(sgd, x, [[g] for g in gradients])
    assert float(x.numpy()[0]) == pytest.approx(w, rel=1e-6)
