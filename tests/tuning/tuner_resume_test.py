"""A search that is killed and started again ends with the table of one that never stopped, and trains nothing twice."""
import csv
import os
import random
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from tfxmr.__main__ import main

FLAGS = [
    "--model=ms2gan", "--dataset=npz", "--protocol=standard", "--steps=12", "--batch_size=16", "--checkpoint_seconds=0",
    "--validation_fraction=0.25", "--specific_units=8", "--shared_units=8", "--modality_units=4", "--log_every=12",
]
GRID = ["--grid=learning_rate=1e-3,1e-2", "--grid=tau=1,4,400"]


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder of matrices with four classes that are hard to tell apart."""
    folder, rng = tmp_path_factory.mktemp("npz"), np.random.default_rng(0)
    means = {"image": rng.normal(size=(4, 12)), "text": rng.normal(size=(4, 8))}
    for split, n in (("train", 80), ("test", 8)):
        label = np.arange(n) % 4
        features = {m: mean[label] + 2 * rng.normal(size=(n, mean.shape[1])) for m, mean in means.items()}
        np.savez(folder / f"{split}.npz", label=label, **features)
    return folder


def flags(data_dir, run_dir, search):
    return ["tune", *FLAGS, *GRID, *search, f"--data_dir={data_dir}", f"--run_dir={run_dir}"]


@pytest.fixture
def start(data_dir):
    """A function that starts a search in a process of its own; none outlives the test."""
    processes = []

    def start_one(run_dir, search, log):
        processes.append(subprocess.Popen(
            [sys.executable, "-m", "tfxmr", *flags(data_dir, run_dir, search)], stdout=log, stderr=subprocess.STDOUT,
            env=os.environ | {"PYTHONUNBUFFERED": "1"},
        ))
        return processes[-1]

    yield start_one
    for process in processes:
        process.kill()


def kill_when(process, condition, delay):
    """Sends SIGKILL `delay` seconds after the condition holds."""
    deadline = time.monotonic() + 400
    while not condition():
        assert process.poll() is None, "the search ended before it could be killed"
        assert time.monotonic() < deadline
        time.sleep(0.0005)
    time.sleep(delay)
    assert process.poll() is None, "the search ended before it could be killed"
    os.kill(process.pid, signal.SIGKILL)
    process.wait()


def table(run_dir):
    with open(run_dir / "trials.csv") as file:
        return [{name: v for name, v in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def finished(run_dir):
    """The files of trained trials, with all that tells whether they were written again."""
    paths = [p for p in run_dir.glob("trials/*/results.json")]
    paths += [p.with_name("trial.json") for p in paths if '"running"' not in p.with_name("trial.json").read_text()]
    return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in paths}


def check(data_dir, start, folder, search, kills):
    """Searches without a stop, then with kills, pairs (trial in whose course, delay in s); compares both."""
    straight, run_dir = folder / "straight", folder / "run"
    assert main(flags(data_dir, straight, search)) == 0
    kept = {}
    with open(folder / "log", "w+") as log:
        for trial, delay in kills:
            process = start(run_dir, search, log)
            kill_when(process, (run_dir / f"trials/{trial:04d}/checkpoints/training/checkpoint").exists, delay)
            now = finished(run_dir)
            assert now.items() >= kept.items()
            kept = now
        assert 0 < len(kept) < 2 * 6
        assert start(run_dir, search, log).wait(timeout=500) == 0
        log.seek(0)
        lines = log.read().splitlines()
    assert finished(run_dir).items() >= kept.items()
    assert table(run_dir) == table(straight)
    assert len(table(run_dir)) == 6 and len({row["mAP validation"] for row in table(run_dir)}) > 3
    assert not (run_dir / "scratch").exists()
    assert sum(line.startswith("trial 1/6") for line in lines) <= 2  # started, and gone on with if the first kill fell into it
    assert sum("step 12/12" in line for line in lines) <= 6 + len(kills)
    assert (run_dir / "best.cfg").read_text() == (straight / "best.cfg").read_text().replace(str(straight), str(run_dir))


def test_killed_three_times(data_dir, start, tmp_path):
    """Guards against the search of Keras Tuner, which ends in a KeyError or in silence, and against trials made again."""
    rng = random.Random(0)
    check(data_dir, start, tmp_path, ["--search=grid"], [(trial, 0.3 * rng.random()) for trial in (1, 3, 5)])


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["grid", "random", "bayesian"])
@pytest.mark.parametrize("seed", [1, 2])
def test_killed_at_random(data_dir, start, tmp_path, kind, seed):
    """As above, at five moments, some of them before a trial begins or while it is written down."""
    rng = random.Random(seed)
    kills = [(trial, 0.8 * rng.random()) for trial in (1, 2, 3, 4, 5)]
    check(data_dir, start, tmp_path, [f"--search={kind}", "--max_trials=6", f"--seed={seed}"], kills)
