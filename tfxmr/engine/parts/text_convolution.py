"""Convolutions over the word vectors of a text, with masks."""
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.parts.batch_norm import BatchNorm


def valid_windows(valid: tf.Tensor, width: int, stride: int = 1) -> tf.Tensor:
    """Which windows hold a valid place: bool (B, T) to bool (B, (T - width) // stride + 1)."""
    counts = tf.nn.max_pool1d(tf.cast(valid, tf.float32)[..., None], width, stride, "VALID")
    return counts[..., 0] > 0


def max_pool(x: tf.Tensor, valid: tf.Tensor, width: int, stride: int | None = None) -> tuple[tf.Tensor, tf.Tensor]:
    """The largest value of each feature among the valid places of each window.

    Args:
      x: (B, T, d), T >= width.
      valid: bool (B, T).
      width: places of a window.
      stride: from window to window; None: `width`.

    Returns:
      (B, T', d), zeros where a window has no valid place, and bool (B, T'), T' = (T - width) // stride + 1.
    """
    stride = stride or width
    pooled = tf.nn.max_pool1d(tf.where(valid[..., None], x, x.dtype.min), width, stride, "VALID")
    windows = valid_windows(valid, width, stride)
    return tf.where(windows[..., None], pooled, 0.0), windows


class Convolution(keras.layers.Layer):
    """y_t = b + sum over j of x_(t + j) W_j of each whole window of `width` places; padding counts as zeros.

    Args:
      dim: width of a word vector.
      filters: width of the output.
      width: words in a window.
      seed: of the initial weights.
      stddev: standard deviation of the normal initial weights; None draws them as Glorot and Bengio do.
      bias: initial biases.
    """

    row_axis = 0

    def __init__(
        self, dim: int, filters: int, width: int, *, seed: int, stddev: float | None = None, bias: float = 0.0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.width = width
        normal = keras.initializers.RandomNormal(0.0, stddev, seed=seed) if stddev is not None else None
        kernel = normal or keras.initializers.GlorotUniform(seed=seed)
        self.kernel = self.add_weight(shape=(width, dim, filters), initializer=kernel, name="kernel")
        self.bias = self.add_weight(shape=(filters,), initializer=keras.initializers.Constant(bias), name="bias")
        self.built = True

    def call(self, x: tf.Tensor, valid: tf.Tensor | None = None) -> tf.Tensor:
        """(B, T, dim), T >= width, and bool (B, T) to float32 (B, T - width + 1, filters); see `valid_windows`."""
        kernel = tf.convert_to_tensor(self.kernel)
        x = x if valid is None else tf.where(valid[..., None], x, 0.0)
        product = tf.nn.conv1d(tf.cast(x, kernel.dtype), kernel, 1, "VALID")
        return tf.cast(product, tf.float32) + tf.cast(self.bias, tf.float32)


class TextConvolutions(keras.layers.Layer):
    """The sentence network of Kim (EMNLP 2014): ReLU of convolutions of several widths, the maximum of each over time.

    A text shorter than a window is padded with zeros; windows without a word do not count.

    Args:
      dim: width of a word vector.
      filters: of each width.
      widths: words in a window, in the order of the output.
      seed: of the initial weights.
    """

    row_axis = 0

    def __init__(self, dim: int, filters: int, widths: Sequence[int] = (3, 4, 5), *, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.layers = [
            Convolution(
                dim, filters, width, seed=randomness.derive(seed, i), name=f"width_{width}", dtype=self.dtype_policy
            )
            for i, width in enumerate(widths)
        ]
        self.built = True

    def call(self, x: tf.Tensor, valid: tf.Tensor | None = None) -> tf.Tensor:
        """(B, T, dim) and bool (B, T) to float32 (B, filters * len(widths)); zeros for a text without words."""
        valid = tf.ones(tf.shape(x)[:2], tf.bool) if valid is None else valid
        short = max(0, max(layer.width for layer in self.layers) - x.shape[1])
        x = tf.pad(x, ((0, 0), (0, short), (0, 0)))
        valid = tf.pad(valid, ((0, 0), (0, short)))
        outputs = []
        for layer in self.layers:
            activity = tf.nn.relu(layer(x, valid))
            windows = valid_windows(valid, layer.width)[..., None]
            outputs.append(tf.reduce_max(tf.where(windows, activity, 0.0), axis=1))  # ReLU gives nothing below 0
        return tf.concat(outputs, axis=-1)


class ConvolutionStages(keras.layers.Layer):
    """Convolution, batch normalisation, ReLU and maximum over windows that lie side by side, several times.

    The statistics are those of all places, padding included, as in the code of MCSM; a place that no word reaches is
    zeros, and not valid.

    Args:
      dim: width of a word vector.
      stages: (filters, width of the convolution, width of the windows pooled) of each.
      same: True pads each convolution, of odd width, so that it keeps the number of places.
      seed: of the initial weights.
    """

    def __init__(self, dim: int, stages: Sequence, *, same: bool = False, seed: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.windows = [(width, pool) for _, width, pool in stages]
        self.same = same
        filters = [count for count, _, _ in stages]
        self.convolutions = [
            Convolution(
                inputs, count, width, seed=randomness.derive(seed, i), name=f"convolution_{i}", dtype=self.dtype_policy
            )
            for i, (inputs, (count, width, _)) in enumerate(zip((dim, *filters[:-1]), stages, strict=True))
        ]
        self.norms = [BatchNorm(n, scale=True, name=f"norm_{i}", dtype="float32") for i, n in enumerate(filters)]
        self.built = True

    def row_parts(self) -> list[keras.layers.Layer]:
        """The convolutions: statistics are those of the whole batch."""
        return self.convolutions

    def call(self, x: tf.Tensor, valid: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """(B, T, dim) and bool (B, T) to float32 (B, T', filters[-1]) and bool (B, T'), see `fields`."""
        for convolution, norm, (width, pool) in zip(self.convolutions, self.norms, self.windows, strict=True):
            margin = width // 2 if self.same else 0
            x = tf.pad(x, ((0, 0), (margin, margin), (0, 0)))
            valid = tf.pad(valid, ((0, 0), (margin, margin)))
            x = tf.nn.relu(norm(convolution(x, valid), training=training))
            x, valid = max_pool(x, valid_windows(valid, width), pool)
        return x, valid

    def fields(self, length: int) -> np.ndarray:
        """Which words of a text reach which place: bool (T', length)."""
        first = np.arange(length)
        last = first + 1
        for width, pool in self.windows:
            margin = width // 2 if self.same else 0
            count = (len(first) + 2 * margin - width + 1) // pool
            start = np.arange(count) * pool - margin
            stop = start + pool - 1 + width
            first, last = first[np.maximum(start, 0)], last[np.minimum(stop, len(last)) - 1]
        words = np.arange(length)
        return (words >= first[:, None]) & (words < last[:, None])
