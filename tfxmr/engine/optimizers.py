"""Adam as TensorFlow 1 had it, in one pass over the memory, SGD, and RMSprop as Torch has it; all with an L2 penalty.

And learning rates: Caffe's, a player's, and one that follows the steps of the training, not one optimizer's updates.
"""
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf


class Adam(keras.optimizers.Adam):
    """keras.optimizers.Adam with the update of a variable done by one fused kernel.

    The mathematics, the slots and the checkpoint are Keras'; the separate element-wise operations of Keras cost
    about four times the time on a CPU, which at 180 million parameters and batch 64 rivals the matrix products.

    Args:
      *args, **kwargs: of keras.optimizers.Adam.
      l2: see `penalised`.
      epsilon_corrected: False adds epsilon to the square root of the second moment as it is, as TensorFlow does; True,
        as PyTorch does, after its bias correction, where the same epsilon counts less: by sqrt(1 - beta_2^t) at step t,
        .03 at first and .8 at step 1,000.
    """

    def __init__(self, *args: Any, l2: float = 0.0, epsilon_corrected: bool = False, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.l2, self.epsilon_corrected = l2, epsilon_corrected

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """Updates one variable and its two slots; `gradient` has its shape, `learning_rate` is a scalar."""
        i = self._get_variable_index(variable)
        step = tf.cast(self.iterations + 1, variable.dtype)
        beta2_power = tf.pow(tf.constant(self.beta_2, variable.dtype), step)
        tf.raw_ops.ResourceApplyAdam(
            var=variable.handle,
            m=self._momentums[i].value.handle,
            v=self._velocities[i].value.handle,
            beta1_power=tf.pow(tf.constant(self.beta_1, variable.dtype), step),
            beta2_power=beta2_power,
            lr=tf.cast(learning_rate, variable.dtype),
            beta1=self.beta_1,
            beta2=self.beta_2,
            epsilon=self.epsilon * (tf.sqrt(1 - beta2_power) if self.epsilon_corrected else 1.0),
            grad=penalised(gradient, variable, self.l2),
        )


class SGD(keras.optimizers.SGD):
    """keras.optimizers.SGD with an L2 penalty that passes through the momentum, as Caffe's solver has it.

    With g the gradient plus l2 times the weights: v <- momentum v - rate g; w <- w + v. Keras' own weight_decay
    shrinks the weights beside the momentum, at momentum .9 a tenth of this penalty.

    Args:
      *args, **kwargs: of keras.optimizers.SGD.
      l2: see `penalised`.
      initial_momentum: momentum m_0 at step 0, from which it rises to m = `momentum` as m - (m - m_0) exp(-t / rise) at
        step t; None: it is `momentum` throughout.
      rise: steps.
    """

    def __init__(
        self, *args: Any, l2: float = 0.0, initial_momentum: float | None = None, rise: int = 10_000, **kwargs: Any,
    ) -> None:
        super().__init__(*args, **kwargs)
        self.l2, self.initial_momentum, self.rise = l2, initial_momentum, rise

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """Updates one variable and its slot; `gradient` has its shape, `learning_rate` is a scalar."""
        gradient = penalised(gradient, variable, self.l2)
        if self.initial_momentum is None:
            super().update_step(gradient, variable, learning_rate)
            return
        gap = (self.momentum - self.initial_momentum) * tf.exp(-tf.cast(self.iterations, tf.float32) / self.rise)
        velocity = self.momentums[self._get_variable_index(variable)]
        velocity.assign((self.momentum - gap) * velocity - tf.cast(learning_rate, variable.dtype) * gradient)
        variable.assign_add(velocity)


class RMSprop(keras.optimizers.RMSprop):
    """RMSprop with epsilon outside the root, as Torch has it.

    With gradient g: v <- rho v + (1 - rho) g^2; w <- w - rate g / (sqrt(v) + epsilon).

    Keras divides by sqrt(v + epsilon): there 1e-8 acts as 1e-4 does here and stops weights of small gradients.
    TensorFlow's fused kernel has Keras' form, so this is done by separate operations.

    Args:
      learning_rate: float or schedule.
      rho: share of the mean square that a step leaves, in [0, 1).
      epsilon: > 0.
      l2: see `penalised`.
      **kwargs: of keras.optimizers.RMSprop, but for momentum and centered.

    Raises:
      ValueError: momentum or centered is asked for.
    """

    def __init__(
        self, learning_rate: Any = 1e-3, rho: float = 0.99, epsilon: float = 1e-8, *, l2: float = 0.0, **kwargs: Any,
    ) -> None:
        if kwargs.get("momentum") or kwargs.get("centered"):
            raise ValueError("RMSprop with epsilon outside the root takes no momentum, no centered: omit them")
        super().__init__(learning_rate, rho=rho, epsilon=epsilon, **kwargs)
        self.l2 = l2

    def update_step(self, gradient: tf.Tensor, variable: Any, learning_rate: Any) -> None:
        """Updates one variable and its slot; `gradient` has its shape, `learning_rate` is a scalar."""
        gradient = penalised(tf.convert_to_tensor(gradient), variable, self.l2)
        velocity = self._velocities[self._get_variable_index(variable)]
        velocity.assign(self.rho * velocity + (1 - self.rho) * tf.square(gradient))
        root = tf.sqrt(tf.convert_to_tensor(velocity)) + self.epsilon
        variable.assign_sub(tf.cast(learning_rate, variable.dtype) * gradient / root)


class InverseDecay(keras.optimizers.schedules.LearningRateSchedule):
    """Caffe's "inv" policy: rate (1 + gamma t)^-power at step t.

    Args:
      rate: at step 0, > 0.
      gamma: >= 0.
      power: >= 0.
    """

    def __init__(self, rate: float, gamma: float = 1e-4, power: float = 0.75) -> None:
        super().__init__()
        self.rate, self.gamma, self.power = rate, gamma, power

    def __call__(self, step: Any) -> tf.Tensor:
        """The rate at `step`, a scalar float32 tensor."""
        return self.rate * (1 + self.gamma * tf.cast(step, tf.float32)) ** -self.power

    def get_config(self) -> dict[str, float]:
        """The arguments."""
        return {"rate": self.rate, "gamma": self.gamma, "power": self.power}


class BySteps(keras.optimizers.schedules.LearningRateSchedule):
    """A schedule over the steps of a training, of which each may hold several updates of one optimizer, or none.

    Keras' own schedules count an optimizer's updates. Two updates in a step would halve an epoch, and a gradient that
    float16's loss scale skips would lengthen it.

    Args:
      schedule: a schedule of Keras.
      step: tf.Variable, steps trained so far.
    """

    def __init__(self, schedule: keras.optimizers.schedules.LearningRateSchedule, step: Any) -> None:
        super().__init__()
        self.schedule, self.step = schedule, step

    def __call__(self, updates: Any) -> tf.Tensor:
        """The rate at the present step, whatever the number of `updates`."""
        return self.schedule(self.step)


class ByStages(keras.optimizers.schedules.LearningRateSchedule):
    """A learning rate times a factor that depends on the stage of the training, by its steps.

    Args:
      rate: float, or a schedule of Keras over the optimizer's updates.
      step: tf.Variable, steps trained so far.
      ends: the steps at which the stages but the last end.
      factors: of each stage.
    """

    def __init__(self, rate: Any, step: Any, ends: Sequence[int], factors: Sequence[float]) -> None:
        super().__init__()
        self.rate, self.step, self.ends, self.factors = rate, step, list(ends), list(factors)

    def __call__(self, updates: Any) -> tf.Tensor:
        """The rate at the present step, after a number of updates."""
        stage = tf.reduce_sum(tf.cast(self.step >= tf.constant(self.ends, tf.int64), tf.int32)) if self.ends else 0
        rate = self.rate if isinstance(self.rate, float) else self.rate(updates)
        return tf.cast(rate, tf.float32) * tf.gather(tf.constant(self.factors, tf.float32), stage)


def penalised(gradient: tf.Tensor, variable: Any, l2: float) -> tf.Tensor:
    """The gradient of loss + l2 / 2 ||W||^2 for a `variable` W, a matrix; biases and other vectors stay as they are."""
    return gradient + l2 * tf.convert_to_tensor(variable) if l2 and len(variable.shape) > 1 else gradient
