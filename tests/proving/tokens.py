"""Texts as the numbers of their words, read by an LSTM with dropout; both modalities end in a batch normalisation."""
import dataclasses

import tensorflow as tf

from proving.settings import ProvingSettings
from tfxmr.core.settings import changed, setting
from tfxmr.engine import randomness
from tfxmr.engine.parts.batch_norm import BatchNorm
from tfxmr.engine.parts.recurrent import LSTMStack
from tfxmr.models.base import Method


@dataclasses.dataclass(frozen=True)
class WordsLSTMSettings(ProvingSettings):
    """Settings of WordsLSTM."""

    learning_rate: float = changed(3e-3)
    dropout_keep: float = setting(0.8, "Probability that dropout keeps a unit.", minimum=1e-3, maximum=1.0)


class WordsLSTM(Method):
    """- log softmax(P(BN(E_m(x_m))))_l, summed over image and text, over one classifier P; retrieval compares BN(E_m)."""

    Settings = WordsLSTMSettings
    paper = "a test of views of tokens, dropout and batch normalisation"
    provenance = "this project"
    inputs = ("image", "text.words")
    zero_shot = True

    def make_networks(self, data):
        """Builds the word table's reader, the image's layer, the normalisations and the classifier."""
        units, self.table = self.settings.units, tf.constant(data.tables["text.words"])
        return {
            "image": self.tower("image", data.dims["image"], (units,)),
            "text": LSTMStack(
                self.table.shape[1], (units, units), keep=self.settings.dropout_keep,
                seed=randomness.derive(self.seed, *b"text"),
            ),
            "norm_image": BatchNorm(units, scale=True),
            "norm_text": BatchNorm(units, scale=True),
            "classifier": self.tower("classifier", units, (data.num_classes,)),
        }

    def represent(self, modality, features, training=False, seed=None):
        """BN(E_m(x)): view -> (B, ...) to (B, units)."""
        if modality == "image":
            made = self.networks["image"](features["image"])
        else:
            words = features["text.words"]
            valid = words > 0
            states = self.networks["text"](tf.gather(self.table, words), valid, seed=seed)
            count = tf.reduce_sum(tf.cast(valid, tf.float32), axis=1, keepdims=True)
            made = tf.math.divide_no_nan(tf.reduce_sum(states, axis=1), count)
        return self.networks[f"norm_{modality}"](made, training=training)

    def compute_losses(self, batch, step):
        """The classification losses, name -> scalar."""
        found = {}
        for m in ("image", "text"):
            logits = self.networks["classifier"](self.represent(m, batch, step.training, step.masks(0)))
            cost = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
            found[m] = tf.reduce_mean(cost)
        return found

    def embed(self, modality, features):
        """BN(E_m(x)), by the moving statistics and without dropout."""
        return self.represent(modality, features)
