"""What is exported gives what the encoder gives, for every method; that it is said only then."""
import dataclasses
import json

import numpy as np
import pytest
import tensorflow as tf
from making import paired_data
from proving.data import with_views

import tfxmr
from tfxmr.baselines.base import Baseline, BaselineSettings
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import domains
from tfxmr.encoding import export, folder
from tfxmr.evaluation import protocol
from tfxmr.models.base import Method
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run
from tfxmr.testing import quick

FEWER = {  # of stages that are alike
    "cmdn": {"intra_units": (12,), "common_units": (12, 12)},
    "tpckt": {"progressive_steps": 1, "progressive_epochs": 1, "source_steps": 1},
}
FAST = ("kcca", "modality_invariant", "ms2gan")  # a closed form; views of tokens and a GRU; a plain network


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A function of a method's name, and settings, to the encoder folder of a short run, made once."""
    made = {}

    def train(name, modalities=(), **settings):
        key = name, *modalities, *settings.items()
        if key not in made:
            made[key] = tmp_path_factory.mktemp(name) / "run"
            tf.config.run_functions_eagerly(True)
            try:
                _train(name, modalities, made[key], **settings)
            finally:
                tf.config.run_functions_eagerly(False)
        return made[key] / "encoder"

    return train


def _train(name, modalities, place, **settings):
    method = registry.get(name)
    data = paired_data(dims=dict.fromkeys(modalities, 5), classes=6, train=60, test=24) if modalities else with_views(
        paired_data(classes=6, train=60, test=24)
    )
    if method.takes_source:
        dims = {m: data.dims[m] for m in data.modalities}
        source = paired_data(classes=4, train=40, test=8, dims=dims, seed=9)
        data = dataclasses.replace(data, source=domains.of_training_items(source))
    made = quick(method, **FEWER.get(name, {}) | settings)
    if "feature_norm" not in settings:  # of tokens nothing is normalised
        made = dataclasses.replace(made, feature_norm="zscore")
    rule = protocol.make(
        "zero_shot" if method.zero_shot else "standard", data, method_similarity=method.similarity_name()
    )
    run(method, made, data, rule, place, RunOptions(validation_fraction=0.2, keep_embeddings=False))


def slow_but(names):
    """All methods, of which those that are not named are left to the slow tests."""
    return [name if name in names else pytest.param(name, marks=pytest.mark.slow) for name in registry.names()]


def differences(line):
    """Modality -> difference, of a line of `export.write`."""
    return {m: float(value) for m, value in map(str.split, line.split(" to the encoder ")[1].split(", "))}


def given(place, name, modality):
    """(The encoder, its method, input -> random features) of other random features than the export compares."""
    from tfxmr.encoding import graphs

    encoder = tfxmr.load(place)
    method = folder.method_of(place, encoder.facts)
    features = graphs.random_features(encoder, method, modality, 9, seed=1)
    return encoder, features, {n: features[view] for n, view in graphs.inputs(encoder, modality).items()}


def assert_same(made, wanted, most):
    """Asserts that outputs by name are what `encode_features` gives, but for `most` of the largest entry."""
    wanted = {f"embedding_{p}": x for p, x in wanted.items()} if isinstance(wanted, dict) else {"embedding": wanted}
    assert set(made) == set(wanted)
    for name, array in wanted.items():
        np.testing.assert_allclose(made[name], array, rtol=0, atol=most * np.abs(array).max())


@pytest.mark.parametrize("name", slow_but(FAST))
def test_saved_model(name, trained):
    """Guards against normalisation, weights or a view that the exported graph lacks; of a network it is the same bits."""
    place = trained(name)
    (line,) = export.write(place, ["savedmodel"])
    most = 0 if issubclass(registry.get(name), Method) else 1e-12
    assert max(differences(line).values()) <= most
    loaded = tf.saved_model.load(place / "saved_model")
    assert set(loaded.signatures) == {f"encode_{m}" for m in tfxmr.load(place).modalities}
    for key, encode in loaded.signatures.items():
        encoder, features, arrays = given(place, name, m := key.removeprefix("encode_"))
        made = encode(**{n: tf.constant(x) for n, x in arrays.items()})
        assert_same({n: x.numpy() for n, x in made.items()}, encoder.encode_features(m, features), most)


@pytest.mark.parametrize("settings", [{"precision": "bfloat16"}, {"feature_norm": "l2"}, {"feature_norm": "minmax"}])
def test_saved_model_of_other_settings(settings, trained):
    """In 16 bits it is the run's own arithmetic; unit norms are summed in another order than NumPy's."""
    (line,) = export.write(trained("ms2gan", **settings), ["savedmodel"])
    assert max(differences(line).values()) <= (1e-6 if settings.get("feature_norm") == "l2" else 0)


def test_five_modalities(trained):
    place = trained("ms2gan", ("image", "text", "audio", "video", "shape3d"))
    (line,) = export.write(place, ["savedmodel"])
    assert set(differences(line)) == {"image", "text", "audio", "video", "shape3d"}


class Own(Baseline):
    """A closed-form method of somebody else's, of which only NumPy knows what it does."""

    Settings = BaselineSettings
    paper = provenance = "none"

    def learn(self, data):
        self.scale_ = np.ones(1)
        return self

    def represent(self, modality, features):
        return np.abs(features[:, :3])


@pytest.fixture
def own(trained, monkeypatch):
    """An encoder that says it is of CCA, and is of another method."""
    place = trained("cca")
    monkeypatch.setattr(folder, "method_of", lambda *_, **__: Own(BaselineSettings()))
    return place


def test_a_method_without_a_graph(own):
    with pytest.raises(InputError, match="Own computes by NumPy, of which no graph can be made"):
        list(export.write(own, ["savedmodel"]))
    assert not (own / "saved_model").exists()


def test_what_differs_is_not_kept(trained, monkeypatch):
    """Guards against a file that is said to be written, and gives something else; an earlier one stays."""
    from tfxmr.encoding import closed_form

    place = trained("cca")
    (line,) = export.write(place, ["savedmodel"])
    before = json.loads((place / "exports.json").read_text())
    right = closed_form.represent
    monkeypatch.setattr(closed_form, "represent", lambda *args: right(*args) + 1e-3)
    with pytest.raises(InputError, match="differs from the encoder by .*, more than 1e-06"):
        list(export.write(place, ["savedmodel"]))
    assert json.loads((place / "exports.json").read_text()) == before and (place / "saved_model").exists()
