"""What all contestants share: the networks' sizes, the generated data, and the loop that takes orders.

Imports no framework: PyTorch's contestants run where TensorFlow may be absent.
"""
import json
import math
import os
import sys
import time

import numpy as np

ADAM = {"learning_rate": 1e-4, "beta_2": 0.999, "epsilon": 1e-8}
CASES = {  # the methods' defaults, in plain numbers
    "danzcr": {
        "dims": {"image": 4096, "text": 300}, "word": 300, "classes": 10, "generator_units": (4096, 4096),
        "discriminator_units": (4096, 2048), "dropout_keep": 0.9, "init_stddev": 0.02, "lambda_f": 1e-2,
        "lambda_r": 1e-2, "beta_1": 0.9,
    },
    "ms2gan": {
        "dims": {"image": 4096, "text": 3000}, "classes": 10, "specific_units": (1024, 512, 128),
        "shared_units": (128, 128), "modality_units": (64,), "tau": 4.0, "zeta": 4.0, "alpha": 1.0, "beta": 0.1,
        "lambda_adv": 1.0, "beta_1": 0.5,
    },
}
SMALL = {  # for the check that all contestants compute the same
    "danzcr": CASES["danzcr"] | {
        "dims": {"image": 24, "text": 10}, "word": 8, "generator_units": (32, 16), "discriminator_units": (32, 16),
        "dropout_keep": 1.0, "init_stddev": 0.2,
    },
    "ms2gan": CASES["ms2gan"] | {
        "dims": {"image": 24, "text": 10}, "specific_units": (32, 16), "shared_units": (16, 16), "modality_units": (8,),
    },
}
ITEMS = 2173  # of Wikipedia's training split
CHECKED_STEPS, CHECKED_BATCH = 2, 16


def generate(case):
    """Features {modality: (n, d)}, labels (n,) and class vectors (C, e), the same for every contestant."""
    rng = np.random.default_rng(0)
    features = {m: rng.standard_normal((ITEMS, d), np.float32) for m, d in case["dims"].items()}
    vectors = rng.standard_normal((case["classes"], case.get("word", 1)), np.float32)
    return features, (np.arange(ITEMS) % case["classes"]).astype(np.int32), vectors


def first_batch(case, size):
    """The first items as a batch of arrays, with the vectors of their classes ("word") and of others ("wrong")."""
    features, labels, vectors = generate(case)
    batch = {m: x[:size] for m, x in features.items()} | {"label": labels[:size]}
    return batch | {"word": vectors[labels[:size]], "wrong": vectors[(labels[:size] + 1) % case["classes"]]}


def joined(arrays):
    """A tower's weights with the parts of a split first layer (k_0, k_1, b, ...) as one matrix (k, b, ...)."""
    kernels = [a for a in arrays if a.ndim == 2]
    biases = [a for a in arrays if a.ndim == 1]
    split = len(kernels) - len(biases) + 1
    kernels = [np.concatenate(kernels[:split]), *kernels[split:]]
    return [a for pair in zip(kernels, biases, strict=True) for a in pair]


def read_arrays(path):
    """A file's arrays, kind -> owner -> list: "weights/G_FI/0" is [..]["weights"]["G_FI"][0]."""
    found = {}
    with np.load(path) as file:
        for name in file.files:
            kind, owner = name.rpartition("/")[0].split("/", maxsplit=1)
            found.setdefault(kind, {}).setdefault(owner, []).append(file[name])
    return found


def write_arrays(path, **kinds):
    """Writes kind -> owner -> list of arrays, as `read_arrays` reads them."""
    np.savez(path, **{f"{k}/{o}/{i}": a for k, v in kinds.items() for o, arrays in v.items()
                      for i, a in enumerate(arrays)})


def check(make, path):
    """Takes the steps of a reference file, from its weights, on its batches.

    Args:
      make: function of initial weights (network -> arrays) that makes a contestant.
      path: file by ours.Ours.reference.

    Returns:
      Largest relative difference of the first step's losses, and largest difference of the weights after the last
      step, in units of the learning rate.
    """
    reference = read_arrays(path)
    contestant = make(reference["weights"])
    differences = []
    for step in range(CHECKED_STEPS):
        losses = contestant.step({name: arrays[step] for name, arrays in reference["batches"].items()})
        if step == 0:
            for name, (value,) in reference["losses"].items():
                differences.append(abs(float(losses[name]) - value) / max(abs(value), 1e-6))
    after = {name: joined(arrays) for name, arrays in contestant.weights().items()}
    moved = [
        np.abs(a - b).max() for name, arrays in reference["after"].items()
        for a, b in zip(after[name], joined(arrays), strict=True)
    ]
    return {"losses": float(max(differences)), "weights": float(max(moved)) / ADAM["learning_rate"]}


def clocked(run, steps):
    """Runs `run(steps)`. Returns (wall seconds, processor seconds of all threads)."""
    wall, used = time.perf_counter(), time.process_time()
    run(steps)
    return time.perf_counter() - wall, time.process_time() - used


def measured(run, seconds, steps=1, clock=clocked):
    """Takes as many steps as fill some seconds, and forgets shorter attempts.

    Args:
      run: function that takes a number of steps.
      seconds: that a measurement shall take; a single step may take longer.
      steps: first guess of their number.
      clock: function of (run, steps) that returns (wall seconds, processor seconds).
    """
    while True:
        wall, used = clock(run, steps)
        wanted = math.ceil(seconds * steps / max(wall, 1e-6))
        if wall >= 0.7 * seconds or wanted <= steps:
            return {"steps": steps, "wall": wall, "processor": used}
        steps = wanted


class Runner:
    """Measures a contestant that has `step(batch)`, at the sizes of a case, in whatever batch is asked.

    Args:
      make: function without arguments that makes the contestant, when it is first asked to run.
      case: of CASES or SMALL.
      place: function that brings a dict of arrays into the framework.
    """

    def __init__(self, make, case, place):
        self.make, self.case, self.place = make, case, place
        self.contestant, self.steps, self.size, self.batch = None, {}, None, None

    def run(self, size, seconds, mode=""):
        """Measures steps on one resident batch of `size` pairs; the first call of a size takes one step to warm up."""
        self.contestant = self.contestant or self.make()
        if size != self.size:
            self.size, self.batch = size, self.place(first_batch(self.case, size))
        if size not in self.steps:
            self.take(1)
            self.steps[size] = 1
        found = measured(self.take, seconds, self.steps[size])
        self.steps[size] = max(1, round(seconds * found["steps"] / found["wall"]))
        return found

    def take(self, steps):
        """Takes steps one after the other; the last losses are read, so that none is left to do."""
        for _ in range(steps):
            losses = self.contestant.step(self.batch)
        assert all(math.isfinite(float(v)) for v in losses.values()), losses


def serve(handlers):
    """Takes orders, one JSON object a line on standard input, and answers each with one on standard output.

    Args:
      handlers: name of the order -> function of its other entries that returns what JSON can say.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # whatever else is printed must not pass for an answer
    for line in sys.stdin:
        order = json.loads(line)
        answer = handlers[order.pop("order")](**order)
        print(json.dumps(answer), file=answers, flush=True)
