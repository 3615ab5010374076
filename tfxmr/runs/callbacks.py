"""What is shown and logged while a method trains."""
import sys
from collections.abc import Callable, Mapping
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfxmr import evaluation
from tfxmr.core import progress
from tfxmr.data import MultiModalData
from tfxmr.engine.logs import SHOWN
from tfxmr.evaluation.protocol import Protocol, Task
from tfxmr.runs import selection
from tfxmr.runs.tracking import Tracker


def read_losses(logs: Mapping[str, Any]) -> dict[str, float]:
    """Groups a step's logs by player: "G_F" -> its total loss, without gradient norms and what is only shown."""
    totals: dict[str, float] = {}
    for name, value in minimised(logs).items():
        player = name.partition("/")[0]
        totals[player] = totals.get(player, 0.0) + value
    return totals


def minimised(logs: Mapping[str, Any]) -> dict[str, float]:
    """A step's losses, "G_F/adversarial" -> value: its logs without gradient norms and what is only shown."""
    parts = {name: name.partition("/") for name in logs}
    return {name: float(logs[name]) for name, (player, _, part) in parts.items()
            if part != "gradient_norm" and player != SHOWN}


class Progress(keras.callbacks.Callback):
    """A bar on a terminal, else a line every half minute: speed, time left, losses, and the mAP of validation items.

    Of several players the total loss of each is told, of one player its losses, by the names of their paper.

    Args:
      total: steps of the whole training.
      label: text before the bar.
      validation: gives what is known of the validation items in words, "" if nothing is.
    """

    def __init__(self, total: int, label: str, validation: Callable[[], str] = str) -> None:
        super().__init__()
        self.validation = validation
        self.every = max(1, total // 10)  # steps in which an execution ends at least, or nothing could be shown
        self.shown = progress.Progress(label, "step", total, sys.stdout, log=True)
        self.logs: Mapping[str, Any] = {}  # of the last step

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begins to show."""
        self.shown.__enter__()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Shows the step, if it is time."""
        self.logs = logs
        self.shown.update(self.model.steps_done, text=self.text)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Shows the last step, and closes the bar; a second call does nothing."""
        self.shown.finish(self.text)
        self.shown.__exit__()

    def text(self) -> str:
        """The losses of the last step, and what is known of the validation items."""
        losses = read_losses(self.logs)
        if len(losses) == 1:
            parts = {name.partition("/")[2]: value for name, value in minimised(self.logs).items()}
            losses = {self.model.loss_names.get(name, name.replace("_", " ")): v for name, v in parts.items()}
        told = [f"{name} {value:.3g}" for name, value in losses.items()]
        return "  ".join([*told, *filter(None, [self.validation()])])


class Summaries(keras.callbacks.Callback):
    """Tells trackers each player's losses, gradient norms and learning rate, and what a method shows beside.

    Args:
      tracker: which is told.
      every: steps between two points.
    """

    def __init__(self, tracker: Tracker, every: int) -> None:
        super().__init__()
        self.tracker = tracker
        self.every = every

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Tells a point if it is time."""
        step = self.model.steps_done
        if step % self.every:
            return
        rates = {f"{player}/learning_rate": optimizer.learning_rate
                 for player, optimizer in self.model.player_optimizers.items()}
        # By a tensor, as replicas' copies of a variable are no number.
        values = {name: float(tf.convert_to_tensor(value)) for name, value in {**logs, **rates}.items()}
        self.tracker.metrics(step, values)


class RetrievalMetrics(keras.callbacks.Callback):
    """Measures mean average precision while training and tells trackers; it chooses nothing.

    Args:
      tasks: name of a group of tasks ("validation", "test") -> list of tfxmr.evaluation.protocol.Task.
      protocol: tfxmr.evaluation.protocol.Protocol.
      data: the training data.
      tracker: which is told.
      every: steps between two measurements.
    """

    def __init__(
        self, tasks: Mapping[str, list[Task]], protocol: Protocol, data: MultiModalData,
        tracker: Tracker, every: int,
    ) -> None:
        super().__init__()
        self.tasks = tasks
        self.protocol = protocol
        self.data = data
        self.tracker = tracker
        self.every = every

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures if it is time."""
        step = self.model.steps_done
        if step % self.every:
            return
        if not self.model.finite():
            return  # a step, or the end of the training, says so to all workers
        retriever, training = self.model.retriever(self.data), self.data.splits["train"]
        found = {}
        for group, tasks in self.tasks.items():
            for result in evaluation.evaluate(retriever, tasks, self.protocol, training):
                found[f"{group}_mAP/{result['classes']} {result['task'].replace('->', ' to ')}"] = result["value"]
        self.tracker.metrics(step, found)


class ValidationMAP(keras.callbacks.Callback):
    """For keras.Model.fit: adds `val_mAP` to the logs of an epoch, the mean mAP over all directions of retrieval.

    It stands before the callbacks that look at it: Keras shows a callback what those before it have added, and a
    ModelCheckpoint(save_best_only=True) that misses what it monitors saves every epoch.

    Args:
      data: the training data, MultiModalData with a split "validation".
      protocol: tfxmr.evaluation.protocol.Protocol whose similarity applies; None takes the standard one.
    """

    def __init__(self, data: MultiModalData, protocol: Protocol | None = None) -> None:
        super().__init__()
        self.data = data
        self.tasks = selection.validation_tasks(data)
        self.protocol = protocol or Protocol("standard", "validation")

    def on_epoch_end(self, epoch: int, logs: Any = None) -> None:
        """Measures; weights that are not finite have the mAP nan, which is better than no other."""
        value = np.nan
        if self.model.finite():
            retriever, training = self.model.retriever(self.data), self.data.splits["train"]
            value = selection.mean_map(retriever, self.tasks, self.protocol, training)
        logs["val_mAP"] = value
