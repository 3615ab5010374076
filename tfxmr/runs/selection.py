"""Selection on validation: which step's weights a run keeps, and when it ends early. It never sees a test item."""
import dataclasses
import math
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfxmr import evaluation
from tfxmr.core.errors import NotFinite
from tfxmr.core.settings import Settings
from tfxmr.data import MultiModalData, Split
from tfxmr.engine import distribution
from tfxmr.engine.logs import SHOWN
from tfxmr.evaluation.protocol import Protocol, Task
from tfxmr.evaluation.retriever import Retriever
from tfxmr.models.base import Method
from tfxmr.runs import results
from tfxmr.runs.options import RunOptions
from tfxmr.runs.tracking import Tracker

RECALLS = ("hit@1", "hit@5", "hit@10")  # that count on data without classes, as in VSE++ (Faghri et al., BMVC 2018)
SHARE = 0.1  # of the training items, held out where a run needs some and nothing else is said


def selects(settings: Settings) -> bool:
    """True if a method with these settings keeps the weights that are best on validation items, see `score`."""
    return getattr(settings, "select", "last") == "validation"


def held_out(protocol: Protocol, settings: Settings, data: MultiModalData, options: RunOptions) -> float:
    """The share of the training items that a run holds out for validation: what is asked for, or else what is needed.

    Where nothing is asked for and the data have no validation split, a run that selects on validation, or a trial of a
    search, holds out `SHARE`, of small data at least one item.

    Args:
      protocol: tfxmr.evaluation.protocol.Protocol.
      settings: the method's settings.
      data: MultiModalData.
      options: tfxmr.runs.run.RunOptions.

    Returns:
      float in [0, 1].
    """
    needed = selects(settings) or not options.test
    if options.validation_fraction or "validation" in data.splits or not needed:
        return options.validation_fraction
    labels = data.splits["train"].labels.values()
    smallest = min(len(of_modality) - np.isin(of_modality, protocol.unseen).sum() for of_modality in labels)
    return max(SHARE, 1 / max(1, int(smallest)))


def training_data(
    protocol: Protocol, settings: Settings, data: MultiModalData, options: RunOptions
) -> MultiModalData:
    """What a run trains on, as Protocol.training_data gives it, with the items that it holds out for validation.

    Args: as in `held_out`.
    """
    return protocol.training_data(data, held_out(protocol, settings, data, options), options.seed)


def describe(
    protocol: Protocol, settings: Settings, data: MultiModalData, options: RunOptions, training: MultiModalData
) -> str:
    """Says in a few lines what will be measured and what is trained on, as results.describe does, and what is held out.

    Args: as in `held_out`, the protocol as `declare` gives it; `training` as `training_data` gives it.
    """
    lines = [results.describe(data, protocol, training)]
    if protocol.held_out:
        why = "" if options.validation_fraction else (
            f", a share of {protocol.held_out:g}, as dataset {data.name} has no validation split and "
            + ("--select=validation needs one" if selects(settings) else "a search compares its trials on one")
        )
        lines.append(f"held out   {training.size('validation')} for validation{why}")
    return "\n".join(lines)


def declare(protocol: Protocol, settings: Settings, data: MultiModalData, options: RunOptions) -> Protocol:
    """The protocol, stating what a run chooses the training step on and the share that it holds out.

    Args: as in `held_out`.
    """
    selected_on = "validation" if selects(settings) else "none"
    return dataclasses.replace(
        protocol, selected_on=selected_on, held_out=held_out(protocol, settings, data, options)
    )


def validation_tasks(data: MultiModalData) -> list[Task]:
    """Retrieval within the validation split of training data, in every direction."""
    return Protocol("standard", "validation").tasks(data, "validation")


def measured(data: MultiModalData) -> str:
    """What results.json calls the metric by which steps and trials of training data are compared, see `score`."""
    return "validation_recalls" if data.instances else "validation_mAP"


def score(retriever: Retriever, tasks: list[Task], protocol: Protocol, data: MultiModalData) -> float:
    """The metric by which steps and trials are compared: mean mAP, or on data without classes the sum of recalls.

    Args:
      retriever: tfxmr.evaluation.Retriever.
      tasks: as `validation_tasks` gives them.
      protocol: tfxmr.evaluation.protocol.Protocol, whose similarity applies.
      data: the training data.

    Returns:
      `mean_map`, in [0, 1]; or the sum over all tasks of `RECALLS`, in [0, 6] for images and sentences.
    """
    training = data.splits["train"]
    if not data.instances:
        return mean_map(retriever, tasks, protocol, training)
    found = evaluation.evaluate(retriever, tasks, protocol, training, RECALLS)
    return float(sum(result["value"] for result in found if result["metric"] in RECALLS))


def mean_map(retriever: Retriever, tasks: list[Task], protocol: Protocol, training: Split) -> float:
    """The mean over all tasks of their mAP.

    Args:
      retriever: tfxmr.evaluation.Retriever.
      tasks: as `validation_tasks` gives them.
      protocol: tfxmr.evaluation.protocol.Protocol, whose similarity applies.
      training: Split of the training items, for protocols that normalise by them.
    """
    return float(np.mean([result["value"] for result in evaluation.evaluate(retriever, tasks, protocol, training)]))


