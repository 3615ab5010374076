"""CCL against its derivation: parameter counts, losses of both stages by a slow loop, routing between the stages."""
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, UNITS, first_batch, layers_by_hand, random_data, scores, sigmoid

from tfxmr import testing
from tfxmr.core.errors import InputError
from tfxmr.engine import losses, sampling
from tfxmr.models.base import Step
from tfxmr.models.ccl import CCL, CCLSettings

SMALL = {"encoder_units": (6, 5), "semantic_units": (7, 6), "common_units": (6, 4), "batch_size": 8, "steps": 3}
TOGETHER = {"variant": "together", "activation": "tanh"}
MACHINES = {"rbm_pretrain": True, "rbm_units": (6, 4), "rbm_count_units": 5, "rbm_steps": 3, "rbm_batch_size": 8, "fusing_units": 7}


def make_model(dims=DIMS, classes=3, **settings):
    return CCL(random_data(dims, classes), CCLSettings(**(SMALL | settings)))


def enter(model, name, data):
    """Goes to a stage by its name."""
    model.enter([stage.name for stage in model.stages].index(name), data)


def cost(model, batch, stage):
    return {name: float(v) for name, v in model.compute_losses(batch, Step(tf.constant([1, 2]), stage=stage)).items()}


def test_parameter_counts_at_paper_widths():
    """By hand for 4096 and 300 wide features and 10 classes: guards the widths 2048, 1024 and 1024, 1024."""
    model = CCL(random_data({"image": 4096, "text": 300}, classes=10, items=100), CCLSettings(variant="together"))
    assert {name: net.count_params() for name, net in model.networks.items()} == {
        "encoder_image": 4097 * 2048 + 2049 * 1024, "decoder_image": 1025 * 2048 + 2049 * 4096,
        "encoder_text": 301 * 2048 + 2049 * 1024, "decoder_text": 1025 * 2048 + 2049 * 300,
        "common_image": 2_099_200, "common_text": 2_099_200, "classifier_image": 10_250, "classifier_text": 10_250,
    }


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
@pytest.mark.parametrize("activation", UNITS)
def test_losses_together_by_a_slow_loop(dims, activation):
    """Guards each term's weight, and which layer it takes: h in the contrastive loss, z in the classification."""
    settings = {"correlation": 0.6, "margin": 1.5, "beta": 0.3, "activation": activation, "variant": "together"}
    model, batch = make_model(dims, **settings), first_batch(dims)
    labels, net, unit = batch["label"].numpy(), model.networks, UNITS[activation]
    codes = {m: layers_by_hand(net[f"encoder_{m}"], batch[m].numpy(), unit, True) for m in dims}
    shared = {m: layers_by_hand(net[f"common_{m}"], codes[m], unit, False) for m in dims}
    expected = dict.fromkeys(("reconstruction", "correlation", "contrastive", "class"), 0.0)
    for m in dims:
        made = layers_by_hand(net[f"decoder_{m}"], codes[m], unit, False)
        expected["reconstruction"] += 0.4 * np.sum((made - batch[m]) ** 2) / 8
        for z, label in zip(layers_by_hand(net[f"classifier_{m}"], shared[m], unit, False), labels, strict=True):
            expected["class"] += (math.log(sum(math.exp(v) for v in z)) - z[label]) / 8
    for m, n in itertools.combinations(dims, 2):
        expected["correlation"] += 0.6 * np.sum((codes[m] - codes[n]) ** 2) / 8
        for u, v in itertools.product(range(8), repeat=2):
            d = math.dist(unit(shared[m][u]), unit(shared[n][v]))
            expected["contrastive"] += 0.3 / 16 * (d**2 if labels[u] == labels[v] else max(0, 1.5 - d) ** 2)
    assert {name: float(v) for name, v in model.compute_losses(batch, model.present_step()).items()} == pytest.approx(expected, rel=1e-4)
    np.testing.assert_allclose(model.encode("text", batch["text"]), unit(shared["text"]), rtol=1e-5)


