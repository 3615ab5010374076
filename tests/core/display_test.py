"""Tests of what is printed: folded and in tables that fit 80 columns of a terminal, whole lines elsewhere."""
import re
import shlex
import sys
import warnings

import pytest

from tfxmr.core import display
from tfxmr.core.progress import Progress
from tfxmr.reports.tables.formats import Marked
from tfxmr.reports.tables.rows import show, to_text

METRICS = [
    {"task": "image->text", "classes": "unseen", "metric": "mAP", "value": 0.314, "low": 0.290, "high": 0.338,
     "chance": 0.107, "queries": 200, "gallery": 800},
    {"task": "average", "classes": "harmonic mean", "metric": "mAP", "value": 0.291, "low": None, "high": None,
     "chance": 0.107, "queries": None, "gallery": None},
]
COLUMNS = [f"mAP {task} {group}" for group in ("unseen", "seen") for task in ("image->text", "text->image", "average")]
RUNS = [
    {"method": "cca class_split=random", "dataset": "scenes", "runs": 10}
    | {column: Marked(0.3 + number / 100, "a" * (number > 2), 0.012) for number, column in enumerate(COLUMNS)},
]


@pytest.fixture
def terminal(monkeypatch, capsys):
    """Makes the standard output a terminal of 80 columns. Returns a function that gives the lines that it shows."""
    monkeypatch.setattr(display, "is_terminal", lambda stream=None: True)
    monkeypatch.setenv("COLUMNS", "80")
    return lambda: [line.rstrip() for line in capsys.readouterr().out.splitlines()]


def test_a_table_on_a_terminal(terminal):
    """Guards against the metrics of a run, the table seen most, that wrap in 80 columns."""
    show(METRICS, "*  with the best weights before this: " + "numbers that are not finite " * 3)
    assert terminal() == [
        "task         classes       metric  value    low   high  chance  queries  gallery",
        "image->text  unseen        mAP     0.314  0.290  0.338   0.107      200      800",
        "average      harmonic      mAP     0.291                 0.107",
        "             mean",
        "*  with the best weights before this: numbers that are not finite numbers that",
        "   are not finite numbers that are not finite",
    ]


def test_columns_that_find_no_room(terminal):
    """Guards against figures that are cut or folded: columns of a wide table follow below, with the names of the rows."""
    show(RUNS, "a  cut 50 instead of none")
    assert terminal() == [
        "                                             mAP             mAP",
        "                                     image->text     text->image     mAP average",
        "method              dataset  runs         unseen          unseen          unseen",
        "cca                 scenes     10  0.300 ± 0.012   0.310 ± 0.012   0.320 ± 0.012",
        "class_split=random",
        "",
        "                             mAP image->text   mAP text->image",
        "method              dataset             seen              seen  mAP average seen",
        "cca                 scenes   0.330 ± 0.012 a   0.340 ± 0.012 a   0.350 ± 0.012 a",
        "class_split=random",
        "a  cut 50 instead of none",
    ]


def test_columns_stand_closer_where_that_is_enough(terminal):
    """Guards against a last column alone in a table below, and names in brackets that rich takes for markup."""
    row = METRICS[0] | {"task": "shape3d->audio", "classes": "[bold] seen and unseen", "metric": "precision@10", "gallery": 300000}
    show([row])
    assert terminal() == [
        "task           classes     metric       value   low  high chance queries gallery",
        "shape3d->audio [bold] seen precision@10 0.314 0.290 0.338  0.107     200  300000",
        "               and unseen",
    ]


def test_a_table_in_a_pipe(capsys):
    """Guards against escape codes, boxes and folded lines in what grep and scripts read: a line a row, of any length."""
    show(RUNS, "a  cut 50 instead of none")
    lines = capsys.readouterr().out.splitlines()
    assert lines == to_text(RUNS, "a  cut 50 instead of none").splitlines() and len(lines) == 3
    assert re.split(" {2,}", lines[0]) == ["method", "dataset", "runs", *COLUMNS]
    assert re.split(" {2,}", lines[1])[:4] == ["cca class_split=random", "scenes", "10", "0.300 ± 0.012"]


def test_lines_are_folded_between_words():
    """Guards against paths and commands in two pieces, which nobody can paste, and against lost spaces of a label."""
    text = f"dataset    {'words ' * 5}`tfxmr models NAME` /a/path/{'x' * 40} end\n\nshort  line"
    assert display.fold(text, 40, 11).splitlines() == [
        "dataset    words words words words words", "           `tfxmr models NAME`", f"           /a/path/{'x' * 40}",
        "           end", "", "short  line",
    ]


def test_a_command_to_go_on_with(terminal, monkeypatch, capsys):
    """Guards against a folded command that a shell does not take, and against one that a script has to put together."""
    words = ["tfxmr", "train", "--dataset=features", "--features=a folder", "--run_dir=a folder_run", "--word_vectors=FILE"]
    display.say_next("in a folder", shlex.join(words))
    first, *lines = terminal()
    assert first == "in a folder;" and max(map(len, lines)) <= 80 and len(lines) == 2
    assert shlex.split("\n".join(lines).replace("\\\n", "")) == words
    display.say_next("in a folder", "no method reads image.maps alone")
    assert terminal() == ["in a folder; no method reads image.maps alone"]
    monkeypatch.setattr(display, "is_terminal", lambda stream=None: False)
    display.say_next("in a folder", shlex.join(words))
    assert capsys.readouterr().out == f"in a folder; {shlex.join(words)}\n"


def test_warnings_are_lines_of_the_program(terminal, monkeypatch):
    """Guards against warnings that show users a file and a line of the source."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    display.show_warnings()
    text = warnings.formatwarning(UserWarning("words " * 15), UserWarning, "a/file.py", 3)
    assert text == f"tfxmr: warning: {'words ' * 9}words\n  words words words words words\n"


HOSTILE = "a\x1b[2J\x07b\r\x9bc\u202egnp.exe\udcffé"
SHOWN = r"a\x1b[2J\x07b\r\x9bc\u202egnp.exe\udcffé"


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize("show_it", [
    display.say, lambda name: display.say_command(f"tfxmr train {shlex.quote(name)}"), lambda name: display.say_next(name, "tfxmr train"),
    lambda name: show([{"id": name, "score": 0.5}]),
    lambda name: print(to_text([{"id": name}])), lambda name: Progress("x", stream=sys.stdout).__enter__().say(name),
    lambda name: Progress(name, log=True, stream=sys.stdout).__enter__().update(1), lambda name: print(warnings.formatwarning(name, UserWarning, "", 1)),
], ids=["line", "command", "next", "table", "text", "beside", "progress", "warning"])
def test_names_do_not_order_a_terminal_about(show_it, live, monkeypatch, capsys):
    """Guards against names of files and of members of archives that clear a screen, ring, or turn the direction of letters."""
    monkeypatch.setattr(display, "is_terminal", lambda stream=None: live)
    monkeypatch.setattr(Progress, "_live", lambda self: False)
    monkeypatch.setattr(Progress, "_active", None)
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setenv("COLUMNS", "80")
    display.show_warnings()
    show_it(HOSTILE)
    assert SHOWN in capsys.readouterr().out.replace("'", "")
