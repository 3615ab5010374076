"""What a Keras user does with a method: fit and evaluate with callbacks, weights and .keras files."""
import dataclasses
import json
import subprocess
import sys

import keras
import numpy as np
import pytest
import tensorflow as tf
from proving.data import with_views
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from tfxmr import testing
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import sampling
from tfxmr.engine.logs import SHOWN
from tfxmr.engine.parts.batch_norm import BatchNorm
from tfxmr.engine.parts.dropout import dropout
from tfxmr.evaluation import protocol
from tfxmr.models.base import Method
from tfxmr.models.corr_ae import CorrAE
from tfxmr.models.danzcr import DANZCR, DANZCRSettings
from tfxmr.models.deep_sm import DeepSM
from tfxmr.models.ms2gan import MS2GAN
from tfxmr.runs import selection
from tfxmr.runs.callbacks import ValidationMAP
from tfxmr.runs.job import needed

SEED, BATCH = 3, 8
EPOCH = 6  # steps


def small(method, **settings):
    """Settings with narrow layers."""
    return method.Settings(**testing.narrow(method, 12) | {"batch_size": BATCH, "steps": 2 * EPOCH} | settings)


@pytest.fixture(scope="module")
def data(make_data):
    """Training data of 48 pairs, with 12 for validation."""
    made = make_data(classes=6, train=60, test=24)
    return protocol.make("standard", made).training_data(made, 0.2, 0)


@pytest.fixture(scope="module")
def viewed(data):
    """The same with regions and words."""
    return with_views(data)


def make(method, data, learning_rate=None, compiled=None, **settings):
    model = method(data, small(method, **settings), SEED)
    model.compile(learning_rate, **compiled or {})
    return model


def state(model):
    """All that a checkpoint of a run holds, as NumPy arrays."""
    return [v.numpy() for v in model.state_variables()]


def assert_equal(one, other):
    for a, b in zip(state(one), state(other), strict=True):
        np.testing.assert_array_equal(a, b)


def fit(model, data, epochs=2, callbacks=(), **arguments):
    """Fits quietly. Returns the History's dict."""
    arguments = {"verbose": 0} | arguments
    return model.fit(model.dataset(data), epochs=epochs, callbacks=list(callbacks), **arguments).history


def train(model, data):
    """An epoch: by fit, unless the method trains in stages."""
    if len(model.stages) == 1:
        fit(model, data, 1)
    else:
        model.take_steps(model.dataset(data, steps=EPOCH))


class Kept(keras.callbacks.Callback):
    """Keeps the weights after each epoch."""

    def __init__(self):
        super().__init__()
        self.weights = []

    def on_epoch_end(self, epoch, logs=None):
        self.weights.append(self.model.get_weights())


def neural():
    """Names of the methods that train by steps, but for those that need a second domain, which contract_test.py has."""
    return [name for name in registry.names("tfxmr.models") if not registry.get(name).needs_source]


