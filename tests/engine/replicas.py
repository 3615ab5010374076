"""Trains methods by one replica and by two, which must be chosen before TensorFlow starts; prints the differences.

A program of its own, for distribution_test.py: python replicas.py METHOD,METHOD prints a JSON dict, method -> differences.
"""
import dataclasses
import json
import pathlib
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parents[1]))

from proving import data as proving_data  # noqa: E402

from tfxmr.core import registry
from tfxmr.engine import distribution, sampling
from tfxmr.runs.checkpoints import Checkpoints
from tfxmr.runs.job import needed
from tfxmr.runs.options import RunOptions
from tfxmr.testing import quick  # noqa: E402

TWO = distribution.start(RunOptions(strategy="mirrored", logical_devices=2))
ONE = distribution.start(RunOptions())
DATA = proving_data.make()
STEPS = 4
SPECIAL = {
    "danzcr": {"dropout_keep": 0.7},
    "deep_sm": {"dropout_keep": 0.7},
    "acmr": {"gamma": 10.0},  # the loss of the weights themselves counts
    # Few correlations, else all are 1; the last biases have no gradient but rounding, which Adam would magnify.
    "dcca": {"batch_size": 41, "units": (12, 3), "optimizer": "sgd", "learning_rate": 0.1},
    "c3l": {"gan_rate": 0.05},  # biases below a normalisation, whose rounding Adam makes steps
    "mcsm": {"optimizer": "sgd", "learning_rate": 0.1, "steps": 2},  # biases below a normalisation, as below
    "cbt": {"policy_stddev": 1.0},  # rewards of samples that hardly differ have rounding for an advantage
    "proving.staged:Staged": {"stage_steps": 1, "steps": 2},
    "proving.tokens:WordsLSTM": {"optimizer": "sgd", "learning_rate": 0.1},  # a bias below a normalisation, likewise
}


class Logs:
    """Keeps every execution's logs."""

    def __init__(self):
        self.found = []

    def callback(self):
        import keras

        return keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: self.found.append(logs))


def make(name, strategy):
    method = registry.get(name)
    # an odd batch, so that the replicas have parts of different sizes
    settings = dataclasses.replace(quick(method), **({"batch_size": 9, "steps": STEPS} | SPECIAL.get(name, {})))
    data = needed(method, proving_data.of(method, DATA))
    with strategy.scope():
        made = method(data, settings, 0)
    made.data = data
    made.compile(steps_per_epoch=6)
    return made


def fit(model, start, stop):
    logs = Logs()
    for number in range(model.stage_number, len(model.stages)):
        model.enter(number, model.data)
        begin, end = max(start, model.stage_start), min(stop, model.stage_start + model.stage.steps)
        if begin < end:
            model.take_steps(sampling.stage_batches(model, model.data, 0, begin, end), [logs.callback()])
    return logs.found


def weights(model):
    return [v.numpy() for variables in model.network_state().values() for v in variables]


def gap(one, other):
    return float(max(np.abs(a - b).max() for a, b in zip(one, other, strict=True)))


def encoded(model):
    """Arrays of what the model makes of the test images."""
    made = model.encode("image", model.data.splits["test"].of("image"))
    return list(made.values()) if isinstance(made, dict) else [made]


def compare(name):
    """The largest relative difference of a logged value and of a weight (absolute if less than 1), and how far training
    went."""
    one, two = make(name, ONE), make(name, TWO)
    before = weights(one)
    logs = [fit(model, 0, STEPS) for model in (one, two)]
    assert [set(step) for step in logs[0]] == [set(step) for step in logs[1]] and len(logs[0]) == STEPS
    values = [[step[name] for step in found for name in sorted(step)] for found in logs]
    moved = gap(before, weights(one))
    return {
        "replicas": [m.distribute_strategy.num_replicas_in_sync for m in (one, two)],
        "logs": max(abs(a - b) / (abs(a) + 1e-3) for a, b in zip(*values, strict=True)),
        "weights": gap(weights(one), weights(two)) / max(1.0, moved),
        "moved": moved,
        "codes": gap(*map(encoded, (one, two))),
        "step": two.steps_done,
    }


def crossing(name):
    """Differences of two trainings that change the number of replicas in the middle from one that does not."""
    straight = make(name, ONE)
    fit(straight, 0, STEPS)
    found = {}
    for before, after in ((ONE, TWO), (TWO, ONE)):
        with tempfile.TemporaryDirectory() as folder:
            first, second = make(name, before), make(name, after)
            saved = Checkpoints(pathlib.Path(folder), first)
            assert not saved.restore()  # makes the folder
            fit(first, 0, STEPS // 2)
            saved.save()
            assert Checkpoints(pathlib.Path(folder), second).restore() and second.steps_done == STEPS // 2
            fit(second, STEPS // 2, STEPS)
        found["one, two" if before is ONE else "two, one"] = gap(weights(straight), weights(second))
    return found


if __name__ == "__main__":
    result = {name: compare(name) for name in sys.argv[1].split(",")}
    for name in sys.argv[2:]:
        result["crossing"] = crossing(name)
    print(json.dumps(result))
