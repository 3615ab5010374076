"""The modality-invariant embedding: anchors, gradient routing, losses and a step by other code, and what goes wrong."""
import csv
import dataclasses
import json
import math
import pathlib
import shutil
import warnings

import numpy as np
import pytest
import tensorflow as tf

from tfxmr import testing
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import sampling
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.parts.sentence_encoder import with_marks
from tfxmr.evaluation import protocol
from tfxmr.features.text import word_sequences
from tfxmr.models import modality_invariant as module
from tfxmr.models.base import Step
from tfxmr.models.modality_invariant import ModalityInvariant, ModalityInvariantSettings
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run

SMALL = {"units": 5, "word_width": 4, "classifier_units": (6, 3), "batch_size": 6, "steps": 40, "adv_schedule": "constant"}
ENCODERS = ("image", "text")


def data_of(images=10, sentences=1, seed=0):
    """Instance data with text.words, of several sentences an image if asked."""
    rng = np.random.default_rng(seed)
    splits, start = {}, 0
    for name in ("train", "test"):
        item = np.repeat(np.arange(images), sentences)
        words = rng.integers(1, 9, (len(item), 5))
        words[np.arange(5) >= rng.integers(1, 6, len(item))[:, None]] = 0
        features = {"image": rng.normal(size=(images, 7))[item], "text.words": words.astype(np.int32)}
        split = Split.of_pairs(features, start + item)
        splits[name] = dataclasses.replace(split, ids={"image": [f"{name} {i}" for i in item]})
        start += images
    table = np.vstack([np.zeros((1, 3)), rng.normal(size=(8, 3))]).astype(np.float32)
    return MultiModalData(
        "made up", splits, [], instances=True, repeated=("image",) * (sentences > 1), tables={"text.words": table},
        vocabularies={"text.words": ["", *"abcdefgh"]},
    )


def made(data=None, **changes):
    model = ModalityInvariant(data or data_of(), ModalityInvariantSettings(**SMALL | changes))
    model.compile(run_eagerly=True)
    return model


def first_batch(data):
    rows = np.arange(6)
    train = data.splits["train"]
    return {
        "image": tf.constant(train.features["image"][:6]), "text.words": tf.constant(train.features["text.words"][:6]),
        "item": tf.constant(sampling.item_numbers(ModalityInvariant, data, train)[rows], tf.int32),
    }


def step(stage="joint"):
    return Step(tf.constant((3, 4)), 0.5, stage)


def unit(rows):
    rows = np.asarray(rows, np.float64)
    return (rows / np.linalg.norm(rows, axis=-1, keepdims=True)).astype(np.float32)


def matching(model, image, text, items=None, stage="joint"):
    items = tf.range(len(image)) if items is None else tf.constant(items)
    found, collapse = model.matching(tf.constant(image), tf.constant(text), items, step(stage))
    return float(found["triplet"]), float(collapse)


def test_anchors():
    """Equal embeddings 2 margin (B - 1) a pair, hardest 2 margin; a perfect one 0; ln 2 at zero logits.

    Guards against losses summed over the batch, beside which no adversary is felt.
    """
    equal, apart = np.tile(unit([[1, 2, 3.0]]), (128, 1)), np.eye(128, dtype=np.float32)
    for negatives, value in (("all", 50.8), ("hardest", 0.4), ("one", 0.4)):
        model = made(negatives=negatives)
        assert matching(model, equal, equal) == pytest.approx((value, 1.0), rel=1e-5)
        assert matching(model, apart, apart) == (0.0, 0.0)
    for v in model.networks["classifier"].trainable_variables:
        v.assign(tf.zeros_like(v))
    losses, hits = model.modality_losses(tf.random.stateless_normal((2, 9, 5), (0, 0)))
    np.testing.assert_allclose(losses, np.full((2, 9), math.log(2)), rtol=1e-6)
    assert hits.shape == (2, 9)


