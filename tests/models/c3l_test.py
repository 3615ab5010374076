"""C3L against its anchors, a slow reference of its losses, and its table of which loss changes what."""
import dataclasses
import math

import numpy as np
import pytest
import tensorflow as tf
from making import paired_data
from proving.data import with_views

from tfxmr.core.errors import InputError
from tfxmr.data.views import PIXELS
from tfxmr.engine import losses, sampling
from tfxmr.models.base import Step
from tfxmr.models.c3l import C3L, C3LSettings, unigram_loss

SMALL = {"image_units": 9, "text_units": 8, "text_hidden": 7, "common_units": 6, "decoder_units": 5, "noise_units": 3,
         "generator_units": 4, "discriminator_units": 4, "batch_size": 8, "steps": 4, "loop_epoch": 0}


def make_data(vocabulary=None):
    data = with_views(paired_data(classes=3, train=24, test=12))
    return dataclasses.replace(data, vocabularies={"text.words": vocabulary} if vocabulary else {})


def make_model(data=None, **settings):
    model = C3L(data or make_data(), C3LSettings(**(SMALL | settings)))
    model.compile(run_eagerly=True)
    return model


def make_batch(model, data=None):
    split = (data or make_data()).reading(("image", "text.words"), "c3l").splits["train"]
    return next(iter(sampling.batches(split, model.settings.batch_size, 0, 0, 1, "contrasted")))


def step(progress=0.5, seed=0):
    return Step(tf.constant([seed, 0]), tf.constant(progress, tf.float32))


def zero(network):
    for v in network.trainable_variables:
        v.assign(tf.zeros_like(v))


def parts(model, batch, **changes):
    return {player: found for player, found, *_ in model.updates(batch, step(**changes))}


def test_losses_at_the_start():
    """2 lambda of equal representations, ln V a word, 2 ln 2 and ln 2 of zero logits; guards sums and other weights."""
    model = make_model(loop=0.0)
    for name in ("decoder", "discriminator"):
        zero(model.networks[name])
    found = parts(model, make_batch(model))
    assert float(found["pathways"]["text"]) == pytest.approx(math.log(26), rel=1e-5)  # 24 words and two marks
    assert float(found["discriminator"]["judge"]) == pytest.approx(2 * math.log(2), rel=1e-5)
    assert float(found["generator"]["fool"]) == pytest.approx(math.log(2), rel=1e-5)
    equal = tf.tile([[0.6, 0.8]], (8, 1))
    labels = tf.range(8) % 3
    assert float(model.correlation(equal, equal, labels, tf.constant([0, 0]))) == pytest.approx(1.0)


def test_correlation_against_a_loop():
    """All negatives: hinges of both directions, of other classes alone; the sign of the seed's equation, not MCSM's."""
    model = make_model(negatives="all")
    rng = np.random.default_rng(0)
    image, text = (x / np.linalg.norm(x, axis=1, keepdims=True) for x in rng.normal(size=(2, 5, 3)))
    labels = np.array([0, 1, 0, 2, 1])
    total = 0.0
    for n in range(5):
        for k in range(5):
            if labels[n] != labels[k]:
                total += max(0, 0.5 - image[n] @ text[n] + image[n] @ text[k])
                total += max(0, 0.5 - image[n] @ text[n] + image[k] @ text[n])
    found = model.correlation(*(tf.constant(x, tf.float32) for x in (image, text)), tf.constant(labels), tf.constant([0, 0]))
    assert float(found) == pytest.approx(total / 5, rel=1e-5)


def test_word_loss_against_a_loop():
    """The mean over all words of the batch, the end mark among them; the start mark is given, padding is none."""
    model = make_model()
    batch = make_batch(model)
    image, words = model.of_image(batch["image"]), model.words_of(batch).numpy()
    decoder = model.networks["decoder"]
    total, count = 0.0, 0
    for n, sentence in enumerate(words):
        condition = model.networks["image_third"](image[n : n + 1])
        states = decoder.lstm.first_states(1, condition)
        for given, target in zip(sentence[:-1], sentence[1:], strict=True):
            if target == 0:
                break
            states = decoder.lstm.step(tf.gather(decoder.table, [given]), states)
            logits = tf.nn.log_softmax(decoder.output_layer(states[0]))[0]
            total, count = total - float(logits[target - 1]), count + 1
    assert float(model.word_loss(image, tf.constant(words))) == pytest.approx(total / count, rel=1e-4)
    assert count == (words[:, 1:] > 0).sum() and {25, 26} <= set(words.ravel().tolist())


