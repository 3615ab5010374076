"""Tests of calls that are made at once: told apart, none ends another, a signal reaches all, and each saves."""
import dataclasses
import io
import json
import os
import signal
import subprocess
import sys
import threading
import time

import pytest

from tfxmr import jobs
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.core.stopping import Stopped
from tfxmr.jobs import Call, Ended, JobsOptions, processes
from tfxmr.jobs.calls import THREADS, environment


@dataclasses.dataclass(frozen=True)
class Script(Call):
    """A call that runs Python code in place of tfxmr."""

    @property
    def command(self):
        """The interpreter with the code."""
        return [sys.executable, "-c", self.arguments[0]]


def run(*codes, count=2):
    """(How each ended, lines of the outputs, lines of the errors) of calls a, b, ..."""
    out, err = io.StringIO(), io.StringIO()
    ended = processes.run([Script(name, (code,)) for name, code in zip("abc", codes, strict=False)], count, out, err)
    return ended, out.getvalue().splitlines(), err.getvalue().splitlines()


def test_lines_are_told_apart_and_a_failure_ends_no_other():
    fails = "import sys; print('tfxmr: error: --x=1: wrong', file=sys.stderr); sys.exit(2)"
    ended, out, err = run(fails, "print('fine')", "import os; os.kill(os.getpid(), 9)")
    assert [(e.name, e.status) for e in ended] == [("a", 2), ("b", 0), ("c", -9)]
    assert [e.message for e in ended] == ["--x=1: wrong", "", "ended by SIGKILL"]
    assert out == ["[b] fine"] and err == ["[a] tfxmr: error: --x=1: wrong"]


def test_no_more_at_once_than_asked(tmp_path):
    """Guards against all being started: each notes how many others run."""
    code = (f"import os, time; p = {str(tmp_path)!r} + f'/{{os.getpid()}}'; open(p, 'w').close(); time.sleep(.1); "
            f"print(len(os.listdir({str(tmp_path)!r}))); os.remove(p)")
    _, out, _ = run(code, code, code, count=1)
    assert [line[4:] for line in out] == ["1", "1", "1"]


def test_cores_are_divided_unless_the_environment_says_otherwise(monkeypatch):
    for name in THREADS:
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("OMP_NUM_THREADS", "7")
    monkeypatch.setattr(processes, "cores", lambda: 8)
    _, out, _ = run("import os; print(os.environ['OMP_NUM_THREADS'], os.environ['TF_NUM_INTRAOP_THREADS'])", "pass")
    assert out == ["[a] 7 4"]
    assert environment(3)["OPENBLAS_NUM_THREADS"] == "3" and "OPENBLAS_NUM_THREADS" not in environment()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_all_and_each_saves(tmp_path, number):
    """Guards against children that outlive the command, and against an end before they have saved."""
    code = ("import pathlib, signal, sys, time\n"
            f"def save(n, _): time.sleep(.3); pathlib.Path({str(tmp_path)!r}, f'NAME{{n}}').touch(); sys.exit(1)"
            f"\nsignal.signal({int(number)}, save); print('ready', flush=True); time.sleep(60)")
    out = io.StringIO()

    def stop():
        while out.getvalue().count("ready") < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), number)

    def handler(number, frame):
        raise Stopped(number)

    before = signal.signal(number, handler)
    try:
        threading.Thread(target=stop).start()
        with pytest.raises(Stopped):
            processes.run([Script(name, (code.replace("NAME", name),)) for name in "abc"], 2, out, io.StringIO())
    finally:
        signal.signal(number, before)
    assert sorted(p.name for p in tmp_path.iterdir()) == [f"a{int(number)}", f"b{int(number)}"]


@pytest.mark.parametrize(("flags", "told"), [
    ({"jobs": "0"}, "--jobs=0: give a number"), ({"jobs": "two"}, "--jobs=two: give a number"),
    ({"nowait": True}, "--nowait: goes with --jobs=slurm"),
    ({"slurm_options": "--mem=8G", "jobs": "2"}, "--slurm_options: goes with --jobs=slurm"),
    ({"slurm_options": "'", "jobs": "slurm"}, "--slurm_options=': No closing quotation"),
])
def test_options_that_are_refused(flags, told):
    with pytest.raises(InputError) as error:
        JobsOptions(**flags)
    assert str(error.value).startswith(told)


