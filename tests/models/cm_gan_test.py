"""CM-GANs against the anchors of its derivation, a slow NumPy reference and an independent training step."""
import math

import numpy as np
import pytest
import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import sampling
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.parts.batch_norm import NormTower
from tfxmr.models.cm_gan import CMGAN, CMGANSettings

SMALL = {"hidden_units": 6, "common_units": 5, "inter_units": 4, "batch_size": 8, "steps": 3}
ORDER = ["D_text", "D_image", "CD_text", "CD_image", *["G_image", "G_text"] * 5]
OTHER = {"image": "text", "text": "image"}
PLAYERS = {  # whose update changes what
    "D_text": {"D_text"}, "D_image": {"D_image"}, "CD_text": {"CD_text"}, "CD_image": {"CD_image"},
    "G_text": {"E1_text", "E2", "R_text", "P_text"}, "G_image": {"E1_image", "E2", "R_image", "P_image"},
}


def make_data(classes=3, image=7, text=5, items=24):
    rng = np.random.default_rng(0)
    features = {"image": 2 + 3 * rng.normal(size=(items, image)), "text": rng.normal(size=(items, text))}
    return MultiModalData("random", {"train": Split.of_pairs(features, np.arange(items) % classes)}, [])


def make_model(learning_rate=None, **settings):
    model = CMGAN(make_data(), CMGANSettings(**(SMALL | settings)))
    model.compile(learning_rate, run_eagerly=True)
    return model


def first_batch(model):
    return next(iter(sampling.stage_batches(model, make_data(), 0, 0, 1)))


def weights(model, trainable=True):
    return {
        name: {v.path.removeprefix(f"{name}/"): v.numpy() for v in (net.trainable_variables if trainable else net.variables)}
        for name, net in model.networks.items()
    }


def changed(before, after):
    return {n for n in before if any(np.abs(before[n][k] - after[n][k]).max() > 0 for k in before[n])}


def losses_of(model, batch):
    """player/loss -> value, all at the present weights."""
    found = {}
    for player, losses, _ in model.updates(batch, model.present_step()):
        found |= {f"{player}/{name}": float(value) for name, value in losses.items()}
    return found


def test_parameter_counts_at_paper_widths():
    """Guards against a missing bias or factor, a second copy of encoder 2, a swapped width, hidden layers in D."""
    model = CMGAN(Shapes("paper", {"image": 4096, "text": 300}, 20, 800))
    counts = {n: sum(v.size for k, v in own.items() if "moving" not in k) for n, own in weights(model, False).items()}
    assert counts == {
        "E1_text": 310_272, "E1_image": 4_197_376, "E2": 1_051_648, "R_text": 1_359_148, "R_image": 5_250_048,
        "P_text": 20_500, "P_image": 20_500, "D_text": 301, "D_image": 4_097, "CD_image": 2_623_489, "CD_text": 679_937,
    }
    assert sum(counts.values()) == 15_517_316


def test_the_papers_settings():
    """Guards the defaults: Adam 1e-3 with beta_1 .5, batch 64, five rounds, epochs of ceil(800 / 64) batches."""
    model = CMGAN(Shapes("paper", {"image": 4, "text": 3}, 20, 800))
    model.compile()
    assert model.steps_per_epoch(800) == 13 and model.length == 13_000 and model.settings.generator_rounds == 5
    assert list(model.players) == list(model.player_optimizers) and len(model.players) == 6
    for optimizer in model.player_optimizers.values():
        assert (optimizer.beta_1, optimizer.beta_2, optimizer.epsilon) == (0.5, 0.999, 1e-8)


def test_learning_rate_halves_when_an_epoch_begins_that_100_divides():
    """Guards against a first halving after epoch 100, and against epochs counted by an optimizer's five updates a step."""
    model = CMGAN(Shapes("paper", {"image": 4, "text": 3}, 20, 800))
    model.compile()
    for epoch, step, halvings in [(1, 0, 0), (99, 12, 0), (100, 0, 1), (199, 12, 1), (200, 0, 2), (1000, 0, 10)]:
        model.step.assign(13 * (epoch - 1) + step)
        for optimizer in model.player_optimizers.values():
            optimizer.iterations.assign(12_345)
            assert float(optimizer.learning_rate) == pytest.approx(1e-3 * 0.5**halvings, rel=1e-5), (epoch, step)
    constant = CMGAN(Shapes("paper", {"image": 4, "text": 3}, 20, 800), CMGANSettings(learning_rate_decay=1.0))
    assert constant.own_rate(13) == 1e-3


