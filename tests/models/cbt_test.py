"""CBT against its derivation: parameter counts, encoders and rewards by slow loops, a whole step, routing, the bar."""
import dataclasses
import inspect
import math
import re

import keras
import numpy as np
import pytest
import tensorflow as tf
from made_up import reached, weights
from tfxmr_flags import declared, parsing

from tfxmr import evaluation
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import randomness, sampling
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.parts.reinforce import cosine_reward, reinforce
from tfxmr.evaluation import protocol
from tfxmr.extraction import load
from tfxmr.models.cbt import CBT, CBTSettings
from tfxmr.reports.figures import events
from tfxmr.runs import by_pairs, job
from tfxmr.runs import run as runs

SMALL = {
    "hidden_units": (7, 6, 5), "region_units": (4, 3), "word_units": (5, 4), "word_filters": 4, "batch_size": 6, "steps": 2,
    "dropout_keep": 1.0, "select": "last",
}
PAPER = {"image": 4096, "image.regions": (49, 512), "text": 300, "text.words": (857,)}
BOTH = (("image", "text"), ("text", "image"))
ENCODERS = {"image": {"image_lstm", "image_attention"}, "text": {"text_convolution", "text_lstm", "text_attention"}}


def make_data(words=9, items=24, classes=3):
    """Pairs with all views; the second text has no word, the third two, and others a last word before the end."""
    rng = np.random.default_rng(0)
    lengths = rng.integers(3, words + 1, items)
    lengths[1:3] = 0, 2
    tokens = np.where(np.arange(words) < lengths[:, None], rng.integers(1, 12, (items, words)), 0)
    features = {
        "image": rng.normal(size=(items, 8)), "image.regions": rng.normal(size=(items, 5, 6)),
        "text": rng.normal(size=(items, 7)), "text.words": tokens,
    }
    split = Split.of_pairs(features, np.arange(items) % classes)
    table = np.vstack([np.zeros((1, 3)), rng.normal(size=(11, 3))]).astype(np.float32)
    names = [f"class {c}" for c in range(classes)]
    return MultiModalData("made up", {"train": split, "test": split}, names, tables={"text.words": table})


def make_model(encoder="rcbt", data=None, **settings):
    settings = CBTSettings(**(SMALL | {"encoder": encoder} | settings))
    model = CBT(job.needed(CBT, data or make_data(), settings), settings)
    model.compile()
    return model


def first_batch(model, data=None):
    data = job.needed(CBT, data or make_data(), model.settings)
    return next(iter(sampling.batches(data.splits["train"], 6, 0, 0, 1)))


@pytest.mark.parametrize(("encoder", "image", "text"), [("rcbt", 4608, 600), ("cbt", 512, 300), ("global", 4096, 300)])
def test_parameter_counts_at_paper_widths(encoder, image, text):
    """Guards against layers that are missing or there twice, and a middle, or a classifier, for each direction."""
    views = CBT.reads(CBTSettings(encoder=encoder)) or ("image", "text")
    data = Shapes("paper", {v: PAPER[v] for v in views}, 10, 2173, tables={"text.words": np.zeros((5, 300), np.float32)})
    found = {name: net.count_params() for name, net in CBT(data, CBTSettings(encoder=encoder)).networks.items()}
    ends = {
        "image_in": image * 3000 + 3000 + 6_002_000, "image_out": 6_003_000 + 3000 * image + image,
        "text_in": text * 1000 + 1000 + 2_002_000, "text_out": 2_001_000 + 1000 * text + text,
    }
    if encoder == "rcbt":
        assert ends["image_in"] + ends["text_out"] == 22_430_600 and ends["text_in"] + ends["image_out"] == 22_434_608
    recurrent = {"image_lstm": 2 * 2_099_200, "text_lstm": 2 * 721_200, "text_convolution": 450_300}
    attention = {"image_attention": 512, "text_attention": 300}
    expected = ends | {"middle": 4_002_000, "classifier": 20_010}
    expected |= recurrent if encoder != "global" else {}
    assert found == expected | (attention if encoder == "rcbt" else {})


def sigmoid(x):
    return 1 / (1 + np.exp(-x))


