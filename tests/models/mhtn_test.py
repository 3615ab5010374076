"""MHTN and CHTN against their anchors, the routing table, and a step written from the equations in plain TensorFlow."""
import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import products
from making import paired_data

from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split, domains
from tfxmr.engine import sampling
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.parts.mmd import linear_mmd, mmd
from tfxmr.evaluation import protocol
from tfxmr.extraction import load
from tfxmr.models.base import Step
from tfxmr.models.mhtn import MHTN, MHTNSettings
from tfxmr.models.ms2gan import MS2GAN
from tfxmr.runs.by_pairs import run_pairs, runner
from tfxmr.runs.run import run

SMALL = {"units": 6, "bottleneck_units": 4, "adversary_units": (5, 3), "batch_size": 8, "steps": 4}
MODALITIES = ("image", "text", "audio")


def make_data(source=True):
    rng = np.random.default_rng(0)
    dims = {"image": 5, "text": 4, "audio": 3}
    train = Split.of_pairs({m: rng.normal(size=(24, d)) for m, d in dims.items()}, np.arange(24) % 3)
    other = Split.of_pairs({"image": rng.normal(size=(20, 5))}, np.arange(20) % 4)
    other = MultiModalData("source", {"train": other}, list("wxyz")) if source else None
    return MultiModalData("made up", {"train": train}, ["a", "b", "c"], source=other)


def make_model(source=True, **settings):
    data = make_data(source)
    model = MHTN(data, MHTNSettings(**(SMALL | settings)))
    model.compile(run_eagerly=True)
    return model


def make_batch(size=8, seed=1):
    rng = np.random.default_rng(seed)
    batch = {m: rng.normal(size=(size, d)) for m, d in (("image", 5), ("text", 4), ("audio", 3))}
    batch = {m: tf.constant(x, tf.float32) for m, x in batch.items()} | {"label": tf.constant(np.arange(size) % 3, tf.int32)}
    source = {"image": tf.constant(rng.normal(size=(size, 5)), tf.float32), "label": tf.constant(np.arange(size) % 4, tf.int32)}
    return batch | {"source": source}


def step_at(progress):
    return Step(tf.constant([0, 0]), tf.constant(progress, tf.float32))


def test_parameter_counts():
    """Guards against a shared branch, a missing layer or bias, and another place of the bottleneck."""
    dims = {"image": 4096, "text": 3000, "audio": 78, "video": 4096, "model": 4700}
    shapes = Shapes("xmedia", dims, 20, 1000, source=Shapes("imagenet", {"image": 4096}, 1000, 1000))
    found = products(MHTN, shapes, MHTNSettings())
    both = {m: found[f"{m}_fc6"] + found[f"{m}_fc7"] for m in dims}
    assert both == {"image": 33_562_624, "text": 29_073_408, "audio": 17_104_896, "video": 33_562_624, "model": 36_036_608}
    assert found["source_image_fc6"] + found["source_image_fc7"] == 33_562_624 and found["source_classes"] == 4_097_000
    assert found["fc8"] + found["fc9"] == 33_562_624 and found["classes"] == 81_940
    assert found["bottleneck"] + found["discriminator"] == 3_677_701


def zero_heads(model):
    for name in ("classes", "source_classes", "discriminator"):
        if name in model.networks:
            for v in model.networks[name].trainable_variables:
                v.assign(tf.zeros_like(v))


def test_losses_at_zero_logits():
    """ln C of each modality, ln C' of the source, .1 M ln 2: guards against sums over rows and other weights."""
    model = make_model()
    zero_heads(model)
    found = model.compute_losses(make_batch(), step_at(0.5))
    expected = {f"class_{m}": math.log(3) for m in MODALITIES} | {"class_source": math.log(4), "modality": 0.3 * math.log(2)}
    assert {name: float(found[name]) for name in expected} == pytest.approx(expected, rel=1e-6)
    assert set(found) == {*expected, "pairwise", "mmd"}


# The step, written from the equations: networks are dicts of variables, passes are functions.


