"""Tests of the figures of generated sentences and images: what was made of the item beside it, in its own cell."""
import dataclasses
import json

import numpy as np
import pytest
from making import paired_data
from PIL import Image

from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.views import PIXELS
from tfxmr.evaluation import Retriever
from tfxmr.reports.figures import generation


@pytest.fixture
def data():
    return paired_data(train=60, test=30)


def draw(kind, data, make, **options):
    retriever = Retriever(None, **{"captions" if kind == "captions" else "drawings": make})
    return generation.draw(kind, data, data, retriever, "c3l", "title", **options)[kind]


def shown(figure):
    return [[text.get_text().replace("\n", " ") for text in axes.texts] for axes in figure.axes if axes.axison]


def test_captions(data):
    """Guards against the sentence of another image, and an order that is not the one asked for."""
    asked = []

    def captions(features):
        asked.append(features["image"])
        return [["a", "red", "boat"], ["two", "cats"], ["rain"]]

    figure = draw("captions", data, captions, query_ids=("test 4", "test 0", "test 9"))
    np.testing.assert_array_equal(asked[0], data.splits["test"].features["image"][[4, 0, 9]])
    labels = data.splits["test"].labels["image"]
    assert [axes.get_title() for axes in figure.axes[:3]] == [f"class {labels[4]}", "its sentence", "generated sentence"]
    assert shown(figure) == [
        ["image test 4"], ["text test 4"], ["a red boat"], ["image test 0"], ["text test 0"], ["two cats"],
        ["image test 9"], ["text test 9"], ["rain"],
    ]
    assert figure.get_suptitle() == "title\ntest images and the sentences generated from them: 3 of 30 (named)"
    assert sum(not axes.axison for axes in figure.axes) == 3


def test_nearest_training_image(data):
    """Generated features stand for the nearest training image; guards against test images and the longest row."""
    train = data.splits["train"].features["image"]
    asked = []

    def drawings(features):
        asked.append(features["text"])
        return {"image": train[[17, 33]] + 1e-3}

    figure = draw("generated", data, drawings, query_ids=("test 5", "test 6"))
    np.testing.assert_array_equal(asked[0], data.splits["test"].features["text"][[5, 6]])
    assert shown(figure)[:3] == [["text test 5"], ["image test 5"], ["image train 17"]]
    assert shown(figure)[5] == ["image train 33"]
    labels = data.splits["train"].labels["image"]
    assert figure.axes[2].get_title() == f"nearest: class {labels[17]}"
    assert "generated are features" in figure.get_supxlabel()
    found = np.random.default_rng(0).normal(size=(4, train.shape[1])).astype("f")
    expected = np.linalg.norm(found[:, None] - train[None], axis=2).argmin(1)
    np.testing.assert_array_equal(generation.nearest_rows(found, train), expected)


def test_pixels_are_drawn(data):
    """Guards against pixels in columns, colours beyond 255, and a note on features that are not there."""
    picture = np.zeros((64, 64, 3), np.float32)
    picture[:8, :, 0], picture[:, :8, 2] = 1.0, 0.5
    figure = draw("generated", data, lambda features: {"image.pixels": picture.reshape(1, *PIXELS)}, queries=1)
    drawn = figure.axes[2].images[0].get_array()
    np.testing.assert_array_equal(drawn, np.rint(255 * picture))
    assert figure.axes[2].get_title() == "generated image" and not figure.get_supxlabel()


def test_queries_are_drawn_by_class(data):
    figure = draw("captions", data, lambda features: [["x"]] * len(features["image"]), queries=4, seed=1)
    assert len({axes.get_title() for axes in figure.axes[::3]}) == 4


@pytest.mark.parametrize("kind, what", [("captions", "sentences of images"), ("generated", "images of sentences")])
def test_refusals(kind, what, data):
    with pytest.raises(InputError, match=f"^--figure={kind}: c3l generates no {what}; c3l does, and --figure=examples"):
        draw(kind, data, None)
    with pytest.raises(InputError, match="--query_ids: no test item is called nobody; there are test 0, test 1, test 2, ..."):
        draw(kind, data, lambda features: [], query_ids=("nobody",))
    without_ids = dataclasses.replace(data, splits={
        name: dataclasses.replace(split, ids={}) for name, split in data.splits.items()})
    assert generation.pick(without_ids.splits["test"], 1, ["3"], 0) == [3]


@pytest.mark.slow
def test_from_files_to_figures(tmp_path, capsys):
    """Images and texts, views, two trainings, both figures of each; guards against parts that work and a whole that not."""
    rng = np.random.default_rng(0)
    for split, count in (("train", 8), ("test", 3)):
        for label, name in enumerate(("red", "blue")):
            (tmp_path / "data" / split / name).mkdir(parents=True)
            for i in range(count):
                picture = rng.integers(0, 60, (20, 30, 3), dtype=np.uint8)
                picture[:, :, 2 * label] += 150
                path = tmp_path / "data" / split / name / f"{name}{i}"
                Image.fromarray(picture).save(path.with_suffix(".png"))
                path.with_suffix(".txt").write_text(f"a {name} place number {i % 3}")
    extract = ["extract", "--dataset=folder", f"--data_dir={tmp_path}/data", f"--out={tmp_path}/features", "--min_words=1"]
    assert main([*extract, "--image_features=descriptor,pixels", "--text_features=words"]) == 0
    widths = [f"--{name}_units=8" for name in ("image", "text", "common", "decoder", "noise", "generator", "discriminator")]
    train = ["train", "--model=c3l", "--dataset=features", f"--features={tmp_path}/features", "--protocol=standard", *widths,
             "--steps=3", "--batch_size=8", "--loop_epoch=0", "--loop=1", "--select=last"]
    plot = ["plot", f"--data_dir={tmp_path}/data", "--queries=2"]
    for run, more in (("features_run", ()), ("pixels_run", ("--pixels", "--channels=2"))):
        assert main([*train, *more, f"--run_dir={tmp_path}/{run}"]) == 0
        for figure in ("captions", "generated"):
            capsys.readouterr()
            assert main([*plot, f"--figure={figure}", f"--run_dir={tmp_path}/{run}"]) == 0
            assert capsys.readouterr().out.splitlines()[0] == f"{tmp_path}/{run}/figures/{figure}.png"
    measured = json.loads((tmp_path / "pixels_run/results.json").read_text())["measured"]
    assert measured["generated pairs"] == 3 * 2 * 8 and measured["nats a word by a unigram model"] > 0
