"""Tests of fine-tuning: what is trained, by which items alone, repeatable and resumable, and worth it on pictures."""
import functools
import json
import pathlib
import signal
import subprocess
import sys

import keras
import numpy as np
import pytest
from PIL import Image
from sklearn.neighbors import KNeighborsClassifier
from tfxmr_datasets.scenes import generator

from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.extraction import extract
from tfxmr.features.image import by_name, fine_tuning, network
from tfxmr.features.image.fine_tuning import FineTunedNetwork
from tfxmr.features.image.fine_tuning_options import FineTuning
from tfxmr.features.image.network import ImageNetwork
from tfxmr.features.text import base

KILLED = """
import os, signal, sys
sys.path.insert(0, {tests!r})
from fine_tuning_test import TinyVGG, scaled
from tfxmr.features.image import fine_tuning, network
network._find = lambda name: (TinyVGG, scaled)
save = fine_tuning.tf.train.CheckpointManager.save
def killing(self, number):
    if number == 3:
        os.kill(os.getpid(), signal.SIGKILL)
    return save(self, number)
fine_tuning.tf.train.CheckpointManager.save = killing
from tfxmr.__main__ import main
sys.exit(main({arguments!r}))
"""
FLAGS = ["extract", "--dataset=folder", "--image_features=Tiny", "--image_layer=fc2", "--image_weights=none",
         "--text_features=bow20", "--min_documents=1", "--finetune=3", "--finetune_rate=0.05"]


def TinyVGG(weights=None, side=8, width=6):
    """A network that ends as VGG does."""
    image = keras.Input((side, side, 3))
    hidden = keras.layers.Conv2D(8, 3, activation="relu", name="block1_conv1")(image)
    hidden = keras.layers.BatchNormalization(name="bn")(hidden)
    hidden = keras.layers.MaxPooling2D(2, name="block5_pool")(hidden)
    hidden = keras.layers.Flatten(name="flatten")(hidden)
    hidden = keras.layers.Dense(width, activation="relu", name="fc1")(hidden)
    hidden = keras.layers.Dense(width, activation="relu", name="fc2")(hidden)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="predictions")(hidden))


def scaled(batch):
    """Pixels in [-1, 1]."""
    return batch / 127.5 - 1


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    monkeypatch.setattr(network, "_find", lambda name: (TinyVGG, scaled))


@pytest.fixture
def media(tmp_path):
    """30 training pairs of each of four classes, and a test pair."""
    root, rng = tmp_path / "media", np.random.default_rng(0)
    for split, count in (("train", 30), ("test", 1)):
        for name, colour in (("ant", 0), ("bee", 60), ("cat", 120), ("dog", 180)):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                picture = rng.integers(colour, colour + 76, (10, 10, 3), np.uint8)
                Image.fromarray(picture).save(root / split / name / f"{n}.png")
                (root / split / name / f"{n}.txt").write_text(f"{name} is its class")
    return root


def tuned(epochs=2, rate=0.1, layers="connected", seed=3, layer="fc2"):
    return FineTunedNetwork("Tiny", layer, "none", seed, FineTuning(epochs, rate, layers))


def pictures(count, seed=0):
    return list(np.random.default_rng(seed).integers(0, 256, (count, 8, 8, 3), np.uint8))


def fit(feature, images, labels, folder, **more):
    rows = feature.frozen.transform(images) if feature.frozen else feature.inputs(images)
    return feature.train(lambda chosen: rows[chosen], labels, folder, **more)


def weights(feature):
    return {v.path: v.numpy() for v in feature.network.variables}


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


