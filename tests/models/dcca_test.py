"""DCCA against its derivation: the cube-root unit, parameter counts, and linear networks against closed-form CCA."""
import numpy as np
import pytest
from made_up import scores

from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import sampling
from tfxmr.models.dcca import DCCA, DCCASettings, cube_root


def views(items=80, seed=0, noise=1.0):
    """Two views of two hidden causes, the second one linear in them but for noise."""
    rng = np.random.default_rng(seed)
    hidden = rng.normal(size=(items, 2))
    image = hidden @ rng.normal(size=(2, 5)) + noise * rng.normal(size=(items, 5))
    text = hidden @ rng.normal(size=(2, 4)) + noise * rng.normal(size=(items, 4))
    split = Split.of_pairs({"image": image, "text": text}, np.arange(items) % 3)
    return MultiModalData("views", {"train": split}, [])


def make_model(data=None, **settings):
    return DCCA(data or views(), DCCASettings(**({"units": (6, 3), "batch_size": 40, "steps": 3} | settings)))


def test_cube_root():
    """y^3 / 3 + y = x, over the whole range and with the slope 1 / (y^2 + 1): guards the closed form."""
    x = np.array([-1e4, -3.0, -0.1, 0.0, 1e-3, 2.0, 500.0], "f")
    y = cube_root(x).numpy().astype(float)
    np.testing.assert_allclose(y**3 / 3 + y, x, rtol=1e-5, atol=1e-7)


def test_parameter_counts():
    """4096 and 300 x 1024 x 10 with biases; on top of each, mean and map of the 10 outputs, untrained."""
    rng = np.random.default_rng(0)
    split = Split.of_pairs({"image": rng.normal(size=(500, 4096)), "text": rng.normal(size=(500, 300))}, np.zeros(500))
    model = DCCA(MultiModalData("wide", {"train": split}, []))
    assert {name: net.count_params() for name, net in model.networks.items()} == {
        "image": 4_195_328 + 10_250, "text": 308_224 + 10_250,
        "top_image": 10 + 100, "top_text": 10 + 100,
    }
    assert len(model.variables_of("joint")) == 8


@pytest.mark.parametrize("outputs", [1, 3])
def test_linear_networks_reach_the_closed_form(outputs):
    """Full batch, no hidden layer: the maximum is the sum of CCA's correlations. Guards the objective's sign and scale."""
    data = views()
    expected = CCA(CCASettings(components=outputs, ridge=1e-9)).learn(data).correlations_.sum()
    model = make_model(data, units=(outputs,), batch_size=80, ridge=1e-9)
    model.compile(learning_rate=0.03)
    batch = next(iter(sampling.batches(data.splits["train"], 80, 0, 0, 1)))
    before = -float(next(model.updates(batch, model.present_step()))[1]["minus_correlation"])
    model.take_steps(sampling.batches(data.splits["train"], 80, 0, 0, 400))
    reached = -float(next(model.updates(batch, model.present_step()))[1]["minus_correlation"])
    assert before < 0.9 * expected
    assert reached == pytest.approx(expected, rel=1e-3)


def test_representation_is_the_closed_form_on_the_outputs():
    """Guards against a map on top of weights that are no more: it follows every change of the weights."""
    data, codes = views(), {}
    model = make_model(data, top_ridge=1e-9)
    for scale in (1.0, 2.0):
        for v in model.variables_of("joint"):
            v.assign(v * scale)
        train = data.splits["train"]
        outputs = {m: model.networks[m](train.features[m]).numpy() for m in train.modalities}
        top = CCA(CCASettings(components=3, ridge=1e-9)).learn(
            MultiModalData("outputs", {"train": Split.of_pairs(outputs, train.labels["image"])}, [])
        )
        retriever = model.retriever(data)
        codes = {m: retriever.represent(m, train.features[m]) for m in train.modalities}
        for m, code in codes.items():
            np.testing.assert_allclose(code, top.represent(m, outputs[m]), atol=1e-4)
    both = np.corrcoef(np.hstack([codes["image"], codes["text"]]).T)
    np.testing.assert_allclose(both[:3, :3], np.eye(3), atol=1e-3)
    assert make_model(components=2).encode("image", np.ones((4, 5))).shape == (4, 2)