@pytest.mark.parametrize("end_to_end", [False, True])
def test_routing_of_gradients_together(end_to_end):
    """Guards against a second stage that trains the first one's encoders, or an --end_to_end that does not."""
    model, batch = make_model(end_to_end=end_to_end, margin=3.0, **TOGETHER), first_batch()

    def of(*kinds):
        return {f"{kind}_{m}" for kind in kinds for m in DIMS}

    below = ("encoder",) if end_to_end else ()
    reached = {
        "reconstruction": of("encoder", "decoder"), "correlation": of("encoder"),
        "contrastive": of("common", *below), "class": of("common", "classifier", *below),
    }
    for name, expected in reached.items():
        with tf.GradientTape() as tape:
            cost = model.compute_losses(batch, model.present_step())[name]
        found = tape.gradient(cost, {n: net.trainable_variables for n, net in model.networks.items()})
        assert {n for n, gs in found.items() if any(g is not None and np.any(g) for g in gs)} == expected, name


def relu(x):
    return np.maximum(x, 0)


def layers(network, x, unit, last=lambda z: z):
    """A network in NumPy."""
    weights = [v.numpy() for v in network.trainable_variables]
    for i in range(0, len(weights), 2):
        z = x @ weights[i] + weights[i + 1]
        x = unit(z) if i + 2 < len(weights) else last(z)
    return x


def cross_entropy(logits, labels):
    return np.mean([math.log(sum(math.exp(v) for v in z)) - z[y] for z, y in zip(logits, labels, strict=True)])


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
@pytest.mark.parametrize("machines", [False, True], ids=["features", "machines"])
def test_losses_of_the_stages_by_a_slow_loop(dims, machines):
    """Guards inputs, targets, units and scalings of each stage, and codes' halves.

    Without the classifying networks the last one saw codes that no label had shaped.
    """
    settings = {"correlation": 0.6, "margin": 2.5, "beta": 0.3, "class_outputs": 9} | (MACHINES if machines else {})
    model, data, batch = make_model(dims, **settings), random_data(dims), first_batch(dims)
    for stage in model.stages:
        enter(model, stage.name, data)
    net, labels, unit = model.networks, batch["label"].numpy(), sigmoid if machines else np.tanh
    x = {m: batch[m].numpy() for m in dims}
    if machines:
        x = {m: net[f"machine_{m}_1"](net[f"machine_{m}_0"](batch[m])).numpy() for m in dims}
    codes = {m: layers(net[f"encoder_{m}"], x[m], unit, unit) for m in dims}
    made = {m: layers(net[f"decoder_{m}"], codes[m], unit, sigmoid if machines else lambda z: z) for m in dims}
    expected = {
        "reconstruction": 0.4 / 2 * sum(np.mean(np.sum((made[m] - x[m]) ** 2, axis=1)) for m in dims),
        "correlation": 0.6 / 2 * sum(
            np.mean(np.sum((codes[m] - codes[n]) ** 2, axis=1)) for m, n in itertools.combinations(dims, 2)
        ),
    }
    assert cost(model, batch, "codes") == pytest.approx(expected, rel=1e-4)
    below = {m: net[f"fusing_machine_{m}"](tf.constant(codes[m], tf.float32)).numpy() for m in dims} if machines else codes
    semantic = {m: layers(net[f"semantic_{m}"], below[m], relu, relu) for m in dims}
    expected = {f"class_{m}": cross_entropy(layers(net[f"semantic_{m}_classifier"], semantic[m], relu), labels) for m in dims}
    assert cost(model, batch, "semantic") == pytest.approx(expected, rel=1e-4)
    z, entropy, apart = {}, 0, 0
    for m in dims:
        scaled = (semantic[m] - net[f"scaled_{m}"].mean.numpy()) * net[f"scaled_{m}"].scale.numpy()
        z[m] = layers(net[f"common_{m}"], scaled, sigmoid)
        logits = layers(net[f"classifier_{m}"], z[m], sigmoid)
        assert logits.shape == (8, 9)
        entropy += cross_entropy(logits, labels)
    for m, n in itertools.combinations(dims, 2):
        for u, v in itertools.product(range(8), repeat=2):
            d = math.dist(sigmoid(z[m][u]), sigmoid(z[n][v]))
            apart += 0.3 / 16 * (d**2 if labels[u] == labels[v] else max(0, 2.5 - d) ** 2)
    assert cost(model, batch, "common") == pytest.approx({"contrastive": apart, "class": entropy}, rel=1e-3)
    np.testing.assert_allclose(model.encode("text", batch["text"]), sigmoid(z["text"]), rtol=1e-3)


