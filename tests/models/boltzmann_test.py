"""Boltzmann machines against the derivative of their free energy, hand-worked steps, and what they must learn."""
import numpy as np
import pytest
import tensorflow as tf

from tfxmr import randomness
from tfxmr.data import MultiModalData, Split
from tfxmr.errors import InputError
from tfxmr.features.normalisation import statistics
from tfxmr.models._boltzmann import RECIPES, Machine, kind_of, optimizer_of
from tfxmr.models.corr_ae import CorrAE, CorrAESettings
from tfxmr.training import sampling

SEED = tf.constant([1, 2], tf.int32)


def make_machine(kind, inputs=5, units=4):
    machine = Machine(inputs, units, kind, seed=0)
    rng = np.random.default_rng(0)
    for v in machine.trainable_variables:
        v.assign(rng.normal(size=v.shape) * 0.5)
    return machine


def make_batch(kind, rows=6, inputs=5):
    rng = np.random.default_rng(1)
    x = {"gaussian": rng.normal(size=(rows, inputs)), "binary": rng.random((rows, inputs)),
         "counts": rng.integers(0, 6, (rows, inputs))}[kind]
    return tf.constant(x, tf.float32)


@pytest.mark.parametrize("kind", RECIPES)
def test_gradients_are_those_of_the_free_energy(kind, monkeypatch):
    """d/dw of the mean of (F(v) - F(v')) / D with v' held fixed, F from its definition: guards signs and D."""
    machine, v = make_machine(kind), make_batch(kind)
    reached = []
    monkeypatch.setattr(machine, "down", lambda *args: reached.append(Machine.down(machine, *args)) or reached[-1])
    _, gradients = machine.contrast(v, SEED)
    words = tf.reduce_sum(v, axis=1, keepdims=True) if kind == "counts" else tf.ones((6, 1))

    def energy(x):
        hidden = tf.math.softplus(x @ machine.kernel.value + words * machine.hidden_bias)
        own = tf.reduce_sum((x - machine.visible_bias) ** 2 / 2 if kind == "gaussian" else -x * machine.visible_bias, 1)
        return own - tf.reduce_sum(hidden, 1)

    with tf.GradientTape() as tape:
        cost = tf.reduce_mean((energy(v) - energy(tf.stop_gradient(reached[0]))) / words[:, 0])
    expected = tape.gradient(cost, [w.value for w in machine.trainable_variables])
    q = np.clip(machine.activity.numpy(), 0.01, 0.99)  # the pull to a sparse activity comes on top
    expected[1] += machine.recipe.sparsity * (q - 0.2) / (q * (1 - q))
    for found, wanted in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)


def test_pull_to_a_sparse_activity_by_hand():
    """All h = 1/2 at zero weights: q = .1 * .5 = .05, pull .01 (.05 - .2) / (.05 * .95) = -.0315789."""
    machine = Machine(2, 3, "binary", seed=0)
    machine.kernel.assign(np.zeros((2, 3)))
    _, (_, hidden, _) = machine.contrast(tf.constant([[1.0, 0.0], [0.0, 1.0]]), SEED)
    np.testing.assert_allclose(machine.activity.numpy(), 0.05, rtol=1e-6)
    np.testing.assert_allclose(hidden, -0.0315789, rtol=1e-4)


def test_the_pull_is_bounded():
    """A unit that is always on: q = .1 after a step, .99 at most; its pull .01 (.99 - .2) / (.99 * .01) = .798."""
    machine = Machine(2, 3, "binary", seed=0)
    machine.hidden_bias.assign([50.0] * 3)
    for _ in range(100):
        _, (_, hidden, _) = machine.contrast(tf.zeros((4, 2)), SEED)
    np.testing.assert_allclose(machine.activity.numpy(), 1, rtol=1e-4)
    np.testing.assert_allclose(hidden, 0.797980, rtol=1e-5)


