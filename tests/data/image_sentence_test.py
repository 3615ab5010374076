"""Tests of Flickr30k and MSCOCO by their --dataset names, on the invented files of the builders' tests."""
from unittest import mock

import numpy as np
import pytest
from tfxmr_datasets.flickr30k_xmr import flickr30k_xmr_dataset_builder_test as flickr30k
from tfxmr_datasets.mscoco_xmr import mscoco_xmr_dataset_builder_test as mscoco

import tfxmr.data
from tfxmr.__main__ import main
from tfxmr.data.media import media
from tfxmr.data.splits import SplitRule
from tfxmr.features.image_descriptor import image_descriptor


@pytest.fixture(autouse=True)
def small():
    with (
        mock.patch.object(flickr30k.official_files, "SIZES", flickr30k.SMALL),
        mock.patch.object(mscoco.official_files, "SIZES", mscoco.SMALL),
    ):
        yield


@pytest.mark.parametrize("split, sizes, first", [
    (None, (4, 1, 1), "9"),
    ("karpathy_82783", (3, 1, 1), "9"),
    ("2014", (3, None, 3), "9"),
    ("2017", (5, None, 1), "25"),
])  # fmt: skip
def test_mscoco(tmp_path, split, sizes, first):
    """Guards against restval lost or doubled, an order by name in place of the file's, and needless warnings."""
    with mock.patch("tfxmr.data.splits.warnings.warn", side_effect=AssertionError):
        data = tfxmr.data.load("mscoco", data_dir=tmp_path, manual_dir=mscoco.DUMMY, split=SplitRule(split))
    found = {name: len(part) for name, part in data.splits.items()}
    assert (found["train"], found.get("validation"), found["test"]) == sizes
    train = data.splits["train"]
    labels = train.labels["image"].tolist()
    assert train.ids["image"][0] == first and train.paired and labels == sorted(set(labels))
    assert data.split_facts == ({"name": split} if split else {})
    pictures = media(data, "train", "image", range(len(train)), tmp_path)
    np.testing.assert_array_equal(train.features["image"], image_descriptor(pictures))


def test_flickr30k(tmp_path, capsys):
    """Guards against classes made of single images: by zero-shot protocols, in tables of a line each, in warnings."""
    places = [f"--data_dir={tmp_path}", f"--manual_dir={flickr30k.DUMMY}", "--dataset=flickr30k"]
    assert main(["prepare", *places]) == 0
    assert capsys.readouterr().out.splitlines()[-4:] == [
        "flickr30k train: image, text, 2 items",
        "flickr30k validation: image, text, 1 items",
        "flickr30k test: image, text, 1 items",
        "no classes: an item is found by its counterpart alone (--protocol=standard)",
    ]
    assert main(["train", "--model=cca", f"--run_dir={tmp_path}/run", *places]) == 2
    assert "dataset flickr30k has no classes, each item is found by its counterpart alone" in capsys.readouterr().err
