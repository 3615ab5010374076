"""Tests of the progress that a training shows; what it logs is tested by run_test.py, read_losses there, too."""
import io
import types

import pytest

from tfxmr.runs import callbacks

LOGS = {"generator/adversarial": 1.5, "generator/l2": 0.25, "discriminator/loss": 0.123456, "generator/gradient_norm": 9.0}


def shown(steps, total, start=0, **terminal):
    """What is printed while the steps `start` to `steps` of `total` are taken."""
    progress, out = callbacks.Progress(total, "danzcr seed 0"), io.StringIO()
    progress.console = callbacks._Console(file=out, width=80, **terminal)
    progress.set_model(types.SimpleNamespace(steps_done=start))
    progress.on_train_begin()
    for step in range(start, steps):
        progress.model.steps_done = step + 1
        progress.on_train_batch_end(step, LOGS)
    progress.on_train_end()
    return out.getvalue()


def test_lines_where_there_is_no_terminal():
    """Guards against a line a step in a log file, a lost last line, and sums that count gradient norms."""
    lines = shown(23, 23).splitlines()
    assert [line.split()[4] for line in lines] == [f"{n}/23" for n in (*range(2, 23, 2), 23)]
    assert lines[-1] == "danzcr seed 0 step 23/23  generator 1.75  discriminator 0.123"


def test_a_resumed_run_shows_where_it_is():
    assert [line.split()[4] for line in shown(8, 10, start=5).splitlines()] == ["6/10", "7/10", "8/10"]


def test_the_bar_fits_into_eighty_columns():
    """Guards against lines that wrap, of which a terminal keeps the half at each step."""
    text = shown(10, 10, force_terminal=True, color_system=None)
    lines = [part for line in text.replace("\x1b[2K", "\n").replace("\r", "\n").splitlines() for part in line.split("\x1b[1A")]
    assert any("10/10" in line for line in lines) and any("generator 1.75  discriminator 0.123" in line for line in lines)
    assert max(map(len, lines)) <= 80


def test_a_closed_pipe_is_the_callers():
    """Guards against rich, which ends the process in `tfxmr train | head` before the training is saved."""
    class Closed(io.StringIO):
        def write(self, text):
            raise BrokenPipeError

    console = callbacks._Console(file=Closed())
    with pytest.raises(BrokenPipeError):
        console.print("a line")