@pytest.mark.parametrize("graphs", [False, pytest.param(True, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", neural())
def test_every_method(name, graphs, viewed, request):
    """fit gives the weights of a run's steps, and its logs are a run's losses; of several stages it takes none.

    Guards against a graph that rounds otherwise than a run's, and against Keras' own loss of 0 in the logs.
    """
    graphs or request.getfixturevalue("eagerly")
    method, logged = registry.get(name), []
    data = needed(method, viewed)
    model, other = make(method, data), make(method, data)
    if len(model.stages) > 1:
        with pytest.raises(InputError, match="trains in the stages .*; take `tfxmr train`"):
            fit(model, data)
        return
    history = fit(model, data, validation_data=model.dataset(data, "validation"), callbacks=[ValidationMAP(data)])
    watch = keras.callbacks.LambdaCallback(on_train_batch_end=lambda batch, logs: logged.append(logs))
    other.take_steps(sampling.stage_batches(other, data, SEED, 0, 2 * EPOCH), [watch])
    other.finish(data)  # as val_mAP has of the other
    assert_equal(model, other)

    losses = [loss for loss in logged[0] if not loss.endswith("gradient_norm")]
    assert set(history) == {"loss", *losses, "val_loss", *(f"val_{loss}" for loss in losses), "val_mAP"}
    for loss in losses:
        means = np.reshape([logs[loss] for logs in logged], (2, EPOCH)).mean(axis=1)
        np.testing.assert_allclose(history[loss], means, rtol=1e-5, atol=1e-7)
    minimised = [loss for loss in losses if not loss.startswith(f"{SHOWN}/")]
    np.testing.assert_allclose(history["loss"], np.sum([history[loss] for loss in minimised], axis=0), rtol=1e-4)
    rule = protocol.Protocol("standard", "validation")
    value = selection.mean_map(other.retriever(data), rule.tasks(data, "validation"), rule, data.splits["train"])
    assert history["val_mAP"][1] == value and 0 < value < 1


@pytest.mark.usefixtures("eagerly")
@pytest.mark.parametrize("name", neural())
def test_files(name, viewed, tmp_path):
    """Files give all of a method back, in the middle of a stage too.

    Guards against files without an optimizer's slots, of which Keras does but warn.
    """
    method = registry.get(name)
    data = needed(method, viewed)
    model = make(method, data)
    train(model, data)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal(model, loaded)
    assert (loaded.settings, loaded.seed, loaded.steps_done) == (model.settings, SEED, EPOCH)
    features = data.splits["validation"].of("image")
    for a, b in zip(*(tf.nest.flatten(m.encode("image", features)) for m in (loaded, model)), strict=True):
        np.testing.assert_array_equal(a, b)
    train(model, data)
    train(loaded, data)
    assert_equal(model, loaded)

    model.save_weights(tmp_path / "model.weights.h5")
    anew = method.from_config(json.loads(json.dumps(model.get_config())))
    for network, expected in method(data, model.settings, SEED).networks.items():
        for a, b in zip(anew.networks[network].get_weights(), expected.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    anew.compile()
    anew.load_weights(tmp_path / "model.weights.h5")
    assert_equal(model, anew)


@pytest.mark.parametrize(
    ("method", "settings"),
    [(DANZCR, {}), (MS2GAN, {"precision": "float16"}), (DeepSM, {"dropout_keep": 0.5})],
)
def test_backup_and_restore(method, settings, data, tmp_path):
    """Interrupted in the third epoch and started again: the weights, slots and steps of a fit that was not.

    Guards against slots that are made too late to be restored, and against batches that begin at 0 again.
    """
    def interrupt(epoch, logs):
        if epoch == 2:
            raise KeyboardInterrupt

    straight = make(method, data, **settings)
    fit(straight, data, 4)
    backup = lambda: keras.callbacks.BackupAndRestore(tmp_path / "backup")  # noqa: E731
    with pytest.raises(KeyboardInterrupt):
        stopped = make(method, data, **settings)
        fit(stopped, data, 4, [backup(), keras.callbacks.LambdaCallback(on_epoch_begin=interrupt)])
    resumed = make(method, data, **settings)
    assert len(fit(resumed, data, 4, [backup()])["loss"]) == 2
    assert_equal(resumed, straight)


@pytest.mark.parametrize("method", [DANZCR, DeepSM])
def test_the_losses_of_validation(method, data):
    """Those of the networks without dropout, the same at each time; nothing is changed by looking."""
    model, whole = make(method, data, dropout_keep=0.5), make(method, data, dropout_keep=1.0)
    before, validation = state(model), model.dataset(data, "validation")
    found = model.evaluate(validation, verbose=0, return_dict=True)
    assert found == model.evaluate(validation, verbose=0, return_dict=True)
    assert found == whole.evaluate(validation, verbose=0, return_dict=True)
    for a, b in zip(before, state(model), strict=True):
        np.testing.assert_array_equal(a, b)


def test_callbacks(data, tmp_path, capfd, monkeypatch):
    """The usual ones, which see the val_mAP of the first of them."""
    values = [0.3, 0.5, 0.2, 0.1, 0.4]
    given = iter(values)
    monkeypatch.setattr(selection, "mean_map", lambda *_: next(given))
    best, weights, board = (str(tmp_path / name) for name in ("best.keras", "{epoch}.weights.h5", "board"))
    watched, kept = {"monitor": "val_mAP", "mode": "max"}, Kept()
    model = make(MS2GAN, data)
    history = fit(
        model, data, 5, validation_data=model.dataset(data, "validation"), verbose=1, callbacks=[
            ValidationMAP(data), kept,
            keras.callbacks.ModelCheckpoint(best, save_best_only=True, **watched),
            keras.callbacks.ModelCheckpoint(weights, save_weights_only=True),
            keras.callbacks.EarlyStopping(patience=2, restore_best_weights=True, **watched),
            keras.callbacks.TensorBoard(board, histogram_freq=1, write_steps_per_second=True),
        ],
    )
    printed = capfd.readouterr().out
    assert history["val_mAP"] == values[:4] and "val_mAP" in printed and "joint/sd" in printed
    for expected in (keras.models.load_model(best), model):
        for a, b in zip(kept.weights[1], expected.get_weights(), strict=True):
            np.testing.assert_array_equal(a, b)
    other = make(MS2GAN, data)
    other.load_weights(weights.format(epoch=2))
    for a, b in zip(kept.weights[1], other.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)
    events = EventAccumulator(f"{board}/train", size_guidance={"tensors": 0})
    events.Reload()
    assert {"epoch_joint/sd", "epoch_loss", "shared/dense_0/kernel/histogram"} <= set(events.Tags()["tensors"])


def test_nan(data):
    """TerminateOnNaN ends the fit in its first step, whatever looks at the weights afterwards."""
    model = make(MS2GAN, data, learning_rate=float("nan"))
    history = fit(model, data, 3, [ValidationMAP(data), keras.callbacks.TerminateOnNaN()])
    assert model.steps_done == 2 and np.isnan(history["val_mAP"]).all()


def test_learning_rates(data, tmp_path):
    """Schedules of Keras, through files too, and the callbacks that set a rate, of every player."""
    schedule = keras.optimizers.schedules.PiecewiseConstantDecay([2, 4], [1e-2, 1e-3, 1e-4])
    model = make(DANZCR, data, schedule)
    fit(model, data, 1)
    model.save(tmp_path / "model.keras")
    for found in (model, keras.models.load_model(tmp_path / "model.keras")):
        assert [float(o.learning_rate) for o in found.player_optimizers.values()] == pytest.approx([1e-4] * 4)
    model = make(DANZCR, data, 1e-3)
    history = fit(model, data, 2, [keras.callbacks.LearningRateScheduler(lambda epoch, rate: rate / 2)])
    assert history["learning_rate_adam_D_R"] == pytest.approx([5e-4, 2.5e-4])
    assert [float(o.learning_rate) for o in model.player_optimizers.values()] == pytest.approx([2.5e-4] * 4)


def test_the_papers_learning_rate_by_default(data):
    """Guards against a compile() that leaves the decay by epochs to those who know how long an epoch is."""
    model = make(DANZCR, data)
    model.step.assign(10 * EPOCH)
    assert float(model.player_optimizers["G_F"].learning_rate) == pytest.approx(0.96e-4)


@pytest.mark.parametrize("compiled", [{}, {"steps_per_execution": 4}, {"run_eagerly": True}, {"jit_compile": True}])
def test_steps_per_epoch(compiled, data):
    """Epochs of other lengths, several steps in a call: the steps of a run in order, none twice and none left out."""
    model = make(MS2GAN, data, compiled=compiled)
    other = make(MS2GAN, data, compiled={k: v for k, v in compiled.items() if k != "steps_per_execution"})
    model.fit(model.dataset(data, steps=9), epochs=2, verbose=0, steps_per_epoch=4)
    assert model.steps_done == 8
    fit(model, data, 1)
    other.take_steps(sampling.batches(data.splits["train"], BATCH, SEED, 0, 8 + EPOCH))
    assert_equal(model, other)


def test_loaded_in_another_process(data, tmp_path):
    """Keras finds the class of a saved model once its module is imported."""
    make(MS2GAN, data).save(tmp_path / "model.keras")
    code = "import sys, keras, tfxmr.models.ms2gan; print(type(keras.models.load_model(sys.argv[1])).__name__)"
    done = subprocess.run(
        [sys.executable, "-c", code, tmp_path / "model.keras"], capture_output=True, text=True, check=True
    )
    assert done.stdout.split()[-1] == "MS2GAN"


def test_single_batches(data):
    """train_on_batch takes a step, test_on_batch none; predict gives what retrieval compares."""
    model, other = make(MS2GAN, data), make(MS2GAN, data)
    batch = next(iter(model.dataset(data)))
    logs = model.train_on_batch(batch, return_dict=True)
    assert set(logs) == set(model.test_on_batch(batch, return_dict=True)) and model.steps_done == 1
    other.take_steps(sampling.batches(data.splits["train"], BATCH, SEED, 0, 1))
    assert_equal(model, other)
    made = model.predict(model.dataset(data, "validation"), verbose=0)
    text = data.splits["validation"].features["text"]
    np.testing.assert_allclose(
        model.predict({"text": text}, verbose=0)["text"], model.encode("text", text), rtol=1e-5, atol=1e-6
    )
    assert made["image"].shape == (16, 24)


class Reader(Method):
    """Regions and words meet in a space where items of two domains are classified, each by its own classifier."""

    paper, provenance = "made up", "made up"
    inputs = ("image.regions", "text.words")
    takes_source = needs_source = True

    def make_networks(self, data):
        """A normalisation and a map for each modality, and a classifier for each domain."""
        self.table = tf.constant(data.tables["text.words"])
        widths = {"image": data.dims["image.regions"][-1], "text": self.table.shape[1]}
        networks = {f"norm_{m}": BatchNorm(width) for m, width in widths.items()}
        networks |= {f"map_{m}": self.tower(f"map_{m}", width, (6,)) for m, width in widths.items()}
        classes = {"own": data.num_classes, "source": data.source.num_classes}
        return networks | {name: self.tower(name, 6, (count,)) for name, count in classes.items()}

    def represent(self, batch, step=None):
        """Modality -> (B, 6), of the views that a batch holds."""
        made = {}
        for i, (view, x) in enumerate(batch.items()):
            m = view.partition(".")[0]
            mean = tf.reduce_mean(x if m == "image" else tf.gather(self.table, x), axis=1)
            mean = dropout(mean, 0.5, step and step.masks(i))
            made[m] = self.networks[f"map_{m}"](self.networks[f"norm_{m}"](mean, training=bool(step and step.training)))
        return made

    def compute_losses(self, batch, step):
        """The classifiers' losses."""
        found = {}
        for name, part in (("own", batch), ("source", batch["source"])):
            logits = self.networks[name](sum(self.represent({v: part[v] for v in self.inputs}, step).values()))
            cost = tf.nn.sparse_softmax_cross_entropy_with_logits(part["label"], logits)
            found[name] = tf.reduce_mean(cost)
        return found

    def embed(self, modality, features):
        """The map's output."""
        return self.represent(features)[modality]


def made_to_read(classes, seed):
    """Regions and words of paired items in a training and a validation split."""
    rng = np.random.default_rng(seed)

    def split(items):
        labels = np.arange(items, dtype=np.int32) % classes
        features = {
            "image.regions": rng.normal(size=(items, 3, 5)).astype(np.float32) + labels[:, None, None],
            "text.words": (1 + (labels[:, None] + rng.integers(0, 2, (items, 4))) % 9).astype(np.int32),
        }
        return Split(features=features, labels=dict.fromkeys(("image", "text"), labels))

    table = np.concatenate([np.zeros((1, 4)), rng.normal(size=(9, 4))]).astype(np.float32)
    splits = {"train": split(48), "validation": split(16)}
    return MultiModalData("read", splits, [f"class {c}" for c in range(classes)], tables={"text.words": table})


def test_views_a_second_domain_and_normalisation(tmp_path):
    """A method outside of the package that has it all: as a run trains it, looked at without a change, and loaded."""
    data = dataclasses.replace(made_to_read(4, 0), source=made_to_read(3, 1))
    model, other = (Reader(data, small(Reader), SEED) for _ in range(2))
    model.compile()
    other.compile()
    history = fit(model, data, validation_data=model.dataset(data, "validation"), callbacks=[ValidationMAP(data)])
    assert {"joint/own", "joint/source", "val_joint/source", "val_mAP"} <= set(history)
    batches = sampling.stage_batches(other, data, SEED, 0, 2 * EPOCH)
    other.take_steps(batches)
    assert_equal(model, other)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    assert_equal(model, loaded)
    assert loaded.shapes.source.num_classes == 3
    for m in ("image", "text"):
        items = data.splits["validation"].of(m)
        np.testing.assert_array_equal(loaded.encode(m, items), model.encode(m, items))
        found = loaded.predict(data.splits["validation"].of(m), batch_size=16, verbose=0)[m]
        np.testing.assert_allclose(found, model.encode(m, items), rtol=1e-5, atol=1e-6)


def test_unpaired_data(make_data):
    """Modalities that share no rows, joined by class in validation too."""
    made = make_data(classes=6, train=60, test=24)
    data = protocol.make("standard", made).training_data(made, 0.2, 0)
    splits = {name: dataclasses.replace(split, unpaired=("image", "text")) for name, split in data.splits.items()}
    data = dataclasses.replace(data, splits=splits)
    model = make(MS2GAN, data)
    assert "val_loss" in fit(model, data, 1, validation_data=model.dataset(data, "validation"))


def test_summary(data):
    """It names the networks, and counts weights and slots."""
    lines = []
    model = make(MS2GAN, data)
    model.summary(print_fn=lambda line, **_: lines.append(line))
    text = "\n".join(map(str, lines))
    assert "specific_image" in text and "classifier" in text and "Optimizer params" in text


def test_refusals(data):
    """What cannot be is refused in a line that says what to do instead."""
    model = make(MS2GAN, data)
    with pytest.raises(InputError, match="no split 'test'.*train, validation"):
        model.dataset(data, "test")
    with pytest.raises(InputError, match="optimizer=.*learning_rate"):
        model.compile(optimizer="adam")
    with pytest.raises(InputError, match="stages machines.*tfxmr train"):
        made = make(CorrAE, data, rbm_pretrain=True)
        made.fit(made.dataset(data))
    with tf.distribute.MirroredStrategy(["CPU:0"]).scope():
        model = MS2GAN(data, small(MS2GAN))
    model.compile()
    for call in (model.fit, model.evaluate):
        with pytest.raises(InputError, match="tfxmr train --strategy"):
            call(model.dataset(data))


def test_class_vectors_stay_what_they_are(make_data, tmp_path):
    """Guards against class embeddings that text would round."""
    data = make_data(train=24)
    model = DANZCR(data, DANZCRSettings(generator_units=(4,), discriminator_units=(4,), batch_size=8))
    anew = DANZCR.from_config(json.loads(json.dumps(model.get_config())))
    np.testing.assert_array_equal(anew.class_embeddings, data.class_embeddings)
