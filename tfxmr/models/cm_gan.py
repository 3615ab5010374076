"""CM-GANs: cross-modal generative adversarial networks (Peng and Qi, ACM TOMM 2019)."""
import dataclasses
import math
from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from tfxmr.core.settings import changed, setting
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.parts.batch_norm import NormTower
from tfxmr.models.base import Batch, Method, MethodSettings, Networks, Players, Rate, Step, Update

ADVERSARIES = {"both": ("inter", "intra"), "inter": ("inter",), "intra": ("intra",)}


@dataclasses.dataclass(frozen=True)
class CMGANSettings(MethodSettings):
    """Settings of CM-GANs; the defaults are those of the authors' code, but for what CMGAN says."""

    epochs: int = changed(
        1000, help_text="Training epochs of ceil(items / --batch_size) batches, if --steps is 0. The released "
        "script has 2000, of which the second half learns at 1e-6 and less."
    )
    learning_rate: float = changed(1e-3)
    beta_1: float = changed(0.5)
    learning_rate_decay: float = setting(
        0.5, "Factor on the learning rate at each epoch, counted from 1, that --decay_epochs divides; 1 switches it "
        "off.", minimum=0.0, maximum=1.0,
    )
    decay_epochs: int = setting(100, "Epochs between two decays of the learning rate.", minimum=1)
    generator_rounds: int = setting(5, "Updates of each generator on a batch; each discriminator has one.", minimum=1)
    adv_weight: float = setting(
        1.0, "Weight of the generators' adversarial losses. 0 makes no discriminator nor decoder: the paper's ablation "
        "without adversary.", minimum=0.0, grid=(0.0, 0.1, 1.0, 10.0),
    )
    adversary: str = setting(
        "both", "Discriminators: inter, between modalities, of common representations; intra, within a modality, of "
        "reconstructions; or both.", choices=tuple(ADVERSARIES),
    )
    share_encoder: bool = setting(
        True, "Both modalities share the weights of encoder 2, as the paper says. In the released code they are almost "
        "surely apart, since they are copied after they were shared.",
    )
    wrong_condition: str = setting(
        "original",
        "What the representation of an item of another class is paired with, in a pair to be called fake. original: "
        "features that it does not belong to; own: its own, as in the released code, although they match.",
        choices=("original", "own"),
    )
    representation: str = setting(
        "common", "What retrieval compares. common: the output c of encoder 2; probabilities: the modality's own "
        "classifier on c.", choices=("common", "probabilities"),
        affects="scoring",
    )
    gan_loss: str = setting("nonsaturating", "Generators' adversarial loss.", choices=losses.GAN_LOSSES)
    hidden_units: int = setting(1024, "Width of encoder 1 and of the decoder's hidden layer.", minimum=1)
    common_units: int = setting(1024, "Width of encoder 2, whose output is the common representation.", minimum=1)
    inter_units: int = setting(512, "Width of the inter-modality discriminators' hidden layer.", minimum=1)


