"""Runs in the same process: what a folder holds, and what is refused before it is claimed."""
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfxmr.core.errors import InputError
from tfxmr.evaluation import protocol
from tfxmr.models.danzcr import DANZCR, DANZCRSettings
from tfxmr.runs.callbacks import read_losses
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import evaluate, run

SMALL = DANZCRSettings(generator_units=(16, 12), discriminator_units=(14, 10), batch_size=8, steps=6)


@pytest.fixture
def data(make_data):
    return make_data(classes=6, train=60, test=24)


def tags_of(folder):
    events = EventAccumulator(str(folder), size_guidance={"tensors": 0})
    events.Reload()
    return {tag: [e.step for e in events.Tensors(tag)] for tag in events.Tags()["tensors"]}


def test_a_run_folder_holds_what_scripts_rely_on(data, tmp_path):
    rule = protocol.make("zero_shot", data)
    options = RunOptions(seed=3, log_every=2, eval_every=3, validation_fraction=0.2)
    results = run(DANZCR, SMALL, data, rule, tmp_path / "run", options)
    assert results == json.loads((tmp_path / "run" / "results.json").read_text())
    assert (results["model"], results["seed"], results["steps"]) == ("danzcr", 3, 6)
    assert {(m["task"], m["classes"]) for m in results["metrics"]} == {
        (task, group) for task in ("image->text", "text->image") for group in ("seen", "unseen")
    }
    tags = tags_of(tmp_path / "run")
    for name in ("D_F/D_FI", "D_R/gradient_norm", "G_F/recovery", "G_R/adversarial", "G_R/learning_rate"):
        assert tags[name] == [2, 4, 6]
    assert tags["validation_mAP/all image to text"] == tags["test_mAP/unseen text to image"] == [3, 6]
    assert {p.name for p in (tmp_path / "run").glob("*") if "tfevents" not in p.name} == {
        ".lock", "flags.cfg", "features_manifest.json", "checkpoints", "results.json", "projector",
        "projector_config.pbtxt", "encoder", "final",
    }


def test_the_saved_networks_are_the_trained_ones(data, tmp_path):
    """Guards against checkpoints that leave weights out: evaluation from the folder gives the run's figures."""
    rule = protocol.make("zero_shot", data)
    results = run(DANZCR, SMALL, data, rule, tmp_path / "run")
    assert evaluate(DANZCR, SMALL, data, rule, tmp_path / "run") == results["metrics"]
    with pytest.raises(InputError, match="no checkpoint"):
        evaluate(DANZCR, SMALL, data, rule, tmp_path / "elsewhere")


def test_seeds_change_the_run_and_repeat_it(data, tmp_path):
    rule = protocol.make("zero_shot", data)
    values = [
        [m["value"] for m in run(DANZCR, SMALL, data, rule, tmp_path / str(i), RunOptions(seed=seed))["metrics"]]
        for i, seed in enumerate((0, 0, 1))
    ]
    assert values[0] == values[1] != values[2]


@pytest.mark.parametrize(
    ("change", "settings", "message"),
    [
        ({"class_embeddings": None}, SMALL, "word_vectors"),
        ({}, dataclasses.replace(SMALL, batch_size=4000), "batch_size=4000"),
    ],
)
def test_a_refused_start_does_not_claim_the_folder(data, tmp_path, change, settings, message):
    """Guards against a corrected command being refused because of the first, wrong one."""
    rule = protocol.make("zero_shot", data)
    with pytest.raises(InputError, match=message):
        run(DANZCR, settings, dataclasses.replace(data, **change), rule, tmp_path / "run")
    assert not (tmp_path / "run").exists()
    assert run(DANZCR, SMALL, data, rule, tmp_path / "run")["steps"] == 6


def test_the_default_batch_shrinks(data, tmp_path, capsys):
    """Guards against a default that refuses small data, and a flags.cfg that does not say what was trained."""
    rule = protocol.make("zero_shot", data)  # 30 of the 60 items are of seen classes
    settings = dataclasses.replace(SMALL, batch_size=64, steps=2)
    results = run(DANZCR, settings, data, rule, tmp_path / "run")
    assert results["flags"]["batch_size"] == "--batch_size=30"
    assert "batch      30, all training items: the default of 64 is more" in capsys.readouterr().out
    assert run(DANZCR, settings, data, rule, tmp_path / "run") == results
    assert evaluate(DANZCR, settings, data, rule, tmp_path / "run") == results["metrics"]
    with pytest.raises(InputError, match="--batch_size=31: the training set has 30 items"):
        run(DANZCR, dataclasses.replace(settings, batch_size=31), data, rule, tmp_path / "other")


def test_a_damaged_checkpoint_is_named(data, tmp_path):
    rule = protocol.make("zero_shot", data)
    run(DANZCR, SMALL, data, rule, tmp_path / "run")
    wider = dataclasses.replace(SMALL, generator_units=(16, 12, 5))
    with pytest.raises(InputError, match="networks: the checkpoint is damaged or does not fit this configuration"):
        evaluate(DANZCR, wider, data, rule, tmp_path / "run")


def test_losses_are_shown_by_player():
    """A player's line is the sum of its losses, without gradient norms and without its prefix's neighbours."""
    logs = {"D_F/D_FI": np.float32(1), "D_F/D_FT": 2.0, "D_F/gradient_norm": 50.0, "G_F/recovery": tf.constant(4.0)}
    assert read_losses(logs) == {"D_F": 3.0, "G_F": 4.0}
