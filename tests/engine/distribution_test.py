"""Strategies: two replicas, or two processes, train as one device does; what cannot be is refused."""
import contextlib
import json
import os
import pathlib
import re
import signal
import socket
import subprocess
import sys
import time

import keras
import numpy as np
import pytest
import tensorflow as tf
from proving.data import METHODS

from tfxmr.__main__ import main
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.engine import distribution
from tfxmr.evaluation import protocol
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run

QUICK = ("danzcr", "deep_sm", "ms2gan")  # dropout; plain gradient descent; losses over pairs of a batch
STEPS = 30
FLAGS = [
    "--model=ms2gan", "--dataset=npz", "--protocol=standard", "--batch_size=17", "--validation_fraction=0.25",
    "--specific_units=300,20", "--shared_units=20", "--learning_rate=1e-3", "--checkpoint_seconds=0", "--patience=0",
    f"--steps={STEPS}",
]


def check_replicas(methods, *crossing):
    """Runs replicas.py and compares one replica with two."""
    script = pathlib.Path(__file__).with_name("replicas.py")
    done = subprocess.run(
        [sys.executable, str(script), ",".join(methods), *crossing], capture_output=True, text=True, timeout=900,
        env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.returncode == 0, done.stderr[-3000:]
    found = json.loads(done.stdout.splitlines()[-1])
    crossed = found.pop("crossing", {})
    assert set(found) == set(methods)
    for name, differences in found.items():
        assert differences["replicas"] == [1, 2] and differences["step"] == 4
        assert differences["moved"] > 1e-4
        for what in ("logs", "weights", "codes"):
            assert differences[what] < 2e-6, (name, what, differences)
    return crossed


def test_two_replicas_are_one():
    """Guards against gradients or losses that depend on the number of replicas, masks that replicas draw by themselves,
    batches in uneven parts, and checkpoints that fit one number of replicas alone."""
    crossed = check_replicas(QUICK, "deep_sm")
    assert set(crossed) == {"one, two", "two, one"} and max(crossed.values()) < 2e-6


@pytest.mark.slow
def test_two_replicas_are_one_in_every_other_method():
    """As above; guards a new method whose weights are used otherwise than through the calls of its towers, too."""
    check_replicas([*sorted(set(registry.names("tfxmr.models")) - set(QUICK)), *METHODS])


@contextlib.contextmanager
def workers(data_dir, run_dir, *flags):
    """Two processes of one training by the command line; yields them, the chief first, and leaves none behind."""
    with socket.socket() as one, socket.socket() as other:
        one.bind(("127.0.0.1", 0))
        other.bind(("127.0.0.1", 0))
        places = ",".join(f"127.0.0.1:{s.getsockname()[1]}" for s in (one, other))
    command = [sys.executable, "-m", "tfxmr", "train", *FLAGS, f"--data_dir={data_dir}", f"--run_dir={run_dir}"]
    command += [*flags, "--strategy=multi_worker", f"--workers={places}"]
    started = [
        subprocess.Popen(
            [*command, f"--worker_index={i}"], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
            env=os.environ | {"PYTHONPATH": os.pathsep.join(sys.path)},
        )
        for i in range(2)
    ]
    try:
        yield started
    finally:
        for process in started:
            process.kill()
            process.wait()


def train_together(data_dir, run_dir, *flags):
    """Trains by two workers to the end. Returns what they printed."""
    with workers(data_dir, run_dir, *flags) as started:
        texts = [process.communicate(timeout=400)[0] for process in started]
    assert [process.returncode for process in started] == [0, 0], texts
    return texts


def networks(run_dir):
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints" / "final" / "networks"))
    names = [n for n in reader.get_variable_to_shape_map() if "networks" in n and "/.ATTRIBUTES/VARIABLE_VALUE" in n]
    assert len(names) > 10
    return {name: reader.get_tensor(name) for name in names}


def results(run_dir):
    found = json.loads((run_dir / "results.json").read_text())
    return {name: found.get(name) for name in ("steps", "selected_step", "metrics")}


def test_two_processes_are_one(data_dir, tmp_path, capsys):
    """Guards against a worker that writes, evaluates, or waits for another for ever; selection is by the chief."""
    assert main(["train", *FLAGS, f"--data_dir={data_dir}", f"--run_dir={tmp_path}/one"]) == 0
    chief, other = train_together(data_dir, tmp_path / "two")
    assert "2 replicas; this is worker 0\n" in chief and f"step {STEPS}/{STEPS}" in chief and "results in" in chief
    assert "this is worker 1, which writes nothing" in other and "step" not in other and "mAP" not in other
    assert {p.name for p in tmp_path.iterdir()} == {"one", "two"}
    assert len(list((tmp_path / "two").glob("events*"))) == 2  # texts and curves, of the chief alone
    assert results(tmp_path / "two")["selected_step"] == results(tmp_path / "one")["selected_step"]
    one, two = networks(tmp_path / "one"), networks(tmp_path / "two")
    for name, value in one.items():
        np.testing.assert_allclose(value, two[name], atol=1e-4, err_msg=name)  # a tenth of one of Adam's steps


@pytest.mark.slow
@pytest.mark.parametrize("victim", [0, 1], ids=["the chief", "the other"])
def test_a_worker_is_killed(victim, data_dir, tmp_path):
    """The survivor ends with a message; both started again end, bit for bit, as two that nothing disturbed."""
    straight = train_together(data_dir, tmp_path / "straight")[0]
    again = train_together(data_dir, tmp_path / "straight")[0]  # finished: guards against a worker that waits for ever
    assert f"step {STEPS}/{STEPS}" not in again and again.endswith(straight[straight.index("task  "):])
    run_dir = tmp_path / "killed"
    with workers(data_dir, run_dir) as started:
        deadline = time.monotonic() + 300
        while not (newest := tf.train.latest_checkpoint(str(run_dir / "checkpoints" / "training"))):
            assert time.monotonic() < deadline and all(process.poll() is None for process in started)
            time.sleep(0.001)
        assert int(newest.rpartition("-")[2]) < STEPS
        os.kill(started[victim].pid, signal.SIGKILL)
        text = started[1 - victim].communicate(timeout=120)[0]
        assert started[1 - victim].returncode == 2 and "another worker is gone. Start all of them again" in text
    assert not (run_dir / "results.json").exists()
    train_together(data_dir, run_dir)
    assert results(run_dir) == results(tmp_path / "straight")
    straight, resumed = networks(tmp_path / "straight"), networks(run_dir)
    for name, value in straight.items():
        np.testing.assert_array_equal(value, resumed[name], err_msg=name)


@pytest.mark.parametrize(("flags", "message"), [
    (["--strategy=multi_worker"], "--workers=HOST:PORT,HOST:PORT --worker_index=0"),
    (["--strategy=multi_worker", "--workers=a:1,b:2"], "--worker_index is missing: give this process's place"),
    (["--strategy=multi_worker", "--workers=a:1,b:2", "--worker_index=2"], "--worker_index=2: .* 0 to 1"),
    (["--worker_index=0"], "need --strategy=multi_worker"),
    (["--logical_devices=2"], "--logical_devices=2: needs --strategy=mirrored"),
])
def test_flags_that_do_not_fit(flags, message, capsys, monkeypatch, tmp_path):
    """Guards against a run that starts alone where the user meant several."""
    monkeypatch.setenv("TF_CONFIG", "{}")
    assert main(["train", "--model=ms2gan", f"--run_dir={tmp_path}/run", *flags]) == 2
    assert re.search(message, capsys.readouterr().err)
    assert not (tmp_path / "run").exists()


def test_too_late(monkeypatch, capsys, tmp_path):
    """Guards against a traceback where TensorFlow was used before the devices were chosen."""
    tf.zeros(1) + 1
    assert main(["train", "--model=ms2gan", f"--run_dir={tmp_path}/run", "--strategy=mirrored", "--logical_devices=3"]) == 2
    assert "--strategy=mirrored: must be set up before TensorFlow is used" in capsys.readouterr().err


def test_what_is_not_distributed_is_refused(make_data, tmp_path, capsys):
    data = make_data()
    with pytest.raises(InputError, match="--strategy=mirrored: closed-form methods, cca among them, do not support"):
        run(CCA, CCASettings(), data, protocol.make("standard", data), tmp_path, RunOptions(strategy="mirrored"))
    assert main(["tune", "--model=ms2gan", f"--run_dir={tmp_path}/run", "--strategy=multi_worker"]) == 2
    assert "a search runs in one process" in capsys.readouterr().err


def test_a_network_that_says_nothing_of_its_rows_is_computed_whole(monkeypatch):
    """Guards against parts of a batch for a layer that couples its rows, such as BatchNorm."""
    dense, own = keras.layers.Dense(2), keras.layers.Dense(2)
    for layer in (dense, own):
        layer.build((None, 3))
    own.row_axis = 0
    assert not distribution.shard({"dense": dense, "own": own})  # one replica: nothing to do
    monkeypatch.setattr(type(tf.distribute.get_strategy().extended), "_num_replicas_in_sync", 2)
    plain = dense.call
    assert distribution.shard({"dense": dense, "own": own}) == set(map(id, own.trainable_variables))
    assert dense.call == plain and own.call != type(own).call.__get__(own)


def test_a_worker_with_other_flags_is_refused(monkeypatch):
    """Guards against a batch of which every worker knows another part."""
    strategy = tf.distribute.get_strategy()
    distribution.require_same(strategy, [{"tau": 1.0}])
    digests = []
    monkeypatch.setattr(distribution, "from_chief", lambda _, value: digests.append(int(value)) or digests[0])
    monkeypatch.setattr(type(strategy), "cluster_resolver", type("Resolver", (), {"task_id": 1}))
    distribution.require_same(strategy, [{"tau": 1.0}])
    distribution.require_same(strategy, [{"tau": 1.0}])
    with pytest.raises(InputError, match="--worker_index=1: settings or features differ"):
        distribution.require_same(strategy, [{"tau": 2.0}])


def test_counted_once_changes_nothing_on_one_device():
    x = tf.Variable([1.0, -2.0])
    with tf.GradientTape() as tape:
        y = distribution.counted_once(x * x)
    np.testing.assert_array_equal(y, [1.0, 4.0])
    np.testing.assert_array_equal(tape.gradient(y, x), [2.0, -4.0])
