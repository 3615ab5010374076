"""MHTN: modal-adversarial hybrid transfer network (Huang, Peng and Yuan, IEEE TCYB 2020), and its ancestor CHTN."""
import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.settings import setting
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.layers import reverse_gradient
from tfxmr.engine.parts.mmd import linear_mmd, mmd
from tfxmr.models._transfer import Transfer, TransferSettings, classification, correspondence
from tfxmr.models.base import Batch, Losses, Networks, Players, Step, Update

MMD = {"quadratic": mmd, "linear": linear_mmd}


@dataclasses.dataclass(frozen=True)
class MHTNSettings(TransferSettings):
    """Settings of MHTN; the defaults are those of the authors' code but for what MHTN says."""

    variant: str = setting(
        "mhtn", "mhtn; chtn: its ancestor, without discriminator, and without batch normalisation in fc8 and fc9 (its "
        "paper's other settings: --pairwise_weight=1e-3 --steps=500).", choices=("mhtn", "chtn"),
    )
    source_weight: float = setting(1.0, "Weight of the source's classification; 0 omits it.", minimum=0.0)
    mmd_weight: float = setting(
        1.0, "Weight of the MMD between the domains' images at fc6 and at fc7; 0 omits it.", minimum=0.0
    )
    mmd_form: str = setting(
        "quadratic", "Estimate of the MMD: quadratic, of all pairs of rows, biased; linear, of quadruples of rows, as "
        "the released code.", choices=tuple(MMD),
    )
    adversary_weight: float = setting(
        0.1, "Weight of the modalities' classification; 0 makes no discriminator.", minimum=0.0
    )
    adversary_rate: float = setting(
        0.1, "Factor on the learning rate of the bottleneck and the discriminator.", minimum=0.0
    )
    bottleneck_units: int = setting(512, "Width of the layer before the reversal.", minimum=1)


