"""Tests of `tfxmr tune`, from its arguments to its exit code, what it prints and what it leaves."""
import csv
import json
import re
import shutil

import numpy as np
import pytest
from making import refusal
from tfxmr_flags import parsing

from tfxmr import jobs
from tfxmr.__main__ import main
from tfxmr.jobs import Ended

SECONDS = re.compile(r'"seconds": [0-9.]+|,[0-9.]+,(?=finished)')  # of training, in trial.json and trials.csv
SMALL = ["--specific_units=8,6", "--shared_units=6", "--modality_units=5", "--batch_size=12", "--steps=6"]


@pytest.fixture
def folder(tmp_path, make_data):
    """A folder of --dataset=npz."""
    data, folder = make_data(train=60, test=30, classes=5, noise=1.0), tmp_path / "data"
    folder.mkdir()
    for name, split in data.splits.items():
        np.savez(folder / f"{name}.npz", label=split.labels["image"], **split.features)
    return folder


@pytest.fixture
def tune(folder, tmp_path):
    """The arguments of a search on it."""
    return ["tune", "--model=cca", "--dataset=npz", f"--data_dir={folder}", f"--run_dir={tmp_path}/run",
            "--validation_fraction=0.3", "--protocol=zero_shot"]


def rows(run):
    with open(run / "trials.csv") as file:
        return list(csv.DictReader(file))


def test_tune_and_train_the_best(capsys, tune, tmp_path):
    """The whole way: the declared grid, the table, best.cfg as it is, and the table of runs without the trials."""
    run = tmp_path / "run"
    assert main(tune) == 0
    printed = capsys.readouterr().out
    assert "grid, 36 trials; the full grid has 36 (components 6 x ridge 6)" in printed
    assert "within the validation items of the seen classes" in printed
    found = rows(run)
    assert len(found) == 36 and {r["status"] for r in found} == {"finished"}
    assert (found[0]["components"], found[0]["ridge"]) == ("0", "0.01")  # the defaults
    best = max(found, key=lambda r: float(r["mAP validation"]))
    table = printed[printed.index("\ntrial  "):].splitlines()[2:]
    assert table[0].split()[:3] == [best["trial"], best["components"], best["ridge"]] and table[20].startswith("all 36")
    header = (run / "best.cfg").read_text()
    assert header.startswith("# Best of 36 trials") and f"# Trial:    {best['trial']}, validation mAP" in header
    assert "only trials of a search are there" in refusal(capsys, "compare", str(run))
    assert main(["train", f"--flagfile={run}/best.cfg"]) == 0
    results = json.loads((run / "best/results.json").read_text())
    assert results["flags"]["components"] == f"--components={best['components']}" and len(results["metrics"]) == 4
    capsys.readouterr()
    assert main(["compare", str(run)]) == 0
    assert len(capsys.readouterr().out.splitlines()) == 2
    before = (run / "trials.csv").read_bytes()
    assert main(["tune", f"--flagfile={run}/flags.cfg"]) == 0
    assert (run / "trials.csv").read_bytes() == before and "trial 1/36" not in capsys.readouterr().out


def test_tune_a_neural_method(capsys, tune, tmp_path):
    """Guards against a trial that is no ordinary run: trained again with the best settings, it gives the same figures."""
    tune[1] = "--model=ms2gan"
    search = ["--protocol=standard", "--search=one_factor", "--grid=tau=1,4", "--grid=learning_rate=1e-3;without=sd"]
    assert main([*tune, *SMALL, *search]) == 0
    printed = capsys.readouterr().out
    assert "one_factor, 4 trials; the full grid has 8 (tau 2 x learning_rate 2 x without 2)" in printed
    assert "selected_on validation" in printed and "seen classes" not in printed
    found = rows(tmp_path / "run")
    assert [(r["varied"], r["tau"], r["learning_rate"], r["without"]) for r in found] == [
        ("", "4.0", "0.0001", ""), ("tau", "1.0", "0.0001", ""), ("learning_rate", "4.0", "0.001", ""),
        ("without", "4.0", "0.0001", "sd"),
    ]
    assert {r["selected_step"] for r in found} <= {"3", "6"}
    assert main(["train", f"--flagfile={tmp_path}/run/best.cfg"]) == 0
    best = max(found, key=lambda r: float(r["mAP validation"]))
    results = json.loads((tmp_path / "run/best/results.json").read_text())
    assert [str(results["selected_step"]), str(results["validation_mAP"])] == [best["selected_step"], best["mAP validation"]]


