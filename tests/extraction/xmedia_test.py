"""Tests of XMedia by its --dataset name, on the invented files of the builder's test."""

import numpy as np
import pytest
import scipy.io
from tfxmr_datasets.xmedia.xmedia_dataset_builder_test import DUMMY, invented, small

import tfxmr.extraction
from tfxmr.__main__ import main


@pytest.fixture(autouse=True)
def invented_sizes():
    with small():
        yield


def test_modalities(tmp_path):
    """Guards against a mix-up of modalities, and against videos that count as pairs since their labels agree."""
    data = tfxmr.extraction.load("xmedia", data_dir=tmp_path, manual_dir=DUMMY)
    assert data.modalities == ["image", "text", "video", "audio", "shape3d"] and data.num_classes == 20
    for m, modality in enumerate(data.modalities):
        for split, first in (("train", 0), ("test", 100), ("validation", 120)):
            column = data.splits[split].features[modality][:, 0]
            np.testing.assert_allclose(column, 1000 * (m + 1) + first + np.arange(20))
    train = data.splits["train"]
    assert train.groups == [["image", "text"], ["video"], ["audio"], ["shape3d"]]
    assert train.labels["video"].tolist() == list(range(20))[::-1]


def test_images_and_texts_in_other_orders(tmp_path):
    """Guards against pairs of an image and a text of two classes."""
    arrays = invented()
    arrays["trTxtCat"] = arrays["trTxtCat"][::-1]
    (tmp_path / "manual").mkdir()
    scipy.io.savemat(tmp_path / "manual/XMediaFeatures.mat", arrays)
    data = tfxmr.extraction.load("xmedia", data_dir=tmp_path, manual_dir=tmp_path / "manual")
    assert data.splits["train"].groups == [["image"], ["text"], ["video"], ["audio"], ["shape3d"]]


def test_prepare(tmp_path, capsys):
    arguments = ["prepare", "--dataset=xmedia", f"--data_dir={tmp_path}"]
    assert main([*arguments, f"--manual_dir={DUMMY}"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[-25] == "xmedia train: image (20, 5), text (20, 4), video (20, 5), audio (20, 3), shape3d (20, 6), 20 items"
    assert lines[-22].split()[:4] == ["train", "image+text", "train", "video"] and lines[-21].split()[0] == "insect"
