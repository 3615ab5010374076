"""What is shown and logged while a method trains."""
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np
import rich.console
import rich.progress
import rich.text

from tfxmr import evaluation
from tfxmr.data import MultiModalData
from tfxmr.engine.logs import SHOWN
from tfxmr.evaluation.protocol import Protocol, Task
from tfxmr.runs import selection
from tfxmr.runs.tracking import Tracker


def read_losses(logs: Mapping[str, Any]) -> dict[str, float]:
    """Groups a step's logs by player: "G_F" -> its total loss, without gradient norms and what is only shown."""
    totals: dict[str, float] = {}
    for name, value in logs.items():
        player, _, part = name.partition("/")
        if part != "gradient_norm" and player != SHOWN:
            totals[player] = totals.get(player, 0.0) + float(value)
    return totals


class _TwoLines(rich.progress.Progress):
    """A progress bar with a line of text below it, so that both fit into 80 columns."""

    text = ""

    def get_renderables(self) -> Iterator[rich.console.RenderableType]:
        """The bar, then the text."""
        yield self.make_tasks_table(self.tasks)
        yield rich.text.Text(self.text)


class _Console(rich.console.Console):
    """A console that raises BrokenPipeError, where rich's ends the process before the training is saved."""

    def on_broken_pipe(self) -> None:
        """Called by rich while it handles the error."""
        raise


class Progress(keras.callbacks.Callback):
    """A progress bar with speed, time left and each player's loss; plain lines where there is no terminal.

    Args:
      total: steps of the whole training.
      label: text before the bar.
    """

    def __init__(self, total: int, label: str) -> None:
        super().__init__()
        self.total = total
        self.label = label
        self.every = max(1, total // 10)  # of the lines
        self.console = _Console()

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Shows the bar, at the step where a run resumes."""
        progress = rich.progress
        self.bar = _TwoLines(
            progress.TextColumn("{task.description}"),
            progress.BarColumn(bar_width=20),
            progress.MofNCompleteColumn(),
            progress.TextColumn("{task.fields[speed]}"),
            progress.TimeElapsedColumn(),
            progress.TextColumn("left"),
            progress.TimeRemainingColumn(),
            console=self.console,
            disable=not self.console.is_terminal,
        )
        start = self.model.steps_done
        self.task = self.bar.add_task(self.label, total=self.total, completed=start, speed="")
        self.bar.start()

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Moves the bar; without a terminal, prints a line every tenth of the way."""
        step = self.model.steps_done
        losses = "  ".join(f"{player} {value:.3g}" for player, value in read_losses(logs).items())
        if self.console.is_terminal:
            self.bar.text = losses
            speed = self.bar.tasks[self.task].speed
            self.bar.update(self.task, completed=step, speed=f"{speed:.2f} steps/s" if speed else "")
        elif step % self.every == 0 or step == self.total:
            self.console.print(f"{self.label} step {step}/{self.total}  {losses}", soft_wrap=True)

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Closes the bar."""
        self.bar.stop()


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
        self.tracker.metrics(step, {name: float(value) for name, value in {**logs, **rates}.items()})


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
