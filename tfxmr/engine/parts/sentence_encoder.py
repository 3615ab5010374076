"""Sentences as states of a GRU, and the marks before their first and after their last word."""
from typing import Any

import keras
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.engine import randomness
from tfxmr.engine.parts.recurrent import RecurrentEncoder
from tfxmr.engine.parts.word_table import WordTable

START, END = "<start>", "<end>"  # as `tfxmr extract --text_features=words` calls its marks


def with_marks(words: tf.Tensor, start: int, end: int) -> tf.Tensor:
    """`words`, int (B, T), 0 after the last, between the marks `start` and `end`: (B, T + 2)."""
    count = tf.reduce_sum(tf.cast(words > 0, tf.int32), axis=1, keepdims=True)
    place = tf.range(words.shape[1] + 2)[None]
    marked = tf.where(place == count + 1, end, tf.pad(words, ((0, 0), (1, 1))))
    return tf.where(place == 0, start, marked)


class SentenceEncoder(keras.layers.Layer):
    """A sentence as the state of a GRU after its last word, that is the end mark where it has one.

    Args:
      words: V.
      units: width of the GRU.
      width: of learned word vectors.
      table: float (V + 1, e), fixed vectors in their place, or None.
      init: of the GRU, see tfxmr.engine.parts.recurrent.
      cut: True runs to the longest sentence of a batch alone, whose length is not known before (nor to XLA): data are
        padded to their longest, and a batch rarely has it.
      seed: of the initial weights.
    """

    row_axis = 0

    def __init__(
        self, words: int, units: int, *, width: int = 300, table: NDArray | None = None, init: str = "glorot",
        cut: bool = False, seed: int, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.cut = cut
        policy = self.dtype_policy
        self.table = WordTable(
            words, width, table=table, seed=randomness.derive(seed, 0), name="words", dtype=policy
        )
        self.encoder = RecurrentEncoder(
            self.table.width, units, init=init, seed=randomness.derive(seed, 1), name="gru", dtype=policy
        )
        self.built = True

    def call(self, words: tf.Tensor) -> tf.Tensor:
        """Word numbers int (B, T), 0 after the last, to float32 (B, units)."""
        if self.cut:
            longest = tf.reduce_max(tf.reduce_sum(tf.cast(words > 0, tf.int32), axis=1))
            words = words[:, : tf.maximum(longest, 1)]
        return self.encoder(self.table(words), words > 0)