def test_parameters():
    """Those of VSE++ at its widths: one layer 1,024 of 4,096 or 2,048 features; GRU 1,024 of 300-d words with both biases."""
    words = ["", *word_sequences.MARKS, *"abcdefg"]
    for width, count in ((4096, 4_195_328), (2048, 2_098_176)):
        dims = {"image": width, "text.words": (20,)}
        model = ModalityInvariant(Shapes("large", dims, 9, 128, vocabularies={"text.words": words}))
        assert model.networks["image"].count_params() == count
        assert model.networks["text"].count_params() == 4_073_472 + 300 * len(words)
        assert model.networks["classifier"].count_params() == 1025 * 512 + 513 * 256 + 257 * 2
    assert list(model.networks) == ["image", "text", "classifier"]  # no layer after the GRU


def test_the_losses_are_the_equations():
    """Against loops over pairs; guards against swapped directions, and sentences of one image as negatives."""
    rng = np.random.default_rng(1)
    image, text = unit(rng.normal(size=(9, 5))), unit(rng.normal(size=(9, 5)))
    items = np.array([0, 0, 1, 2, 2, 2, 3, 4, 4])
    hinges = np.zeros((2, 9, 9))
    for n in range(9):
        for k in range(9):
            if items[n] != items[k]:
                hinges[0, n, k] = max(0, 0.2 - image[n] @ text[n] + image[n] @ text[k])
                hinges[1, n, k] = max(0, 0.2 - image[n] @ text[n] + image[k] @ text[n])
    assert matching(made(), image, text, items)[0] == pytest.approx(hinges.sum() / 9, rel=1e-5)
    assert matching(made(negatives="hardest"), image, text, items)[0] == pytest.approx(hinges.max(2).sum() / 9, rel=1e-5)
    one = matching(made(negatives="one"), image, text, items)[0]
    assert 0 < one < hinges.max(2).sum() / 9
    alone = matching(made(), image, text, np.zeros(9, int))
    assert alone == (0.0, 0.0)  # all of one image: nothing is kept apart

    model = made()
    logits = model.networks["classifier"](tf.constant(np.stack((image, text)))).numpy().astype(np.float64)
    best = np.argmax(logits, axis=-1)
    logits -= np.log(np.exp(logits).sum(-1, keepdims=True))
    costs, hits = model.modality_losses(tf.constant(np.stack((image, text))))
    np.testing.assert_allclose(costs, [-logits[0, :, 0], -logits[1, :, 1]], rtol=1e-4)
    np.testing.assert_array_equal(hits, best == [[0], [1]])


def test_the_first_stage_has_no_hardest_negatives():
    """Guards against the collapse: from random weights hardest negatives lead to one point."""
    rng = np.random.default_rng(1)
    image, text = unit(rng.normal(size=(9, 5))), unit(rng.normal(size=(9, 5)))
    hardest, every = made(negatives="hardest"), made()
    assert matching(hardest, image, text, stage="embedding") == matching(every, image, text)
    assert matching(hardest, image, text, stage="joint") != matching(every, image, text)


def by_network(model, player, gradients):
    found = {}
    names = [(name, v) for name in model.players[player] for v in model.networks[name].trainable_variables]
    for (name, _), gradient in zip(names, gradients, strict=True):
        found.setdefault(name, []).append(np.zeros(1) if gradient is None else gradient.numpy())
    return {name: float(np.sqrt(sum((g**2).sum() for g in parts))) for name, parts in found.items()}


@pytest.mark.parametrize("form", ["grl", "flipped", "none"])
def test_routing(form):
    """Which loss changes which networks in which stage; guards against an adversary that reaches nobody, or everybody."""
    data = data_of()
    model, batch = made(data, adv_loss=form), first_batch(data)
    for stage, players in (("embedding", {"embedding"}), ("classifier", {"classifier"}), ("joint", {"embedding", "classifier"})):
        found = {update[0]: update for update in model.updates(batch, step(stage))}
        assert set(found) == players
        if "embedding" in found:
            assert all(size > 0 for size in by_network(model, *found["embedding"][::2]).values())
            adversarial = stage == "joint" and form != "none"
            assert list(found["embedding"][1]) == ["triplet", "adversary"][: 1 + adversarial]
        if "classifier" in found:
            assert by_network(model, *found["classifier"][::2])["classifier"] > 0
            assert list(found["classifier"][1]) == ["modality"] and 0 <= float(found["classifier"][3]["accuracy"]) <= 1


