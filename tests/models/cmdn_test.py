"""CMDN against its derivation: parameter counts, losses of every stage by a slow loop, routing between the stages."""
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, first_batch, random_data

from tfxmr.errors import InputError
from tfxmr.evaluation import mean_average_precision
from tfxmr.models.cmdn import CMDN, CMDNSettings
from tfxmr.training import sampling

SMALL = {
    "intra_units": (6, 5), "inter_units": (6, 4), "merged_units": (5,), "semantic_units": (6, 5),
    "common_units": (4, 3), "batch_size": 8, "steps": 3,
}


def make_model(dims=DIMS, classes=3, **settings):
    return CMDN(random_data(dims, classes), CMDNSettings(**(SMALL | settings)))


def linear(x):
    return x


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def relu(x):
    return np.maximum(x, 0)


def slow(network, x, hidden, last):
    """A network in NumPy. Several kernels in a first layer are rows of one."""
    weights = [v.numpy() for v in network.trainable_variables]
    kernels, biases, parts = [], [], []
    for w in weights:
        if w.ndim == 2:
            parts.append(w)
        else:
            kernels.append(np.concatenate(parts))
            biases.append(w)
            parts = []
    for i, (kernel, bias) in enumerate(zip(kernels, biases, strict=True)):
        x = x @ kernel + bias
        x = hidden(x) if i + 1 < len(kernels) else last(x)
    return x


def cross_entropy(logits, labels):
    return np.mean([math.log(sum(math.exp(v) for v in z)) - z[y] for z, y in zip(logits, labels, strict=True)])


UNITS = {"sigmoid": sigmoid, "tanh": np.tanh}


def slow_joint(model, name, parts, labels, cost):
    """A joint autoencoder: all modalities, then each alone, each restoring all."""
    dims, alone, unit = list(parts), {}, UNITS[model.settings.activation]
    recovered, classes = 0, 0
    for present in (dims, *([m] for m in dims)):
        inputs = np.hstack([parts[m] if m in present else 0 * parts[m] for m in dims])
        code = slow(model.networks[name], inputs, unit, unit)
        if len(present) == 1:
            alone[present[0]] = code
        for m in dims:
            made = slow(model.networks[f"{name}_decoder_{m}"], code, unit, linear)
            recovered += np.mean((made - parts[m]) ** 2) / (1 + len(dims))
        if labels is not None:
            logits = slow(model.networks[f"{name}_classifier"], code, unit, linear)
            classes += cross_entropy(logits, labels) / (1 + len(dims))
    cost[name] = recovered
    if labels is not None:
        cost[f"{name}_class"] = classes
    return alone


def slow_losses(model, batch):
    """(losses, representation by modality), each stage as the docstring of CMDN has it."""
    net, labels, cost, below, parts = model.networks, batch["label"].numpy(), {}, {}, {}
    intra, unit = {}, UNITS[model.settings.activation]
    for m in model.dims:
        x = batch[m].numpy()
        intra[m] = slow(net[f"intra_{m}"], x, relu, relu)
        cost[f"intra_{m}"] = np.mean((slow(net[f"intra_{m}_decoder"], intra[m], relu, linear) - x) ** 2)
        below[m] = slow(net[f"inter_{m}"], x, unit, unit)
        cost[f"inter_{m}"] = np.mean((slow(net[f"inter_{m}_decoder"], below[m], unit, linear) - x) ** 2)
    joint = slow_joint(model, "joint", below, None, cost)
    for m in model.dims:
        both = np.hstack([intra[m], joint[m]])
        merged = slow(net[f"merge_{m}"], both, unit, unit)
        cost[f"merge_{m}"] = np.mean((slow(net[f"merge_{m}_decoder"], merged, unit, linear) - both) ** 2)
        parts[m] = slow(net[f"semantic_{m}"], merged, unit, unit)
        cost[f"semantic_{m}"] = cross_entropy(slow(net[f"semantic_{m}_classifier"], parts[m], unit, linear), labels)
    for i in range(len(model.settings.common_units)):
        parts = slow_joint(model, f"common_{i + 1}", parts, labels, cost)
    return cost, parts


