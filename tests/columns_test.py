"""What cheap commands print on a terminal fits 80 columns, and in a pipe is plain: a guard for every new line."""
import contextlib
import os
import pty
import re
import subprocess
import sys

import numpy as np
import pytest

from tfxmr.__main__ import main
from tfxmr.core import display, registry

DATA = "--dataset=npz --data_dir=npz --word_vectors=npz/words.txt"
ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")


@pytest.fixture(scope="module")
def place(tmp_path_factory, data_dir):
    """A folder in which a run and a series are, made once."""
    folder = tmp_path_factory.mktemp("columns")
    (folder / "npz").symlink_to(data_dir)
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        train = ["train", "--model=cca", *DATA.split(), "--components=2"]
        assert main([*train, "--run_dir=run"]) == 0
        assert main([*train, "--class_split=random", "--seeds=0..1", "--run_dir=halves"]) == 0
    np.save(folder / "texts.npy", np.ones((3, 20), np.float32))
    return folder


@pytest.fixture
def terminal(monkeypatch, capsys, place):
    """Runs a command as on a terminal of 80 columns. Returns its lines, those of both streams."""
    monkeypatch.chdir(place)
    monkeypatch.setattr(display, "is_terminal", lambda stream=None: True)
    monkeypatch.setenv("COLUMNS", "80")

    def run(line):
        with contextlib.suppress(SystemExit):  # of --help
            assert main(line.split()) == 0
        found = capsys.readouterr()
        return [*found.out.splitlines(), *found.err.splitlines()]

    return run


COMMANDS = [
    "--help", "train --model=cca --help", "search --help", "tune --help", "recipes", "train --model=cca --print_config",
    "models", "models cm_gan cbt modality_invariant", "datasets", "datasets scenes nus_wide npz folder",
    f"train --model=cca {DATA} --components=2 --run_dir=run",  # which is finished, and prints its results
    f"train --model=cca {DATA} --components=2 --run_dir=again --protocol=standard --cut=5 --split=random --similarity=dot",
    "evaluate --run_dir=run --protocol=dadn --by_class --metrics=P@10,nDCG@100,11-point",
    "evaluate --run_dir=halves", "compare run", "compare halves run", f"prepare {DATA}", f"describe {DATA}",
    f"tune --model=cca {DATA} --run_dir=search --grid=components=1,2 --grid=ridge=.1,.2 --max_trials=4",
    "index --run_dir=run", "search --run_dir=run --item=image:test/3 --find=text --k=3",
    "encode --run_dir=run --features=texts.npy --modality=text --out=out", "export --run_dir=run",
]


@pytest.mark.parametrize("line", COMMANDS)
def test_eighty_columns(line, terminal):
    """Guards against lines that a terminal breaks in the middle of words and figures."""
    lines = terminal(line)
    assert lines and not [text for text in lines if len(text) > 80]


def test_models_in_eighty_columns(terminal):
    """Guards against names that are cut, and years and views in the wrong column."""
    lines = [text.rstrip() for text in terminal("models")]
    assert lines[:5] == [
        "name                year  modalities  views          zero-shot  paper",
        "acmr                2017  any two     matrices       yes        Wang et al.",
        "c3l                 2019  image-text  image          yes        Peng and Qi",
        "                                      text.words",
        "cbt                 2018  any two     image          yes        Qi and Peng",
    ]
    assert [text.split()[0] for text in lines[1:-2] if text[0] != " "] == registry.names()


def test_one_method_in_full(terminal):
    assert terminal("models cca") == [
        "cca        Canonical correlation analysis (Hotelling 1936; for image-text",
        "           retrieval: Rasiwasia et al., ACM MM 2010)",
        "paper      Hotelling 1936; Rasiwasia et al., ACM MM 2010",
        "modalities any two; two at a time",
        "views      one vector an item",
        "classes    seen and unseen ones (zero-shot); one or several an item",
        "settings   4; `tfxmr train --model=cca --help` lists them",
        "provenance textbook",
    ]


def test_one_data_set_in_full(terminal):
    assert terminal("datasets pascal_sentence")[:6] == [
        "pascal_sentence 1,000 images of 20 classes with five sentences each (Rashtchian",
        "           et al., NAACL-HLT workshop 2010)",
        "image      --image_features=descriptor",
        "text       --text_features=tfidf|counts, by default tfidf",
        "texts      --text_items=joined|sentences, by default joined",
        "splits     --split=800_200|800_100_100, by default 800_200; re-split by",
    ]


@pytest.mark.parametrize("command", ["models", "datasets"])
def test_wrong_words(command, capsys):
    """Guards against a name or flag that is passed over, as if the whole list had been asked for."""
    assert main([command, "nothing"]) == 2 and "there are" in capsys.readouterr().err
    assert main([command, "--all"]) == 2 and "--all" in capsys.readouterr().err


def on_terminal(line, **environment):
    """What a command writes to a terminal, a pseudo-terminal of its own of 80 columns."""
    leader, follower = pty.openpty()
    environment = os.environ | {"COLUMNS": "80", "TERM": "xterm-256color"} | environment
    subprocess.run([sys.executable, "-m", "tfxmr", *line.split()], stdout=follower, check=True, env=environment)
    os.close(follower)
    with open(leader, "rb") as file:
        return os.read(file.fileno(), 2**16).decode()


def test_a_real_terminal():
    """Guards against rows that are no longer where the real thing is asked; NO_COLOR and TERM=dumb ask for less."""
    assert "\x1b[1m" in on_terminal("datasets")  # bold names of columns
    assert not re.search(r"\x1b\[[0-9;]*3\d", on_terminal("datasets", NO_COLOR="1"))
    plain = on_terminal("datasets", TERM="dumb")
    assert not ESCAPE.search(plain) and max(map(len, plain.splitlines())) <= 80 and plain.startswith("name ")


def test_a_pipe_waits_for_no_tables(place):
    """Guards against rich at the top of a module: a tenth of a second for every command that is read by a program."""
    code = (
        "import sys; from tfxmr.__main__ import main\n"
        "for line in ('models', 'datasets', 'compare run', 'models cca', '--help'): main(line.split())\n"
        "sys.exit('rich' in sys.modules)"
    )
    found = subprocess.run([sys.executable, "-c", code], cwd=place, capture_output=True, text=True)
    assert found.returncode == 0 and not ESCAPE.search(found.stdout), found.stderr
