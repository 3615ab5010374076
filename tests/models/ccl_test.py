"""CCL against its derivation: parameter counts, losses of both stages by a slow loop, routing between the stages."""
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, first_batch, random_data

from tfxmr.errors import InputError
from tfxmr.evaluation import mean_average_precision
from tfxmr.models.ccl import CCL, CCLSettings
from tfxmr.training import sampling

SMALL = {"encoder_units": (6, 5), "common_units": (6, 4), "batch_size": 8, "steps": 3}


def make_model(dims=DIMS, classes=3, **settings):
    return CCL(random_data(dims, classes), CCLSettings(**(SMALL | settings)))


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


UNITS = {"sigmoid": sigmoid, "tanh": np.tanh}


def slow(network, x, unit, last):
    weights = [v.numpy() for v in network.trainable_variables]
    for i in range(0, len(weights), 2):
        x = x @ weights[i] + weights[i + 1]
        x = unit(x) if i + 2 < len(weights) or last else x
    return x


def test_parameter_counts_at_paper_widths():
    """By hand for 4096 and 300 wide features and 10 classes: guards the widths 2048, 1024 and 1024, 1024."""
    model = CCL(random_data({"image": 4096, "text": 300}, classes=10, items=100))
    assert {name: net.count_params() for name, net in model.networks.items()} == {
        "encoder_image": 4097 * 2048 + 2049 * 1024, "decoder_image": 1025 * 2048 + 2049 * 4096,
        "encoder_text": 301 * 2048 + 2049 * 1024, "decoder_text": 1025 * 2048 + 2049 * 300,
        "common_image": 2_099_200, "common_text": 2_099_200, "classifier_image": 10_250, "classifier_text": 10_250,
    }


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
@pytest.mark.parametrize("activation", UNITS)
def test_losses_by_a_slow_loop(dims, activation):
    """Guards each term's weight, and which layer it takes: h in the contrastive loss, z in the classification."""
    model, batch = make_model(dims, correlation=0.6, margin=1.5, beta=0.3, activation=activation), first_batch(dims)
    labels, net, unit = batch["label"].numpy(), model.networks, UNITS[activation]
    codes = {m: slow(net[f"encoder_{m}"], batch[m].numpy(), unit, True) for m in dims}
    shared = {m: slow(net[f"common_{m}"], codes[m], unit, False) for m in dims}
    expected = dict.fromkeys(("reconstruction", "correlation", "contrastive", "class"), 0.0)
    for m in dims:
        made = slow(net[f"decoder_{m}"], codes[m], unit, False)
        expected["reconstruction"] += 0.4 * np.sum((made - batch[m]) ** 2) / 8
        for z, label in zip(slow(net[f"classifier_{m}"], shared[m], unit, False), labels, strict=True):
            expected["class"] += (math.log(sum(math.exp(v) for v in z)) - z[label]) / 8
    for m, n in itertools.combinations(dims, 2):
        expected["correlation"] += 0.6 * np.sum((codes[m] - codes[n]) ** 2) / 8
        for u, v in itertools.product(range(8), repeat=2):
            d = math.dist(unit(shared[m][u]), unit(shared[n][v]))
            expected["contrastive"] += 0.3 / 16 * (d**2 if labels[u] == labels[v] else max(0, 1.5 - d) ** 2)
    assert {name: float(v) for name, v in model.costs(batch, model.present_step()).items()} == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(model.encode("text", batch["text"]), unit(shared["text"]), rtol=1e-5)


@pytest.mark.parametrize("end_to_end", [False, True])
def test_routing_of_gradients(end_to_end):
    """Guards against a second stage that trains the first one's encoders, or an --end_to_end that does not."""
    model, batch = make_model(end_to_end=end_to_end, margin=3.0), first_batch()

    def of(*kinds):
        return {f"{kind}_{m}" for kind in kinds for m in DIMS}

    below = ("encoder",) if end_to_end else ()
    reached = {
        "reconstruction": of("encoder", "decoder"), "correlation": of("encoder"),
        "contrastive": of("common", *below), "class": of("common", "classifier", *below),
    }
    for name, expected in reached.items():
        with tf.GradientTape() as tape:
            cost = model.costs(batch, model.present_step())[name]
        found = tape.gradient(cost, {n: net.trainable_variables for n, net in model.networks.items()})
        assert {n for n, gs in found.items() if any(g is not None and np.any(g) for g in gs)} == expected, name


def test_learns(make_data):
    """On easy data, test mAP goes from near chance to near 1."""
    data = make_data(train=200, test=40, classes=4, noise=0.3)
    model = CCL(data, CCLSettings(**(SMALL | {"encoder_units": (16, 16), "common_units": (16, 16)})))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 64, 0, 0, 200))
    test = data.splits["test"]
    codes = {m: model.encode(m, test.features[m]) for m in data.dims}
    for a, b in (("image", "text"), ("text", "image")):
        assert mean_average_precision(codes[a], codes[b], test.labels[a], test.labels[b]) > 0.8


def test_length_and_refusals():
    assert make_model(steps=0, epochs=4).total_steps(24) == 4 * 3
    assert make_model(steps=5, epochs=4).total_steps(24) == 5
    with pytest.raises(InputError, match="two or more modalities; dataset random has image alone"):
        make_model({"image": 4})
    with pytest.raises(InputError, match="two or more training classes"):
        make_model(classes=1)
