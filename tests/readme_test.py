"""Every command of README.md runs as it stands there, on narrower networks and fewer steps where it trains."""
import pathlib
import re
import shlex

import pytest

from tfxmr.__main__ import main

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
DATA = ROOT.parent / "shared/data"
PLACES = {
    "WIKIPEDIA_DIR": DATA / "wikipedia",
    "WORD2VEC_FILE": DATA / "word_vectors/google_news_categories.bin",
}
SHORT = ["--steps=2", "--generator_units=8,8", "--discriminator_units=8,8", "--batch_size=16"]


def blocks(language):
    return re.findall(rf"```{language}\n(.*?)```", README, re.S)


COMMANDS = [line for block in blocks("bash") for line in block.splitlines() if line.startswith("tfxmr")]


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder like the project's root, in which the README's Python has run and the commands leave their runs."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "flags").symlink_to(ROOT / "flags")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        for block in blocks("python"):
            exec(compile(block, "README.md", "exec"), {})
        yield folder


@pytest.mark.parametrize("line", COMMANDS)
def test_command(line, workplace):
    """Guards against a README that tells of flags and files that are no more; later commands use earlier runs."""
    for place, path in PLACES.items():
        if place in line and not path.exists():
            pytest.skip(f"{path} is not there")
        line = line.replace(place, str(path))
    arguments = shlex.split(line, comments=True)[1:]
    builds = arguments[0] in ("train", "tune", "prepare", "extract") or ".cfg" in line
    if builds and not re.search("--data_dir|--features=", line):
        arguments.append(f"--data_dir={workplace}/tfds")
    if arguments[0] == "train" and "danzcr" in line:
        arguments += SHORT
    assert main(arguments) == 0


def test_the_commands_are_found():
    """Guards against a change of the README's layout that would leave nothing to test."""
    assert len(COMMANDS) > 5
    assert {line.split()[1] for line in COMMANDS} >= {"train", "evaluate", "prepare", "models", "datasets"}


def test_make_targets_exist():
    """Guards against make commands of the README that are no more, and that .ci/run does not run; timings are not for CI."""
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.M))
    script = (ROOT / ".ci/run").read_text()
    first, named = re.findall(r"^make ([\w-]+)", README, re.M), re.findall(r"`make ([\w-]+)", README)
    assert first == ["demo", "test"] and len(named) > 2
    assert {*first, *named} <= targets
    for target in {*first, *named} - {"bench"}:
        assert re.search(rf"^make {target}\b", script, re.M), target