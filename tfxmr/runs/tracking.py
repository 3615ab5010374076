"""What is told of a run while it goes: to TensorBoard (board.py), and to the tracker that --tracker names.

A tracker of your own is a subclass of Tracker, which overrides what it needs, and --tracker=MODULE:CLASS.
"""
import dataclasses
import pathlib
from collections.abc import Iterable, Mapping
from typing import Any

# What `tfxmr.runs.selection.score` gives of a whole run or trial: name in results.json -> that of trackers.
VALIDATION = {
    "validation_mAP": "final_validation/mAP average", "validation_recalls": "final_validation/sum of recalls",
}

Value = bool | int | float | str  # of a parameter


@dataclasses.dataclass(frozen=True)
class RunFacts:
    """What is known of a run when it begins.

    Attributes:
      folder: the run's.
      parameters: model, dataset, protocol, seed and all settings of the method, name -> value.
      description: what is measured, by which protocol and on which data, in lines of words.
      command: the command that trains, evaluates or resumes the run.
      flags: the lines of its flags.cfg.
      texts: "protocol" and "losses", the fields of Protocol and what the method's paper calls its losses, as JSON.
      trial: True of a trial of a search, which is never scored on test items.
    """

    folder: pathlib.Path
    parameters: Mapping[str, Value]
    description: str
    command: str
    flags: tuple[str, ...]
    texts: Mapping[str, str] = dataclasses.field(default_factory=dict)
    trial: bool = False


class Tracker:
    """Follows one run; a subclass overrides what it needs. Of several workers, the first alone has trackers.

    Names of metrics are words with at most one "/", such as "validation_mAP/all image to text", "G_F/recovery" and,
    at the end, "final_test/mAP image to text all".
    """

    def begin(self, run: RunFacts) -> None:
        """Called first: when the run begins, and again by each command that resumes it.

        Args:
          run: RunFacts.
        """

    def metrics(self, step: int, values: Mapping[str, float]) -> None:
        """Called while a neural method trains, every --log_every steps and when something is measured.

        A run that resumes from a checkpoint takes the steps since then again, and tells them again.

        Args:
          step: training steps taken.
          values: name -> value.
        """

    def text(self, step: int, name: str, text: str) -> None:
        """Called with what a stage of the training decided when it began.

        Args:
          step: training steps taken.
          name: what the text is about, such as "decision/STAGE".
          text: Markdown.
        """

    def artefact(self, path: pathlib.Path) -> None:
        """Called with each file of the run folder that is worth keeping, when the run has ended.

        Args:
          path: of the file.
        """

    def end(self, step: int, final: Mapping[str, float], results: dict[str, Any]) -> None:
        """Called when the run has ended well, before its results.json is written.

        Args:
          step: whose weights the results are of; 0 of a closed-form method.
          final: name -> value of the final metrics: as `final_metrics` gives them, and of a run with validation items
            one of VALIDATION.
          results: what results.json will hold.
        """

    def close(self, error: BaseException | None = None) -> None:
        """Called last, whatever happened.

        Args:
          error: what stopped the run, such as KeyboardInterrupt; None if it has ended well.
        """


def final_metrics(metrics: Iterable[Mapping[str, Any]]) -> dict[str, float]:
    """The metrics of the test items by name.

    Args:
      metrics: as `tfxmr.evaluation.evaluate` gives them.

    Returns:
      "final_test/METRIC TASK CLASSES" -> value, and "final_test_chance/METRIC TASK CLASSES" -> that of a random
      ranking where it is known.
    """
    found = {}
    for metric in metrics:
        name = f"{metric['metric']} {metric['task'].replace('->', ' to ')} {metric['classes']}"
        found[f"final_test/{name}"] = metric["value"]
        if metric["chance"] is not None:
            found[f"final_test_chance/{name}"] = metric["chance"]
    return found