class Best:
    """The weights of the best measurement so far, part of the checkpointed state of a run.

    Args:
      method: tfxmr.models.base.Method.

    Attributes:
      value: the best `score`; -1 before the first measurement.
      step: the step after which it was measured; 0 before the first measurement.
      measured: the step of the last measurement.
      stale: measurements since the best one.
    """

    def __init__(self, method: Method) -> None:
        self.method = method
        self.value = tf.Variable(-1.0, dtype=tf.float64, trainable=False)
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.measured = tf.Variable(0, dtype=tf.int64, trainable=False)
        self.stale = tf.Variable(0, dtype=tf.int64, trainable=False)
        self._networks = {
            name: [tf.Variable(v, trainable=False) for v in variables]
            for name, variables in method.network_state().items()
        }

    def state(self) -> tf.train.Checkpoint:
        """All of it, as one tf.train.Checkpoint."""
        counters = {name: getattr(self, name) for name in ("value", "step", "measured", "stale")}
        return tf.train.Checkpoint(networks=self._networks, **counters)

    def weights(self) -> tf.train.Checkpoint:
        """What `use` needs of it, as one tf.train.Checkpoint."""
        return tf.train.Checkpoint(networks=self._networks, value=self.value)

    @property
    def exhausted(self) -> bool:
        """True if the last `patience` measurements, over `patience_steps` or more, brought nothing better."""
        settings = self.method.settings
        steps = int(self.measured) - int(self.step)
        return 0 < settings.patience <= int(self.stale) and settings.patience_steps <= steps

    @tf.function
    def record(self, value: tf.Tensor) -> None:
        """Takes the present weights if `value`, a float64 scalar tensor, is better than all before; else keeps its own.

        As one graph, so that an interrupt finds the measurement noted whole or not at all.
        """
        self.measured.assign(self.method.step)
        self.stale.assign_add(1)
        if value > self.value:
            self.stale.assign(0)
            self.value.assign(value)
            self.step.assign(self.method.step)
            for kept, present in self._pairs():
                kept.assign(present)

    def use(self) -> None:
        """Puts the best weights into the method; without a measurement (or of a finished run), leaves it alone."""
        if self.value >= 0:
            for kept, present in self._pairs():
                present.assign(kept)

    def _pairs(self) -> list[tuple[tf.Variable, tf.Variable]]:
        present = self.method.network_state()
        return [pair for name in present for pair in zip(self._networks[name], present[name], strict=True)]


class SelectBest(keras.callbacks.Callback):
    """Takes the `score` of the validation split after every epoch and the last step; ends training when it stagnates.

    Args:
      best: Best.
      tasks: as `validation_tasks` gives them.
      protocol: tfxmr.evaluation.protocol.Protocol, whose similarity applies.
      data: the training data.
      tracker: which is told.
      every: steps of an epoch.
      total: steps of the whole training.
    """

    def __init__(
        self, best: Best, tasks: list[Task], protocol: Protocol, data: MultiModalData,
        tracker: Tracker, every: int, total: int,
    ) -> None:
        super().__init__()
        self.best = best
        self.tasks = tasks
        self.protocol = protocol
        self.data = data
        self.tracker = tracker
        self.every = every
        self.total = total
        self.latest: float | None = None

    def due(self) -> bool:
        """True if the present step is one to be measured at."""
        step = self.best.method.steps_done
        return step % self.every == 0 or step == self.total

    def measure(self) -> None:
        """Measures at the present step, if it is one to be measured at and has not been."""
        step = self.best.method.steps_done
        if step == int(self.best.measured) or not self.due():
            return
        self.best.method.require_finite()
        retriever = self.best.method.retriever(self.data)
        value = score(retriever, self.tasks, self.protocol, self.data)
        self.best.record(tf.constant(value, tf.float64))
        self.latest = value
        name = f"{SHOWN}/validation recalls" if self.data.instances else "validation_mAP/average"
        self.tracker.metrics(step, {name: value})

    def told(self) -> str:
        """The latest and the best measurement in words, "validation mAP 0.412 (best 0.431, epoch 8)"; "" of none."""
        if self.best.value < 0:
            return ""
        best = f"best {float(self.best.value):.3f}, epoch {math.ceil(int(self.best.step) / self.every)}"
        latest = "" if self.latest is None else f" {self.latest:.3f}"
        return f"validation {'recalls' if self.data.instances else 'mAP'}{latest} ({best})"

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Measures if it is time, and ends the training if it is time for that, all workers with the chief."""
        if self.due():
            strategy, failure = self.best.method.distribute_strategy, None
            if distribution.is_chief(strategy):
                try:
                    self.measure()
                except NotFinite as error:
                    failure = error
            # all workers come here, whatever the chief found
            self.model.stop_training = distribution.from_chief(strategy, bool(failure or self.best.exhausted))
            if failure:
                raise failure
