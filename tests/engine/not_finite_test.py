"""Training looks at its own numbers: it stops at the first loss or gradient that is not finite, and loses nothing."""
import dataclasses
import math
import re

import numpy as np
import pytest
import tensorflow as tf

from tfxmr.__main__ import main
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.core.errors import InputError, NotFinite
from tfxmr.evaluation import protocol
from tfxmr.models._boltzmann import Machine
from tfxmr.models.corr_ae import CorrAE, CorrAESettings
from tfxmr.models.ms2gan import MS2GAN, MS2GANSettings
from tfxmr.runs.checkpoints import Checkpoints
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import ending, evaluate, run
from tfxmr.tuning import tuner
from tfxmr.tuning.options import Search

SMALL = MS2GANSettings(
    specific_units=(8, 6), shared_units=(6,), modality_units=(5,), batch_size=12, steps=20, learning_rate=1e-2
)  # four steps an epoch on the 54 items that are left of 60
LAST = dataclasses.replace(SMALL, select="last")
ADVICE = r"; in another --run_dir, what usually helps: --learning_rate=0\.0001 \(0\.01 here\) or --feature_norm=zscore"


@pytest.fixture
def data(make_data):
    return make_data(classes=6, train=60, test=24)


@pytest.fixture
def rule(data):
    return protocol.make("standard", data)


@tf.custom_gradient
def gradient_spoiled(x, bad):
    return tf.identity(x), lambda upstream: (upstream * tf.where(bad, np.inf, 1.0), None)


@pytest.fixture
def spoil(monkeypatch):
    """A function that spoils the steps from `first` to `last`: "nan" or "inf" losses, or the gradients alone."""
    original = MS2GAN.compute_losses

    def install(what, first, last=10**6):
        def compute_losses(self, batch, step):
            found = original(self, batch, step)
            bad = tf.logical_and(self.step >= first - 1, self.step <= last - 1)
            name, value = next(iter(found.items()))
            wrong = gradient_spoiled(value, bad) if what == "gradient" else tf.where(bad, value + float(what), value)
            return found | {name: wrong}

        monkeypatch.setattr(MS2GAN, "compute_losses", compute_losses)

    return install


@pytest.mark.parametrize(("what", "said", "steps_per_execution"), [
    ("nan", "loss 'sd' of player joint is nan", 1), ("gradient", "gradient of player joint is (inf|nan)", 100),
])
def test_stops_at_once_and_says_so_again(data, rule, tmp_path, spoil, monkeypatch, what, said, steps_per_execution):
    """Guards against a training that runs on to its end, a step that only the last of an execution is looked at for, a
    checkpoint that the broken state replaces, and the same command training again to fail again."""
    spoil(what, 7)
    options = RunOptions(checkpoint_seconds=0, steps_per_execution=steps_per_execution)
    message = f"ms2gan: the {said} at step 7{ADVICE}$"
    with pytest.raises(NotFinite, match=message):
        run(MS2GAN, LAST, data, rule, tmp_path / "run", options)
    newest = tf.train.latest_checkpoint(str(tmp_path / "run/checkpoints/training"))
    assert newest.endswith("ckpt-6")  # a line is printed every second of the 20 steps, where an execution ends
    reader = tf.train.load_checkpoint(newest)
    assert all(np.isfinite(reader.get_tensor(n)).all() for n in reader.get_variable_to_shape_map() if n.startswith("method"))
    assert evaluate(MS2GAN, LAST, data, rule, tmp_path / "run", options)
    monkeypatch.setattr(MS2GAN, "compile", lambda *_, **__: pytest.fail("trains again"))
    with pytest.raises(NotFinite, match=message):
        run(MS2GAN, LAST, data, rule, tmp_path / "run", options)


