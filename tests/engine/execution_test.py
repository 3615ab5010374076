"""Several steps in one call of TensorFlow: what changes is the number of calls alone."""
import keras
import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfxmr.engine import sampling
from tfxmr.evaluation import protocol
from tfxmr.models.ms2gan import MS2GAN, MS2GANSettings
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run

SETTINGS = MS2GANSettings(
    specific_units=(16, 12), shared_units=(12,), batch_size=8, epochs=4, patience=0, learning_rate=1e-3
)
EVERY = {"validation_fraction": 0.2, "log_every": 4, "eval_every": 5, "checkpoint_seconds": 0}


@pytest.fixture
def data(make_data):
    return make_data(classes=6, train=60, test=24)


@pytest.fixture
def counts(monkeypatch):
    """Counts the traces of the step."""
    found, original = [], MS2GAN.train_step

    def train_step(self, batch):
        found.append(tf.executing_eagerly())
        return original(self, batch)

    monkeypatch.setattr(MS2GAN, "train_step", train_step)
    return found


def points(folder):
    """tag -> list of (step, value) of the curves that TensorBoard shows."""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {
        tag: [(e.step, tf.make_ndarray(e.tensor_proto).item()) for e in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
        if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars"
    }


def test_the_result_does_not_depend_on_the_steps_per_execution(data, tmp_path, counts):
    """Bit for bit, with all that callbacks measured, and at the same steps; the step is traced once a training.

    Guards against executions that run past a step at which something is measured, and against retracing.
    """
    rule = protocol.make("standard", data)
    found = {}
    for k in (1, 3, 100):
        folder = tmp_path / str(k)
        results = run(MS2GAN, SETTINGS, data, rule, folder, RunOptions(steps_per_execution=k, **EVERY))
        results = {name: results[name] for name in ("steps", "selected_step", "validation_mAP", "metrics")}
        reader = tf.train.load_checkpoint(str(folder / "checkpoints" / "final" / "networks"))
        names = [n for n in reader.get_variable_to_shape_map() if n.startswith("networks/")]
        found[k] = results, {name: reader.get_tensor(name).tolist() for name in names}, points(folder)
    assert found[1] == found[3] == found[100]
    results, weights, measured = found[1]
    assert len(weights) > 10 and results["steps"] == 4 * 6
    assert [step for step, _ in measured["joint/sd"]] == [4, 8, 12, 16, 20, 24]
    assert [step for step, _ in measured["validation_mAP/average"]] == [6, 12, 18, 24]
    assert [step for step, _ in measured["test_mAP/all image to text"]] == [5, 10, 15, 20]
    assert counts == [False] * 3


def test_executions_end_where_callbacks_act(data, counts):
    """Of 5 steps at most, with something at every 4th and 6th step, from step 3 of a resumed run on."""
    model, ends = MS2GAN(data, SETTINGS), []
    model.compile()
    model.step.assign(3)
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: ends.append((batch, model.steps_done)))
    model.take_steps(sampling.batches(data.splits["train"], 8, 0, 3, 20), [watch], 5, {4, 6})
    assert [done for _, done in ends] == [4, 6, 8, 12, 16, 18, 20] and all(batch == done - 1 for batch, done in ends)
    model.take_steps(sampling.batches(data.splits["train"], 8, 0, 20, 22))  # the same function again
    assert model.steps_done == 22 and counts == [False]


def test_run_eagerly(data):
    """Guards against a loop that only a graph can run: a user who debugs a loss runs eagerly."""
    logs = []
    for eager in (False, True):
        model = MS2GAN(data, SETTINGS)
        model.compile(run_eagerly=eager)
        watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, **found: logs.append(found["logs"]))
        model.take_steps(sampling.batches(data.splits["train"], 8, 0, 0, 2), [watch])
    assert set(logs[0]) == set(logs[2])
    for graph, eager in zip(logs[:2], logs[2:], strict=True):
        np.testing.assert_allclose([graph[n] for n in sorted(graph)], [eager[n] for n in sorted(eager)], rtol=1e-4)