def slow_lstm(arrays, sequence, valid):
    """All states of one item; a place left out keeps the state."""
    for kernel, recurrent, bias in zip(*(arrays[i::3] for i in range(3)), strict=True):
        h = c = np.zeros(len(recurrent))
        states = []
        for x, there in zip(sequence, valid, strict=True):
            if there:
                i, f, g, o = np.split(x @ kernel + h @ recurrent + bias, 4)
                c = sigmoid(f) * c + sigmoid(i) * np.tanh(g)
                h = sigmoid(o) * np.tanh(c)
            states.append(h)
        sequence = states
    return sequence


def slow_item(model, modality, features, n):
    """s of the item n, by loops over places and words."""
    net = {name: weights(model, name) for name in model.networks}
    if modality == "image":
        sequence = features["image.regions"][n]
        valid = [True] * len(sequence)
    else:
        words = list(features["text.words"][n]) + [0] * max(0, 7 - len(features["text.words"][n]))
        kernel, bias = net["text_convolution"]
        vectors, seen = model.table.numpy()[words], []
        for t in range(len(words) - 4):
            value = sum((vectors[t + j] @ kernel[j] for j in range(5)), bias)
            seen.append((any(words[t : t + 5]), np.maximum(value, 0)))
        sequence, valid = [], []
        for t in range(len(seen) - 2):
            there = [value for real, value in seen[t : t + 3] if real]
            valid.append(bool(there))
            sequence.append(np.max(there, axis=0) if there else np.zeros(len(bias)))
    states = [h for h, there in zip(slow_lstm(net[f"{modality}_lstm"], sequence, valid), valid, strict=True) if there]
    width = model.networks[f"{modality}_lstm"].layers[-1].units
    mean = np.mean(states, axis=0) if states else np.zeros(width)
    if model.settings.encoder == "cbt":
        return mean
    powers = [math.exp((np.tanh(h) @ net[f"{modality}_attention"][0]).item()) for h in states]
    pooled = sum((p / sum(powers) * h for p, h in zip(powers, states, strict=True)), np.zeros(width))
    return np.concatenate((features[modality][n], pooled + mean))


@pytest.mark.parametrize("encoder", ["rcbt", "cbt"])
@pytest.mark.parametrize("words", [9, 4])
def test_encoders_by_slow_loops(encoder, words):
    """Guards against padding that is read, the attention without its residual mean, a mean over padding, ReLU after the
    maximum's mask, and texts shorter than a window; a text without a word is zeros."""
    data = make_data(words)
    model = make_model(encoder, data)
    for layer in (*model.networks["image_lstm"].layers, *model.networks["text_lstm"].layers):
        layer.bias.assign(layer.bias + 0.1)
    features = data.splits["train"].features
    for m in ("image", "text"):
        views = {v: tf.constant(features[v][:6]) for v in model.dims if v.startswith(m)}
        expected = [slow_item(model, m, features, n) for n in range(6)]
        np.testing.assert_allclose(model.encode_item(m, views), expected, rtol=1e-4, atol=1e-5)
    assert not np.any(expected[1][7:] if encoder == "rcbt" else expected[1])


def test_encoders_are_initialised_as_the_code_has_them():
    """Forget bias 1, convolution and attention of standard deviation .1, the convolution's biases .1."""
    model = make_model(word_filters=60, region_units=(400,))
    kernel, bias = weights(model, "text_convolution")
    assert kernel.std() == pytest.approx(0.1, rel=0.1) and (bias == np.float32(0.1)).all()
    assert weights(model, "image_attention")[0].std() == pytest.approx(0.1, rel=0.15)
    assert weights(model, "image_lstm")[2].reshape(4, -1).tolist() == [[v] * 400 for v in (0, 1, 0, 0)]


def test_initial_weights_of_the_translators():
    """Guards a stddev that never reaches a translator, and one that is not truncated; the classifier keeps Glorot's."""
    model = make_model("global", hidden_units=(90, 80, 70), init_stddev=0.1)
    for name in ("image_in", "image_out", "text_in", "text_out", "middle"):
        for kernel, bias in zip(*(weights(model, name)[i::2] for i in range(2)), strict=True):
            assert 0.17 < np.abs(kernel).max() <= 0.2 and not bias.any(), name
            assert kernel.std() == pytest.approx(0.088, rel=0.1)
    assert np.abs(weights(model, "classifier")[0]).max() > 0.2
    limit = math.sqrt(6 / (80 + 80))
    kernel = weights(make_model("global", hidden_units=(90, 80, 70)), "middle")[0]
    assert 0.95 * limit < np.abs(kernel).max() <= limit


