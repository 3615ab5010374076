"""The commands and Python of README.md and of the pages that lead through the program run as they stand there.

Networks are narrower and steps fewer where they train. tests/docs_test.py parses what stands on the other pages.
"""
import pathlib
import re
import shlex
import wave

import numpy as np
import pytest
from PIL import Image
from tfxmr_datasets.scenes import generator

from tfxmr.__main__ import main
from tfxmr.core import registry

ROOT = pathlib.Path(__file__).parents[1]
README = (ROOT / "README.md").read_text()
PAGES = ["README.md", *(f"docs/{name}.md" for name in (
    "getting_started", "data_sets", "own_data", "protocols", "searching", "tuning", "figures", "keras", "tensorboard",
))]
DATA = ROOT.parent / "shared/data"
PLACES = {
    "WIKIPEDIA_DIR": DATA / "wikipedia",
    "WORD2VEC_FILE": DATA / "word_vectors/google_news_categories.bin",
}
SHORT = ["--steps=2", "--generator_units=8,8", "--discriminator_units=8,8", "--batch_size=16"]


def steps():
    """What a reader would do, in order: (page, a tfxmr command or a block of Python); what was done is not done again."""
    found = {}
    for page in PAGES:
        for language, block in re.findall(r"```(\w+)\n(.*?)```", (ROOT / page).read_text(), re.S):
            lines = [block] if language == "python" else block.replace("\\\n", "").splitlines() if language == "bash" else []
            for line in lines:
                if language == "python" or line.startswith("tfxmr"):
                    found.setdefault(line, page)
    return [(page, step) for step, page in found.items()]


STEPS = steps()


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder like the project's root beside images and texts of a reader's own."""
    folder = tmp_path_factory.mktemp("readme")
    (folder / "flags").symlink_to(ROOT / "flags")
    for split, number in (("train", 12), ("test", 5)):
        for label, name in enumerate(generator.CLASSES[:3]):
            place = folder / "PICTURES" / split / name
            place.mkdir(parents=True)
            for n in range(number):
                item = generator.example(split, label, n)
                Image.fromarray(item["image"]).save(place / f"{n:03}.jpg")
                (place / f"{n:03}.txt").write_text(item["text"])
    for number, path in enumerate(sorted((folder / "PICTURES").glob("*/*/*.txt"))):
        place = folder / "RECORDINGS" / path.relative_to(folder / "PICTURES")
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(path.read_text())
        sound = np.random.default_rng(number).integers(-9999, 9999, 2000, np.int16)
        (folder / "NEW_RECORDINGS").mkdir(exist_ok=True)
        for name in (place.with_suffix(".wav"), folder / "new.wav", folder / f"NEW_RECORDINGS/{number % 3}.wav"):
            with wave.open(str(name), "wb") as file:
                file.setparams((1, 2, 8000, 0, "NONE", ""))
                file.writeframes(sound.tobytes())
    lines = [f"{path.relative_to(folder)},{sentence.strip()}" for path in sorted(folder.glob("PICTURES/*/*/*.jpg"))
             for sentence in path.with_suffix(".txt").read_text().replace(",", "").split(".") if sentence.strip()]
    (folder / "CAPTIONS.csv").write_text("\n".join(["image,caption", *dict.fromkeys(lines)]))
    Image.fromarray(item["image"]).save(folder / "PHOTO.jpg")
    (folder / "SENTENCES.txt").write_text("a red boat on the sea\na blue car\n")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.syspath_prepend(str(folder))
        patch.setenv("TFDS_DATA_DIR", str(folder / "tfds"))
        yield folder


@pytest.mark.parametrize("page, step", STEPS, ids=[f"{page}: {step.splitlines()[0]}" for page, step in STEPS])
def test_step(page, step, workplace):
    """Guards against pages that tell of flags, files and names that are no more; later steps use earlier runs."""
    if not step.startswith("tfxmr"):
        if "import optuna" in step:  # which is no dependency, and asks for 20 trials
            pytest.importorskip("optuna")
            step = step.replace("n_trials=20", "n_trials=2")
        if file := re.match(r"# ([\w/]+\.py)\n", step):  # which later steps import
            (workplace / file[1]).write_text(step)
        exec(compile(step, page, "exec"), {"__name__": "page"})
        return
    for place, path in PLACES.items():
        if place in step and not path.exists():
            pytest.skip(f"{path} is not there")
        step = step.replace(place, str(path))
    arguments = shlex.split(step.partition(" > ")[0], comments=True)[1:]
    builds = arguments[0] in ("train", "tune", "prepare", "extract") or ".cfg" in step
    if builds and not re.search("--data_dir|--features=|best.cfg", step):
        arguments.append(f"--data_dir={workplace}/tfds")
    if arguments[0] == "train" and "danzcr" in step:
        arguments += SHORT
    assert main(arguments) == 0


def test_the_steps_are_found():
    """Guards against a change of the pages' layout that would leave nothing to test."""
    commands = {step.split()[1] for _, step in STEPS if step.startswith("tfxmr")}
    assert commands >= {"train", "evaluate", "compare", "prepare", "extract", "index", "search", "encode", "tune", "plot"}
    assert {page for page, _ in STEPS} >= set(PAGES[:8])


def test_its_length():
    """Guards against a README that grows again until nobody reads it: what is more belongs on a page of docs/."""
    assert len(README.splitlines()) < 170


def row(name, method):
    """The row of a method in README's table."""
    letters = {"image": "m", "text": "m", "image.regions": "r", "text.words": "w"}
    reads = " ".join(dict.fromkeys(letters[view] for view in method.reads(method.Settings()))) or "m"
    file, page = f"{method.__module__.replace('.', '/')}.py", f"docs/methods/{name}.md"
    link = f"[`{name}`]({page})" if (ROOT / page).exists() else f"`{name}`"
    zero_shot = "yes" if method.zero_shot else "no"
    return f"| {link} | {method.paper} | [{file.removeprefix('tfxmr/')}]({file}) | {reads} | {zero_shot} |"


def test_the_table_of_methods():
    """Guards against a table that lacks a method, or tells of its paper, file, page or views what is no more so."""
    rows = [row(name, method) for name, method in registry.methods()]
    assert re.findall(r"^\| (?:\[|)`\w+`.*\|$", README, re.M) == rows
    published = [name for name, method in registry.methods() if not method.one_space]  # one trains nothing
    assert f"{len(published)} published methods" in README


def test_links():
    """Guards against links that lead nowhere."""
    links = re.findall(r"\]\(([^)#]+)", README)
    assert len(links) > 30 and not [link for link in links if not (ROOT / link).exists()]


def test_make_targets_exist():
    """Guards against make commands of the README that are no more, and that .ci/run does not run; timings are not for CI."""
    targets = set(re.findall(r"^(\w[\w-]*):", (ROOT / "Makefile").read_text(), re.M))
    script = (ROOT / ".ci/run").read_text()
    first, named = re.findall(r"^make ([\w-]+)", README, re.M), re.findall(r"`make ([\w-]+)", README)
    assert first == ["demo", "test"] and len(named) > 2
    assert {*first, *named} <= targets
    for target in {*first, *named} - {"bench"}:
        assert re.search(rf"^make {target}\b", script, re.M), target
