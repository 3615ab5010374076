"""The trackers of one run: --tracker, found by its name and guarded, and several told as one."""
import pathlib
import sys
from collections.abc import Mapping
from typing import Any

from tfxmr.core import display, outside
from tfxmr.core.errors import InputError
from tfxmr.runs.options import RunOptions
from tfxmr.runs.tracking import RunFacts, Tracker


class Several(Tracker):
    """Tells several trackers.

    Args:
      trackers: in the order in which they are told.
    """

    def __init__(self, *trackers: Tracker) -> None:
        self.trackers = trackers

    def begin(self, run: RunFacts) -> None:
        """As Tracker.begin."""
        for tracker in self.trackers:
            tracker.begin(run)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """As Tracker.metrics."""
        for tracker in self.trackers:
            tracker.metrics(step, values)

    def text(self, step: int, name: str, text: str) -> None:
        """As Tracker.text."""
        for tracker in self.trackers:
            tracker.text(step, name, text)

    def artefact(self, path: pathlib.Path) -> None:
        """As Tracker.artefact."""
        for tracker in self.trackers:
            tracker.artefact(path)

    def end(self, step: int, final: Mapping[str, float], results: dict[str, Any]) -> None:
        """As Tracker.end."""
        for tracker in self.trackers:
            tracker.end(step, final, results)

    def close(self, error: BaseException | None = None) -> None:
        """As Tracker.close."""
        for tracker in self.trackers:
            tracker.close(error)


class Guarded(Tracker):
    """A tracker whose failures end no run: the first is told of, once.

    One that has failed is left alone until the run ends, since a server that does not answer would hold up every step.

    Args:
      name: what --tracker says.
      tracker: the one that may fail.
    """

    def __init__(self, name: str, tracker: Tracker) -> None:
        self.name = name
        self.tracker = tracker
        self.begun = self.failed = False

    def begin(self, run: RunFacts) -> None:
        """As Tracker.begin; if it fails, the tracker is told nothing of this run."""
        self.begun = self._tell("begin", run)

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """As Tracker.metrics."""
        if self.begun and not self.failed:
            self._tell("metrics", step, values)

    def text(self, step: int, name: str, text: str) -> None:
        """As Tracker.text."""
        if self.begun and not self.failed:
            self._tell("text", step, name, text)

    def artefact(self, path: pathlib.Path) -> None:
        """As Tracker.artefact."""
        if self.begun and not self.failed:
            self._tell("artefact", path)

    def end(self, step: int, final: Mapping[str, float], results: dict[str, Any]) -> None:
        """As Tracker.end."""
        if self.begun:
            self._tell("end", step, final, results)

    def close(self, error: BaseException | None = None) -> None:
        """As Tracker.close."""
        if self.begun:
            self._tell("close", error)

    def _tell(self, what: str, *arguments: Any) -> bool:
        """Calls a method of the tracker. Returns whether it went well."""
        try:
            getattr(self.tracker, what)(*arguments)
            return True
        except Exception as error:  # whatever a user's code, or a server, may come to
            if not self.failed:
                reason = f"{type(error).__name__}: {error}".splitlines()[0]
                display.say(f"tfxmr: warning: --tracker={self.name}: {what} failed ({reason}); the run continues "
                            "without it", 2, sys.stderr)
            self.failed = True
            return False


def of(options: RunOptions) -> list[Tracker]:
    """The trackers that a run's options name, guarded: one or none. Raises InputError as `find`."""
    return [Guarded(options.tracker, find(options.tracker))] if options.tracker else []


def find(name: str) -> Tracker:
    """The tracker that --tracker names.

    Args:
      name: "mlflow", or MODULE:CLASS, where the current folder is importable as for `python -m`.

    Raises:
      InputError: MLflow is not installed, there is no such module or class, or it is no tracker.
    """
    if name == "mlflow":
        try:
            from tfxmr.runs.mlflow_tracker import MLflow
        except ImportError as error:
            raise InputError(f"--tracker=mlflow: needs MLflow ({error}); pip install 'tfxmr[mlflow]'") from error
        return MLflow()
    example = "my_package.my_module:MyTracker"
    if ":" not in name:
        raise InputError(f"--tracker={name}: give mlflow, or a class of your own as MODULE:CLASS, such as {example}")
    module, class_name = outside.module_of("tracker", name, example)
    found = getattr(module, class_name, None)
    if not (isinstance(found, type) and issubclass(found, Tracker)):
        what = "is not there" if found is None else "is no subclass of tfxmr.runs.tracking.Tracker"
        raise InputError(f"--tracker={name}: {class_name} {what}")
    try:
        return found()
    except Exception as error:  # its author's
        reason = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(f"--tracker={name}: {class_name}() fails ({reason}); it is made without arguments") from error
