"""MCSM's step at the paper's widths, a branch at a time, beside the same step as one writes it first in plain Keras.

    python benchmarks/steps/mcsm.py [--branch=image] [--words=2904] [--steps=3] [--rounds=3] [--small]

Both start from the same weights and must get the same losses in two steps; then they take turns on one batch. Prints
the seconds of processor time a step of each round, which other work changes little, and how the two compare.
"""
import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # a plain checkout will do

import keras  # noqa: E402
import numpy as np  # noqa: E402
import tensorflow as tf  # noqa: E402

from tfxmr.data import MultiModalData, Split  # noqa: E402
from tfxmr.engine import randomness, sampling
from tfxmr.engine.parts.triplet import different, triplet
from tfxmr.models.mcsm import BRANCHES, MCSM, MCSMSettings, text_windows  # noqa: E402

SMALL = {"joint_units": 12, "image_lstm_units": (8, 8), "text_lstm_units": (8, 8), "text_filters": (8, 8, 8)}
ITEMS, CLASSES, WORD = 80, 10, 300


def made_up(small, words):
    """Data of the paper's shapes, or narrow ones."""
    rng = np.random.default_rng(0)
    sizes = ((6,), (9, 5), (4,)) if small else ((4096,), (49, 512), (300,))
    shapes = zip(("image", "image.regions", "text"), sizes, strict=True)
    features = {view: rng.standard_normal((ITEMS, *shape), np.float32) for view, shape in shapes}
    features["text.words"] = rng.integers(1, 100, (ITEMS, words)).astype(np.int32)  # no padding, which Keras would read
    table = rng.standard_normal((101, WORD), np.float32)
    table[0] = 0
    split = Split.of_pairs(features, np.arange(ITEMS) % CLASSES)
    return MultiModalData("generated", {"train": split}, [], tables={"text.words": table})


class Plain:
    """The step of a branch by layers of Keras, without dropout, on texts without padding."""

    def __init__(self, method, branch):
        self.branch, self.seed = branch, method.seed
        s, own = method.settings, method.networks
        self.table, self.margin = method.table, s.margin
        layers = []
        if branch == "text":
            stages = own["text_convolutions"]
            for convolution, (width, pool) in zip(stages.convolutions, stages.windows, strict=True):
                padding = "same" if stages.same else "valid"
                layers += [
                    keras.layers.Conv1D(convolution.bias.shape[0], width, padding=padding),
                    keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5), keras.layers.ReLU(),
                ] + ([keras.layers.MaxPooling1D(pool)] if pool > 1 else [])
        units = s.image_lstm_units if branch == "image" else s.text_lstm_units
        layers += [keras.layers.LSTM(n, return_sequences=True, implementation=2) for n in units]
        self.sequence = keras.Sequential([*layers, keras.layers.Dense(s.joint_units)])
        self.hidden = keras.layers.Dense(s.joint_units, activation="tanh")
        self.score = keras.layers.Dense(1, use_bias=False)
        sigmoid = "sigmoid" if branch == "text" else None
        self.vector = keras.layers.Dense(s.joint_units, activation=sigmoid)
        self.other = "text" if branch == "image" else "image"
        self.optimizer = keras.optimizers.RMSprop(1e-4, rho=0.99, epsilon=1e-16)
        self.step = tf.function(self.train)

    def take_weights(self, method, batch):
        """Builds all from a batch, with the weights of an MCSM."""
        own, branch = method.networks, self.branch
        self.vectors(batch, False)
        arrays = []
        if branch == "text":
            stages = own["text_convolutions"]
            for convolution, norm in zip(stages.convolutions, stages.norms, strict=True):
                arrays += [
                    convolution.kernel, convolution.bias, norm.gamma, norm.beta, norm.moving_mean, norm.moving_variance,
                ]
        for layer in own[f"{branch}_lstm"].layers:  # Keras has the gates in another order: i, f, g, o is the same
            arrays += [layer.kernel, layer.recurrent, layer.bias]
        (places,) = own[f"{branch}_places"].layers
        self.sequence.set_weights([np.asarray(a) for a in (*arrays, *places.kernels, places.bias)])
        attention, (vector,) = own[f"{branch}_attention"], own[f"{self.other}_vector"].layers
        self.hidden.set_weights([np.asarray(a) for a in (*attention.hidden.kernels, attention.hidden.bias)])
        self.score.set_weights([np.asarray(attention.vector)])
        self.vector.set_weights([np.asarray(a) for a in (*vector.kernels, vector.bias)])
        self.variables = [v for part in (self.sequence, self.hidden, self.score, self.vector)
                          for v in part.trainable_variables]
        self.optimizer.build(self.variables)

    def vectors(self, batch, training=True):
        """(images, texts)."""
        x = batch["image.regions"] if self.branch == "image" else tf.gather(self.table, batch["text.words"])
        h = self.sequence(x, training=training)
        weights = tf.nn.softmax(self.score(self.hidden(h)), axis=1)
        pooled = tf.math.l2_normalize(tf.reduce_sum(weights * h, axis=1), -1)
        vector = tf.math.l2_normalize(self.vector(batch[self.other]), -1)
        return (pooled, vector) if self.branch == "image" else (vector, pooled)

    def train(self, batch, step):
        """One step. Returns its loss."""
        seed = randomness.step_seed(self.seed, tf.cast(step, tf.int64))
        with tf.GradientTape() as tape:
            similarities = tf.matmul(*self.vectors(batch), transpose_b=True)
            allowed, loss = different(batch["label"]), 0.0
            for i, s in enumerate((similarities, tf.transpose(similarities))):
                loss += tf.reduce_mean(triplet(s, allowed, self.margin, "one", randomness.fold_in(seed, 2 + i)))
        self.optimizer.apply(tape.gradient(loss, self.variables), self.variables)
        return loss