def test_the_reversed_gradient_is_minus_lambda():
    """-lambda adv_weight times that of the modality loss, or lambda times that of the wrong modality; none on the classifier."""
    data = data_of()
    batch, weights = first_batch(data), None
    gradients = {}
    for form, changes in (("grl", {}), ("flipped", {}), ("grl", {"lambda_adv": 0.0}), ("grl", {"adv_weight": 0.0})):
        model = made(data, adv_loss=form, **{"lambda_adv": 0.7, "adv_weight": 3.0} | changes)
        sources = [v for name in ENCODERS for v in model.networks[name].trainable_variables]
        classifier = model.networks["classifier"].trainable_variables
        with tf.GradientTape(persistent=True) as tape:
            common = model.represent(batch)
            adversary = model.adversary(common, model.reversal(step()))
            right, wrong = (tf.reduce_mean(model.modality_losses(x)[0]) for x in (common, common[::-1]))
        found = tape.gradient(adversary, sources)
        if changes:
            assert all(np.abs(g).max() == 0 for g in found)
            continue
        gradients[form] = found
        expected = tape.gradient(right if form == "grl" else wrong, sources)
        factor = -2.1 if form == "grl" else 2.1
        for one, other in zip(found, expected, strict=True):
            np.testing.assert_allclose(one, factor * other, rtol=1e-4, atol=1e-7)
        weights = [name for name, own in model.players.items() if "classifier" in own]
        assert weights == ["classifier"] and classifier
    assert any(np.abs(a - b).max() > 1e-4 for a, b in zip(*gradients.values(), strict=True))


def test_lambda_rises():
    model = made(adv_schedule="dann", lambda_adv=0.5)
    values = [float(model.reversal(dataclasses.replace(step(), progress=p))) for p in (0.0, 0.5, 1.0)]
    assert values == pytest.approx([0, 0.5 * (2 / (1 + math.exp(-5)) - 1), 0.5], abs=1e-4)
    assert made(lambda_adv=0.5).reversal(step()) == 0.5


def numpy_gru(x, weights):
    """The state after each place, by the equations: gates z, r, n, the reset gate after the product."""
    kernel, recurrent, bias, recurrent_bias = weights
    u = recurrent.shape[0]
    h, found = tf.zeros((x.shape[0], u)), []
    for t in range(x.shape[1]):
        a, b = x[:, t] @ kernel + bias, h @ recurrent + recurrent_bias
        z, r = tf.sigmoid(a[:, :u] + b[:, :u]), tf.sigmoid(a[:, u : 2 * u] + b[:, u : 2 * u])
        h = z * h + (1 - z) * tf.tanh(a[:, 2 * u :] + r * b[:, 2 * u :])
        found.append(h)
    return found