class CMGAN(Method):
    """Each modality's common representation tries to pass for the other's, and its reconstruction for its features.

    Of a pair (f_i, f_t) of class l, the encoders (E2 is one for both modalities) make c_m = E2(E1_m(f_m)), the decoders
    r_m = R_m(c_m), the classifiers p_m = softmax(P_m(c_m)). The intra-modality discriminator D_m judges features, the
    inter-modality one CD_m pairs of a common representation and features of m. With real(z) = -log D and
    fake(z) = -log(1 - D), c'_m of an item of another class, and o the modality that m is not, one step is, in this
    order, text before image for discriminators and image before text for generators,

        D_m:   min over D_m of the mean of    real(D_m(f_m)) + fake(D_m(r_m))
        CD_m:  min over CD_m of the mean of   real(CD_m(c_m, f_m)) + (fake(CD_m(c_o, f_m)) + fake(CD_m(c'_m, f_m))) / 2
        G_m:   min over E1_m, E2, R_m, P_m of the mean of
                 adv_weight (real(CD_o(c_m, f_o)) + real(D_m(r_m))) - log p_m(l),           `generator_rounds` times

    Batches are drawn by class: two classes for each place, an item of the first, an item (both modalities) of the
    second for c'. All layers but the last of each network are normalised by the batch, and each pass (each term above)
    by its own rows: also in E2, where the modalities share weights, never statistics. E2 is stepped by both generators'
    optimizers, each with moments of its own. Retrieval compares c by cosine, of moving statistics.

    Nothing asks r_m to be near f_m: D_m is linear, so that one projection of the features' distribution is matched, and
    it loses by far against five rounds of the generator (losses of 3 to 9). The classifiers are apart: only the CD_m
    bring c_i and c_t together. Without adversary c is at chance between the modalities, unless p_m is compared.

    Differs from the paper: it speaks of convolutional autoencoders; its authors' code starts from extracted features,
    as this. Differs from that code: c' is judged with f_m, a pair that does not match (--wrong_condition=own: with its
    own features); E2 is shared (--noshare_encoder: as that code probably trained); 1,000 epochs; a batch is
    represented once for all discriminators, whose updates do not change it, so that moving statistics move less often.
    """

    Settings = CMGANSettings
    settings: CMGANSettings
    paper = "Peng and Qi, ACM TOMM 2019"
    citation = """
    @article{peng2019cm,
      author = {Yuxin Peng and Jinwei Qi},
      title = {{CM-GANs}: Cross-Modal Generative Adversarial Networks for Common Representation Learning},
      journal = {ACM Transactions on Multimedia Computing, Communications, and Applications},
      volume = {15},
      number = {1},
      pages = {22:1--22:24},
      year = {2019}
    }
    """
    provenance = "networks, losses and training from the authors' code, but for two decisions of the paper's"
    zero_shot = True
    least_modalities = most_modalities = 2
    least_classes = 2
    pairs = True
    sampler = "classes"

    @property
    def adversaries(self) -> tuple[str, ...]:
        """Which kinds of discriminators there are: "inter", "intra", both or none."""
        return ADVERSARIES[self.settings.adversary] if self.settings.adv_weight else ()

    def make_networks(self, data: Shapes) -> Networks:
        """Builds the networks by role and modality: E1, E2 and P, and of the adversaries that there are R, D and CD."""
        s, found = self.settings, {}
        if s.share_encoder:
            found["E2"] = self.norm_tower("E2", s.hidden_units, s.common_units, sources=tuple(data.dims))
        for m, d in data.dims.items():
            found[f"E1_{m}"] = self.norm_tower(f"E1_{m}", d, s.hidden_units)
            if not s.share_encoder:
                found[f"E2_{m}"] = self.norm_tower(f"E2_{m}", s.hidden_units, s.common_units, sources=(m,))
            found[f"P_{m}"] = self.tower(f"P_{m}", s.common_units, (data.num_classes,), init="torch")
            if "intra" in self.adversaries:
                found[f"R_{m}"] = self.norm_tower(f"R_{m}", s.common_units, s.hidden_units, d)
                found[f"D_{m}"] = self.tower(f"D_{m}", d, (1,), init="torch")
            if "inter" in self.adversaries:
                found[f"CD_{m}"] = self.norm_tower(f"CD_{m}", (s.common_units, d), s.inter_units, 1)
        return found

    def norm_tower(
        self, name: str, inputs: int | tuple[int, ...], units: int, outputs: int = 0, **arguments: Any,
    ) -> NormTower:
        """Builds a NormTower with random weights by seed and name.

        Args:
          name: of the network.
          inputs, units, outputs: widths, see NormTower.
          **arguments: of NormTower.

        Returns:
          The NormTower.
        """
        return NormTower(inputs, units, outputs, seed=self.own_seed(name), dtype=self.policy, name=name, **arguments)

    @property
    def players(self) -> Players:
        """Each discriminator, and each modality's generator; encoder 2 belongs to both of these, if it is one."""
        found: Players = {name: (name,) for name in self.networks if name.startswith(("D_", "CD_"))}
        for m in self.dims:
            parts = (f"E1_{m}", self.encoder_2(m), f"R_{m}", f"P_{m}")
            found[f"G_{m}"] = tuple(name for name in parts if name in self.networks)
        return found

    def encoder_2(self, modality: str) -> str:
        """The name of a modality's second encoder."""
        return "E2" if self.settings.share_encoder else f"E2_{modality}"

    def steps_per_epoch(self, num_items: int) -> int:
        """ceil(items / batch size), as the released code counts."""
        return max(1, math.ceil(num_items / self.settings.batch_size))

    def own_rate(self, steps_per_epoch: int) -> Rate:
        """The settings' rate, which decays when an epoch begins whose number, from 1, --decay_epochs divides."""
        s = self.settings
        if s.learning_rate_decay == 1:
            return s.learning_rate
        # epochs count from 1: the first decay comes before epoch 100, not after it
        return self.decaying(s.learning_rate_decay, s.decay_epochs, steps_per_epoch, ahead=steps_per_epoch)

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the updates of one step: the discriminators', then the generators' in rounds."""
        training, texts_first = step.training, tuple(reversed(self.dims))
        if self.adversaries:  # what the discriminators see does not change until the generators' turn
            common = {m: self.common(m, batch[m], training) for m in self.dims}
        if "intra" in self.adversaries:
            for m in texts_first:
                made = self.networks[f"R_{m}"](common[m], training=training)
                yield self.update_intra_discriminator(m, batch[m], made)
        if "inter" in self.adversaries:
            for m in texts_first:
                yield self.update_inter_discriminator(m, batch, common, training)
        for _ in range(self.settings.generator_rounds):
            for m in self.dims:
                yield self.update_generator(m, batch, training)

    def common(self, modality: str, features: tf.Tensor, training: bool = False) -> tf.Tensor:
        """c (B, common_units) of a modality's features (B, d); `training` normalises by these rows."""
        hidden = self.networks[f"E1_{modality}"](features, training=training)
        return self.networks[self.encoder_2(modality)](hidden, source=modality, training=training)

    def update_intra_discriminator(self, modality: str, features: tf.Tensor, made: tf.Tensor) -> Update:
        """D_m of a modality: features (B, d) are real, reconstructed ones `made` (B, d) fake."""
        name = f"D_{modality}"
        with tf.GradientTape() as tape:
            real, fake = (self.networks[name](x)[:, 0] for x in (features, made))
            loss = tf.reduce_mean(losses.real_loss(real) + losses.fake_loss(fake))
        return self.minimise(name, {"intra": loss}, tape)

    def update_inter_discriminator(
        self, modality: str, batch: Batch, common: dict[str, tf.Tensor], training: bool,
    ) -> Update:
        """CD_m: the pair of the modality's own is real; of the other modality, or of another class's item, fake.

        Args:
          modality: m.
          batch: as of `updates`.
          common: c by modality, (B, common_units) each.
          training: whether layers train, see Step.

        Returns:
          The update of CD_m, see Method.minimise.
        """
        name, features, wrong = f"CD_{modality}", batch[modality], batch["wrong"][modality]
        of_wrong = self.common(modality, wrong, training)
        with_wrong = wrong if self.settings.wrong_condition == "own" else features
        with tf.GradientTape() as tape:
            real = losses.real_loss(self.judge_pair(modality, common[modality], features, training))
            other = losses.fake_loss(self.judge_pair(modality, common[self.other(modality)], features, training))
            wrong = losses.fake_loss(self.judge_pair(modality, of_wrong, with_wrong, training))
            loss = tf.reduce_mean(real + (other + wrong) / 2)
        return self.minimise(name, {"inter": loss}, tape)

    def judge_pair(self, modality: str, common: tf.Tensor, features: tf.Tensor, training: bool) -> tf.Tensor:
        """Scores pairs of a common representation and a modality's features.

        Args:
          modality: name.
          common: (B, common_units).
          features: (B, d).
          training: whether they are normalised by these rows alone.

        Returns:
          Logits (B,).
        """
        return self.networks[f"CD_{modality}"](common, features, training=training)[:, 0]

    def other(self, modality: str) -> str:
        """The modality that this one is not."""
        return next(m for m in self.dims if m != modality)

    def update_generator(self, modality: str, batch: Batch, training: bool) -> Update:
        """G_m: to pass for the other modality, to reconstruct like features, to tell classes apart.

        Args:
          modality: m.
          batch: as of `updates`.
          training: whether layers train, see Step.

        Returns:
          The update of G_m, see Method.minimise.
        """
        s, other, loss = self.settings, self.other(modality), {}
        with tf.GradientTape() as tape:
            common = self.common(modality, batch[modality], training)
            if "inter" in self.adversaries:
                logits = self.judge_pair(other, common, batch[other], training)
                loss["inter"] = s.adv_weight * tf.reduce_mean(losses.generator_loss(logits, s.gan_loss))
            if "intra" in self.adversaries:
                made = self.networks[f"R_{modality}"](common, training=training)
                logits = self.networks[f"D_{modality}"](made)[:, 0]
                loss["intra"] = s.adv_weight * tf.reduce_mean(losses.generator_loss(logits, s.gan_loss))
            classes = self.networks[f"P_{modality}"](common)
            loss["class"] = tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], classes))
        return self.minimise(f"G_{modality}", loss, tape)

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """c (B, common_units), or the class probabilities (B, C), of features (B, d)."""
        common = self.common(modality, features)
        if self.settings.representation == "common":
            return common
        return tf.nn.softmax(self.networks[f"P_{modality}"](common))
