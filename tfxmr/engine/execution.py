"""Training in steps, any number of them in one call of TensorFlow, under any strategy."""
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfxmr.core import stopping
from tfxmr.core.errors import NotFinite


class StepwiseModel(keras.Model):
    """A Keras model whose training is counted in steps. A subclass has `train_step(batch)`, which adds 1 to `step`.

    Attributes:
      step: tf.Variable, steps trained so far.
    """

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        once = tf.VariableAggregation.ONLY_FIRST_REPLICA  # all replicas count the same step
        self.step = tf.Variable(0, dtype=tf.int64, trainable=False, name="step", aggregation=once)

    @property
    def steps_done(self) -> int:
        """Steps trained so far, an int."""
        return int(self.step.numpy())

    @property
    def metrics(self) -> list:
        """None: `train_step` logs its losses itself, and retrieval metrics come from the evaluator."""
        return []

    def make_step_function(self) -> None:
        """Makes `step_function`: (iterator of batches, number of steps) -> (the last step's logs (L,), if it failed).

        It ends at a step that `failed`. One loop for any number of steps, and for any strategy, so that the arithmetic
        is always the same. Keras' own train function knows neither several steps under MirroredStrategy nor several
        machines.
        """
        one_step = self.make_one_step()

        def execute(batches: Any, count: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
            return tf.while_loop(
                lambda i, logs, failed: tf.logical_and(i < count, tf.logical_not(failed)),
                lambda i, logs, failed: (i + 1, *one_step(next(batches))), (0, tf.zeros([0]), tf.constant(False)),
                shape_invariants=(tf.TensorShape([]), tf.TensorShape([None]), tf.TensorShape([])),
                parallel_iterations=1,
            )[1:]

        self.step_function = execute if self.run_eagerly else tf.function(execute, autograph=False)

    def make_one_step(self) -> Callable[[Any], list[tf.Tensor]]:
        """Makes the function of one step: a batch -> (the step's logs (L,), named `log_names`; if it failed)."""
        strategy = self.distribute_strategy
        train_step = tf.function(self.train_step, jit_compile=True) if self.jit_compile else self.train_step

        def checked_step(batch: Any) -> tuple[tf.Tensor, tf.Tensor]:
            logs = train_step(batch)
            self.log_names = list(logs)
            return tf.stack(list(logs.values())), self.failed(logs)

        def one_step(batch: Any) -> list[tf.Tensor]:
            made = strategy.run(checked_step, args=(batch,))
            return [strategy.experimental_local_results(value)[0] for value in made]

        return one_step

    def failed(self, logs: dict[str, Any]) -> tf.Tensor:
        """True, a scalar tensor, if a step's logs (name -> scalar) hold what is not finite and should be."""
        return tf.logical_not(tf.reduce_all(tf.math.is_finite(tf.stack(list(logs.values())))))

    def failure(self, logs: dict[str, Any]) -> str:
        """What `failed` in the present step's logs (name -> float), in words."""
        names = [name for name, value in logs.items() if not math.isfinite(value)]
        return f"{', '.join(names)} not finite at step {self.steps_done}"

    def take_steps(
        self, batches: Any, callbacks: Sequence[keras.callbacks.Callback] = (), steps_per_execution: int = 1,
        stops: Iterable[int] = (),
    ) -> None:
        """Trains on every batch of a dataset, in its order; the loop of a run, where keras.Model.fit is a user's.

        Args:
          batches: tf.data.Dataset of known length, of batches as `train_step` takes them; under a strategy they are
            the whole batches, of which every replica takes its share.
          callbacks: keras.callbacks.Callback objects; of their methods, those of the training's and batches' begin
            and end are called, once an execution, with the logs of its last step.
          steps_per_execution: steps that TensorFlow takes in one call, at most.
          stops: periods in steps; an execution ends at every multiple of each, for callbacks that act there.

        Raises:
          NotFinite: after the first step that `failed`; no callback has seen that step.
          KeyboardInterrupt: a signal came that asks to stop; between two executions, with their callbacks.
        """
        told = keras.callbacks.CallbackList(list(callbacks), model=self)
        iterator, last = iter(batches), self.steps_done + int(batches.cardinality())
        self.stop_training = False
        told.on_train_begin()
        while (step := self.steps_done) < last and not self.stop_training:
            count = min(steps_per_execution, last - step, *(period - step % period for period in stops))
            stopping.check()
            with stopping.held():
                told.on_train_batch_begin(step)
                logs, failed = self.step_function(iterator, tf.constant(count))
                logs = dict(zip(self.log_names, logs.numpy(), strict=True))
                if failed:
                    raise NotFinite(self.failure(logs))
                told.on_train_batch_end(step + count - 1, logs)
        told.on_train_end()
