"""Restricted Boltzmann machines, trained by contrastive divergence, that methods are pre-trained with.

Machine: Hinton, Neural Computation 2002; of word counts (replicated softmax): Salakhutdinov and Hinton, NIPS 2009; of
several modalities, with mean-field inference of those that are missing: Srivastava and Salakhutdinov, NIPS 2012.
"""
import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.optimizers import SGD

KINDS = ("gaussian", "binary", "counts")
SPARSITY_DAMPING = 0.9
ROUNDS = 10  # of mean-field inference
SCALE_OF_TIME = 10_000  # steps T of every decay in the authors' configurations


@dataclasses.dataclass(frozen=True)
class Descent:
    """How authors descend: momentum .9, or m_t = .9 - .4 exp(-t / rise), and a learning rate that decays.

    Attributes:
      learning_rate: e at step 0.
      steps: the authors' number of steps. With another number n all times are stretched alike: step s of n takes the
        rate and momentum of step t = s steps / n, so that a short training ends as a long one does.
      decay: of the rate, with T = 10,000: "inverse", e / (1 + t / T); "exponential", e 2^(-t / T); or "none".
      rise: steps; None: the momentum is .9 throughout.
      l2: times the weights, is added to their gradient.
    """

    learning_rate: float
    steps: int
    decay: str = "inverse"
    rise: int | None = 10_000
    l2: float = 1e-3

    def optimizer(self, steps: int, name: str, rate: float | None = None) -> SGD:
        """Gradient descent over `steps` steps, with the name `name`, from the learning rate `rate`; None: its own."""
        stretch, rate = steps / self.steps, self.learning_rate if rate is None else rate
        if self.decay == "inverse":
            rate = keras.optimizers.schedules.InverseTimeDecay(rate, SCALE_OF_TIME * stretch, 1.0)
        elif self.decay == "exponential":
            rate = keras.optimizers.schedules.ExponentialDecay(rate, SCALE_OF_TIME * stretch, 0.5)
        rising: dict[str, Any] = {} if self.rise is None else {"initial_momentum": 0.5, "rise": self.rise * stretch}
        return SGD(rate, momentum=0.9, l2=self.l2, name=name, **rising)