def variables(model):
    """Every weight of a model as a tf.Variable of its own, network name -> list."""
    return {n: [tf.Variable(v) for v in net.trainable_variables] for n, net in model.networks.items()}


def normalised(x):
    mean = tf.reduce_mean(x, axis=0)
    return (x - mean) / tf.sqrt(tf.reduce_mean((x - mean) ** 2, axis=0) + 1e-5)


def fbr(weights, x):
    kernel, bias = weights
    return tf.nn.relu(normalised(x @ kernel + bias))


def linear(weights, x):
    kernel, bias = weights
    return x @ kernel + bias


def branch(w, m, x, prefix=""):
    if m != "image":
        gamma, beta = w[f"{m}_norm"]
        x = normalised(x) * gamma + beta
    first = fbr(w[f"{prefix}{m}_fc6"], x)
    return first, fbr(w[f"{prefix}{m}_fc7"], first)


def cross_entropy(logits, labels):
    picked = tf.gather(tf.math.log_softmax(logits), labels, batch_dims=1)
    return -tf.reduce_mean(picked)


def slow_mmd(a, b):
    rows = tf.concat((a, b), 0)
    distances = tf.reduce_sum((rows[:, None] - rows[None]) ** 2, -1)
    n = len(rows)
    gamma = tf.stop_gradient((n * n - n) / tf.reduce_sum(distances))
    k, size = tf.exp(-gamma * distances), len(a)
    return tf.reduce_mean(k[:size, :size]) + tf.reduce_mean(k[size:, size:]) - 2 * tf.reduce_mean(k[:size, size:])


def literal_losses(w, batch):
    """(All losses but the modalities', that of the modalities), without reversal."""
    own = {m: branch(w, m, batch[m]) for m in MODALITIES}
    rows = tf.concat([own[m][1] for m in MODALITIES], 0)
    eighth = fbr(w["fc8"], rows)
    before = linear(w["fc9"], eighth)
    common = tf.nn.relu(normalised(before))
    logits = linear(w["classes"], common)
    total = sum(cross_entropy(logits[8 * i : 8 * i + 8], batch["label"]) for i in range(3))
    for layer in range(2):
        for m in ("text", "audio"):
            distance = tf.reduce_sum((own["image"][layer] - own[m][layer]) ** 2, -1)
            total += 1e-4 * tf.reduce_mean(distance) / 2
    source = branch(w, "image", batch["source"]["image"], "source_")
    total += cross_entropy(linear(w["source_classes"], source[1]), batch["source"]["label"])
    total += slow_mmd(source[0], own["image"][0]) + slow_mmd(source[1], own["image"][1])
    x, layers = linear(w["bottleneck"], before), w["discriminator"]
    for i in (0, 2):
        x = tf.nn.relu(linear(layers[i : i + 2], x))
    probability = tf.sigmoid(linear(layers[4:], x))
    target = tf.repeat(tf.eye(3), 8, axis=0)
    each = -target * tf.math.log(probability) - (1 - target) * tf.math.log(1 - probability)
    return total, 0.1 * tf.reduce_mean(tf.reduce_sum(each, -1))


def test_step_equals_the_literal_one():
    """Two steps of SGD with momentum and decay; the reversal's sign and place, and the tenth of the rate, decide it."""
    model, batch, progress = make_model(), make_batch(), 0.4
    ours, velocity = variables(model), {}
    ramp = 2 / (1 + math.exp(-10 * progress)) - 1
    for _ in range(2):
        with tf.GradientTape(persistent=True) as tape:
            total, modality = literal_losses(ours, batch)
        for name, weights in ours.items():
            adversary = name in ("bottleneck", "discriminator")
            for i, v in enumerate(weights):
                g, told = (tape.gradient(loss, v) for loss in (total, modality))
                g = 0.0 if g is None else g
                if told is not None:
                    g += told if name == "discriminator" else -ramp * told
                g += 5e-4 * v if v.shape.rank > 1 else 0.0
                velocity[name, i] = 0.9 * velocity.get((name, i), 0.0) - (1e-3 if adversary else 1e-2) * g
                v.assign_add(velocity[name, i])
        for player, _, gradients in model.updates(batch, step_at(progress)):
            model.player_optimizers[player].apply_gradients(zip(gradients, model.variables_of(player), strict=True))
    for name, weights in ours.items():
        for mine, theirs in zip(weights, model.networks[name].trainable_variables, strict=True):
            np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-5, err_msg=name)


