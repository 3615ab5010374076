"""Help, recipes, completion and printed configurations: what somebody meets before anything is trained."""
import io
import os
import pathlib
import re
import shutil
import subprocess
import sys

import pytest
import tfxmr_flags
from tfxmr_flags import parsing, recipes

from tfxmr import commands
from tfxmr.__main__ import main
from tfxmr.commands import completion
from tfxmr.core import display, registry, settings
from tfxmr.core.names import closest
from tfxmr.reports.tables.options import CompareOptions


@pytest.fixture
def printed(capsys, monkeypatch):
    """A function that runs a command in a terminal of a width, and gives what it prints; its status must be `status`."""
    def run(*arguments, columns=80, status=0):
        monkeypatch.setenv("COLUMNS", str(columns))
        try:
            found = main([*arguments])
        except SystemExit as stop:
            found = stop.code
        said = capsys.readouterr()
        assert found == status, said
        return said.out if not status else said.err

    return run


@pytest.mark.parametrize("command", commands.names())
@pytest.mark.parametrize("whole", ["--help", "--helpfull"])
def test_help_fits_the_terminal(command, whole, printed):
    """Guards against lines that a terminal breaks, and against a flag that --helpfull does not explain."""
    for columns in (80, 60):
        lines = printed(command, whole, columns=columns).splitlines()
        # What cannot be broken: a long flag with its default.
        assert [line for line in lines if len(line) > columns and not re.fullmatch(r" *--\S+", line)] == []
        assert lines[0].startswith(f"tfxmr {command}")
    if whole == "--helpfull":
        text = "\n".join(lines)
        assert [n for n in completion.flags_of(command) if not re.search(rf"^  --(no)?{n}\b", text, re.MULTILINE)] == []


HELPS = """
import contextlib, importlib, io, sys
from tfxmr import commands
def helped(run):
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        run()
    return out.getvalue()
quick = {name: helped(lambda: commands.run(name, ["--helpfull"])) for name in commands.names()}
heavy = {"tensorflow", "keras", "matplotlib", "sklearn", "tensorboard", "pyarrow", "flask"} & {*sys.modules}
assert not heavy, heavy
for name in commands.names():
    assert len(quick[name]) > 100 and quick[name] == helped(lambda: commands._main(name, ["--helpfull"])), name
"""


