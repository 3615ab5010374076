"""Tests of the progress that a training shows; what it logs is tested by run_test.py, read_losses there, too."""
import io
import re
import types

import pytest

from tfxmr.core import display, progress
from tfxmr.runs import callbacks
from tfxmr.runs.run import ending

LOGS = {"generator/adversarial": 1.5, "generator/l2": 0.25, "discriminator/loss": 0.123456, "generator/gradient_norm": 9.0}
ONE = {"joint/j1": 1.5, "joint/j_two": 0.25, "joint/gradient_norm": 9.0, "shown/accuracy": 0.5}


@pytest.fixture
def shown(monkeypatch, capsys):
    """A function that gives what is printed while steps are taken, each in so many seconds."""
    clock = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: clock[0])
    monkeypatch.setenv("COLUMNS", "80")

    def show(steps, total, start=0, seconds=3.0, logs=LOGS, validation=str):
        told = callbacks.Progress(total, "danzcr seed 0", validation)
        told.set_model(types.SimpleNamespace(steps_done=start, loss_names={"j1": "J1, label space"}))
        told.on_train_begin()
        for step in range(start, steps):
            clock[0] += seconds
            told.model.steps_done = step + 1
            told.on_train_batch_end(step, logs)
        told.on_train_end()
        told.on_train_end()  # as after an error
        return capsys.readouterr().out

    return show


def test_lines_where_there_is_no_terminal(shown):
    """Guards against a line a step in a log file, a lost last line, and sums that count gradient norms."""
    assert shown(23, 23, validation=lambda: "validation mAP 0.412 (best 0.431, epoch 8)").splitlines() == [
        f"danzcr seed 0  step {count}  generator 1.75  discriminator 0.123  validation mAP 0.412 (best 0.431, epoch 8)"
        for count in ("1/23", "11/23  0.333 steps/s  36 s left", "21/23  0.333 steps/s  6 s left", "23/23  0.333 steps/s")
    ]


def test_a_resumed_run_shows_where_it_is(shown):
    """Guards against a speed that counts the steps before the kill."""
    lines = shown(70, 200, start=50, logs=ONE).splitlines()
    assert [line.split()[4] for line in lines] == ["51/200", "61/200", "70/200"]
    assert lines[1] == "danzcr seed 0  step 61/200  0.333 steps/s  6 min 57 s left  J1, label space 1.5  j two 0.25"


def test_the_bar_fits_into_eighty_columns(shown, monkeypatch):
    """Guards against lines that wrap, of which a terminal keeps the half at each step."""
    monkeypatch.setattr(display, "is_terminal", lambda stream=None: True)
    monkeypatch.setenv("TTY_COMPATIBLE", "1")  # for rich: it is a terminal
    monkeypatch.setenv("TERM", "xterm")
    text = shown(1000, 1000, seconds=0.5, validation=lambda: "validation mAP 0.412 (best 0.431, epoch 8)")
    plain = re.sub(r"\x1b\[[0-9;]*m", "", text)
    lines = re.sub(r"\x1b\[[0-9;?]*[A-Za-z]|\r", "\n", plain).split("\n")
    assert any("1000/1000 2 steps/s" in line for line in lines)
    assert any("generator 1.75  discriminator 0.123  validation mAP" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_no_bar_on_a_dumb_terminal(shown, monkeypatch):
    """Guards against cursor movements in Emacs' shell and the like."""
    monkeypatch.setattr(display, "is_terminal", lambda stream=None: True)
    monkeypatch.setenv("TERM", "dumb")
    text = shown(3, 3)
    assert "\x1b" not in text and max(map(len, text.splitlines())) <= 80


def test_a_closed_pipe_is_the_callers(shown, monkeypatch):
    """Guards against `tfxmr train | head` that ends before the training is saved."""
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    monkeypatch.setattr("sys.stdout", Closed())
    with pytest.raises(BrokenPipeError):
        shown(2, 2)
    progress.Progress._active = None


def test_work_within_work_is_silent(shown, capsys, monkeypatch):
    """Guards against an evaluation that draws a bar over that of the training, and quick work that shows one at all."""
    monkeypatch.setattr(progress, "EVERY", 0.0)
    with progress.Progress("outer", total=2) as outer:
        with progress.Progress("inner", total=2) as inner:
            inner.update(1)
        progress.advance(1, "query")
        outer.update(1)
        progress.advance(1, "item")
    assert [line.split()[:3] for line in capsys.readouterr().err.splitlines()] == [["outer", "item", f"{n}/2"] for n in (1, 2)]
    monkeypatch.setattr(progress, "EVERY", 30.0)
    with progress.Progress("quick", total=1) as quick:
        quick.update(1)
    assert capsys.readouterr().err == ""


def test_how_a_training_ended():
    """Guards against an end without its reason: on validation items, by numbers, of results of older versions."""
    whole = {"steps": 600, "total_steps": 600, "seconds": 200.0}
    assert ending(whole) == "600 steps in 3 min 20 s"
    selected = whole | {"steps_per_epoch": 50, "selected_step": 400, "validation_mAP": 0.4312}
    assert ending(selected) == "600 steps in 3 min 20 s, kept epoch 8 (validation mAP 0.431)"
    early = selected | {"total_steps": 5000}
    assert ending(early) == (
        "stopped at epoch 12 of 100 in 3 min 20 s: validation mAP has not risen for 4 epochs (best 0.431 at epoch 8)"
    )
    del early["steps_per_epoch"]
    assert ending(early) == (
        "stopped at step 600 of 5000 in 3 min 20 s: validation mAP has not risen for 200 steps (best 0.431 at step 400)"
    )
    assert ending(early | {"stopped_by": "..."}) == (
        "stopped at step 600 of 5000 in 3 min 20 s: a number is not finite, kept step 400 (validation mAP 0.431)"
    )
    assert ending({"steps": 0, "seconds": 3.2}) == "closed form, 3 s"


@pytest.mark.parametrize(("seconds", "said"), [
    (0.04, "< 0.1 s"), (0.94, "0.9 s"), (0.96, "1 s"), (59.4, "59 s"), (59.6, "1 min"), (200, "3 min 20 s"), (3600, "1 h"),
    (3960, "1 h 6 min"), (86400 * 2 + 3 * 3600, "2 d 3 h"),
])
def test_durations(seconds, said):
    assert display.duration(seconds) == said