@pytest.mark.parametrize("killed", [False, True])
def test_selected_weights_are_kept(data, rule, tmp_path, spoil, monkeypatch, killed):
    """Guards against weights that are lost by what came after them, and against a mark that is lost by a kill."""
    whole = run(MS2GAN, dataclasses.replace(SMALL, steps=8), data, rule, tmp_path / "whole")
    spoil("inf", 11)
    if killed:
        with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError):
            patch.setattr(Checkpoints, "finish", lambda *_: (_ for _ in ()).throw(RuntimeError()))
            run(MS2GAN, SMALL, data, rule, tmp_path / "run")
    results = run(MS2GAN, SMALL, data, rule, tmp_path / "run")
    assert results["stopped_at"] == 11 and "loss 'sd' of player joint is inf at step 11" in results["stopped_by"]
    for name in ("selected_step", "validation_mAP", "metrics"):
        assert results[name] == whole[name]
    kept = f"kept epoch {math.ceil(whole['selected_step'] / whole['steps_per_epoch'])} (validation mAP {whole['validation_mAP']:.3f})"
    assert re.fullmatch(rf"stopped at step 11 of 20 in [<\d].*s: a number is not finite, {re.escape(kept)}", ending(results))
    assert run(MS2GAN, SMALL, data, rule, tmp_path / "run") == results
    assert evaluate(MS2GAN, SMALL, data, rule, tmp_path / "run") == results["metrics"]


def test_nothing_was_selected_yet(data, rule, tmp_path, spoil):
    """Guards against networks kept without a measurement."""
    spoil("nan", 3)
    for _ in range(2):
        with pytest.raises(NotFinite, match="is nan at step 3"):
            run(MS2GAN, SMALL, data, rule, tmp_path / "run")
    assert not (tmp_path / "run/results.json").exists()


def test_the_last_step_breaks_the_weights(data, rule, tmp_path, monkeypatch):
    """The loss of a step is that of the weights before it: guards against a last update that nobody looks at."""
    original = MS2GAN.train_step

    def train_step(self, batch):
        logs = original(self, batch)
        bias = self.networks["shared"].trainable_variables[-1]
        bias.assign(tf.where(self.step == 20, np.nan, bias))
        return logs

    monkeypatch.setattr(MS2GAN, "train_step", train_step)
    options = RunOptions(checkpoint_seconds=0)
    for _ in range(2):
        with pytest.raises(NotFinite, match="weights of network shared are not finite after step 20"):
            run(MS2GAN, LAST, data, rule, tmp_path / "last", options)
    assert tf.train.latest_checkpoint(str(tmp_path / "last/checkpoints/training")).endswith("ckpt-19")
    results = run(MS2GAN, SMALL, data, rule, tmp_path / "best", options)
    assert results["stopped_at"] == 20 and results["selected_step"] < 20


def test_what_the_loss_scale_skips_is_no_failure(data, rule, tmp_path, spoil):
    """Guards against a float16 training ended by the overflow that its loss scale is there for, and against one that
    skips every step to its end: the scale of 2^15 is below 1 after sixteen."""
    settings = dataclasses.replace(LAST, precision="float16")
    spoil("gradient", 3, 5)
    assert run(MS2GAN, settings, data, rule, tmp_path / "some")["steps"] == 20
    spoil("gradient", 1)
    with pytest.raises(NotFinite, match=r"gradient of player joint is (nan|inf) at step 16; .*--precision=bfloat16"):
        run(MS2GAN, settings, data, rule, tmp_path / "all")


def test_a_trial_says_the_same(data, rule, tmp_path, spoil):
    spoil("nan", 3)
    what = Search({"learning_rate": (1e-2,)})
    (trial,) = tuner.tune(MS2GAN, SMALL, what, data, rule, tmp_path)
    assert trial["status"] == "failed" and trial["message"].startswith("ms2gan: the loss 'sd' of player joint is nan at step 3;")
    assert "Traceback" not in trial["message"]


