"""Tests of Pascal Sentence by its --dataset name, on the invented files of the builder's test."""
import shutil
from unittest import mock

import numpy as np
import pytest
from tfxmr_datasets import pascal_sentence
from tfxmr_datasets.pascal_sentence.pascal_sentence_dataset_builder_test import small

import tfxmr.data
import tfxmr.extraction
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.extraction.media import media
from tfxmr.features.image.descriptor import image_descriptor


@pytest.fixture
def places(tmp_path):
    """The arguments for a copy of the invented files."""
    manual = shutil.copytree(f"{pascal_sentence.__path__[0]}/dummy_data", tmp_path / "manual")
    with small():
        yield {"data_dir": tmp_path / "tfds", "manual_dir": manual}


def test_features_fit_their_items(places):
    """Guards against images, texts, labels and ids out of step, and a vocabulary with words of test texts alone."""
    data = tfxmr.extraction.load("pascal_sentence", text_features="counts", **places)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "test": 4}
    for name, split in data.splits.items():
        ids = split.ids["image"]
        assert [data.class_names[label] for label in split.labels["image"]] == [i.split("/")[0] for i in ids]
        pictures = media(data, name, "image", range(len(ids)), **places)
        np.testing.assert_array_equal(split.features["image"], image_descriptor(pictures))
        texts = media(data, name, "text", range(len(ids)), **places)
        assert all(f"A {i.split('/')[0]} seen from side 3" in text for i, text in zip(ids, texts, strict=True))
        assert len(split.features["text"]) == len(ids)


def test_own_splits(places):
    """Guards against a split that is asked for and silently another one."""
    data = tfxmr.extraction.load("pascal_sentence", split=tfxmr.data.SplitRule("800_100_100"), **places)
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 6, "validation": 2, "test": 2}
    assert data.split_facts == {"name": "800_100_100"}
    with pytest.raises(InputError, match="--split=800_100_100: dataset scenes has official, random$"):
        tfxmr.extraction.load("scenes", split=tfxmr.data.SplitRule("800_100_100"))


def test_prepare(places, capsys):
    """Guards against features extracted only to be counted, and a second build of what is built."""
    arguments = ["prepare", "--dataset=pascal_sentence", *(f"--{k}={v}" for k, v in places.items())]
    with mock.patch("tfxmr.extraction.image_text.image_descriptor", side_effect=AssertionError):
        assert main(arguments) == 0
        first = capsys.readouterr().out
        shutil.rmtree(places["manual_dir"])
        assert main(arguments[:3]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["pascal_sentence train: image, text, 6 items", "pascal_sentence test: image, text, 4 items"]
    assert [line.split() for line in lines[2:5]] == [["train", "test"], ["bird", "3", "2"], ["cat", "3", "2"]]
    assert first.splitlines()[-5:] == lines[-5:]
