"""CM-GANs' step at the paper's widths, beside the same step as one writes it first in plain Keras.

    python benchmarks/steps/cm_gan.py [--seconds=20] [--rounds=3] [--small]

Both take their first steps from the same weights on the same batches, and must get the same losses; then they take
turns on one batch. Prints the steps a second of each round, and how the two compare.
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
from tfxmr.engine import sampling
from tfxmr.models.cm_gan import CMGAN, CMGANSettings  # noqa: E402

CASES = {  # dims, classes, settings
    False: ({"image": 4096, "text": 300}, 20, {}),
    True: ({"image": 20, "text": 10}, 5, {"hidden_units": 16, "common_units": 12, "inter_units": 8}),
}
OTHER = {"image": "text", "text": "image"}


def block(inputs, units, outputs=0):
    """Dense, BatchNormalization, LeakyReLU, perhaps Dense."""
    layers = [
        keras.Input((inputs,)), keras.layers.Dense(units), keras.layers.BatchNormalization(momentum=0.9, epsilon=1e-5),
        keras.layers.LeakyReLU(0.2),
    ]
    return keras.Sequential(layers + ([keras.layers.Dense(outputs)] if outputs else []))


class Plain:
    """The step of tfxmr.models.cm_gan word for word: every loss runs all that it needs.

    Args:
      dims: modality -> width.
      classes: number of them.
      s: CMGANSettings.
    """

    def __init__(self, dims, classes, s):
        self.nets = {"E2": block(s.hidden_units, s.common_units)}  # in training, each call has its own statistics
        for m, d in dims.items():
            self.nets |= {
                f"E1_{m}": block(d, s.hidden_units), f"R_{m}": block(s.common_units, s.hidden_units, d),
                f"P_{m}": keras.Sequential([keras.Input((s.common_units,)), keras.layers.Dense(classes)]),
                f"D_{m}": keras.Sequential([keras.Input((d,)), keras.layers.Dense(1)]),
                f"CD_{m}": block(s.common_units + d, s.inter_units, 1),
            }
        self.players = {f"{role}_{m}": (f"{role}_{m}",) for role in ("D", "CD") for m in dims}
        self.players |= {f"G_{m}": (f"E1_{m}", "E2", f"R_{m}", f"P_{m}") for m in dims}
        self.optimizers = {p: keras.optimizers.Adam(1e-3, beta_1=0.5, epsilon=1e-8) for p in self.players}
        for player, optimizer in self.optimizers.items():
            optimizer.build(self.variables(player))
        self.step = tf.function(self.train)

    def variables(self, player):
        """Those that a player's update changes."""
        return [v for name in self.players[player] for v in self.nets[name].trainable_variables]

    def take_weights(self, method):
        """Starts from the weights of a CMGAN."""
        for name, net in self.nets.items():
            own = method.networks[name]
            if hasattr(own, "layers"):  # a Tower of one layer
                net.set_weights([own.layers[0].kernels[0], own.layers[0].bias])
                continue
            norm = next(iter(own.norms.values()))
            arrays = [np.concatenate(own.dense.kernels), own.dense.bias, own.gamma, own.beta]
            arrays += [norm.moving_mean, norm.moving_variance]
            net.set_weights(arrays + ([own.last.kernels[0], own.last.bias] if own.last else []))

    def train(self, batch):
        """One step. Returns its losses."""
        n, logs, mean = self.nets, {}, tf.reduce_mean

        def run(name, x):
            return n[name](x, training=True)

        def common(m, x):
            return run("E2", run(f"E1_{m}", x))

        def pair(m, c):
            return run(f"CD_{m}", tf.concat((c, batch[m]), -1))

        def intra(m):
            real, fake = run(f"D_{m}", batch[m]), run(f"D_{m}", run(f"R_{m}", common(m, batch[m])))
            return mean(tf.nn.softplus(-real)) + mean(tf.nn.softplus(fake))

        def inter(m):
            real, other = (pair(m, common(o, batch[o])) for o in (m, OTHER[m]))
            wrong = pair(m, common(m, batch["wrong"][m]))
            return mean(tf.nn.softplus(-real)) + mean(tf.nn.softplus(other)) / 2 + mean(tf.nn.softplus(wrong)) / 2

        def generator(m):
            c = common(m, batch[m])
            told = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], run(f"P_{m}", c))
            fooled = mean(tf.nn.softplus(-run(f"D_{m}", run(f"R_{m}", c))))
            return mean(tf.nn.softplus(-pair(OTHER[m], c))) + fooled + mean(told)

        turns = [(f"{role}_{m}", cost, m) for role, cost in (("D", intra), ("CD", inter)) for m in ("text", "image")]
        for player, cost, m in turns + 5 * [(f"G_{m}", generator, m) for m in OTHER]:
            with tf.GradientTape() as tape:
                logs[player] = cost(m)
            variables = self.variables(player)
            self.optimizers[player].apply(tape.gradient(logs[player], variables), variables)
        return logs


def contestants(small):
    """(tfxmr's step, plain Keras' step, batches), after both took two steps and got the same losses."""
    dims, classes, changes = CASES[small]
    rng, labels = np.random.default_rng(0), np.arange(800) % classes
    features = {m: rng.standard_normal((800, d), np.float32) for m, d in dims.items()}
    data = MultiModalData("generated", {"train": Split.of_pairs(features, labels)}, [])
    settings = CMGANSettings(**changes)
    method, plain = CMGAN(data, settings), Plain(dims, classes, settings)
    method.compile()
    plain.take_weights(method)
    ours = tf.function(method.train_step)
    for batch in sampling.stage_batches(method, data, 0, 0, 2):
        logs, other = ours(batch), plain.step(batch)
        for player, value in other.items():
            own = sum(float(v) for n, v in logs.items() if n.startswith(player) and "norm" not in n)
            assert abs(own - float(value)) < 1e-3 * abs(own), (player, own, float(value))
    return ours, plain.step, batch


def measure(step, batch, seconds):
    """Steps a second over at least some seconds."""
    start, steps = time.perf_counter(), 0
    while (taken := time.perf_counter() - start) < seconds:
        logs = step(batch)
        next(iter(logs.values())).numpy()
        steps += 1
    return steps / taken


def main(arguments=None):
    """Prints the figures."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--small", action="store_true", help="narrow networks")
    options = parser.parse_args(arguments)
    ours, plain, batch = contestants(options.small)
    rounds = []
    for _ in range(options.rounds):
        rounds.append([measure(step, batch, options.seconds) for step in (ours, plain)])
        print(f"steps a second: tfxmr {rounds[-1][0]:.2f}, plain Keras {rounds[-1][1]:.2f}", flush=True)
    best = np.max(rounds, axis=0)
    print(f"best: tfxmr {best[0]:.2f}, plain Keras {best[1]:.2f}, {best[0] / best[1]:.2f} times as fast")


if __name__ == "__main__":
    main()
