"""CMDN against its derivation: parameter counts, losses of every stage by a slow loop, routing between the stages."""
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, UNITS, first_batch, random_data, scores, sigmoid

from tfxmr import testing
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import sampling
from tfxmr.models.base import Step
from tfxmr.models.cmdn import CMDN, CMDNSettings

SMALL = {
    "intra_units": (6, 5), "inter_units": (6, 4), "merged_units": (5,), "semantic_units": (6, 5),
    "common_units": (4, 3), "batch_size": 8, "steps": 3,
}
TOGETHER = {"variant": "together", "optimizer": "adam", "learning_rate": 3e-4}
MACHINES = {"rbm_pretrain": True, "rbm_units": (6, 4), "rbm_count_units": 5, "rbm_steps": 3, "rbm_batch_size": 8}


def make_model(dims=DIMS, classes=3, **settings):
    return CMDN(random_data(dims, classes), CMDNSettings(**(SMALL | settings)))


def enter(model, name, data):
    """Goes to a stage by its name, and gives its Step."""
    number = [stage.name for stage in model.stages].index(name)
    model.enter(number, data)
    return Step(tf.constant([1, 2]), stage=name)


def cost(model, batch, stage):
    return {name: float(v) for name, v in model.compute_losses(batch, Step(tf.constant([1, 2]), stage=stage)).items()}


def linear(x):
    return x


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
    settings = CMDNSettings(**TOGETHER)
    model = CMDN(random_data({"image": 4096, "text": 300}, classes=10, items=130), settings)
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
def test_losses_and_representation_together_by_a_slow_loop(dims, activation):
    """Guards every stage's inputs, targets and units, and a representation that looks at another modality."""
    model, batch = make_model(dims, activation=activation, **TOGETHER), first_batch(dims)
    expected, codes = slow_losses(model, batch)
    assert {name: float(v) for name, v in model.compute_losses(batch, model.present_step()).items()} == pytest.approx(expected, rel=1e-4)
    for m in dims:
        np.testing.assert_allclose(model.encode(m, batch[m]), codes[m], rtol=1e-4)


@pytest.mark.parametrize("end_to_end", [False, True])
def test_routing_of_gradients_together(end_to_end):
    """Guards against a stage that trains those below, or an --end_to_end that does not."""
    model, batch = make_model(end_to_end=end_to_end, **TOGETHER), first_batch()

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
            cost = model.compute_losses(batch, model.present_step())[name]
        found = tape.gradient(cost, {n: net.trainable_variables for n, net in model.networks.items()})
        moved = {n for n, gs in found.items() if any(g is not None and np.any(g) for g in gs)}
        # of the joint layer below, one modality's code is taken: the other's part of it stays
        expected = own | (below if end_to_end else set())
        if end_to_end and name in ("merge_image", "semantic_text"):
            expected -= {"inter_text" if name == "merge_image" else "inter_image"}
        assert moved == expected, name


def slow_codes(model, batch):
    """Of a staged model without machines: (x, a, I, q, r, z(r), s) by modality, as the docstring of CMDN has them."""
    net, found = model.networks, {}
    for m in model.dims:
        x = (batch[m].numpy() - net[f"standard_{m}"].mean.numpy()) * net[f"standard_{m}"].scale.numpy()
        a, own = slow(net[f"intra_{m}"], x, relu, relu), slow(net[f"inter_{m}"], x, np.tanh, np.tanh)
        alone = np.hstack([own if n == m else 0 * own for n in model.dims])
        q = slow(net["joint"], alone, np.tanh, np.tanh)
        merged = slow(net[f"merge_{m}"], np.hstack([a, q]), np.tanh, np.tanh)
        scaled = (merged - net[f"scaled_{m}"].mean.numpy()) * net[f"scaled_{m}"].scale.numpy()
        found[m] = x, a, own, q, merged, scaled, slow(net[f"semantic_{m}"], scaled, relu, relu)
    return found


