"""Attention over the places of a map or the words of a sentence."""
from typing import Any

import keras
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.layers import Dense, matmul
from tfxmr.engine.parts.dropout import dropout


def masked_softmax(scores: tf.Tensor, valid: tf.Tensor | None = None) -> tf.Tensor:
    """The softmax of scores (B, T) over the valid places (bool (B, T)), 0 elsewhere; zeros where a row has none."""
    if valid is None:
        return tf.nn.softmax(scores)
    scores = tf.where(valid, scores, scores.dtype.min)
    scores -= tf.stop_gradient(tf.reduce_max(scores, axis=-1, keepdims=True))
    powers = tf.where(valid, tf.exp(scores), 0.0)
    # 1 at least where a place is valid: the largest score gives exp(0)
    return powers / tf.maximum(tf.reduce_sum(powers, axis=-1, keepdims=True), 0.5)


class Attention(keras.layers.Layer):
    """sum over j of a_j h_j, a = softmax over the valid places of w^T tanh(W h_j + b), or of w^T tanh(h_j).

    Args:
      dim: width d of h.
      seed: of the initial weights, which are drawn as Glorot and Bengio do.
      stddev: standard deviation of the normal initial w in place of that; None: none.
      hidden: True has W (d, d) and b; False applies tanh to h itself, as the code of MCSM and RCBT does.
      keep: probability that dropout keeps an entry after tanh, in (0, 1].
    """

    row_axis = 0

    def __init__(
        self, dim: int, *, seed: int, hidden: bool = True, keep: float = 1.0, stddev: float | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = 1.0 - keep
        weights = randomness.derive(seed, 0)
        self.hidden = Dense((dim,), dim, None, weights, name="hidden", dtype=self.dtype_policy) if hidden else None
        own = randomness.derive(seed, 1)
        glorot = keras.initializers.GlorotUniform(seed=own)
        initial = glorot if stddev is None else keras.initializers.RandomNormal(0.0, stddev, seed=own)
        self.vector = self.add_weight(shape=(dim, 1), initializer=initial, name="vector")
        self.built = True

    def row_parts(self) -> list[keras.layers.Layer]:
        """The layer itself; with dropout, which is drawn for the whole batch, W alone."""
        return [self] if not self.rate else [self.hidden] if self.hidden else []

    def call(
        self, h: tf.Tensor, valid: tf.Tensor | None = None, seed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Pools the places.

        Args:
          h: (B, T, d).
          valid: bool (B, T); None: all places are.
          seed: int32 (2,) of the dropout mask; None switches dropout off.

        Returns:
          The pooled (B, d) and the weights a (B, T), both float32; zeros for a row without a valid place.
        """
        activity = dropout(tf.tanh(h if self.hidden is None else self.hidden(h)), self.rate, seed)
        vector = tf.convert_to_tensor(self.vector)
        scores = tf.cast(matmul(tf.cast(activity, vector.dtype), vector), tf.float32)[..., 0]
        weights = masked_softmax(scores, valid)
        if valid is not None:
            h = tf.where(valid[..., None], h, 0.0)  # 0 times infinity at padding would be NaN
        return tf.einsum("bt,btd->bd", weights, tf.cast(h, tf.float32)), weights
