"""Tells MLflow of runs: --tracker=mlflow. Where it keeps them say MLflow's own environment variables."""
import os
import pathlib
import re
import time
from collections.abc import Mapping
from typing import Any

from mlflow import MlflowClient
from mlflow.entities import Metric, Param
from mlflow.exceptions import MlflowException

from tfxmr.core.files import read_json, to_json, write_text
from tfxmr.runs.tracking import RunFacts, Tracker

STATE = "mlflow.json"  # in the run folder: which run of MLflow's this is
PARAMS = 100  # that MLflow takes at once


class MLflow(Tracker):
    """One run of MLflow for each run folder; a run that resumes continues its own."""

    def begin(self, run: RunFacts) -> None:
        """Creates MLflow's run, or opens the one that the run folder knows."""
        self.client = MlflowClient()
        self.run_id = self._known(run.folder / STATE)
        self._resumed = self.run_id is not None
        self._last: dict[str, int] = {}  # step of each metric
        if self.run_id is None:
            self.run_id = self._create(run)
            kept = {"run_id": self.run_id, "tracking_uri": self.client.tracking_uri}
            write_text(run.folder / STATE, to_json(kept))
        self.client.update_run(self.run_id, status="RUNNING")

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Logs a point of each, unless the run logged that step before it was killed."""
        now = int(1000 * time.time())
        named = {re.sub(r"[^\w\-. :/]", "_", name): float(value) for name, value in values.items()}
        points = [Metric(name, value, now, step) for name, value in named.items() if step > self._last_step(name)]
        self.client.log_batch(self.run_id, metrics=points)
        self._last |= {point.key: step for point in points}

    def text(self, step: int, name: str, text: str) -> None:
        """Keeps the text as a file."""
        self.client.log_text(self.run_id, text, f"{name}.txt")

    def artefact(self, path: pathlib.Path) -> None:
        """Keeps the file; a model card in the folder of its encoder."""
        self.client.log_artifact(self.run_id, str(path), path.parent.name if path.name == "README.md" else None)

    def end(self, step: int, final: Mapping[str, float], results: dict[str, Any]) -> None:
        """Logs the final metrics and keeps results.json. Arguments as in Tracker."""
        self.metrics(step, final)
        self.client.log_dict(self.run_id, results, "results.json")

    def close(self, error: BaseException | None = None) -> None:
        """Says how the run ended: well, by an error, or by a signal, after which it can resume."""
        status = "FINISHED" if error is None else "FAILED" if isinstance(error, Exception) else "KILLED"
        self.client.set_terminated(self.run_id, status)

    def _known(self, path: pathlib.Path) -> str | None:
        """The run that a run folder knows; None of one that is new, or whose run is not in this store."""
        if not path.exists():
            return None
        kept = read_json(path, "move it elsewhere, and MLflow gets another run of the same parameters")
        try:
            return self.client.get_run(kept["run_id"]).info.run_id
        except MlflowException as error:
            if error.error_code == "RESOURCE_DOES_NOT_EXIST":
                return None
            raise

    def _create(self, run: RunFacts) -> str:
        tags = {"mlflow.note.content": run.description, "command": run.command, "folder": str(run.folder)}
        if run.folder.name.startswith("seed_") or run.trial:
            # Not as children of a parent: the runs of a series may be trained by several processes at once.
            tags["series"] = str(run.folder.parent)
        name = "/".join(run.folder.parts[-2:])
        created = self.client.create_run(self._experiment(), tags=tags, run_name=name).info.run_id
        params = [Param(name, str(value)) for name, value in run.parameters.items()]
        for i in range(0, len(params), PARAMS):
            self.client.log_batch(created, params=params[i : i + PARAMS])
        return created

    def _experiment(self) -> str:
        name = os.environ.get("MLFLOW_EXPERIMENT_NAME", "tfxmr")
        try:
            found = self.client.get_experiment_by_name(name)
            return found.experiment_id if found else self.client.create_experiment(name)
        except MlflowException as error:
            if error.error_code != "RESOURCE_ALREADY_EXISTS":  # by another process in this moment
                raise
            return self.client.get_experiment_by_name(name).experiment_id

    def _last_step(self, name: str) -> int:
        """The last step of a metric that MLflow has; -1 of none."""
        if name not in self._last:
            points = self.client.get_metric_history(self.run_id, name) if self._resumed else []
            self._last[name] = max((point.step for point in points), default=-1)
        return self._last[name]