def test_select(tune, folder, tmp_path):
    """Validation selects the step even where the method's default is the last, unless the user says so: best.cfg tells."""
    (folder / "classes.txt").write_text("art\nbiology\nmusic\nroyalty\nsport\n")
    (folder / "words.txt").write_text("5 2\nart 1 2\nbiology 3 1\nmusic 0 1\nroyalty 2 2\nsport 1 0\n")
    tune[1] = "--model=danzcr"
    arguments = [*tune, "--batch_size=8", "--steps=4", "--generator_units=8", "--discriminator_units=8",
                 f"--word_vectors={folder}/words.txt", "--grid=lambda_f=0.1"]
    for name, more in (("validation", []), ("last", ["--select=last"])):
        run = tmp_path / name
        assert main([*arguments, *more, f"--run_dir={run}"]) == 0
        assert (rows(run)[0]["selected_step"] == "") == (name == "last")
        flags, _ = parsing.parse_run("train", [f"--flagfile={run}/best.cfg"])
        assert (flags.select, flags.lambda_f) == (name, 0.1)


def test_a_default_batch_of_small_data(tune, tmp_path):
    """Guards against a best.cfg whose --batch_size is a default that nobody gave and that its data refuse."""
    tune[1:] = ["--model=ms2gan", *tune[2:-1], "--protocol=standard", *SMALL[:3], "--steps=2", "--grid=tau=2"]
    assert main(tune) == 0
    assert "--batch_size=42\n" in (tmp_path / "run/best.cfg").read_text()  # 60 items, 18 of which are held out
    assert main(["train", f"--flagfile={tmp_path}/run/best.cfg"]) == 0


def test_a_failed_trial(capsys, tune, tmp_path):
    """Guards against an exit code that says all is well."""
    arguments = [*tune, "--grid=components=2,3", "--grid=ridge=0,1", "--feature_norm=none"]
    folder = tmp_path / "data"
    for name in ("train", "test"):
        with np.load(folder / f"{name}.npz") as arrays:
            changed = dict(arrays)
        np.savez(folder / f"{name}.npz", **changed | {"text": np.repeat(changed["text"][:, :1], 3, axis=1)})
    assert main(arguments) == 1
    printed = capsys.readouterr().out
    assert "trial 0001 failed: --ridge=0: a covariance of width 3 is singular" in printed
    assert f"2 of 4 trials failed; to try one again, move its trial.json in {tmp_path}/run/trials" in printed
    assert [r["status"] for r in rows(tmp_path / "run")] == ["failed", "finished"] * 2
    assert main(arguments) == 1 and "2 of 4 trials failed" in capsys.readouterr().out


def test_grid_file(capsys, tune, tmp_path):
    """A search does not depend on the file it came from: it may change or go."""
    (tmp_path / "grid.txt").write_text("components = 2, 3  # few\n")
    arguments = [*tune, f"--grid_file={tmp_path}/grid.txt"]
    assert main([*arguments, "--grid=ridge=1,10,100", "--max_trials=4"]) == 0
    assert "grid, 4 trials; the full grid has 6" in capsys.readouterr().out and len(rows(tmp_path / "run")) == 4
    (tmp_path / "grid.txt").write_text("components = 3, 4\n")
    assert main(["tune", f"--flagfile={tmp_path}/run/flags.cfg", "--max_trials=6"]) == 0
    assert len(rows(tmp_path / "run")) == 6
    message = refusal(capsys, *arguments, "--grid=ridge=1,10,100")
    assert "--grid=components=2,3;ridge=1.0,10.0,100.0 there, --grid=components=3,4;ridge" in message
    assert "grid.txt: components is in --grid, too" in refusal(capsys, *arguments, "--grid=components=1")


