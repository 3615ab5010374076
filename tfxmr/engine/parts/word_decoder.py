"""A generator of sentences: log p(w_1 ... w_T | c) = sum over t of log p(w_t | w_1 ... w_(t - 1), c)."""
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.engine import randomness
from tfxmr.engine.layers import Dense
from tfxmr.engine.parts.recurrent import LSTM
from tfxmr.engine.parts.word_table import add_table, look_up


class WordDecoder(keras.layers.Layer):
    """An LSTM whose first output is the condition and whose later ones are scored against the words.

    Sentences are ids 1..V, `start` first and `end` last, then 0 as padding. The input words' vectors are learned,
    unless a table of them is given.

    Args:
      words: V.
      units: width of the condition and of the LSTM.
      start: id of the mark before the first word.
      end: id of the mark after the last word.
      seed: of the initial weights.
      word_dim: width of learned word vectors, uniform from +-.1 at first.
      table: float (V + 1, e), fixed word vectors, row 0 for padding; None: they are learned.

    Raises:
      ValueError: marks outside of 1..V, or a table of another number of words.
    """

    row_axis = 0

    def __init__(
        self, words: int, units: int, *, start: int, end: int, seed: int, word_dim: int = 300,
        table: NDArray | None = None, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not (1 <= start <= words and 1 <= end <= words and start != end):
            raise ValueError(f"start={start}, end={end}: must be two ids in 1 to {words}")
        self.start, self.end = start, end
        self.table = add_table(self, words, word_dim, table, randomness.derive(seed, 0))
        policy = self.dtype_policy
        self.lstm = LSTM(self.table.shape[1], units, seed=randomness.derive(seed, 1), name="lstm", dtype=policy)
        self.output_layer = Dense((units,), words, None, randomness.derive(seed, 2), name="output", dtype=policy)
        self.built = True

    def call(self, condition: tf.Tensor, sentences: tf.Tensor) -> tf.Tensor:
        """-log p of each sentence, every word given its true predecessors.

        Args:
          condition: c (B, units).
          sentences: int (B, T), T >= 2. The start mark is not scored, the end mark is, padding is not.

        Returns:
          float32 (B,), >= 0; (words and end mark) ln V where all words are equally likely. 0 without words.
        """
        given, targets = sentences[:, :-1], sentences[:, 1:]
        outputs = self.lstm(look_up(tf.convert_to_tensor(self.table), given), given > 0, initial=condition)
        logits = tf.cast(self.output_layer(outputs), tf.float32)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(tf.maximum(targets - 1, 0), logits)
        return tf.reduce_sum(tf.where(targets > 0, losses, 0.0), axis=1)

    def greedy(self, condition: tf.Tensor, length: int) -> tf.Tensor:
        """Sentences of which each word is the most likely one after the words before it.

        Args:
          condition: (B, units).
          length: of the sentences, both marks included, >= 2.

        Returns:
          int32 (B, length): start mark, words, end mark unless `length` cuts it off, padding. Not differentiated.
        """
        return self._generate(condition, length, lambda t, logits: tf.argmax(logits, axis=1, output_type=tf.int32))

    def sample(self, condition: tf.Tensor, length: int, seed: tf.Tensor) -> tf.Tensor:
        """Sentences drawn word by word from the decoder's distribution; see `greedy`.

        Args:
          condition: (B, units).
          length: >= 2.
          seed: int32 (2,).
        """

        def draw(t: tf.Tensor, logits: tf.Tensor) -> tf.Tensor:
            drawn = tf.random.stateless_categorical(logits, 1, randomness.fold_in(seed, t), dtype=tf.int32)
            return drawn[:, 0]

        return self._generate(condition, length, draw)

    def _generate(
        self, condition: tf.Tensor, length: int, choose: Callable[[tf.Tensor, tf.Tensor], tf.Tensor],
    ) -> tf.Tensor:
        rows = tf.shape(condition)[0]
        never = tf.one_hot(self.start - 1, self.output_layer.bias.shape[0], on_value=np.inf, off_value=0.0)
        ids = tf.TensorArray(tf.int32, length, element_shape=condition.shape[:1])
        last = tf.fill((rows,), self.start)

        def body(
            t: tf.Tensor, last: tf.Tensor, ended: tf.Tensor, states: list[tf.Tensor], ids: tf.TensorArray,
        ) -> tuple:
            states = self.lstm.step(tf.gather(self.table, last), states)
            word = choose(t, tf.cast(self.output_layer(states[0]), tf.float32) - never) + 1
            word = tf.where(ended, 0, word)
            return t + 1, word, ended | (word == self.end), states, ids.write(t, word)

        state = (tf.constant(1), last, tf.zeros((rows,), tf.bool), self.lstm.first_states(rows, condition))
        loop = tf.while_loop(
            lambda t, *_: t < length, body, (*state, ids.write(0, last)), maximum_iterations=length - 1
        )
        generated = tf.transpose(loop[-1].stack())
        return tf.stop_gradient(tf.ensure_shape(generated, (condition.shape[0], length)))