@pytest.mark.parametrize("form", ["grl", "flipped"])
def test_a_step_is_the_equations(form):
    """A joint step against one written from the equations: each sentence by itself, explicit signs, Adam and clipping.

    Guards against any slip on the way: marks, masks, norms, signs, the clip, whose norm counts, and epsilon's place.
    """
    data = data_of(images=4, sentences=3)
    model = made(data, adv_loss=form, stages=(0, 0, 1), lambda_adv=0.7, adv_weight=2.0, clip_norm=0.05, learning_rate=0.01)
    batch = first_batch(data)
    assert batch["item"].numpy().tolist() == [0, 0, 0, 1, 1, 1]
    old = {name: [tf.Variable(v) for v in model.networks[name].trainable_variables] for name in model.networks}
    before = {name: [v.numpy() for v in own] for name, own in old.items()}
    order = [v.path for v in model.networks["text"].trainable_variables]
    assert [path.rpartition("/")[2] for path in order] == ["table", "kernel", "recurrent", "bias", "recurrent_bias"]

    with tf.GradientTape(persistent=True) as tape:
        kernel, bias = old["image"]
        x = batch["image"].numpy()
        v = tf.constant(x / np.linalg.norm(x, axis=1, keepdims=True)) @ kernel + bias
        table, *gru = old["text"]
        t = []
        for sentence in batch["text.words"].numpy():
            numbers = [9, *sentence[sentence > 0], 10]  # 8 words, then the marks
            t.append(numpy_gru(tf.gather(table, numbers)[None], gru)[-1][0])
        v, t = v / tf.norm(v, axis=1, keepdims=True), tf.stack(t)
        t = t / tf.norm(t, axis=1, keepdims=True)
        triplet = 0.0
        for n in range(6):
            for k in range(6):
                if n // 3 != k // 3:
                    own = tf.reduce_sum(v[n] * t[n])
                    triplet += tf.nn.relu(0.2 - own + tf.reduce_sum(v[n] * t[k])) / 6
                    triplet += tf.nn.relu(0.2 - own + tf.reduce_sum(v[k] * t[n])) / 6
        h = tf.concat((v, t), 0)
        for i in range(0, 6, 2):
            h = h @ old["classifier"][i] + old["classifier"][i + 1]
            h = tf.nn.relu(h) if i < 4 else h
        logs = h - tf.math.log(tf.reduce_sum(tf.exp(h), axis=1, keepdims=True))
        right = -(tf.reduce_sum(logs[:6, 0]) + tf.reduce_sum(logs[6:, 1])) / 12
        wrong = -(tf.reduce_sum(logs[:6, 1]) + tf.reduce_sum(logs[6:, 0])) / 12
        total = triplet - 1.4 * right if form == "grl" else triplet + 1.4 * wrong
    encoders = [*old["image"], *old["text"]]
    gradients = [tf.convert_to_tensor(g).numpy() for g in tape.gradient(total, encoders)]
    norm = np.sqrt(sum((g.astype(np.float64) ** 2).sum() for g in gradients))
    assert norm > 0.05  # the clip acts
    gradients = [g * 0.05 / norm for g in gradients]
    gradients += [g.numpy() for g in tape.gradient(right, old["classifier"])]
    logs = model.train_step(batch)
    assert float(logs["embedding/triplet"]) == pytest.approx(float(triplet), rel=1e-4)
    assert float(logs["embedding/gradient_norm"]) == pytest.approx(norm, rel=1e-3)  # that before the clip
    assert float(logs["embedding/adversary"]) == pytest.approx(2 * float(right) if form == "grl" else 1.4 * float(wrong), rel=1e-4)
    after = [v.numpy() for name in (*ENCODERS, "classifier") for v in model.networks[name].trainable_variables]
    start = [v for name in (*ENCODERS, "classifier") for v in before[name]]
    for new, was, g in zip(after, start, gradients, strict=True):
        # Adam's first step: the bias corrections cancel the decays
        np.testing.assert_allclose(new, was - 0.01 * g / (np.abs(g) + 1e-8), atol=1e-5)


def test_images_are_normalised_first():
    """Guards against raw features, whose scale would drown the bias: VSE++ takes unit norm before the layer."""
    model, data = made(), data_of()
    image = data.splits["test"].features["image"]
    codes = model.encode("image", {"image": image})
    model.networks["image"].trainable_variables[1].assign(np.arange(5.0) / 5)
    shifted = model.encode("image", {"image": image})
    np.testing.assert_allclose(model.encode("image", {"image": 50 * image}), shifted, atol=1e-6)
    assert np.abs(shifted - codes).max() > 0.01
    np.testing.assert_allclose(np.linalg.norm(codes, axis=1), 1, rtol=1e-5)


