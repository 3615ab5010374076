"""Searches of a user's own with Keras Tuner."""
import dataclasses

import keras
import keras_tuner
import numpy as np
import pytest
from proving.data import of, with_source, with_views

from tfxmr import testing
from tfxmr.baselines.cca import CCA
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.models.ms2gan import MS2GAN
from tfxmr.runs import selection
from tfxmr.tuning.hypermodel import OBJECTIVE, MethodHyperModel


def small(method):
    """Settings with narrow layers."""
    return method.Settings(**testing.narrow(method, 8), batch_size=8)


@pytest.fixture
def data(make_data):
    return with_views(make_data(classes=4, train=60, test=24, dims={"image": 12, "text": 10}))


@pytest.mark.parametrize("name", registry.names("tfxmr.models"))
def test_every_method(name, data):
    """Of each, a search is made of what it declares, the present value first; what is not searched stays."""
    method, hp = registry.get(name), keras_tuner.HyperParameters()
    searched = MethodHyperModel(method, of(method, with_source(data)), small(method))
    model = searched.build(hp)
    assert set(hp.values) == set(searched.grid) and model.compiled
    for setting, values in searched.grid.items():
        present = getattr(searched.settings, setting)
        assert getattr(model.settings, setting) == (present if present in values else values[0])
    assert model.settings.batch_size == 8


def test_search(data, tmp_path):
    """Two trials: each's score is the best val_mAP of its epochs, and the best model is that epoch's.

    Guards against objectives that Keras Tuner looks for before val_mAP is there, and against slots of several
    optimizers that its files leave out.
    """
    grid = {"learning_rate": (1e-3, 1e-2), "specific_units": ((8,), (8, 8)), "feature_norm": ("none", "zscore")}
    settings = dataclasses.replace(small(MS2GAN), specific_units=(8,))
    searched, board = MethodHyperModel(MS2GAN, data, settings, grid), str(tmp_path / "board")
    tuner = keras_tuner.RandomSearch(
        searched, OBJECTIVE, max_trials=2, directory=tmp_path, project_name="search", seed=1
    )
    patient = keras.callbacks.EarlyStopping("val_mAP", mode="max", patience=2)
    tuner.search(epochs=3, callbacks=[patient, keras.callbacks.TensorBoard(board)], verbose=0)
    trials = tuner.oracle.get_best_trials(2)
    assert len(trials) == 2 and trials[0].score >= trials[1].score > 0
    assert trials[0].hyperparameters.values != trials[1].hyperparameters.values
    assert {trial.hyperparameters.get("specific_units") for trial in trials} <= {"8", "8 8"}
    model = tuner.get_best_models()[0]
    assert model.settings.learning_rate == trials[0].hyperparameters.get("learning_rate")
    assert model.steps_done == (trials[0].best_step + 1) * 6
    training = searched.training_data(model.settings)
    found = selection.mean_map(
        model.retriever(training), selection.validation_tasks(training), searched.protocol, training.splits["train"]
    )
    assert found == trials[0].score
    assert {path.name for path in (tmp_path / "board").iterdir()} == {trial.trial_id for trial in trials}


def test_the_length_of_a_training(data):
    """Without epochs a fit is as long as the settings' training; features are normalised as they say."""
    settings = dataclasses.replace(small(MS2GAN), steps=9, feature_norm="zscore")
    searched = MethodHyperModel(MS2GAN, data, settings, {"learning_rate": (1e-3,)})
    model = searched.build(keras_tuner.HyperParameters())
    history = searched.fit(None, model, verbose=0)
    assert len(history.history["val_mAP"]) == 2 and model.steps_done == 12
    features = searched.training_data(settings).splits["train"].features["image"]
    np.testing.assert_allclose(features.mean(axis=0), 0, atol=1e-5)


def test_refusals(data):
    """What cannot be searched is refused before a search."""
    with pytest.raises(InputError, match="tfxmr tune --model=cca"):
        MethodHyperModel(CCA, data)
    with pytest.raises(InputError, match="no setting 'taus'; ms2gan has .*tau"):
        MethodHyperModel(MS2GAN, data, grid={"taus": (1.0,)})
    with pytest.raises(InputError, match="--tau=-1"):
        MethodHyperModel(MS2GAN, data, grid={"tau": (1.0, -1.0)})
    with pytest.raises(InputError, match="grid"):
        MethodHyperModel(MS2GAN, data, grid={})
