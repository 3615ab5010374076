"""Tests of which models are made of many modalities; that they are trained is tested in any_pair_test.py."""
import pytest
from making import paired_data

from tfxmr.baselines.cca import CCA
from tfxmr.core.errors import InputError
from tfxmr.models.mhtn import MHTN
from tfxmr.models.ms2gan import MS2GAN
from tfxmr.models.tpckt import TPCKT
from tfxmr.runs import by_pairs, run

TWO = {"image": 6, "text": 4}
THREE = TWO | {"audio": 3}


@pytest.mark.parametrize("method, dims, joint, made", [
    (MS2GAN, TWO, False, run.run), (MS2GAN, TWO, True, run.run), (MS2GAN, THREE, False, by_pairs.run_pairs),
    (MS2GAN, THREE, True, run.run), (MHTN, THREE, False, run.run), (CCA, THREE, False, by_pairs.run_pairs),
    (TPCKT, THREE, True, run.run),  # images and texts by name: the others are not read
])
def test_which_models_are_made(method, dims, joint, made):
    """Guards against modalities that one model takes and get one a pair, and the other way round."""
    assert by_pairs.runner(method, method.Settings(), paired_data(dims=dims), joint) is made


def test_one_model_is_refused_where_a_method_takes_two():
    with pytest.raises(InputError, match="--joint: cca takes two modalities, one model a pair; omit the flag"):
        by_pairs.runner(CCA, CCA.Settings(), paired_data(dims=THREE), joint=True)


def results(value, **more):
    metric = {"task": "image->text", "classes": "all", "metric": "mAP", "value": value}
    return {"steps": 5, "total_steps": 10, "seconds": 1.26, "metrics": [metric], "flags": {}, "validation_mAP": value} | more


def test_the_results_of_all_pairs(monkeypatch, tmp_path):
    """Guards against a sum of the wrong things, facts of the first pair alone, and a selected step of no one model."""
    found = iter([
        results(0.2, features={"image": 1}, selected_step=5), results(0.4, features={"audio": 2}),
        results(0.6, features={"text": 3}, stopped_at=3, stopped_by="nan", steps=3),
    ])
    monkeypatch.setattr(by_pairs, "run", lambda *arguments: next(found))
    monkeypatch.setattr(by_pairs.RunFolder, "write_results", lambda folder, made: None)
    made = by_pairs.run_pairs(CCA, CCA.Settings(), paired_data(dims=THREE), None, tmp_path / "run", flags={"a": "--a"})
    assert (made["steps"], made["total_steps"], made["seconds"]) == (13, 30, 3.8)
    assert made["validation_mAP"] == pytest.approx(0.4) and "selected_step" not in made
    assert [m["value"] for m in made["metrics"]] == [0.2, 0.4, 0.6] and made["flags"] == {"a": "--a"}
    assert made["features"] == {"image": 1, "audio": 2, "text": 3}
    assert (made["stopped_at"], made["stopped_by"]) == (3, "nan")


def test_a_worker_that_writes_nothing_has_no_results(monkeypatch, tmp_path):
    monkeypatch.setattr(by_pairs, "run", lambda *arguments: None)
    found = by_pairs.run_pairs(CCA, CCA.Settings(), paired_data(dims=THREE), None, tmp_path / "run")
    assert found is None and not (tmp_path / "run").exists()