def test_parameter_counts_at_paper_widths():
    """By hand for 4096 and 300 wide features and 10 classes: guards each stage's widths and the shared biases."""
    model = CMDN(random_data({"image": 4096, "text": 300}, classes=10, items=130))
    expected = {
        "joint": 2 * 1024 * 2048 + 2048, "common_1": 2 * 1024 * 512 + 512, "common_2": 2 * 512 * 256 + 256,
        "common_3": 2 * 256 * 128 + 128, "common_4": 2 * 128 * 64 + 64,
    }
    for i, (part, code) in enumerate([(1024, 512), (512, 256), (256, 128), (128, 64)], 1):
        expected |= {f"common_{i}_decoder_{m}": (code + 1) * part for m in ("image", "text")}
        expected[f"common_{i}_classifier"] = (code + 1) * 10
    for m, d in (("image", 4096), ("text", 300)):
        expected |= {
            f"intra_{m}": (d + 1) * 1024 + 1025 * 512, f"intra_{m}_decoder": 513 * 1024 + 1025 * d,
            f"inter_{m}": (d + 1) * 1024, f"inter_{m}_decoder": 1025 * d, f"joint_decoder_{m}": 2049 * 1024,
            f"merge_{m}": (512 + 2048 + 1) * 1024, f"merge_{m}_decoder": 1025 * (512 + 2048),
            f"semantic_{m}": 3 * 1025 * 1024, f"semantic_{m}_classifier": 1025 * 10,
        }
    assert {name: net.count_params() for name, net in model.networks.items()} == expected


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
@pytest.mark.parametrize("activation", UNITS)
def test_losses_and_representation_by_a_slow_loop(dims, activation):
    """Guards every stage's inputs, targets and units, and a representation that looks at another modality."""
    model, batch = make_model(dims, activation=activation), first_batch(dims)
    expected, codes = slow_losses(model, batch)
    assert {name: float(v) for name, v in model.costs(batch, model.present_step()).items()} == pytest.approx(expected, rel=1e-4)
    for m in dims:
        np.testing.assert_allclose(model.encode(m, batch[m]), codes[m], rtol=1e-4)


@pytest.mark.parametrize("end_to_end", [False, True])
def test_routing_of_gradients(end_to_end):
    """Guards against a stage that trains those below, or an --end_to_end that does not."""
    model, batch = make_model(end_to_end=end_to_end), first_batch()

    def both(*names):
        return {f"{name}_{m}" for name in names for m in DIMS}

    stages = {  # loss -> (networks of its own stage, networks below)
        "intra_text": ({"intra_text", "intra_text_decoder"}, set()),
        "joint": ({"joint"} | both("joint_decoder"), both("inter")),
        "merge_image": ({"merge_image", "merge_image_decoder"}, {"intra_image", "joint"} | both("inter")),
        "semantic_text": ({"semantic_text", "semantic_text_classifier"}, {"merge_text", "intra_text", "joint"} | both("inter")),
        "common_2_class": ({"common_2", "common_2_classifier"},
                           {"common_1", "joint"} | both("semantic", "merge", "intra", "inter")),
    }
    for name, (own, below) in stages.items():
        with tf.GradientTape() as tape:
            cost = model.costs(batch, model.present_step())[name]
        found = tape.gradient(cost, {n: net.trainable_variables for n, net in model.networks.items()})
        moved = {n for n, gs in found.items() if any(g is not None and np.any(g) for g in gs)}
        # of the joint layer below, one modality's code is taken: the other's part of it stays
        expected = own | (below if end_to_end else set())
        if end_to_end and name in ("merge_image", "semantic_text"):
            expected -= {"inter_text" if name == "merge_image" else "inter_image"}
        assert moved == expected, name


def test_learns(make_data):
    """On easy data, test mAP goes from near chance to near 1."""
    data = make_data(train=200, test=40, classes=4, noise=0.3)
    wide = {name: (16,) * len(units) for name, units in SMALL.items() if isinstance(units, tuple)}
    model = CMDN(data, CMDNSettings(**(SMALL | wide)))
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
