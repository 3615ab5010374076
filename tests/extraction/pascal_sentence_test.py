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
from tfxmr.extraction import cache, tfds_io
from tfxmr.extraction.media import media
from tfxmr.extraction.reading import Recorded
from tfxmr.features.image.descriptor import image_descriptor
from tfxmr.features.text.bag_of_words import TextVectorizer


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


def test_second_command_decodes_nothing(places, capsys):
    """Guards against images that each command describes anew, and rows that come back to other items."""
    places["cache_dir"] = places["data_dir"] / "cache"
    first = tfxmr.extraction.load("pascal_sentence", **places)
    assert "features of 10 images (descriptor): described" in capsys.readouterr().err
    with mock.patch("tfxmr.extraction.tfds_io.decoded", side_effect=AssertionError):
        second = tfxmr.extraction.load("pascal_sentence", split=tfxmr.data.SplitRule("random", 1), **places)
    assert "features of 10 images (descriptor): read from" in capsys.readouterr().err
    rows = {id_: row for s in first.splits.values() for id_, row in zip(s.ids["image"], s.features["image"], strict=True)}
    for split in second.splits.values():
        np.testing.assert_array_equal(split.features["image"], [rows[id_] for id_ in split.ids["image"]])


def test_another_split_fits_another_vocabulary(places):
    """Guards against a leak: a vocabulary that is fitted on published training texts which test now."""
    examples = tfds_io.examples

    def named(*arguments, **options):
        return (example | {"text": f"seen {example['image_id']}"} for example in examples(*arguments, **options))

    with (
        mock.patch.object(tfds_io, "examples", named),
        mock.patch.object(TextVectorizer, "fit", autospec=True, side_effect=TextVectorizer.fit) as fit,
    ):
        data = tfxmr.extraction.load("pascal_sentence", split=tfxmr.data.SplitRule("random", 1), **places)
        published = tfxmr.extraction.load("pascal_sentence", **places)
    for call, found in zip(fit.call_args_list, (data, published), strict=True):
        assert call.args[1] == [f"seen {id_}" for id_ in found.splits["train"].ids["image"]]
    assert set(data.splits["train"].ids["image"]) != set(published.splits["train"].ids["image"])
    assert data.split_facts["features_fitted_on"].startswith("text: vocabulary and word weights on the training texts")


def test_a_record_is_no_file_of_the_same_bytes():
    """Guards against features of TFDS's decoding that are taken for those of a file, which is decoded otherwise."""
    assert cache.key_of(Recorded(b"image")) != cache.key_of(b"image")


def test_prepare(places, capsys):
    """Guards against features extracted only to be counted, and a second build of what is built."""
    arguments = ["prepare", "--dataset=pascal_sentence", *(f"--{k}={v}" for k, v in places.items())]
    with mock.patch("tfxmr.extraction.image_text.describe", side_effect=AssertionError):
        assert main(arguments) == 0
        first = capsys.readouterr().out
        shutil.rmtree(places["manual_dir"])
        assert main(arguments[:3]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[:2] == ["pascal_sentence train: image, text, 6 items", "pascal_sentence test: image, text, 4 items"]
    assert [line.split() for line in lines[2:5]] == [["train", "test"], ["bird", "3", "2"], ["cat", "3", "2"]]
    assert first.splitlines()[-5:] == lines[-5:]
