"""Vectors of words by their numbers, learned or fixed."""
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.wording import counted


def look_up(table: tf.Tensor, ids: tf.Tensor) -> tf.Tensor:
    """Rows of a table whose gradient is a whole table, as optimizers and replicas take it; tf.gather's is by rows.

    Args:
      table: (V + 1, e).
      ids: int (...), 0 to V.

    Returns:
      (..., e).
    """
    rows = table.shape[0]

    @tf.custom_gradient
    def read(table: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def backward(upstream: tf.Tensor) -> tf.Tensor:
            flat = tf.reshape(tf.cast(upstream, tf.float32), (-1, upstream.shape[-1]))
            return tf.cast(tf.math.unsorted_segment_sum(flat, tf.reshape(ids, (-1,)), rows), table.dtype)

        return tf.gather(table, ids), backward

    return read(table)


def add_table(layer: keras.layers.Layer, words: int, width: int, table: NDArray | None, seed: int) -> tf.Variable:
    """Adds the weight "table" to a layer: a vector for each of the words 1..V, row 0 for padding.

    Args:
      layer: that keeps it.
      words: V.
      width: e of learned vectors, uniform from +-.1 at first, as word embeddings of VSE++ and others begin.
      table: float (V + 1, e), fixed vectors, in the place of learned ones; or None.
      seed: of the initial vectors.

    Returns:
      The weight, (V + 1, e).

    Raises:
      ValueError: a table of another number of words.
    """
    if table is not None and len(table) != words + 1:
        raise ValueError(f"table of {counted(len(table), 'row')}: must have {words + 1:,}, padding first")
    fixed = None if table is None else np.asarray(table, np.float32)
    uniform = keras.initializers.RandomUniform(-0.1, 0.1, seed=seed)
    return layer.add_weight(
        shape=(words + 1, width) if fixed is None else fixed.shape, trainable=fixed is None, name="table",
        initializer=uniform if fixed is None else (lambda shape, dtype=None: tf.constant(fixed, dtype)),
    )


class WordTable(keras.layers.Layer):
    """A vector for each of the words 1..V; number 0 is padding, of which nothing is to be learned: mask it.

    Args:
      words, width, table, seed: see `add_table`.
    """

    row_axis = 0

    def __init__(
        self, words: int, width: int = 300, *, table: NDArray | None = None, seed: int = 0, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.table = add_table(self, words, width, table, seed)
        self.width = self.table.shape[1]
        self.built = True

    def call(self, ids: tf.Tensor) -> tf.Tensor:
        """int (..., T) to float (..., T, e)."""
        return look_up(tf.convert_to_tensor(self.table), ids)
