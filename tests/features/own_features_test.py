"""Tests of features by a user's own function: its rows, checked, in an extraction and in a run's encoder."""
import json
import sys

import numpy as np
import pytest
from making import write_media

import tfxmr
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.features import restored
from tfxmr.features.image import by_name as images
from tfxmr.features.text import by_name as texts
from tfxmr.features.text.base import TextOptions

MODULE = """
import numpy as np
__version__ = "1.2"
calls = []

def colours(images):
    calls.append(len(images))
    return np.array([image.mean(axis=(0, 1)) for image in images])

def lengths(texts):
    return np.array([[len(text), text.count("a"), 1] for text in texts])

def flat(items):
    return np.zeros(3)

def growing(items):
    return np.zeros((len(items), len(items)))

def nan(items):
    return np.full((len(items), 2), np.nan)

def fails(items):
    raise KeyError("weights")
"""
IMAGES = [np.random.default_rng(n).integers(0, 256, (20 + n, 30, 3), np.uint8) for n in range(3)]


@pytest.fixture(autouse=True)
def module(tmp_path, monkeypatch):
    """The file of `own_extractor`, in the current folder."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    monkeypatch.delitem(sys.modules, "own_extractor", raising=False)
    file = tmp_path / "own_extractor.py"
    file.write_text(MODULE)
    yield file
    sys.modules.pop("own_extractor", None)


def sentences(function):
    return texts.make(f"own_extractor:{function}", TextOptions())


def test_rows_and_facts():
    feature = images.make("own_extractor:colours")
    np.testing.assert_array_equal(feature.transform(IMAGES), np.float32([i.mean(axis=(0, 1)) for i in IMAGES]))
    assert feature.dim == 3 and feature.rule["version"] == "1.2" and len(feature.rule["module_sha256"]) == 64
    assert sentences("lengths").transform(["a cat"]).tolist() == [[5, 2, 1]]
    assert feature.transform([]).shape == (0, 3)


@pytest.mark.parametrize("function, told", [
    ("flat", r"returns float64 \(3,\) of 1 item; return real numbers \(1, d\)"), ("nan", "NaN or infinite"),
    ("fails", r"fails on 1 item \(KeyError: 'weights'\)"), ("none", "has no function none"),
])
def test_refusals(function, told):
    with pytest.raises(InputError, match=f"--text_features=own_extractor:{function}: .*{told}") as caught:
        sentences(function)
    assert "\n" not in str(caught.value)


def test_a_width_that_changes():
    with pytest.raises(InputError, match=r"returns float64 \(2, 2\) of 2 items; return real numbers \(2, 1\)"):
        sentences("growing").transform(["a", "b"])


def test_no_such_module(capsys):
    assert main(["train", "--dataset=scenes", "--image_features=no_module:f", "--run_dir=run"]) == 2
    assert "--image_features=no_module:f: there is no module no_module" in capsys.readouterr().err


@pytest.mark.parametrize("make, media", [
    (lambda: images.make("own_extractor:colours"), IMAGES), (lambda: sentences("lengths"), ["a", "a cat"]),
])
def test_restored(make, media, module):
    """Guards against a search by another version of the function than the run's."""
    feature = make()
    facts = json.loads(json.dumps(feature.state()[0]))
    np.testing.assert_array_equal(restored(facts, {}).transform(media), feature.transform(media))
    module.write_text(MODULE + "\n")
    with pytest.raises(InputError, match="the module's file has changed"):
        restored(facts, {})


def test_extracts_trains_and_encodes(tmp_path):
    media = write_media(tmp_path / "media", train=8, test=4)
    asked = ["--image_features=own_extractor:colours", "--text_features=own_extractor:lengths", f"--data_dir={media}",
             "--dataset=folder"]
    assert main(["extract", *asked, f"--out={tmp_path / 'out'}"]) == 0
    assert max(sys.modules["own_extractor"].calls) <= 16  # some at a time
    data = tfxmr.load_data("features", features=str(tmp_path / "out"))
    assert data.splits["train"].features["image"].shape == (16, 3)
    assert main(["train", "--model=zero_training", "--protocol=standard", *asked, f"--run_dir={tmp_path / 'run'}"]) == 0
    assert tfxmr.load(tmp_path / "run").encode("text", ["a cat"]).tolist() == [[5, 2, 1]]
