"""Every piece of code and every command of CONTRIBUTING.md runs as it stands there, and prints the row that it shows."""
import contextlib
import io
import os
import pathlib
import re
import shlex
import subprocess
import sys

import pytest

from tfxmr import testing
from tfxmr.__main__ import main

ROOT = pathlib.Path(__file__).parents[1]
TEXT = (ROOT / "CONTRIBUTING.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", TEXT, re.S)


def of(language):
    return [block for found, block in BLOCKS if found == language]


PYTHON = [block for block in of("python") if not block.startswith("# my_methods/")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with the files that CONTRIBUTING.md shows, from which its commands find them."""
    folder = tmp_path_factory.mktemp("contributing")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))
        for block in of("python"):
            if block.startswith("# my_methods/"):
                path = folder / block.splitlines()[0].removeprefix("# ")
                path.parent.mkdir(exist_ok=True)
                path.write_text(block)
        yield folder
    for name in [name for name in sys.modules if name.split(".")[0] == "my_methods"]:
        del sys.modules[name]


def masked(line):
    """A line of a table without what differs by processor: digits, and the columns' widths."""
    return re.sub(r"\d", "9", " ".join(line.split()))


def test_from_the_empty_file_to_the_row(workplace):
    """Guards against a first method that does not run, and against a row of results that looks otherwise."""
    (commands,), (shown,) = of("bash"), of("text")
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


def test_what_it_names():
    """Guards against a change of its layout that leaves nothing to test, and against rules and files that are no more."""
    assert {language for language, _ in BLOCKS} == {"bash", "console", "python", "text"} and len(PYTHON) == 4
    rules = {rule.__name__ for rule in testing.RULES}
    assert set(re.findall(r"^\| `(\w+)` \| [a-z]", TEXT, re.M)) >= rules
    for name in re.findall(r"`(\w+\.py)`", TEXT):
        assert [*(ROOT / "tfxmr").rglob(name)], name
    for path in re.findall(r"`((?:tfxmr|tests|flags)/[\w/]*(?:\.py)?)`", TEXT):
        assert (ROOT / path).exists() or path == "tfxmr/models/meeting.py" or path == "tests/models/meeting_test.py", path
    targets = re.findall(r"^make ([\w-]+)", TEXT, re.M)
    assert targets and all(re.search(rf"^{target}:", (ROOT / "Makefile").read_text(), re.M) for target in targets)
