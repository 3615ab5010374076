"""The ill-treatment finds what is planted: it must not be a check that cannot fail."""
import pathlib
import random
import signal
import sys
import time

import chaos
import pytest
import scenarios

import tfxmr.__main__


def count(folder="work", careful=True, answer="digits"):
    """A command that writes twenty files; started again it goes on. `careful` ones are whole."""
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    signal.signal(signal.SIGHUP, lambda *_: sys.exit(129))
    try:
        pathlib.Path(folder).mkdir(exist_ok=True)
        for number in range(20):
            path = pathlib.Path(folder) / f"{number}"
            if not path.exists():
                whole = path.with_name(".tmp") if careful else path
                with open(whole, "w") as file:
                    file.write("begun ")
                    file.flush()
                    time.sleep(0.01)
                    file.write(answer)
                whole.replace(path)
    except KeyboardInterrupt:
        return 130
    except OSError as error:
        print(f"tfxmr: error: {error}")
        return 2
    return 0


@pytest.fixture
def treat(tmp_path, monkeypatch):
    """A function that treats a command, a Python function, some times; gives the counts and the exit status' verdict."""
    monkeypatch.setattr(chaos, "_count_steps", lambda shared: None)
    monkeypatch.setattr(scenarios, "make_inputs", lambda folder: folder.mkdir(parents=True))

    def treat_one(treatment, function, readers=(), lives=4):
        monkeypatch.setattr(tfxmr.__main__, "run", lambda: sys.exit(function() if sys.argv[1] == "count" else 0))
        made = chaos.Chaos(tmp_path / "place", tmp_path / "out")
        scenario = scenarios.Scenario("planted", ("count",), readers)
        for life in range(lives):
            treatment(made, scenario, random.Random(life))
        (row,) = made.rows.values()
        return row, chaos.report(made)

    return treat_one


@pytest.mark.parametrize("treatment", [chaos.kill, chaos.fill_disk, chaos.remove_folder, chaos.read_meanwhile])
def test_a_careful_command_has_no_fault(treat, treatment):
    row, good = treat(treatment, count, (("read",),))
    assert good and row["equal"] > 0 and not any(row[name] for name in chaos.FAULTS)
    assert row["kills"] > 0 or treatment is not chaos.kill


def test_half_files_are_found(treat):
    """Guards against kills that come too late or too early to hit a file that is being written."""
    row, good = treat(chaos.kill, lambda: count(careful=False))
    assert row["differences"] > 0 and not good


def test_tracebacks_and_statuses_are_found(treat):
    def count_carelessly():
        signal.signal(signal.SIGTERM, lambda *_: 1 / 0)
        signal.signal(signal.SIGHUP, lambda *_: 1 / 0)
        signal.signal(signal.SIGINT, lambda *_: 1 / 0)
        for _ in range(30):
            time.sleep(0.01)
        return count()

    row, good = treat(chaos.kill, count_carelessly, lives=6)
    assert row["tracebacks"] > 0 and row["wrong status"] > 0 and not good


def test_a_damaged_file_that_is_taken_is_found(treat):
    """Guards against damage that nobody notices counting as equal."""
    row, good = treat(chaos.damage_files, count)
    assert row["differences"] > 0 and not good


def test_steps_that_a_signal_loses_are_counted():
    """Guards against lost steps that are blamed on nobody: 7 steps taken, SIGTERM, on from step 5 of the same training."""
    class Known:
        output = ""

        def __init__(self, first, step, place=1):
            self.shared = [1, place, step, place, first]

    made, row = type("Notes", (), {"note": lambda *_: None})(), chaos.collections.Counter()
    before = chaos._count_lost(made, row, None, Known(0, 7), True, "")
    before = chaos._count_lost(made, row, before, Known(5, 9), False, "")
    assert row["lost steps"] == row["lost to signals"] == 2
    before = chaos._count_lost(made, row, before, Known(6, 9), False, "")  # of a SIGKILL
    assert row["lost steps"] == 5 and row["lost to signals"] == 2
    chaos._count_lost(made, row, before, Known(0, 3, place=2), False, "")  # the next training
    assert row["lost steps"] == 5