SOURCE = {"source_image_fc6", "source_image_fc7", "source_classes"}
IMAGE = {"image_fc6", "image_fc7"}
OTHERS = {f"{m}_{layer}" for m in ("text", "audio") for layer in ("norm", "fc6", "fc7")}
ROUTES = {
    "class_source": SOURCE,
    "mmd": SOURCE - {"source_classes"} | IMAGE,
    "pairwise": IMAGE | OTHERS,
    "class_text": {"text_norm", "text_fc6", "text_fc7", "fc8", "fc9", "classes"},
    "modality": IMAGE | OTHERS | {"fc8", "fc9", "bottleneck", "discriminator"},
}


def test_routing():
    """The table of which loss changes what; by the joint normalisation a class loss reaches other modalities' layers."""
    model, batch = make_model(), make_batch()
    with tf.GradientTape(persistent=True) as tape:
        found = model.compute_losses(batch, step_at(0.5))
    for loss, expected in ROUTES.items():
        reached = set()
        for name, net in model.networks.items():
            gradients = tape.gradient(found[loss], net.trainable_variables)
            if any(g is not None and float(tf.reduce_max(tf.abs(g))) > 1e-9 for g in gradients):
                reached.add(name)
        # statistics over all rows of fc8 and fc9 carry one modality's loss to the others
        assert reached - (IMAGE | OTHERS) == expected - (IMAGE | OTHERS) and expected <= reached
        if loss in ("class_source", "mmd", "pairwise"):
            assert reached == expected


def test_statistics_are_of_all_modalities_together():
    """Guards against a normalisation by modality, which would take the gap between them away by itself."""
    model, batch = make_model(), make_batch()
    own = [model.hidden(model.own_layers(m), batch[m], True)[-1] for m in MODALITIES]
    rows = tf.concat(own, axis=0)
    together, _ = model.common(rows, True)
    apart = tf.concat([model.common(x, True)[0] for x in own], axis=0)
    kernel, bias = model.networks["fc8"].trainable_variables
    expected = fbr(model.networks["fc9"].trainable_variables, tf.nn.relu(normalised(rows @ kernel + bias)))
    np.testing.assert_allclose(together, expected, rtol=1e-4, atol=1e-5)
    assert np.abs(together - apart).max() > 0.1


def test_mmd_forms():
    """0 of equal samples; 2 - 2/e of two single rows at any distance; the linear form against a loop."""
    x = np.random.default_rng(0).normal(size=(6, 3)).astype("f")
    assert float(mmd(x, x)) == pytest.approx(0, abs=1e-6)
    for distance in (0.1, 7.0):
        assert float(mmd(tf.zeros((1, 2)), tf.constant([[distance, 0.0]]))) == pytest.approx(2 - 2 / math.e, rel=1e-5)
    y = (x[::-1] + 0.5).astype("f")
    rows = np.concatenate((x, y))
    distances = [((a - b) ** 2).sum() for a in rows for b in rows]
    gamma = (12 * 12 - 12) / sum(distances)

    def k(a, b):
        return math.exp(-gamma * ((a - b) ** 2).sum())

    slow = [k(x[i], x[i + 1]) + k(y[i], y[i + 1]) - k(x[i], y[i + 1]) - k(x[i + 1], y[i]) for i in (0, 2, 4)]
    assert float(linear_mmd(tf.constant(x), tf.constant(y))) == pytest.approx(np.mean(slow), rel=1e-4)


def test_without_a_source():
    """Guards against terms of a domain that is not there, and a result that does not say so."""
    model = make_model(source=False)
    assert not any(name.startswith("source") for name in model.networks)
    found = model.compute_losses(make_batch(), step_at(0.5))
    assert set(found) == {"class_image", "class_text", "class_audio", "pairwise", "modality"}
    assert model.begin(make_data(False))["source"].startswith("none")
    assert make_model().begin(make_data())["source"] == "source"