def test_steps_are_those_of_momentum_descent(tmp_path, monkeypatch):
    """Against NumPy: guards against a wrong rate of the new layer, lost momentum, and a wrong part that is kept."""
    monkeypatch.setattr(fine_tuning, "DROPOUT", 0)
    feature, images, labels = tuned(epochs=3), pictures(20), np.arange(20) % 4
    before = weights(feature)
    pool = keras.Model(feature.network.input, feature.trunk.get_layer("flatten").output)
    x = np.asarray(pool(feature.inputs(images)), np.float64)
    w = [np.asarray(before[name], np.float64) for name in ("fc1/kernel", "fc1/bias", "fc2/kernel", "fc2/bias")]
    first = keras.initializers.RandomNormal(0.0, 0.01, seed=fine_tuning.derive(3, 2))
    w += [np.asarray(first((6, 4)), np.float64), np.zeros(4)]
    velocity, losses = [np.zeros_like(v) for v in w], []
    for _ in range(3):
        a = np.maximum(x @ w[0] + w[1], 0)
        b = np.maximum(a @ w[2] + w[3], 0)
        scores = b @ w[4] + w[5]
        shares = np.exp(scores) / np.exp(scores).sum(1, keepdims=True)
        losses.append(-np.mean(np.log(shares[np.arange(20), labels])))
        d = (shares - np.eye(4)[labels]) / 20
        e = (d @ w[4].T) * (b > 0)
        f = (e @ w[2].T) * (a > 0)
        gradients = [x.T @ f, f.sum(0), a.T @ e, e.sum(0), b.T @ d, d.sum(0)]
        for i, gradient in enumerate(gradients):
            velocity[i] = 0.9 * velocity[i] - (0.1 if i < 4 else 1.0) * gradient
            w[i] = w[i] + velocity[i]
    facts = fit(feature, images, labels, tmp_path)
    after = weights(feature)
    for name, expected in zip(("fc1/kernel", "fc1/bias", "fc2/kernel", "fc2/bias"), w, strict=False):
        np.testing.assert_allclose(after[name], expected, rtol=1e-3, atol=1e-5)
        assert not np.array_equal(after[name], before[name])
    assert all(np.array_equal(after[n], before[n]) for n in after if n.startswith(("block", "bn")))
    assert facts["last_epoch_loss"] == pytest.approx(losses[-1], rel=1e-4)
    assert facts["weights_sha256"] == network.weights_sha256(feature.network) != feature.rule["weights_sha256"]


def test_all_layers_but_normalisation(tmp_path):
    feature = tuned(layers="all")
    before = weights(feature)
    fit(feature, pictures(40), np.arange(40) % 4, tmp_path)
    same = {name for name, value in weights(feature).items() if np.array_equal(value, before[name])}
    assert same == {name for name in before if name.startswith("bn/")}


@pytest.mark.parametrize("layers", ["connected", "all"])
def test_stopped_training_goes_on(layers, tmp_path):
    """Guards against masks or orders that depend on earlier epochs, and momentum that is forgotten."""
    images, labels = pictures(70), np.arange(70) % 4

    def stop(epoch, items, loss, accuracy):
        if epoch == 2 and items == 64:
            raise KeyboardInterrupt

    straight, again, resumed = (tuned(4, layers=layers) for _ in range(3))
    facts = fit(straight, images, labels, tmp_path / "straight")
    assert fit(again, images, labels, tmp_path / "again") == facts
    with pytest.raises(KeyboardInterrupt):
        fit(tuned(4, layers=layers), images, labels, tmp_path / "stopped", report=stop)
    assert fit(resumed, images, labels, tmp_path / "stopped") == facts
    assert np.array_equal(resumed.transform(images), straight.transform(images))
    assert fit(tuned(4, layers=layers, seed=4), images, labels, tmp_path / "other") != facts


def test_killed_extraction_goes_on(media, tmp_path):
    """Guards against a folder that tells of a kill: it is that of a straight extraction, byte for byte."""
    arguments = [*FLAGS, f"--data_dir={media}"]
    assert main([*arguments, f"--out={tmp_path / 'straight'}"]) == 0
    tests = str(pathlib.Path(__file__).parent)
    code = KILLED.format(tests=tests, arguments=[*arguments, f"--out={tmp_path / 'killed'}"])
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -signal.SIGKILL
    assert (tmp_path / "killed/scratch").is_dir()
    assert main([*arguments, f"--out={tmp_path / 'killed'}"]) == 0
    assert content(tmp_path / "killed") == content(tmp_path / "straight")


