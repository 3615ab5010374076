"""The steps as one writes them first in TensorFlow: plain Keras layers, one tape an update, all run again for each.

    python benchmarks/steps/naive_tf.py METHOD '{"jit_compile": false}'     (started by training_step.py)

The first layers of the discriminators take concatenated inputs, and the optimiser is keras.optimizers.Adam.
"""
import functools
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # a plain checkout will do
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cases  # noqa: E402
import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

from tfxmr.engine import losses


def network(inputs, units, activation, output=None, stddev=None, rate=0.0):
    """Fully connected layers with dropout between them."""
    normal = "glorot_uniform" if stddev is None else keras.initializers.RandomNormal(0.0, stddev)
    model = keras.Sequential([keras.Input((inputs,))])
    for width in units[:-1]:
        model.add(keras.layers.Dense(width, activation, kernel_initializer=normal))
        if rate:
            model.add(keras.layers.Dropout(rate))
    model.add(keras.layers.Dense(units[-1], output, kernel_initializer=normal))
    return model


class Naive:
    """A contestant: `networks` and `train` are what differs by method.

    Args:
      case: of cases.CASES or cases.SMALL.
      weights: initial weights, network -> arrays, or None.
      jit_compile: of tf.function.
    """

    def __init__(self, case, weights=None, jit_compile=False):
        self.case, self.optimizers = case, {}
        self.nets = self.networks()
        for name, arrays in (weights or {}).items():
            self.nets[name].set_weights(cases.joined(arrays))
        for names in self.updates:
            self.optimizers[names] = keras.optimizers.Adam(beta_1=case["beta_1"], **cases.ADAM)
            self.optimizers[names].build(self.variables(names))
        self.step = tf.function(self.train, jit_compile=jit_compile)

    def variables(self, names):
        """The variables of an update."""
        return [v for name in names for v in self.nets[name].trainable_variables]

    def gradients(self, names, cost):
        """(losses, gradients) of `cost`, a function without arguments."""
        with tf.GradientTape() as tape:
            values = cost()
        return values, tape.gradient(list(values.values()), self.variables(names))

    def apply(self, names, gradients):
        """Makes an update."""
        self.optimizers[names].apply(gradients, self.variables(names))

    def weights(self):
        """Network name -> list of arrays."""
        return {name: net.get_weights() for name, net in self.nets.items()}


class DANZCR(Naive):
    """tfxmr.models.danzcr word for word, eq. 9 and 10 jointly."""

    updates = (("D_FI",), ("D_FT",), ("D_RI",), ("D_RT",), ("G_FI", "G_FT"), ("G_RI", "G_RT", "G_FI", "G_FT"))

    def networks(self):
        """The eight networks."""
        c = self.case
        hidden, judge = c["generator_units"], (*c["discriminator_units"], 1)
        made = {}
        for m, width in zip("IT", c["dims"].values(), strict=True):
            for name, inputs, units, rate in (
                (f"G_F{m}", width, (*hidden, c["word"]), 1 - c["dropout_keep"]),
                (f"G_R{m}", c["word"], (*hidden, width), 1 - c["dropout_keep"]),
                (f"D_F{m}", c["word"] + width, judge, 0.0),
                (f"D_R{m}", width, judge, 0.0),
            ):
                made[name] = network(inputs, units, "relu", None, c["init_stddev"], rate)
        return made

    def train(self, batch):
        """One step. Returns its losses."""
        c, n = self.case, self.nets
        f, word, wrong = {"I": batch["image"], "T": batch["text"]}, batch["word"], batch["wrong"]
        logs = {}

        def generate():
            return {m: n[f"G_F{m}"](f[m], training=True) for m in "IT"}

        def d_f(m, condition):
            return n[f"D_F{m}"](tf.concat((condition, f[m]), -1), training=True)[:, 0]

        def real(z):
            return tf.reduce_mean(losses.real_loss(z))

        def fake(z):
            return tf.reduce_mean(losses.fake_loss(z))

        def recovery(a, b):
            return tf.reduce_mean(losses.recovery(a, b))

        def forward_discriminator(m, o):
            s = generate()
            return {f"D_F/D_F{m}": real(d_f(m, word)) + fake(d_f(m, s[m])) + fake(d_f(m, s[o])) + fake(d_f(m, wrong))}

        def reverse_discriminator(m):
            r = n[f"G_R{m}"](n[f"G_F{m}"](f[m], training=True), training=True)
            return {f"D_R/D_R{m}": real(n[f"D_R{m}"](f[m])[:, 0]) + fake(n[f"D_R{m}"](r)[:, 0])}

        def forward_generators():
            s = generate()
            return {
                "G_F/adversarial": sum(real(d_f(m, s[m])) + real(d_f(m, s[o])) for m, o in ("IT", "TI")),
                "G_F/recovery": c["lambda_f"] * sum(recovery(s[m], word) for m in "IT"),
            }

        def all_generators():
            s = generate()
            r = {m: n[f"G_R{m}"](s[m], training=True) for m in "IT"}
            return {
                "G_R/adversarial": sum(real(n[f"D_R{m}"](r[m])[:, 0]) for m in "IT"),
                "G_R/recovery": c["lambda_r"] * sum(recovery(r[m], f[m]) for m in "IT"),
            }

        costs = [
            lambda: forward_discriminator("I", "T"), lambda: forward_discriminator("T", "I"),
            lambda: reverse_discriminator("I"), lambda: reverse_discriminator("T"), forward_generators, all_generators,
        ]
        for names, cost in zip(self.updates, costs, strict=True):
            values, gradients = self.gradients(names, cost)
            self.apply(names, gradients)
            logs |= values
        return logs