class MHTN(Transfer):
    """Images learn from a source domain, other modalities from images, by common layers that tell no modality apart.

    Each modality m has layers h6_m, h7_m of its own (FBR; before them a batch normalisation but of images), the
    source's images too. All modalities' h7 pass, as one batch, the common layers fc8 and fc9 (FBR: normalised together)
    to the class logits p; the source's h7 to its own. With CE the cross-entropy, S(a, b) the mean of
    ||a_n - b_n||^2 / 2, and o = J(GRL(K(a9))) the M logits of the modality of an item, of a9, what fc9 normalises,

        L = CE(p_source) + sum over m of CE(p_m) + sum over k = 6, 7 of MMD^2(h_k of the source's and target's images)
          + pairwise_weight sum over k = 6, 7 and m other than image of S(hk_image, hk_m)
          + adversary_weight mean over all items of the sigmoid cross-entropies of o, summed over the M outputs

    is minimised by all layers, at a tenth of the learning rate by K and J; GRL multiplies the gradient by -lambda in
    the backward pass. Modalities that share no rows are joined by class, the largest first. Retrieval compares
    softmax(p) by cosine. Without a second domain (--source_dataset) the terms of the source are omitted, and
    results.json says so.

    Differs from the paper: the features are extracted; the reversal's schedule is Ganin and Lempitsky's, since that of
    the released configuration reverses nothing; no accumulation of 16 batches; the MMD is of all pairs.
    """

    Settings = MHTNSettings
    settings: MHTNSettings
    paper = "Huang, Peng and Yuan, IEEE TCYB 2020"
    citation = """
    @article{huang2020mhtn,
      author = {Xin Huang and Yuxin Peng and Mingkuan Yuan},
      title = {{MHTN}: Modal-Adversarial Hybrid Transfer Network for Cross-Modal Retrieval},
      journal = {IEEE Transactions on Cybernetics},
      volume = {50},
      number = {3},
      pages = {1047--1059},
      year = {2020}
    }
    @inproceedings{huang2017cross,
      author = {Xin Huang and Yuxin Peng and Mingkuan Yuan},
      title = {Cross-Modal Common Representation Learning by Hybrid Transfer Network},
      booktitle = {Proceedings of the 26th International Joint Conference on Artificial Intelligence},
      pages = {1893--1900},
      year = {2017}
    }
    """
    provenance = "the authors' code; the reversal's schedule is this project's"
    loss_names = {"mmd": "MMD, source against target"}
    takes_source = True
    source_modalities = ("image",)
    joint = True  # of a pair without images there would be no model

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if there are no images, or the source has none."""
        super().check(data)
        for shown, dims, flag in ((data.shown, data.dims, "dataset"),
                                  *((s.shown, s.dims, "source_dataset") for s in (data.source,) if s)):
            if "image" not in dims:
                raise InputError(f"--{flag}: mhtn learns from images, and {shown} has {', '.join(dims)}")

    def make_networks(self, data: Shapes) -> Networks:
        """Builds the branches, the source's images', the common layers, classifiers, bottleneck and discriminator."""
        s = self.settings
        found: Networks = {}
        source = data.source if s.source_weight > 0 or s.mmd_weight > 0 else None
        self.has_source = source is not None
        both = ("", "source") if self.has_source and s.share_domains else ("",)
        for m, d in data.dims.items():
            found |= self.branch(m, d, sources=both if m == "image" else ("",))
        if source is not None:
            if not s.share_domains:
                found |= self.branch("image", data.dims["image"], "source_")
            found["source_classes"] = self.head("source_classes", source.num_classes)
        he = (2 / s.units) ** 0.5
        for name in ("fc8", "fc9"):
            found[name] = (
                self.block(name, s.units) if s.variant == "mhtn"
                else self.tower(name, s.units, (s.units,), stddev=he, output_activation=tf.nn.relu)
            )
        found["classes"] = self.head("classes", data.num_classes)
        if self.adversarial:
            found["bottleneck"] = self.head("bottleneck", s.bottleneck_units)
            found["discriminator"] = self.tower(
                "discriminator", s.bottleneck_units, (*s.adversary_units, len(data.dims)), stddev=he
            )
        return found

    @property
    def adversarial(self) -> bool:
        """Whether there is a discriminator."""
        return self.settings.variant == "mhtn" and self.settings.adversary_weight > 0

    @property
    def players(self) -> Players:
        """All layers; bottleneck and discriminator apart, for their learning rate."""
        adversary = ("bottleneck", "discriminator") if self.adversarial else ()
        found = {"generator": tuple(name for name in self.networks if name not in adversary)}
        return found | ({"adversary": adversary} if adversary else {})

    @property
    def rates(self) -> dict[str, float]:
        """The adversary's factor."""
        return {"adversary": self.settings.adversary_rate}

    def begin(self, data: MultiModalData) -> dict[str, Any]:
        """Says what the source was."""
        source = data.source if self.has_source else None
        return {"source": source.shown if source else "none: no classes and no MMD of a source"}

    def own_layers(self, modality: str, prefix: str = "") -> list[str]:
        """Names of a modality's own layers."""
        return [f"{prefix}{modality}_{layer}" for layer in ("norm", "fc6", "fc7")
                if f"{prefix}{modality}_{layer}" in self.networks]

    def common(self, x: tf.Tensor, training: bool = False) -> tuple[tf.Tensor, tf.Tensor]:
        """fc9 (B, units) of fc7 (B, units), and what it normalises."""
        if self.settings.variant == "chtn":
            x = self.networks["fc9"](self.networks["fc8"](x))
            return x, x
        return self.networks["fc9"](self.networks["fc8"](x, training=training), training=training, linear=True)

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The weighted losses, name -> scalar."""
        s, training = self.settings, step.training
        own = {m: self.hidden(self.own_layers(m), batch[m], training) for m in self.dims}
        common, before = self.common(tf.concat([layers[-1] for layers in own.values()], axis=0), training)
        logits = tf.split(self.networks["classes"](common), len(own))
        loss = {f"class_{m}": classification(x, batch["label"]) for m, x in zip(own, logits, strict=True)}
        if s.pairwise_weight:
            others = (layers for m, layers in own.items() if m != "image")
            loss["pairwise"] = s.pairwise_weight * sum(correspondence(own["image"], layers) for layers in others)
        if self.has_source:
            loss |= self.source_losses(batch["source"], own["image"], training)
        if self.adversarial:
            narrow = reverse_gradient(self.networks["bottleneck"](before), self.reversal(step))
            modalities = tf.repeat(tf.range(len(own)), tf.shape(batch["label"])[0])
            found = losses.sigmoid_modality(self.networks["discriminator"](narrow), modalities)
            loss["modality"] = s.adversary_weight * tf.reduce_mean(found)
        return loss

    def source_losses(self, batch: Batch, target: Sequence[tf.Tensor], training: bool) -> Losses:
        """The losses of the source's images.

        Args:
          batch: the source's Batch.
          target: fc6 and fc7 of the target's images, (B, units) each.
          training: whether layers train, see Step.

        Returns:
          name -> scalar.
        """
        s = self.settings
        prefix, name = ("", "source") if s.share_domains else ("source_", "")
        source = self.hidden(self.own_layers("image", prefix), batch["image"], training, name)
        loss = {}
        if s.source_weight:
            logits = self.networks["source_classes"](source[-1])
            loss["class_source"] = s.source_weight * classification(logits, batch["label"])
        if s.mmd_weight:
            discrepancy = sum(MMD[s.mmd_form](a, b) for a, b in zip(source, target, strict=True))
            loss["mmd"] = s.mmd_weight * discrepancy
        return loss

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the update of all layers, then the adversary's, of the same losses."""
        with tf.GradientTape(persistent=True) as tape:
            loss = self.compute_losses(batch, step)
        yield self.minimise("generator", loss, tape)
        if self.adversarial:
            yield self.minimise("adversary", {"modality": loss["modality"]}, tape)

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """Class probabilities (B, C), or fc9 (B, units)."""
        common, _ = self.common(self.hidden(self.own_layers(modality), features)[-1])
        if self.settings.representation == "common":
            return common
        return tf.nn.softmax(self.networks["classes"](common))
