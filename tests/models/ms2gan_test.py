"""MS2GAN against its derivation: parameter counts, routing of gradients, slow NumPy losses, the explicit two-player form."""
import itertools
import math

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, random_data, scores

from tfxmr.core.errors import InputError
from tfxmr.engine import losses, sampling
from tfxmr.models.ms2gan import LOSSES, MS2GAN, MS2GANSettings

SMALL = {"specific_units": (9, 8, 6), "shared_units": (7, 6), "modality_units": (5,), "batch_size": 8, "steps": 3}
GENERATORS = {"specific_image", "specific_text", "shared"}


def make_model(dims=DIMS, learning_rate=None, **settings):
    model = MS2GAN(random_data(dims), MS2GANSettings(**(SMALL | settings)))
    model.compile(learning_rate)
    return model


def first_batch(model):
    data = random_data(model.dims)
    return next(iter(sampling.batches(data.splits["train"], model.settings.batch_size, 0, 0, 1)))


def weights(model, name):
    return [v.numpy() for v in model.networks[name].trainable_variables]


def zero(model, name):
    for v in model.networks[name].trainable_variables:
        v.assign(tf.zeros_like(v))


@pytest.mark.parametrize(
    ("dims", "classes", "expected"),
    [
        ({"image": 4096, "text": 3000}, 10,
         {"specific_image": 4_785_792, "specific_text": 3_663_488, "shared": 33_024, "classifier": 2_570,
          "modality_classifier": 8_386}),
        ({"text": 1000, "audio": 78, "shape3d": 4700}, 20,
         {"specific_text": 1_615_488, "specific_audio": 671_360, "specific_shape3d": 5_404_288, "shared": 33_024,
          "classifier": 5_140, "modality_classifier": 8_386 + 65}),
    ],
)
def test_parameter_counts_at_paper_widths(dims, classes, expected):
    """Section 4.3 of the paper: guards against a missing bias, a tower for two modalities, or two shared networks."""
    model = MS2GAN(random_data(dims, classes, items=130))
    assert {name: net.count_params() for name, net in model.networks.items()} == expected
    assert len(model.variables_of("joint")) == sum(len(net.trainable_variables) for net in model.networks.values())
    if classes == 10:
        assert sum(expected.values()) == 8_493_260


def run(weights, x, hidden=np.tanh, last=np.tanh):
    """A tower in NumPy; x is one row."""
    *head, tail = zip([w for w in weights if w.ndim == 2], [w for w in weights if w.ndim == 1], strict=True)
    for kernel, bias in head:
        x = hidden(x @ kernel + bias)
    return last(x @ tail[0] + tail[1])


def linear(x):
    return x


def leaky(x):
    return np.where(x > 0, x, 0.2 * x)


def minus_log_softmax(logits, label):
    return math.log(sum(math.exp(z - logits[label]) for z in logits))


def gap(a, b):
    return sum((x - y) ** 2 for x, y in zip(a, b, strict=True))


def slow_losses(model, batch):
    """Every loss, item by item and pair by pair in plain Python, from the equations of the class's docstring."""
    s, size, labels = model.settings, model.settings.batch_size, batch["label"].numpy()
    items = []
    for u in range(size):
        f = {m: run(weights(model, f"specific_{m}"), batch[m][u].numpy()) for m in model.dims}
        items.append((f, {m: run(weights(model, "shared"), f[m]) for m in model.dims}))
    kernels = weights(model, "classifier")
    classifier = [np.concatenate([w for w in kernels if w.ndim == 2]), *[w for w in kernels if w.ndim == 1]]
    total = dict.fromkeys(LOSSES, 0.0)
    for (f, shared), label in zip(items, labels, strict=True):
        for i, m in enumerate(model.dims):
            total["sd"] += minus_log_softmax(run(classifier, np.concatenate([f[m], shared[m]]), last=linear), label)
            total["lm"] += s.beta * max(0, s.zeta - gap(f[m], shared[m]))
            total["adv"] += minus_log_softmax(run(weights(model, "modality_classifier"), shared[m], leaky, linear), i)
    hinges = {True: [], False: []}
    for (f, shared), label in zip(items, labels, strict=True):
        for (other_f, other_s), other_label in zip(items, labels, strict=True):
            d = sum(gap(f[m], other_f[m]) for m in model.dims)
            for a, b in itertools.combinations(model.dims, 2):
                d += {"cross": gap(shared[a], other_s[b]), "literal": gap(shared[a], other_s[a]),
                      "symmetric": (gap(shared[a], other_s[b]) + gap(shared[b], other_s[a])) / 2}[s.contrastive_third]
            same = bool(label == other_label)
            hinges[same].append(max(0, d - s.tau if same else s.tau - d))
    found = {name: value / size for name, value in total.items()}
    return found | {"c": s.alpha * sum(sum(h) / len(h) for h in hinges.values())}


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
@pytest.mark.parametrize("third", losses.CONTRASTIVE_THIRDS)
def test_losses_against_a_slow_loop(dims, third):
    """Guards every term's sign, weight and mean, the order of [f; s], and the activations of each network."""
    model = make_model(dims, contrastive_third=third, tau=3.0, zeta=2.5, alpha=0.5, beta=0.3)
    batch = first_batch(model)
    expected = slow_losses(model, batch)
    assert all(value > 0.1 for value in expected.values())
    assert {name: float(v) for name, v in model.compute_losses(batch, model.present_step()).items()} == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(("dims", "sd", "adv"), [
    (DIMS, 2 * math.log(3), 2 * math.log(2)), (THREE, 3 * math.log(3), 3 * math.log(3)),
])
def test_losses_of_classifiers_that_know_nothing(dims, sd, adv):
    """M ln C and M ln M, for two modalities 2 ln C and 2 ln 2: guards the number of terms and of modality classes."""
    model = make_model(dims)
    zero(model, "classifier")
    zero(model, "modality_classifier")
    cost = model.compute_losses(first_batch(model), model.present_step())
    assert float(cost["sd"]) == pytest.approx(sd, rel=1e-6)
    assert float(cost["adv"]) == pytest.approx(adv, rel=1e-6)


