"""tfxmr as a user gets it: method.compile() and fit, on the real input pipeline or on one resident batch.

    python benchmarks/steps/ours.py METHOD '{"jit_compile": false}'     (started by training_step.py)
"""
import functools
import json
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[2]))  # a plain checkout will do
sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cases  # noqa: E402
import numpy as np  # noqa: E402


def memory(which="VmHWM"):
    """Bytes of this process: VmHWM, its most, or VmRSS, its present resident memory; 0 where /proc does not tell."""
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(1024 * int(line.split()[1]) for line in lines if line.startswith(which))


AT_START = memory()

import keras  # noqa: E402
import tensorflow as tf  # noqa: E402

import tfxmr  # noqa: E402, F401
from tfxmr.core import registry  # noqa: E402
from tfxmr.data.multimodal import MultiModalData, Split  # noqa: E402
from tfxmr.engine import randomness, sampling  # noqa: E402

AT_IMPORT = memory()


class Clock(keras.callbacks.Callback):
    """Times a fit from its first batch to its last, without the preparation of the pipeline and the graph."""

    def on_train_begin(self, logs=None):
        """Starts before the first batch."""
        self.start = time.perf_counter(), time.process_time()

    def on_train_batch_end(self, batch, logs=None):
        """Takes the time after every batch."""
        self.taken = time.perf_counter() - self.start[0], time.process_time() - self.start[1]
        assert all(np.isfinite(v) for v in logs.values()), logs


class Ours:
    """A method of tfxmr, compiled, on generated data.

    Args:
      name: of the method.
      case: of cases.CASES or cases.SMALL.
      arguments: of method.compile.
    """

    def __init__(self, name, case, arguments=None):
        features, labels, vectors = cases.generate(case)
        self.split = Split.of_pairs(features, labels)
        data = MultiModalData("generated", {"train": self.split}, [f"class {c}" for c in range(len(vectors))], vectors)
        method = registry.get(name)
        settings = {k: v for k, v in case.items() if k in method.Settings.__dataclass_fields__}
        settings["learning_rate"] = cases.ADAM["learning_rate"]
        self.case, self.method, self.steps, self.size = case, method(data, method.Settings(**settings)), {}, None
        self.method.compile(**(arguments or {}))

    def run(self, size, seconds, mode):
        """Measures steps of fit; mode "fit" reads batches as training does, "resident" repeats one."""
        self.resize(size)
        if size not in self.steps:
            self.fit(1, mode)
            self.steps[size] = 1
        found = cases.measured(lambda n: self.fit(n, mode), seconds, self.steps[size], lambda run, n: run(n))
        self.steps[size] = max(1, round(seconds * found["steps"] / found["wall"]))
        return found

    def resize(self, size):
        """Sets the batch size of `fit`; its graph is made anew, else it would be one for batches of any size."""
        if size != self.size:
            self.size = size
            self.method.make_step_function()

    def fit(self, steps, mode):
        """Trains for some steps. Returns (wall seconds, processor seconds)."""
        clock, start = Clock(), int(self.method.step)
        batches = sampling.batches(self.split, self.size, 0, start, start + steps)
        if mode == "resident":
            batches = tf.data.Dataset.from_tensors(next(iter(batches))).repeat(steps)
        self.method.fit(batches, callbacks=[clock])
        return clock.taken

    def read(self, size, seconds):
        """Measures the input pipeline alone."""
        def pull(steps):
            for _ in range(steps):
                next(iterator)

        iterator = iter(sampling.batches(self.split, size, 0, 0, 10**9))
        pull(1)
        return cases.measured(pull, seconds)

    def profile(self, size, repeats=3):
        """Seconds a step of DANZCR's parts, each alone, and of the whole step: Adam, gradient norms, dropout."""
        method = self.method
        zeros = {p: [tf.zeros(v.shape) for v in method.variables_of(p)] for p in method.players}

        @tf.function
        def adam():
            for player, gradients in zeros.items():
                method.player_optimizers[player].apply(gradients, method.variables_of(player))

        @tf.function
        def norms():
            return [tf.linalg.global_norm(gradients) for gradients in zeros.values()]

        widths = self.case["generator_units"] * 8  # four passes of two modalities
        hidden = [tf.ones((size, width)) for width in widths]

        @tf.function
        def dropout():
            return [tf.reduce_sum(tf.nn.experimental.stateless_dropout(x, 0.1, (0, i))) for i, x in enumerate(hidden)]

        found = {}
        for name, part in {"Adam": adam, "gradient norms": norms, "dropout": dropout}.items():
            part()
            wall, used = cases.clocked(lambda n, part=part: [part() for _ in range(n)], repeats)
            found[name] = {"wall": wall / repeats, "processor": used / repeats}
        self.resize(size)
        self.fit(1, "resident")
        wall, used = self.fit(repeats, "resident")
        return found | {"step": {"wall": wall / repeats, "processor": used / repeats}}

    def peak_memory(self, size, steps=3):
        """Bytes: the most this process held at the start, after the imports, now; and what the step has to hold."""
        self.resize(size)
        self.fit(steps, "fit")
        weights = 4 * sum(v.shape.num_elements() for n in self.method.networks.values() for v in n.trainable_variables)
        slots = 4 * sum(v.shape.num_elements() for o in self.method.player_optimizers.values() for v in o.variables)
        data = sum(x.nbytes for x in self.split.features.values())
        return {
            "start": AT_START, "imported": AT_IMPORT, "peak": memory(), "weights": weights, "gradients": weights,
            "slots": slots, "data": data,
        }

    def reference(self, path):
        """Takes the first steps, and writes weights, batches and losses for cases.check."""
        before = self.weights()
        batches, losses = {}, {}
        for step in range(cases.CHECKED_STEPS):
            batch = cases.first_batch(self.case, cases.CHECKED_BATCH)
            if hasattr(self.method, "other_labels"):
                seed = randomness.fold_in(randomness.step_seed(self.method.seed, self.method.step), 0)
                others = self.method.other_labels(tf.constant(batch["label"]), seed)
                batch["wrong"] = tf.gather(self.method.class_embeddings, others).numpy()
            logs = self.method.train_step({m: tf.constant(batch[m]) for m in (*self.case["dims"], "label")})
            for name, array in batch.items():
                batches.setdefault(name, []).append(array)
            if step == 0:
                losses = {n: [np.float32(v)] for n, v in logs.items() if not n.endswith("gradient_norm")}
        cases.write_arrays(path, weights=before, batches=batches, losses=losses, after=self.weights())

    def weights(self):
        """Network name -> list of arrays."""
        return {name: [v.numpy() for v in net.trainable_variables] for name, net in self.method.networks.items()}


def main(name, arguments):
    """Serves the orders of training_step.py."""
    @functools.cache
    def make(small):
        return Ours(name, (cases.SMALL if small else cases.CASES)[name], json.loads(arguments))

    def handler(order):
        return lambda **entries: getattr(make(order == "reference"), order)(**entries)

    cases.serve({order: handler(order) for order in ("run", "read", "profile", "peak_memory", "reference")})


if __name__ == "__main__":
    main(*sys.argv[1:])