def test_a_sentence_ends_at_its_end_mark():
    """Guards against states after the padding, and against marks that the view has already, twice."""
    words = np.array([[3, 4, 0, 0], [0, 0, 0, 0], [1, 2, 3, 4]], np.int32)
    expected = [[9, 3, 4, 10, 0, 0], [9, 10, 0, 0, 0, 0], [9, 1, 2, 3, 4, 10]]
    np.testing.assert_array_equal(with_marks(tf.constant(words), 9, 10), expected)
    model = made()
    longer = np.pad(words, ((0, 0), (0, 3)))
    short, padded = (model.embed("text", {"text.words": tf.constant(x)}) for x in (words % 6, longer % 6))
    np.testing.assert_allclose(short, padded, atol=1e-6)
    own = model.networks["text"](with_marks(tf.constant(words % 6), *model.marks))
    np.testing.assert_allclose(short, tf.math.l2_normalize(own, -1), atol=1e-6)
    assert (module.START, module.END) == word_sequences.MARKS[:2]
    data = data_of()
    marked = dataclasses.replace(data, vocabularies={"text.words": ["", *word_sequences.MARKS, *"abcde"]}, tables={})
    assert made(data).networks["text"].table.table.shape == (11, 4)
    assert made(marked).marks == () and made(marked).networks["text"].table.table.shape == (9, 4)
    unknown = made(dataclasses.replace(data, vocabularies={}))  # a table alone: the words have no names
    assert unknown.networks["text"].table.table.shape == (11, 4)


def test_padding_costs_nothing():
    """The loop ends with a batch's longest sentence; guards against other states or gradients than those of all places."""
    words = tf.constant([[3, 4, 0, 0, 0, 0, 0], [0, 0, 0, 0, 0, 0, 0], [1, 2, 3, 0, 0, 0, 0]])
    found = []
    for changes in ({}, {"jit_compile": True}):  # which needs to know the length
        model = made(**changes)
        text, marked = model.networks["text"], with_marks(words, *model.marks)
        assert text.cut == (not changes)
        lengths = []
        recurrent = text.encoder.layer.call
        text.encoder.layer.call = lambda x, valid, real=recurrent, seen=lengths: (seen.append(x.shape[1]), real(x, valid))[1]
        with tf.GradientTape() as tape:
            states = text(marked)
            loss = tf.reduce_sum(states**2)
        found.append([states, *tape.gradient(loss, text.trainable_variables)])
        assert lengths == [9 if changes else 5]
    for one, other in zip(*found, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-7)
    made().embed("text", {"text.words": tf.zeros((2, 4), tf.int32)})  # no word at all: marks
    made(word_table="data").embed("text", {"text.words": tf.zeros((2, 4), tf.int32)})  # nothing at all


def test_compiled():
    """Guards against a step that XLA cannot compile."""
    data = data_of()
    model = ModalityInvariant(data, ModalityInvariantSettings(**SMALL | {"jit_compile": True, "stages": (0, 0, 1)}))
    model.compile()
    model.take_steps(sampling.stage_batches(model, data, 0, 0, 2))
    assert model.steps_done == 2


def test_initial_weights():
    """Words uniform in +-.1, the GRU with all weights and both biases in +-1/sqrt(units), the image layer Glorot's."""
    model = made(units=50, word_width=40)
    table, *gru = model.networks["text"].trainable_variables
    assert np.abs(table).max() == pytest.approx(0.1, rel=0.05)
    for v in gru:
        assert np.abs(v).max() == pytest.approx(50**-0.5, rel=0.1) and np.abs(v).min() < 0.02
    kernel, bias = model.networks["image"].trainable_variables
    assert np.abs(kernel).max() == pytest.approx((6 / 57) ** 0.5, rel=0.05) and not np.abs(bias).max()


def test_words_of_the_data():
    """--word_table=data: fixed vectors, no marks, nothing to learn of them; without vectors it is refused."""
    data = data_of()
    model = made(data, word_table="data", text_layer=True)
    text = model.networks["text"]
    np.testing.assert_array_equal(text.table.table, data.tables["text.words"])
    assert model.marks == () and len(text.trainable_variables) == 4
    assert model.networks["text_layer"].count_params() == 30 and model.players["embedding"][-1] == "text_layer"
    model.train_step(first_batch(data))
    np.testing.assert_array_equal(text.table.table, data.tables["text.words"])
    with pytest.raises(InputError, match="--word_table=data: dataset made up has no vectors of the words of text.words"):
        made(dataclasses.replace(data, tables={}), word_table="data")


