"""What DANZCR and DADN share: the eight networks of two dual GANs, and their passes."""
import dataclasses
from collections.abc import Sequence

import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import losses, randomness
from tfxmr.engine.keras_model import Shapes
from tfxmr.models.base import Method, MethodSettings, Networks, Rate, Update

LARGE = 5000  # training pairs from which on a dataset gets the long default budget


@dataclasses.dataclass(frozen=True)
class DualSettings(MethodSettings):
    """Settings of both methods; the defaults are DANZCR's paper's, or DADN's code's where it is silent."""

    epochs: int = changed(
        0, help_text="Training epochs, if --steps is 0; 0 takes 1000 steps, or 2500 from 5000 training pairs on. The "
        "paper is silent."
    )
    learning_rate_decay: float = setting(
        0.96, "Factor on the learning rate every --decay_epochs epochs, whatever --schedule; 1 switches it off.",
        minimum=0.0, maximum=1.0,
    )
    decay_epochs: int = setting(10, "Epochs between two decays of the learning rate.", minimum=1)
    dropout_keep: float = setting(
        0.9, "Probability that dropout keeps a generator's hidden unit, in (0, 1].", minimum=1e-3, maximum=1.0
    )
    generator_units: tuple[int, ...] = setting((4096, 4096), "Widths of each generator's hidden layers.", minimum=1)
    discriminator_units: tuple[int, ...] = setting(
        (4096, 2048), "Widths of each discriminator's hidden layers.", minimum=1
    )
    init_stddev: float = setting(0.02, "Standard deviation of the normal initial weights.", minimum=0.0)


