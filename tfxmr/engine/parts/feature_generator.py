"""A generator of feature vectors from a condition and noise, as a conditional GAN has it."""
from typing import Any

import keras
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.layers import Dense
from tfxmr.engine.parts.batch_norm import BatchNorm


class FeatureGenerator(keras.layers.Layer):
    """[condition, z] -> fully connected -> batch normalisation -> leaky ReLU (slope .2) -> fully connected.

    Args:
      condition_dim: width of the condition.
      output_dim: width of the generated features.
      noise_dim: width of the standard normal z.
      units: width of the hidden layer.
      nonnegative: True ends with a ReLU, for features that are activations after a ReLU; False is linear.
      seed: of the initial weights.
    """

    def __init__(
        self, condition_dim: int, output_dim: int, *, noise_dim: int = 100, units: int = 1024,
        nonnegative: bool = False, seed: int, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.noise_dim, self.nonnegative = noise_dim, nonnegative
        policy, first, last = self.dtype_policy, randomness.derive(seed, 0), randomness.derive(seed, 1)
        self.hidden = Dense((condition_dim, noise_dim), units, None, first, name="hidden", dtype=policy)
        self.norm = BatchNorm(units, scale=True, name="norm", dtype="float32")
        self.output_layer = Dense((units,), output_dim, None, last, name="output", dtype=policy)
        self.built = True

    def row_parts(self) -> list[keras.layers.Layer]:
        """The products; the normalisation needs the whole batch."""
        return [self.hidden, self.output_layer]

    def call(self, condition: tf.Tensor, seed: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Generates features.

        Args:
          condition: (B, condition_dim).
          seed: int32 (2,) of the noise; None generates from z = 0.
          training: see BatchNorm.

        Returns:
          float32 (B, output_dim).
        """
        shape = (tf.shape(condition)[0], self.noise_dim)
        noise = tf.zeros(shape) if seed is None else tf.random.stateless_normal(shape, seed)
        noise = tf.ensure_shape(noise, (condition.shape[0], self.noise_dim))
        hidden = self.norm(self.hidden(condition, tf.cast(noise, condition.dtype)), training=training)
        output = tf.cast(self.output_layer(tf.nn.leaky_relu(hidden, 0.2)), tf.float32)
        return tf.nn.relu(output) if self.nonnegative else output