def test_rewards_by_hand():
    """Guards .1 in the wrong norm: of a vector of length 1 with itself, in both norms -.0465, in one -.0235; clamped."""
    s = tf.constant([[0.6, 0.8]])
    assert float(cosine_reward(s, s, (0.1, 0.1))[0]) == pytest.approx(math.log(0.5 / 1.1 + 0.5), abs=1e-6)
    assert float(cosine_reward(s, s, (0.1, 0.0))[0]) == pytest.approx(-0.0235, abs=1e-4)
    assert float(cosine_reward(s, -s)[0]) == pytest.approx(math.log(1e-6), rel=1e-3)
    assert float(cosine_reward(s, tf.constant([[0.8, -0.6]]))[0]) == pytest.approx(-0.6931, abs=1e-4)


def test_antithetic_samples_of_a_linear_reward():
    """r(m) = v.m at mu + sigma e and mu - sigma e: 2 (v.e) e whatever sigma; the mean of all K would give (v.e) e."""
    v, e, mu = tf.constant([0.5, -2.0]), tf.constant([0.3, 0.7]), tf.Variable([1.0, 2.0])
    for sigma in (0.1, 3.0):
        samples = tf.stop_gradient(tf.stack((mu + sigma * e, mu - sigma * e)))
        with tf.GradientTape() as tape:
            log_prob = -tf.reduce_sum((samples - mu) ** 2, axis=-1, keepdims=True) / (2 * sigma**2)
            loss = reinforce(log_prob, tf.reduce_sum(samples * v, axis=-1, keepdims=True))
        expected = 2 * np.dot(v, e) * e.numpy()
        np.testing.assert_allclose(-tape.gradient(loss, mu), expected, rtol=1e-4)


def slow_cosine(a, b, extra_a, extra_b):
    return a @ b / (math.sqrt(a @ a + extra_a) * math.sqrt(b @ b + extra_b) + 1e-12)  # ReLU may leave nothing of b


def slow_dense(arrays, x, last=None):
    """Layers with tanh between them and the function `last` at the end."""
    *hidden, (kernel, bias) = zip(arrays[::2], arrays[1::2], strict=True)
    for w, b in hidden:
        x = np.tanh(x @ w + b)
    x = x @ kernel + bias
    return last(x) if last else x


def slow_rewards(net, a, b, s_a, s_b, translation):
    """(r_inter, r_intra) of one translation of one item."""
    inter = math.log(slow_cosine(sigmoid(translation), s_b, 0.1, 0.1) / 2 + 0.5)
    common = slow_dense(net["middle"], slow_dense(net[f"{b}_in"], translation, np.tanh), np.tanh)
    back = np.maximum(slow_dense(net[f"{a}_out"], common), 0)
    return inter, math.log(slow_cosine(s_a, back, 0.1, 0.0) / 2 + 0.5)


def items_of(model, batch):
    return {m: model.encode_item(m, batch) for m in ("image", "text")}