def test_the_classifier_waits_for_the_encoders():
    """The second stage goes to a loss of .3 and stays: before a perfect classifier the reversed gradient vanishes."""
    model = made(learning_rate=0.05, decay_epochs=0)
    common = tf.constant(np.stack((unit(np.ones((6, 5))), unit(-np.ones((6, 5))))))
    _, losses, gradients, _ = model.classify(common, 0.3)
    assert float(losses["modality"]) > 0.3 and np.abs(gradients[0]).max() > 0
    for _ in range(100):
        _, losses, gradients, _ = model.classify(common, 0.3)
        model.player_optimizers["classifier"].apply(gradients, model.variables_of("classifier"))
    assert float(losses["modality"]) == pytest.approx(0.3) and not any(np.abs(g).max() for g in gradients)
    assert float(tf.reduce_mean(model.modality_losses(common)[0])) > 0.05  # Adam's momentum runs on for a few steps
    assert float(model.classify(common)[1]["modality"]) < 0.3  # the joint stage has no floor


def test_stages():
    """30 epochs as 15, 2 and 13; shares of --steps; 0 leaves one out."""
    def stages(items=1280, **changes):
        model = made(data_of(images=8), **{"steps": 0, "batch_size": 8} | changes)
        return [(s.name, s.steps, s.players) for s in model.make_stages(items)]

    assert stages(batch_size=8) == [
        ("embedding", 15 * 160, ("embedding",)), ("classifier", 2 * 160, ("classifier",)), ("joint", 13 * 160, None)
    ]
    assert [s[:2] for s in stages(steps=300)] == [("embedding", 150), ("classifier", 20), ("joint", 130)]
    assert [s[:2] for s in stages(steps=7, stages=(1, 0, 0))] == [("embedding", 7)]
    assert [s[:2] for s in stages(steps=7, stages=(0, 1, 1))] == [("classifier", 4), ("joint", 3)]
    for wrong in ((1, 2), (0, 0, 0)):
        with pytest.raises(InputError, match=r"--stages=.*: give three shares, not all 0, such as --stages=15,2,13"):
            ModalityInvariantSettings(stages=wrong)


def test_rates_and_the_clip():
    """A tenth every 15 epochs, of all stages together; the encoders' optimizer alone decays and clips."""
    model = made(learning_rate=0.01, decay_epochs=2)
    model.compile(steps_per_epoch=10)
    found = []
    for now in (0, 19, 20, 39, 40):
        model.step.assign(now)
        found.append(float(model.player_optimizers["embedding"].learning_rate))
        assert float(model.player_optimizers["classifier"].learning_rate) == pytest.approx(0.01)
    assert found == pytest.approx([0.01, 0.01, 0.001, 0.001, 0.0001])
    assert [o.global_clipnorm for o in model.player_optimizers.values()] == [2.0, None]
    assert made(clip_norm=0.0).player_optimizers["embedding"].global_clipnorm is None
    assert float(made(learning_rate=0.01, decay_epochs=0).player_optimizers["classifier"].learning_rate) == pytest.approx(0.01)


def test_batches_tell_the_image_of_a_sentence():
    """Guards against sentences of one image that push each other's image away."""
    data = data_of(images=4, sentences=5)
    model = made(data, batch_size=15)
    batch = next(iter(sampling.stage_batches(model, data, 0, 0, 1)))
    images = [row.tobytes() for row in batch["image"].numpy()]
    same = np.array([[a == b for b in images] for a in images])
    np.testing.assert_array_equal(batch["item"].numpy()[:, None] == batch["item"].numpy()[None], same)
    assert same.sum() > 15
    plain = next(iter(sampling.stage_batches(model, dataclasses.replace(data, repeated=()), 0, 0, 1)))
    assert len(set(plain["item"].numpy().tolist())) == 15


class Said:
    """A model that is at given steps, for the callback."""

    steps_done = 0


def test_collapse_is_said_once():
    """Guards against a collapse that nobody hears of, one that ends the training, and a warning at each step."""
    def watch(shares, epoch=120):
        callback, heard = module.CollapseWarning(epoch), []
        callback._model = Said()
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always")
            for i, share in enumerate(shares, 1):
                callback.model.steps_done = i
                callback.on_train_batch_end(i, {"shown/collapse": share})
                heard += [i] * (len(caught) > len(heard))
        return heard

    assert watch([0.985] * 400) == [120]
    assert watch([0.5, *[0.98] * 400]) == [121]
    assert watch([*[0.98] * 119, 0.9, *[1.02] * 119]) == []
    assert watch([1.0] * 99, epoch=1) == [] and watch([1.0] * 100, epoch=1) == [100]  # an epoch of few steps