def test_weights_of_the_authors_stages():
    """Those of the released configurations for Pascal Sentence, 4,096 and 1,000 wide features, 20 classes, by stage."""
    model = CCL(random_data({"image": 4096, "text": 1000}, classes=20, items=100, shift=9), CCLSettings(
        rbm_pretrain=True, rbm_counts="text", encoder_units=(1024,), class_outputs=256
    ))
    assert {player: sum(math.prod(v.shape) for v in model.variables_of(player)) for player in model.players} == {
        "machine_image_0": 8_394_752, "machine_image_1": 2_100_224, "machine_text_0": 1_026_024,
        "machine_text_1": 1_050_624, "codes": 4_198_400, "semantic": 2 * 4_217_876, "common": 4_723_200,
        "fusing_machine_image": 2_100_224, "fusing_machine_text": 2_100_224,  # 4,198,400 with patches
    }
    assert [stage.name for stage in model.stages] == [
        "machines_0", "machines_1", "codes", "fusing_machines", "semantic", "common",
    ]
    kernel = model.networks["common_text"].layers[0].kernels[0].numpy()
    limit = (3 / 1024) ** 0.5  # Caffe's "xavier"
    assert 0.99 * limit < np.abs(kernel).max() <= limit


def test_first_losses():
    """On N(0, 1) the last stage's cross-entropy is near ln 256, every pair of other classes beyond the margin.

    The contrastive loss is then that of the pairs of a class alone: of 80 items, four a class, 320 d^2 / 160 = 66.
    On inputs in (0, 1) the classifying networks of 20 classes begin far above ln 20.
    """
    data = random_data({"image": 1024, "text": 1024}, classes=20, items=80)
    model = CCL(data, CCLSettings(class_outputs=256, encoder_units=(2048,)))
    x = {m: tf.constant(data.splits["train"].features[m], tf.float32) for m in data.dims}
    labels = tf.constant(data.splits["train"].labels["image"])
    found = {name: float(value) for name, value in model.losses_of_tasks(x, labels).items()}
    assert 2 * 5.5 < found["class"] < 2 * 6.0 and 60 < found["contrastive"] < 72
    h = {m: tf.sigmoid(model.networks[f"common_{m}"](x[m])) for m in data.dims}
    d = np.sqrt(losses.squared_distances(h["image"], h["text"]))
    assert 5 < d.min() and 5.4 < d.mean() < 6.1
    assert found["contrastive"] == pytest.approx(np.sum(d[np.equal.outer(labels, labels)] ** 2) / 160, rel=1e-4)
    half = tf.constant(np.random.default_rng(0).random((80, 2048)), tf.float32)
    logits = model.networks["semantic_text_classifier"](model.networks["semantic_text"](half))
    assert 3.5 < float(tf.reduce_mean(losses.semantic_discrimination(logits[None], labels))) < 7


def test_the_gradient_that_the_release_applies():
    """A pair of one class, B = 1: h_x - h_y by the formula, twice that by the released layer, which is --beta=2."""
    model = make_model(beta=2.0)
    for beta, factor in ((1.0, 1), (2.0, 2)):
        h = {m: tf.Variable([[0.2, 0.9]] if m == "image" else [[0.5, 0.1]]) for m in DIMS}
        with tf.GradientTape() as tape:
            pairs = losses.margin_contrastive(losses.squared_distances(h["image"], h["text"]), tf.constant([1]), 1.0)
            value = beta * tf.reduce_mean(pairs)
        np.testing.assert_allclose(tape.gradient(value, h["image"]), factor * np.array([[-0.3, 0.8]]), rtol=1e-5)
    batch = first_batch()
    assert cost(model, batch, "common")["contrastive"] == pytest.approx(2 * cost(make_model(), batch, "common")["contrastive"])


