"""Corr-AE: correspondence autoencoders (Feng et al., ACM MM 2014)."""
import dataclasses
import itertools

import tensorflow as tf

from tfxmr.models.base import Method, OptimizerSettings, selection_setting
from tfxmr.settings import setting

PAPER_ALPHA = {"corr": 0.8, "cross": 0.2, "full": 0.8}


@dataclasses.dataclass(frozen=True)
class CorrAESettings(OptimizerSettings):
    """Settings of Corr-AE: widths, alpha, batch and decay of the authors' configuration for Wikipedia."""

    epochs: int = setting(100, "Training epochs at most, if --steps is 0; a choice of this project.", minimum=0)
    batch_size: int = setting(193, "Items in a batch.", minimum=2)
    learning_rate: float = setting(
        1e-3, "The optimiser's base learning rate; of Adam by this project's choice.", minimum=0.0,
        grid=(1e-4, 3e-4, 1e-3),
    )
    weight_decay: float = setting(1e-4, "Times the weight matrices, is added to their gradient.", minimum=0.0)
    select: str = selection_setting("validation")
    feature_norm: str = setting(
        "zscore", "How features are normalised, with statistics of the training split.",
        choices=("none", "l2", "zscore", "minmax"),
    )
    variant: str = setting(
        "corr", "corr: a code restores its own modality; cross: the others; full: all of them.",
        choices=("corr", "cross", "full"),
    )
    alpha: float = setting(
        0.0, "Weight of the correlation against that of the reconstruction, in [0, 1]; 0 takes the paper's: .8, with "
        "--variant=cross .2.", minimum=0.0, maximum=1.0, grid=(0.0, 0.5, 0.95),
    )
    activation: str = setting(
        "sigmoid", "Units of all hidden layers and codes: sigmoid as in the paper, or tanh, codes of both signs.",
        choices=("sigmoid", "tanh"),
    )
    encoder_units: tuple = setting(
        (1024, 1024), "Widths of an encoder's layers; the last is the code, decoders mirror the rest.", minimum=1
    )


class CorrAE(Method):
    """Autoencoders of all modalities whose codes are drawn together.

    With the code h_m = E_m(x^m) of modality m and a decoder D_mn of it into modality n,

        min  (1 - alpha) sum over (m, n) of ||x^n - D_mn(h_m)||^2  +  alpha sum over m < n of ||h_m - h_n||^2

    as a mean over items; (m, n) are m = n (Corr-AE), m != n (Corr-Cross-AE) or all (Corr-Full-AE). Labels are not
    used. All hidden units are logistic. Retrieval compares the codes h_m by cosine.

    The paper has two modalities; the sums over more, and the pairing by class of items that share no rows
    (tfxmr.training.sampling), are this project's.

    Differs from the paper: it trains E and D on the outputs of two restricted Boltzmann machines for each modality,
    by gradient descent (--optimizer=sgd --learning_rate=.05 --half_life=10000, with the momentum raised from .5 to
    .9); here there is no pre-training, and the encoder has the machines' upper layer as a hidden layer of its own.
    """

    Settings = CorrAESettings
    paper = "Feng et al., ACM MM 2014"
    certainty = "a public configuration; pre-training left out"
    modalities = ()
    zero_shot = True
    least_modalities = 2

    def make_networks(self, data):
        """Builds an encoder for each modality, and the decoders that the variant needs."""
        *hidden, code = self.settings.encoder_units
        activation = getattr(tf, self.settings.activation)
        shapes = {f"encoder_{m}": (d, (*hidden, code), activation) for m, d in data.dims.items()}
        for m, n in itertools.product(data.dims, repeat=2):
            if self.settings.variant == "full" or (m == n) == (self.settings.variant == "corr"):
                shapes[f"decoder_{m}_{n}"] = code, (*reversed(hidden), data.dims[n]), None
        return {
            name: self.tower(name, inputs, units, activation=activation, output_activation=last)
            for name, (inputs, units, last) in shapes.items()
        }

    def costs(self, batch):
        """The weighted losses of a batch, name -> scalar."""
        alpha = self.settings.alpha or PAPER_ALPHA[self.settings.variant]
        codes = {m: self.embed(m, batch[m]) for m in self.dims}
        restored = sum(
            squared_error(self.networks[f"decoder_{m}_{n}"](codes[m]), batch[n])
            for m, n in itertools.product(self.dims, repeat=2)
            if f"decoder_{m}_{n}" in self.networks
        )
        apart = sum(squared_error(codes[m], codes[n]) for m, n in itertools.combinations(self.dims, 2))
        return {"reconstruction": (1 - alpha) * restored, "correlation": alpha * apart}

    def embed(self, modality, features):
        """The code h_m."""
        return self.networks[f"encoder_{modality}"](features)


def squared_error(a, b):
    """Mean over the rows u of ||a_u - b_u||^2, a scalar."""
    return tf.reduce_mean(tf.reduce_sum((a - b) ** 2, axis=-1))
