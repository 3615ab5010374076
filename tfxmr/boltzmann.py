"""Restricted Boltzmann machines, trained by contrastive divergence, that methods are pre-trained with.

Machine: Hinton, Neural Computation 2002; of word counts (replicated softmax): Salakhutdinov and Hinton, NIPS 2009.
"""
import dataclasses

import keras
import numpy as np
import tensorflow as tf

from tfxmr import randomness
from tfxmr.data import mapped
from tfxmr.errors import InputError
from tfxmr.features.normalisation import statistics
from tfxmr.models.base import Method, MethodSettings
from tfxmr.settings import setting
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
        fixed = {"initializer": "zeros", "trainable": False}
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


@dataclasses.dataclass(frozen=True)
class BoltzmannSettings(MethodSettings):
    """Settings of the machines of one level, see `kind_of`."""

    units: int = setting(1024, "Hidden units.", minimum=1)
    level: int = setting(0, "Levels of machines below.", minimum=0)
    counts: tuple = setting((), "Modalities whose features are numbers of words.")

    def remedies(self):
        """As Settings.remedies: the machines' rates and scales are fixed, so they can only be left out."""
        return ["--norbm_pretrain"]


class Boltzmann(Method):
    """A machine for each modality, all trained at once and each by itself; `embed` gives the hidden probabilities.

    Several are stacked by training each on the outputs of the one below (Hinton, Osindero and Teh 2006).
    """

    Settings = BoltzmannSettings
    modalities = ()

    def check(self, data):
        """Raises InputError if counts are negative."""
        super().check(data)
        for m in () if self.settings.level else self.settings.counts:
            if any(block.min() < 0 for block in mapped.blocks(data.splits["train"].features[m])):
                raise InputError(
                    f"--rbm_counts={m}: {m} features below 0 are no counts of words; take --feature_norm=none, and "
                    "features such as bow3000"
                )

    def make_networks(self, data):
        """Builds the machines, scaled to the training items where they are Gaussian."""
        machines = {}
        for m, d in data.dims.items():
            kind = kind_of(m, self.settings.level, self.settings.counts)
            seed = randomness.derive(self.seed, *f"machine_{m}".encode())
            machines[m] = Machine(d, self.settings.units, kind, seed, name=f"machine_{m}")
            if kind == "gaussian":
                mean, deviation = statistics(data.splits["train"].features[m], "zscore")
                machines[m].mean.assign(mean)
                machines[m].scale.assign(1 / deviation)
        return machines

    @property
    def players(self):
        """Each machine by itself."""
        return {m: (m,) for m in self.networks}

    def make_optimizer(self, player, learning_rate):
        """Gradient descent by the machine's recipe."""
        recipe = self.networks[player].recipe
        rate = keras.optimizers.schedules.InverseTimeDecay(recipe.learning_rate, 10_000, 1.0)
        return SGD(rate, momentum=0.9, initial_momentum=0.5, rise=recipe.rise, l2=recipe.l2, name=f"sgd_{player}")

    def updates(self, batch, step):
        """Yields each machine's step of contrastive divergence; arguments and what is yielded as in Method.updates."""
        for i, (m, machine) in enumerate(self.networks.items()):
            error, gradients = machine.contrast(batch[m], randomness.fold_in(step.seed, i))
            yield m, {"reconstruction": error}, gradients

    def embed(self, modality, features):
        """The probabilities of the hidden units: features (n, d) to (n, k)."""
        return self.networks[modality](features)

    def outputs(self, modality, features):
        """The same of a whole matrix (n, d), in blocks: a float32 NumPy array (n, k)."""
        return np.concatenate([self.networks[modality](block).numpy() for block in mapped.blocks(features)])

