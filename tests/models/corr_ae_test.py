"""Corr-AE against its derivation: parameter counts, losses of the three variants by a slow loop, routing."""
import itertools

import numpy as np
import pytest
import tensorflow as tf
from made_up import DIMS, THREE, UNITS, first_batch, layers_by_hand, random_data, scores, sigmoid

from tfxmr.core.errors import InputError
from tfxmr.engine import sampling
from tfxmr.evaluation import protocol
from tfxmr.models.corr_ae import CorrAE, CorrAESettings
from tfxmr.runs import callbacks
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import evaluate, run

SMALL = {"encoder_units": (6, 3), "batch_size": 8, "steps": 3}


def make_model(dims=DIMS, **settings):
    return CorrAE(random_data(dims), CorrAESettings(**(SMALL | settings)))


def reconstructs(variant, m, n):
    return variant == "full" or (m == n) == (variant == "corr")


@pytest.mark.parametrize("variant, count", [
    ("corr", 13_207_852), ("cross", 13_207_852), ("full", 13_207_852 + 5_248_000 + 1_357_100),
])
def test_parameter_counts_at_paper_widths(variant, count):
    """Encoders 4096 and 300 x 1024 x 1024 (5,244,928; 1,357,824), decoders back (5,248,000; 1,357,100)."""
    model = CorrAE(random_data({"image": 4096, "text": 300}, items=200), CorrAESettings(variant=variant))
    assert sum(net.count_params() for net in model.networks.values()) == count
    assert model.networks["encoder_image"].count_params() == 5_244_928
    assert model.networks["encoder_text"].count_params() == 1_357_824


@pytest.mark.parametrize("dims", [DIMS, THREE], ids=["two modalities", "three"])
@pytest.mark.parametrize("variant, alpha, used", [("corr", 0.0, 0.8), ("cross", 0.0, 0.2), ("full", 0.0, 0.8), ("cross", 0.6, 0.6)])
@pytest.mark.parametrize("activation", UNITS)
def test_losses_by_a_slow_loop(dims, variant, alpha, used, activation):
    """Guards the targets of each variant, the paper's alpha of each, and its side."""
    model, batch = make_model(dims, variant=variant, alpha=alpha, activation=activation), first_batch(dims)
    unit = UNITS[activation]
    restored = apart = 0
    for u in range(8):
        codes = {m: layers_by_hand(model.networks[f"encoder_{m}"], batch[m][u].numpy(), unit, True) for m in dims}
        for m, n in itertools.product(dims, repeat=2):
            if reconstructs(variant, m, n):
                made = layers_by_hand(model.networks[f"decoder_{m}_{n}"], codes[m], unit, False)
                restored += sum((made - batch[n][u].numpy()) ** 2)
        for m, n in itertools.combinations(dims, 2):
            apart += sum((codes[m] - codes[n]) ** 2)
    found = {name: float(v) for name, v in model.compute_losses(batch, model.present_step()).items()}
    expected = {"reconstruction": (1 - used) * restored / 8, "correlation": used * apart / 8}
    assert found == pytest.approx(expected, rel=1e-4)
    code = layers_by_hand(model.networks["encoder_text"], batch["text"].numpy(), unit, True)
    np.testing.assert_allclose(model.encode("text", batch["text"]), code, rtol=1e-5)


@pytest.mark.parametrize("variant", ["corr", "cross", "full"])
def test_routing_of_gradients(variant):
    """The distance of codes trains the encoders alone; the reconstruction trains all there is."""
    model, batch = make_model(variant=variant), first_batch()
    for name, reached in (("reconstruction", set(model.networks)), ("correlation", {"encoder_image", "encoder_text"})):
        with tf.GradientTape() as tape:
            cost = model.compute_losses(batch, model.present_step())[name]
        found = tape.gradient(cost, {n: net.trainable_variables for n, net in model.networks.items()})
        assert {n for n, gs in found.items() if any(g is not None and np.any(g) for g in gs)} == reached
    decoders = {n for n in model.networks if n.startswith("decoder")}
    assert decoders == {f"decoder_{m}_{n}" for m in DIMS for n in DIMS if reconstructs(variant, m, n)}


