"""Searches: what a trial is measured on, what is written, and that no stop loses or repeats a trial."""
import csv
import dataclasses
import json
import shutil

import numpy as np
import pytest
import tensorflow as tf
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams import api_pb2, metadata

from tfxmr import evaluation
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.baselines.kcca import KCCASettings
from tfxmr.core.errors import InputError
from tfxmr.data import Split
from tfxmr.evaluation import protocol
from tfxmr.models.corr_ae import CorrAESettings
from tfxmr.models.dcca import DCCASettings
from tfxmr.models.ms2gan import MS2GAN, MS2GANSettings
from tfxmr.runs.by_pairs import run_pairs
from tfxmr.runs.checkpoints import Checkpoints
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run
from tfxmr.tuning import oracles, tuner
from tfxmr.tuning.options import Search

OPTIONS = RunOptions(validation_fraction=0.3)
GRID = {"components": (1, 2, 3, 10), "ridge": (0.01, 1.0)}
SMALL = MS2GANSettings(
    specific_units=(8, 6), shared_units=(6,), modality_units=(5,), batch_size=12, steps=6, learning_rate=1e-2
)


@pytest.fixture
def data(make_data):
    return make_data(classes=6, train=60, test=24, noise=1.0)


@pytest.fixture
def search(data, tmp_path):
    """A function that searches with made-up trials, `outcome(settings)` in place of a training."""
    def start(what, outcome, folder="search", seed=0):
        def made_up(method_class, settings, data, rule, run_dir, options, flags):
            value = outcome(settings)
            return {"validation_mAP": value, "seconds": 1.0}

        options = dataclasses.replace(OPTIONS, seed=seed)
        rule = protocol.make("standard", data)
        return tuner.tune(CCA, CCASettings(components=10), what, data, rule, tmp_path / folder, options, runner=made_up)

    return start


def smooth(settings):
    """A made-up validation mAP, the best at 3 components and ridge 1."""
    return 0.5 - 0.01 * abs(settings.components - 3) + 0.02 * settings.ridge


def table(folder):
    with open(folder / "trials.csv") as file:
        return [{name: v for name, v in row.items() if name != "seconds"} for row in csv.DictReader(file)]


def search_real(method, settings, what, data, rule, folder, options=OPTIONS, **more):
    return tuner.tune(method, settings, what, data, rule, folder, options, **more)


@pytest.mark.parametrize("kind", ["grid", "one_factor"])
def test_the_same_settings_are_trained_once(kind, make_data, tmp_path):
    """Guards against an automatic width of 10 and the width 10 as two trainings of one configuration; each has its row."""
    trained, told = [], []

    def made_up(method_class, settings, data, rule, run_dir, options, flags):
        trained.append((settings.components, settings.ridge))
        return {"validation_mAP": 0.1 + settings.ridge, "selected_step": None, "seconds": 1.0}

    def at_once(names):
        told.append(names)
        for name in names:
            tuner.tune(*arguments, RunOptions(), runner=made_up, only=name)

    data = make_data(dims={"image": 30, "text": 20}, classes=6, train=60, test=24)
    rule = protocol.make("zero_shot", data)  # 3 of the 6 classes train
    what = Search({"components": (0, 5, 10), "ridge": (0.1, 0.5)}, kind)
    arguments = [CCA, CCASettings(ridge=0.1), what, data, rule, tmp_path / "search"]
    found = tuner.tune(*arguments, RunOptions(), runner=made_up)
    assert len(found) == what.count and len(trained) == len(set(trained)) == what.count - (2 if kind == "grid" else 1)
    twins = [t for t in found if t["values"]["components"] == 10]
    assert [t["validation_mAP"] for t in twins] == [0.1 + t["values"]["ridge"] for t in twins]
    assert {t["seconds"] for t in twins} == {0.0} and not {c for c, _ in trained} & {10}
    assert twins[0]["message"] == "the same settings on these data as of trial 0001"
    rows = table(tmp_path / "search")
    assert [row["components"] for row in rows] == [str(t["values"]["components"]) for t in found]
    assert tuner.tune(*arguments, RunOptions(), runner=made_up) == found and len(trained) == what.count - len(twins)
    arguments[-1] = tmp_path / "at_once"
    assert tuner.tune(*arguments, RunOptions(), runner=made_up, at_once=at_once) == found
    assert len(told) == 1 and len(told[0]) == what.count - len(twins)