def test_hardest_negatives_from_random_weights_warn(tmp_path, monkeypatch):
    """A run that begins with them: the warning names the remedy, and the run ends as others do.

    At this margin the loss is 2 margin whatever happens.
    """
    monkeypatch.setattr(module, "LEAST_STEPS", 8)
    data = data_of(images=12)
    settings = ModalityInvariantSettings(
        **SMALL | {"steps": 10, "negatives": "hardest", "stages": (0, 0, 1), "margin": 100.0, "select": "last"}
    )
    with pytest.warns(UserWarning, match="they have collapsed: train by --negatives=all first"):
        results = run(ModalityInvariant, settings, data, protocol.make("standard", data), tmp_path, RunOptions())
    assert results["steps"] == 10


def test_refuses_what_is_no_pair():
    data = testing.easy_data(ModalityInvariant)
    loose = {name: dataclasses.replace(split, unpaired=("text",)) for name, split in data.splits.items()}
    with pytest.raises(InputError, match="learns from items that have all of image, text"):
        ModalityInvariant(dataclasses.replace(data, splits=loose), ModalityInvariantSettings(**SMALL))


COCO = pathlib.Path(__file__).parents[3] / "shared/data/coco"


def test_from_photographs_to_a_table(tmp_path, capsys):
    """Files of COCO with five sentences an image, words, training, recalls and a table; 159 images train, 80 test.

    Guards against a path of which each part works and the whole does not.
    """
    if not COCO.is_dir():
        pytest.skip(f"the photographs of COCO are not in {COCO}")
    lines = [("image", "text", "class", "split")]
    for part in ("train2017", "val2017"):
        captions = json.loads((COCO / f"annotations/captions_{part}.json").read_text())
        names, sentences = {i["id"]: i["file_name"] for i in captions["images"]}, {}
        for caption in captions["annotations"]:
            sentences.setdefault(names[caption["image_id"]], []).append(caption["caption"])
        for number, photograph in enumerate(sorted((COCO / part).glob("*.jpg"))):
            shutil.copy(photograph, tmp_path)
            split = "test" if part == "val2017" and number < 80 else "train"
            lines += [(photograph.name, text.strip(), "photograph", split) for text in sentences[photograph.name][:5]]
    with open(tmp_path / "coco.csv", "w", newline="") as file:
        csv.writer(file).writerows(lines)
    extract = ["extract", "--dataset=folder", f"--data_dir={tmp_path}/coco.csv", "--image_features=descriptor"]
    assert main([*extract, "--text_features=words", f"--out={tmp_path}/features"]) == 0
    words = (tmp_path / "features/text.words.vocabulary.txt").read_text().split("\n")
    assert words[:3] == list(word_sequences.MARKS) and "man" in words
    command = ["train", "--model=modality_invariant", "--dataset=features", f"--features={tmp_path}/features", "--instances"]
    command += ["--units=64", "--word_width=32", "--learning_rate=1e-3", "--batch_size=64", "--epochs=40"]
    assert main([*command, f"--run_dir={tmp_path}/run"]) == 0
    printed = capsys.readouterr().out
    assert "test 400 pairs (80 image items)" in printed and "715 pairs (143 image items)" in printed
    results = json.loads((tmp_path / "run/results.json").read_text())
    assert 0 < results["validation_recalls"] < 6 and results["stages"].keys() == {"embedding", "classifier", "joint"}
    found = {(m["task"], m["metric"]): m for m in results["metrics"]}
    recalls = [found[task, "hit@10"] for task in ("image->text", "text->image")]
    assert [(m["num_queries"], m["gallery_size"]) for m in recalls] == [(80, 400), (400, 80)]
    assert recalls[1]["value"] > 1.2 * recalls[1]["chance"]  # the 80 queries of the other way tell nothing
    assert main(["compare", f"{tmp_path}/run"]) == 0
    assert "modality_invariant" in capsys.readouterr().out
