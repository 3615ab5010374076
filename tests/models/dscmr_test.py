"""DSCMR against its derivation: parameter counts, its three terms by a slow loop, hand-worked values, learning."""
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, first_batch, random_data, scores, weights

from tfxmr.core.errors import InputError
from tfxmr.engine import sampling
from tfxmr.models.dscmr import DSCMR, DSCMRSettings, likelihood

SMALL = {"hidden_units": (9,), "common_units": (6,), "batch_size": 8, "steps": 3}


def make_model(dims=DIMS, **settings):
    model = DSCMR(random_data(dims), DSCMRSettings(**(SMALL | settings)))
    model.compile()
    return model


def test_parameter_counts_at_paper_widths():
    """4,096 / 300 features and 10 classes: guards against a second common layer, one for each modality."""
    model = DSCMR(random_data({"image": 4096, "text": 300}, 10, items=110))
    assert {name: net.count_params() for name, net in model.networks.items()} == {
        "own_image": 8_390_656, "own_text": 616_448, "common": 2_098_176, "classifier": 10_250,
    }
    assert len(model.variables_of("joint")) == 8


SETS = np.array([[1, 0, 0], [1, 1, 0], [0, 1, 0], [0, 0, 1], [1, 1, 1], [0, 1, 1], [0, 0, 1], [1, 0, 1]], "f")


@pytest.mark.parametrize("dims, several", [(DIMS, False), (THREE, False), (DIMS, True)], ids=["two modalities", "three", "several classes"])
def test_terms_by_a_slow_loop(dims, several):
    """Guards a squared norm, a softmax, a term of J2 that is missing or there twice, and every weight."""
    model = make_model(dims, alpha=0.3, beta=0.7)
    batch = first_batch(model.dims)
    truth = SETS if several else np.eye(3)[batch["label"].numpy()]
    batch |= {"label": tf.constant(SETS)} if several else {}
    common, found = {}, dict.fromkeys(("j1", "j2", "j3"), 0.0)
    for m in dims:
        own, bias = weights(model, f"own_{m}")
        kernel, shift = weights(model, "common")
        common[m] = [np.maximum(x @ own + bias, 0) @ kernel + shift for x in batch[m].numpy()]
    kernel, bias = weights(model, "classifier")
    for n in range(8):
        for m in dims:
            found["j1"] += math.sqrt(sum((common[m][n] @ kernel + bias - truth[n]) ** 2)) / 8
        for a, b in itertools.combinations(dims, 2):
            found["j3"] += 0.7 * math.sqrt(sum((common[a][n] - common[b][n]) ** 2)) / 8
    for a, b in itertools.combinations_with_replacement(dims, 2):
        for u, v in itertools.product(range(8), repeat=2):
            x, y = common[a][u], common[b][v]
            theta = x @ y / (np.linalg.norm(x) * np.linalg.norm(y)) / 2
            found["j2"] += 0.3 * (math.log(1 + math.exp(theta)) - any(truth[u] * truth[v]) * theta) / 64
    assert {name: float(v) for name, v in model.compute_losses(batch, model.present_step()).items()} == pytest.approx(found, rel=1e-5)


def slow_loss(model, values, batch):
    """J of a batch in float64, of the weights in `values`: name -> [kernel, bias]."""
    (common, shift), (kernel, bias) = values["common"], values["classifier"]
    truth, same = np.eye(3)[batch["label"]], np.equal.outer(batch["label"], batch["label"])
    found, total = [], 0.0
    for m in DIMS:
        own, b = values[f"own_{m}"]
        found.append(np.maximum(batch[m] @ own + b, 0) @ common + shift)
        total += np.linalg.norm(found[-1] @ kernel + bias - truth, axis=1).mean()
    unit = [x / np.linalg.norm(x, axis=1, keepdims=True) for x in found]
    for a, b in ((0, 0), (0, 1), (1, 1)):
        theta = unit[a] @ unit[b].T / 2
        total += model.settings.alpha * (np.log1p(np.exp(theta)) - same * theta).mean()
    return total + model.settings.beta * np.linalg.norm(found[0] - found[1], axis=1).mean()