def test_both_tasks_share_one_layer():
    """Its gradient is the sum of both losses' alone: guards against two layers of equal weights."""
    model, batch = make_model(), first_batch()
    kernel = model.networks["common_text"].layers[-1].kernels[0]
    with tf.GradientTape(persistent=True) as tape:
        found = model.compute_losses(batch, Step(tf.constant([1, 2]), stage="common"))
        total = sum(found.values())
    parts = [tape.gradient(found[name], kernel.value) for name in ("contrastive", "class")]
    assert all(np.any(part) for part in parts)
    np.testing.assert_allclose(tape.gradient(total, kernel.value), parts[0] + parts[1], rtol=1e-4, atol=1e-7)


def test_the_last_stage_sees_z_scores(make_data):
    """By the training items, which a stage sets when it begins."""
    data = make_data(train=40)
    model = CCL(data, CCLSettings(**SMALL))
    enter(model, "common", data)
    for m in data.dims:
        made = model.task_input(m, tf.constant(data.splits["train"].features[m])).numpy()
        np.testing.assert_allclose(made.mean(axis=0), 0, atol=1e-4)
        assert np.all(np.isclose(made.std(axis=0), 1, atol=1e-3) | (made.std(axis=0) == 0))


def test_a_stage_changes_its_own_networks_alone():
    """Every stage of machines, too, leaves the weights below as they are, bit for bit."""
    testing.stays_where_it_does_not_train(CCL, rbm_pretrain=True)
    testing.changes_only_its_networks(CCL, rbm_pretrain=True)


@pytest.mark.slow
def test_machines_are_resumed():
    """Stopped in and between the stages of machines, it ends as a straight run, bit for bit."""
    testing.resumes(CCL, rbm_pretrain=True, rbm_units=(4,))


def test_the_authors_descent():
    """Each stage's rate, momentum and penalty with --optimizer=sgd; of features, codes take Adam."""
    for machines, kind, rate in ((MACHINES, "SGD", 0.05), ({}, "Adam", 3e-4)):
        model = make_model(optimizer="sgd", learning_rate=1e-4, **machines)
        model.compile()
        made = model.player_optimizers
        assert type(made["codes"]).__name__ == kind
        rates = {"codes": rate, "semantic": 0.01, "common": 1e-4}
        assert {name: float(made[name].learning_rate) for name in rates} == pytest.approx(rates)
        assert (made["common"].l2, made["semantic"].l2) == (4e-3, 1e-3)
    adam = make_model()
    adam.compile()
    assert {(type(o).__name__, round(float(o.learning_rate), 8)) for o in adam.player_optimizers.values()} == {("Adam", 3e-4)}


def test_learns_together(make_data):
    """On easy data, test mAP goes from near chance to near 1."""
    data = make_data(train=200, test=40, classes=4, noise=0.3)
    model = CCL(data, CCLSettings(**(SMALL | TOGETHER | {"encoder_units": (16, 16), "common_units": (16, 16)})))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 64, 0, 0, 200))
    assert min(scores(model, data.splits["test"]).values()) > 0.8


def test_length_and_refusals():
    assert make_model(steps=0, epochs=4).total_steps(24) == 4 * 3
    assert make_model(steps=5, epochs=4).total_steps(24) == 5
    with pytest.raises(InputError, match="two or more modalities; dataset random has image alone"):
        make_model({"image": 4})
    with pytest.raises(InputError, match="two or more training classes"):
        make_model(classes=1)
    lengths = {stage.name: stage.steps for stage in make_model(steps=5, semantic_steps=2, codes_steps=7, **MACHINES).stages}
    assert lengths == {"machines_0": 3, "machines_1": 3, "codes": 7, "fusing_machines": 3, "semantic": 2, "common": 5}
    with pytest.raises(InputError, match="--rbm_pretrain: .* take --variant=staged"):
        make_model(variant="together", rbm_pretrain=True)
    with pytest.raises(InputError, match="--end_to_end: .* take --variant=together"):
        make_model(end_to_end=True)