def halves(a, b):
    """S of rows: half their squared distance, as a mean."""
    return np.mean(np.sum((a - b) ** 2, axis=1)) / 2


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
def test_losses_of_the_stages_by_a_slow_loop(dims):
    """Guards inputs, targets, units and scalings of every stage; classifying units that are logistic learn half as much."""
    model, data, batch = make_model(dims), random_data(dims), first_batch(dims)
    for stage in model.stages:
        enter(model, stage.name, data)
    net, labels, found = model.networks, batch["label"].numpy(), slow_codes(model, batch)
    expected = {"intra_1": {}, "intra_2": {}, "between": {}, "semantic": {}}
    for m, (x, a, own, q, merged, _, s) in found.items():
        up, down = net[f"intra_{m}"], net[f"intra_{m}_decoder"]
        first = relu(x @ up.layers[0].kernels[0].numpy() + up.layers[0].bias.numpy())
        last = down.layers[1]
        expected["intra_1"][f"intra_{m}"] = halves(first @ last.kernels[0].numpy() + last.bias.numpy(), x)
        expected["intra_2"][f"intra_{m}"] = halves(slow(down, a, relu, linear), x)
        expected["between"][f"inter_{m}"] = halves(slow(net[f"inter_{m}_decoder"], own, np.tanh, linear), x)
        both = np.hstack([a, q])
        expected["between"][f"merge_{m}"] = halves(slow(net[f"merge_{m}_decoder"], merged, np.tanh, linear), both)
        logits = slow(net[f"semantic_{m}_classifier"], s, relu, linear)
        expected["semantic"][f"semantic_{m}"] = cross_entropy(logits, labels)
    parts, units = {m: codes[-1] for m, codes in found.items()}, (sigmoid, sigmoid)
    levels = [("common_1", parts, units)]
    expected["between"]["joint"], _ = slow_level(model, "joint", {m: c[2] for m, c in found.items()}, (np.tanh, linear))
    for name, below, units in levels:
        restored, alone = slow_level(model, name, below, units)
        classes = sum(
            cross_entropy(slow(net[f"{name}_classifier"], code, relu, linear), labels) for code in alone.values()
        )
        expected[name] = {name: restored, f"{name}_class": classes / len(alone)}
        if name == "common_1":
            levels.append(("common_2", {m: alone[m] for m in dims}, units))
    for stage, losses in expected.items():
        assert cost(model, batch, stage) == pytest.approx(losses, rel=1e-4), stage
    for m in dims:
        np.testing.assert_allclose(model.encode(m, batch[m]), alone[m], rtol=1e-4)


def slow_level(model, name, parts, units):
    """The restoration of all parts from all and from each alone, as a mean; and the codes, of all by None."""
    unit, last = units
    restored, codes = [], {}
    for present in (None, *parts):
        inputs = np.hstack([y if present in (None, m) else 0 * y for m, y in parts.items()])
        codes[present] = slow(model.networks[name], inputs, unit, unit)
        made = {m: slow(model.networks[f"{name}_decoder_{m}"], codes[present], unit, last) for m in parts}
        restored.append(sum(halves(made[m], parts[m]) for m in parts))
    return np.mean(restored), codes


def test_weights_of_the_authors_stages():
    """Those of the authors' configurations at 2,296 and 3,000 wide features and 10 classes, by stage."""
    model = CMDN(random_data({"image": 2296, "text": 3000}, classes=10, items=130, shift=9), CMDNSettings(
        rbm_pretrain=True, rbm_counts="text"
    ))
    sizes = {player: sum(math.prod(v.shape) for v in model.variables_of(player)) for player in model.players}
    assert sizes == {
        "machine_image_0": 4_706_552, "machine_image_1": 2_100_224, "machine_text_0": 3_076_024,
        "machine_text_1": 1_050_624, "joint_machine": 4_198_400, "merge_machine_image": 2_625_024,
        "merge_machine_text": 2_625_024, "intra_1": 4_705_528 + 6_148_024, "intra_2": 5_755_640 + 7_198_136,
        "semantic": 2 * 3_159_050, "common_1": 2_104_842, "common_2": 528_138, "common_3": 133_002, "common_4": 33_738,
    }
    assert [stage.name for stage in model.stages] == [
        "intra_1", "intra_2", "machines_0", "machines_1", "joint_machine", "merge_machines", "semantic",
        "common_1", "common_2", "common_3", "common_4",
    ]