class Dual(Method):
    """Base of both: generators G_F to the class vectors' space, G_R back, and a discriminator for each.

    Of the features (f_i, f_t) of a pair, s_i = G_FI(f_i) and s_t = G_FT(f_t) are the common representations, r = G_R(s)
    the reconstructed features; D_F judges pairs (class vector or s, feature), D_R features. A subclass names its
    `players`; networks of no player are not built.
    """

    Settings = DualSettings
    settings: DualSettings
    needs_class_embeddings = True
    zero_shot = True
    least_modalities = most_modalities = 2
    pairs = True

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if the data lack pairs, a second class, or class embeddings."""
        super().check(data)
        if data.num_classes < 2:
            raise InputError(f"{self.name} needs two or more training classes; --unseen_classes leaves fewer")

    def make_networks(self, data: Shapes) -> Networks:
        """Builds the networks of all players, each with its own weights."""
        self.class_embeddings = tf.constant(data.class_embeddings, tf.float32)  # (C seen, e)
        word = self.class_embeddings.shape[1]
        hidden, judge = self.settings.generator_units, (*self.settings.discriminator_units, 1)
        shapes = {name("G_F", m): (d, (*hidden, word)) for m, d in self.dims.items()}
        shapes |= {name("D_F", m): ((word, d), judge) for m, d in self.dims.items()}
        shapes |= {name("G_R", m): (word, (*hidden, d)) for m, d in self.dims.items()}
        shapes |= {name("D_R", m): (d, judge) for m, d in self.dims.items()}
        trained = {network for networks in self.players.values() for network in networks}
        return {
            network: self.tower(
                network, inputs, units, keep=self.settings.dropout_keep if network.startswith("G") else 1.0,
                stddev=self.settings.init_stddev,
            )
            for network, (inputs, units) in shapes.items() if network in trained
        }

    def names(self, role: str) -> tuple[str, ...]:
        """The names of both modalities' networks in a role, in the data's order: ("G_FI", "G_FT") of "G_F"."""
        return tuple(name(role, m) for m in self.dims)

    def own_rate(self, steps_per_epoch: int) -> Rate:
        """The settings' rate, which decays by epochs as they say."""
        s = self.settings
        if s.learning_rate_decay == 1:
            return s.learning_rate
        return self.decaying(s.learning_rate_decay, s.decay_epochs, steps_per_epoch)

    def total_steps(self, num_items: int) -> int:
        """Length of the training in steps; by default 1,000, or 2,500 on large training sets."""
        return super().total_steps(num_items) or (2500 if num_items >= LARGE else 1000)

    def generate(self, features: Sequence[tf.Tensor], seed: tf.Tensor | None = None) -> tuple[tf.Tensor, ...]:
        """Common representations (s_i, s_t), each (B, e), of the features (f_i, f_t)."""
        return tuple(
            self.networks[network](f, seed=part(seed, i))
            for i, (network, f) in enumerate(zip(self.names("G_F"), features, strict=True))
        )

    def reconstruct(self, common: Sequence[tf.Tensor], seed: tf.Tensor | None = None) -> tuple[tf.Tensor, ...]:
        """Reconstructed features (r_i, r_t) of the common representations (s_i, s_t)."""
        return tuple(
            self.networks[network](s, seed=part(seed, i))
            for i, (network, s) in enumerate(zip(self.names("G_R"), common, strict=True), start=2)
        )

    def judge_pairs(self, network: str, common: Sequence[tf.Tensor], feature: tf.Tensor) -> tf.Tensor:
        """Logits (K, B) of a `network` for the pairs (common[k], feature): of K tensors (B, e), and (B, d)."""
        return self.networks[network](tf.stack(common), feature)[..., 0]

    def update_forward_discriminators(
        self, features: Sequence[tf.Tensor], word: tf.Tensor, fakes: Sequence[Sequence[tf.Tensor]],
    ) -> Update:
        """Class vectors are real with the features of either modality, representations fake.

        Args:
          features: (f_i, f_t), each (B, d_m).
          word: class vectors (B, e).
          fakes: for each of the features what is fake with it, tensors (B, e).

        Returns:
          The update of "D_F", see Method.minimise.
        """
        loss = {}
        with tf.GradientTape() as tape:
            for network, feature, conditions in zip(self.names("D_F"), features, fakes, strict=True):
                logits = self.judge_pairs(network, [word, *map(tf.stop_gradient, conditions)], feature)
                loss[network] = tf.reduce_mean(
                    losses.real_loss(logits[0]) + tf.reduce_sum(losses.fake_loss(logits[1:]), axis=0)
                )
        return self.minimise("D_F", loss, tape)

    def update_reverse_discriminators(
        self, features: Sequence[tf.Tensor], common: Sequence[tf.Tensor], seed: tf.Tensor | None,
    ) -> Update:
        """Original features are real, reconstructed ones fake (eq. 7 and 8 of DANZCR).

        Args:
          features: (f_i, f_t), each (B, d_m).
          common: (s_i, s_t), each (B, e).
          seed: of the dropout masks, int32 (2,).

        Returns:
          The update of "D_R", see Method.minimise.
        """
        made = self.reconstruct(tuple(map(tf.stop_gradient, common)), seed)
        loss = {}
        with tf.GradientTape() as tape:
            for network, real, fake in zip(self.names("D_R"), features, made, strict=True):
                logits = self.networks[network](tf.stack((real, tf.stop_gradient(fake))))[..., 0]
                loss[network] = tf.reduce_mean(losses.real_loss(logits[0]) + losses.fake_loss(logits[1]))
        return self.minimise("D_R", loss, tape)

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """s = G_F(f), without dropout."""
        return self.networks[name("G_F", modality)](features)


def name(role: str, modality: str) -> str:
    """The name of a modality's network in a role, "G_F" say: "G_FI" and "G_FT" of images and texts, else "G_F_video".

    Initial weights are drawn by seed and name: other names of the paper's two modalities would change every result.
    """
    return role + {"image": "I", "text": "T"}.get(modality, f"_{modality}")


def part(seed: tf.Tensor | None, number: int) -> tf.Tensor | None:
    """The random state of a network's dropout masks of that of a pass, int32 (2,); None, no dropout, of None."""
    return None if seed is None else randomness.fold_in(seed, number)