def test_routing_of_gradients():
    """Which network each loss trains: guards against a contrastive loss that reaches a classifier, and the like."""
    model = make_model(zeta=200.0)
    batch = first_batch(model)
    reached = {
        "sd": GENERATORS | {"classifier"}, "c": GENERATORS, "lm": GENERATORS,
        "adv": GENERATORS | {"modality_classifier"},
    }
    for name in LOSSES:
        with tf.GradientTape() as tape:
            cost = model.compute_losses(batch, model.present_step())[name]
        found = tape.gradient(cost, {n: net.trainable_variables for n, net in model.networks.items()})
        moved = {n for n, gs in found.items() if any(g is not None and np.abs(g).max() > 0 for g in gs)}
        assert moved == reached[name], name


@pytest.mark.parametrize("scale", [1.0, 0.25])
def test_reversal_equals_the_two_player_form(scale):
    """Guards against a reversal done twice or not at all: generators descend L_gm - lambda L_adv, A descends L_adv."""
    model = make_model(lambda_adv=scale)
    batch, net, s = first_batch(model), model.networks, model.settings
    ((_, _, gradients),) = model.updates(batch, model.present_step())
    with tf.GradientTape(persistent=True) as tape:
        f = tf.stack([net[f"specific_{m}"](batch[m]) for m in DIMS])
        shared = net["shared"](f)
        sd = tf.reduce_mean(losses.semantic_discrimination(net["classifier"](f, shared), batch["label"]))
        c = losses.contrastive(losses.contrastive_distances(f, shared), batch["label"], s.tau)
        lm = tf.reduce_mean(losses.large_margin(f, shared, s.zeta))
        adv = tf.reduce_mean(losses.modality_classification(net["modality_classifier"](shared)))
        generators = sd + s.alpha * c + s.beta * lm - scale * adv
    expected = []
    for name, network in net.items():
        target = adv if name == "modality_classifier" else generators
        expected += tape.gradient(target, network.trainable_variables)
    for one, other in zip(gradients, expected, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("without", [("sd",), ("c",), ("lm",), ("adv",), ("sd", "adv"), ("sd", "c", "adv")])
def test_without_a_loss(without):
    """Guards against an ablation that multiplies by zero and trains a network on nothing; all that is left is trained."""
    model = make_model(without=without)
    gone = {"sd": "classifier", "adv": "modality_classifier"}
    assert not set(model.networks) & {gone[name] for name in without if name in gone}
    logs = model.train_step(first_batch(model))
    assert {name.removeprefix("joint/") for name in logs} == set(LOSSES) - set(without) | {"gradient_norm"}
    ((_, _, gradients),) = model.updates(first_batch(model), model.present_step())
    assert all(g is not None for g in gradients)


def test_adversary_schedule():
    """2 / (1 + exp(-10 p)) - 1 of the share p of the training done: 0, .98661 halfway, .99991 at the end."""
    model = make_model(adv_schedule="dann", steps=4, lambda_adv=2.0)
    found = []
    for step in (0, 2, 4):
        model.step.assign(step)
        found.append(float(model.reversal(model.present_step())) / 2)
    assert found == pytest.approx([0.0, 0.986614, 0.999909], abs=1e-6)
    assert make_model(lambda_adv=0.5).reversal(model.present_step()) == 0.5
    model = make_model(adv_schedule="dann")  # at step 0 only A feels the adversarial loss
    batch = first_batch(model)
    with tf.GradientTape() as tape:
        cost = model.compute_losses(batch, model.present_step())["adv"]
    gradient = tape.gradient(cost, {n: model.networks[n].trainable_variables for n in ("shared", "modality_classifier")})
    assert not any(np.any(g) for g in gradient["shared"]) and any(np.any(g) for g in gradient["modality_classifier"])


def test_tanh_logits_cap_the_probability():
    """e / (e + 2/e) for 3 classes: the flag squashes the logits, the default does not."""
    least = []
    for squashed in (True, False):
        model = make_model(tanh_logits=squashed)
        zero(model, "classifier")
        model.networks["classifier"].layers[0].bias.assign([50.0, -50.0, -50.0])
        batch = first_batch(model) | {"label": tf.zeros(8, tf.int32)}
        least.append(float(model.compute_losses(batch, model.present_step())["sd"]))
    assert least == pytest.approx([-2 * math.log(math.e / (math.e + 2 / math.e)), 0.0], abs=1e-6)


def test_representation():
    """[f; s], f (MSGAN1) or s (MSGAN2) of the same weights: guards the order, and retrieval by part of a training."""
    x = random_data().splits["train"].features["image"][:5]
    model = make_model()
    specific = np.array([run(weights(model, "specific_image"), row) for row in x])
    shared = np.array([run(weights(model, "shared"), row) for row in specific])
    expected = {"both": np.concatenate([specific, shared], axis=1), "specific": specific, "shared": shared}
    for representation, rows in expected.items():
        found = make_model(representation=representation).encode("image", x)
        assert found.shape == (5, 12 if representation == "both" else 6)
        np.testing.assert_allclose(found, rows, rtol=1e-4, atol=1e-6)
    parts = weights(model, "classifier")
    kernel, bias = np.concatenate([w for w in parts if w.ndim == 2]), next(w for w in parts if w.ndim == 1)
    powers = np.exp(expected["both"] @ kernel + bias)
    found = make_model(representation="probabilities").encode("image", x)
    np.testing.assert_allclose(found, powers / powers.sum(axis=1, keepdims=True), rtol=1e-4)


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
def test_learns(dims, make_data):
    """On easy data, test mAP goes from near chance to near 1 in every direction: guards the signs of the whole."""
    data = make_data(train=120, test=40, classes=4, dims=dims, noise=0.3)
    model = MS2GAN(data, MS2GANSettings(**(SMALL | {"specific_units": (32, 16), "shared_units": (16,), "batch_size": 32})))
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 32, 0, 0, 80))
    assert min(scores(model, data.splits["test"]).values()) > 0.8


