"""TPCKT: two-level progressive cross-media knowledge transfer (Huang and Peng, IEEE TMM 2019)."""
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.layers import reverse_gradient
from tfxmr.engine.optimizers import BySteps, InverseDecay
from tfxmr.models._transfer import Transfer, TransferSettings, classification, correspondence
from tfxmr.models.base import Batch, Losses, Networks, Players, Rate, Stage, Step, Update

DOMAINS = ("source", "target")
MEDIA = ("image", "text")


@dataclasses.dataclass(frozen=True)
class TPCKTSettings(TransferSettings):
    """Settings of TPCKT; the defaults are those of the authors' code but for what TPCKT says."""

    steps: int = changed(500, help_text="Training steps of the joint stage.", minimum=1)
    source_steps: int = setting(5000, "Training steps of the source by itself.", minimum=0)
    target_steps: int = setting(100, "Training steps of the target by itself.", minimum=0)
    progressive_steps: int = setting(10, "Stages on selected classes.", minimum=0)
    progressive_epochs: int = setting(5, "Epochs of the target's selected items in each of these.", minimum=1)
    keep_schedule: str = setting(
        "fifths", "Share of the classes dropped at progressive stage t = 1, 2, ...: fifths, .2^t; tenths, "
        ".2^((10 t - 9) / 10), the other reading of the released code, which drops most classes at first.",
        choices=("fifths", "tenths"),
    )
    class_vector: str = setting(
        "softmax", "What a class's centre is the mean of: softmax over the entries of fc9, as the code; or fc9.",
        choices=("softmax", "fc9"),
    )
    adversary_units: tuple[int, ...] = changed(parts=1)  # the last of them are what the discriminators share
    text_weight: float = setting(0.05, "Weight of the domains' loss at the texts' fc7.", minimum=0.0)
    image_weight: float = setting(0.005, "Weight of the domains' loss at the images' fc7.", minimum=0.0)
    common_weight: float = setting(0.001, "Weight of the domains' loss at fc9.", minimum=0.0)
    domain_loss: str = setting(
        "least_squares", "The discriminators' loss: least_squares, as the code; cross_entropy.",
        choices=("least_squares", "cross_entropy"),
    )
    adversary_rate: float = setting(
        1.0, "Factor on the learning rate of the discriminators; .001 in the code, which leaves them almost as drawn.",
        minimum=0.0,
    )


