"""A method whose settings decide which views it reads, and which shows a value beside its losses."""
import dataclasses

import tensorflow as tf

from proving.settings import ProvingSettings
from tfxmr.core.settings import changed, setting
from tfxmr.models.base import Method


@dataclasses.dataclass(frozen=True)
class ChosenViewSettings(ProvingSettings):
    """Settings of ChosenView."""

    steps: int = setting(200, "Training steps.", minimum=1)
    learning_rate: float = changed(3e-3)
    places: str = setting("mean", "What of an image is read.", choices=("mean", "none"))


class ChosenView(Method):
    """- log softmax(P(E_m(x_m)))_l; with --places=mean the image is the mean of its regions, else its vector."""

    Settings = ChosenViewSettings
    paper = "a test of views that settings choose, and of values shown"
    provenance = "this project"
    modalities = ("image", "text")
    zero_shot = True

    @classmethod
    def reads(cls, settings):
        """The image's regions and the text, or each modality's vector."""
        return ("image.regions", "text") if settings.places == "mean" else ()

    def make_networks(self, data):
        """Builds a layer for each modality and the classifier."""
        units = self.settings.units
        image = data.dims["image.regions"][1] if self.settings.places == "mean" else data.dims["image"]
        return {
            "image": self.tower("image", image, (units,)),
            "text": self.tower("text", data.dims["text"], (units,)),
            "classifier": self.tower("classifier", units, (data.num_classes,)),
        }

    def updates(self, batch, step):
        """One update, with the share of items that the classifier tells rightly."""
        reads, found, right = self.reads(self.settings), {}, 0.0
        with tf.GradientTape() as tape:
            for m in ("image", "text"):
                logits = self.networks["classifier"](self.embed(m, batch if reads else batch[m]))
                cost = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
                found[m] = tf.reduce_mean(cost)
                hits = tf.argmax(logits, axis=1, output_type=tf.int32) == batch["label"]
                right += tf.reduce_mean(tf.cast(hits, tf.float32)) / 2
        yield *self.minimise("joint", found, tape), {"accuracy": right}

    def embed(self, modality, features):
        """The layer's output."""
        if self.reads(self.settings):
            features = features["image.regions" if modality == "image" else "text"]
            features = tf.reduce_mean(features, axis=1) if modality == "image" else features
        return self.networks[modality](features)
