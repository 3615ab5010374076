"""Selection on validation: the best step is kept, training ends when it stagnates, and the test split has no say."""
import dataclasses
import re

import numpy as np
import pytest

from tfxmr import evaluation
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.evaluation import protocol
from tfxmr.models.danzcr import DANZCR, DANZCRSettings
from tfxmr.models.ms2gan import MS2GAN, MS2GANSettings
from tfxmr.runs import best, selection
from tfxmr.runs.checkpoints import Checkpoints
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import ending, evaluate, restore, run
from tfxmr.runs.tracking import Tracker

SMALL = MS2GANSettings(
    specific_units=(8, 6), shared_units=(6,), modality_units=(5,), batch_size=12, epochs=5, learning_rate=1e-2,
    patience_steps=0,
)  # four steps an epoch on the 48 items that are left of 60
OPTIONS = RunOptions(validation_fraction=0.2)


@pytest.fixture
def data(make_data):
    return make_data(classes=6, train=60, test=24, noise=1.0)


@pytest.fixture
def rule(data):
    return protocol.make("standard", data)


@pytest.fixture
def script(monkeypatch):
    """A function that makes validation measure given values in turn; returns the codes made at each measurement."""
    measured, real = [], evaluation.evaluate

    def install(values):
        values = iter(values)

        def scripted(retriever, *arguments):
            results = real(retriever, *arguments)
            if results[0]["num_queries"] == 24:  # the test split
                return results
            measured.append(retriever.represent("image", np.eye(6)))
            value = next(values)
            if isinstance(value, BaseException):
                raise value
            return [result | {"value": value} for result in results]

        monkeypatch.setattr(evaluation, "evaluate", scripted)
        return measured

    return install


def codes(settings, data, rule, run_dir):
    """What the networks that a run has kept make of six made-up images."""
    caught = []

    def keep(retriever, *_):
        caught.append(retriever.represent("image", np.eye(6)))
        return []

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(evaluation, "evaluate", keep)
        evaluate(MS2GAN, settings, data, rule, run_dir, OPTIONS)
    return caught[0]