def test_settings_leave_parts_out():
    """Guards against an ablation that trains the part all the same."""
    assert "class_source" not in make_model(source_weight=0.0).compute_losses(make_batch(), step_at(0.5))
    assert "mmd" not in make_model(mmd_weight=0.0).compute_losses(make_batch(), step_at(0.5))
    assert "pairwise" not in make_model(pairwise_weight=0.0).compute_losses(make_batch(), step_at(0.5))
    quiet = make_model(adversary_weight=0.0)
    assert "modality" not in quiet.compute_losses(make_batch(), step_at(0.5)) and "discriminator" not in quiet.networks
    assert list(quiet.players) == ["generator"]


def test_chtn_and_shared_domains():
    """CHTN has no discriminator and no normalisation in its common layers; shared layers keep statistics by domain."""
    chtn = make_model(variant="chtn")
    assert "discriminator" not in chtn.networks
    assert [type(chtn.networks[name]).__name__ for name in ("fc8", "fc9")] == ["Tower", "Tower"]
    shared = make_model(share_domains=True)
    assert "source_image_fc6" not in shared.networks and set(shared.networks["image_fc6"].norms) == {"", "source"}
    before = shared.networks["image_fc6"].norms[""].moving_mean.numpy()
    shared.source_losses(make_batch()["source"], shared.hidden(shared.own_layers("image"), make_batch()["image"]), True)
    np.testing.assert_array_equal(shared.networks["image_fc6"].norms[""].moving_mean, before)


def test_one_model_of_all_modalities():
    """Guards against a model a pair, of which those without images end the command in the middle of its work."""
    data = domains.of_training_items(paired_data(dims={"image": 4, "text": 4, "audio": 3}))
    assert runner(MHTN, MHTNSettings(), data) is run and runner(MS2GAN, MS2GAN.Settings(), data) is run_pairs


def test_needs_images():
    data = domains.of_training_items(paired_data(dims={"text": 4, "audio": 3}))
    with pytest.raises(InputError, match="--dataset: mhtn learns from images, and made up has text, audio"):
        MHTN(data, MHTNSettings(**SMALL))


@pytest.mark.slow
def test_bars_on_scenes():
    """Guards against an adversary that fools nobody, and an MMD that nothing minimises: held items, 5 labels a class."""
    data = load("scenes")
    target, classes = data.of_classes(range(1, 20, 2)), [str(c) for c in range(0, 20, 2)]
    train = protocol.make("standard", target, labels_per_class=5).training_data(target)
    train = dataclasses.replace(train, source=domains.of_training_items(data, classes))
    test, other = target.splits["test"], data.of_classes(range(0, 20, 2)).splits["test"].features["image"]
    widths = {"units": 256, "bottleneck_units": 64, "adversary_units": (128, 128), "batch_size": 32, "steps": 200}

    def trained(**settings):
        model = MHTN(train, MHTNSettings(**widths, **settings))
        model.compile()
        model.enter(0, train)
        step = tf.function(model.train_step)
        for batch in sampling.stage_batches(model, train, 0, 0, 200):
            step(batch)
        return model

    def discrepancy(model):
        sides = (("source_", other), ("", test.features["image"]))
        layers = [model.hidden(model.own_layers("image", prefix), tf.constant(x), True) for prefix, x in sides]
        return sum(float(mmd(a, b)) for a, b in zip(*layers, strict=True))

    def told_apart(model):
        rows = [model.common(model.hidden(model.own_layers(m), tf.constant(test.features[m]))[-1])[1] for m in ("image", "text")]
        logits = model.networks["discriminator"](model.networks["bottleneck"](tf.concat(rows, axis=0)))
        return np.mean(np.argmax(logits, axis=1) == np.repeat([0, 1], len(test)))

    model = trained()
    assert told_apart(model) < told_apart(trained(lambda_adv=0.0)) - 0.05
    assert discrepancy(model) < 0.95 * discrepancy(trained(mmd_weight=0.0))
