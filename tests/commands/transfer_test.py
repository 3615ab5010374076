"""A run evaluated on another data set than its own."""
import json

import numpy as np
import pytest
from PIL import Image

from tfxmr.__main__ import main

WORDS = {"boat": "a red boat on the sea", "tree": "a green tree in the wood"}
COLOURS = {"boat": (200, 30, 30), "tree": (30, 160, 40), "sun": (220, 210, 40)}


def write_media(folder, words, seed):
    rng = np.random.default_rng(seed)
    for split, count in (("train", 9), ("test", 6)):
        for name, text in words.items():
            own = folder / split / name
            own.mkdir(parents=True)
            for i in range(count):
                pixels = np.clip(rng.normal(COLOURS[name], 25, (24, 20, 3)), 0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(own / f"{name}{i}.png")
                (own / f"{name}{i}.txt").write_text(text)


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    folder = tmp_path_factory.mktemp("transfer")
    write_media(folder / "own", WORDS, 0)
    # Other words and an unknown one: a vocabulary fitted on these would have another width and order.
    write_media(folder / "other", {"tree": "the wood of a tree", "boat": "boat sea zebra", "sun": "sun in the sky"}, 1)
    flags = ["--model=cca", "--dataset=folder", f"--data_dir={folder}/own", "--protocol=standard", "--ridge=10", "--components=1"]
    assert main(["train", *flags, f"--run_dir={folder}/run"]) == 0
    return folder


def evaluate(place, capsys, *arguments, status=0):
    capsys.readouterr()
    assert main(["evaluate", f"--run_dir={place}/run", "--transfer", *arguments]) == status
    return capsys.readouterr()


def test_on_its_own_data(place, capsys):
    """The run's own figures; guards against another normalisation, vocabulary or order."""
    found = json.loads(evaluate(place, capsys, "--dataset=folder", f"--data_dir={place}/own", "--format=json").out)
    expected = json.loads((place / "run/results.json").read_text())["metrics"]
    assert [m["value"] for m in found["metrics"]] == pytest.approx([m["value"] for m in expected], rel=1e-9)


def test_on_other_media(place, capsys, tmp_path):
    """Described by the run's own vocabulary, with classes of their own; kept for a table."""
    other = ["--dataset=folder", f"--data_dir={place}/other", f"--out={tmp_path}/kept"]
    told = evaluate(place, capsys, *other).out
    assert told.startswith(f"run        {place}/run: cca trained on own\ndataset    other: ")
    found = json.loads((tmp_path / "kept/results.json").read_text())
    assert found["dataset"] == "other" and found["trained_on"] == "own" and found["protocol"]["name"] == "standard"
    assert {m["num_queries"] for m in found["metrics"]} == {18}
    assert main(["compare", str(tmp_path / "kept")]) == 0 and "other" in capsys.readouterr().out


def test_refusals(place, capsys, tmp_path):
    np.savez(tmp_path / "train.npz", image=np.ones((4, 3)), text=np.ones((4, 2)), label=[0, 1, 0, 1])
    np.savez(tmp_path / "test.npz", image=np.ones((4, 3)), text=np.ones((4, 2)), label=[0, 1, 0, 1])
    for arguments, message in (
        ([], "--transfer: name the data set that the run is evaluated on, --dataset=NAME"),
        (["--dataset=npz", f"--data_dir={tmp_path}"], "has image features of width 3, and this run of cca learned from 1956"),
        (["--dataset=folder", f"--data_dir={place}/other", f"--out={place}/run"], "holds a run, whose own metrics stay"),
    ):
        assert message in evaluate(place, capsys, *arguments, status=2).err