@pytest.mark.parametrize("arguments, message", [
    (["--grid=components=2,x"], "--grid=components=2,x: components has 'x'; write a whole number"),
    (["--grid=ridge=-1"], "--grid=ridge=-1: --ridge=-1.0: must be >= 0"),
    (["--grid=seed=1,2"], "--grid=seed=1,2: no setting 'seed'; this method has feature_norm, components, ridge"),
    (["--grid=ridge=1", "--grid=ridge=2"], "--grid=ridge=2: ridge is there twice"),
    (["--grid_file=no/such.txt"], "--grid_file=no/such.txt: cannot be read"),
    (["--validation_fraction=0.001"], "--validation_fraction=0.001: leaves 0 of 24 training pairs to hold out"),
    (["--seeds=0..3"], "--seeds=0..3: a search has one --seed"),
    (["--run_dir="], "--run_dir is missing"),
    (["--search=hyperband"], "--search=hyperband: choose one of grid, random, bayesian, one_factor"),
    (["--max_trials=-1"], "--max_trials=-1: must be >= 0"),
])
def test_refuses(capsys, tune, tmp_path, arguments, message):
    """Guards against a slip that is found after the first trials; the folder is not claimed."""
    assert message in refusal(capsys, *tune, *arguments)
    assert not (tmp_path / "run").exists()


def test_a_moved_search_goes_on(tune, tmp_path):
    assert main([*tune, "--max_trials=2"]) == 0
    shutil.move(tmp_path / "run", tmp_path / "moved")
    assert main([*tune, "--max_trials=4", f"--run_dir={tmp_path}/moved"]) == 0
    assert len(rows(tmp_path / "moved")) == 4 and f"{tmp_path}/moved/best" in (tmp_path / "moved/best.cfg").read_text()


@pytest.mark.parametrize("search", ["grid", "random", "one_factor"])
def test_trials_by_calls_of_their_own(capsys, tune, tmp_path, monkeypatch, search):
    """Guards against other trials, or others' results, than those of one process; a trial that fails ends no other."""
    flags = ["--grid=components=2,3", "--grid=ridge=0,1", f"--search={search}", "--max_trials=3",
             "--feature_norm=none", "--components=2", "--ridge=0"]
    for name in ("train", "test"):  # singular, without a ridge
        with np.load(tmp_path / f"data/{name}.npz") as arrays:
            changed = dict(arrays)
        np.savez(tmp_path / f"data/{name}.npz", **changed | {"text": np.repeat(changed["text"][:, :1], 3, axis=1)})
    assert main([*tune, *flags]) == 1
    alone = capsys.readouterr().out.splitlines()[-8:]
    monkeypatch.setattr(jobs, "run", lambda calls, options, folder: [
        Ended(call.name, main(list(call.arguments))) for call in reversed(calls)
    ])
    (tmp_path / "run").rename(tmp_path / "one")
    assert main([*tune, *flags, "--jobs=2"]) == 1
    assert capsys.readouterr().out.splitlines()[-8:] == alone
    for name in ("trials.csv", "best.cfg", "flags.cfg", "trials/0001/flags.cfg", "trials/0003/trial.json"):
        one, two = ((tmp_path / place / name).read_text() for place in ("one", "run"))
        assert SECONDS.sub("", one) == SECONDS.sub("", two), name


def test_trials_that_did_not_end(capsys, tune, tmp_path, monkeypatch):
    """Guards against a summary of trials that a full disk, say, has stopped; the same command makes them."""
    flags = [*tune, "--grid=ridge=0.1,1", "--jobs=2"]
    monkeypatch.setattr(jobs, "run", lambda calls, options, folder: [Ended(call.name, 2, "full") for call in calls])
    message = refusal_of_some(capsys, *flags)
    assert "2 of 2 trials failed:\n  0001: full" in message and "the same command resumes them" in message
    monkeypatch.setattr(jobs, "run", lambda calls, options, folder: None)  # --nowait
    assert main(flags) == 0
    monkeypatch.undo()
    assert main(flags[:-1]) == 0 and len(rows(tmp_path / "run")) == 2
    assert "guesses a trial from those before; omit --jobs" in refusal(
        capsys, *tune, "--grid=ridge=0.1,1", "--search=bayesian", "--jobs=2"
    )
    assert "--trial=0009: no such trial is in" in refusal(capsys, *flags[:-1], "--trial=0009")


def refusal_of_some(capsys, *arguments):
    """Runs a command that must end with code 2; returns what it says."""
    assert main(list(arguments)) == 2
    return capsys.readouterr().err
