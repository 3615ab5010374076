"""Every piece of code and every command of CONTRIBUTING.md runs as it stands there, and prints the row that it shows."""
import contextlib
import importlib
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys
import unittest

import dataset_contract_test
import pytest
import tfxmr_datasets
from etils import epath

from tfxmr import testing
from tfxmr.__main__ import main
from tfxmr.extraction import catalogue

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.S)


def of(language):
    return [block for found, block in BLOCKS if found == language]


FILES = [block for block in of("python") if re.match(r"# [\w/]+\.py\n", block)]
PYTHON = [block for block in of("python") if block not in FILES]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the files that CONTRIBUTING.md shows, from which its commands find them."""
    folder = tmp_path_factory.mktemp("contributing")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))
        for block in FILES:
            path = folder / block.splitlines()[0].removeprefix("# ")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(block)
        yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "my_methods"]:
        del sys.modules[name]


def masked(line):
    """A line of a table without what differs by processor: digits, and the columns' widths."""
    return re.sub(r"\d", "9", " ".join(line.split()))


def test_from_the_empty_file_to_the_row(workplace):
    """Guards against a first method that does not run, and against a row of results that looks otherwise."""
    (commands, _), (shown,) = of("bash"), of("text")
    said = ""
    for line in commands.splitlines():
        program, *arguments = shlex.split(line)
        if program == "python":
            path = os.pathsep.join([str(ROOT), *filter(None, [os.environ.get("PYTHONPATH")])])
            subprocess.run([sys.executable, *arguments], check=True, env=os.environ | {"PYTHONPATH": path})
            continue
        assert program == "tfxmr"
        if arguments[0] == "train":
            arguments.append(f"--data_dir={workplace}/tfds")
        with contextlib.redirect_stdout(io.StringIO()) as out:
            assert main(arguments) == 0
        said = out.getvalue()
    found = {masked(line) for line in said.splitlines()}
    for line in shown.splitlines():
        assert masked(line) in found, said


@pytest.mark.parametrize("number", range(len(PYTHON)))
def test_python(number, workplace):
    """Guards against code that shows names and arguments which are no more."""
    code = PYTHON[number].replace('load("scenes")', f'load("scenes", data_dir="{workplace}/tfds")')
    exec(compile(code, f"CONTRIBUTING.md, Python block {number}", "exec"), {"__name__": f"contributing_{number}"})


def test_a_data_set_is_one_folder(workplace, monkeypatch, capsys):
    """Guards against an edit elsewhere that a new data set needs: its folder alone is put where the others are."""
    toy = workplace / "datasets/toy"
    for name, text in (
        ("__init__.py", '"""Coloured squares."""\n'), ("README.md", "Coloured squares.\n\nLicence: none is needed.\n"),
        ("CITATIONS.bib", "@misc{nobody2026,\n  author = {Nobody}\n}\n"), ("TAGS.txt", "content.data-type.image\n"),
    ):
        (toy / name).write_text(text)
    monkeypatch.setattr(tfxmr_datasets, "__path__", [*tfxmr_datasets.__path__, str(toy.parent)])
    builder = importlib.import_module("tfxmr_datasets.toy.toy_dataset_builder").Builder
    builder.pkg_dir_path = epath.Path(toy)  # TFDS looks for README.md in the first folder of a package's path alone
    invent, *commands, contract = [shlex.split(line) for line in of("bash")[1].splitlines()]
    subprocess.run([sys.executable, *invent[1:]], check=True)
    for program, *arguments in commands:
        assert program == "tfxmr" and main([*arguments, f"--data_dir={workplace}/tfds"]) == 0
    said = capsys.readouterr().out
    assert "toy train: image, text, 24 items" in said and "mAP" in said
    assert contract[-1] == "toy" and main(["datasets"]) == 0
    assert "toy             36 coloured squares" in capsys.readouterr().out
    dataset_contract_test.keeps_all(catalogue.get("toy"), workplace / "contract")
    case = importlib.import_module("tfxmr_datasets.toy.toy_dataset_builder_test")
    case.ToyTest.EXAMPLE_DIR = toy / "dummy_data"
    unittest.defaultTestLoader.loadTestsFromModule(case).run(found := unittest.TestResult())
    assert not found.errors and not found.failures and found.testsRun


def test_what_it_names():
    """Guards against a change of its layout that leaves nothing to test, and against rules and files that are no more."""
    assert {language for language, _ in BLOCKS} == {"bash", "console", "python", "text"} and len(PYTHON) == 4
    rules = {rule.__name__ for rule in testing.RULES}
    assert set(re.findall(r"^\| `(\w+)` \| [a-z]", TEXT, re.M)) >= rules
    for name in re.findall(r"`(\w+\.py)`", TEXT):
        assert [*(ROOT / "tfxmr").rglob(name)], name
    made = ("tfxmr/models/meeting.py", "tests/models/meeting_test.py", "datasets/toy/")
    for path in re.findall(r"`((?:tfxmr|tests|flags|datasets)/[\w/]*(?:\.py)?)`", TEXT):
        assert (ROOT / path).exists() or path.startswith(made), path
    targets = re.findall(r"^make ([\w-]+)", TEXT, re.M)
    assert targets and all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M) for target in targets)
