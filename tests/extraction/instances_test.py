"""Data with classes that are taken without them: --instances."""
import dataclasses
import json

import numpy as np
import pytest
import tfxmr_flags.data
from tfxmr_flags import parsing

from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.evaluation import protocol


def test_an_item_is_found_by_its_counterparts(make_data):
    """Guards against items of two splits with one number, sentences that are images of their own, and classes left over."""
    data = make_data(train=12, test=6)
    made = data.as_instances()
    assert made.instances and made.class_names == [] and made.class_embeddings is None and made.name == data.name
    np.testing.assert_array_equal(made.splits["train"].labels["image"], np.arange(12))
    np.testing.assert_array_equal(made.splits["test"].labels["text"], np.arange(12, 18))
    np.testing.assert_array_equal(made.splits["train"].features["text"], data.splits["train"].features["text"])
    assert made.splits["train"].paired and made.as_instances() is made
    splits = {
        name: dataclasses.replace(split, ids={"image": [f"{name} {i // 3}" for i in range(len(split))]})
        for name, split in data.splits.items()
    }
    several = dataclasses.replace(data, splits=splits, repeated=("image",)).as_instances()
    np.testing.assert_array_equal(several.splits["train"].labels["text"], np.arange(12) // 3)
    np.testing.assert_array_equal(several.splits["test"].labels["image"], 4 + np.arange(6) // 3)
    image_to_text, text_to_image = protocol.make("standard", several).tasks(several)
    assert (len(image_to_text.query_labels), len(text_to_image.gallery_labels)) == (2, 2)  # an image is one item
    loose = {name: dataclasses.replace(split, unpaired=("text",)) for name, split in data.splits.items()}
    with pytest.raises(InputError, match="--instances: the train items of dataset made up are no pairs"):
        dataclasses.replace(data, splits=loose).as_instances()


def test_the_flag(make_data, tmp_path, capsys):
    """Its protocol, measures and title; guards against a row beside the figures by class, and class flags passed over."""
    for name, split in make_data(train=30, test=12).splits.items():
        np.savez(tmp_path / f"{name}.npz", label=split.labels["image"], **split.features)
    command = ["train", "--model=cca", "--dataset=npz", f"--data_dir={tmp_path}", "--feature_norm=zscore", "--instances"]
    assert main([*command, f"--run_dir={tmp_path}/run"]) == 0
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert results["dataset"] == f"{tmp_path.name}, instances" and results["protocol"]["name"] == "standard"
    found = {m["metric"]: m for m in results["metrics"] if m["task"] == "image->text"}
    assert set(found) == {"mAP", "hit@1", "hit@5", "hit@10", "median_rank"}
    assert found["hit@1"]["chance"] == pytest.approx(1 / 12) and "by_class" not in found["mAP"]
    capsys.readouterr()
    assert main(["evaluate", f"--run_dir={tmp_path}/run", "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == results["metrics"]
    assert main([*command, f"--run_dir={tmp_path}/run", "--noinstances"]) == 2
    assert "instances" in capsys.readouterr().err
    assert main([*command, f"--run_dir={tmp_path}/other", "--protocol=zero_shot"]) == 2
    assert "has no classes" in capsys.readouterr().err
    assert main([*command, f"--run_dir={tmp_path}/other", "--word_vectors=FILE"]) == 2
    assert "--instances --word_vectors=FILE: there are no classes to have vectors" in capsys.readouterr().err


def test_defaults():
    """Guards against a default method of classes, or one that needs their vectors, on data whose classes are forgotten."""
    values, _ = parsing.parse_run("train", ["--dataset=scenes", "--instances"])
    assert (values.model, values.protocol) == ("cca", "standard")
    data = tfxmr_flags.data.load(values)
    assert data.shown == "scenes, instances" and data.instances and data.name == "scenes"
    values, _ = parsing.parse_run("train", ["--dataset=scenes", "--instances", "--dataset_name=mine"])
    assert tfxmr_flags.data.load(values).shown == "mine"