def test_widths_beyond_the_features_are_trained_once(data, tmp_path):
    """Guards against 20, 30 and 50 components of a feature of 4 columns as three trainings of one model."""
    trained = []

    def made_up(method_class, settings, data, rule, run_dir, options, flags):
        trained.append(settings.components)
        return {"validation_mAP": 0.5, "selected_step": None, "seconds": 1.0}

    what = Search({"components": (2, 4, 20, 30, 50)}, "grid")
    found = tuner.tune(CCA, CCASettings(), what, data, protocol.make("standard", data), tmp_path, RunOptions(), runner=made_up)
    assert trained == [2, 4] and [t["seconds"] for t in found] == [1.0, 1.0, 0.0, 0.0, 0.0]
    assert found[-1]["message"] == "the same settings on these data as of trial 0002"
    assert KCCASettings(components=20).resolved(6, widths=[4]).components == 20  # of a kernel's space


def test_settings_that_stand_for_a_choice():
    assert CCASettings().resolved(20) == CCASettings(components=20) and CCASettings().resolved(21).components == 30
    assert CCASettings().resolved(0, instances=True).components == 10 and CCASettings(components=3).resolved(20).components == 3
    assert CorrAESettings().resolved(9).alpha == 0.8 and CorrAESettings(variant="cross").resolved(9).alpha == 0.2
    assert DCCASettings(units=(9, 4)).resolved(9).components == 4 == DCCASettings(units=(9, 4), components=7).resolved(9).components


@pytest.mark.parametrize("kind", oracles.KINDS)
def test_interrupted(kind, search, tmp_path):
    """Guards against a finished trial lost or made again, and an order that a stop changes; stopped in trials 2 and 4."""
    what = Search(GRID, kind, 6)
    straight = search(what, smooth, "straight")
    assert len(straight) == (5 if kind == "one_factor" else 6)
    made, stops = [], [2, 5]

    def stopping(settings):
        made.append(settings)
        if len(made) in stops:
            raise KeyboardInterrupt
        return smooth(settings)

    for _ in stops:
        with pytest.raises(KeyboardInterrupt):
            search(what, stopping)
    assert search(what, stopping) == straight == search(what, stopping)
    assert len(made) == len(straight) + 2 and len(set(made)) == len(straight)
    assert table(tmp_path / "search") == table(tmp_path / "straight")


def test_more_trials_later(search):
    """Guards against a raised --max_trials that starts anew, and a lowered one that throws trials away."""
    made = []

    def count(settings):
        made.append(settings)
        return smooth(settings)

    first = search(Search(GRID, "random", 3), count)
    more = search(Search(GRID, "random", 5), count)
    assert more[:3] == first and len(made) == 5
    assert search(Search(GRID, "random", 2), count) == first[:2]
    assert search(Search(GRID, "random", 5), count) == more and len(made) == 5


def test_what_was_proposed_is_kept(search, tmp_path):
    """Guards against trials lost on a machine whose rounding makes the Gaussian process propose others."""
    what = Search({"components": tuple(range(1, 11))}, "bayesian", 5)
    search(what, smooth)
    path = tmp_path / "search/trials/0005/trial.json"
    trial = json.loads(path.read_text())
    left = next(c for c in range(1, 11) if {"components": c} not in [t["values"] for t in search(what, smooth)])
    path.write_text(json.dumps(trial | {"values": {"components": left}}))
    assert search(what, None)[4]["values"] == {"components": left}
    assert len(search(dataclasses.replace(what, max_trials=6), smooth)) == 6


def test_failures(search, tmp_path):
    """Guards against a search that one wrong trial ends, and a failure that nobody is told of."""
    def failing(settings):
        if settings.components < 10:
            raise ZeroDivisionError("no, that\nwill not do")
        return smooth(settings)

    trials = search(Search(GRID, "grid"), failing)
    assert [t["status"] for t in trials] == ["finished", "finished"] + ["failed"] * 6
    assert trials[2]["message"] == "ZeroDivisionError: no, that\nwill not do"
    assert "in failing" in json.loads((tmp_path / "search/trials/0003/trial.json").read_text())["traceback"]
    assert table(tmp_path / "search")[2] | {"message": ""} == {
        "trial": "0003", "components": "1", "ridge": "0.01", "mAP validation": "", "selected_step": "",
        "status": "failed", "message": "",
    }
    assert search(Search(GRID, "grid"), None) == trials  # nothing is tried again by itself
    shutil.rmtree(tmp_path / "search/trials/0003")
    again = search(Search(GRID, "grid"), smooth)
    assert [t["status"] for t in again] == ["finished"] * 3 + ["failed"] * 5 and again[3:] == trials[3:]


