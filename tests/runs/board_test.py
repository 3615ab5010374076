"""Tests of the event files of a run, read back by TensorBoard's own readers."""
import subprocess
import sys

import pytest
from tensorboard.backend.event_processing.plugin_event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import metadata
from tensorboard.util.tensor_util import make_ndarray

from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.evaluation import protocol
from tfxmr.runs import board
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run
from tfxmr.runs.tracking import RunFacts


@pytest.fixture
def facts(tmp_path):
    return RunFacts(tmp_path, {"model": "cca", "rate": 0.5}, "two\nlines", "tfxmr train", ("--seed=0",))


def read(folder):
    """(The accumulator, tag -> list of (step, value).)"""
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
    return events, {
        tag: [(e.step, make_ndarray(e.tensor_proto).tolist()) for e in events.Tensors(tag)]
        for tag in events.Tags()["tensors"]
    }


def test_a_closed_form_run_shows_its_results(make_data, tmp_path):
    """Guards against runs without steps that TensorBoard does not list, and against metrics without chance."""
    data = make_data(classes=5, train=60, test=30)
    folder = tmp_path / "run"
    options = RunOptions(validation_fraction=0.2, metrics=("P@5",))
    results = run(CCA, CCASettings(), data, protocol.make("standard", data), folder, options)
    _, points = read(folder)
    assert set(points) == {"command", "protocol"}
    (_, text), = points["command"]
    assert f"tfxmr train --flagfile={folder / 'flags.cfg'}" in text.decode() and "protocol" in text.decode()
    events, points = read(folder / "final")
    for metric in results["metrics"]:
        name = f"{metric['metric']} {metric['task'].replace('->', ' to ')} all"
        assert points[f"final_test/{name}"] == [(0, pytest.approx(metric["value"]))]
        if metric["chance"] is not None:
            assert points[f"final_test_chance/{name}"] == [(0, pytest.approx(metric["chance"]))]
    (_, value), = points["final_validation/mAP average"]
    assert 0 < value <= 1 and not any("test" in name for name in results if "validation" in name)
    start = events.SummaryMetadata(metadata.SESSION_START_INFO_TAG).plugin_data.content
    session = metadata.parse_session_start_info_plugin_data(start)
    assert session.hparams["model"].string_value == "cca" and session.hparams["seed"].number_value == 0
    assert session.hparams["ridge"].number_value == CCASettings().ridge


def test_a_run_that_is_scored_again_has_each_point_once(make_data, tmp_path):
    """Guards against a command that is repeated after a kill, and doubles what TensorBoard shows."""
    data = make_data(classes=5, train=60, test=30)
    rule = protocol.make("standard", data)
    for _ in range(2):
        run(CCA, CCASettings(), data, rule, tmp_path / "run")
        (tmp_path / "run" / "results.json").unlink()
    files = sorted(p.name for p in (tmp_path / "run").rglob("*tfevents*"))
    assert files == ["events.out.tfevents.0.run", "events.out.tfevents.results"]
    for folder in ("run", "run/final"):
        assert all(len(found) == 1 for found in read(tmp_path / folder)[1].values())


def test_a_resumed_run_has_each_step_once(facts):
    """Guards against steps that a killed run took after its last checkpoint, shown beside those of its resumption."""
    for steps in ((10, 20, 30), (20, 30, 40)):
        writer = board.TensorBoard()
        writer.begin(facts)
        for step in steps:
            writer.metrics(step, {"G/loss": step / 10, "D/loss": 1.0})
        writer.close()
    _, points = read(facts.folder)
    assert points["G/loss"] == [(step, step / 10) for step in (10, 20, 30, 40)]
    assert points["command"] == [(0, b"    tfxmr train\n    \n    two\n    lines\n    \n    # flags.cfg\n    --seed=0")]


def test_what_a_kill_left_is_cleared(tmp_path):
    """Guards against a search that cannot go on where a kill fell into the writing of a trial's final metrics."""
    board.write_final(tmp_path, {}, {"final_test/mAP": 0.5}, 0)
    (tmp_path / f"{board.FINAL}.tmp").touch()
    for _ in range(2):
        board.clear_final(tmp_path)
        assert not any(tmp_path.iterdir())


def test_writing_needs_no_tensorflow(tmp_path):
    """Guards against seconds of imports for a closed-form method."""
    code = (
        "import pathlib, sys; from tfxmr.runs import board\n"
        "board.write_final(pathlib.Path(sys.argv[1]), {'seed': 0}, {'final_test/mAP': .5}, 0)\n"
        "assert not {'tensorflow', 'keras'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, tmp_path], check=True)
    assert read(tmp_path / "final")[1]["final_test/mAP"] == [(0, 0.5)]
