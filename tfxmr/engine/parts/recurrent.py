"""Recurrent layers with masks, stacks of them with stateless dropout, and the encoder of a sentence.

The input's product with its weights is done once for all steps; a step multiplies the state alone. Keras' layers are
not used: those with dropout hide a random generator.
"""
from collections.abc import Callable, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.layers import matmul
from tfxmr.engine.parts.dropout import dropout

INITS = ("glorot", "torch")

Product = Callable[[tf.Tensor], tf.Tensor]  # h -> h U


class _Recurrent(keras.layers.Layer):
    """What LSTM and GRU share: weights, the product of the input, and the loop over the places.

    A place that the mask skips keeps the state. States have 32 bits under every policy, products the policy's.
    """

    row_axis = 0
    gates: int  # products of the input and of the state, one beside the other
    states: int

    def __init__(self, input_dim: int, units: int, *, seed: int, init: str = "glorot", **kwargs: Any) -> None:
        super().__init__(**kwargs)
        if init not in INITS:
            raise ValueError(f"init={init}: must be one of {', '.join(INITS)}")
        self.units = units
        self.seed, self.init = seed, init
        width = self.gates * units
        self.kernel = self._weight(0, "kernel", (input_dim, width), lambda s: keras.initializers.GlorotUniform(seed=s))
        self.recurrent = self._weight(1, "recurrent", (units, width), lambda s: keras.initializers.Orthogonal(seed=s))
        self.bias = self._weight(2, "bias", (width,), lambda seed: self.first_bias)

    def _weight(self, i: int, name: str, shape: tuple[int, ...], initializer: Callable[[int], Any]) -> tf.Variable:
        seed = randomness.derive(self.seed, i)
        limit = self.units**-0.5
        made = keras.initializers.RandomUniform(-limit, limit, seed=seed) if self.init == "torch" else initializer(seed)
        return self.add_weight(shape=shape, initializer=made, name=name)

    def call(self, x: tf.Tensor, valid: tf.Tensor | None = None, initial: tf.Tensor | None = None) -> tf.Tensor:
        """Runs over the places of x.

        Args:
          x: (B, T, input_dim); T may be known when it runs alone.
          valid: bool (B, T), the mask; None: all places are.
          initial: (B, units), the output before the first place; None: zeros. (An LSTM's cell starts at zero.)

        Returns:
          float32 (B, T, units), the output after each place; at a skipped place, that of the place before.
        """
        projected = self.project(tf.transpose(x, (1, 0, 2)))
        keep = None if valid is None else tf.transpose(valid)[..., None]
        states = self.first_states(tf.shape(x)[0], initial)
        outputs = self._run(projected, tf.convert_to_tensor(self.recurrent), states, keep)
        return tf.ensure_shape(tf.transpose(outputs, (1, 0, 2)), (x.shape[0], x.shape[1], self.units))

    def _run(
        self, projected: tf.Tensor, recurrent: tf.Tensor, states: list[tf.Tensor], keep: tf.Tensor | None,
    ) -> tf.Tensor:
        """The outputs (T, B, units). The gradient of the recurrent weights is one product, not a sum over the steps."""
        first, *others = states

        @tf.custom_gradient
        def run(projected: tf.Tensor, recurrent: tf.Tensor, first: tf.Tensor) -> tuple[tf.Tensor, Callable]:
            with tf.GradientTape(persistent=True) as tape:  # several players may ask for their gradients
                tape.watch((projected, first))
                outputs = self._loop(projected, recurrent, [first, *others], keep)

            def backward(upstream: tf.Tensor) -> tuple[tf.Tensor, ...]:
                to_projected, to_first = tape.gradient(outputs, (projected, first), upstream)
                before = tf.reshape(tf.concat((first[None], outputs[:-1]), 0), (-1, self.units))
                to_product = self.product_gradient(to_projected)
                to_product = tf.reshape(to_product, (-1, to_product.shape[-1]))
                to_recurrent = tf.matmul(*(tf.cast(t, recurrent.dtype) for t in (before, to_product)), transpose_a=True)
                return to_projected, to_recurrent, to_first

            return outputs, backward

        return run(projected, recurrent, first)

    def _loop(
        self, projected: tf.Tensor, recurrent: tf.Tensor, states: list[tf.Tensor], keep: tf.Tensor | None,
    ) -> tf.Tensor:
        product = _constant_product(recurrent)
        length = tf.shape(projected)[0] if projected.shape[0] is None else projected.shape[0]
        # the gradient of projected[t] would fill a whole array at each step
        inputs = tf.TensorArray(tf.float32, length).unstack(projected)
        outputs = tf.TensorArray(tf.float32, length, element_shape=(None, self.units))

        def body(t: tf.Tensor, states: list[tf.Tensor], outputs: tf.TensorArray) -> tuple:
            after = self.advance(inputs.read(t), states, product)
            if keep is not None:
                after = [tf.where(keep[t], new, old) for new, old in zip(after, states, strict=True)]
            return t + 1, after, outputs.write(t, after[0])

        start = (tf.constant(0), states, outputs)
        return tf.while_loop(lambda t, *_: t < length, body, start, maximum_iterations=length)[2].stack()

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """All of a step that does not depend on the state: x (..., input_dim) to float32 (..., n)."""
        kernel = tf.convert_to_tensor(self.kernel)
        return tf.cast(matmul(tf.cast(x, kernel.dtype), kernel), tf.float32) + tf.cast(self.bias, tf.float32)

    def product_gradient(self, to_projected: tf.Tensor) -> tf.Tensor:
        """The gradient of the state's product with its weights, of that of what `project` gives."""
        return to_projected

    def first_states(self, rows: int | tf.Tensor, initial: tf.Tensor | None = None) -> list[tf.Tensor]:
        """The list of states (rows, units) before the first place, the output first."""
        zeros = tf.zeros((rows, self.units))
        output = zeros if initial is None else tf.cast(initial, tf.float32)
        return [output] + [zeros] * (self.states - 1)

    def step(self, x: tf.Tensor, states: list[tf.Tensor]) -> list[tf.Tensor]:
        """One place alone: x (B, input_dim) and the list of states to the new list, the output first."""
        recurrent = tf.convert_to_tensor(self.recurrent)

        def product(h: tf.Tensor) -> tf.Tensor:
            return tf.cast(matmul(tf.cast(h, recurrent.dtype), recurrent), tf.float32)

        return self.advance(self.project(x), states, product)