@pytest.mark.parametrize("encoder", ["rcbt", "global"])
@pytest.mark.parametrize("mode", ["policy", "code", "path", "none"])
def test_losses_by_slow_loops(encoder, mode):
    """Guards alpha and class_weight, which direction has which reward, sigmoid and ReLU, .1, the baseline, and K."""
    model = make_model(encoder, mode=mode, samples=3, alpha=0.3, class_weight=0.7, policy_stddev=0.4)
    net, batch = {name: weights(model, name) for name in model.networks}, first_batch(model)
    items, step, found, shown = items_of(model, batch), model.present_step(), {}, {}
    for i, (a, b) in enumerate(BOTH):
        noise = tf.random.stateless_normal((3, 6, items[b].shape[1]), randomness.fold_in(step.seed, 2 + i)).numpy()
        sums = dict.fromkeys(("class", "intra", "inter", "policy", "r_inter", "r_intra", "advantage", "noise"), 0.0)
        for n, label in enumerate(batch["label"].numpy()):
            s_a, s_b = (items[m].numpy()[n].astype(float) for m in (a, b))
            common = slow_dense(net["middle"], slow_dense(net[f"{a}_in"], s_a, np.tanh), np.tanh)
            logits = slow_dense(net["classifier"], common)
            sums["class"] -= 0.7 * (logits[label] - math.log(np.exp(logits).sum())) / 6
            mean = slow_dense(net[f"{b}_out"], common)
            samples = [mean + 0.4 * noise[k, n] for k in range(3)] if mode == "policy" else [mean]
            rewards = [slow_rewards(net, a, b, s_a, s_b, m) for m in samples]
            alpha = 0.0 if mode == "code" else 0.3
            for k, (inter, intra) in enumerate(rewards):
                sums["r_inter"] += inter / 6 / len(samples)
                sums["r_intra"] += intra / 6 / len(samples)
                others = [alpha * x + (1 - alpha) * y for j, (x, y) in enumerate(rewards) if j != k]
                if mode == "policy":
                    advantage = alpha * inter + (1 - alpha) * intra - sum(others) / 2
                    log_prob = -((samples[k] - mean) ** 2).sum() / (2 * 0.4**2)
                    sums["policy"] -= advantage * log_prob / 18
                    sums["advantage"] += abs(advantage) / 18
                    sums["noise"] += np.linalg.norm(samples[k] - mean) / np.linalg.norm(mean) / 18
            sums["intra"] = -(1 - alpha) * sums["r_intra"]
            sums["inter"] = -alpha * sums["r_inter"]
        losses = {"policy": ("class", "intra", "policy"), "code": ("class", "intra"), "path": ("class", "intra", "inter")}
        found |= {f"{name}_{a}": sums[name] for name in losses.get(mode, ("class",))}
        told = {"policy": ("r_inter", "r_intra", "advantage", "noise"), "none": ()}
        shown |= {f"{name}_{a}": sums[name] for name in told.get(mode, ("r_inter", "r_intra"))}
    ((player, losses, _, values),) = model.updates(batch, step)
    assert player == "joint"
    assert {name: float(v) for name, v in losses.items()} == pytest.approx(found, rel=2e-4, abs=1e-6)
    assert {name: float(v) for name, v in values.items()} == pytest.approx(shown, rel=2e-4, abs=1e-6)


@pytest.mark.parametrize("mode", ["policy", "code", "path", "none"])
def test_a_whole_step_by_its_equations(mode):
    """Weights after one step of plain descent, by a step that shares no code with the model's: what is a constant is one.

    Of the policy, the score (m - mu) / sigma^2 = e / sigma is written out; guards its sign, size and the baseline.
    """
    rate, sigma, samples, alpha = 0.5, 0.2, 3, 0.0 if mode == "code" else 0.3
    model = make_model(
        "global", mode=mode, samples=samples, alpha=0.3, class_weight=0.7, policy_stddev=sigma, optimizer="sgd",
        momentum=0.0, learning_rate=rate,
    )
    batch, seed = first_batch(model), model.present_step().seed
    before = {name: [tf.constant(w) for w in weights(model, name)] for name in model.networks}

    def layers(name, x, last=lambda x: x):
        kernel, bias, *more = before[name]
        x = tf.linalg.matmul(x, kernel) + bias
        if more:
            x = tf.linalg.matmul(tf.tanh(x), more[0]) + more[1]
        return last(x)

    def cosine(a, b, extra):
        norms = [tf.sqrt(tf.einsum("nd,nd->n", x, x) + e + 1e-12) for x, e in zip((a, b), extra, strict=True)]
        return tf.einsum("nd,nd->n", a, b) / norms[0] / norms[1]

    def both_rewards(a, b, m):
        back = tf.nn.relu(layers(f"{a}_out", layers("middle", layers(f"{b}_in", m, tf.tanh), tf.tanh)))
        inter = tf.math.log(cosine(1 / (1 + tf.exp(-m)), batch[b], (0.1, 0.1)) / 2 + 0.5)
        return inter, tf.math.log(cosine(batch[a], back, (0.1, 0.0)) / 2 + 0.5)

    with tf.GradientTape() as tape:
        tape.watch(before)
        total = 0.0
        for i, (a, b) in enumerate(BOTH):
            common = layers("middle", layers(f"{a}_in", batch[a], tf.tanh), tf.tanh)
            logits = layers("classifier", common)
            chosen = tf.gather(tf.math.log(tf.exp(logits) / tf.reduce_sum(tf.exp(logits), -1, True)), batch["label"], batch_dims=1)
            total -= 0.7 * tf.reduce_sum(chosen) / 6
            mu = layers(f"{b}_out", common)
            if mode == "path":
                inter, intra = both_rewards(a, b, mu)
                total -= tf.reduce_sum(0.3 * inter + 0.7 * intra) / 6
            if mode == "code":
                total -= tf.reduce_sum(both_rewards(a, b, tf.stop_gradient(mu))[1]) / 6
            if mode == "policy":
                noise = tf.random.stateless_normal((samples, 6, mu.shape[1]), randomness.fold_in(seed, 2 + i))
                made = [both_rewards(a, b, tf.stop_gradient(mu + sigma * e)) for e in tf.unstack(noise)]
                rewards = [tf.stop_gradient(alpha * inter + (1 - alpha) * intra) for inter, intra in made]
                for k, e in enumerate(tf.unstack(noise)):
                    baseline = sum(r for j, r in enumerate(rewards) if j != k) / (samples - 1)
                    score = tf.reduce_sum(e / sigma * mu, axis=-1)
                    total -= tf.reduce_sum((rewards[k] - baseline) * score) / (6 * samples)
                    total -= (1 - alpha) * tf.reduce_sum(made[k][1]) / (6 * samples)
    gradients = tape.gradient(total, before)
    model.train_step(batch)
    for name, arrays in before.items():
        for old, gradient, new in zip(arrays, gradients[name], weights(model, name), strict=True):
            expected = old if gradient is None else old - rate * gradient
            np.testing.assert_allclose(new, expected, atol=1e-5, err_msg=name)