def test_losses_at_zero_logits():
    """2 ln 2 for each discriminator, ln 2 + ln 2 + ln C for a generator: guards the halves in CD and the number of terms."""
    model = make_model()
    for name, net in model.networks.items():
        last = net.last if name.startswith("CD") else net if name.startswith(("D", "P")) else None
        for v in last.trainable_variables if last else ():
            v.assign(tf.zeros_like(v))
    found = losses_of(model, first_batch(model))
    assert found == pytest.approx({
        **{f"{role}_{m}/{kind}": 2 * math.log(2) for role, kind in (("D", "intra"), ("CD", "inter")) for m in OTHER},
        **{f"G_{m}/{kind}": math.log(2) for kind in ("inter", "intra") for m in OTHER},
        **{f"G_{m}/class": math.log(3) for m in OTHER},
    }, rel=1e-6)


def test_initial_weights():
    """Guards Torch's uniform weights and biases, of the whole concatenation in CD, and factors round 1."""
    layer = NormTower((30, 70), 400, 1, seed=0)
    for values in (*layer.dense.kernels, layer.dense.bias):
        assert 0.99 * 100**-0.5 < np.abs(values.numpy()).max() <= 100**-0.5
    assert np.abs(layer.last.kernels[0].numpy()).max() <= 400**-0.5
    assert np.mean(layer.gamma) == pytest.approx(1, abs=0.004) and np.std(layer.gamma) == pytest.approx(0.02, rel=0.15)
    assert not np.any(layer.beta)
    model = CMGAN(make_data(), CMGANSettings(**SMALL, share_encoder=False))
    assert np.abs(model.networks["E2_image"].dense.kernels[0] - model.networks["E2_text"].dense.kernels[0]).max() > 0


def slow_tower(own, rows):
    """A NormTower row by row in float64, each column normalised by these rows alone."""
    columns = []
    for column, bias, gamma, beta in zip(kernel(own, "dense").T, own["dense/bias"], own["gamma"], own["beta"], strict=True):
        values = [sum(x * k for x, k in zip(row, column, strict=True)) + bias for row in rows]
        mean = math.fsum(values) / len(values)
        variance = math.fsum((v - mean) ** 2 for v in values) / len(values)
        normal = [(v - mean) / math.sqrt(variance + 1e-5) * gamma + beta for v in values]
        columns.append([v if v > 0 else 0.2 * v for v in normal])
    made = np.transpose(columns).tolist()
    return linear(own, made, "last") if "last/kernel" in own else made


def kernel(own, name):
    """The kernel of a layer, of the concatenated input."""
    return np.concatenate([v for k, v in sorted(own.items()) if k.startswith(f"{name}/kernel")]).astype(np.float64)


def linear(own, rows, name="dense_0"):
    return (np.asarray(rows) @ kernel(own, name) + own[f"{name}/bias"]).tolist()


def minus_log(logit, real):
    return -math.log(1 / (1 + math.exp(-logit if real else logit)))


@pytest.mark.parametrize("settings", [
    {}, {"wrong_condition": "own"}, {"adv_weight": 0.25}, {"gan_loss": "saturating"}, {"share_encoder": False},
])
def test_losses_against_a_slow_loop(settings):
    """Every loss of one step, pair by pair in plain Python, from probabilities.

    Guards against real and fake rows in one batch of CD's normalisation, statistics of both modalities together in
    encoder 2, the wrong item's features where the condition is the original's, and the other way round.
    """
    model = make_model(**settings)
    batch, w, s = first_batch(model), weights(model, False), model.settings
    f = {m: batch[m].numpy() for m in OTHER}
    wrong = {m: batch["wrong"][m].numpy() for m in OTHER}
    assert np.all(batch["label"] != batch["wrong"]["label"])

    def common(m, rows):
        return slow_tower(w["E2" if s.share_encoder else f"E2_{m}"], slow_tower(w[f"E1_{m}"], rows))

    def judge(m, commons, rows):
        return [z for z, in slow_tower(w[f"CD_{m}"], [[*c, *x] for c, x in zip(commons, rows, strict=True)])]

    def pay(logits, real=True):
        return math.fsum(minus_log(z, real) for z in logits) / len(logits)

    def fool(logits):
        return s.adv_weight * (pay(logits) if s.gan_loss == "nonsaturating" else -pay(logits, False))

    c, expected = {m: common(m, f[m]) for m in OTHER}, {}
    for m, o in OTHER.items():
        made = slow_tower(w[f"R_{m}"], c[m])
        real, fake = ([z for z, in linear(w[f"D_{m}"], rows)] for rows in (f[m], made))
        expected[f"D_{m}/intra"] = pay(real) + pay(fake, False)
        condition = wrong[m] if s.wrong_condition == "own" else f[m]
        expected[f"CD_{m}/inter"] = (
            pay(judge(m, c[m], f[m])) + 0.5 * pay(judge(m, c[o], f[m]), False)
            + 0.5 * pay(judge(m, common(m, wrong[m]), condition), False)
        )
        expected[f"G_{m}/inter"] = fool(judge(o, c[m], f[o]))
        expected[f"G_{m}/intra"] = fool(fake)
        scores = [np.exp(row) / np.sum(np.exp(row)) for row in linear(w[f"P_{m}"], c[m])]
        expected[f"G_{m}/class"] = math.fsum(-math.log(p[y]) for p, y in zip(scores, batch["label"], strict=True)) / 8
    assert losses_of(model, batch) == pytest.approx(expected, rel=1e-4)


