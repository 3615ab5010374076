"""Batch normalisation, and the fully connected blocks around it that MHTN, TPCKT and CM-GANs are built of."""
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.layers import Dense


class BatchNorm(keras.layers.Layer):
    """(x - mean) / sqrt(variance + epsilon) of each feature over the rows, after Ioffe and Szegedy (ICML 2015).

    What is one batch is the caller's choice: modalities concatenated along the rows share their statistics, modalities
    normalised by one call (or one layer) each do not. Rows depend on each other, so there is no `row_axis`.

    Args:
      dim: width of the input.
      scale: True learns a factor, 1 at first, and an offset, 0 at first; Caffe's layer has neither.
      momentum: share of the moving statistics that a training batch leaves, in [0, 1).
      epsilon: > 0, added to the variance.
    """

    def __init__(
        self, dim: int, *, scale: bool = False, momentum: float = 0.9, epsilon: float = 1e-5, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.momentum, self.epsilon = momentum, epsilon

        def weight(name: str, value: Any, trainable: bool) -> tf.Variable:
            # every replica has the whole batch, hence the same statistics: the first one's are everyone's
            aggregation = None if trainable else "only_first_replica"
            return self.add_weight(
                shape=(dim,), initializer=value, trainable=trainable, name=name, autocast=False, aggregation=aggregation
            )

        self.gamma = weight("gamma", "ones", True) if scale else None
        self.beta = weight("beta", "zeros", True) if scale else None
        self.moving_mean = weight("moving_mean", "zeros", False)
        self.moving_variance = weight("moving_variance", "ones", False)
        self.built = True

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """Normalises x (..., dim) over all its leading axes.

        Args:
          x: (..., dim).
          training: True uses the statistics of x and moves the moving ones towards them (the variance with n - 1 below,
            as Caffe and PyTorch do); False uses the moving statistics.

        Returns:
          float32, x's shape.
        """
        x = tf.cast(x, tf.float32)  # a variance in 16 bits is worthless
        mean, variance = tf.convert_to_tensor(self.moving_mean), tf.convert_to_tensor(self.moving_variance)
        if training:
            mean, variance = tf.nn.moments(x, axes=list(range(x.shape.rank - 1)))
            count = tf.cast(tf.size(x) / x.shape[-1], tf.float32)
            self._move(self.moving_mean, mean)
            self._move(self.moving_variance, variance * count / tf.maximum(count - 1, 1))
        x = (x - mean) * tf.math.rsqrt(variance + self.epsilon)
        return x if self.gamma is None else x * self.gamma + self.beta

    def _move(self, moving: Any, value: Any) -> None:
        moving.assign(self.momentum * moving + (1 - self.momentum) * tf.stop_gradient(value))


class InputNorm(BatchNorm):
    """Batch normalisation, with factor and offset, of features as they come.

    A feature that no training batch saw vary, such as a word that few labelled texts do not have, counts as constant in
    use: its moving variance falls to 0, and would make 316, 1 / sqrt(epsilon), of a 1 that nothing was learned of.

    Args:
      dim: width of the input.
      **kwargs: as of BatchNorm.
    """

    def __init__(self, dim: int, **kwargs: Any) -> None:
        super().__init__(dim, scale=True, **kwargs)
        self.varied = self.add_weight(
            shape=(dim,), initializer="zeros", trainable=False, name="varied", autocast=False,
            aggregation="only_first_replica",
        )

    def call(self, x: tf.Tensor, training: bool = False) -> tf.Tensor:
        """As of BatchNorm."""
        x, varied = tf.cast(x, tf.float32), tf.convert_to_tensor(self.varied)
        if training:
            axes = list(range(x.shape.rank - 1))
            # not the variance, which rounding may keep from 0
            varies = tf.reduce_max(x, axes) > tf.reduce_min(x, axes)
            self.varied.assign(tf.maximum(varied, tf.cast(varies, tf.float32)))
        else:
            known = (varied > 0) | (tf.reduce_max(varied) == 0)  # before the first step all are taken as they are
            x = tf.where(known, x, tf.convert_to_tensor(self.moving_mean))
        return super().call(x, training=training)


class DenseNormReLU(keras.layers.Layer):
    """Fully connected layer, batch normalisation without factor and offset, ReLU: "FBR".

    Args:
      input_dim: width of the input.
      units: width of the output.
      seed: of the initial weights, which are normal with variance 2 / input_dim (He et al. 2015, eq. 10); biases are 0.
      sources: names of the sources of rows, each with statistics of its own; one call has rows of one source.
      **kwargs: `dtype` of the product; the normalisation has 32 bits.
    """

    def __init__(self, input_dim: int, units: int, *, seed: int, sources: Sequence[str] = ("",), **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.dense = Dense((input_dim,), units, (2 / input_dim) ** 0.5, seed, name="dense", dtype=self.dtype_policy)
        self.norms = {
            source: BatchNorm(units, name=f"norm_{source}" if source else "norm", dtype="float32") for source in sources
        }
        self.built = True

    def row_parts(self) -> list[keras.layers.Layer]:
        """The product may be computed by rows, the statistics are those of the whole batch."""
        return [self.dense]

    def call(self, x: tf.Tensor, training: bool = False, linear: bool = False, source: str = "") -> tf.Tensor:
        """(B, input_dim) to (B, units).

        Args:
          x: (B, input_dim).
          training: see BatchNorm.
          source: whose rows they are.
          linear: True returns in addition what comes before the normalisation, which MHTN's discriminator reads.
        """
        product = tf.cast(self.dense(x), tf.float32)
        output = tf.nn.relu(self.norms[source](product, training=training))
        return (output, product) if linear else output


class NormTower(keras.layers.Layer):
    """Fully connected layer, batch normalisation, leaky ReLU of slope .2, perhaps a linear layer: CM-GANs' networks.

    Several sources of rows may share the weights, and each be normalised by statistics of its own: one call has rows of
    one source.

    Args:
      input_dims: width of the input, or the widths of the parts of a concatenated one, see tfxmr.engine.layers.Dense.
      units: width of the normalised layer.
      outputs: width of the linear layer; 0: there is none.
      seed: of the initial weights; the normalisation's factors are normal with mean 1 and deviation .02, its offsets 0.
      init: of the products, see tfxmr.engine.layers.Dense.
      sources: names of the sources of rows.
      **kwargs: `dtype` of the products; the normalisation has 32 bits.
    """

    def __init__(
        self, input_dims: int | tuple, units: int, outputs: int = 0, *, seed: int, init: str = "torch",
        sources: Sequence[str] = ("",), **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)

        def dense(name: str, dims: Sequence[int], width: int, number: int) -> Dense:
            return Dense(dims, width, None, randomness.derive(seed, number), init, name=name, dtype=self.dtype_policy)

        factor = keras.initializers.RandomNormal(1.0, 0.02, seed=randomness.derive(seed, 2))
        self.dense = dense("dense", input_dims if isinstance(input_dims, tuple) else (input_dims,), units, 0)
        # The normalisation takes it away again: its gradient is rounding, of which Adam would make whole steps.
        self.dense.bias.trainable = False
        self.gamma = self.add_weight(shape=(units,), initializer=factor, name="gamma", autocast=False)
        self.beta = self.add_weight(shape=(units,), initializer="zeros", name="beta", autocast=False)
        self.norms = {source: BatchNorm(units, name=f"norm_{source}", dtype="float32") for source in sources}
        self.last = dense("last", (units,), outputs, 1) if outputs else None
        self.built = True

    def row_parts(self) -> list[keras.layers.Layer]:
        """As DenseNormReLU."""
        return [self.dense, self.last] if self.last else [self.dense]

    def call(self, *parts: tf.Tensor, source: str = "", training: bool = False) -> tf.Tensor:
        """Parts (B, d_i) to float32 (B, units), or (B, outputs).

        Args:
          *parts: the input.
          source: whose rows they are.
          training: see BatchNorm; True moves the statistics of `source` alone.
        """
        x = self.norms[source](self.dense(*parts), training=training)
        x = tf.nn.leaky_relu(x * self.gamma + self.beta, 0.2)
        return tf.cast(self.last(x), tf.float32) if self.last else x
