"""Python and the command line are one: the same figures, and either reads the other's run folders."""
import json

import numpy as np
import pytest

import tfxmr
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError


def kept(folder):
    """What results.json says, without what differs between any two runs."""
    found = json.loads((folder / "results.json").read_text())
    found["flags"] = {k: v for k, v in found["flags"].items() if k != "run_dir"}
    return {k: v for k, v in found.items() if k != "seconds"}


METHODS = {
    "cca": {"feature_norm": "zscore", "components": 4},  # guards against an API that does not normalise as the command does
    "dscmr": {"hidden_units": [8], "common_units": [6], "epochs": 2, "batch_size": 20, "validation_fraction": 0.2},
}


@pytest.mark.parametrize("method", METHODS)
def test_python_is_the_command_line(method, data_dir, tmp_path, capsys):
    options = METHODS[method]
    data = tfxmr.load_data("npz", data_dir=data_dir)
    run = tfxmr.train(method, data, tmp_path / "python", seed=3, protocol="standard", **options)
    flags = [f"--{k}={','.join(map(str, v)) if isinstance(v, list) else v}" for k, v in options.items()]
    command = [f"--model={method}", "--dataset=npz", f"--data_dir={data_dir}", "--protocol=standard", "--seed=3", *flags]
    assert main(["train", *command, f"--run_dir={tmp_path}/line"]) == 0
    assert kept(tmp_path / "python") == kept(tmp_path / "line") and run.results["seed"] == 3
    capsys.readouterr()
    assert main(["evaluate", f"--run_dir={tmp_path}/python", "--format=json"]) == 0
    assert json.loads(capsys.readouterr().out)["metrics"] == run.results["metrics"]
    again = tfxmr.train(method, data, tmp_path / "line", seed=3, protocol="standard", **options)
    assert again.results["metrics"] == run.results["metrics"]  # read back, not trained again
    image = data.splits["test"].features["image"]
    made = run.encoder.encode_features("image", image)
    np.testing.assert_array_equal(made, tfxmr.load(tmp_path / "line").encode_features("image", image))


def test_data_are_loaded_as_by_the_command(data_dir):
    """Split, modalities and classes by the names of their flags."""
    data = tfxmr.load_data("npz", data_dir=data_dir, split="random", split_seed=1, classes=["one", "three"], dataset_name="mine")
    assert data.class_names == ["one", "three"] and data.shown == "mine" and data.split_facts["name"] == "random"


def test_the_views_that_a_method_reads_are_made(tmp_path):
    """Guards against data that were loaded before it was known what reads them."""
    data = tfxmr.load_data("scenes")
    assert data.views == ["image", "text"]
    run = tfxmr.train("modality_invariant", data, tmp_path, steps=2, batch_size=8, protocol="standard")
    assert "text.words" in run.results["features"]


def test_data_made_by_hand(make_data, tmp_path):
    run = tfxmr.train("cca", make_data(classes=4, train=24, test=8), tmp_path, components=2, protocol="standard")
    assert run.results["dataset"] == "made up" and run.encoder.modalities == ["image", "text"]


def test_a_trial_of_another_search(data_dir, tmp_path):
    """Guards against test items that a search looks at, and a value other than that of `tfxmr tune`."""
    data, options = tfxmr.load_data("npz", data_dir=data_dir), {"protocol": "standard", "ridge": 0.5}
    trial = tfxmr.train("cca", data, tmp_path / "trial", test=False, components=3, **options)
    assert not trial.results["metrics"] and trial.results["protocol"]["held_out"] == 0.1
    flags = [f"--data_dir={data_dir}", "--protocol=standard", "--ridge=0.5", "--grid=components=3"]
    assert main(["tune", "--model=cca", "--dataset=npz", *flags, f"--run_dir={tmp_path}/search"]) == 0
    made = json.loads((tmp_path / "search/trials/0001/trial.json").read_text())
    assert trial.results["validation_mAP"] == made["validation_mAP"]
    with pytest.raises(InputError, match="holds a trial of a search"):
        tfxmr.train("cca", data, tmp_path / "trial", components=3, **options)
    tfxmr.train("cca", data, tmp_path / "whole", components=3, **options)
    with pytest.raises(InputError, match="holds a run with test metrics"):
        tfxmr.train("cca", data, tmp_path / "whole", test=False, components=3, **options)


def test_refusals(data_dir, tmp_path):
    """As the command's, before any work."""
    data = tfxmr.load_data("npz", data_dir=data_dir)
    for call, message in (
        (lambda: tfxmr.load_data("nothing"), "--dataset"),
        (lambda: tfxmr.load_data("npz", data_dir=data_dir, seed_of_all=1), "seed_of_all"),
        (lambda: tfxmr.train("dscmrr", data, tmp_path), "--model=dscmrr: no such method"),
        (lambda: tfxmr.train("cca", data, tmp_path, steps=4), "cca has no such setting"),
        (lambda: tfxmr.train("cca", data, tmp_path, seeds="0..2"), "call it once a seed"),
        (lambda: tfxmr.train("cca", data, tmp_path, class_seed=1), "--class_seed=1: draws nothing"),
    ):
        with pytest.raises(InputError, match=message):
            call()
    assert not list(tmp_path.iterdir())
