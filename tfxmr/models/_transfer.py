"""What MHTN and TPCKT share: branches of normalised layers, losses of corresponding items, steps of SGD as Caffe's."""
import dataclasses
from collections.abc import Sequence
from typing import Any

import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import losses
from tfxmr.engine.layers import Tower, reversal_ramp
from tfxmr.engine.parts.batch_norm import BatchNorm, DenseNormReLU, InputNorm
from tfxmr.models.base import Method, Networks, OptimizerSettings, Step


@dataclasses.dataclass(frozen=True)
class TransferSettings(OptimizerSettings):
    """Settings of both methods; the defaults are those of the authors' code."""

    optimizer: str = changed("sgd")
    learning_rate: float = changed(1e-2, grid=(1e-3, 3e-3, 1e-2))
    weight_decay: float = changed(5e-4)
    select: str = changed("validation")
    units: int = setting(4096, "Width of the layers fc6 to fc9.", minimum=1)
    adversary_units: tuple[int, ...] = setting((1024, 1024), "Widths of a discriminator's hidden layers.", minimum=1)
    pairwise_weight: float = setting(
        1e-4, "Weight of the distances of corresponding items at fc6 and fc7; 0 omits them.", minimum=0.0
    )
    lambda_adv: float = setting(
        1.0, "Factor of the reversed gradient, times 2 / (1 + exp(-10 p)) - 1, p = share of the stage done.",
        minimum=0.0,
    )
    share_domains: bool = setting(
        False, "Both domains share the layers below the classifiers, each with statistics of its own: this project's; "
        "in the papers domains share no weight."
    )
    representation: str = setting(
        "probabilities", "What retrieval compares: class probabilities; or common: the output of fc9. It changes no "
        "loss, so `tfxmr evaluate` may choose another.", choices=("probabilities", "common"),
        affects="scoring",
    )


class Transfer(Method):
    """Base of both. FBR(x) = ReLU(BN(W x + b)), BN without factor and offset."""

    Settings = TransferSettings
    settings: TransferSettings
    least_classes = 2

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if shared layers would read features of words that differ by domain."""
        super().check(data)
        if self.settings.share_domains and data.source:
            for view in data.source.views:
                own, other = (vocabulary(part.features.get(view, {})) for part in (data, data.source))
                if own and other and own != other:
                    raise InputError(
                        f"--share_domains: the {view} features of {data.source.shown} and {data.shown} count different "
                        "words; extract both from one --text_corpus=FILE, or omit the flag"
                    )

    def block(self, name: str, inputs: int, sources: Sequence[str] = ("",)) -> DenseNormReLU:
        """Builds an FBR layer on some `inputs`, with random weights by seed and name; `sources` as of DenseNormReLU."""
        return DenseNormReLU(
            inputs, self.settings.units, seed=self.own_seed(name), sources=sources, name=name,
            dtype=self.policy,
        )

    def branch(self, modality: str, inputs: int, prefix: str = "", sources: Sequence[str] = ("",)) -> Networks:
        """Builds a modality's own layers, name -> layer: a normalisation, but of images, then fc6 and fc7.

        Args:
          modality: name.
          inputs: width of its features.
          prefix: of the names.
          sources: of rows; of several, each has a normalisation of its own, named by it.

        Returns:
          name -> layer, in the order of the pass.
        """
        found = {}
        if modality != "image":
            for source in sources:
                name = f"{source}_" if source else prefix
                found[f"{name}{modality}_norm"] = InputNorm(inputs, name=f"{name}{modality}_norm")
        for layer, width in (("fc6", inputs), ("fc7", self.settings.units)):
            found[f"{prefix}{modality}_{layer}"] = self.block(f"{prefix}{modality}_{layer}", width, sources)
        return found

    def head(self, name: str, outputs: int, inputs: int = 0) -> Tower:
        """Builds a linear layer `name` of some `outputs` on the common representation, or on `inputs` features."""
        inputs = inputs or self.settings.units
        return self.tower(name, inputs, (outputs,), stddev=(2 / inputs) ** 0.5)

    def hidden(self, names: Sequence[str], x: tf.Tensor, training: bool = False, source: str = "") -> list[tf.Tensor]:
        """fc6 and fc7 (B, units) of features (B, d); `names` as `branch` names the layers."""
        found = []
        for name in names:
            layer = self.networks[name]
            if isinstance(layer, BatchNorm):
                x = layer(x, training=training)
            else:
                x = layer(x, training=training, source=source if source in layer.norms else "")
                found.append(x)
        return found

    def reversal(self, step: Step) -> float | tf.Tensor:
        """The factor of the reversed gradient at a Step."""
        return self.settings.lambda_adv * reversal_ramp(step.progress)


def vocabulary(facts: dict[str, Any]) -> str | None:
    """What tells the words apart that features count, given what is known of them; None if they count none."""
    counts = str(facts.get("name")).startswith(("bow", "tfidf"))
    return (facts.get("vocabulary_sha256") or facts.get("source")) if counts else None


def classification(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """Mean cross-entropy of logits (B, C) and labels (B,)."""
    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits))


def correspondence(one: Sequence[tf.Tensor], other: Sequence[tf.Tensor]) -> tf.Tensor:
    """The sum over layers of the mean of ||a_n - b_n||^2 / 2, of two items' activations, lists of (B, d)."""
    return sum(tf.reduce_mean(losses.pairwise_l2(a, b)) for a, b in zip(one, other, strict=True))
