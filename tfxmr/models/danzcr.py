"""DANZCR: dual adversarial networks for zero-shot cross-media retrieval (Chi and Peng, IJCAI 2018)."""
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfxmr.core.settings import setting
from tfxmr.engine import losses, randomness
from tfxmr.models._dual import Dual, DualSettings
from tfxmr.models.base import Batch, Players, Step, Update

ORDERS = {  # the players' turns in one step
    "paper": ("D_F", "D_R", "G_F", "G_R"),
    "dadn": ("G_F", "G_F", "G_R", "D_F", "D_R"),
}
WEIGHTS = (1e-4, 1e-3, 1e-2, 1e-1, 1.0)  # round the paper's; it names no grid


@dataclasses.dataclass(frozen=True)
class DANZCRSettings(DualSettings):
    """Settings of DANZCR; the defaults are the paper's, or its authors' later code's where it is silent."""

    variant: str = setting(
        "full",
        "full; single: no reverse GAN; no_dis: discriminators see no pair of the other modality or class "
        "(section 4.3).",
        choices=("full", "single", "no_dis"),
    )
    recovery: str = setting(
        "tf_l2_loss", "Reading of the recovery norm of eq. 3, see tfxmr.engine.losses.recovery.",
        choices=losses.RECOVERIES,
    )
    lambda_f: float = setting(
        1e-2, "Weight of the recovery of class embeddings (eq. 9, 10).", minimum=0.0, grid=WEIGHTS
    )
    lambda_r: float = setting(
        1e-2, "Weight of the recovery of original features (eq. 11, 12).", minimum=0.0, grid=WEIGHTS
    )
    gan_loss: str = setting("nonsaturating", "Generators' adversarial loss.", choices=losses.GAN_LOSSES)
    schedule: str = setting(
        "paper", "Order of the updates: paper is D_F, D_R, G_F, G_R; dadn is G_F twice, G_R, D_F, D_R.",
        choices=tuple(ORDERS),
    )
    d_steps: int = setting(1, "Updates of each discriminator at its turn.", minimum=1)
    g_steps: int = setting(1, "Updates of each generator at its turn.", minimum=1)