def test_three_steps_by_finite_differences():
    """Loss, gradient and PyTorch's Adam, all by NumPy: guards the step as a whole, from the authors' initial weights."""
    model = make_model(hidden_units=(4,), common_units=(3,), learning_rate=1e-2, alpha=0.3, beta=0.7)
    values = {n: [w.astype(np.float64) for w in weights(model, n)] for n in model.networks}
    moments = [(w, np.zeros_like(w), np.zeros_like(w)) for ws in values.values() for w in ws]
    batches = sampling.batches(random_data().splits["train"], 8, 0, 0, 3)
    for t, batch in enumerate(batches, start=1):
        numbers = {name: x.numpy() for name, x in batch.items()}
        gradients = []
        for w, _, _ in moments:
            gradients.append(np.zeros_like(w))
            for i in np.ndindex(w.shape):
                there, values_of_loss = w[i], []
                for h in (1e-6, -1e-6):
                    w[i] = there + h
                    values_of_loss.append(slow_loss(model, values, numbers))
                w[i] = there
                gradients[-1][i] = (values_of_loss[0] - values_of_loss[1]) / 2e-6
        for (w, m, v), g in zip(moments, gradients, strict=True):
            m += 0.5 * (g - m)
            v += 0.001 * (g * g - v)
            w -= 1e-2 / (1 - 0.5**t) * m / (np.sqrt(v / (1 - 0.999**t)) + 1e-8)
        model.train_step(batch)
    for name, expected in values.items():
        for mine, other in zip(weights(model, name), expected, strict=True):
            np.testing.assert_allclose(mine, other, atol=1e-4)  # steps are of 1e-2


@pytest.mark.parametrize("init", ["torch", "glorot"])
def test_initial_weights(init):
    """PyTorch's: every weight and bias in +-1/sqrt(inputs), which Glorot's leave; guards a network left with another."""
    model = make_model({"image": 400, "text": 300}, hidden_units=(100,), common_units=(50,), init=init)
    for name in model.networks:
        kernel, bias = weights(model, name)
        limit = len(kernel) ** -0.5 if init == "torch" else math.sqrt(6 / sum(kernel.shape))
        assert 0.9 * limit < np.abs(kernel).max() <= limit, name
        assert np.abs(bias).max() <= limit and bias.any() == (init == "torch"), name


def test_likelihood_by_hand():
    """One item of each of two classes: cosines 1 and -1 cost ln(1 + e^(1/2)) - 1/2 and ln(1 + e^(-1/2)), the same."""
    a = np.array([[2.0, 0], [-3, 0]], "f")
    right = math.log(1 + math.exp(0.5)) - 0.5
    assert float(likelihood(a, a, np.eye(2, dtype="f"))) == pytest.approx(right, rel=1e-6)
    assert float(likelihood(a, a, 1 - np.eye(2, dtype="f"))) == pytest.approx(right + 0.5, rel=1e-6)
    assert float(likelihood(a, a[:, ::-1], np.eye(2, dtype="f"))) == pytest.approx(math.log(2), rel=1e-6)


def test_routing_of_gradients():
    """Guards against a common layer or a modality that a term leaves alone; J1 alone trains the classifier."""
    model = make_model(THREE)
    batch = first_batch(model.dims)
    towers = {"own_image", "own_text", "own_audio", "common"}
    for name, expected in {"j1": towers | {"classifier"}, "j2": towers, "j3": towers}.items():
        with tf.GradientTape() as tape:
            cost = model.compute_losses(batch, model.present_step())[name]
        found = tape.gradient(cost, {n: net.trainable_variables for n, net in model.networks.items()})
        assert {n for n, gs in found.items() if any(g is not None and np.any(g) for g in gs)} == expected


def test_equal_representations_have_finite_gradients():
    """Guards against the norm's infinite slope at 0, where both modalities have the same common representation."""
    model = make_model({"image": 5, "text": 5})
    for mine, other in zip(weights(model, "own_image"), model.networks["own_text"].trainable_variables, strict=True):
        other.assign(mine)
    batch = first_batch(model.dims)
    ((_, _, gradients),) = model.updates(batch | {"text": batch["image"]}, model.present_step())
    assert all(np.isfinite(g).all() for g in gradients)


def test_representation_is_the_common_layer():
    model = make_model()
    x = random_data().splits["train"].features["text"][:4]
    (own, bias), (kernel, shift) = weights(model, "own_text"), weights(model, "common")
    np.testing.assert_allclose(
        model.encode("text", x), np.maximum(x @ own + bias, 0) @ kernel + shift, rtol=1e-4, atol=1e-6
    )


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
def test_learns(dims, make_data):
    """On easy data, test mAP goes from near chance to near 1 in every direction: guards the signs of the whole."""
    data = make_data(train=120, test=40, classes=4, dims=dims)
    model = DSCMR(data, DSCMRSettings(hidden_units=(32,), common_units=(16,), batch_size=32))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 32, 0, 0, 60))
    assert min(scores(model, data.splits["test"]).values()) > 0.8


def test_length_and_optimiser():
    """500 epochs of 3 batches; guards against a beta_1 that never reaches Adam."""
    assert DSCMR(random_data(items=300)).total_steps(300) == 500 * 3
    assert make_model(steps=5, epochs=4).total_steps(24) == 5
    assert make_model().player_optimizers["joint"].beta_1 == 0.5
    assert make_model().player_optimizers["joint"].epsilon_corrected


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="--common_units=: give at least 1 number"):
        DSCMRSettings(common_units=())
