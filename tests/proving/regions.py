"""Images as a map of regions, pooled by attention; a region counts by what is in it."""
import dataclasses

import tensorflow as tf

from proving.settings import ProvingSettings
from tfxmr.core.settings import changed, setting
from tfxmr.engine import losses, randomness
from tfxmr.engine.parts.attention import Attention
from tfxmr.models.base import Method


@dataclasses.dataclass(frozen=True)
class RegionsSettings(ProvingSettings):
    """Settings of Regions."""

    steps: int = setting(200, "Training steps.", minimum=1)
    learning_rate: float = changed(3e-3)
    units: int = setting(48, "Width of the common space.", minimum=1)
    keep: float = setting(0.9, "Probability that dropout keeps an entry of the attention.", minimum=1e-3, maximum=1.0)


class Regions(Method):
    """- log softmax(P(E_m))_l over one classifier P; E_image = sum of a_j h_j, h_j = ReLU(W x_j) of the regions x_j."""

    Settings = RegionsSettings
    paper = "a test of views of maps, and of attention"
    provenance = "this project"
    inputs = ("image.regions", "text")
    zero_shot = True

    def make_networks(self, data):
        """Builds the regions' layer, the attention, the text's layers and the classifier."""
        units = self.settings.units
        return {
            "regions": self.tower("regions", data.dims["image.regions"][1], (units,), output_activation=tf.nn.relu),
            "attention": Attention(units, keep=self.settings.keep, seed=randomness.derive(self.seed, *b"attention")),
            "text": self.tower("text", data.dims["text"], (units,), output_activation=tf.nn.relu),
            "classifier": self.tower("classifier", units, (data.num_classes,)),
        }

    def image(self, regions, seed=None):
        """(B, places, d) to (B, units)."""
        return self.networks["attention"](self.networks["regions"](regions), None, seed=seed)[0]

    def compute_losses(self, batch, step):
        """The classification loss of both modalities, name -> scalar."""
        common = tf.stack((self.image(batch["image.regions"], step.masks(0)), self.networks["text"](batch["text"])))
        logits = self.networks["classifier"](common)
        return {"class": tf.reduce_mean(losses.semantic_discrimination(logits, batch["label"]))}

    def embed(self, modality, features):
        """The pooled regions, or the text's vector."""
        if modality == "image":
            return self.image(features["image.regions"])
        return self.networks["text"](features["text"])
