"""A run that is killed and started again ends as if it had never stopped, bit for bit."""
import json
import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest
import tensorflow as tf

STEPS = 40
FLAGS = [
    "--model=danzcr", "--dataset=npz", f"--steps={STEPS}", "--batch_size=16", "--generator_units=300,200",
    "--discriminator_units=300,200", "--checkpoint_seconds=0", "--learning_rate=1e-3",
]
SELECTING = [
    "--model=ms2gan", "--dataset=npz", "--protocol=standard", "--epochs=60", "--batch_size=16", "--patience=4",
    "--patience_steps=0",
    "--validation_fraction=0.25", "--specific_units=300,200", "--shared_units=200", "--checkpoint_seconds=0",
    "--learning_rate=1e-3",
]


def start(data_dir, run_dir, flags=FLAGS):
    flags = [*flags, f"--data_dir={data_dir}", f"--word_vectors={data_dir / 'words.txt'}", f"--run_dir={run_dir}"]
    return subprocess.Popen(
        [sys.executable, "-m", "tfxmr", "train", *flags], stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def finish(process):
    output = process.communicate(timeout=300)[0]
    assert process.returncode == 0, output
    return output


def kill_when(process, condition):
    """Sends SIGKILL as soon as the condition holds."""
    deadline = time.monotonic() + 200
    while not condition():
        assert process.poll() is None, f"the run ended before it could be killed:\n{process.communicate()[0]}"
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def step_of(run_dir):
    """The step of the newest whole checkpoint, or 0."""
    newest = tf.train.latest_checkpoint(str(run_dir / "checkpoints" / "training"))
    return int(newest.rpartition("-")[2]) if newest else 0


def networks(run_dir):
    reader = tf.train.load_checkpoint(str(run_dir / "checkpoints" / "final" / "networks"))
    names = [n for n in reader.get_variable_to_shape_map() if "/.ATTRIBUTES/VARIABLE_VALUE" in n and "seconds" not in n]
    return {name: reader.get_tensor(name) for name in names}


def results(run_dir):
    """What results.json tells of a run but for the time and place it took."""
    found = json.loads((run_dir / "results.json").read_text())
    return {name: found.get(name) for name in ("steps", "selected_step", "protocol", "metrics")}


@pytest.fixture(scope="module")
def straight(data_dir, tmp_path_factory):
    """The networks of a run that nothing disturbed."""
    run_dir = tmp_path_factory.mktemp("straight") / "run"
    finish(start(data_dir, run_dir))
    found = networks(run_dir)
    assert len(found) > 40
    return found


def check_equal(one, other):
    assert set(one) == set(other)
    for name, value in one.items():
        np.testing.assert_array_equal(value, other[name], err_msg=name)


def test_killed_twice_in_a_step_and_in_a_checkpoint_write(data_dir, straight, tmp_path):
    """Guards against lost optimizer slots, repeated batches or masks, and half-written checkpoints."""
    run_dir = tmp_path / "run"
    training = run_dir / "checkpoints" / "training"

    process = start(data_dir, run_dir)
    kill_when(process, lambda: step_of(run_dir) >= 5)
    assert 5 <= step_of(run_dir) < STEPS

    before = step_of(run_dir)
    process = start(data_dir, run_dir)
    # A save writes its data under a temporary name first.
    kill_when(process, lambda: step_of(run_dir) > before + 2 and any(training.glob("*temp*/*")))
    assert step_of(run_dir) < STEPS

    output = finish(start(data_dir, run_dir))
    assert f"step {STEPS}/{STEPS}" in output
    check_equal(straight, networks(run_dir))
    assert not training.exists()
    assert (run_dir / "results.json").exists()


def test_killed_between_the_last_step_and_the_results(data_dir, straight, tmp_path):
    """Guards against a run that cannot finish when it was killed while it tidied up."""
    run_dir = tmp_path / "run"
    process = start(data_dir, run_dir)
    final = run_dir / "checkpoints" / "final" / "networks.index"
    kill_when(process, final.exists)
    (run_dir / "results.json").unlink(missing_ok=True)
    finish(start(data_dir, run_dir))
    check_equal(straight, networks(run_dir))
    assert pathlib.Path(run_dir / "results.json").exists()


def test_killed_while_it_selects_on_validation(data_dir, tmp_path):
    """Guards against best weights, their value or the count of epochs without a better one lost by a kill.

    Killed in the patience after the best step, and between the early end and the results: a training that ended
    before its last step must not go on.
    """
    straight, run_dir = tmp_path / "straight", tmp_path / "run"
    finish(start(data_dir, straight, SELECTING))
    expected = results(straight)
    assert 0 < expected["selected_step"] == expected["steps"] - 4 * 3 < 60 * 3  # three steps an epoch, patience 4

    process = start(data_dir, run_dir, SELECTING)
    kill_when(process, lambda: step_of(run_dir) > expected["selected_step"] + 3)
    assert step_of(run_dir) < expected["steps"]
    process = start(data_dir, run_dir, SELECTING)
    kill_when(process, (run_dir / "checkpoints" / "final" / "networks.index").exists)
    (run_dir / "results.json").unlink(missing_ok=True)
    finish(start(data_dir, run_dir, SELECTING))
    assert results(run_dir) == expected
    check_equal(networks(straight), networks(run_dir))
