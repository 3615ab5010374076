"""TPCKT against its anchors, the routing table, a step written from the equations, and the selection by hand."""
import json
import math
import pathlib

import numpy as np
import pytest
import tensorflow as tf
from made_up import products

from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine.keras_model import Shapes
from tfxmr.models.base import Step
from tfxmr.models.tpckt import TPCKT, TPCKTSettings, kept, nearness

SMALL = {"units": 6, "adversary_units": (5, 3), "batch_size": 8, "steps": 4, "source_steps": 3, "target_steps": 2,
         "progressive_steps": 2, "progressive_epochs": 1, "select": "last"}
DIMS = {"image": 5, "text": 4}


def make_data(source_dims=None):
    rng = np.random.default_rng(0)

    def split(size, classes, dims):
        return Split.of_pairs({m: rng.normal(size=(size, d)) for m, d in dims.items()}, np.arange(size) % classes)

    source = MultiModalData("source", {"train": split(24, 4, source_dims or DIMS)}, list("wxyz"))
    return MultiModalData("made up", {"train": split(24, 3, DIMS)}, ["a", "b", "c"], source=source)


def make_model(**settings):
    model = TPCKT(make_data(), TPCKTSettings(**(SMALL | settings)))
    model.compile(run_eagerly=True)
    return model


def make_batch(size=8, seed=1):
    rng = np.random.default_rng(seed)
    found = [{m: tf.constant(rng.normal(size=(size, d)), tf.float32) for m, d in DIMS.items()} for _ in range(2)]
    labels = [tf.constant(np.arange(size) % c, tf.int32) for c in (3, 4)]
    return found[0] | {"label": labels[0], "source": found[1] | {"label": labels[1]}}


def step_of(stage, progress=0.4):
    return Step(tf.constant([0, 0]), tf.constant(progress, tf.float32), stage)


def test_losses_at_zero_logits():
    """ln C a medium and domain; (.05 + .005 + .001) / 4 of the domains: guards other weights and one half forgotten."""
    model = make_model()
    for name in ("source_classes", "target_classes", "judge"):
        for v in model.networks[name].trainable_variables:
            v.assign(tf.zeros_like(v))
    found = {player: losses for player, losses, _ in model.updates(make_batch(), step_of("joint"))}
    for domain, classes in (("source", 4), ("target", 3)):
        for m in DIMS:
            assert float(found[domain][f"class_{m}"]) == pytest.approx(math.log(classes), rel=1e-6)
    domains = {place: float(found["adversary"][f"domain_{place}"]) for place in ("text", "image", "common")}
    assert domains == pytest.approx({"text": 0.05 / 4, "image": 0.005 / 4, "common": 0.001 / 4}, rel=1e-6)


def test_the_last_layer_is_one_for_all_discriminators():
    """Guards against three heads: hidden layers are apart, the last weight and bias one."""
    networks = make_model().networks
    assert [n for n in networks if n.startswith("judge")] == ["judge_image", "judge_text", "judge_common", "judge"]
    assert [v.shape for v in networks["judge"].trainable_variables] == [(3, 1), (1,)]


def test_parameter_counts():
    """Guards against a layer or bias too few or too many, and another width of the discriminators; 359 M in all."""
    dims = {"image": 25088, "text": 300}
    shapes = Shapes("wikipedia", dims, 10, 1000, source=Shapes("xmedianet", dims, 200, 1000))
    found = {n: v for n, v in products(TPCKT, shapes, TPCKTSettings()).items() if not n.endswith("norm")}
    for domain, head in (("source", 819_400), ("target", 40_970)):
        assert found[f"{domain}_image_fc6"] + found[f"{domain}_image_fc7"] == 119_545_856
        assert found[f"{domain}_text_fc6"] + found[f"{domain}_text_fc7"] == 18_014_208
        assert found[f"{domain}_fc8"] + found[f"{domain}_fc9"] == 33_562_624
        assert found[f"{domain}_classes"] == head
    assert [found[f"judge_{place}"] for place in ("image", "text", "common")] == 3 * [5_244_928]
    assert found["judge"] == 1025 and round(sum(found.values()) / 1e6) == 359


def test_the_other_loss_of_the_domains():
    """ln 2 at an output of 0: guards against squares of a logit, and labels the wrong way round."""
    model = make_model(domain_loss="cross_entropy")
    for v in model.networks["judge"].trainable_variables:
        v.assign(tf.zeros_like(v))
    *_, (_, found, _) = model.updates(make_batch(), step_of("joint"))
    assert float(sum(found.values())) == pytest.approx(0.056 * math.log(2), rel=1e-6)
    model.networks["judge"].trainable_variables[1].assign([50.0])  # "source", as sure as can be
    *_, (_, found, _) = model.updates(make_batch(), step_of("joint"))
    assert float(found["domain_text"]) == pytest.approx(0.05 * 50 / 2, rel=1e-6)  # half of the rows are the target's


# The step, written from the equations in plain TensorFlow.


