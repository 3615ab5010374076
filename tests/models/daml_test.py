"""DAML against the statement in its docstring: parameter counts, losses by a slow loop, routing of gradients, learning."""
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, first_batch, random_data, scores, weights

from tfxmr.core.errors import InputError
from tfxmr.engine import losses, sampling
from tfxmr.models.daml import DAML, DAMLSettings

SMALL = {"common_units": (9, 6), "modality_units": (5,), "batch_size": 8, "steps": 3}


def make_model(dims=DIMS, **settings):
    model = DAML(random_data(dims), DAMLSettings(**(SMALL | settings)))
    model.compile()
    return model


def test_parameter_counts():
    """4,096 / 3,000 features: the towers are those of MS2GAN, the modality classifier 128-64-2."""
    model = DAML(random_data({"image": 4096, "text": 3000}, 10, items=130))
    assert {name: net.count_params() for name, net in model.networks.items()} == {
        "tower_image": 4_785_792, "tower_text": 3_663_488, "modality_classifier": 8_386,
    }


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
def test_losses_by_a_slow_loop(dims):
    """Guards a metric loss that sees one modality or one direction alone, thresholds exchanged, and every weight."""
    model = make_model(dims, tau=3.0, margin=0.5, alpha=0.7, beta=0.3)
    batch = first_batch(model.dims)
    labels, hinges = batch["label"].numpy(), {True: [], False: []}
    expected = {"pair": 0.0, "adv": 0.0}
    items = []
    for i, m in enumerate(dims):
        w, b, v, c = weights(model, f"tower_{m}")
        rows = np.tanh(np.tanh(batch[m].numpy() @ w + b) @ v + c)
        items += list(zip(rows, labels, strict=True))
        w, b, v, c = weights(model, "modality_classifier")
        hidden = rows @ w + b
        logits = np.where(hidden > 0, hidden, 0.2 * hidden) @ v + c
        expected["adv"] += sum(math.log(sum(math.exp(z - row[i]) for z in row)) for row in logits) / 8
    for (p, l_p), (q, l_q) in itertools.product(items, repeat=2):
        d = sum((p - q) ** 2)
        hinges[bool(l_p == l_q)].append(max(0, d - 2.5) if l_p == l_q else max(0, 3.5 - d))
    for first, second in itertools.combinations(range(len(dims)), 2):
        expected["pair"] += 0.3 * sum(
            sum((items[8 * first + u][0] - items[8 * second + u][0]) ** 2) for u in range(8)
        ) / 8
    expected["metric"] = 0.7 * sum(sum(h) / len(h) for h in hinges.values())
    found = {name: float(v) for name, v in model.compute_losses(batch, model.present_step()).items()}
    assert expected["metric"] > 0.1 and found == pytest.approx(expected, rel=1e-4)


def test_routing_of_gradients():
    """Guards a metric loss that reaches the classifier, and a classifier that the towers help instead of mislead."""
    model = make_model(lambda_adv=0.5)
    batch = first_batch(model.dims)
    with tf.GradientTape(persistent=True) as tape:
        cost = model.compute_losses(batch, model.present_step())
        common = tf.stack([model.embed(m, batch[m]) for m in DIMS])
        plain = tf.reduce_mean(losses.modality_classification(model.networks["modality_classifier"](common)))
    towers = [v for m in DIMS for v in model.networks[f"tower_{m}"].trainable_variables]
    judge = model.networks["modality_classifier"].trainable_variables
    for name in ("metric", "pair"):
        assert tape.gradient(cost[name], judge) == [None] * len(judge)
        assert all(np.any(g) for g in tape.gradient(cost[name], towers))
    for one, other in zip(tape.gradient(cost["adv"], towers), tape.gradient(plain, towers), strict=True):
        np.testing.assert_allclose(one, -0.5 * other, rtol=1e-4, atol=1e-7)
    for one, other in zip(tape.gradient(cost["adv"], judge), tape.gradient(plain, judge), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
def test_learns(dims, make_data):
    """On easy data, test mAP goes from near chance to near 1 in every direction: guards the signs of the whole."""
    data = make_data(train=120, test=40, classes=4, dims=dims)
    model = DAML(data, DAMLSettings(common_units=(32, 16), modality_units=(8,), batch_size=32))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 32, 0, 0, 60))
    assert min(scores(model, data.splits["test"]).values()) > 0.8


def test_length_and_optimiser():
    """200 epochs of 2 batches; guards against a beta_1 that never reaches Adam."""
    assert DAML(random_data(items=300)).total_steps(300) == 200 * 2
    assert make_model(steps=5, epochs=4).total_steps(24) == 5
    assert make_model().player_optimizers["joint"].beta_1 == 0.5


def test_wrong_input_is_refused():
    with pytest.raises(InputError, match="--common_units=: give at least 1 number"):
        DAMLSettings(common_units=())
    with pytest.raises(InputError, match="two or more modalities; dataset random has image alone"):
        DAML(random_data({"image": 4}), DAMLSettings(**SMALL))
    with pytest.raises(InputError, match="two or more training classes"):
        DAML(random_data(classes=1), DAMLSettings(**SMALL))