class TPCKT(Transfer):
    """A source with many labelled pairs teaches a target with few, by media and by what they have in common, in steps.

    Each domain d has, of layers FBR, h6 and h7 for images and for texts, and fc8 and fc9 through which both media pass
    as one batch, then a classifier of its own classes. With CE the cross-entropy and S(a, b) the mean of
    ||a_n - b_n||^2 / 2, a domain by itself minimises

        L_d = CE(images) + CE(texts) + pairwise_weight sum over k = 6, 7 of S(hk_image, hk_text)

    Discriminators J of the images' h7, the texts' h7 and fc9 (the last layer is one for all three) tell domains apart,

        L_domain = sum over j of weight_j mean over the rows of both domains of (J_j(GRL(a)) - [source])^2 / 2

    which they minimise, and the layers below, of both domains, increase: GRL multiplies the gradient by -lambda in the
    backward pass. Stages: "source" minimises L_source; "target" L_target; "joint" L_source + L_target + L_domain;
    "progressive_1", ... the same on some classes. These are chosen when a stage begins: of the mean over a class's
    images and texts of softmax(fc9), those classes of a domain are kept whose cosines with the other domain's classes
    have the largest sum. Retrieval compares the target's class probabilities by cosine.

    Differs from the paper: the features are extracted; the reversal's schedule is Ganin and Lempitsky's, since that of
    the released configuration reverses nothing; no accumulation of 16 batches; of the target's items, the share of the
    classes that are kept counts as an epoch, whatever these classes' sizes.
    """

    Settings = TPCKTSettings
    settings: TPCKTSettings
    paper = "Huang and Peng, IEEE TMM 2019"
    citation = """
    @article{huang2019tpckt,
      author = {Xin Huang and Yuxin Peng},
      title = {{TPCKT}: Two-Level Progressive Cross-Media Knowledge Transfer},
      journal = {IEEE Transactions on Multimedia},
      volume = {21},
      number = {11},
      pages = {2850--2862},
      year = {2019},
      doi = {10.1109/TMM.2019.2911456}
    }
    """
    provenance = "the authors' code; its schedule of classes has two readings"
    modalities = MEDIA
    takes_source = needs_source = True

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if the source lacks images or texts."""
        super().check(data)
        if data.source and set(MEDIA) - set(data.source.dims):
            raise InputError(
                f"--source_dataset: tpckt learns from pairs of image and text, and {data.source.shown} has "
                f"{', '.join(data.source.dims)}"
            )

    def make_networks(self, data: Shapes) -> Networks:
        """Builds both domains' layers, shared with --share_domains, and the discriminators."""
        s = self.settings
        source: Any = data.source  # it is needed, see `check`
        found: Networks = {}
        classes = {"source": source.num_classes, "target": data.num_classes}
        for prefix, sources in (("", DOMAINS),) if s.share_domains else (("source_", ("",)), ("target_", ("",))):
            for m in MEDIA:
                found |= self.branch(m, data.dims[m], prefix, sources)
            found |= {f"{prefix}{name}": self.block(f"{prefix}{name}", s.units, sources) for name in ("fc8", "fc9")}
        found |= {f"{d}_classes": self.head(f"{d}_classes", classes[d]) for d in DOMAINS}
        for name in (*MEDIA, "common"):
            found[f"judge_{name}"] = self.tower(
                f"judge_{name}", s.units, s.adversary_units, stddev=(2 / s.units) ** 0.5, output_activation=tf.nn.relu
            )
        found["judge"] = self.head("judge", 1, s.adversary_units[-1])
        return found

    @property
    def players(self) -> Players:
        """Each domain, the layers that both share, if any, and the discriminators."""
        found: dict[str, list[str]] = {name: [] for name in (*DOMAINS, "shared", "adversary")}
        for name in self.networks:
            first = name.partition("_")[0]
            found[first if first in DOMAINS else "adversary" if first == "judge" else "shared"].append(name)
        return {player: tuple(names) for player, names in found.items() if names}

    @property
    def rates(self) -> dict[str, float]:
        """The discriminators' factor."""
        return {"adversary": self.settings.adversary_rate}

    def make_stages(self, num_items: int) -> tuple[Stage, ...]:
        """The source, the target, both, and both on selected classes."""
        s, classes = self.settings, self.shapes.num_classes
        epoch = num_items / s.batch_size
        shared = ("shared",) if s.share_domains else ()
        stages = [
            Stage("source", s.source_steps, ("source", *shared)), Stage("target", s.target_steps, ("target", *shared)),
            Stage("joint", s.steps),
        ]
        for t in range(1, s.progressive_steps + 1):
            share = kept(classes, t, s.keep_schedule) / classes
            stages.append(Stage(f"progressive_{t}", max(1, round(s.progressive_epochs * share * epoch))))
        return tuple(stage for stage in stages if stage.steps)

    def own_rate(self, steps_per_epoch: int) -> Rate:
        """The rate, which from the joint stage on falls as Caffe's "inv" policy has it."""
        s = self.settings
        before, falling = s.source_steps + s.target_steps, InverseDecay(s.learning_rate)
        return BySteps(lambda step: falling(tf.maximum(step - before, 0)), self.step)

    def begin(self, data: MultiModalData) -> dict[str, Any]:
        """Of a progressive stage: the classes of both domains that are kept, and how near each is to the other."""
        name, _, number = self.stage.name.partition("_")
        if name != "progressive":
            return {}
        source: Any = data.source  # it is needed, see `check`
        centres = {"source": self.centres(source, "source"), "target": self.centres(data, "target")}
        found: dict[str, Any] = {}
        for domain, other in zip(DOMAINS, reversed(DOMAINS), strict=True):
            near = nearness(centres[domain], centres[other])
            keep = kept(len(near), int(number), self.settings.keep_schedule)
            chosen = np.sort(np.argsort(-near, kind="stable")[:keep])
            prefix = "source_" if domain == "source" else ""
            found |= {f"{prefix}classes": chosen.tolist(), f"{prefix}nearness": near.tolist()}
        return found

    def centres(self, data: MultiModalData, domain: str, block: int = 1024) -> NDArray:
        """The mean vector of each class of a domain, over its images and texts.

        Args:
          data: the domain's training data, of C classes.
          domain: "source" or "target".
          block: items that pass at once.

        Returns:
          float64 (C, units).
        """
        split, total = data.splits["train"], np.zeros((data.num_classes, self.settings.units))
        count = np.zeros(data.num_classes, int)
        for m in MEDIA:
            labels = split.labels[m]
            for i in range(0, len(labels), block):
                rows = np.arange(i, min(i + block, len(labels)))
                common = self.common(domain, {m: tf.constant(split.features[m][rows], tf.float32)})[1]
                if self.settings.class_vector == "softmax":
                    common = tf.nn.softmax(common)
                np.add.at(total, labels[rows], common.numpy())
            count += np.bincount(labels, minlength=data.num_classes)
        return total / np.maximum(count, 1)[:, None]

    def own_layers(self, domain: str, part: str) -> list[str]:
        """Names of a domain's layers of a medium, or of "common"."""
        names = ("fc8", "fc9") if part == "common" else (f"{part}_norm", f"{part}_fc6", f"{part}_fc7")
        return [own for name in names for own in (f"{domain}_{name}", name) if own in self.networks]

    def common(
        self, domain: str, features: dict[str, tf.Tensor], training: bool = False,
    ) -> tuple[dict[str, list[tf.Tensor]], tf.Tensor]:
        """The activations of a domain's layers.

        Args:
          domain: "source" or "target".
          features: medium -> (B, d).
          training: see BatchNorm.

        Returns:
          (Each medium's own, medium -> [fc6, fc7], (B, units) each; fc9 of all media's rows together, (M B, units)).
        """
        own = {m: self.hidden(self.own_layers(domain, m), x, training, domain) for m, x in features.items()}
        rows = tf.concat([layers[-1] for layers in own.values()], axis=0)
        return own, self.hidden(self.own_layers(domain, "common"), rows, training, domain)[-1]

    def domain_losses(self, domain: str, batch: Batch, own: dict[str, list[tf.Tensor]], common: tf.Tensor) -> Losses:
        """L_d of a batch.

        Args:
          domain: "source" or "target".
          batch: its Batch.
          own, common: what `common` gives for it.

        Returns:
          name -> scalar.
        """
        logits = tf.split(self.networks[f"{domain}_classes"](common), len(MEDIA))
        loss = {f"class_{m}": classification(x, batch["label"]) for m, x in zip(MEDIA, logits, strict=True)}
        if self.settings.pairwise_weight:
            loss["pairwise"] = self.settings.pairwise_weight * correspondence(own["image"], own["text"])
        return loss

    def adversarial_losses(self, found: dict[str, tuple[dict[str, list[tf.Tensor]], tf.Tensor]], step: Step) -> Losses:
        """L_domain by place, name -> scalar; `found` is what `common` gives, by domain."""
        s, factor, loss = self.settings, self.reversal(step), {}
        weights = {"text": s.text_weight, "image": s.image_weight, "common": s.common_weight}
        for place, weight in weights.items():
            rows = [found[d][1] if place == "common" else found[d][0][place][-1] for d in DOMAINS]
            is_source = tf.concat((tf.ones(tf.shape(rows[0])[0]), tf.zeros(tf.shape(rows[1])[0])), axis=0)
            rows = reverse_gradient(tf.concat(rows, axis=0), factor)
            outputs = self.networks["judge"](self.networks[f"judge_{place}"](rows))[:, 0]
            if s.domain_loss == "least_squares":
                value = losses.least_squares_domain(outputs, is_source)
            else:
                value = tf.nn.sigmoid_cross_entropy_with_logits(is_source, outputs)
            loss[f"domain_{place}"] = weight * tf.reduce_mean(value)
        return loss

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the updates of the stage's domain, or of both; of what they share, and of the discriminators."""
        batches = {"source": batch["source"], "target": batch}
        used = (step.stage,) if step.stage in DOMAINS else DOMAINS
        with tf.GradientTape(persistent=True) as tape:
            found = {d: self.common(d, {m: batches[d][m] for m in MEDIA}, step.training) for d in used}
            loss = {d: self.domain_losses(d, batches[d], *found[d]) for d in used}
            domains = self.adversarial_losses(found, step) if len(used) > 1 else {}
        for d in used:
            yield self.minimise(d, loss[d] | domains, tape)
        if self.settings.share_domains:
            both = {f"{d}_{name}": value for d in used for name, value in loss[d].items()}
            yield self.minimise("shared", both | domains, tape)
        if domains:
            yield self.minimise("adversary", domains, tape)

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """The target's class probabilities (B, C), or fc9 (B, units)."""
        _, common = self.common("target", {modality: features})
        if self.settings.representation == "common":
            return common
        return tf.nn.softmax(self.networks["target_classes"](common))


def kept(classes: int, number: int, schedule: str = "fifths") -> int:
    """How many of some classes are kept at progressive stage `number` = 1, 2, ... of a `schedule`: at least one."""
    exponent = number if schedule == "fifths" else (10 * number - 9) / 10
    return max(1, classes - int(classes * 0.2**exponent))


def nearness(centres: np.ndarray, others: np.ndarray) -> np.ndarray:
    """How near each centre is to another domain's; a centre of zeros comes last.

    Args:
      centres: (C, d).
      others: (C', d).

    Returns:
      (C,), the sum of its cosines with theirs.
    """
    lengths, other_lengths = (np.linalg.norm(x, axis=1) for x in (centres, others))
    units = others[other_lengths > 0] / other_lengths[other_lengths > 0, None]
    cosines = centres @ units.sum(axis=0) / np.maximum(lengths, 1e-30)
    return np.where(lengths > 0, cosines, -np.inf if len(units) == 0 else -len(others) - 1.0)
