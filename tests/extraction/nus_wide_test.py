"""Tests of NUS-WIDE by its --dataset names, on the invented files of the builder's test."""
import numpy as np
from tfxmr_datasets.nus_wide.dataset import NUS_WIDE
from tfxmr_datasets.nus_wide.nus_wide_dataset_builder_test import DUMMY, LABELS, NAMES, SIZES, small, tags

import tfxmr.extraction
from tfxmr.extraction.media import media


def test_rows_fit_each_other(tmp_path):
    """Guards against images, tags, labels and ids out of step, and tags kept as bytes."""
    places = {"data_dir": tmp_path, "manual_dir": DUMMY}
    with small():
        for name, sizes in (("nus_wide", SIZES), ("nus_wide_10k", {"train": 6, "validation": 3, "test": 3})):
            data = tfxmr.extraction.load(name, **places)
            assert data.name == name and {split: len(part) for split, part in data.splits.items()} == sizes
            assert data.dims == {"image": 9, "text": 6} == {m: data.features[m]["dim"] for m in data.modalities}
            for part in data.splits.values():
                rows = [NAMES.index(f"{i}.jpg") for i in part.ids["image"]]
                assert [LABELS[row] for row in rows] == [data.class_names[label] for label in part.labels["text"]]
                np.testing.assert_allclose(part.features["image"][:, 0], rows)
                assert part.features["text"].dtype == np.float32 and part.features["text"].tolist() == list(map(tags, rows))
        assert {n: len(part) for n, part in NUS_WIDE.items(tfxmr.extraction.Request(**places)).splits.items()} == SIZES  # builds the images
        (words,) = media(data, "test", "text", [0], **places)
        row = NAMES.index(data.splits["test"].ids["text"][0] + ".jpg")
        assert words.split() == [f"tag{bit}" for bit in range(6) if row >> bit & 1]
