"""Tests of embeddings that are compared as they are: the cosine of what was given, and nothing of a training item."""
import json

import numpy as np
import pytest
from making import paired_data, write_npz
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity

from tfxmr.__main__ import main
from tfxmr.baselines.zero_training import ZeroTraining
from tfxmr.core.errors import InputError


def trained(folder, data, *more):
    assert main(["train", "--model=zero_training", "--protocol=standard", "--dataset=npz", *more,
                 f"--data_dir={write_npz(folder / 'data', data)}", f"--run_dir={folder / 'run'}"]) == 0
    return json.loads((folder / "run/results.json").read_text())


def test_cosines_of_the_test_items(tmp_path):
    data = paired_data(dims={"image": 6, "text": 6})
    found = {m["task"]: m["value"] for m in trained(tmp_path, data)["metrics"] if m["metric"] == "mAP"}
    test = data.splits["test"]
    labels = test.labels["image"]
    cosines = cosine_similarity(test.features["image"].astype(np.float32), test.features["text"].astype(np.float32))
    expected = np.mean([average_precision_score(labels == y, row) for y, row in zip(labels, cosines, strict=True)])
    np.testing.assert_allclose(found["image->text"], expected, rtol=1e-6)


def test_no_training_item_counts(tmp_path):
    """Guards against a normalisation by the training items, which the other closed forms have by default."""
    data = paired_data(dims={"image": 6, "text": 6})
    values = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        values.append([m["value"] for m in trained(tmp_path / str(number), data)["metrics"]])
        for array in data.splits["train"].features.values():
            array[:] = 7 + 3 * array[::-1]
    assert values[0] == values[1]


def test_other_widths():
    with pytest.raises(InputError, match=r"widths differ \(view1 6, view2 4\).*--image_features=hub:clip.*--text_features=hub:clip.*--model=cca") as caught:
        ZeroTraining().fit(np.ones((4, 6)), np.ones((4, 4)))
    assert "\n" not in str(caught.value)
    with pytest.raises(InputError, match="--feature_norm"):
        ZeroTraining(feature_norm="zscore")