def contestants(branch, small, words):
    """(tfxmr's step, plain Keras' step), of a batch and a step, and a batch, after both got the same losses twice."""
    data = made_up(small, words)
    settings = MCSMSettings(**(SMALL if small else {}), dropout_keep=1.0)
    method = MCSM(data, settings)
    method.compile()
    method.enter(BRANCHES.index(branch), data)
    start = method.stage_start
    method.step.assign(start)
    plain, train = Plain(method, branch), tf.function(method.train_step)
    first = True
    for step, batch in enumerate(sampling.stage_batches(method, data, 0, start, start + 2), start):
        if first:
            plain.take_weights(method, batch)
        first = False
        logs = train(batch)
        own, other = sum(float(v) for n, v in logs.items() if "norm" not in n), float(plain.step(batch, step))
        assert abs(own - other) < 1e-3 * abs(own), (own, other)
    return (lambda batch: train(batch)), (lambda batch: plain.step(batch, start)), batch


def measure(step, batch, steps):
    """Seconds of processor time a step."""
    start = time.process_time()
    for _ in range(steps):
        tf.nest.map_structure(lambda x: x.numpy(), step(batch))
    return (time.process_time() - start) / steps


def main(arguments=None):
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--branch", choices=BRANCHES, default="image")
    parser.add_argument("--words", type=int, default=2904, help="of a text; three stages of convolution from 354 on")
    parser.add_argument("--steps", type=int, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="narrow networks")
    options = parser.parse_args(arguments)
    ours, plain, batch = contestants(options.branch, options.small, options.words)
    print(f"{options.branch} branch, {len(text_windows(options.words))} stages of convolution", flush=True)
    rounds = []
    for _ in range(options.rounds):
        rounds.append([measure(step, batch, options.steps) for step in (ours, plain)])
        print(f"seconds a step: tfxmr {rounds[-1][0]:.4f}, plain Keras {rounds[-1][1]:.4f}", flush=True)
    best = np.min(rounds, axis=0)
    print(f"best: tfxmr {best[0]:.4f}, plain Keras {best[1]:.4f}: {best[1] / best[0]:.2f} times as fast")


if __name__ == "__main__":
    main()