def test_help_is_the_same_without_libraries():
    """Guards against help that waits for figures, a server or TensorFlow, and help that is not the command's own."""
    done = subprocess.run([sys.executable, "-c", HELPS], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_help_says_whose_the_flags_are(printed):
    """Guards against a method's flags among a hundred others, and defaults or ranges that are not the method's."""
    text = printed("train", "--model=dscmr", "--help")
    heads = re.findall(r"^(\S.*(?:\n\S.*)*)\n  --(?:no)?(\w+)", text, re.MULTILINE)
    assert heads[0][0] == "Settings of DSCMR; the defaults are those of the authors' code (Zhen et al.,\nCVPR 2019)"
    assert [first for _, first in heads[:3]] == ["epochs", "steps", "model"]  # its own, the common ones, every run's
    assert "--epochs=500 " in text and "--alpha=0.001 " in text and "J2. (>= 0.0)" in text
    assert "--select=validation     Weights that are kept. (one of last, validation)" in text
    assert "Adam is" not in text and len(text.splitlines()) < 140
    scoring = re.search(r"how it is scored: .*\n.*\n((  .*\n)+)", text)[1].split()
    assert "--cut" in scoring and "--class_split" not in scoring
    whole = printed("train", "--model=dscmr", "--helpfull")
    assert all(word in whole and word not in text for word in ("--cut=", "sqrt(6"))
    other = printed("train", "--model=sm", "--help")
    assert "--alpha" not in other and "--steps=" not in other and "--penalty" in other
    scored = printed("train", "--model=deep_sm", "--help")
    assert "--representation=probabilities\n" in scored and "logits. (`tfxmr evaluate`" in scored
    assert printed("evaluate", "--help").index("--noby_class") < printed("evaluate", "--help").index("--protocol")


def test_help_of_a_method_that_says_nothing(printed, tmp_path, monkeypatch):
    """Guards against the dataclass's generated docstring as a heading."""
    lines = ["import dataclasses", "from tfxmr.baselines.base import BaselineSettings", "from tfxmr.baselines.sm import SM",
             "from tfxmr.core.settings import setting", "@dataclasses.dataclass(frozen=True)", "class S(BaselineSettings):",
             "    penalty: float = setting(1.0, 'P.')", "class Own(SM):", "    Settings = S", "    paper = 'none'"]
    (tmp_path / "silent_method.py").write_text("\n".join(lines))
    monkeypatch.chdir(tmp_path)
    monkeypatch.syspath_prepend(tmp_path)
    assert "Settings of silent_method:Own (none)\n  --penalty=1.0" in printed("train", "--model=silent_method:Own", "--help")


RECIPES = [*recipes.paths()]


def test_recipes_are_whole():
    """Guards against a flagfile whose name another one has, which cannot be had, or that says neither value nor time."""
    folder = pathlib.Path(tfxmr_flags.__path__[0])
    assert len(RECIPES) == len([*folder.glob("*/*.cfg")]) > 150
    for recipe in map(recipes.read, RECIPES):
        assert recipe.about and recipe.facts["Time"] and f"tfxmr {recipe.command} " in recipe.facts["Command"]
        assert (recipe.model in registry.names() and recipe.facts["Expected"]) or recipe.command == "extract", recipe


def test_recipes_are_listed(printed, monkeypatch):
    text = printed("recipes", "scenes", "danzcr")  # to a pipe, a line each
    assert re.search(r"^danzcr_scenes +\.377/\.384 unseen, .*; about 20 minutes", text, re.MULTILINE)
    assert "cca" not in text and "wikipedia" not in text
    assert [line.split()[0] for line in printed("recipes").splitlines()] == RECIPES
    monkeypatch.setattr(display, "is_terminal", lambda *_: True)
    text = printed("recipes", "scenes", "danzcr", columns=70)
    assert re.search(r"^scenes\n  danzcr_scenes +\.377/\.384 unseen, .*\n +five seeds\); about 20 ", text, re.MULTILINE)
    assert max(map(len, text.splitlines())) <= 70
    assert printed("recipes", "danzcr_scenes") == recipes.find("danzcr_scenes").read_text()
    assert "tfxmr recipes wikipdia: there is none (did you mean wikipedia" in printed("recipes", "wikipdia", status=2)


@pytest.mark.parametrize("command", ["train", "tune"])
def test_a_recipe_is_a_flagfile(command, printed, tmp_path, monkeypatch):
    """Guards against recipes that only a checkout has, and against one that overrides the flags after it."""
    monkeypatch.chdir(tmp_path)
    for recipe in (["--recipe=cca_scenes"], ["--recipe", "cca_scenes"]):
        by_name = printed(command, *recipe, "--seed=3", "--print_config")
        assert by_name == printed(command, f"--flagfile={recipes.find('cca_scenes')}", "--seed=3", "--print_config")
        assert "\n--model=cca\n" in by_name and "\n--seed=3\n" in by_name
    (tmp_path / "mine.cfg").write_text("--recipe=cca_scenes\n--components=3\n")
    assert "\n--components=3\n" in printed(command, "--flagfile=mine.cfg", "--print_config")
    assert "no such recipe (did you mean cca_scenes or " in printed(command, "--recipe=cca_scene", status=2)


def test_compare_trains_recipes(printed, tmp_path, monkeypatch):
    """Guards against a recipe that compare takes for a flag of the trainings."""
    called = []
    monkeypatch.setattr("tfxmr.commands.compare.trained", lambda words, *_: (called.append(words), ([], 0))[1])
    printed("compare", "runs", "--recipe=cca_scenes", f"--run_dir={tmp_path}")
    assert called == [["runs", str(recipes.find("cca_scenes"))]]


@pytest.mark.parametrize("arguments", [
    ["train", "--model=dscmr", "--alpha=0.5", "--hidden_units=8,4", "--unseen_classes=art,two words", "--noallow_leaks"],
    ["tune", "--model=cca", "--grid=ridge=0,1", "--grid=components=2,3", "--search=random"],
    ["prepare", "--dataset=npz", "--data_dir=a folder/x=1"],
    ["compare", "--format=csv"],
])
def test_a_printed_configuration_reads_back(arguments, printed, tmp_path):
    """Guards against a configuration that is another one, or half of it, when it is read again, and against work."""
    text = printed(*arguments, "--print_config")
    (tmp_path / "all.cfg").write_text(text)
    assert printed(arguments[0], f"--flagfile={tmp_path}/all.cfg", "--print_config") == text
    assert os.listdir(tmp_path) == ["all.cfg"]
    given = [a for a in arguments[1:] if a.startswith("--")]
    assert {*given} <= {*text.splitlines()}
    if arguments[0] == "train":  # what is not given, too
        assert {"--seed=0", "--dataset=scenes", "--epochs=500"} <= {*text.splitlines()}


def test_a_wrong_configuration_is_refused(printed):
    assert "--alpha=-1.0: must be >= 0.0" in printed("train", "--model=dscmr", "--alpha=-1", "--print_config", status=2)


@pytest.mark.parametrize("line, found", [
    ("tfxmr tra", ["train"]),
    ("tfxmr train --model=ds", ["--model=dscmr"]),
    ("tfxmr train --model ds", ["dscmr"]),
    ("tfxmr train --model=dscmr --alp", ["--alpha="]),
    ("tfxmr train --model=sm --alp", []),
    ("tfxmr train --model=sm --stepz=3 --penal", ["--penalty="]),  # what is wrong as yet
    ("tfxmr train --recipe=danzcr_scenes --lambda_f", ["--lambda_f="]),
    ("tfxmr tune --model=cca --search=b", ["--search=bayesian"]),
    ("tfxmr train --dataset=wik", ["--dataset=wikipedia"]),
    ("tfxmr train --model=ms2gan --without=sd,l", ["--without=sd,lm"]),
    ("tfxmr train --noall", ["--noallow_leaks", "--noall_modalities"]),
    ("tfxmr train --recipe=danzcr_sce", ["--recipe=danzcr_scenes"]),
    ("tfxmr recipes danzcr_sce", ["danzcr_scenes"]),
    ("tfxmr plot --figure=prec", ["--figure=precision_recall"]),
    ("tfxmr completion f", ["fish"]),
    ("tfxmr models ds", ["dscmr"]),
    ("tfxmr datasets wik", ["wikipedia"]),
    ("tfxmr train 'half a quot", []),
    ("tfxmr train --data_dir=", []),  # the shell's files
    ("tfxmr nothing --f", [*(f for f in completion.ALWAYS if f.startswith("--f"))]),
])
def test_candidates(line, found):
    assert completion.candidates(line) == found


def test_every_flag_of_every_command_completes():
    """Guards against a command whose flags no shell knows."""
    for command in commands.names():
        every = completion.candidates(f"tfxmr {command} --")
        assert len(every) == len({*every}) >= len(completion.ALWAYS)
        assert (len(every) > len(completion.ALWAYS)) == (command not in ("models", "datasets", "recipes", "completion"))
    assert {f"--{name}=" for name in settings.options(CompareOptions)} <= {*completion.candidates("tfxmr compare --")}


SHELLS = {
    "bash": """
source <(tfxmr completion bash)
compopt() { :; }  # which is of a completion alone
for line in "$@"; do
    COMP_LINE=$line COMP_POINT=${#line} COMPREPLY=(); _tfxmr; echo "${COMPREPLY[*]}"
done
""",
    "fish": """
tfxmr completion fish | source
for line in $argv; echo (complete -C $line); end
""",
}


@pytest.mark.parametrize("shell", SHELLS)
def test_a_real_shell(shell, tmp_path):
    """Guards against a script that its shell does not read, and bash's = that ends a word, so that it is doubled."""
    if not shutil.which(shell):
        pytest.skip(f"no {shell} here")
    (tmp_path / "tfxmr").write_text(f'#!/bin/sh\nexec {sys.executable} -m tfxmr "$@"\n')
    (tmp_path / "tfxmr").chmod(0o755)
    (tmp_path / "script").write_text(SHELLS[shell])
    environment = os.environ | {"PATH": f"{tmp_path}:{os.environ['PATH']}", "HOME": str(tmp_path)}
    lines = ["tfxmr tra", "tfxmr train --model=ds", "tfxmr train --model=dscmr --alp"]
    done = subprocess.run([shell, str(tmp_path / "script"), *lines], capture_output=True, text=True, env=environment)
    found = ["train", "dscmr" if shell == "bash" else "--model=dscmr", "--alpha="]
    assert done.stdout.splitlines() == found, done.stderr


def test_shells_are_named(printed):
    for shell in completion.SCRIPTS:
        assert shell in printed("completion", shell)
    assert "name one of bash, zsh, fish (did you mean bash?)" in printed("completion", "ash", status=2)
    assert "name one of bash" in printed("completion", status=2)


def test_names_that_are_close():
    """Guards against a proposal that is nothing like what was typed, and none for the first letters of a name."""
    assert closest("Danzcr", ["danzcr"]) == ["danzcr"] and closest("modality", ["modality_invariant", "cca"])
    assert closest("qqq", registry.names()) == [] and closest("", registry.names()) == []
    assert closest("danzcr_scene", RECIPES) == ["danzcr_scenes"]


def test_help_is_an_exit():
    """Guards against a caller in Python that goes on after --help, and an error's status for it."""
    with pytest.raises(SystemExit) as stop, pytest.MonkeyPatch.context() as patch:
        patch.setattr(sys, "stdout", io.StringIO())
        parsing.parse_run("train", ["--help", "--model=cca"])
    assert stop.value.code == 0
