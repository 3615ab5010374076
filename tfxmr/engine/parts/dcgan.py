"""Networks that read and draw small images: the two halves of a DCGAN (Radford et al., ICLR 2016).

An image is a map of its pixels, float (..., 4096, 3), rows first, of each red, green and blue in [0, 1], as the view
"image.pixels" holds it. Images of one batch depend on each other in the painter's batch normalisation alone; neither
network is sharded by rows among devices, since their output has no axis of the pixels to be joined along.
"""
import math
from typing import Any

import keras
import tensorflow as tf

from tfxmr.data.views import PIXELS
from tfxmr.engine import randomness
from tfxmr.engine.layers import Dense
from tfxmr.engine.parts.batch_norm import BatchNorm

SIDE = math.isqrt(PIXELS[0])  # 64
KERNEL, LEVELS = 5, 4  # pixels a side of the kernels; layers, of which each halves or doubles the side
SMALLEST = SIDE // 2**LEVELS


def _initial(seed: int, i: int) -> keras.initializers.Initializer:
    """He normal weights: without normalisation DCGAN's deviation of .02 would leave narrow layers without a signal."""
    return keras.initializers.HeNormal(seed=randomness.derive(seed, i))


class ImageReader(keras.layers.Layer):
    """Four convolutions of 5 x 5 with stride 2 and leaky ReLU (slope .2): 64, 32, 16, 8, 4 pixels a side.

    Without the batch normalisation of DCGAN's discriminator, in which right, wrong and generated images would mix.

    Args:
      channels: of the first convolution; each later one has twice as many.
      seed: of the initial weights.
    """

    def __init__(self, channels: int, *, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers, given = [], 3
        for i in range(LEVELS):
            made = channels * 2**i
            layer = keras.layers.Conv2D(
                made, KERNEL, 2, "same", kernel_initializer=_initial(seed, i), name=f"conv_{i}", dtype=self.dtype_policy
            )
            layer.build((None, None, None, given))
            self.layers.append(layer)
            given = made
        self.width = SMALLEST**2 * given
        self.built = True

    def call(self, images: tf.Tensor) -> tf.Tensor:
        """Images (..., 4096, 3) to float32 (..., width), width = 16 x 8 channels."""
        leading = tf.shape(images)[:-2]
        x = 2 * tf.reshape(images, (-1, SIDE, SIDE, 3)) - 1
        for layer in self.layers:
            x = tf.nn.leaky_relu(layer(x), 0.2)
        x = tf.reshape(tf.cast(x, tf.float32), tf.concat((leading, (self.width,)), 0))
        return tf.ensure_shape(x, (*images.shape[:-2], self.width))


class ImagePainter(keras.layers.Layer):
    """[condition, z] -> fully connected, 4 x 4 -> four transposed convolutions of 5 x 5 with stride 2, the last tanh.

    Between them batch normalisation and ReLU, as DCGAN's generator.

    Args:
      condition_dim: width of the condition.
      noise_dim: width of the standard normal z.
      channels: of the last hidden map; each earlier one has twice as many.
      seed: of the initial weights.
    """

    def __init__(
        self, condition_dim: int, *, noise_dim: int = 100, channels: int = 16, seed: int, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        policy, self.noise_dim = self.dtype_policy, noise_dim
        widths = [channels * 2**i for i in reversed(range(LEVELS))]
        self.hidden = Dense(
            (condition_dim, noise_dim), SMALLEST**2 * widths[0], None, randomness.derive(seed, 0), name="hidden",
            dtype=policy,
        )
        self.norms = [BatchNorm(n, scale=True, name=f"norm_{i}", dtype="float32") for i, n in enumerate(widths)]
        self.layers = []
        for i, (given, made) in enumerate(zip(widths, (*widths[1:], 3), strict=True)):
            layer = keras.layers.Conv2DTranspose(
                made, KERNEL, 2, "same", kernel_initializer=_initial(seed, 1 + i), name=f"conv_{i}", dtype=policy
            )
            layer.build((None, None, None, given))
            self.layers.append(layer)
        self.built = True

    def call(self, condition: tf.Tensor, seed: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """Draws images.

        Args:
          condition: (B, condition_dim).
          seed: int32 (2,) of the noise; None draws from z = 0.
          training: see BatchNorm.

        Returns:
          float32 (B, 4096, 3) in [0, 1].
        """
        shape = (tf.shape(condition)[0], self.noise_dim)
        noise = tf.zeros(shape) if seed is None else tf.random.stateless_normal(shape, seed)
        noise = tf.ensure_shape(noise, (condition.shape[0], self.noise_dim))
        x = self.hidden(condition, tf.cast(noise, condition.dtype))
        x = tf.reshape(x, (-1, SMALLEST, SMALLEST, x.shape[-1] // SMALLEST**2))
        for norm, layer in zip(self.norms, self.layers, strict=True):
            x = layer(tf.nn.relu(norm(x, training=training)))
        drawn = (tf.tanh(tf.cast(x, tf.float32)) + 1) / 2
        return tf.ensure_shape(tf.reshape(drawn, (-1, *PIXELS)), (condition.shape[0], *PIXELS))
