"""Tests of trackers: what they are told, that their failures end no run, and MLflow's own."""
import json
import pathlib
import re

import pytest

from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.core.errors import InputError
from tfxmr.evaluation import protocol
from tfxmr.runs import trackers
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run
from tfxmr.runs.tracking import RunFacts, Tracker

TOLD = []  # (method, arguments) in their order


class Recording(Tracker):
    """Notes all that it is told."""

    def begin(self, run):
        TOLD.append(("begin", run))

    def metrics(self, step, values):
        TOLD.append(("metrics", (step, dict(values))))

    def artefact(self, path):
        TOLD.append(("artefact", path))

    def end(self, step, final, results):
        TOLD.append(("end", (step, dict(final), results)))

    def close(self, error=None):
        TOLD.append(("close", error))


class Failing(Recording):
    """As a server that went away."""

    def metrics(self, step, values):
        super().metrics(step, values)
        raise ConnectionError("no answer\nfor long")


class Broken(Tracker):
    def begin(self, run):
        raise OSError("no store")

    def end(self, step, final, results):
        TOLD.append("end")


@pytest.fixture(autouse=True)
def _empty():
    TOLD.clear()


@pytest.fixture
def data(make_data):
    return make_data(classes=5, train=60, test=30)


def fit(data, folder, **options):
    return run(CCA, CCASettings(), data, protocol.make("standard", data), folder, RunOptions(**options))


def test_what_a_tracker_is_told_of_a_run(data, tmp_path):
    """Guards against final metrics without chance, parameters that lack the seed, and a tracker that is not closed."""
    results = fit(data, tmp_path / "run", seed=3, tracker=f"{__name__}:Recording", validation_fraction=0.2)
    names = [name for name, _ in TOLD]
    assert names == ["begin", "artefact", "artefact", "artefact", "end", "close"]
    facts = TOLD[0][1]
    assert facts.folder == tmp_path / "run" and "flags.cfg" in facts.command
    assert {"model": "cca", "seed": 3, "protocol": "standard", "ridge": CCASettings().ridge}.items() <= facts.parameters.items()
    assert [path.name for _, path in TOLD[1:4]] == ["flags.cfg", "features_manifest.json", "README.md"]
    step, final, told = TOLD[-2][1]
    assert step == 0 and told == results == json.loads((tmp_path / "run/results.json").read_text())
    for metric in results["metrics"]:
        name = f"mAP {metric['task'].replace('->', ' to ')} all"
        assert final[f"final_test/{name}"] == metric["value"] and final[f"final_test_chance/{name}"] == metric["chance"]
    assert set(final) - {f"final_test{kind}/mAP {task} all" for kind in ("", "_chance") for task in ("image to text", "text to image")} == {
        "final_validation/mAP average"
    }
    TOLD.clear()
    fit(data, tmp_path / "run", seed=3, tracker=f"{__name__}:Recording", validation_fraction=0.2)
    assert not TOLD  # a finished run is read back


def test_a_failing_tracker_is_told_of_once(capsys):
    """Guards against a training that ends because a server does, a warning a step, and a lost end."""
    guarded = trackers.Guarded("mlflow", Failing())
    guarded.begin(None)
    for step in (1, 2):
        guarded.metrics(step, {"loss": 1.0})
    guarded.artefact(None)
    guarded.end(2, {}, {})
    guarded.close()
    assert [name for name, _ in TOLD] == ["begin", "metrics", "end", "close"]
    assert capsys.readouterr().err == (
        "tfxmr: warning: --tracker=mlflow: metrics failed (ConnectionError: no answer); the run continues without it\n"
    )


def test_a_run_whose_tracker_cannot_begin(data, tmp_path, capsys):
    results = fit(data, tmp_path / "run", tracker=f"{__name__}:Broken")
    assert results == fit(data, tmp_path / "run") and TOLD == []
    assert capsys.readouterr().err.count("begin failed (OSError: no store)") == 1


def test_an_error_reaches_the_tracker(data, tmp_path, monkeypatch):
    """Guards against a run that a tracker shows as running for ever."""
    def interrupted(self, *_, **__):
        raise KeyboardInterrupt

    monkeypatch.setattr(CCA, "learn", interrupted)
    with pytest.raises(KeyboardInterrupt):
        fit(data, tmp_path / "run", tracker=f"{__name__}:Recording")
    assert [name for name, _ in TOLD] == ["begin", "close"] and isinstance(TOLD[-1][1], KeyboardInterrupt)