@pytest.mark.parametrize("change", [
    lambda text: "",
    lambda text: text[: len(text) // 2],
    lambda text: "Infinity",
    lambda text: text.replace('"trial"', '"NaNal"'),
    lambda text: text.replace('"0002"', '"0003"'),
    lambda text: text.replace('"values"', '"v<lues"'),
    lambda text: text.replace('"varied": ""', '"varied": 3'),
    lambda text: text.replace('"ridge"', '"radge"'),
    lambda text: text.replace("1.0", "null"),
    lambda text: text.replace("1.0", "0.7"),
    lambda text: text.replace('"components": 1', '"components": true'),
    lambda text: text.replace("finished", "fin4shed"),
    lambda text: text.replace('"validation_mAP"', '"val"'),
    lambda text: text.replace("0.5", "NaN"),
    lambda text: text.replace("0.5", '"0.5"'),
    lambda text: text.replace('"selected_step"', '"step"'),
    lambda text: text.replace('"message"', '"massage"'),
    lambda text: json.dumps(json.loads(text) | {"values": 0}),
    lambda text: json.dumps({k: v for k, v in json.loads(text).items() if k != "values"}),
])
def test_a_damaged_trial(change, search, tmp_path):
    """Guards against a traceback, a wrong table, and advice that loses what the trial has trained."""
    trials = search(Search(GRID, "grid"), lambda settings: 0.5)
    path = tmp_path / "search/trials/0002/trial.json"
    text = path.read_text()
    assert change(text) != text
    path.write_text(change(text))
    with pytest.raises(InputError) as error:
        search(Search(GRID, "grid"), None)
    message = str(error.value)
    assert message.startswith(f"{path}: is damaged (") and "move it elsewhere and start the search again" in message
    path.rename(tmp_path / "moved.json")
    again = search(Search(GRID, "grid"), lambda settings: 0.5)  # the remedy
    assert [t | {"seconds": 1.0} for t in again] == trials


def test_a_full_disk_is_no_failure_of_a_trial(search, tmp_path):
    """Guards against trials that are marked as failed, one after the other, because the disk is full."""
    made = []

    def full(settings):
        made.append(settings)
        if len(made) == 3:
            raise OSError(28, "No space left on device", "a file")
        return smooth(settings)

    with pytest.raises(OSError, match="No space left"):
        search(Search(GRID, "grid"), full)
    assert len(list((tmp_path / "search/trials").iterdir())) == 3
    assert {t["status"] for t in search(Search(GRID, "grid"), smooth)} == {"finished"}


def test_all_fail(search, tmp_path):
    """Guards against a best.cfg of a failed trial."""
    trials = search(Search(GRID, "grid"), None)
    assert {t["status"] for t in trials} == {"failed"} and tuner.best(trials) is None
    assert not (tmp_path / "search/best.cfg").exists() and len(table(tmp_path / "search")) == 8


def test_one_factor_table(search, tmp_path):
    """What a plot of each factor needs: the varied setting's rows, and the first."""
    search(Search(GRID, "one_factor"), smooth)
    rows = table(tmp_path / "search")
    assert [(r["varied"], r["components"], r["ridge"]) for r in rows] == [
        ("", "10", "0.01"), ("components", "1", "0.01"), ("components", "2", "0.01"), ("components", "3", "0.01"),
        ("ridge", "10", "1.0"),
    ]


def test_progress(search, capsys, monkeypatch):
    """Guards against a best that is the latest, and a time left that forgets the present trial; a trial takes 90 s."""
    clock = iter(range(0, 9000, 90))
    monkeypatch.setattr(tuner.time, "monotonic", lambda: next(clock))
    search(Search({"components": (10, 3, 1)}, "grid"), smooth)
    lines = [line for line in capsys.readouterr().out.splitlines() if line.startswith("trial")]
    assert lines == [
        "trial 1/3  components=10",
        "trial 2/3  components=3  best 0.430 (trial 0001)  3 min left",
        "trial 3/3  components=1  best 0.500 (trial 0002)  1 min 30 s left",
    ]


def test_refused_searches_claim_no_folder(data, tmp_path):
    """Guards against a corrected command being refused because of the first, wrong one."""
    rule, what = protocol.make("standard", data), Search(GRID)
    with pytest.raises(InputError, match=r"--validation_fraction=0.001: leaves 0 of 60"):
        search_real(CCA, CCASettings(), what, data, rule, tmp_path / "run", RunOptions(validation_fraction=0.001))
    with pytest.raises(InputError, match="batch_size=4000"):
        search_real(MS2GAN, dataclasses.replace(SMALL, batch_size=4000), Search({"tau": (1.0,)}), data, rule, tmp_path / "run")
    assert not (tmp_path / "run").exists()


def test_items_are_held_out_where_nobody_asked(data, tmp_path):
    """As with --validation_fraction=.1, which stands in the flags: guards against trials that cannot be evaluated."""
    rule, what, found = protocol.make("standard", data), Search({"components": (1, 2)}), []
    for name, fraction in (("asked", 0.1), ("not", 0.0)):
        options = RunOptions(validation_fraction=fraction)
        trials = search_real(CCA, CCASettings(), what, data, rule, tmp_path / name, options, flags={})
        found.append([t["validation_mAP"] for t in trials])
    assert found[0] == found[1]
    assert "--validation_fraction=0.1" in (tmp_path / "not/trials/0001/flags.cfg").read_text()


def test_a_folder_holds_one_search(search):
    """Guards against a table of two searches."""
    search(Search(GRID, "grid", 2), smooth)
    for what in (Search(GRID, "random", 2), Search({"components": (1, 2)}, "grid", 2)):
        with pytest.raises(InputError, match="holds a run of another configuration: --(grid|search)="):
            search(what, smooth)


def test_the_measure(data, tmp_path):
    """A closed-form trial is fitted without the validation items and measured among them: here once more by hand."""
    rule = protocol.make("zero_shot", data)  # of the seen classes alone
    trials = search_real(CCA, CCASettings(feature_norm="none"), Search(GRID), data, rule, tmp_path / "run")
    training = rule.training_data(data, 0.3)
    assert set(training.splits["validation"].labels["image"]) == {0, 1, 2}  # numbered anew
    for trial in trials:
        method = CCA(CCASettings(**trial["values"])).learn(training)
        held = training.splits["validation"]
        x, t = (method.represent(m, held.features[m]) for m in ("image", "text"))
        labels = held.labels["image"]
        expected = [evaluation.mean_average_precision(*pair, labels, labels) for pair in ((x, t), (t, x))]
        assert trial["validation_mAP"] == pytest.approx(np.mean(expected))
    assert tuner.best(trials)["validation_mAP"] == max(t["validation_mAP"] for t in trials)


@pytest.mark.usefixtures("eagerly")
def test_the_test_split_has_no_say(data, tmp_path):
    """Guards against test metrics made or kept in a search: noise in place of the test items changes nothing."""
    rule, rng = protocol.make("standard", data), np.random.default_rng(1)
    test = data.splits["test"]
    noise = Split.of_pairs({m: rng.normal(size=f.shape) for m, f in test.features.items()}, test.labels["image"])
    found = []
    options = dataclasses.replace(OPTIONS, eval_every=2)
    for i, version in enumerate((data, dataclasses.replace(data, splits=data.splits | {"test": noise}))):
        folder = tmp_path / str(i)
        search_real(MS2GAN, SMALL, Search({"tau": (1.0, 4.0)}), version, rule, folder, options)
        found.append(table(folder))
        for trial in (folder / "trials").iterdir():
            results = json.loads((trial / "results.json").read_text())
            assert results["metrics"] == [] and results["selected_step"] in (3, 6)
            assert not list(trial.glob("projector*"))  # it shows test items
            events = EventAccumulator(str(trial), size_guidance={"tensors": 0}).Reload()
            tags = events.Tags()["tensors"]
            assert "validation_mAP/all image to text" in tags and not any("test" in tag for tag in tags)
    assert found[0] == found[1]


def test_a_trial_is_no_run_with_test_figures(data, tmp_path):
    """Guards against a trial's folder that passes for a run whose test metrics were forgotten."""
    rule = protocol.make("standard", data)
    run(CCA, CCASettings(), data, rule, tmp_path / "run", dataclasses.replace(OPTIONS, test=False))
    with pytest.raises(InputError, match="holds a trial of a search, without test metrics"):
        run(CCA, CCASettings(), data, rule, tmp_path / "run", OPTIONS)


@pytest.mark.usefixtures("eagerly")
def test_the_best_again(data, tmp_path):
    """Guards against a trial that is no ordinary run: the same settings give the same step and validation mAP."""
    rule = protocol.make("standard", data)
    what = Search({"learning_rate": (1e-3, 1e-2), "without": ((), ("sd", "c"))})
    trials = search_real(MS2GAN, SMALL, what, data, rule, tmp_path / "run")
    best = tuner.best(trials)
    again = run(MS2GAN, dataclasses.replace(SMALL, **best["values"]), data, rule, tmp_path / "again", OPTIONS)
    assert (again["selected_step"], again["validation_mAP"]) == (best["selected_step"], best["validation_mAP"])
    assert [m["num_queries"] for m in again["metrics"]] == [24, 24]
    lines = (tmp_path / "run/best.cfg").read_text().splitlines()
    assert f"--learning_rate={best['values']['learning_rate']}" in lines
    assert f"--run_dir={tmp_path}/run/best" in lines


@pytest.mark.usefixtures("eagerly")
def test_stopped_between_the_last_step_and_the_results(data, tmp_path, monkeypatch):
    """Guards against the measure lost with the training's state: it is of the weights that were kept."""
    rule, what = protocol.make("standard", data), Search({"tau": (1.0,)})
    straight = search_real(MS2GAN, SMALL, what, data, rule, tmp_path / "straight")
    real = Checkpoints.finish

    def stop(checkpoints, data):
        real(checkpoints, data)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Checkpoints, "finish", stop)
        search_real(MS2GAN, SMALL, what, data, rule, tmp_path / "run")
    again = search_real(MS2GAN, SMALL, what, data, rule, tmp_path / "run")
    assert [t | {"seconds": 0} for t in again] == [t | {"seconds": 0} for t in straight]