class DANZCR(Dual):
    """Two dual GANs meet in the space of the class names' word vectors.

    Of a pair (f_i, f_t) of class l the forward generators make common representations s_i = G_FI(f_i) and
    s_t = G_FT(f_t), the reverse generators reconstruct the features, r = G_R(s). The forward discriminators judge
    pairs (common representation, original feature), the reverse ones features. With the losses
    real(z) = -log D and fake(z) = -log(1 - D), w_l the class vector and w_l' another class's, one step is

        D_F: min over D_FI, D_FT of the mean of
               real(D_FI(w_l, f_i)) + fake(D_FI(s_i, f_i)) + fake(D_FI(s_t, f_i)) + fake(D_FI(w_l', f_i))
             + real(D_FT(w_l, f_t)) + fake(D_FT(s_t, f_t)) + fake(D_FT(s_i, f_t)) + fake(D_FT(w_l', f_t))
               (eq. 1, 5, 6)
        D_R: min over D_RI, D_RT of the mean of
               real(D_RI(f_i)) + fake(D_RI(r_i)) + real(D_RT(f_t)) + fake(D_RT(r_t))
               (eq. 2, 7, 8)
        G_F: min over G_FI, G_FT of the mean of
               real(D_FI(s_i, f_i)) + real(D_FI(s_t, f_i)) + real(D_FT(s_t, f_t)) + real(D_FT(s_i, f_t))
             + lambda_F (Rec(s_i, w_l) + Rec(s_t, w_l))
               (eq. 9, 10)
        G_R: min over G_RI, G_RT, G_FI, G_FT of the mean of
               real(D_RI(r_i)) + real(D_RT(r_t)) + lambda_R (Rec(r_i, f_i) + Rec(r_t, f_t))
               (eq. 11, 12)

    Two other modalities take the places of image and text; their networks are called "G_F_video" and so on.
    Retrieval compares s by cosine. l' is drawn from the training classes alone.

    Differs from the paper's print, on evidence given in BUILD_NOTES.md: the misprints of eq. 1, 5 and 6 are
    mended; eq. 9 and 10 are minimised jointly, since D_FI(s_t, f_i) has no gradient in G_FI; log D changes its
    sign so that descending fools the discriminator; "1^{-4}" and "1^{-2}" are 1e-4 and 1e-2; "dropout
    probability .9" is the probability to keep.
    """

    Settings = DANZCRSettings
    settings: DANZCRSettings
    paper = "Chi and Peng, IJCAI 2018"
    citation = """
    @inproceedings{chi2018dual,
      author = {Jingze Chi and Yuxin Peng},
      title = {Dual Adversarial Networks for Zero-shot Cross-media Retrieval},
      booktitle = {Proceedings of the 27th International Joint Conference on Artificial Intelligence},
      pages = {663--669},
      year = {2018}
    }
    """
    provenance = "the paper; what it leaves open is from its authors' later code"
    loss_names = {"recovery": "Rec, recovery"}

    @property
    def players(self) -> Players:
        """The updates of one step and the networks that each changes."""
        forward = {"D_F": self.names("D_F"), "G_F": self.names("G_F")}
        if self.settings.variant == "single":
            return forward
        return forward | {"D_R": self.names("D_R"), "G_R": self.names("G_R") + self.names("G_F")}

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the updates of one step. Weights that did not change since are not run forward again."""
        features, seed = tuple(batch[m] for m in self.dims), step.seed
        word = tf.gather(self.class_embeddings, batch["label"])
        wrong = tf.gather(self.class_embeddings, self.other_labels(batch["label"], randomness.fold_in(seed, 0)))
        generation: Any = None  # (s_i, s_t) of the present G_F, and the tape that made them
        masks = map(step.masks, itertools.count(1))  # each forward pass has dropout masks of its own
        for player in ORDERS[self.settings.schedule]:
            if player not in self.players:
                continue
            for _ in range(self.settings.d_steps if player.startswith("D") else self.settings.g_steps):
                if generation is None and player != "G_R":
                    with tf.GradientTape() as tape:
                        generation = self.generate(features, next(masks)), tape
                if player == "D_F":
                    yield self.update_forward_discriminators(features, word, self.fakes(generation[0], wrong))
                elif player == "D_R":
                    yield self.update_reverse_discriminators(features, generation[0], next(masks))
                elif player == "G_F":
                    common, tape = generation
                    yield self.update_forward_generators(features, common, tape, word)
                    generation = None
                else:
                    yield self.update_all_generators(features, next(masks))
                    generation = None

    def other_labels(self, labels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """Draws for each label (B,) another class, uniformly among the training classes. Returns (B,)."""
        classes = self.class_embeddings.shape[0]
        shift = tf.random.stateless_uniform(tf.shape(labels), seed, 1, classes, tf.int32)
        return (labels + shift) % classes

    def fakes(self, common: Sequence[tf.Tensor], wrong: tf.Tensor) -> tuple[tuple[tf.Tensor, ...], ...]:
        """What D_FI and D_FT are to call fake, eq. 5 and 6 (misprints mended): both s, w_l', (B, e) each."""
        if self.settings.variant == "no_dis":
            return tuple((s,) for s in common)
        return tuple((common[i], common[1 - i], wrong) for i in range(2))

    def update_forward_generators(
        self, features: Sequence[tf.Tensor], common: Sequence[tf.Tensor], made_by: tf.GradientTape, word: tf.Tensor,
    ) -> Update:
        """Eq. 9 and 10 jointly.

        Args:
          features: (f_i, f_t), each (B, d_m).
          common: (s_i, s_t), each (B, e).
          made_by: the tape that recorded how G_F made them.
          word: class vectors (B, e).

        Returns:
          The update of G_F, see Method.minimise.
        """
        adversarial = 0.0
        with tf.GradientTape(watch_accessed_variables=False) as tape:
            tape.watch(common)
            for i, network in enumerate(self.names("D_F")):
                pairs = [common[i]] if self.settings.variant == "no_dis" else [common[i], common[1 - i]]
                logits = self.judge_pairs(network, pairs, features[i])
                adversarial += tf.reduce_mean(
                    tf.reduce_sum(losses.generator_loss(logits, self.settings.gan_loss), axis=0)
                )
            loss = {
                "adversarial": adversarial,
                "recovery": self.settings.lambda_f * sum(self.recovery(s, word) for s in common),
            }
        upstream = self.gradient("G_F", loss, tape, common)
        return "G_F", loss, made_by.gradient(common, self.variables_of("G_F"), output_gradients=upstream)

    def update_all_generators(self, features: Sequence[tf.Tensor], seed: tf.Tensor | None) -> Update:
        """Eq. 11 and 12: forward and reverse generators together, on features (f_i, f_t), each (B, d_m)."""
        with tf.GradientTape() as tape:
            made = self.reconstruct(self.generate(features, seed), seed)
            adversarial = 0.0
            for network, fake in zip(self.names("D_R"), made, strict=True):
                logits = self.networks[network](fake)[..., 0]
                adversarial += tf.reduce_mean(losses.generator_loss(logits, self.settings.gan_loss))
            loss = {
                "adversarial": adversarial,
                "recovery": self.settings.lambda_r
                * sum(self.recovery(r, f) for r, f in zip(made, features, strict=True)),
            }
        return self.minimise("G_R", loss, tape)

    def recovery(self, generated: tf.Tensor, target: tf.Tensor) -> tf.Tensor:
        """Mean of losses.recovery of (B, d) and (B, d), a scalar, in the reading that the settings choose."""
        return tf.reduce_mean(losses.recovery(generated, target, self.settings.recovery))