def routes(model, first, second):
    """Loss -> networks that it changes, of one direction."""
    batch = first_batch(model)
    with tf.GradientTape(persistent=True) as tape:
        found, _ = model.direction(first, second, items_of(model, batch), batch["label"], model.present_step().seed)
    return {name: reached(tape, value, model) for name, value in found.items()}


@pytest.mark.parametrize(("a", "b"), BOTH)
def test_routing_of_gradients(a, b):
    """Guards the table: the classes leave translations alone, the policy the way back, r_intra what it looks back to."""
    forward, back = ENCODERS[a] | {f"{a}_in", "middle"}, {f"{b}_in", "middle", f"{a}_out"}
    classes, both = forward | {"classifier"}, forward | {f"{b}_out"}
    assert routes(make_model(), a, b) == {"class": classes, "intra": back, "policy": both}
    assert routes(make_model(mode="code"), a, b) == {"class": classes, "intra": back}
    assert routes(make_model(mode="path"), a, b) == {"class": classes, "intra": both | back, "inter": both}
    assert routes(make_model(mode="none"), a, b) == {"class": classes}
    leak = {"rewards_train_encoders": True}
    assert routes(make_model(mode="code", **leak), a, b)["intra"] == back | ENCODERS[a]
    assert routes(make_model(mode="path", **leak), a, b)["inter"] == both | ENCODERS[b]
    assert routes(make_model(**leak), a, b)["policy"] == both


@pytest.mark.parametrize("alpha", [0.0, 1.0])
def test_one_reward_alone(alpha):
    """Guards the ablations: only intra, and only inter, under which nothing trains the way back but the policy."""
    model = make_model(alpha=alpha)
    found = routes(model, "image", "text")
    assert found["intra"] == (set() if alpha else {"text_in", "middle", "image_out"})
    batch = first_batch(model)
    items = items_of(model, batch)
    def policy():
        return model.direction("image", "text", items, batch["label"], (1, 2))[0]["policy"].numpy()

    before = policy()
    if alpha:  # r_intra, of image_out, does not count
        for variable in model.networks["image_out"].trainable_variables:
            variable.assign(variable + 0.5)
    else:  # nor does r_inter, of the partner
        items["text"] += 0.5
    assert policy() == before


def test_without_rewards_the_translations_stay(recwarn):
    """Guards against decay, or a warning of missing gradients, of layers that --mode=none does not train."""
    model = make_model(mode="none", weight_decay=0.1)
    before = {name: weights(model, name) for name in model.networks}
    model.train_step(first_batch(model))
    moved = {n for n, ws in before.items() if any((a != b).any() for a, b in zip(ws, weights(model, n), strict=True))}
    assert moved == set(model.networks) - {"image_out", "text_out"}
    assert not [w for w in recwarn if "Gradients do not exist" in str(w.message)]


