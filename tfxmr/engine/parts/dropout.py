"""Dropout whose masks depend on the seed given alone, never on a generator hidden in the layer."""
from typing import Any

import keras
import tensorflow as tf


def dropout(x: tf.Tensor, rate: float, seed: tf.Tensor | None) -> tf.Tensor:
    """Sets entries of x to 0 with probability `rate` and divides the others by 1 - rate.

    Args:
      x: any shape.
      rate: in [0, 1).
      seed: int32 (2,); None returns x as it is.

    Returns:
      x's shape; float32 where anything was dropped.
    """
    if seed is None or not rate:
        return x
    # 16 bits would draw masks of another rate
    return tf.nn.experimental.stateless_dropout(tf.cast(x, tf.float32), rate, seed)


class Dropout(keras.layers.Layer):
    """Dropout as a layer. It draws for the whole batch, so it has no `row_axis`: each replica applies it to all rows.

    Args:
      rate: probability that an entry is dropped, in [0, 1).

    Raises:
      ValueError: another rate.
    """

    def __init__(self, rate: float, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if not 0 <= rate < 1:
            raise ValueError(f"rate={rate}: must be >= 0 and < 1")
        self.rate = rate
        self.built = True

    def call(self, x: tf.Tensor, seed: tf.Tensor | None = None) -> tf.Tensor:
        """See `dropout`."""
        return dropout(x, self.rate, seed)