def _constant_product(recurrent: tf.Tensor) -> Product:
    """h -> h U (float32) whose gradient reaches h alone."""
    transposed = tf.transpose(recurrent)  # once, not in each step

    @tf.custom_gradient
    def product(h: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        def backward(upstream: tf.Tensor) -> tf.Tensor:
            return tf.cast(tf.matmul(tf.cast(upstream, recurrent.dtype), transposed), tf.float32)

        return tf.cast(tf.matmul(tf.cast(h, recurrent.dtype), recurrent), tf.float32), backward

    return product


class LSTM(_Recurrent):
    """Long short-term memory (Hochreiter and Schmidhuber 1997) with forget gates (Gers et al. 2000).

    i, f, o = sigmoid, g = tanh of x W + h U + b in the order i, f, g, o; c <- f c + i g; h <- o tanh(c).

    Args:
      input_dim: width of the input.
      units: width u of the output.
      seed: of the initial weights.
      init: "glorot" draws W uniformly as Glorot and Bengio do and U orthogonal, with biases of 0, the forget gate's of
        `forget_bias`; "torch" draws all uniformly from +-1 / sqrt(u). (Torch adds two biases; one does the same.)
      forget_bias: of "glorot"; 1 keeps the cell at first.

    Raises:
      ValueError: unknown `init`.
    """

    gates, states = 4, 2

    def __init__(
        self, input_dim: int, units: int, *, seed: int, init: str = "glorot", forget_bias: float = 1.0, **kwargs: Any,
    ) -> None:
        self.forget_bias = forget_bias
        super().__init__(input_dim, units, seed=seed, init=init, **kwargs)
        self.built = True

    def first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Zeros but for the forget gate's."""
        return tf.repeat((0.0, float(self.forget_bias), 0.0, 0.0), self.units)

    def advance(self, projected: tf.Tensor, states: list[tf.Tensor], product: Product) -> list[tf.Tensor]:
        """The new [h, c] of `projected`, as `project` gives it, the old `states` [h, c] and the `product` h -> h U."""
        h, c = states
        i, f, g, o = tf.split(projected + product(h), 4, axis=-1)
        c = tf.sigmoid(f) * c + tf.sigmoid(i) * tf.tanh(g)
        return [tf.sigmoid(o) * tf.tanh(c), c]


class GRU(_Recurrent):
    """Gated recurrent unit (Cho et al. 2014) whose reset gate acts after the product, as in cuDNN and PyTorch.

    z, r = sigmoid(x W + b + h U + b'), n = tanh(x W_n + b_n + r (h U_n + b'_n)) in the order z, r, n;
    h <- z h + (1 - z) n.

    Args:
      input_dim, units, seed, init: see LSTM; the biases of "glorot" are all 0.

    Raises:
      ValueError: unknown `init`.
    """

    gates, states = 3, 1

    def __init__(self, input_dim: int, units: int, *, seed: int, init: str = "glorot", **kwargs: Any) -> None:
        super().__init__(input_dim, units, seed=seed, init=init, **kwargs)
        self.recurrent_bias = self._weight(3, "recurrent_bias", (3 * units,), lambda seed: "zeros")
        self.built = True

    def first_bias(self, shape: tuple[int, ...], dtype: Any = None) -> tf.Tensor:
        """Zeros."""
        return tf.zeros(shape)

    def project(self, x: tf.Tensor) -> tf.Tensor:
        """Columns z, r with both biases; n with b_n; and b'_n, to which the reset gate is applied: (..., 4 u)."""
        projected, bias = super().project(x), tf.cast(self.recurrent_bias, tf.float32)
        gates, new = projected[..., : 2 * self.units], projected[..., 2 * self.units :]
        return tf.concat(
            (gates + bias[: 2 * self.units], new, tf.broadcast_to(bias[2 * self.units :], tf.shape(new))), -1
        )

    def product_gradient(self, to_projected: tf.Tensor) -> tf.Tensor:
        """Without that of the input's part of n, which is no part of the state's product."""
        return tf.concat((to_projected[..., : 2 * self.units], to_projected[..., 3 * self.units :]), -1)

    def advance(self, projected: tf.Tensor, states: list[tf.Tensor], product: Product) -> list[tf.Tensor]:
        """The new [h] of `projected`, as `project` gives it, the old `states` [h] and the `product` h -> h U."""
        (h,) = states
        z, r, from_input, bias = tf.split(projected, 4, axis=-1)
        from_z, from_r, from_n = tf.split(product(h), 3, axis=-1)
        z = tf.sigmoid(z + from_z)
        new = tf.tanh(from_input + tf.sigmoid(r + from_r) * (from_n + bias))
        return [z * h + (1 - z) * new]


LAYERS = {"lstm": LSTM, "gru": GRU}


class LSTMStack(keras.layers.Layer):
    """LSTMs one upon the other, with dropout on the output of each.

    Args:
      input_dim: width of the input.
      units: widths of the layers, at least one.
      seed: of the initial weights.
      keep: probability that dropout keeps an entry of a layer's output, in (0, 1].
      **options: `init` and `forget_bias` of LSTM, `dtype`.
    """

    def __init__(
        self, input_dim: int, units: Sequence[int], *, seed: int, keep: float = 1.0, init: str = "glorot",
        forget_bias: float = 1.0, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.rate = 1.0 - keep
        self.layers = [
            LSTM(
                dim, width, seed=randomness.derive(seed, i), init=init, forget_bias=forget_bias, name=f"lstm_{i}",
                dtype=self.dtype_policy,
            )
            for i, (dim, width) in enumerate(zip((input_dim, *units[:-1]), units, strict=True))
        ]
        self.built = True

    def row_parts(self) -> list[keras.layers.Layer]:
        """The LSTMs: dropout between them is drawn for the whole batch."""
        return self.layers

    def call(self, x: tf.Tensor, valid: tf.Tensor | None = None, seed: tf.Tensor | None = None) -> tf.Tensor:
        """(B, T, input_dim) to float32 (B, T, units[-1]); zeros at skipped places.

        Args:
          x: (B, T, input_dim).
          valid: bool (B, T); None: all places are.
          seed: int32 (2,) of this pass's dropout masks; None switches dropout off.
        """
        for i, layer in enumerate(self.layers):
            x = layer(x, valid)
            x = dropout(x, self.rate, None if seed is None else randomness.fold_in(seed, i))
        return x if valid is None else tf.where(valid[..., None], x, 0.0)


class RecurrentEncoder(keras.layers.Layer):
    """A sentence as the state after its last valid word; a sentence without a word is zeros.

    Args:
      input_dim: width of the word vectors.
      units: width of the state.
      kind: "lstm" or "gru".
      seed: of the initial weights.
      init: see LSTM.

    Raises:
      ValueError: unknown `kind` or `init`.
    """

    row_axis = 0

    def __init__(
        self, input_dim: int, units: int, *, kind: str = "gru", seed: int, init: str = "glorot", **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if kind not in LAYERS:
            raise ValueError(f"kind={kind}: must be one of {', '.join(LAYERS)}")
        self.layer = LAYERS[kind](input_dim, units, seed=seed, init=init, name=kind, dtype=self.dtype_policy)
        self.built = True

    def call(self, x: tf.Tensor, valid: tf.Tensor | None = None) -> tf.Tensor:
        """Word vectors (B, T, input_dim) and bool (B, T) to float32 (B, units)."""
        return self.layer(x, valid)[:, -1]  # skipped places keep the state