def test_first_loss_of_the_classifying_networks():
    """About 6 on N(0, 1), far above ln 10: DeepNet draws the logits' weights with the deviation 10^-1/2.

    A ReLU layer as wide as the one below halves the mean square: 1/8 after three. Six seeds gave losses of 5.0 to 7.4.
    """
    settings = CMDNSettings(semantic_inputs="features", batch_size=100)
    data = random_data({"image": 1024, "text": 1024}, classes=10, items=400)
    model = CMDN(data, settings)
    assert float(tf.math.reduce_std(model.networks["semantic_text_classifier"].layers[0].kernels[0])) == pytest.approx(
        10**-0.5, rel=0.03
    )
    batch = next(iter(sampling.batches(data.splits["train"], 100, 0, 0, 1)))
    assert float(tf.reduce_mean(model.code("text", batch["text"], 0) ** 2)) == pytest.approx(1 / 8, rel=0.1)
    for value in cost(model, batch, "semantic").values():
        assert 4.5 < value < 8


def test_scalings_are_the_training_items(make_data):
    """Guards against a stage that sees codes as large as they come: without z-scores mAP falls from .36 to .24."""
    data = make_data(train=40)
    model = make_model()
    model = CMDN(data, CMDNSettings(**(SMALL | {"steps": 1})))
    enter(model, "intra_1", data)
    enter(model, "semantic", data)
    for m in data.dims:
        x = tf.constant(data.splits["train"].features[m])
        for made in (model.standard(m, x), model.classifying_input(m, x)):
            np.testing.assert_allclose(np.mean(made, axis=0), 0, atol=1e-4)
            np.testing.assert_allclose(np.std(made, axis=0), 1, atol=1e-3)