def normalised(x):
    mean = tf.reduce_mean(x, axis=0)
    return (x - mean) / tf.sqrt(tf.reduce_mean((x - mean) ** 2, axis=0) + 1e-5)


def fbr(weights, x):
    kernel, bias = weights
    return tf.nn.relu(normalised(x @ kernel + bias))


def passed(w, domain, batch):
    """(The own activations by medium, fc9 of all rows.)"""
    own = {}
    for m in DIMS:
        x = batch[m]
        if m == "text":
            gamma, beta = w[f"{domain}_text_norm"]
            x = normalised(x) * gamma + beta
        first = fbr(w[f"{domain}_{m}_fc6"], x)
        own[m] = first, fbr(w[f"{domain}_{m}_fc7"], first)
    rows = tf.concat([own["image"][1], own["text"][1]], 0)
    return own, fbr(w[f"{domain}_fc9"], fbr(w[f"{domain}_fc8"], rows))


def literal_losses(w, batch):
    """(Losses of the source, of the target, of the discriminators), no reversal."""
    found, own_losses = {}, []
    for domain, part in (("source", batch["source"]), ("target", batch)):
        own, common = found[domain] = passed(w, domain, part)
        kernel, bias = w[f"{domain}_classes"]
        logits = tf.math.log_softmax(common @ kernel + bias)
        total = -sum(tf.reduce_mean(tf.gather(x, part["label"], batch_dims=1)) for x in (logits[:8], logits[8:]))
        for layer in range(2):
            total += 1e-4 * tf.reduce_mean(tf.reduce_sum((own["image"][layer] - own["text"][layer]) ** 2, -1)) / 2
        own_losses.append(total)
    told = 0.0
    for place, weight in (("image", 0.005), ("text", 0.05), ("common", 0.001)):
        rows = [found[d][1] if place == "common" else found[d][0][place][1] for d in ("source", "target")]
        target = tf.concat((tf.ones(len(rows[0])), tf.zeros(len(rows[1]))), 0)
        x, layers = tf.concat(rows, 0), w[f"judge_{place}"]
        for i in (0, 2):
            x = tf.nn.relu(x @ layers[i] + layers[i + 1])
        output = (x @ w["judge"][0] + w["judge"][1])[:, 0]
        told += weight * tf.reduce_mean((output - target) ** 2) / 2
    return (*own_losses, told)


def test_step_equals_the_literal_one():
    """A joint step of SGD: domains change by their own losses, and against the discriminators' by lambda."""
    model, batch, progress = make_model(), make_batch(), 0.4
    w = {n: [tf.Variable(v) for v in net.trainable_variables] for n, net in model.networks.items()}
    with tf.GradientTape(persistent=True) as tape:
        source, target, told = literal_losses(w, batch)
    ramp = 2 / (1 + math.exp(-10 * progress)) - 1
    for name, weights in w.items():
        own = {"s": source, "t": target}.get(name[0])
        for v in weights:
            g = 0.0
            if own is not None and (found := tape.gradient(own, v)) is not None:
                g = found
            adversarial = tape.gradient(told, v)
            if adversarial is not None:
                g += adversarial if name.startswith("judge") else -ramp * adversarial
            g += 5e-4 * v if v.shape.rank > 1 else 0.0
            v.assign_sub(1e-2 * g)
    for player, _, gradients in model.updates(batch, step_of("joint", progress)):
        model.player_optimizers[player].apply_gradients(zip(gradients, model.variables_of(player), strict=True))
    for name, weights in w.items():
        for mine, theirs in zip(weights, model.networks[name].trainable_variables, strict=True):
            np.testing.assert_allclose(theirs, mine, rtol=1e-5, atol=1e-5, err_msg=name)


def test_stages_train_their_domain():
    """Guards against a source that changes while the target is trained by itself, and a discriminator before its time."""
    model, batch = make_model(), make_batch()
    assert [(s.name, s.steps, s.players) for s in model.stages] == [
        ("source", 3, ("source",)), ("target", 2, ("target",)), ("joint", 4, None), ("progressive_1", 3, None),
        ("progressive_2", 3, None),
    ]
    assert [p for p, _, _ in model.updates(batch, step_of("source"))] == ["source"]
    assert [p for p, _, _ in model.updates(batch, step_of("target"))] == ["target"]
    assert [p for p, _, _ in model.updates(batch, step_of("joint"))] == ["source", "target", "adversary"]
    assert [p for p, _, _ in model.updates(batch, step_of("progressive_1"))] == ["source", "target", "adversary"]
    shared = make_model(share_domains=True)
    assert shared.stages[0].players == ("source", "shared")
    assert [p for p, _, _ in shared.updates(batch, step_of("joint"))] == ["source", "target", "shared", "adversary"]
    assert set(shared.players["shared"]) == {"image_fc6", "image_fc7", "text_fc6", "text_fc7", "fc8", "fc9"}
    assert set(shared.players["target"]) == {"target_text_norm", "target_classes"}