@pytest.mark.parametrize("calls", [3, 12])  # while the lower layers' outputs are written, and while the features are
def test_interrupted_extraction_goes_on(calls, media, tmp_path):
    """Guards against features of the first weights after a resume that has no epoch to train."""
    data, read = extract.items("folder", data_dir=media)
    left = iter(range(calls))

    def interrupted(modality, ids):
        if next(left, None) is None:
            raise KeyboardInterrupt
        return read(modality, ids)

    def run(out, reader):
        return extract.extract(data, reader, {"image": tuned()}, tmp_path / out)

    straight = content(run("straight", read))
    with pytest.raises(KeyboardInterrupt):
        run("stopped", interrupted)
    assert content(run("stopped", read)) == straight


def test_a_state_that_is_there_is_never_taken_for_none(tmp_path):
    """Guards against epochs that are lost without a word: TensorFlow finds nothing without its file `checkpoint`."""
    images, labels, epochs = pictures(40), np.arange(40) % 4, []
    fit(tuned(2), images, labels, tmp_path)
    (tmp_path / "epochs/checkpoint").unlink()
    fit(tuned(3), images, labels, tmp_path, report=lambda epoch, *_: epochs.append(epoch))
    assert set(epochs) == {2}
    (data,) = (tmp_path / "epochs").glob("ckpt-3.data*")
    data.write_bytes(data.read_bytes()[:50])
    with pytest.raises(InputError, match="ckpt-3.index: the state after an epoch of --finetune is damaged"):
        fit(tuned(4), images, labels, tmp_path)


def test_only_training_items_of_the_given_classes_teach(media, tmp_path, capsys):
    """Guards against test items, or items of unseen classes, that decide the weights: noise in them changes nothing."""
    arguments = [*FLAGS, f"--data_dir={media}", "--unseen_classes=bee,dog"]
    assert main([*arguments, f"--out={tmp_path / 'a'}"]) == 0
    for place in ("test/*", "train/bee", "train/dog"):
        for path in media.glob(f"{place}/*.png"):
            Image.fromarray(np.random.default_rng(1).integers(0, 256, (9, 9, 3), np.uint8)).save(path)
    assert main([*arguments, f"--out={tmp_path / 'b'}"]) == 0
    facts, other = (manifest_of(tmp_path / name)["modalities"]["image"] for name in ("a", "b"))
    assert facts["fine_tuning"] == other["fine_tuning"] and facts["splits"] != other["splits"]
    assert facts["fine_tuning"]["weights_sha256"] != facts["weights_sha256"]
    assert facts["fitted_on"] == ["train"] and facts["labels_used"]
    assert facts["fitted_labels"] == [0, 2] and facts["fitted_classes"] == ["ant", "cat"]
    train = ["train", "--model=sm", "--dataset=features", f"--features={tmp_path / 'a'}", f"--run_dir={tmp_path / 'r'}"]
    assert main([*train, "--unseen_classes=ant,dog"]) == 2
    assert "fitted by the labels of some classes, of which ant are unseen" in capsys.readouterr().err
    assert main([*train, "--unseen_classes=dog,bee"]) == 0


def test_text_networks_learn_nothing_of_unseen_classes_either(media, tmp_path):
    arguments = ["--finetune=0", "--finetune_rate=0.001", "--text_features=sentence_cnn", "--text_epochs=1"]
    assert main([*FLAGS, *arguments, f"--data_dir={media}", f"--out={tmp_path / 'o'}", "--class_split=parity"]) == 0
    facts = manifest_of(tmp_path / "o")["modalities"]["text"]
    texts = ["bee is its class"] * 30 + ["dog is its class"] * 30
    assert facts["fitted_texts_sha256"] == base.sha256_of_texts(texts) and facts["fitted_labels"] == [1, 3]