@pytest.mark.parametrize("variant", ["corr", "cross", "full"])
def test_learns_without_labels(variant, make_data):
    """Pairs alone bring classes together: guards against codes that restore, but do not meet."""
    data = make_data(train=200, test=40, classes=4, noise=0.3)
    settings = CorrAESettings(**(SMALL | {"encoder_units": (16, 16), "variant": variant}))
    model = CorrAE(data, settings)
    model.compile(learning_rate=1e-2)
    model.take_steps(sampling.batches(data.splits["train"], 64, 0, 0, 300))
    assert min(scores(model, data.splits["test"]).values()) > 0.6


def test_length_and_refusals():
    assert make_model(steps=0, epochs=4).total_steps(24) == 4 * 3
    assert make_model(steps=5, epochs=4).total_steps(24) == 5
    with pytest.raises(InputError, match="two or more modalities; dataset random has image alone"):
        make_model({"image": 4})
    with pytest.raises(InputError, match=r"--variant=half: choose one of corr, cross, full"):
        make_model(variant="half")


PRETRAINED = {"rbm_pretrain": True, "rbm_units": (5, 4), "rbm_steps": 4, "rbm_batch_size": 10, "encoder_units": (3,)}


@pytest.mark.parametrize("variant", ["corr", "cross", "full"])
def test_losses_on_the_machines_outputs(variant):
    """Guards against autoencoders that restore the features, machines that they train, and units that are not logistic."""
    model, batch = make_model(variant=variant, **PRETRAINED), first_batch()
    seen = {m: model.networks[f"machine_{m}_1"](model.networks[f"machine_{m}_0"](batch[m])).numpy() for m in DIMS}
    codes = {m: layers_by_hand(model.networks[f"encoder_{m}"], seen[m], sigmoid, True) for m in DIMS}
    restored = sum(
        np.mean(np.sum((layers_by_hand(model.networks[f"decoder_{m}_{n}"], codes[m], sigmoid, False) - seen[n]) ** 2, axis=1))
        for m, n in itertools.product(DIMS, repeat=2) if reconstructs(variant, m, n)
    )
    alpha = 0.2 if variant == "cross" else 0.8
    assert float(model.compute_losses(batch, model.present_step())["reconstruction"]) == pytest.approx((1 - alpha) * restored, rel=1e-4)
    assert not any("machine" in name for name in model.players["joint"])
    np.testing.assert_allclose(model.encode("text", batch["text"]), codes["text"], rtol=1e-5)


def pretrained_run(data, path, **options):
    settings = CorrAESettings(**(SMALL | PRETRAINED))
    options = RunOptions(validation_fraction=0.2, checkpoint_seconds=0, **options)
    return run(CorrAE, settings, data, protocol.make("standard", data), path, options)["metrics"]


def test_pretraining_is_resumed(make_data, tmp_path, monkeypatch):
    """A run killed in its first machines, its second ones and its own steps equals a straight one, bit for bit."""
    data, moved = make_data(), callbacks.Progress.on_train_batch_end
    straight = pretrained_run(data, tmp_path / "straight")
    for kill_at in (2, 3, 4):  # steps done since the start of the process
        steps = iter(range(kill_at))

        def killed(self, batch, logs=None, steps=steps):
            moved(self, batch, logs)
            if next(steps, None) is None:
                raise RuntimeError

        monkeypatch.setattr(callbacks.Progress, "on_train_batch_end", killed)
        with pytest.raises(RuntimeError):
            pretrained_run(data, tmp_path / "killed")
    monkeypatch.undo()
    assert pretrained_run(data, tmp_path / "killed") == straight
    rule = protocol.make("standard", data)
    settings = CorrAESettings(**(SMALL | PRETRAINED))
    assert evaluate(CorrAE, settings, data, rule, tmp_path / "killed", RunOptions(validation_fraction=0.2)) == straight
    weights = [tf.train.load_checkpoint(str(tmp_path / name / "checkpoints/final/networks")) for name in ("straight", "killed")]
    names = [n for n in weights[0].get_variable_to_shape_map() if "networks" in n]
    assert len(names) == 4 * 6 + 4 * 2
    for name in names:
        np.testing.assert_array_equal(*(w.get_tensor(name) for w in weights), err_msg=name)


def test_unknown_counts():
    with pytest.raises(InputError, match=r"--rbm_counts=tags: the data have image, text alone"):
        make_model(**PRETRAINED, rbm_counts="tags")