def test_a_translation_that_ends_in_zeros_has_finite_gradients():
    """Guards against the norm's infinite slope where ReLU leaves nothing of a back-translation: log(1/2)."""
    model = make_model("global")
    for m in ("image", "text"):
        model.networks[f"{m}_out"].trainable_variables[-1].assign_sub(tf.fill([model.dims[m]], 100.0))
    ((_, _, gradients, shown),) = model.updates(first_batch(model), model.present_step())
    assert all(np.isfinite(g).all() for g in gradients)
    assert float(shown["r_intra_image"]) == pytest.approx(math.log(0.5))


def test_samples_are_of_the_step():
    """Guards against the same noise at every step, or for both directions."""
    model = make_model("global")
    batch, found = first_batch(model), []
    for step in (0, 1, 0):
        model.step.assign(step)
        ((_, _, _, shown),) = model.updates(batch, model.present_step())
        found.append(float(shown["noise_image"]))
    assert found[0] == found[2] != found[1]


def test_representation():
    """Class probabilities, without dropout, of the middle layer of each item's own translator."""
    model = make_model(dropout_keep=0.5)
    data = make_data()
    features = data.splits["train"].features
    net = {name: weights(model, name) for name in model.networks}
    for m in ("image", "text"):
        found = model.encode(m, {v: features[v][:4] for v in model.dims if v.startswith(m)})
        for n in range(4):
            item = slow_item(model, m, features, n)
            logits = slow_dense(net["classifier"], slow_dense(net["middle"], slow_dense(net[f"{m}_in"], item, np.tanh), np.tanh))
            np.testing.assert_allclose(found[n], np.exp(logits) / np.exp(logits).sum(), rtol=1e-4, atol=1e-6)


def test_measured_rewards_by_slow_loops():
    """The mean translation's, without noise or dropout, of each pair; guards against rewards of other partners."""
    model, data = make_model(dropout_keep=0.5), make_data()
    net, features = {name: weights(model, name) for name in model.networks}, data.splits["test"].features
    expected = {}
    for a, b in BOTH:
        rewards = []
        for n in range(24):
            s_a, s_b = (slow_item(model, m, features, n) for m in (a, b))
            common = slow_dense(net["middle"], slow_dense(net[f"{a}_in"], s_a, np.tanh), np.tanh)
            rewards.append(slow_rewards(net, a, b, s_a, s_b, slow_dense(net[f"{b}_out"], common)))
        inter, intra = np.mean(rewards, axis=0)
        expected |= {f"r_inter {a}->{b}": inter, f"r_intra {a}->{b}": intra}
    assert model.measure(data.splits["test"]) == pytest.approx(expected, rel=1e-4)


def test_a_run_tells_its_rewards(tmp_path):
    """In TensorBoard at each step, of the test pairs in results.json; guards against a loss that counts them."""
    data, settings = make_data(), CBTSettings(**SMALL | {"select": "last"})
    options = runs.RunOptions(log_every=1)
    results = runs.run(CBT, settings, data, protocol.make("standard", data), tmp_path, options)
    curves = events.scalars(tmp_path)
    for name in ("r_inter", "r_intra", "advantage", "noise"):
        for m in ("image", "text"):
            assert len(curves[f"shown/{name}_{m}"][1]) == 2 and np.isfinite(curves[f"shown/{name}_{m}"][1]).all()
    assert set(results["measured"]) == {f"{r} {a}->{b}" for r in ("r_inter", "r_intra") for a, b in BOTH}
    assert all(-14 < value < 0 for value in results["measured"].values())


@pytest.mark.parametrize("encoder", ["rcbt", "cbt", "global"])
def test_files_of_keras(encoder, tmp_path):
    """Guards against word vectors that get lost, and the views of another encoder."""
    model, data = make_model(encoder), make_data()
    model.train_step(first_batch(model))
    model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras")
    read = job.needed(CBT, data, model.settings)
    for m in ("image", "text"):
        found = [x.encode(m, read.splits["test"].of(m)) for x in (model, loaded)]
        np.testing.assert_array_equal(*found)


