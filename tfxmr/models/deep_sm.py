"""Deep-SM: deep semantic matching (Wei et al., IEEE Transactions on Cybernetics 2017)."""
import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from tfxmr.core.settings import changed, setting
from tfxmr.engine.keras_model import Shapes
from tfxmr.models.base import Batch, Method, Networks, OptimizerSettings, Players, Step, Update


@dataclasses.dataclass(frozen=True)
class DeepSMSettings(OptimizerSettings):
    """Settings of Deep-SM. Its code is not public; the widths, batch and length are this project's choice."""

    optimizer: str = changed("sgd")
    learning_rate: float = changed(1e-2, grid=(1e-3, 3e-3, 1e-2, 3e-2, 1e-1))
    weight_decay: float = changed(5e-4, grid=(5e-4, 5e-3, 5e-2))
    select: str = changed("validation")
    image_units: tuple[int, ...] = setting(
        (1024,), "Widths of the image network's hidden layers; empty: none.", minimum=1
    )
    text_units: tuple[int, ...] = setting(
        (1024, 512), "Widths of the hidden layers of each other modality's network; empty: none.", minimum=1
    )
    dropout_keep: float = setting(
        1.0, "Probability that dropout keeps a hidden unit, in [.05, 1].", minimum=0.05, maximum=1.0, grid=(0.5, 1.0)
    )
    representation: str = setting(
        "probabilities",
        "What retrieval compares: class probabilities; centred: these less their mean 1/C, whose cosine is the "
        "normalised correlation; logits. It changes no loss, so `tfxmr evaluate` may choose another.",
        choices=("probabilities", "centred", "logits"),
        affects="scoring",
    )


class DeepSM(Method):
    """Makes each item the vector of its class probabilities, by a deep classifier of each modality's own.

    min over the network f_m of each modality m:  mean over items u of - log softmax(f_m(x_u^m))_{l_u}

    Retrieval compares the probabilities by cosine. Modalities never meet in training, so they need not be paired. Of
    an item of an unseen class, the probabilities of the seen classes serve as a semantic code.

    Differs from the paper: it fine-tunes a convolutional network on the images, here the input is the features; the
    gradient of each network is a player of its own.
    """

    Settings = DeepSMSettings
    settings: DeepSMSettings
    paper = "Wei et al., IEEE Transactions on Cybernetics 2017"
    citation = """
    @article{wei2017cross,
      author = {Yunchao Wei and Yao Zhao and Canyi Lu and Shikui Wei and Luoqi Liu and Zhenfeng Zhu and
                Shuicheng Yan},
      title = {Cross-Modal Retrieval with {CNN} Visual Features: A New Baseline},
      journal = {IEEE Transactions on Cybernetics},
      volume = {47},
      number = {2},
      pages = {449--460},
      year = {2017}
    }
    """
    provenance = "85 %: no code is public"
    zero_shot = True
    least_classes = 2

    def make_networks(self, data: Shapes) -> Networks:
        """Builds one classifier for each modality."""
        s = self.settings
        return {
            m: self.tower(
                m, d, (*(s.image_units if m == "image" else s.text_units), data.num_classes), keep=s.dropout_keep
            )
            for m, d in data.dims.items()
        }

    @property
    def players(self) -> Players:
        """One for each modality."""
        return {m: (m,) for m in self.networks}

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields each classifier's update."""
        for i, m in enumerate(self.networks):
            with tf.GradientTape() as tape:
                logits = self.networks[m](batch[m], seed=step.masks(i))
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
                loss = {"class": tf.reduce_mean(loss)}
            yield self.minimise(m, loss, tape)

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """Class probabilities (B, C), or what the settings choose, without dropout."""
        logits, kind = self.networks[modality](features), self.settings.representation
        if kind == "logits":
            return logits
        return tf.nn.softmax(logits) - (1 / logits.shape[-1] if kind == "centred" else 0)