def test_discriminator_against_its_equation():
    """Right pair 1, other image 1/2, generated image 1/2; guards against the wrong text in the place of the wrong image."""
    model = make_model()
    batch = make_batch(model)
    words = model.words_of(batch)
    common = model.of_words(words)
    noise = tf.constant([1, 2])
    made = model.generate_images(common, noise, True)

    def probability(features):
        return 1 / (1 + np.exp(-model.judge(features, common).numpy()))

    right, wrong, fake = (probability(x) for x in (batch["image"], batch["wrong"]["image"], made))
    expected = np.mean(-np.log(right) - 0.5 * np.log(1 - wrong) - 0.5 * np.log(1 - fake))
    (_, judge, _), (_, fool, _) = model.adversarial_updates(batch, words, noise, True)
    assert float(judge["judge"]) == pytest.approx(expected, rel=1e-4)
    made = model.generate_images(common, noise, True)
    assert float(fool["fool"]) == pytest.approx(float(tf.reduce_mean(losses.real_loss(model.judge(made, common)))), rel=1e-4)
    assert not np.any(batch["label"].numpy() == batch["wrong"]["label"].numpy())


ROUTES = {
    "correlation": {"image", "text_words", "text"},
    "text": {"image", "image_third", "decoder"},
}


@pytest.mark.parametrize("to_encoder", [False, True])
def test_routing(to_encoder):
    """Which loss changes what; D reads c_t as a constant, and only by the flag does the generator reach the encoder."""
    model = make_model(gan_to_encoder=to_encoder, loop=1.0)
    batch = make_batch(model)
    words, image = model.words_of(batch), model.of_image(batch["image"])
    with tf.GradientTape(persistent=True) as tape:
        image, text = model.of_image(batch["image"]), model.of_words(words)
        found = {
            "correlation": model.correlation(
                *model.extension(batch, words, image, text, tf.constant([0, 1])), tf.constant([0, 0])),
            "text": model.word_loss(image, words),
        }
    for name, expected in ROUTES.items():
        reached = {
            n for n, net in model.networks.items()
            if any(g is not None and float(tf.reduce_max(tf.abs(g))) > 0
                   for g in tape.gradient(found[name], net.trainable_variables))
        }
        assert reached == expected
    players = model.players
    assert players["discriminator"] == ("discriminator",)
    assert set(players["generator"]) == {"text_third", "generator"} | ({"text_words", "text"} if to_encoder else set())
    for player, _, gradients, *_ in model.updates(batch, step()):
        names = [n for n in players[player] for _ in model.networks[n].trainable_variables]
        moved = {n for n, g in zip(names, gradients, strict=True) if g is not None and float(tf.reduce_max(tf.abs(g))) > 0}
        assert moved == set(players[player])


def test_the_loop():
    """Guards against generated pairs before their epoch, against a probability that is none, and pairs of other classes."""
    model, never = make_model(loop=1.0), make_model(loop=0.0)
    batch = make_batch(model)
    words = model.words_of(batch)
    image, text = model.of_image(batch["image"]), model.of_words(words)
    images, texts, labels = model.extension(batch, words, image, text, tf.constant([0, 1]))
    assert images.shape == texts.shape == (24, 6)
    np.testing.assert_array_equal(labels, np.tile(batch["label"], 3))
    np.testing.assert_array_equal(images[8:16], image)
    np.testing.assert_array_equal(texts[16:], text)
    made = model.generate_words(image, words.shape[1])
    np.testing.assert_allclose(texts[8:16], model.of_words(made), atol=1e-6)
    shown = {player: rest[0] for player, _, _, *rest in model.updates(batch, step()) if rest}
    assert float(shown["pathways"]["generated_pairs"]) == 16
    assert not bool(never.is_extended(step()))
    later = make_model(loop=1.0, loop_epoch=1, steps=6)  # an epoch is 3 of 6 steps
    assert [bool(later.is_extended(step(progress))) for progress in (0.0, 0.4, 0.5, 0.9)] == [False, False, True, True]
    often = make_model(loop=0.3)
    share = np.mean([bool(often.is_extended(step(seed=s))) for s in range(400)])
    assert abs(share - 0.3) < 0.1
    plain = parts(never, batch)["pathways"]["correlation"]
    same = never.correlation(never.of_image(batch["image"]), never.of_words(words), batch["label"], tf.constant([0, 0]))
    assert float(plain) == pytest.approx(float(same), rel=1e-6)