def test_down_by_hand():
    h = tf.constant([[1.0, 0.0]])
    for kind, expected in (("gaussian", [1.0, 3.0]), ("binary", [0.7310586, 0.9525741]), ("counts", [0.4768117, 3.5231883])):
        machine = Machine(2, 2, kind, seed=0)
        machine.kernel.assign([[1.0, 5.0], [2.0, 5.0]])
        machine.visible_bias.assign([0.0, 1.0])
        np.testing.assert_allclose(machine.down(h, 4.0)[0], expected, rtol=1e-6)


def train(data, steps, kind):
    machine = Machine(4, 8, kind, seed=1)
    if kind == "gaussian":
        mean, deviation = statistics(data.splits["train"].features["text"], "zscore")
        machine.mean.assign(mean)
        machine.scale.assign(1 / deviation)
    optimizer, weights = optimizer_of(machine, "sgd"), machine.trainable_variables
    optimizer.build(weights)

    @tf.function
    def step(x, number):
        optimizer.apply(machine.contrast(x, randomness.step_seed(0, number))[1], weights)

    for number, batch in enumerate(sampling.batches(data.splits["train"], 50, 0, 0, steps)):
        step(batch["text"], tf.constant(number))
    return machine


def patterns(kind):
    """Two kinds of items, in image and text."""
    rng, labels = np.random.default_rng(0), np.arange(100) % 2
    if kind == "counts":
        rates = np.array([[9, 9, 1, 1], [1, 1, 9, 9]])[labels]
        features = {m: rng.poisson(rates) for m in ("image", "text")}
    else:
        means = np.array([[0.9, 0.9, 0.1, 0.1], [0.1, 0.1, 0.9, 0.9]])[labels]
        features = {m: np.clip(means + 0.05 * rng.normal(size=means.shape), 0, 1) for m in ("image", "text")}
    return MultiModalData("patterns", {"train": Split.of_pairs(features, labels)}, ["a", "b"])


@pytest.mark.parametrize("kind, steps", [("binary", 300), ("gaussian", 3000), ("counts", 300)])
def test_learns_to_tell_patterns_apart(kind, steps):
    """What it makes of an item resembles that item more than one of the other kind; at random weights it does not."""
    data = patterns(kind)
    machine, x = train(data, steps, kind), data.splits["train"].features["text"]
    v = machine.visible(tf.constant(x))
    made = machine.down(machine.up(v), machine.words(v))
    expected = machine.down(machine.up(tf.reverse(v, [1])), machine.words(v))  # of the item of the other kind

    def apart(a):
        return float(tf.reduce_mean((a - v) ** 2))

    assert apart(made) < 0.5 * apart(expected)


def test_gaussian_machines_scale_features_to_the_training_items():
    """Guards against unit-variance machines on features of any size; a constant column must stay finite."""
    rng = np.random.default_rng(0)
    x = rng.normal(5, 3, size=(60, 4))
    x[:, 2] = 7
    data = MultiModalData("scaled", {"train": Split.of_pairs({"image": x, "text": x}, np.arange(60) % 3)}, [])
    model = CorrAE(data, CorrAESettings(rbm_pretrain=True, rbm_units=(3,), batch_size=20))
    model.enter(0, data)
    scaled = model.networks["machine_image_0"].visible(tf.constant(x, tf.float32)).numpy()
    np.testing.assert_allclose(scaled.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(scaled.std(axis=0), [1, 1, 0, 1], atol=1e-5)


def test_negative_counts_are_refused(make_data):
    model = CorrAE(make_data(), CorrAESettings(rbm_pretrain=True, rbm_counts="text", batch_size=20))
    with pytest.raises(InputError, match=r"--rbm_counts=text: text features below 0"):
        model.enter(0, make_data())


def test_kinds():
    assert [kind_of("text", level, ("text",)) for level in (0, 1)] == ["counts", "binary"]
    assert [kind_of("image", level, ("text",)) for level in (0, 1)] == ["gaussian", "binary"]