@pytest.mark.parametrize(("name", "message"), [
    ("wandb", "--tracker=wandb: give mlflow, or a class of your own as MODULE:CLASS"),
    ("no_such_module:Mine", "--tracker=no_such_module:Mine: there is no module no_such_module"),
    (f"{__name__}:TOLD", "TOLD is no subclass of tfxmr.runs.tracking.Tracker"),
    (f"{__name__}:Missing", "Missing is not there"),
    ("a b:c", "write a module's name"),
])
def test_refused_before_any_work(data, tmp_path, name, message):
    with pytest.raises(InputError, match=message):
        fit(data, tmp_path / "run", tracker=name)
    assert not (tmp_path / "run").exists()


@pytest.fixture(scope="module")
def store(tmp_path_factory):
    """A place for MLflow's database, whose tables take seconds to make."""
    return tmp_path_factory.mktemp("mlflow")


@pytest.fixture
def client(store, monkeypatch):
    """MLflow's client of a store of the tests' own."""
    mlflow = pytest.importorskip("mlflow", reason="MLflow is not installed: pip install 'tfxmr[mlflow]'")
    pytest.importorskip("sqlalchemy", reason="MLflow keeps local runs by SQLAlchemy: pip install 'tfxmr[mlflow]'")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"sqlite:///{store}/mlflow.db")
    monkeypatch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    monkeypatch.chdir(store)  # where its artefacts are by default
    mlflow.set_tracking_uri(None)
    return mlflow.MlflowClient()


def steps(client, run_id, name):
    return [(point.step, point.value) for point in client.get_metric_history(run_id, name)]


def test_mlflow_has_the_run(client, data, tmp_path):
    results = fit(data, tmp_path / "runs/seed_0", tracker="mlflow", metrics=("P@5",))
    kept = json.loads((tmp_path / "runs/seed_0/mlflow.json").read_text())
    found = client.get_run(kept["run_id"])
    assert found.info.status == "FINISHED" and found.info.run_name == "runs/seed_0"
    assert found.data.params["model"] == "cca" and found.data.params["ridge"] == str(CCASettings().ridge)
    assert found.data.tags["series"] == str(tmp_path / "runs") and "protocol" in found.data.tags["mlflow.note.content"]
    for metric in results["metrics"]:
        name = f"{metric['metric'].replace('@', '_')} {metric['task'].replace('->', ' to ')} all"
        assert found.data.metrics[f"final_test/{name}"] == metric["value"]
    assert {a.path for a in client.list_artifacts(kept["run_id"])} == {
        "flags.cfg", "features_manifest.json", "results.json", "encoder",
    }


def test_mlflow_continues_a_run(client, tmp_path):
    """Guards against a second run for one that resumes, and against points that are there twice."""
    from tfxmr.runs.mlflow_tracker import MLflow

    facts = RunFacts(tmp_path, {"model": "dscmr", "units": ""}, "words", "tfxmr train", ())
    for taken in ((10, 20, 30), (20, 30, 40)):
        tracker = MLflow()
        tracker.begin(facts)
        for step in taken:
            tracker.metrics(step, {"joint/sd": step / 10})
        tracker.close(KeyboardInterrupt())
    run_id = json.loads((tmp_path / "mlflow.json").read_text())["run_id"]
    assert steps(client, run_id, "joint/sd") == [(step, step / 10) for step in (10, 20, 30, 40)]
    experiment = client.get_experiment_by_name("tfxmr").experiment_id
    found = client.search_runs([experiment], f"tags.folder = '{tmp_path}'")
    assert [one.info.status for one in found] == ["KILLED"]


def test_the_tracker_of_the_documentation(data, tmp_path, monkeypatch):
    """Guards against an example in the docs that does not run."""
    page = (pathlib.Path(__file__).parents[2] / "docs/tensorboard.md").read_text()
    (code,) = re.findall(r"```python\n(.*?)```", page, re.S)
    (tmp_path / "my_documented_tracker.py").write_text(code)
    monkeypatch.syspath_prepend(tmp_path)
    results = fit(data, tmp_path / "run", tracker="my_documented_tracker:Lines")
    first, last = map(json.loads, (tmp_path / "run/log.jsonl").read_text().splitlines())
    assert first["parameters"]["model"] == "cca"
    assert last["final"]["final_test/mAP image to text all"] == results["metrics"][0]["value"]