def test_what_encoders_read():
    """Guards against views of the default where another encoder is asked for; and refusals have the line that helps."""
    data = dataclasses.replace(make_data(), name="wikipedia", media=True)
    plain = data.reading()
    assert job.needed(CBT, data).views == data.views
    assert job.needed(CBT, data, CBTSettings(encoder="cbt")).views == ["image.regions", "text.words"]
    assert job.needed(CBT, plain, CBTSettings(encoder="global")).views == ["image", "text"]
    line = "tfxmr extract --dataset=wikipedia --image_features=vgg19_fc7,vgg19_pool5 --text_features=doc2vec,sequence --out=DIR"
    with pytest.raises(InputError, match=f"cbt reads the view image.regions; .*`{re.escape(line)}`"):
        job.needed(CBT, plain, CBTSettings())
    line = "tfxmr extract --dataset=wikipedia --image_features=vgg19_pool5 --text_features=sequence --out=DIR"
    with pytest.raises(InputError, match=re.escape(line)):
        job.needed(CBT, plain, CBTSettings(encoder="cbt"))
    with pytest.raises(InputError, match="--encoder=rcbt: the words of dataset .* have no vectors; .*--encoder=global"):
        CBT(dataclasses.replace(data, tables={}), CBTSettings(**SMALL))


def test_vectors_of_any_two_modalities(make_data, tmp_path):
    """Guards against networks and widths that are looked for by the names image and text."""
    data = make_data(dims={"audio": 7, "sound": 5}, classes=6)
    settings = CBTSettings(**SMALL | {"encoder": "global"})
    results = runs.run(CBT, settings, data, protocol.make("standard", data), tmp_path / "run")
    assert [m["task"] for m in results["metrics"]] == ["audio->sound", "sound->audio"]
    assert set(results["measured"]) == {f"{r} {t}" for r in ("r_inter", "r_intra") for t in ("audio->sound", "sound->audio")}


def test_named_views_leave_one_pair(make_data):
    """Guards against a model for each pair of five modalities, of which one alone has regions and words."""
    data = make_data(dims={"image": 6, "text": 4, "audio": 7})
    assert job.pairs(CBT, CBTSettings(), data) == [("image", "text")]
    assert len(job.pairs(CBT, CBTSettings(encoder="global"), data)) == 3
    assert by_pairs.runner(CBT, CBTSettings(), data) is runs.run


def test_wrong_settings_are_refused():
    with pytest.raises(InputError, match="--hidden_units=300,200: give three widths, such as --hidden_units=300,200,100"):
        CBTSettings(hidden_units=(300, 200))
    with pytest.raises(InputError, match="--word_units=: give at least 1 number"):
        CBTSettings(word_units=())
    with pytest.raises(InputError, match="--samples=1: must be >= 2"):
        CBTSettings(samples=1)


def test_the_codes_own_training_parses():
    """Guards against flags in the docstring that are no longer there."""
    told = re.findall(r"--\S+", inspect.getdoc(CBTSettings).partition(":\n\n")[2])
    values, method = parsing.parse_run("train", ["--model=cbt", *told])
    settings = declared.make(values, method.Settings)
    assert (settings.mode, settings.optimizer, settings.learning_rate, settings.epochs) == ("code", "sgd", 0.1, 10)
    assert settings.rewards_train_encoders and settings.init_stddev == settings.class_weight == 0.1


@pytest.mark.slow
def test_rewards_rise_and_classes_stay():
    """The bar on scenes: 300 steps of Adam 3e-4, batch 200. Guards the policy as a whole, beside none of it."""
    data, found, maps = load("scenes"), {}, {}
    rule = protocol.make("standard", data)
    for mode in ("none", "policy"):
        settings = CBTSettings(encoder="global", hidden_units=(300, 200, 100), mode=mode, select="last")
        model = CBT(data, settings)
        model.compile()
        found["start"] = model.measure(data.splits["test"])
        model.take_steps(sampling.batches(data.splits["train"], 200, 0, 0, 300), steps_per_execution=10)
        found[mode] = model.measure(data.splits["test"])
        scores = evaluation.evaluate(model.retriever(data), rule.tasks(data), rule, data.splits["train"])
        maps[mode] = np.mean([m["value"] for m in scores if m["metric"] == "mAP"])
    for a, b in BOTH:
        assert found["policy"][f"r_intra {a}->{b}"] > found["start"][f"r_intra {a}->{b}"] + 0.15
        assert found["policy"][f"r_inter {a}->{b}"] > found["start"][f"r_inter {a}->{b}"] - 0.01
    assert maps["policy"] >= 0.45 and maps["policy"] > maps["none"] - 0.05