@dataclasses.dataclass(frozen=True)
class Recipe(Descent):
    """How a machine learns.

    Attributes:
      target: activity, in (0, 1), to which hidden units are pulled.
      sparsity_weight: of that pull; 0: there is none.
      growth: (S, R): the steps of contrast are 1 up to step S, then 2 + floor((t - S) / R); None: always 1.
      stddev: of the initial weights; None: hidden units^-1/2.
      up_factor: times v W on the way up alone, of machines of counts.
      words: D to which each document is scaled; 0: as many as it has.
      drawn_from: step from which h' is made from `words` words drawn from v' in place of v'; None: never.
    """

    target: float = 0.2
    sparsity_weight: float = 0.01
    growth: tuple[int, int] | None = (15_000, 5_000)
    stddev: float | None = None
    up_factor: float = 1.0
    words: int = 0
    drawn_from: int | None = None

    def contrasts(self, time: float | tf.Tensor) -> tf.Tensor:
        """Steps of contrast, an int32 scalar tensor, at step `time` of the authors'."""
        if self.growth is None:
            return tf.constant(1)
        start, every = self.growth
        time = tf.cast(time, tf.int32)
        return tf.where(time <= start, 1, 2 + (time - start) // every)


class Machine(keras.layers.Layer):
    """A restricted Boltzmann machine: visible units v (d), hidden ones h (k) in {0, 1}, no connection within a side.

    p(h_j = 1 | v) = sigmoid((f v W + D c)_j);  E[v | h] by the kind of the visible units:

        gaussian  h W' + b, of features scaled to mean 0 and variance 1, with variance 1    f = D = 1
        binary    sigmoid(h W' + b)                                                         f = D = 1
        counts    D softmax(h W' + b): D words drawn from one distribution                  f = the recipe's up_factor

    With a recipe that says to how many words each document is scaled, fractions are as good as counts: TF-IDF will do.

    Args:
      inputs: d; or the widths of several modalities, whose parts are the visible units of one machine.
      units: k.
      kind: one of KINDS.
      recipe: Recipe.
      seed: of the initial weights.
    """

    def __init__(
        self, inputs: int | Sequence[int], units: int, kind: str, recipe: Recipe, seed: int, **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.kind, self.recipe = kind, recipe
        self.widths = [inputs] if isinstance(inputs, int) else list(inputs)
        d = sum(self.widths)
        normal = keras.initializers.RandomNormal(0.0, recipe.stddev or units**-0.5, seed=seed)
        self.kernel = self.add_weight(shape=(d, units), initializer=normal, name="kernel")
        self.hidden_bias = self.add_weight(shape=(units,), initializer="zeros", name="hidden_bias")
        self.visible_bias = self.add_weight(shape=(d,), initializer="zeros", name="visible_bias")
        # all replicas set them to the same values
        fixed = {"initializer": "zeros", "trainable": False, "aggregation": "only_first_replica"}
        self.mean = self.add_weight(shape=(d,), name="mean", **fixed)
        self.scale = self.add_weight(shape=(d,), name="scale", **fixed | {"initializer": "ones"})
        # from 0 the first pulls would be below the target's, whatever the units do
        start = keras.initializers.Constant(recipe.target)
        self.activity = self.add_weight(shape=(units,), name="activity", **fixed | {"initializer": start})
        self.built = True

    def call(self, *parts: tf.Tensor) -> tf.Tensor:
        """Features (n, d), or its parts of `widths`, to the probabilities of the hidden units, (n, k)."""
        return self.up(self.visible(tf.concat(parts, axis=-1)))

    def visible(self, x: tf.Tensor) -> tf.Tensor:
        """Features as the visible units take them, (n, d)."""
        if self.kind == "counts" and self.recipe.words:
            return x * (self.recipe.words / tf.maximum(tf.reduce_sum(x, axis=-1, keepdims=True), 1e-30))
        return (x - self.mean) * self.scale

    def words(self, v: tf.Tensor) -> float | tf.Tensor:
        """D of each row, (n, 1), or of all; 1 for a document without words."""
        if self.kind != "counts":
            return 1.0
        return float(self.recipe.words) or tf.maximum(tf.reduce_sum(v, axis=-1, keepdims=True), 1.0)

    def up(self, v: tf.Tensor, words: float | tf.Tensor | None = None) -> tf.Tensor:
        """p(h = 1 | v): visible units (n, d) to (n, k); `words` is D, None: that of v."""
        words = self.words(v) if words is None else words
        return tf.sigmoid(self.recipe.up_factor * tf.matmul(v, self.kernel.value) + words * self.hidden_bias)

    def down(self, h: tf.Tensor, words: float | tf.Tensor = 1.0) -> tf.Tensor:
        """E[v | h]: hidden units (n, k) to (n, d); `words` is D, (n, 1) or a number, of machines of counts."""
        logits = tf.matmul(h, self.kernel.value, transpose_b=True) + self.visible_bias
        if self.kind == "gaussian":
            return logits
        return tf.sigmoid(logits) if self.kind == "binary" else words * tf.nn.softmax(logits)

    def drawn(self, v: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Documents (n, d) of the recipe's number of words, drawn from the distributions v / D."""
        rows, vocabulary = tf.shape(v)[0], tf.shape(v)[1]
        found = tf.random.stateless_categorical(tf.math.log(v + 1e-30), self.recipe.words, seed, dtype=tf.int32)
        places = tf.reshape(found + vocabulary * tf.range(rows)[:, None], [-1])
        counts = tf.math.unsorted_segment_sum(tf.ones_like(places, tf.float32), places, rows * vocabulary)
        return tf.reshape(counts, (rows, vocabulary))

    def contrast(
        self, x: tf.Tensor, seed: tf.Tensor, time: float | tf.Tensor = 0.0, grow: bool = False,
    ) -> tuple[tf.Tensor, list[tf.Tensor]]:
        """One step of contrastive divergence.

        v -> h = p(h | v), and once or, with `grow`, several times: -> a sample of h -> v' = E[v | sample] -> h =
        p(h | v'), h' in the end. The gradients are means over items of (v' h' - v h) / D for W, (v' - v) / D for b and
        h' - h for c. The pull to a sparse activity, the recipe's weight times (q - target) / (q (1 - q)), is as if h
        were as much smaller: it comes on top of c's, and times the mean of v / D of W's. q is the running mean of h,
        which starts at the target; it is taken for .01 to .99: nearer to 0 and 1 the pull has no bound, and a unit that
        rests there would be thrown to the other side.

        Args:
          x: features (B, d).
          seed: int32 (2,) of the samples.
          time: step of the authors' training, see Descent.
          grow: whether the steps of contrast become more as the recipe says.

        Returns:
          (mean over items of ||v - v'||^2 / D^2, gradients of the trainable weights).
        """
        v = self.visible(x)
        words, h = self.words(v), self.up(v)

        def again(number: tf.Tensor, _: tf.Tensor, hidden: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
            own = randomness.fold_in(seed, 2 * number)
            sample = tf.cast(tf.random.stateless_uniform(tf.shape(hidden), own) < hidden, hidden.dtype)
            made = self.down(sample, words)
            seen = made
            if self.recipe.drawn_from is not None:
                seen = tf.cond(
                    tf.cast(time, tf.float32) >= self.recipe.drawn_from,
                    lambda: self.drawn(made, randomness.fold_in(seed, 2 * number + 1)), lambda: made,
                )
            return number + 1, made, self.up(seen, words)

        state = tf.constant(0), v, h
        if grow:
            rounds = self.recipe.contrasts(time)
            state = tf.while_loop(lambda number, *_: number < rounds, again, state)
        else:
            state = again(*state)
        _, v2, h2 = state
        items = tf.cast(tf.shape(v)[0], h.dtype)
        v, v2 = v / words, v2 / words
        kernel = (tf.matmul(v2, h2, transpose_a=True) - tf.matmul(v, h, transpose_a=True)) / items
        hidden, visible = tf.reduce_mean(h2 - h, axis=0), tf.reduce_mean(v2 - v, axis=0)
        if self.recipe.sparsity_weight:
            pull = self.pull(h)
            kernel, hidden = kernel + tf.reduce_mean(v, axis=0)[:, None] * pull, hidden + pull
        return tf.reduce_mean(tf.reduce_sum((v - v2) ** 2, axis=-1)), [kernel, hidden, visible]

    def pull(self, h: tf.Tensor) -> tf.Tensor:
        """The pull on each hidden unit, (k,), after their running activity took in a batch's h (B, k)."""
        self.activity.assign(SPARSITY_DAMPING * self.activity + (1 - SPARSITY_DAMPING) * tf.reduce_mean(h, axis=0))
        q = tf.clip_by_value(self.activity.value, 0.01, 0.99)
        return self.recipe.sparsity_weight * (q - self.recipe.target) / (q * (1 - q))

    def mean_field(self, parts: Sequence[tf.Tensor | None], rounds: int = ROUNDS) -> tf.Tensor:
        """The hidden units' probabilities, (n, k), where some modalities are unknown.

        These start at 0; a round makes j = p(h | v) and, but for the last one, renews all of them by E[v | j].

        Args:
          parts: of `widths`, each (n, d_m); None for the unknown ones.
          rounds: 1 or more.

        Returns:
          (n, units).
        """
        rows = tf.shape(next(part for part in parts if part is not None))[0]
        now = [tf.zeros((rows, d)) if part is None else part for part, d in zip(parts, self.widths, strict=True)]
        hidden = self.up(tf.concat(now, axis=-1))
        for _ in range(rounds - 1):
            made = tf.split(self.down(hidden), self.widths, axis=-1)
            now = [new if part is None else part for part, new in zip(parts, made, strict=True)]
            hidden = self.up(tf.concat(now, axis=-1))
        return hidden