def test_length_of_training():
    assert MS2GAN(random_data(items=300)).total_steps(300) == 200 * 2
    assert make_model(steps=0, epochs=4).total_steps(24) == 4 * 3
    assert make_model(steps=5, epochs=4).total_steps(24) == 5


def test_adam_takes_beta_1():
    """Guards against a setting that never reaches the optimizer."""
    assert make_model().player_optimizers["joint"].beta_1 == 0.5


@pytest.mark.parametrize("setting, message", [
    ({"without": ("sd", "gan")}, r"--without=gan: choose one of sd, c, lm, adv"),
    ({"without": LOSSES}, r"--without=sd,c,lm,adv: leaves no loss"),
    ({"without": ("sd",), "representation": "probabilities"}, r"--representation=probabilities: --without=sd"),
    ({"shared_units": (7,)}, r"--specific_units=\(9, 8, 6\), --shared_units=\(7,\).*same last width"),
    ({"specific_units": ()}, r"--specific_units=\(\)"),
    ({"contrastive_third": "intra"}, r"--contrastive_third=intra"),
    ({"beta_1": 1.0}, r"--beta_1=1\.0"),
])
def test_wrong_settings_are_refused(setting, message):
    with pytest.raises(InputError, match=message):
        MS2GANSettings(**(SMALL | setting))


def test_wrong_data_are_refused():
    with pytest.raises(InputError, match="two or more modalities; dataset random has image alone"):
        MS2GAN(random_data({"image": 4}), MS2GANSettings(**SMALL))
    with pytest.raises(InputError, match="two or more training classes"):
        MS2GAN(random_data(classes=1), MS2GANSettings(**SMALL))