class MS2GAN(Naive):
    """tfxmr.models.ms2gan with a tape for each player (eq. 8 and 9) in place of the reversed gradient."""

    updates = (("specific_image", "specific_text", "shared", "classifier"), ("modality_classifier",))

    def networks(self):
        """The towers and the two classifiers."""
        c = self.case
        width, dims = c["shared_units"][-1], c["dims"]
        return {f"specific_{m}": network(d, c["specific_units"], "tanh", "tanh") for m, d in dims.items()} | {
            "shared": network(width, c["shared_units"], "tanh", "tanh"),
            "classifier": network(2 * width, (c["classes"],), None),
            "modality_classifier": network(
                width, (*c["modality_units"], len(dims)), lambda x: tf.nn.leaky_relu(x, 0.2)
            ),
        }

    def train(self, batch):
        """One step: both players' gradients at the old weights, then both updates. Returns its losses."""
        c, n, labels = self.case, self.nets, batch["label"]

        def features():
            specific = [n[f"specific_{m}"](batch[m]) for m in c["dims"]]
            return specific, [n["shared"](x) for x in specific]

        def adversary(shared):
            logits = tf.stack([n["modality_classifier"](x) for x in shared])
            return tf.reduce_mean(losses.modality_classification(logits))

        def embedding():
            specific, shared = features()
            logits = tf.stack([n["classifier"](tf.concat(p, -1)) for p in zip(specific, shared, strict=True)])
            specific, stacked = tf.stack(specific), tf.stack(shared)
            distances = losses.contrastive_distances(specific, stacked)
            return {
                "joint/sd": tf.reduce_mean(losses.semantic_discrimination(logits, labels)),
                "joint/c": c["alpha"] * losses.contrastive(distances, labels, c["tau"]),
                "joint/lm": c["beta"] * tf.reduce_mean(losses.large_margin(specific, stacked, c["zeta"])),
                "minus adversary": -c["lambda_adv"] * adversary(shared),
            }

        values, first = self.gradients(self.updates[0], embedding)
        adversarial, second = self.gradients(self.updates[1], lambda: {"joint/adv": adversary(features()[1])})
        self.apply(self.updates[0], first)
        self.apply(self.updates[1], second)
        return values | adversarial


NAIVE = {"danzcr": DANZCR, "ms2gan": MS2GAN}


def main(name, arguments):
    """Serves the orders of training_step.py."""
    make = functools.partial(NAIVE[name], **json.loads(arguments))
    runner = cases.Runner(
        lambda: make(cases.CASES[name]), cases.CASES[name], lambda batch: {k: tf.constant(v) for k, v in batch.items()}
    )
    cases.serve({
        "run": runner.run, "check": lambda path: cases.check(lambda weights: make(cases.SMALL[name], weights), path),
    })


if __name__ == "__main__":
    main(*sys.argv[1:])