@pytest.mark.usefixtures("eagerly")
def test_pairs_of_modalities(make_data, tmp_path):
    """A trial of many modalities is a run for each pair: the measure is the mean over all directions."""
    data = make_data(classes=3, train=60, test=24, dims={"image": 4, "text": 3, "audio": 2}, noise=1.0)
    rule = protocol.make("standard", data)
    trials = search_real(
        MS2GAN, SMALL, Search({"tau": (4.0,)}), data, rule, tmp_path / "run", runner=run_pairs
    )
    pairs = [json.loads(p.read_text())["validation_mAP"] for p in tmp_path.glob("run/trials/0001/*-*/results.json")]
    assert len(pairs) == 3 and trials[0]["validation_mAP"] == pytest.approx(np.mean(pairs))


AVERAGE = "final_validation/mAP average"


def test_tensorboard(data, tmp_path):
    """Guards against an HParams page without a trial, or with one twice; a failed one says so."""
    what = Search({"components": (2, 3), "feature_norm": ("none", "l2")})
    rule = protocol.make("standard", data)

    def runner(method_class, settings, *rest):
        if settings.components == 3 and settings.feature_norm == "l2":
            raise ValueError("no")
        return run(method_class, settings, *rest)

    trials = search_real(CCA, CCASettings(components=2), what, data, rule, tmp_path, runner=runner)
    search_real(CCA, CCASettings(components=2), what, data, rule, tmp_path, runner=runner)
    assert len(list(tmp_path.rglob("*.results"))) == 4
    for trial in trials:
        folder = tmp_path / "trials" / trial["trial"] / "final"
        events = EventAccumulator(str(folder), size_guidance={"tensors": 0}).Reload()
        start, end = (
            events.SummaryMetadata(tag).plugin_data.content
            for tag in (metadata.SESSION_START_INFO_TAG, metadata.SESSION_END_INFO_TAG)
        )
        session = metadata.parse_session_start_info_plugin_data(start)
        assert session.group_name == f"{trial['trial']} in {tmp_path / 'trials'}"
        assert session.hparams["components"].number_value == trial["values"]["components"]
        assert session.hparams["feature_norm"].string_value == trial["values"]["feature_norm"]
        failed = trial["status"] == "failed"
        ended = metadata.parse_session_end_info_plugin_data(end)
        assert ended.status == (api_pb2.STATUS_FAILURE if failed else api_pb2.STATUS_SUCCESS)
        tags = events.Tags()["tensors"]
        assert (AVERAGE in tags) != failed and not any("test" in tag for tag in tags)
        if not failed:
            value = tf.make_ndarray(events.Tensors(AVERAGE)[0].tensor_proto)
            assert value == pytest.approx(trial["validation_mAP"])
