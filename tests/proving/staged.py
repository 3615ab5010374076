"""Three stages: each modality by itself, then both on the classes that the networks already tell apart best."""
import dataclasses

import keras
import numpy as np
import tensorflow as tf

from proving.settings import ProvingSettings
from tfxmr.core.settings import changed, setting
from tfxmr.models.base import Method, Stage


@dataclasses.dataclass(frozen=True)
class StagedSettings(ProvingSettings):
    """Settings of Staged."""

    steps: int = setting(100, "Training steps of the last stage.", minimum=1)
    stage_steps: int = setting(100, "Training steps of each stage before.", minimum=1)
    learning_rate: float = changed(3e-3)
    units: int = setting(16, "Width of the common space.", minimum=1)


class Staged(Method):
    """- log softmax(P_m(E_m(x)))_l, a modality a stage; then of both, on half of the classes, chosen when it begins."""

    Settings = StagedSettings
    paper = "a test of stages, what they decide, and plain layers of Keras"
    provenance = "this project"
    zero_shot = True

    def make_networks(self, data):
        """Builds a plain Keras network with a batch normalisation for each modality; the text's is the longer one."""
        units, classes = self.settings.units, data.num_classes

        def make():
            return keras.Sequential([
                keras.layers.Dense(units, activation="relu"), keras.layers.BatchNormalization(momentum=0.9),
                keras.layers.Dense(classes),
            ])

        return {m: self.network(m, make, (d,)) for m, d in data.dims.items()}

    def make_stages(self, num_items):
        """The image's, the text's, and that of both, with batches by class at half the rate."""
        s = self.settings
        return (
            *(Stage(m, s.stage_steps, (m,), batch_size=32) for m in self.dims),
            Stage("both", s.steps, sampler="repaired", rate=0.5),
        )

    @property
    def players(self):
        """Each modality."""
        return {m: (m,) for m in self.dims}

    def begin(self, data):
        """Of the last stage: the half of the classes with the best accuracy, so far, of both networks."""
        if self.stage.name != "both":
            return {}
        split = data.splits["train"]
        right = sum(
            np.bincount(split.labels[m], np.argmax(self.encode(m, split.features[m]), axis=1) == split.labels[m])
            / np.bincount(split.labels[m])
            for m in self.dims
        )
        return {"classes": np.argsort(-right, kind="stable")[: (len(right) + 1) // 2].tolist(), "accuracy": right.tolist()}

    def updates(self, batch, step):
        """Yields the update of the stage's modality, or of both."""
        for m in (step.stage,) if step.stage in self.dims else self.dims:
            with tf.GradientTape() as tape:
                logits = self.networks[m](batch[m], training=step.training)
                cost = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
                cost = {"class": tf.reduce_mean(cost)}
            yield self.minimise(m, cost, tape)

    def embed(self, modality, features):
        """The logits."""
        return self.networks[modality](features, training=False)