def test_only_the_networks_are_trained():
    """Guards against a gradient into the map on top, and against a network that the objective does not reach."""
    model = make_model()
    model.compile()
    top = [w.copy() for w in model.networks["top_text"].get_weights()]
    ((_, _, gradients),) = model.updates(next(iter(sampling.batches(views().splits["train"], 40, 0, 0, 1))), model.present_step())
    assert all(np.abs(g).max() > 0 for g, v in zip(gradients, model.variables_of("joint"), strict=True) if v.shape[0] > 3)
    model.take_steps(sampling.batches(views().splits["train"], 40, 0, 0, 2))
    for one, other in zip(top, model.networks["top_text"].get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_networks_beat_linear_maps():
    """Text is the square of what the image tells: no linear direction of the first correlates, DCCA finds one."""
    rng = np.random.default_rng(1)
    hidden = rng.normal(size=(300, 1))
    features = {"image": np.hstack([hidden, rng.normal(size=(300, 1))]),
                "text": np.hstack([hidden**2, rng.normal(size=(300, 1))])}
    data = MultiModalData("squares", {"train": Split.of_pairs(features, np.arange(300) % 3)}, [])
    assert CCA(CCASettings(components=1, ridge=1e-9)).learn(data).correlations_[0] < 0.4
    model = make_model(data, units=(16, 1), batch_size=300)
    model.compile(learning_rate=0.03)
    model.take_steps(sampling.batches(data.splits["train"], 300, 0, 0, 200))
    model.finish(data)
    codes = [model.encode(m, data.splits["train"].features[m])[:, 0] for m in ("image", "text")]
    assert np.corrcoef(*codes)[0, 1] > 0.8


def test_learns_without_labels(make_data):
    data = make_data(train=200, test=40, classes=4, noise=0.3)
    model = make_model(data, units=(16, 3))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 100, 0, 0, 60))
    model.finish(data)
    assert min(scores(model, data.splits["test"]).values()) > 0.6


def test_features_that_do_not_vary():
    """Guards against a whole training before the error, which then named a larger --ridge."""
    train = views().splits["train"]
    split = Split.of_pairs(train.features | {"text": np.ones((80, 4))}, train.labels["image"])
    with pytest.raises(InputError, match="the text features of all 80 training items are the same"):
        make_model(MultiModalData("constant", {"train": split}, []))


def test_singular_outputs():
    """Guards against naming --ridge, that of the loss, where the map on top of the networks has too small a one."""
    model = make_model(units=(3,), top_ridge=0.0)
    weights, bias = model.networks["text"].get_weights()
    model.networks["text"].set_weights([weights[:, [0, 0, 1]], bias])
    with pytest.raises(InputError, match=r"--top_ridge=0: a covariance of width 3 is singular .*--top_ridge=0\.001$"):
        model.finish(views())
    model.networks["text"].set_weights([0 * weights, bias])
    with pytest.raises(InputError, match="the text network gives all training items the same outputs"):
        model.finish(views())


def test_length_and_refusals():
    assert make_model(steps=0, epochs=4).total_steps(80) == 4 * 2
    assert make_model(steps=5, epochs=4).total_steps(80) == 5
    with pytest.raises(InputError, match=r"--ridge=0\.0: must be >= 1e-12"):
        make_model(ridge=0.0)
    data = views()
    split = Split(data.splits["train"].features, data.splits["train"].labels, unpaired=("image", "text"))
    with pytest.raises(InputError, match="dcca learns from items that have all of image, text"):
        make_model(MultiModalData("views", {"train": split}, []))
