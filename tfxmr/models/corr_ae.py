"""Corr-AE: correspondence autoencoders (Feng et al., ACM MM 2014)."""
import dataclasses
import itertools
from collections.abc import Iterator, Sequence
from typing import Self

import keras
import tensorflow as tf

from tfxmr.core.settings import changed, setting
from tfxmr.engine.keras_model import Shapes
from tfxmr.models._deepnet import CORR_AE_RECIPES, DeepNet, DeepNetSettings
from tfxmr.models.base import Batch, Losses, Networks, Players, Rate, Stage, Step, Update

PAPER_ALPHA = {"corr": 0.8, "cross": 0.2, "full": 0.8}


@dataclasses.dataclass(frozen=True)
class CorrAESettings(DeepNetSettings):
    """Settings of Corr-AE: widths, alpha, batch and decay of the authors' configuration for Wikipedia."""

    epochs: int = changed(why="A choice of this project.")
    batch_size: int = changed(193)
    learning_rate: float = changed(why="Of Adam by this project's choice.", grid=(1e-4, 3e-4, 1e-3))
    weight_decay: float = changed(1e-4)
    select: str = changed("validation")
    feature_norm: str = changed("zscore")
    variant: str = setting(
        "corr", "corr: a code reconstructs its own modality; cross: the others; full: all of them.",
        choices=("corr", "cross", "full"),
    )
    alpha: float = setting(
        0.0, "Weight of the correlation against that of the reconstruction, in [0, 1]; 0 takes the paper's: .8, with "
        "--variant=cross .2.", minimum=0.0, maximum=1.0, grid=(0.0, 0.5, 0.95),
    )
    encoder_units: tuple[int, ...] = setting(
        (1024, 1024), "Widths of an encoder's layers; the last is the code, decoders mirror the rest. With "
        "--rbm_pretrain the paper's is 1024.", minimum=1, parts=1,
    )
    initial_momentum: float = setting(
        0.5, "Momentum of sgd at first, in [0, .999]; it rises to --momentum as m - (m - m_0) exp(-t / 10000).",
        minimum=0.0, maximum=0.999,
    )
    rbm_units: tuple[int, ...] = changed((1024, 1024))
    rbm_count_units: int = changed(0)
    rbm_batch_size: int = changed(500)

    def resolved(self, num_classes: int = 0, instances: bool = False, widths: Sequence[int] = ()) -> Self:
        """With the paper's alpha, for which 0 stands.

        Args:
          num_classes, instances, widths: as of tfxmr.core.settings.Settings.resolved; they decide nothing here.
        """
        return dataclasses.replace(self, alpha=self.alpha or PAPER_ALPHA[self.variant])


class CorrAE(DeepNet):
    """Autoencoders of all modalities whose codes are drawn together.

    With the code h_m = E_m(x^m) of modality m and a decoder D_mn of it into modality n,

        min  (1 - alpha) sum over (m, n) of ||x^n - D_mn(h_m)||^2  +  alpha sum over m < n of ||h_m - h_n||^2

    as a mean over items; (m, n) are m = n (Corr-AE), m != n (Corr-Cross-AE) or all (Corr-Full-AE). Labels are not
    used. All hidden units are tanh. Retrieval compares the codes h_m by cosine.

    The paper has two modalities; the sums over more, and the pairing by class of items that share no rows
    (tfxmr.engine.sampling), are this project's.

    With --rbm_pretrain, x^m are the outputs of restricted Boltzmann machines (tfxmr.models._boltzmann), each level
    trained in a stage of its own, on the outputs of those below, and then left as it is (Hinton, Osindero and Teh
    2006). With --optimizer=sgd --learning_rate=.05 --half_life=10000 --steps=20000 --encoder_units=1024 as well it is
    the authors' configuration.

    Differs from the paper: without --rbm_pretrain there are no machines, the encoder has a hidden layer in place of the
    upper ones, and units are tanh, where the paper's, as those of --rbm_pretrain, are logistic; Adam is the default.
    The machines take one step of contrast, where the authors' take a second one from step 15,000 on in all but the
    image's first (--rbm_cd_growth).
    """

    Settings = CorrAESettings
    settings: CorrAESettings
    recipes = CORR_AE_RECIPES
    paper = "Feng et al., ACM MM 2014"
    citation = """
    @inproceedings{feng2014cross,
      author = {Fangxiang Feng and Xiaojie Wang and Ruifan Li},
      title = {Cross-Modal Retrieval with Correspondence Autoencoder},
      booktitle = {Proceedings of the 22nd ACM International Conference on Multimedia},
      pages = {7--16},
      year = {2014}
    }
    """
    provenance = "a public configuration; pre-training is --rbm_pretrain"
    multi_label = True  # it looks at no class
    zero_shot = True
    least_modalities = 2

    def make_networks(self, data: Shapes) -> Networks:
        """Builds an encoder for each modality, the decoders that the variant needs, and machines if there are any."""
        *hidden, code = self.settings.encoder_units
        activation = self.settings.unit
        machines, dims = self.make_machines(data.dims)
        coded = {"activation": activation, "output_activation": activation}
        shapes: dict[str, tuple] = {f"encoder_{m}": (d, (*hidden, code), coded) for m, d in dims.items()}
        for m, n in itertools.product(dims, repeat=2):
            if self.settings.variant == "full" or (m == n) == (self.settings.variant == "corr"):
                shapes[f"decoder_{m}_{n}"] = code, (*reversed(hidden), dims[n]), {"activation": activation}
        return self.towers(shapes) | machines

    def make_stages(self, num_items: int) -> tuple[Stage, ...]:
        """The machines of each level, the lowest first, and the autoencoders."""
        return (*self.machine_stages(), Stage("training", self.total_steps(num_items), ("joint",)))

    @property
    def players(self) -> Players:
        """The autoencoders, and each machine by itself."""
        machines = {name: (name,) for name in self.machines}
        return {"joint": tuple(name for name in self.networks if name not in machines)} | machines

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the autoencoders' update; in the stage of a level, each machine's step of contrastive divergence."""
        return super().updates(batch, step) if step.stage == "training" else self.machine_updates(batch, step)

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The weighted losses of a batch, name -> scalar."""
        alpha = self.settings.resolved().alpha
        targets = {m: self.seen(m, batch[m]) for m in self.dims}
        codes = {m: self.networks[f"encoder_{m}"](targets[m]) for m in self.dims}
        reconstructed = sum(
            squared_error(self.networks[f"decoder_{m}_{n}"](codes[m]), targets[n])
            for m, n in itertools.product(self.dims, repeat=2)
            if f"decoder_{m}_{n}" in self.networks
        )
        apart = sum(squared_error(codes[m], codes[n]) for m, n in itertools.combinations(self.dims, 2))
        return {"reconstruction": (1 - alpha) * reconstructed, "correlation": alpha * apart}

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """The code h_m: features (B, d) to (B, k)."""
        return self.networks[f"encoder_{modality}"](self.seen(modality, features))

    def make_optimizer(self, player: str, learning_rate: Rate) -> keras.optimizers.Optimizer:
        """As DeepNet.make_optimizer, with a rising momentum of sgd."""
        optimizer = super().make_optimizer(player, learning_rate)
        if player == "joint" and self.settings.optimizer == "sgd":
            optimizer.initial_momentum = self.settings.initial_momentum
        return optimizer


def squared_error(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Mean over the rows u of ||a_u - b_u||^2, a scalar."""
    return tf.reduce_mean(tf.reduce_sum((a - b) ** 2, axis=-1))
