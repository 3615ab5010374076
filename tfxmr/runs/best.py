"""The weights that were best on validation items, and when a training ends early for want of better ones."""
import math
from typing import Any

import keras
import tensorflow as tf

from tfxmr.core.errors import NotFinite
from tfxmr.data import MultiModalData
from tfxmr.engine import distribution
from tfxmr.engine.logs import SHOWN
from tfxmr.evaluation.protocol import Protocol, Task
from tfxmr.models.base import Method
from tfxmr.runs import selection
from tfxmr.runs.tracking import Tracker


class Best:
    """The weights of the best measurement so far, part of the checkpointed state of a run.

    Args:
      method: tfxmr.models.base.Method.

    Attributes:
      value: the best `selection.score`; -1 before the first measurement.
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
    """Takes `selection.score` of the validation split after each epoch and the last step; ends what stagnates.

    Args:
      best: Best.
      tasks: as `selection.validation_tasks` gives them.
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
        value = selection.score(retriever, self.tasks, self.protocol, self.data)
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