def test_what_the_domains_losses_reach():
    """Both domains below the place, by -lambda; not the classifiers, nor fc8 from the media's places."""
    model, batch = make_model(), make_batch()
    with tf.GradientTape(persistent=True) as tape:
        found = {d: model.common(d, {m: b[m] for m in DIMS}, True) for d, b in (("source", batch["source"]), ("target", batch))}
        cost = model.adversarial_losses(found, step_of("joint", 0.5))
    for place in ("image", "text", "common"):
        reached = set()
        for name, net in model.networks.items():
            gradients = tape.gradient(cost[f"domain_{place}"], net.trainable_variables)
            if any(g is not None and float(tf.reduce_max(tf.abs(g))) > 0 for g in gradients):
                reached.add(name)
        media = DIMS if place == "common" else (place,)
        expected = {f"{d}_{m}_{layer}" for d in ("source", "target") for m in media for layer in ("fc6", "fc7")}
        expected |= {f"{d}_text_norm" for d in ("source", "target") if "text" in media}
        expected |= {f"{d}_{layer}" for d in ("source", "target") for layer in ("fc8", "fc9") if place == "common"}
        assert reached == expected | {f"judge_{place}", "judge"}


@pytest.mark.parametrize("classes, fifths, tenths", [
    (200, [160, 192, 199, 200], [30, 166, 194, 199, 200]), (10, [8, 10, 10], [2, 9, 10, 10, 10]),
])
def test_how_many_classes_are_kept(classes, fifths, tenths):
    """Both readings of the released code; guards against its first selection, which dropped every class."""
    assert [kept(classes, t + 1) for t in range(len(fifths))] == fifths
    assert [kept(classes, t + 1, "tenths") for t in range(len(tenths))] == tenths
    assert kept(1, 1) == 1


def test_nearness_by_hand():
    """Sums of cosines: guards against products of vectors of other lengths; zeros come last."""
    centres, others = np.array([[2.0, 0.0], [0.0, 5.0], [0.0, 0.0]]), np.array([[3.0, 4.0], [1.0, 0.0], [0.0, 0.0]])
    np.testing.assert_allclose(nearness(centres, others), [0.6 + 1.0, 0.8, -4.0])


def test_selection():
    """The classes of a stage are the nearest ones by the vectors of the present networks, image and text together."""
    model, data = make_model(), make_data()
    model.enter([s.name for s in model.stages].index("progressive_1"), data)
    found = model.decision

    def centres(domain, split, classes):
        rows = {m: tf.constant(split.features[m], tf.float32) for m in DIMS}
        vectors = {m: tf.nn.softmax(model.common(domain, {m: x})[1]).numpy() for m, x in rows.items()}
        return np.stack([
            np.concatenate([v[split.labels[m] == c] for m, v in vectors.items()]).mean(0) for c in range(classes)
        ])

    source = centres("source", data.source.splits["train"], 4)
    target = centres("target", data.splits["train"], 3)

    def cosines(a, b):
        return (a / np.linalg.norm(a, axis=1, keepdims=True)) @ (b / np.linalg.norm(b, axis=1, keepdims=True)).T

    near = cosines(source, target)
    np.testing.assert_allclose(found["source_nearness"], near.sum(1), rtol=1e-5)
    np.testing.assert_allclose(found["nearness"], near.sum(0), rtol=1e-5)
    assert found["source_classes"] == sorted(np.argsort(-near.sum(1))[:4].tolist())
    assert found["classes"] == sorted(np.argsort(-near.sum(0))[:3].tolist())
    assert model.begin(data).keys() == found.keys()
    model.enter(0, data)
    assert model.decision == {}


def test_a_source_without_texts_is_refused():
    with pytest.raises(InputError, match="--source_dataset: tpckt learns from pairs of image and text, and source has image"):
        TPCKT(make_data({"image": 5}), TPCKTSettings(**SMALL))


@pytest.mark.slow
def test_bars_on_scenes(tmp_path):
    """Five labels a class, three seeds, no progression: sharing pays; the faithful form is neither better nor worse.

    Guards against transfer that does nothing, or harm, and against words that few texts lack and the normalisation
    blows up, which cost .04.
    """
    flagfile = pathlib.Path(__file__).parents[2] / "flags/scenes/tpckt.cfg"
    command = ["train", f"--flagfile={flagfile}", "--progressive_steps=0", "--source_steps=0", "--target_steps=0"]
    forms = {"alone": ["--text_weight=0", "--image_weight=0", "--common_weight=0"], "faithful": [],
             "shared": ["--share_domains"]}
    found = {}
    for name, flags in forms.items():
        assert main([*command, *flags, "--seeds=0..2", f"--run_dir={tmp_path}/{name}"]) == 0
        runs = [json.loads((tmp_path / f"{name}/seed_{i}/results.json").read_text())["metrics"] for i in range(3)]
        found[name] = np.mean([m["value"] for run in runs for m in run])
    assert abs(found["faithful"] - found["alone"]) < 0.02
    assert found["shared"] > found["alone"] + 0.02
    assert min(found.values()) > 1.3 * 0.122
