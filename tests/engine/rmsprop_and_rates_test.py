"""RMSprop as Torch has it, and learning rates, by hand."""
import keras
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine.optimizers import ByStages, InverseDecay, RMSprop


@pytest.mark.parametrize("l2", [0.0, 0.1])
def test_rmsprop_by_hand(l2):
    """Guards against Keras' epsilon under the root: gradients of 1e-9 would move the weights by 1e-5 of the rate."""
    variable = keras.Variable(np.full((1, 2), 0.5, "f"))
    optimizer = RMSprop(0.1, epsilon=1e-8, l2=l2)
    optimizer.build([variable])
    w, v = np.full(2, 0.5), np.zeros(2)
    for gradient in ([1e-7, 2.0], [3e-7, -1.0], [1e-7, 0.5]):
        optimizer.apply([tf.constant([gradient], tf.float32)])
        g = np.array(gradient) + l2 * w
        v = 0.99 * v + 0.01 * g**2
        w = w - 0.1 * g / (np.sqrt(v) + 1e-8)
    np.testing.assert_allclose(variable.numpy()[0], w, rtol=1e-5)


@pytest.mark.parametrize("wrong", [{"momentum": 0.9}, {"centered": True}])
def test_rmsprop_refuses_what_it_would_ignore(wrong):
    with pytest.raises(ValueError, match="omit them"):
        RMSprop(0.1, **wrong)


def test_inverse_decay():
    """Caffe's example: rate .01, gamma 1e-4, power .75."""
    schedule = InverseDecay(0.01)
    np.testing.assert_allclose([schedule(0), schedule(10_000)], [0.01, 0.01 * 2**-0.75], rtol=1e-6)


@pytest.mark.parametrize("rate, expected", [(0.01, [0.001, 0.002]), (InverseDecay(0.01), [0.001 * 2**-0.75, 0.002 * 2**-0.75])])
def test_a_factor_by_stage(rate, expected):
    """.1 up to step 5, .2 from it on; a schedule counts the optimizer's updates, 10,000 here."""
    step = tf.Variable(4, dtype=tf.int64)
    schedule, found = ByStages(rate, step, [5], [0.1, 0.2]), []
    for at in (4, 5):
        step.assign(at)
        found.append(float(schedule(10_000)))
    np.testing.assert_allclose(found, expected, rtol=1e-6)