def test_a_share_of_unseen_classes_is_held_back(media, tmp_path, capsys):
    """Guards against --unseen_share alone that is passed over: features would learn of classes that training calls unseen."""
    text = ["--finetune=0", "--finetune_rate=0.001", "--text_features=sentence_cnn", "--text_epochs=1"]
    run = [*FLAGS, *text, f"--data_dir={media}"]
    assert main([*run, f"--out={tmp_path / 'o'}", "--unseen_share=0.3"]) == 0
    assert manifest_of(tmp_path / "o")["modalities"]["text"]["fitted_labels"] == [1, 2]  # 0 and 3 are unseen
    assert "--unseen_share=0.3" in capsys.readouterr().out  # of the line that trains on them
    for share, message in (("0.2", "--unseen_share=0.2: choose one of 0.1, 0.3, 0.5, 0.7, 0.9"),
                           ("0.3", "--unseen_share=0.3: no feature here learns by labels")):
        more = ["--text_features=bow5", "--text_epochs=30"] if share == "0.3" else []
        assert main([*run, *more, f"--out={tmp_path / 'p'}", f"--unseen_share={share}"]) == 2
        assert message in capsys.readouterr().err


def test_tuned_features_tell_scenes_apart(tmp_path, monkeypatch):
    """A real, small run, random weights: the nearest training picture has the right class more often after tuning."""
    monkeypatch.setattr(network, "_find", lambda name: (functools.partial(TinyVGG, side=32, width=64), scaled))
    items = {split: list(generator.examples(split, count)) for split, count in (("train", 20), ("test", 10))}
    images = {split: [item["image"] for item in found] for split, found in items.items()}
    labels = {split: np.array([item["label"] for item in found]) for split, found in items.items()}
    feature = tuned(8, 0.02, "all")

    def accuracy():
        rows = {split: feature.transform(found) for split, found in images.items()}
        nearest = KNeighborsClassifier(5, metric="cosine").fit(rows["train"], labels["train"])
        return nearest.score(rows["test"], labels["test"])

    untuned = accuracy()
    fit(feature, images["train"], labels["train"], tmp_path)
    assert accuracy() > untuned + 0.08  # .085 and .215 where this was written; chance is .05


def test_refusals(media, tmp_path, capsys):
    run = [*FLAGS, f"--data_dir={media}", f"--out={tmp_path / 'out'}"]
    for more, message in (
        ("--image_features=descriptor", "--finetune=3: --image_features=descriptor has no weights"),
        ("--image_layer=block5_pool", "no fully connected layer comes up to 'block5_pool' in Tiny"),
        ("--image_layer=predictions", "--image_layer=predictions: fine-tuning replaces it"),
        ("--finetune_rate=-1", "--finetune_rate=-1.0: must be >= 0"),
        ("--finetune=-1", "--finetune=-1: must be >= 0"),
        ("--finetune=0", "--finetune_rate=0.05: goes with --finetune=EPOCHS"),
        ("--unseen_classes=emu", "--unseen_classes: no class 'emu'"),
        ("--finetune_rate=1e30", "the loss is nan in epoch"),
    ):
        assert main([*run, more]) == 2
        assert message in capsys.readouterr().err
    assert main([*run, "--finetune=0", "--finetune_rate=0.001", "--class_split=parity"]) == 2
    assert "no feature here learns by labels" in capsys.readouterr().err
    with pytest.raises(InputError, match="two classes at least"):
        fit(tuned(), pictures(3), [0, 0, 0], tmp_path / "one")
    assert isinstance(by_name.make("Tiny", "fc2", "none", 0, FineTuning(0)), ImageNetwork)
