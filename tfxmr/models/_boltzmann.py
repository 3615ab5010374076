"""Restricted Boltzmann machines, trained by contrastive divergence, that methods are pre-trained with.

Machine: Hinton, Neural Computation 2002; of word counts (replicated softmax): Salakhutdinov and Hinton, NIPS 2009.
"""
import dataclasses

import keras
import tensorflow as tf

from tfxmr.training.optimizers import SGD

SPARSITY_TARGET, SPARSITY_DAMPING = 0.2, 0.9


@dataclasses.dataclass(frozen=True)
class Recipe:
    """How a machine with one kind of visible units learns: the authors' configuration of Corr-AE for Wikipedia.

    Attributes:
      learning_rate: at step 0; divided by 1 + t / 10,000 at step t.
      l2: times the weights, is added to their gradient.
      sparsity: weight of the pull of a hidden unit's activity to .2.
      rise: steps t_m of the momentum .9 - .4 exp(-t / t_m).
      stddev: of the initial weights; None: hidden units^-1/2.
    """

    learning_rate: float
    l2: float
    sparsity: float
    rise: int = 10_000
    stddev: float | None = None


RECIPES = {
    "gaussian": Recipe(1e-3, 1e-3, 0.1),
    "binary": Recipe(0.05, 1e-3, 0.01),
    "counts": Recipe(0.1, 1e-4, 0.01, rise=5_000, stddev=1e-5),
}


class Machine(keras.layers.Layer):
    """A restricted Boltzmann machine: visible units v (d), hidden ones h (k) in {0, 1}, no connection within a side.

    p(h_j = 1 | v) = sigmoid((v W + D c)_j);  E[v | h] by the kind of the visible units:

        gaussian  h W' + b, of features scaled to mean 0 and variance 1, with variance 1    D = 1
        binary    sigmoid(h W' + b)                                                         D = 1
        counts    D softmax(h W' + b): D words drawn from one distribution                  D = sum of v

    Args:
      inputs: d.
      units: k.
      kind: one of RECIPES.
      seed: of the initial weights.
    """

    def __init__(self, inputs, units, kind, seed, **kwargs):
        super().__init__(**kwargs)
        self.kind, self.recipe = kind, RECIPES[kind]
        normal = keras.initializers.RandomNormal(0.0, self.recipe.stddev or units**-0.5, seed=seed)
        self.kernel = self.add_weight(shape=(inputs, units), initializer=normal, name="kernel")
        self.hidden_bias = self.add_weight(shape=(units,), initializer="zeros", name="hidden_bias")
        self.visible_bias = self.add_weight(shape=(inputs,), initializer="zeros", name="visible_bias")
        # all replicas set them to the same values
        fixed = {"initializer": "zeros", "trainable": False, "aggregation": "only_first_replica"}
        self.mean = self.add_weight(shape=(inputs,), name="mean", **fixed)
        self.scale = self.add_weight(shape=(inputs,), name="scale", **fixed | {"initializer": "ones"})
        self.activity = self.add_weight(shape=(units,), name="activity", **fixed)
        self.built = True

    def call(self, x):
        """Features (n, d) to the probabilities of the hidden units, (n, k)."""
        return self.up(self.visible(x))

    def visible(self, x):
        """Features as the visible units take them, (n, d)."""
        return (x - self.mean) * self.scale

    def words(self, v):
        """D of each row, (n, 1); 1 for a document without words."""
        return tf.maximum(tf.reduce_sum(v, axis=-1, keepdims=True), 1.0) if self.kind == "counts" else 1.0

    def up(self, v):
        """p(h = 1 | v): visible units (n, d) to (n, k)."""
        return tf.sigmoid(tf.matmul(v, self.kernel.value) + self.words(v) * self.hidden_bias)

    def down(self, h, words=1.0):
        """E[v | h]: hidden units (n, k) to (n, d); `words` is D, (n, 1) or a number, of machines of counts."""
        logits = tf.matmul(h, self.kernel.value, transpose_b=True) + self.visible_bias
        if self.kind == "gaussian":
            return logits
        return tf.sigmoid(logits) if self.kind == "binary" else words * tf.nn.softmax(logits)

    def contrast(self, x, seed):
        """One step of contrastive divergence.

        v -> h = p(h | v) -> a sample of h -> v' = E[v | sample] -> h' = p(h | v'); the gradients are means over
        items of (v' h' - v h) / D for W, (v' - v) / D for b and h' - h for c, and for c the pull to a sparse
        activity, sparsity (q - .2) / (q (1 - q)), where q is the running mean of h, taken for .01 to .99: nearer to
        0 and 1 the pull has no bound, and a unit that rests there would be thrown to the other side.

        Args:
          x: features (B, d).
          seed: int32 (2,) of the sample.

        Returns:
          (mean over items of ||v - v'||^2 / D^2, gradients of the trainable weights).
        """
        v = self.visible(x)
        words, h = self.words(v), self.up(v)
        sample = tf.cast(tf.random.stateless_uniform(tf.shape(h), seed) < h, h.dtype)
        v2 = self.down(sample, words)
        h2 = self.up(v2)
        items = tf.cast(tf.shape(v)[0], h.dtype)
        v, v2 = v / words, v2 / words
        kernel = (tf.matmul(v2, h2, transpose_a=True) - tf.matmul(v, h, transpose_a=True)) / items
        self.activity.assign(SPARSITY_DAMPING * self.activity + (1 - SPARSITY_DAMPING) * tf.reduce_mean(h, axis=0))
        q = tf.clip_by_value(self.activity.value, 0.01, 0.99)
        pull = self.recipe.sparsity * (q - SPARSITY_TARGET) / (q * (1 - q))
        hidden, visible = tf.reduce_mean(h2 - h, axis=0) + pull, tf.reduce_mean(v2 - v, axis=0)
        return tf.reduce_mean(tf.reduce_sum((v - v2) ** 2, axis=-1)), [kernel, hidden, visible]


def kind_of(modality, level, counts):
    """The kind of a modality's machine, one of RECIPES.

    Args:
      modality: its name.
      level: machines below this one; above others the visible units are probabilities, so the kind is "binary".
      counts: names of the modalities whose features are numbers of words; their lowest machine is "counts", that of the
        others "gaussian".
    """
    return "binary" if level else "counts" if modality in counts else "gaussian"


def optimizer_of(machine, name):
    """Gradient descent by a Machine's recipe, with the name `name`."""
    recipe = machine.recipe
    rate = keras.optimizers.schedules.InverseTimeDecay(recipe.learning_rate, 10_000, 1.0)
    return SGD(rate, momentum=0.9, initial_momentum=0.5, rise=recipe.rise, l2=recipe.l2, name=name)