def test_each_update_changes_its_own_networks_alone():
    """The table of gradients: a discriminator's update moves no encoder, a generator's no discriminator and no other
    modality's network but the shared encoder; nothing is left without a gradient."""
    model = make_model()
    before, seen = weights(model), []
    for player, _, gradients in model.updates(first_batch(model), model.present_step()):
        assert all(g is not None and np.abs(g).max() > 0 for g in gradients), player
        model.player_optimizers[player].apply(gradients, model.variables_of(player))
        after = weights(model)
        assert changed(before, after) == PLAYERS[player]
        before = after
        seen.append(player)
    assert seen == ORDER


@pytest.mark.parametrize("settings, missing, losses", [
    ({"adversary": "inter"}, {"R", "D"}, {"inter", "class"}),
    ({"adversary": "intra"}, {"CD"}, {"intra", "class"}),
    ({"adv_weight": 0.0}, {"R", "D", "CD"}, {"class"}),
    ({"share_encoder": False}, set(), {"inter", "intra", "class"}),
    ({"share_encoder": False, "adv_weight": 0.0}, {"R", "D", "CD"}, {"class"}),
])
def test_ablations(settings, missing, losses):
    """Guards against an ablation that leaves a network to train for nothing, or takes another one's loss along."""
    model = make_model(**settings)
    assert {name.partition("_")[0] for name in model.networks} == {"E1", "E2", "R", "P", "D", "CD"} - missing
    logs = model.train_step(first_batch(model))
    assert {n.partition("/")[2] for n in logs if n.startswith("G_image")} == {*losses, "gradient_norm"}
    shared = set(model.players["G_image"]) & set(model.players["G_text"])
    assert shared == ({"E2"} if model.settings.share_encoder else set())


def test_each_modality_has_its_own_statistics_in_the_shared_encoder():
    """Guards against one set of moving statistics for both modalities, and against ones that nothing moves."""
    model = make_model()
    batch, shared = first_batch(model), model.networks["E2"]
    model.common("image", batch["image"], training=True)
    moved = {m: float(tf.reduce_max(tf.abs(shared.norms[m].moving_mean))) > 0 for m in OTHER}
    assert moved == {"image": True, "text": False}
    before = weights(model, False)
    for m in OTHER:
        model.embed(m, batch[m])
    assert not changed(before, weights(model, False))
    assert len(shared.trainable_variables) == 3  # kernel, factor, offset: once for both


def test_only_the_wrong_items_own_modality_reaches_a_discriminator():
    """Guards against the two halves of the wrong pair exchanged."""
    model = make_model()
    batch = first_batch(model)
    values = losses_of(model, batch)
    for m, o in OTHER.items():
        other = batch | {"wrong": batch["wrong"] | {m: batch["wrong"][m] + tf.random.stateless_normal((8, 1), (1, 2))}}
        found = losses_of(model, other)
        assert {name for name in found if abs(found[name] - values[name]) > 1e-6} == {f"CD_{m}/inter"}, o