def test_compiled():
    """Guards against a step that XLA cannot compile: the gradient of a sentence's loop within a condition."""
    # nothing is drawn here, since XLA draws other numbers
    model, compiled = (make_model(loop=1.0, gan=False, negatives="all", jit_compile=jit) for jit in (False, True))
    batch = make_batch(model)
    found = tf.function(compiled.train_step, jit_compile=True)(batch)
    for name, value in model.train_step(batch).items():
        assert float(found[name]) == pytest.approx(float(value), rel=1e-3), name
    assert float(found["shown/generated_pairs"]) == 8


def test_marks_of_the_vocabulary():
    """Guards against a second pair of marks round sentences that have them, as `tfxmr extract` makes them."""
    words = ["", "<start>", "<end>", *(f"word {i}" for i in range(22))]
    model = make_model(make_data(words))
    assert model.marks == (1, 2) and model.networks["decoder"].output_layer.bias.shape == (24,)
    views = {"text.words": tf.constant([[1, 5, 2, 0]])}
    np.testing.assert_array_equal(model.words_of(views), [[1, 5, 2, 0]])
    np.testing.assert_array_equal(make_model().words_of({"text.words": tf.constant([[5, 7, 0]])}), [[25, 5, 7, 26, 0]])


def test_parts_that_are_left_out():
    """Guards against networks that nothing trains."""
    assert set(make_model(gan=False).networks) == {
        "image", "image_third", "text_words", "text", "decoder", "generated_pairs"}
    silent = make_model(text_weight=0.0)
    assert not {"decoder", "image_third"} & set(silent.networks)
    assert set(parts(silent, make_batch(silent))) == {"pathways", "discriminator", "generator"}
    neither = make_model(gan=False, text_weight=0.0, loop=1.0)
    assert not bool(neither.is_extended(step())) and "generated_pairs" not in neither.networks
    assert "generated_pairs" not in make_model(loop=0.0).networks


def test_generated_pairs_are_counted():
    """Guards against the last step's number in the place of a sum, a count in evaluation, and one that is not kept."""
    model, never = make_model(loop=1.0), make_model(loop=0.0)
    batch = make_batch(model)
    for total in (16, 32):
        assert float(model.train_step(batch)["shown/generated_pairs"]) == total
    list(model.updates(batch, dataclasses.replace(step(), training=False)))
    split = make_data().reading(("image", "text.words"), "c3l").splits["test"]
    assert model.measure(split)["generated pairs"] == 32 and "generated pairs" not in never.measure(split)
    assert "shown/generated_pairs" not in never.train_step(batch)
    assert [int(v.numpy()) for v in model.network_state()["generated_pairs"]] == [32]


def test_measures_of_the_generators():
    """Guards against neighbours as shuffled images: of items by classes these are of the same class."""
    data = make_data().reading(("image", "text.words"), "c3l")
    model, split = make_model(data), data.splits["test"]
    model.finish(data)
    order = np.argsort(split.labels["image"], kind="stable")
    by_class = split.take(order) if hasattr(split, "take") else split
    seen = []
    model.word_loss = lambda image, words: seen.append(np.asarray(image)) or tf.constant(0.0)
    found = model.measure(by_class)
    right, shuffled = seen
    places = [int(np.flatnonzero(np.isclose(right, row).all(1))[0]) for row in shuffled]
    assert sorted(places) == list(range(len(split))) and all(p != n for n, p in enumerate(places))
    labels = np.asarray(by_class.labels["image"])
    assert np.mean(labels[places] == labels) < 0.5
    assert {"nats a word", "nats a word of shuffled images", "nats a word by a unigram model", "generated pairs",
            *(f"logits of {x} images" for x in ("right", "shuffled", "generated"))} == set(found)


def test_unigram_model_against_a_loop():
    """Guards against the start mark or padding as words, impossible words, and the test's own counts."""
    data = make_data().reading(("image", "text.words"), "c3l")
    model = make_model(data)
    model.finish(data)
    texts = {name: data.splits[name].features["text.words"] for name in ("train", "test")}
    counts = dict.fromkeys([*range(1, 25), 26], 1)  # the end mark is 26, the start, 25, is never scored
    for text in texts["train"]:
        for word in [*text[text > 0].tolist(), 26]:
            counts[word] += 1
    total, found = sum(counts.values()), []
    for text in texts["test"]:
        found += [-math.log(counts[word] / total) for word in [*text[text > 0].tolist(), 26]]
    words = model.words_of({"text.words": tf.constant(texts["test"])}).numpy()
    assert unigram_loss(model.word_counts, words, model.marks[0]) == pytest.approx(np.mean(found), rel=1e-9)