def test_what_machines_see():
    """q_m is ten rounds of mean field from the own modality's machines; a_m comes scaled to [0, 1] by all its entries."""
    model, data = make_model(**MACHINES), random_data()
    for stage in model.stages:
        enter(model, stage.name, data)
    x = {m: tf.constant(data.splits["train"].features[m], tf.float32) for m in DIMS}
    net = model.networks
    for i, m in enumerate(DIMS):
        upper = net[f"machine_{m}_1"](net[f"machine_{m}_0"](x[m]))
        own, joint = model.intra_and_joint(m, x[m])
        np.testing.assert_array_equal(joint, net["joint_machine"].mean_field([None if i else upper, upper if i else None]))
        code = slow(net[f"intra_{m}"], model.standard(m, x[m]).numpy(), relu, relu)
        np.testing.assert_allclose(own, (code - code.min()) / np.ptp(code), rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(model.merged(m, x[m]), net[f"merge_machine_{m}"](own, joint))


@pytest.mark.parametrize("settings", [MACHINES, MACHINES | {"semantic_inputs": "machines"}, {"semantic_inputs": "features"}])
def test_a_stage_changes_its_own_networks_alone(settings):
    """Every stage leaves the weights below as they are, bit for bit; machines, too."""
    own = {name: value for name, value in settings.items() if "units" not in name and "steps" not in name and "size" not in name}
    testing.stays_where_it_does_not_train(CMDN, **own)
    testing.changes_only_its_networks(CMDN, **own)


@pytest.mark.slow
def test_machines_are_resumed():
    """Stopped in and between the stages of machines, it ends as a straight run, bit for bit."""
    testing.resumes(CMDN, rbm_pretrain=True, intra_units=(4,), common_units=(4,), rbm_units=(4,))


def test_labels_reach_the_joint_layer():
    """In the release the label hangs on the joint layer: a level whose labels train the classifier alone is a mistake."""
    model, batch = make_model(), first_batch()
    with tf.GradientTape() as tape:
        value = model.compute_losses(batch, Step(tf.constant([1, 2]), stage="common_2"))["common_2_class"]
    found = tape.gradient(value, model.networks["common_2"].trainable_variables)
    assert all(np.any(g) for g in found)


def test_the_authors_descent():
    """Each stage's rate, decay, momentum and penalty; a base rate of .02 doubles all but the machines'."""
    model = make_model(learning_rate=0.02, semantic_steps=5, **MACHINES)
    model.compile()
    made = model.player_optimizers
    rates = {"intra_1": 2e-3, "semantic": 0.02, "common_1": 0.1, "joint_machine": 0.01, "machine_image_0": 1e-3}
    assert {name: float(made[name].learning_rate) for name in rates} == pytest.approx(rates)
    assert (made["semantic"].l2, made["semantic"].initial_momentum, made["semantic"].momentum) == (1e-3, None, 0.9)
    assert float(made["semantic"]._learning_rate(5)) == pytest.approx(0.02 / 32)
    assert (made["common_2"].l2, made["common_2"].initial_momentum) == (1e-4, 0.5)
    assert float(made["common_2"]._learning_rate(3)) == pytest.approx(0.1 / 3)
    adam = make_model(optimizer="adam", learning_rate=1e-3, weight_decay=0.1)
    adam.compile()
    for optimizer in adam.player_optimizers.values():
        assert (type(optimizer).__name__, float(optimizer.learning_rate), optimizer.l2) == ("Adam", pytest.approx(1e-3), 0.1)


def test_learns_together(make_data):
    """On easy data, test mAP goes from near chance to near 1."""
    data = make_data(train=200, test=40, classes=4, noise=0.3)
    wide = {name: (16,) * len(units) for name, units in SMALL.items() if isinstance(units, tuple)}
    model = CMDN(data, CMDNSettings(**(SMALL | wide | TOGETHER)))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 64, 0, 0, 200))
    assert min(scores(model, data.splits["test"]).values()) > 0.8


def test_length_and_refusals(make_data):
    assert make_model(steps=0, epochs=4).total_steps(24) == 4 * 3
    assert make_model(steps=5, epochs=4).total_steps(24) == 5
    lengths = {stage.name: stage.steps for stage in make_model(steps=5, semantic_steps=2, autoencoder_steps=7).stages}
    assert lengths == {"intra_1": 7, "intra_2": 7, "between": 7, "semantic": 2, "common_1": 5, "common_2": 5}
    with pytest.raises(InputError, match="two or more modalities; dataset random has image alone"):
        make_model({"image": 4})
    with pytest.raises(InputError, match="two or more training classes"):
        make_model(classes=1)
    for wrong, said in (
        ({"variant": "together", "rbm_pretrain": True}, "--rbm_pretrain: .* take --variant=staged"),
        ({"end_to_end": True}, "--end_to_end: .* take --variant=together"),
        ({"semantic_inputs": "machines"}, "--semantic_inputs=machines: .* add --rbm_pretrain"),
        ({"semantic_inputs": "features", "variant": "together"}, "--semantic_inputs=features: .* --variant=staged"),
    ):
        with pytest.raises(InputError, match=said):
            make_model(**wrong)


def test_machines_need_pairs():
    """Guards against a joint machine of items that have one modality each, for which mean field was trained on nothing."""
    features = {m: np.random.default_rng(0).normal(size=(20 + i, d)) for i, (m, d) in enumerate(DIMS.items())}
    labels = {m: np.arange(len(x)) % 3 for m, x in features.items()}
    data = MultiModalData("apart", {"train": Split(features, labels)}, ["a", "b", "c"])
    with pytest.raises(InputError, match="--rbm_pretrain: .*share no rows; take --norbm_pretrain"):
        CMDN(data, CMDNSettings(**(SMALL | MACHINES)))
    CMDN(data, CMDNSettings(**SMALL))
