"""Building blocks that several methods share."""
import functools
import math
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfxmr.engine import randomness

INITS = ("torch", "glorot")
leaky_relu = functools.partial(tf.nn.leaky_relu, alpha=0.2)  # the slope of DCGAN, which the papers here take


class Dense(keras.layers.Layer):
    """One fully connected layer on one or several inputs: x_1 W_1 + x_2 W_2 + ... + b.

    Several inputs are the parts of one concatenated input, kept apart so that a part that is the same for many
    rows is multiplied once. Parts broadcast against each other: (K, B, d_1) and (B, d_2) give (K, B, units).

    Args:
      input_dims: widths of the parts.
      units: width of the output.
      stddev: standard deviation of the normal initial weights, with biases of 0; with init="truncated" they are drawn
        anew beyond two of it. None draws them as `init` says.
      seed: of the initial weights.
      init: with n inputs (the width of the concatenated input), "glorot" draws weights uniformly from +-sqrt(6 / (n +
        units)), after Glorot and Bengio 2010, eq. 16, and sets biases to 0; "torch" draws weights and biases uniformly
        from +-1 / sqrt(n), as PyTorch's Linear does; "fan_out" draws weights from N(0, 1 / units), as DeepNet does,
        and "caffe" uniformly from +-sqrt(3 / n), Caffe's "xavier".
    """

    row_axis = -2

    def __init__(
        self, input_dims: Sequence[int], units: int, stddev: float | None, seed: int, init: str = "glorot",
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        inputs = sum(input_dims)

        def uniform(limit: float, i: int) -> keras.initializers.Initializer:
            return keras.initializers.RandomUniform(-limit, limit, seed=seed + i)

        def kernel(i: int) -> keras.initializers.Initializer:
            if stddev is not None:
                normal = keras.initializers.TruncatedNormal if init == "truncated" else keras.initializers.RandomNormal
                return normal(0.0, stddev, seed=seed + i)
            if init == "fan_out":
                return keras.initializers.RandomNormal(0.0, units**-0.5, seed=seed + i)
            limits = {"torch": inputs**-0.5, "caffe": (3 / inputs) ** 0.5}
            return uniform(limits.get(init, math.sqrt(6 / (inputs + units))), i)

        self.kernels = [
            self.add_weight(shape=(dim, units), initializer=kernel(i), name=f"kernel_{i}" if i else "kernel")
            for i, dim in enumerate(input_dims)
        ]
        bias = uniform(inputs**-0.5, len(input_dims)) if stddev is None and init == "torch" else "zeros"
        self.bias = self.add_weight(shape=(units,), initializer=bias, name="bias")
        self.built = True

    def call(self, *parts: tf.Tensor) -> tf.Tensor:
        """Parts (..., d_i) to (..., units)."""
        products = [matmul(x, tf.convert_to_tensor(kernel)) for x, kernel in zip(parts, self.kernels, strict=True)]
        return sum(products[1:], products[0]) + self.bias


class Tower(keras.layers.Layer):
    """Fully connected layers with an activation and dropout between them; the last one is linear unless told.

    Args:
      input_dims: width of the input, or the widths of the parts of a concatenated input.
      units: widths of the layers, at least one; the last is the output's.
      activation: function of the hidden layers.
      output_activation: function of the last layer; None leaves it linear.
      keep: probability that dropout keeps a hidden unit, in (0, 1].
      stddev: standard deviation of the normal initial weights; None draws them uniformly, as `init` says.
      seed: of the initial weights; towers of one model take different seeds.
      init: one of INITS, "fan_out" or "caffe", see Dense.
      by_layers: whether a method calls `layers` by themselves, too: several devices then shard each.
      dtype: "float32", or Keras' policies "mixed_bfloat16" and "mixed_float16": the layers compute in 16 bits, weights
        and output have 32.
    """

    row_axis = -2  # of the items: layers treat them one by one

    def __init__(
        self, input_dims: int | Sequence[int], units: Sequence[int], *, activation: Callable = tf.nn.relu,
        output_activation: Callable | None = None, keep: float = 1.0, stddev: float | None = 0.02, seed: int = 0,
        init: str = "glorot", by_layers: bool = False, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.activation = activation
        self.output_activation = output_activation
        self.rate, self.by_layers = 1.0 - keep, by_layers
        widths = [input_dims if isinstance(input_dims, (tuple, list)) else (input_dims,)]
        widths += [(width,) for width in units[:-1]]
        with keras.name_scope(self.name):  # TensorBoard tells weights apart by their paths
            self.layers = [
                Dense(dims, width, stddev, randomness.derive(seed, i), init, name=f"dense_{i}", dtype=self.dtype_policy)
                for i, (dims, width) in enumerate(zip(widths, units, strict=True))
            ]
        self.built = True

    def row_parts(self) -> list[keras.layers.Layer]:
        """What several devices shard by rows: dropout masks are drawn between the layers, for whole batches."""
        return self.layers if self.rate or self.by_layers else [self]

    def call(
        self, *parts: tf.Tensor, seed: tf.Tensor | None = None, hidden: bool = False,
    ) -> tf.Tensor | list[tf.Tensor]:
        """Runs the tower.

        Args:
          *parts: the input (..., d), or its parts, see Dense.
          seed: int32 (2,) of this pass's dropout masks; None switches dropout off (retrieval).
          hidden: whether the hidden layers' activations are asked for, too.

        Returns:
          (..., units[-1]); or, with `hidden`, a list of (..., units[0]), (..., units[1]), ..., the output last.
        """
        x, found = self.layers[0](*parts), []
        for i, layer in enumerate(self.layers[1:]):
            x = self.activation(x)
            found.append(tf.cast(x, tf.float32))
            if seed is not None and self.rate > 0:
                x = tf.cast(x, tf.float32)  # 16 bits would draw masks of another rate
                x = tf.nn.experimental.stateless_dropout(x, self.rate, randomness.fold_in(seed, i))
            x = layer(x)
        x = tf.cast(x, tf.float32)
        x = x if self.output_activation is None else self.output_activation(x)
        return [*found, x] if hidden else x


def reverse_gradient(x: tf.Tensor, scale: float | tf.Tensor = 1.0) -> tf.Tensor:
    """Returns x unchanged, and multiplies the gradient that comes back by -scale.

    The gradient reversal layer (Ganin and Lempitsky, ICML 2015, section 3): what comes after x descends a loss, what
    made x ascends `scale` times the same loss.

    Args:
      x: tensor.
      scale: at least 0; float or scalar tensor. 0 lets no gradient through.
    """

    @tf.custom_gradient
    def identity(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return tf.identity(x), lambda upstream: -scale * upstream

    return identity(x)


def reversal_ramp(progress: float | tf.Tensor) -> tf.Tensor:
    """2 / (1 + exp(-10 p)) - 1, by which the reversal grows from 0 to 1 (Ganin and Lempitsky, section 4).

    Args:
      progress: p, the share of the training done in [0, 1]; float or scalar tensor.
    """
    return 2 / (1 + tf.exp(-10 * progress)) - 1


@tf.custom_gradient
def matmul(x: tf.Tensor, kernel: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """x (..., d) times the tensor kernel (d, units), with the fastest of TensorFlow's CPU products each way.

    MatMul with a transposed kernel leaves oneDNN for a product that is three times slower at 64 rows; BatchMatMul
    passes the transposition to oneDNN as strides. The mathematics is tf.matmul's.
    """
    rows = tf.reshape(x, (-1, kernel.shape[0]))
    shape = tf.concat((tf.shape(x)[:-1], (kernel.shape[1],)), 0)

    def backward(upstream: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        upstream = tf.reshape(upstream, (-1, kernel.shape[1]))
        to_x = tf.raw_ops.BatchMatMulV2(x=upstream[None], y=kernel[None], adj_y=True)
        return tf.reshape(to_x, tf.shape(x)), tf.matmul(rows, upstream, transpose_a=True)

    return tf.reshape(tf.matmul(rows, kernel), shape), backward