@pytest.mark.parametrize(("arguments", "told"), [
    (["train", "--jobs=2", "--run_dir=r"], "--jobs=2: this is one run; add --seeds=0..9, or omit --jobs"),
    (["train", "--jobs=2", "--run_dir=r", "--seeds=0,1", "--strategy=multi_worker"], "--strategy=multi_worker: its"),
    (["compare", "r", "--jobs=2"], "--jobs=2: there is no flagfile to train; omit it"),
])
def test_commands_that_make_one_run_refuse_jobs(capsys, arguments, told):
    assert main(arguments) == 2
    assert told in capsys.readouterr().err


def contents(folder):
    """Relative path -> content of what does not depend on the time."""
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_file() and "events" not in path.name and path.name != ".lock":
            content = path.read_bytes()
            if path.suffix == ".json" and path.name != "encoder.json":
                content = json.dumps({k: v for k, v in json.loads(content).items() if k != "seconds"}).encode()
            found[str(path.relative_to(folder))] = content.replace(str(folder).encode(), b"RUN")
    return found


SERIES = ["train", "--model=cca", "--dataset=npz", "--protocol=standard", "--seeds=0..1", "--split=random"]


@pytest.fixture
def in_process(monkeypatch):
    """Makes the calls in this process, which has imported everything: what a call asks for is tested in no time."""
    def run(calls, options, folder):
        return [Ended(call.name, main(list(call.arguments)), "told") for call in calls]

    monkeypatch.setattr(jobs, "run", run)


def same_folders(one, two):
    """True if two folders hold the same to the bit."""
    one, two = contents(one), contents(two)
    return one.keys() == two.keys() and [name for name in one if one[name] != two[name]] == []


def test_seeds_by_calls_of_their_own_are_those_of_one(in_process, data_dir, tmp_path, capsys):
    """Guards against calls whose flags.cfg, draws or summary are others; one that fails is named, the others stay."""
    flags = [*SERIES, f"--data_dir={data_dir}"]
    assert main([*flags, f"--run_dir={tmp_path}/one"]) == 0
    summary = capsys.readouterr().out.splitlines()[-2:]
    (tmp_path / "two").mkdir()
    (tmp_path / "two/seed_1").write_text("in the way")
    assert main([*flags, "--jobs", "2", f"--run_dir={tmp_path}/two"]) == 1
    err = capsys.readouterr().err
    assert "1 of 2 seeds failed:\n  seed_1: told" in err and "this is a file" in err
    (tmp_path / "two/seed_1").unlink()
    (tmp_path / "own.cfg").write_text("--jobs=2\n")  # as a flagfile may say for all its runs
    assert main([flags[0], f"--flagfile={tmp_path}/own.cfg", *flags[1:], f"--run_dir={tmp_path}/two"]) == 0
    assert capsys.readouterr().out.splitlines()[-2:] == summary and "±" in "".join(summary)
    assert same_folders(tmp_path / "one", tmp_path / "two")


def test_compare_by_calls_of_their_own(in_process, data_dir, tmp_path, capsys):
    """The table is that of the runs that ended; the one that failed is named."""
    for method in ("cca", "sm"):
        (tmp_path / f"{method}.cfg").write_text(f"--model={method}\n--dataset=npz\n--data_dir={data_dir}\n")
    (tmp_path / "table").mkdir()
    (tmp_path / "table/sm").write_text("in the way")
    files = [f"{tmp_path}/cca.cfg", f"{tmp_path}/sm.cfg"]
    command = ["compare", *files, f"--run_dir={tmp_path}/table", "--jobs=2", "--protocol=standard", "--seeds=0..1"]
    assert main(command) == 1
    captured = capsys.readouterr()
    assert "2 of 4 runs failed:\n  sm/seed_0: told\n  sm/seed_1: told" in captured.err
    assert "cca" in captured.out and "results in" not in captured.out  # the table alone


@pytest.mark.slow
def test_processes_make_the_runs_of_one(data_dir, tmp_path, capsys, monkeypatch):
    """What `in_process` takes for granted, with processes that each import TensorFlow; all of one thread, which rounds."""
    for name in THREADS:
        monkeypatch.setenv(name, "1")
    flags = [*SERIES, f"--data_dir={data_dir}"]
    subprocess.run([sys.executable, "-m", "tfxmr", *flags, f"--run_dir={tmp_path}/one"], check=True)
    assert main([*flags, "--jobs=2", f"--run_dir={tmp_path}/two"]) == 0
    assert any(line.startswith("[seed_1] method ") for line in capsys.readouterr().out.splitlines())
    assert same_folders(tmp_path / "one", tmp_path / "two")