@pytest.mark.parametrize(
    ("values", "patience", "steps", "selected"),
    [
        ([0.1, 0.4, 0.3, 0.4, 0.2], 0, 20, 8),  # the first of two equal ones
        ([0.1, 0.4, 0.3, 0.2], 2, 16, 8),  # two epochs without a better one end it
        ([0.1, 0.3, 0.2, 0.4, 0.4], 2, 20, 16),  # a better one starts the count again
    ],
)
def test_the_best_step_is_kept(data, rule, tmp_path, script, values, patience, steps, selected):
    """Guards against the last weights in place of the best, a count that never starts again, and one epoch too many."""
    measured = script(values)
    settings = dataclasses.replace(SMALL, patience=patience)
    results = run(MS2GAN, settings, data, rule, tmp_path / "run", OPTIONS)
    assert (results["steps"], results["selected_step"]) == (steps, selected)
    assert results["protocol"]["selected_on"] == "validation"
    assert len(measured) == len(values)
    kept = codes(settings, data, rule, tmp_path / "run")
    np.testing.assert_array_equal(kept, measured[selected // 4 - 1])
    assert all(np.abs(kept - other).max() > 0 for i, other in enumerate(measured) if i != selected // 4 - 1)
    assert evaluate(MS2GAN, settings, data, rule, tmp_path / "run", OPTIONS) == results["metrics"]


def test_patience_has_its_steps(data, rule, tmp_path, script):
    """Guards against an end after two epochs of a few steps: here the two are 8 steps, and 9 must go by."""
    script([0.1, 0.4, 0.3, 0.2, 0.1])
    settings = dataclasses.replace(SMALL, patience=2, patience_steps=9, epochs=6)
    results = run(MS2GAN, settings, data, rule, tmp_path / "run", OPTIONS)
    assert (results["steps"], results["total_steps"], results["selected_step"]) == (20, 24, 8)
    said = "stopped at epoch 5 of 6 in 12 s: validation mAP has not risen for 3 epochs (best 0.400 at epoch 2)"
    assert ending(results | {"seconds": 12}) == said


def test_the_last_step_is_measured_too(data, rule, tmp_path, script):
    measured = script([0.1, 0.2])
    results = run(MS2GAN, dataclasses.replace(SMALL, steps=6), data, rule, tmp_path / "run", OPTIONS)
    assert (results["steps"], results["selected_step"], len(measured)) == (6, 6, 2)


def test_an_untrained_run(data, rule, tmp_path):
    """Guards against best weights that were never measured."""
    results = run(MS2GAN, dataclasses.replace(SMALL, epochs=0), data, rule, tmp_path / "run", OPTIONS)
    assert (results["steps"], results["selected_step"]) == (0, 0)


@pytest.mark.parametrize("interrupts", [1, 2])
def test_an_interrupt_in_a_measurement(data, rule, tmp_path, script, interrupts):
    """Guards against a step saved without its measurement: the resumed run selects what the straight one does."""
    values = [0.1, 0.4, 0.3, 0.2, 0.3]
    script(values)
    straight = run(MS2GAN, SMALL, data, rule, tmp_path / "straight", OPTIONS)
    kept = codes(SMALL, data, rule, tmp_path / "straight")
    script([0.1, *[KeyboardInterrupt()] * interrupts, *([] if interrupts == 1 else [0.1]), *values[1:]])
    with pytest.raises(KeyboardInterrupt):
        run(MS2GAN, SMALL, data, rule, tmp_path / "run", OPTIONS)
    resumed = run(MS2GAN, SMALL, data, rule, tmp_path / "run", OPTIONS)
    assert {k: resumed[k] for k in ("steps", "selected_step")} == {k: straight[k] for k in ("steps", "selected_step")}
    np.testing.assert_array_equal(codes(SMALL, data, rule, tmp_path / "run"), kept)


@pytest.mark.parametrize("place", ["before", "after"])
def test_stopped_after_the_early_end(data, rule, tmp_path, script, place):
    """Guards against a training that goes on after its end when it was stopped before or after its networks were kept."""
    measured = script([0.1, 0.4, 0.3, 0.2, 0.9])
    settings, real = dataclasses.replace(SMALL, patience=2), Checkpoints.finish

    def stop(checkpoints, data):
        if place == "after":
            real(checkpoints, data)
        raise RuntimeError("stopped")

    with pytest.MonkeyPatch.context() as patch, pytest.raises(RuntimeError, match="stopped"):
        patch.setattr(Checkpoints, "finish", stop)
        run(MS2GAN, settings, data, rule, tmp_path / "run", OPTIONS)
    results = run(MS2GAN, settings, data, rule, tmp_path / "run", OPTIONS)
    assert (results["steps"], results["selected_step"], len(measured)) == (16, 8, 4)
    assert results["validation_mAP"] == 0.4
    np.testing.assert_array_equal(codes(settings, data, rule, tmp_path / "run"), measured[1])


def test_the_test_split_has_no_say(data, rule, tmp_path):
    """Guards against selection on test: noise in its place leaves the selected step and weights as they were."""
    test = data.splits["test"]
    rng = np.random.default_rng(1)
    noise = Split.of_pairs({m: rng.normal(size=f.shape) for m, f in test.features.items()}, test.labels["image"])
    kept = []
    for i, version in enumerate((data, dataclasses.replace(data, splits=data.splits | {"test": noise}))):
        results = run(MS2GAN, SMALL, version, rule, tmp_path / str(i), OPTIONS)
        kept.append((results["selected_step"], codes(SMALL, version, rule, tmp_path / str(i))))
    assert kept[0][0] == kept[1][0]
    np.testing.assert_array_equal(kept[0][1], kept[1][1])


def test_the_measure_is_mean_validation_map(data, rule, tmp_path):
    """The mean over all directions within the validation split, by the run's own similarity."""
    training = rule.training_data(data, 0.2)
    method = MS2GAN(training, SMALL)
    kept = best.Best(method)
    found = []
    for similarity in ("cosine", "l2"):
        changed = dataclasses.replace(rule, similarity=similarity)
        select = best.SelectBest(
            kept, selection.validation_tasks(training), changed, training,
            Tracker(), 4, 20,
        )
        method.step.assign_add(4)
        kept.value.assign(-1.0)
        select.measure()
        split = training.splits["validation"]
        x, t = (method.encode(m, split.features[m]) for m in ("image", "text"))
        labels = split.labels["image"]
        expected = [evaluation.mean_average_precision(*pair, labels, labels, similarity) for pair in ((x, t), (t, x))]
        assert float(kept.value) == pytest.approx(np.mean(expected))
        found.append(float(kept.value))
    assert found[0] != found[1]


def test_a_stopped_run_is_evaluated_with_the_best_so_far(data, rule, tmp_path, script):
    measured = script([0.1, 0.4, 0.3, KeyboardInterrupt(), 0.2])
    with pytest.raises(KeyboardInterrupt):
        run(MS2GAN, SMALL, data, rule, tmp_path / "run", OPTIONS)
    np.testing.assert_array_equal(codes(SMALL, data, rule, tmp_path / "run"), measured[1])


def test_no_validation_split(data, rule, tmp_path):
    """A tenth is held out, as --validation_fraction=.1 does, and marked; guards against a refusal of the simplest command.

    Without selection nothing is held out.
    """
    results = run(MS2GAN, SMALL, data, rule, tmp_path / "own")
    asked = run(MS2GAN, SMALL, data, rule, tmp_path / "asked", RunOptions(validation_fraction=0.1))
    assert results["metrics"] == asked["metrics"] and results["selected_step"] == asked["selected_step"]
    assert results["protocol"] == asked["protocol"] and results["protocol"]["held_out"] == 0.1
    assert results["flags"]["validation_fraction"] == "--validation_fraction=0.1"
    assert run(MS2GAN, SMALL, data, rule, tmp_path / "own") == results  # finished: the flags are compared
    assert evaluate(MS2GAN, SMALL, data, rule, tmp_path / "own") == results["metrics"]
    last = run(MS2GAN, dataclasses.replace(SMALL, select="last"), data, rule, tmp_path / "last")
    assert "selected_step" not in last
    assert (last["protocol"]["selected_on"], last["protocol"]["held_out"]) == ("none", 0.0)


def test_what_is_held_out_of_few_items(make_data):
    """At least one of the seen classes' items, of the smallest modality: guards against a tenth of few, which is none."""
    data, options = make_data(train=8, classes=4), RunOptions()
    for name, share in (("standard", 1 / 8), ("zero_shot", 1 / 4)):
        rule = protocol.make(name, data)
        assert selection.held_out(rule, SMALL, data, options) == share
        assert len(selection.training_data(rule, SMALL, data, options).splits["validation"]) == 1


def test_what_is_held_out_is_said(data):
    """Guards against a header that counts what is not trained on."""
    rule = protocol.make("zero_shot", data)
    for options, text in (
        (RunOptions(), r"train 27, validation 3, test 24\n(.*\n)*.*selected_on validation\n(.*\n)*held out   3 items for "
         "validation, a share of 0.1, as dataset made up has no validation split and --select=validation needs one"),
        (RunOptions(validation_fraction=0.2), r"train 24, validation 6, test 24\n(.*\n)*held out   6 items for validation$"),
    ):
        asked = SMALL, data, options
        declared = selection.declare(rule, *asked)
        assert re.search(text, selection.describe(declared, *asked, selection.training_data(declared, *asked)))


def test_any_method_can_select(data, tmp_path):
    """Zero-shot too: the validation split holds seen classes alone."""
    rule = protocol.make("zero_shot", data)
    settings = DANZCRSettings(generator_units=(8,), discriminator_units=(8,), batch_size=8, steps=6, select="validation")
    results = run(DANZCR, settings, data, rule, tmp_path / "run", dataclasses.replace(OPTIONS, eval_every=2))
    assert results["selected_step"] in (3, 6)
    assert evaluate(DANZCR, settings, data, rule, tmp_path / "run", OPTIONS) == results["metrics"]


def test_a_dataset_with_a_validation_split_needs_no_flag(data, rule, tmp_path):
    given = MultiModalData(
        data.name, data.splits | {"validation": data.splits["train"].take(np.arange(12))}, data.class_names
    )
    results = run(MS2GAN, SMALL, given, rule, tmp_path / "run")
    assert results["selected_step"] > 0 and results["protocol"]["held_out"] == 0
    with pytest.raises(InputError, match=r"--validation_fraction=0\.2: dataset made up has a validation split of its own \(12 "
                                         r"items\), which is used; .*--validation_fraction=0"):
        run(MS2GAN, SMALL, given, rule, tmp_path / "both", OPTIONS)  # one of the two would be dropped without a word


def test_without_classes_the_sum_of_recalls_selects(data, tmp_path):
    """The sum of hit@1, 5 and 10 both ways, as VSE++ has it; guards against mAP, which prefers other epochs."""
    data = data.as_instances()
    rule = protocol.make("standard", data)
    results = run(MS2GAN, SMALL, data, rule, tmp_path, OPTIONS)
    assert "validation_mAP" not in results
    retriever, prepared, training = restore(MS2GAN, SMALL, data, rule, tmp_path, OPTIONS)
    image, text = (retriever.represent(m, training.splits["validation"].features[m]) for m in ("image", "text"))
    found = evaluation.image_sentence_recalls(image, text, 1)
    expected = sum(found[way][f"R@{k}"] for way in found for k in (1, 5, 10))
    assert results["validation_recalls"] == pytest.approx(expected) and 0 < expected < 6
    trial = run(MS2GAN, SMALL, data, rule, tmp_path / "trial", dataclasses.replace(OPTIONS, test=False))
    assert trial["validation_recalls"] == results["validation_recalls"]
