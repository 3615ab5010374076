"""What is exported gives what the encoder gives, for every method; that it is said only then."""
import dataclasses
import json
import shutil
import subprocess
import sys

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
from tfxmr.encoding import export, folder, naming, onnx_files
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
    if method.one_space:
        modalities = modalities or ("image", "text")  # as wide as each other
    data = paired_data(dims=dict.fromkeys(modalities, 5), classes=6, train=60, test=24) if modalities else with_views(
        paired_data(classes=6, train=60, test=24)
    )
    if method.takes_source:
        dims = {m: data.dims[m] for m in data.modalities}
        source = paired_data(classes=4, train=40, test=8, dims=dims, seed=9)
        data = dataclasses.replace(data, source=domains.of_training_items(source))
    made = quick(method, **FEWER.get(name, {}) | settings)
    if "feature_norm" not in settings and not method.one_space:  # of tokens nothing is normalised
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
    return encoder, features, {n: features[view] for n, view in naming.inputs(encoder.views, modality).items()}


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


@pytest.fixture
def extra():
    """Skips where the extra `onnx` is not installed."""
    for name in ("onnx", "onnxruntime", "tf2onnx"):
        pytest.importorskip(name, reason="needs pip install 'tfxmr[onnx]'")


def test_points_that_no_matrix_makes():
    """Guards against an index searched by other vectors than the run's: of them the files keep none."""
    made = {"a": np.random.default_rng(0).normal(size=(5, 3)), "b": np.ones((5, 2))}
    assert onnx_files.matrices_of(lambda parts: np.concatenate([parts["a"] ** 2, parts["b"]], axis=1), made) == {}
    assert onnx_files.matrices_of(lambda parts: parts["a"][:, 0], {"a": np.ones((5, 3, 2))}) == {}
    matrices = onnx_files.matrices_of(lambda parts: np.concatenate([2 * parts["a"], parts["b"]], axis=1), made)
    np.testing.assert_array_equal(onnx_files.summed(matrices, made), np.concatenate([2 * made["a"], made["b"]], axis=1))


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize("name", slow_but(FAST))
def test_onnx(name, trained):
    """To 1e-6, whatever the method and the number of items; the inputs are called as they are documented."""
    place = trained(name)
    (line,) = export.write(place, ["onnx"])
    assert max(differences(line).values()) <= 1e-6
    encoder = tfxmr.load(place, backend="onnx")
    for m in encoder.modalities:
        own, features, arrays = given(place, name, m)
        made = encoder.encode_features(m, features)
        if own.method.points:  # MCSM's, by which an index is searched
            expected = own.points(m, own.encode_features(m, features))
            np.testing.assert_allclose(encoder.points(m, made), expected, rtol=0, atol=1e-6 * np.abs(expected).max())
        made = {f"embedding_{p}": x for p, x in made.items()} if isinstance(made, dict) else {"embedding": made}
        assert_same(made, own.encode_features(m, features), 1e-6)
        import onnxruntime

        session = onnxruntime.InferenceSession(place / f"{m}.onnx")
        assert {i.name for i in session.get_inputs()} == set(arrays)
        assert {i.shape[0] for i in (*session.get_inputs(), *session.get_outputs())} == {"n"}


@pytest.mark.usefixtures("extra")
def test_onnx_of_16_bits(trained):
    """Guards against a file of mixed 16-bit products, which tf2onnx writes and onnxruntime refuses."""
    place = trained("ms2gan", precision="bfloat16")
    (line,) = export.write(place, ["onnx"])
    exact, _, own = line.partition("; in float32, from the run's bfloat16 ")
    assert max(differences(exact).values()) <= 1e-6
    assert all(1e-6 < float(part.split()[1]) < 0.1 for part in own.split(", "))


@pytest.mark.usefixtures("extra")
def test_onnx_of_five_modalities(trained):
    place = trained("ms2gan", ("image", "text", "audio", "video", "shape3d"))
    assert len(differences(*export.write(place, ["onnx"]))) == 5


@pytest.mark.usefixtures("extra")
@pytest.mark.parametrize("name", ["kcca", "ms2gan"])
def test_onnx_without_tensorflow(name, trained, tmp_path):
    """In a fresh process neither TensorFlow nor Keras is imported, and the vectors are the same."""
    place = trained(name)
    list(export.write(place, ["onnx"]))
    encoder, features, _ = given(place, name, "text")
    np.save(tmp_path / "x.npy", features["text"])
    code = """
import sys, numpy as np, tfxmr
made = tfxmr.load(sys.argv[1], backend="onnx").encode_features("text", np.load(sys.argv[2]))
np.save(sys.argv[3], made)
print([name for name in ("tensorflow", "keras", "tf2onnx") if name in sys.modules])
"""
    done = subprocess.run(
        [sys.executable, "-c", code, place, tmp_path / "x.npy", tmp_path / "made.npy"], capture_output=True, text=True,
        check=True,
    )
    assert done.stdout.strip() == "[]"
    assert_same({"embedding": np.load(tmp_path / "made.npy")}, encoder.encode_features("text", features), 1e-6)


@pytest.mark.usefixtures("extra")
def test_onnx_files_that_do_not_fit(trained, tmp_path):
    """Missing, damaged, or of another encoder: each in a line that says what to type."""
    place = tmp_path / "encoder"
    shutil.copytree(trained("cca"), place, ignore=shutil.ignore_patterns("*.onnx", "exports.json"))
    with pytest.raises(InputError, match="holds no ONNX files; make them: `tfxmr export --run_dir=.* --formats=onnx`"):
        tfxmr.load(place, backend="onnx")
    list(export.write(place, ["onnx"]))
    assert tfxmr.load(place, backend="onnx").model == "cca"
    content = (place / "text.onnx").read_bytes()
    (place / "text.onnx").write_bytes(content[:-1])
    with pytest.raises(InputError, match="text.onnx: is damaged or missing"):
        tfxmr.load(place, backend="onnx")
    (place / "text.onnx").write_bytes(content)
    exports = json.loads((place / "exports.json").read_text())
    (place / "exports.json").write_text(json.dumps(exports | {"encoder": "other"}))
    with pytest.raises(InputError, match="its ONNX files are another encoder's"):
        tfxmr.load(place, backend="onnx")


def test_without_the_extra(trained, monkeypatch):
    """It is named as it is typed, before any work."""
    monkeypatch.setitem(sys.modules, "onnxruntime", None)
    for call in (lambda: tfxmr.load(trained("cca"), backend="onnx"), lambda: list(export.write(trained("cca"), ["onnx"]))):
        with pytest.raises(InputError, match=r"pip install 'tfxmr\[onnx\]'"):
            call()
    with pytest.raises(InputError, match="backend='torch'"):
        tfxmr.load(trained("cca"), backend="torch")


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
    place = trained("cca", feature_norm="none")  # a folder that no other test exports
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
    with pytest.raises(InputError, match="differs from the encoder by .*, more than 1e-05"):
        list(export.write(place, ["savedmodel"]))
    assert json.loads((place / "exports.json").read_text()) == before and (place / "saved_model").exists()