class Plain:
    """CM-GANs' step from its equations, in float64 and functions of TensorFlow alone; Adam and moving means by hand."""

    def __init__(self, model):
        self.w = {
            (n, k): tf.Variable(v, dtype=tf.float64) for n, own in weights(model, False).items() for k, v in own.items()
        }
        self.slots, self.times = {}, {}

    def tower(self, name, *parts, source=""):
        x = tf.concat([tf.cast(part, tf.float64) for part in parts], axis=1)
        kernels = [self.w[key] for key in sorted(self.w) if key[0] == name and key[1].startswith("dense/kernel")]
        x = x @ tf.concat(kernels, axis=0) + self.w[name, "dense/bias"]
        mean, rows = tf.reduce_mean(x, axis=0), tf.cast(tf.shape(x)[0], tf.float64)
        variance = tf.reduce_mean((x - mean) ** 2, axis=0)
        for kind, value in (("mean", mean), ("variance", variance * rows / (rows - 1))):
            moving = self.w[name, f"norm_{source}/moving_{kind}"]
            moving.assign(0.9 * moving + 0.1 * tf.stop_gradient(value))
        x = (x - mean) / tf.sqrt(variance + 1e-5) * self.w[name, "gamma"] + self.w[name, "beta"]
        x = tf.maximum(x, 0.2 * x)
        if (name, "last/kernel") in self.w:
            x = x @ self.w[name, "last/kernel"] + self.w[name, "last/bias"]
        return x

    def dense(self, name, x):
        return tf.cast(x, tf.float64) @ self.w[name, "dense_0/kernel"] + self.w[name, "dense_0/bias"]

    def common(self, m, x):
        return self.tower("E2", self.tower(f"E1_{m}", x), source=m)

    def descend(self, player, names, loss):
        keys = [k for k in self.w if k[0] in names and "moving" not in k[1] and not self.idle(k)]
        with tf.GradientTape() as tape:
            value = loss()
        self.times[player] = t = self.times.get(player, 0) + 1
        for key, g in zip(keys, tape.gradient(value, [self.w[k] for k in keys]), strict=True):
            m, v = self.slots.get((player, key), (0.0, 0.0))
            m, v = 0.5 * m + 0.5 * g, 0.999 * v + 0.001 * g**2
            self.slots[player, key] = m, v
            rate = 1e-3 * math.sqrt(1 - 0.999**t) / (1 - 0.5**t)
            self.w[key].assign_sub(rate * m / (tf.sqrt(v) + 1e-8))

    def idle(self, key):
        """Whether it is a bias below a normalisation, whose gradient is 0."""
        return key[1] == "dense/bias"

    def step(self, batch):
        def pay(z, sign=1):
            return tf.reduce_mean(tf.nn.softplus(-sign * z))

        c = {m: self.common(m, batch[m]) for m in OTHER}
        for m in ("text", "image"):
            made = self.tower(f"R_{m}", c[m])
            self.descend(f"D_{m}", [f"D_{m}"], lambda m=m, made=made: (
                pay(self.dense(f"D_{m}", batch[m])) + pay(self.dense(f"D_{m}", made), -1)))
        for m in ("text", "image"):
            wrong = self.common(m, batch["wrong"][m])
            self.descend(f"CD_{m}", [f"CD_{m}"], lambda m=m, wrong=wrong: (
                pay(self.tower(f"CD_{m}", c[m], batch[m])) + pay(self.tower(f"CD_{m}", c[OTHER[m]], batch[m]), -1) / 2
                + pay(self.tower(f"CD_{m}", wrong, batch[m]), -1) / 2))
        for _ in range(5):
            for m, o in OTHER.items():
                def loss(m=m, o=o):
                    c = self.common(m, batch[m])
                    told = tf.nn.log_softmax(self.dense(f"P_{m}", c))
                    told = tf.reduce_mean(tf.gather(told, batch["label"], batch_dims=1))
                    made = self.dense(f"D_{m}", self.tower(f"R_{m}", c))
                    return pay(self.tower(f"CD_{o}", c, batch[o])) + pay(made) - told

                self.descend(f"G_{m}", [f"E1_{m}", "E2", f"R_{m}", f"P_{m}"], loss)


def test_two_steps_equal_independent_ones():
    """Guards the order 1 + 5, the two sets of moments of encoder 2, Adam's epsilon, and what moves the statistics."""
    model = make_model()
    plain, start = Plain(model), weights(model, False)
    for batch in sampling.stage_batches(model, make_data(), 0, 0, 2):
        model.train_step(batch)
        plain.step(batch)
    end = weights(model, False)
    assert changed(start, end) == set(end)
    for name, own in end.items():
        for key, value in own.items():
            np.testing.assert_allclose(value, plain.w[name, key], atol=1e-5, err_msg=f"{name} {key}")
    encoder = [[v for v in model.player_optimizers[f"G_{m}"].variables if "E2" in v.path and "gamma" in v.path] for m in OTHER]
    assert len(encoder[0]) == len(encoder[1]) == 2 and np.abs(encoder[0][0] - encoder[1][0]).max() > 0


def test_representations():
    """Guards against probabilities that are logits, of the other modality's classifier, or of training mode."""
    common, probabilities = make_model(), make_model(representation="probabilities")
    batch = first_batch(common)
    for model in (common, probabilities):
        for _ in range(3):
            model.train_step(batch)
    for m in OTHER:
        c, p = (model.encode(m, batch[m]) for model in (common, probabilities))
        assert c.shape == (8, 5) and p.shape == (8, 3)
        scores = np.exp(linear(weights(common)[f"P_{m}"], c))
        np.testing.assert_allclose(p, scores / scores.sum(axis=1, keepdims=True), rtol=1e-4)
        np.testing.assert_allclose(c[:1], common.encode(m, batch[m][:1]), rtol=1e-5)


def test_a_single_class_is_refused():
    """Guards against a sampler that has no other class to draw the wrong item from."""
    with pytest.raises(InputError, match="two or more training classes"):
        CMGAN(make_data(classes=1))
