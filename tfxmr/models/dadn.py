"""DADN: dual adversarial distribution network, DANZCR's successor (Chi and Peng, IEEE TCSVT 2020)."""
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import tensorflow as tf

from tfxmr.core.settings import setting
from tfxmr.engine import losses
from tfxmr.engine.parts.mmd import mixture_mmd
from tfxmr.models._dual import Dual, DualSettings
from tfxmr.models.base import Batch, Players, Step, Update

BANDWIDTHS = (2.0, 5.0, 10.0, 20.0, 40.0, 80.0)  # sigma of the kernels, whose sum is taken
EPSILON = 1e-8  # under the root: the authors' is bare, and nan where rounding makes MMD^2 negative


@dataclasses.dataclass(frozen=True)
class DADNSettings(DualSettings):
    """Settings of DADN; the defaults are those of its authors' code, the length that of DANZCR."""

    margin: float = setting(
        20.0, "Weight m of the pull to the class vector in the quadruplet loss; the authors call it a margin, but it "
        "multiplies.", minimum=0.0, grid=(1.0, 5.0, 20.0, 50.0),
    )
    variant: str = setting(
        "full", "full; single: no reverse GAN; no_mmd: no discriminators, the quadruplet and the reconstruction alone; "
        "no_quadruplet: the distributions alone. The ablations are this project's.",
        choices=("full", "single", "no_mmd", "no_quadruplet"),
    )
    g_steps: int = setting(2, "Updates of the forward generators at their turn.", minimum=1)