def pixel_data():
    data = make_data()
    rng = np.random.default_rng(3)
    splits = {
        name: dataclasses.replace(split, features=split.features | {
            "image.pixels": rng.uniform(size=(len(split), *PIXELS)).astype("f")})
        for name, split in data.splits.items()
    }
    return dataclasses.replace(data, splits=splits)


def test_pixels():
    """A step changes each network by its own player; the loop is closed by drawn images, too; guards other widths."""
    data = pixel_data()
    model = make_model(data.reading(C3L.reads(C3LSettings(pixels=True)), "c3l"), pixels=True, channels=2, loop=1.0)
    split = data.reading(("image.pixels", "text.words"), "c3l").splits["train"]
    batch = next(iter(sampling.batches(split, 8, 0, 0, 1, "contrasted")))
    players = model.players
    assert players["discriminator"] == ("discriminator_pixels", "discriminator") and "pixels" in players["pathways"]
    for player, _, gradients, *_ in model.updates(batch, step()):
        names = [n for n in players[player] for _ in model.networks[n].trainable_variables]
        moved = {n for n, g in zip(names, gradients, strict=True) if g is not None and float(tf.reduce_max(tf.abs(g))) > 0}
        assert moved == {n for n in players[player]}
    images, texts, _ = model.extension(
        batch, model.words_of(batch), *(model.embed(m, batch) for m in ("image", "text")), tf.constant([0, 1]))
    assert images.shape == texts.shape == (24, 6)
    drawn = model.generate_images(texts[:8])
    assert drawn.shape == (8, *PIXELS) and 0 <= float(tf.reduce_min(drawn)) and float(tf.reduce_max(drawn)) <= 1
    np.testing.assert_allclose(images[16:], model.of_image(model.generate_images(texts[16:], tf.constant([0, 1]))), atol=1e-5)
    with pytest.raises(InputError, match="--feature_norm=zscore: --pixels takes colours as they are"):
        make_model(data.reading(("image.pixels", "text.words"), "c3l"), pixels=True, feature_norm="zscore")
    for change, shown in ((lambda x: x[:, :49], "49 x 3"), (lambda x: x.reshape(len(x), -1), "12288")):  # guards against a crash at images in one row
        other = dataclasses.replace(data, splits={
            name: dataclasses.replace(s, features=s.features | {"image.pixels": change(s.features["image.pixels"])})
            for name, s in data.splits.items()})
        with pytest.raises(InputError, match=rf"--pixels: the view image.pixels of dataset made up is {shown} an item; .*pixels`"):
            make_model(other.reading(("image.pixels", "text.words"), "c3l"), pixels=True)
    with pytest.raises(InputError, match="c3l reads the view image.pixels; dataset made up has"):
        make_data().reading(C3L.reads(C3LSettings(pixels=True)), "c3l")


def test_what_figures_ask_for():
    """Guards against marks as words, the noise of training, and a traceback of a run without the network."""
    words = ["", "<start>", "<end>", *(f"word {i}" for i in range(22))]
    data = make_data(words)
    model, split = make_model(data), data.splits["test"]
    model.networks["decoder"].output_layer.bias.assign([0, 0, 0, 9.0, *[0.0] * 20])
    features = {view: split.features[view][:3] for view in ("image", "text.words")}
    found = model.captions({"image": features["image"]})
    assert len(found) == 3 and set(found[0]) == {"word 1"} and len(found[0]) == model.dims["text.words"][0] - 1
    made = model.drawings({"text.words": features["text.words"]})
    assert list(made) == ["image"] and made["image"].shape == features["image"].shape
    np.testing.assert_array_equal(made["image"], model.drawings({"text.words": features["text.words"]})["image"])
    assert make_model().captions({"image": features["image"]})[0][0].isdecimal()  # a table alone: words have no names
    with pytest.raises(InputError, match=r"--figure=captions: this run of c3l has no word decoder \(--text_weight=0\)"):
        make_model(text_weight=0.0).captions(features)
    with pytest.raises(InputError, match=r"--figure=generated: this run of c3l has no generator of images \(--nogan\)"):
        make_model(gan=False).drawings(features)


def test_words_without_names_are_refused():
    data = dataclasses.replace(make_data(), tables={})
    with pytest.raises(InputError, match="c3l: dataset made up names no words of text.words"):
        make_model(data)