def test_pretraining(data, rule, tmp_path, monkeypatch):
    """Its rates are fixed, so the advice is to leave it out."""
    original = Machine.contrast
    monkeypatch.setattr(Machine, "contrast", lambda self, *given: (np.nan, original(self, *given)[1]))
    settings = CorrAESettings(rbm_pretrain=True, rbm_units=(5,), rbm_steps=3, encoder_units=(4,), batch_size=12, steps=2)
    for _ in range(2):
        with pytest.raises(NotFinite, match=r"corrae: the loss 'reconstruction' of player machine_image_0 is nan at step 1; .*--norbm_pretrain$"):
            run(CorrAE, settings, data, rule, tmp_path)


@pytest.mark.parametrize("how", ["array", "error"])
def test_a_closed_form(data, rule, tmp_path, monkeypatch, how):
    """Guards against arrays saved that nothing can be computed with, and a traceback of linear algebra."""
    original, fits = CCA.learn, []

    def learn(self, data):
        fits.append(1)
        original(self, data)
        if how == "error":
            raise np.linalg.LinAlgError("did not converge")
        self.image_weights_[:] = np.nan
        return self

    monkeypatch.setattr(CCA, "learn", learn)
    said = "the fit fails .did not converge." if how == "error" else "image_weights_ is not finite after the fit"
    for _ in range(2):
        with pytest.raises(NotFinite, match=rf"cca: {said}; in another --run_dir, what usually helps: --ridge="):
            run(CCA, CCASettings(), data, rule, tmp_path)
    assert len(fits) == 1 and not (tmp_path / "checkpoints/arrays.npz").exists()


def test_a_series_goes_on(data_dir, tmp_path, spoil, capsys, monkeypatch):
    """Guards against nine seeds lost by the tenth; the status tells a part from all."""
    sound = MS2GAN.compute_losses
    spoil("nan", 3)
    spoiled = MS2GAN.compute_losses
    monkeypatch.setattr(MS2GAN, "compute_losses", lambda self, *given: (spoiled if self.seed == 1 else sound)(self, *given))
    arguments = [
        "train", "--model=ms2gan", "--dataset=npz", "--protocol=standard", f"--data_dir={data_dir}", "--steps=4",
        "--specific_units=8", "--shared_units=8", "--select=last", "--batch_size=12",
    ]
    assert main([*arguments, "--seeds=0..2", f"--run_dir={tmp_path}/some"]) == 1
    captured = capsys.readouterr()
    assert "1 of 3 seeds failed:\n  seed 1: ms2gan: the loss" in captured.err and "Traceback" not in captured.err
    method, _, runs = captured.out.splitlines()[-1].split()[:3]
    assert (method, runs) == ("ms2gan", "2")
    assert (tmp_path / "some/seed_2/results.json").exists()
    assert main([*arguments, "--seeds=1", f"--run_dir={tmp_path}/all"]) == 2


def test_representations(data, rule):
    """Guards against an error of the ranking in place of what is wrong."""
    method = MS2GAN(rule.training_data(data), SMALL)
    features = np.full((3, 6), 1.0, np.float32)
    features[1] = np.nan
    with pytest.raises(NotFinite, match="ms2gan: the representations of 1 of 3 image items are not finite after step 0"):
        method.encode("image", features)


def test_advice_fits():
    """Guards against advice of what is done already, or of what the settings do not have; typed, it is accepted."""
    assert LAST.remedies() == ["--learning_rate=0.0001 (0.01 here)", "--feature_norm=zscore"]
    careful = dataclasses.replace(LAST, learning_rate=1e-5, feature_norm="l2")
    assert careful.remedies() == ["--learning_rate=1e-06 (1e-05 here)"]
    assert dataclasses.replace(LAST, learning_rate=0.0, feature_norm="l2").advice() == ""
    counts = CorrAESettings(rbm_pretrain=True, rbm_counts="text", feature_norm="none")
    assert not any("feature_norm" in flag for flag in counts.remedies())
    assert issubclass(NotFinite, InputError)