class DADN(Dual):
    """DANZCR's networks; by MMD, generators match what discriminators see of theirs to what these see of the real.

    Of a pair (f_i, f_t) of class l, and a pair (f~_i, f~_t) of another class, the forward generators make
    s_i = G_FI(f_i), s_t = G_FT(f_t), s~_i = G_FI(f~_i), s~_t = G_FT(f~_t), the reverse ones r = G_R(s). With w the
    vector of l, H of a discriminator its input and hidden activations side by side, M the root of the MMD^2 of two
    batches under the sum of six Gaussian kernels, and S(a, b) = 64 mean ||a - b||^2 / 2 over the batch, one step is, in
    this order,

        G_F, twice: min over G_FI, G_FT of
               M(H_FI(s_i, f_i), H_FI(w, f_i)) + M(H_FI(s_t, f_i), H_FI(w, f_i))
             + M(H_FT(s_t, f_t), H_FT(w, f_t)) + M(H_FT(s_i, f_t), H_FT(w, f_t)) + Q(s_i) + Q(s_t),
               Q(s) = max(0, m S(s, w) - S(s, s~_i) - S(s, s~_t))
        G_R: min over G_RI, G_RT, G_FI, G_FT of
               M(H_RI(r_i), H_RI(f_i)) + M(H_RT(r_t), H_RT(f_t)) + S(r_i, f_i) + S(r_t, f_t)
        D_F: min over D_FI, D_FT of the mean of, with real(z) = -log D and fake(z) = -log(1 - D),
               real(D_FI(w, f_i)) + fake(D_FI(s_i, f_i)) + fake(D_FI(s_t, f_i))
             + real(D_FT(w, f_t)) + fake(D_FT(s_t, f_t)) + fake(D_FT(s_i, f_t))
        D_R: min over D_RI, D_RT of the mean of
               real(D_RI(f_i)) + fake(D_RI(r_i)) + real(D_RT(f_t)) + fake(D_RT(r_t))

    The hinge of Q is on the batch, not on each item; s~ has a gradient, too. No generator's loss reads a logit.
    Retrieval compares s by cosine (the authors z-score each group of queries and gallery before: --protocol=dadn).

    Differs from the authors' code: each player has an Adam of its own, where theirs has one for all four updates; the
    root is of max(MMD^2, 0) + 1e-8; S is that sum over 64 items whatever the batch is; the pair of another class is
    chosen by labels, not by the text of the first number of the class vector; 1,000 steps, or 2,500 on large data. The
    paper's text was not at hand.
    """

    Settings = DADNSettings
    settings: DADNSettings
    paper = "Chi and Peng, IEEE TCSVT 2020"
    citation = """
    @article{chi2020zero,
      author = {Jingze Chi and Yuxin Peng},
      title = {Zero-Shot Cross-Media Embedding Learning with Dual Adversarial Distribution Network},
      journal = {IEEE Transactions on Circuits and Systems for Video Technology},
      volume = {30},
      number = {4},
      pages = {1173--1187},
      year = {2020},
      doi = {10.1109/TCSVT.2019.2900171}
    }
    """
    provenance = "the authors' code, run and reproduced; the paper's text was not at hand"
    loss_names = {"mmd": "MMD", "quadruplet": "Q, quadruplet", "recovery": "S, reconstruction"}
    sampler = "contrasted"

    @property
    def players(self) -> Players:
        """The updates of one step, in order, and the networks that each changes."""
        variant, found = self.settings.variant, {"G_F": self.names("G_F")}
        if variant != "single":
            found["G_R"] = self.names("G_R") + self.names("G_F")
        if variant != "no_mmd":
            found["D_F"] = self.names("D_F")
            if variant != "single":
                found["D_R"] = self.names("D_R")
        return found

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the updates of one step, each with dropout masks of its own."""
        features, wrong = (tuple(part[m] for m in self.dims) for part in (batch, batch["wrong"]))
        word = tf.gather(self.class_embeddings, batch["label"])
        masks = map(step.masks, itertools.count())
        for _ in range(self.settings.g_steps):
            yield self.update_forward_generators(features, wrong, word, next(masks))
        players = self.players
        if "G_R" in players:
            yield self.update_all_generators(features, next(masks))
        if "D_F" in players:
            common = self.generate(features, next(masks))
            fakes = tuple((common[i], common[1 - i]) for i in range(2))
            yield self.update_forward_discriminators(features, word, fakes)
        if "D_R" in players:
            common = self.generate(features, next(masks))
            yield self.update_reverse_discriminators(features, common, next(masks))

    def update_forward_generators(
        self, features: Sequence[tf.Tensor], wrong: Sequence[tf.Tensor], word: tf.Tensor, seed: tf.Tensor | None,
    ) -> Update:
        """G_F: towards the class vector, away from another class, and by what the discriminators see.

        Args:
          features: (f_i, f_t), each (B, d_m).
          wrong: the same of items of another class.
          word: class vectors (B, e).
          seed: int32 (2,) of the dropout masks.

        Returns:
          The update of G_F, see Method.minimise.
        """
        with tf.GradientTape() as tape:
            # One pass for both: dropout masks are drawn for each row.
            made = self.generate(tuple(map(tf.stack, zip(features, wrong, strict=True))), seed)
            common, others = zip(*(tf.unstack(s) for s in made), strict=True)
            loss = {}
            if self.settings.variant != "no_mmd":
                loss["mmd"] = sum(map(tf.reduce_sum, self.forward_discrepancies(features, common, word)))
            if self.settings.variant != "no_quadruplet":
                loss["quadruplet"] = sum(self.quadruplet(s, word, others) for s in common)
        return self.minimise("G_F", loss, tape)

    def update_all_generators(self, features: Sequence[tf.Tensor], seed: tf.Tensor | None) -> Update:
        """G_R: reconstructions near the features, each (B, d_m), and by what the discriminators see."""
        with tf.GradientTape() as tape:
            made = self.reconstruct(self.generate(features, seed), seed)
            loss = {"recovery": sum(batch_distance(r, f) for r, f in zip(made, features, strict=True))}
            if self.settings.variant != "no_mmd":
                loss["mmd"] = sum(map(tf.reduce_sum, self.reverse_discrepancies(features, made)))
        return self.minimise("G_R", loss, tape)

    def forward_discrepancies(
        self, features: Sequence[tf.Tensor], common: Sequence[tf.Tensor], word: tf.Tensor,
    ) -> list[tf.Tensor]:
        """M of what D_FI and D_FT see of (s, f) and of (w, f).

        Args:
          features: (f_i, f_t), each (B, d_m).
          common: (s_i, s_t), each (B, e).
          word: w (B, e).

        Returns:
          (2,) for each of the two, of its own and of the other s.
        """
        found = []
        for i, network in enumerate(self.names("D_F")):
            conditions = tf.stack((word, common[i], common[1 - i]))
            seen = self.networks[network](conditions, features[i], hidden=True)[:-1]
            same = losses.squared_distances(features[i], features[i])  # the feature's part is of both
            found.append(discrepancies((conditions, *seen), same))
        return found

    def reverse_discrepancies(self, features: Sequence[tf.Tensor], made: Sequence[tf.Tensor]) -> list[tf.Tensor]:
        """M of what D_RI and D_RT see of r and of f: (1,) for each."""
        found = []
        for network, feature, fake in zip(self.names("D_R"), features, made, strict=True):
            both = tf.stack((feature, fake))
            found.append(discrepancies((both, *self.networks[network](both, hidden=True)[:-1])))
        return found

    def quadruplet(self, common: tf.Tensor, word: tf.Tensor, others: Sequence[tf.Tensor]) -> tf.Tensor:
        """Q, a scalar, of s, `common` (B, e), of the class vectors, `word` (B, e), and of (s~_i, s~_t), `others`."""
        pull = self.settings.margin * batch_distance(common, word)
        return tf.nn.relu(pull - sum(batch_distance(common, other) for other in others))


def batch_distance(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """S: the sum of ||a_n - b_n||^2 / 2 over a batch of 64, of any (B, d) and (B, d)."""
    return tf.reduce_mean(losses.recovery(a, b, "tf_l2_loss"))


def discrepancies(parts: Sequence[tf.Tensor], same: float | tf.Tensor = 0.0) -> tf.Tensor:
    """M between the first of K samples, which is a constant, and each of the others.

    Args:
      parts: tensors (K, B, d), side by side the rows of the samples.
      same: squared distances (B, B) of what all samples have besides.

    Returns:
      (K - 1,), at least 1e-4.
    """
    within: Any = same
    between: Any = same
    for part in parts:
        real, fakes = tf.stop_gradient(part[:1]), part[1:]
        rows = tf.concat((real, fakes), axis=0)
        within += losses.squared_distances(rows, rows)
        between += losses.squared_distances(fakes, real)
    return tf.sqrt(tf.maximum(mixture_mmd(within[1:], within[:1], between, BANDWIDTHS), 0.0) + EPSILON)
