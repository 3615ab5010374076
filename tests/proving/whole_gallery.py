"""A similarity of a query to an item that depends on all other items of the gallery."""
import dataclasses

import numpy as np
import tensorflow as tf

from proving.settings import ProvingSettings
from tfxmr.core.settings import setting
from tfxmr.engine import losses
from tfxmr.engine.parts.triplet import different, triplet
from tfxmr.models.base import Method


@dataclasses.dataclass(frozen=True)
class WholeGallerySettings(ProvingSettings):
    """Settings of WholeGallery."""

    units: int = setting(32, "Width of each of the two spaces.", minimum=1)


class WholeGallery(Method):
    """Two spaces, one learned by classes and one by triplets, whose similarities are scaled to [0, 1] for each query.

    Sim(q, g) = sum over the spaces s of (S_s(q, g) - min over g of S_s) / (max - min), S_s the cosine in space s.
    """

    Settings = WholeGallerySettings
    paper = "a test of a similarity that is no function of two vectors"
    provenance = "this project"
    zero_shot = True

    def make_networks(self, data):
        """Builds an encoder for each modality and space, and the classifier of the one."""
        units = self.settings.units
        spaces = {f"{s}_{m}": (d, units) for s in ("class", "triplet") for m, d in data.dims.items()}
        spaces["classifier"] = units, data.num_classes
        return {name: self.tower(name, inputs, (outputs,)) for name, (inputs, outputs) in spaces.items()}

    def compute_losses(self, batch, step):
        """The classification loss and the triplet loss with all negatives, name -> scalar."""
        common = tf.stack([self.networks[f"class_{m}"](batch[m]) for m in self.dims])
        logits = self.networks["classifier"](common)
        pair = [tf.math.l2_normalize(self.networks[f"triplet_{m}"](batch[m]), -1) for m in self.dims]
        similarities, allowed = tf.matmul(*pair, transpose_b=True), different(batch["label"])
        both = (triplet(s, allowed, 0.3) for s in (similarities, tf.transpose(similarities)))
        return {
            "class": tf.reduce_mean(losses.semantic_discrimination(logits, batch["label"])),
            "triplet": tf.reduce_mean(sum(both)) / 10,
        }

    def embed(self, modality, features):
        """The unit vectors of both spaces, name -> (B, units)."""
        return {
            s: tf.math.l2_normalize(self.networks[f"{s}_{modality}"](features), -1) for s in ("class", "triplet")
        }

    def similarity(self, query_modality, queries, gallery_modality, gallery):
        """See the class: (q, G)."""
        found = 0.0
        for space in queries:
            s = queries[space] @ gallery[space].T
            low, high = s.min(axis=1, keepdims=True), s.max(axis=1, keepdims=True)
            found = found + (s - low) / np.where(high > low, high - low, 1)
        return found
