"""Corr-AE: correspondence autoencoders (Feng et al., ACM MM 2014)."""
import dataclasses
import itertools

import tensorflow as tf

from tfxmr.boltzmann import Boltzmann, BoltzmannSettings, Machine, kind_of
from tfxmr.errors import InputError
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
        "auto", "Units of all hidden layers and codes: sigmoid as in the paper; tanh, codes of both signs; or auto: "
        "sigmoid with --rbm_pretrain, which the paper's codes need, else tanh.", choices=("auto", "sigmoid", "tanh"),
    )
    encoder_units: tuple = setting(
        (1024, 1024), "Widths of an encoder's layers; the last is the code, decoders mirror the rest. With "
        "--rbm_pretrain the paper's is 1024.", minimum=1,
    )
    initial_momentum: float = setting(
        0.5, "Momentum of sgd at first, in [0, .999]; it rises to --momentum as m - (m - m_0) exp(-t / 10000).",
        minimum=0.0, maximum=0.999,
    )
    rbm_pretrain: bool = setting(
        False, "First trains restricted Boltzmann machines on each modality, as the paper does; the autoencoders then "
        "restore the outputs of the upper ones."
    )
    rbm_units: tuple = setting((1024, 1024), "Hidden units of each modality's machines, the lowest first.", minimum=1)
    rbm_steps: int = setting(20_000, "Steps of contrastive divergence for the machines of each level.", minimum=1)
    rbm_batch_size: int = setting(500, "Items in a batch there; all, if there are fewer.", minimum=2)
    rbm_counts: str = setting(
        "", "Modalities, with commas between them, whose features are numbers of words (bow3000, say, with "
        "--feature_norm=none): their lowest machine is a replicated softmax."
    )

    def remedies(self):
        """As Settings.remedies; numbers of words must stay such."""
        return [flag for flag in super().remedies() if not (self.rbm_counts and flag.startswith("--feature_norm"))]


class CorrAE(Method):
    """Autoencoders of all modalities whose codes are drawn together.

    With the code h_m = E_m(x^m) of modality m and a decoder D_mn of it into modality n,

        min  (1 - alpha) sum over (m, n) of ||x^n - D_mn(h_m)||^2  +  alpha sum over m < n of ||h_m - h_n||^2

    as a mean over items; (m, n) are m = n (Corr-AE), m != n (Corr-Cross-AE) or all (Corr-Full-AE). Labels are not
    used. All hidden units are tanh. Retrieval compares the codes h_m by cosine.

    The paper has two modalities; the sums over more, and the pairing by class of items that share no rows
    (tfxmr.training.sampling), are this project's.

    With --rbm_pretrain, x^m are the outputs of restricted Boltzmann machines (tfxmr.boltzmann), trained before and
    then left as they are; with --optimizer=sgd --learning_rate=.05 --half_life=10000 --steps=20000
    --encoder_units=1024 as well it is the authors' configuration.

    Differs from the paper: without --rbm_pretrain there are no machines, the encoder has a hidden layer in place of the
    upper ones, and units are tanh, where the paper's, as those of --rbm_pretrain, are logistic; Adam is the default.
    The authors' text machine counts its words ten times on the way up alone, and from step 15,000 on takes a second
    step of contrast in all but the image's first; neither is built.
    """

    Settings = CorrAESettings
    paper = "Feng et al., ACM MM 2014"
    certainty = "a public configuration; pre-training is --rbm_pretrain"
    modalities = ()
    zero_shot = True
    least_modalities = 2

    def make_networks(self, data):
        """Builds an encoder for each modality, the decoders that the variant needs, and machines if there are any."""
        *hidden, code = self.settings.encoder_units
        activation = getattr(tf, self.activation)
        machines, dims = self.make_machines(data)
        shapes = {f"encoder_{m}": (d, (*hidden, code), activation) for m, d in dims.items()}
        for m, n in itertools.product(dims, repeat=2):
            if self.settings.variant == "full" or (m == n) == (self.settings.variant == "corr"):
                shapes[f"decoder_{m}_{n}"] = code, (*reversed(hidden), dims[n]), None
        return {
            name: self.tower(name, inputs, units, activation=activation, output_activation=last)
            for name, (inputs, units, last) in shapes.items()
        } | machines

    def make_machines(self, data):
        """The Boltzmann machines, name -> layer, and the width of what the autoencoders see, modality -> int."""
        dims, machines = dict(data.dims), {}
        unknown = set(self.counts) - set(dims)
        if unknown:
            raise InputError(f"--rbm_counts={self.settings.rbm_counts}: the data have {', '.join(dims)} alone")
        for level, units in self.levels:
            for m, d in dims.items():
                machines[f"machine_{m}_{level}"] = Machine(d, units, kind_of(m, level, self.counts), seed=0)
            dims = dict.fromkeys(dims, units)
        return machines, dims

    @property
    def levels(self):
        """(level, hidden units) of the machines, the lowest first."""
        return list(enumerate(self.settings.rbm_units if self.settings.rbm_pretrain else ()))

    @property
    def activation(self):
        """Name of the hidden units, "sigmoid" or "tanh"."""
        # without machines to start from, codes of one sign tell little apart: on 400 raw pairs mAP .25, tanh .33
        automatic = "sigmoid" if self.settings.rbm_pretrain else "tanh"
        return automatic if self.settings.activation == "auto" else self.settings.activation

    @property
    def counts(self):
        """The modalities whose features are numbers of words."""
        return tuple(filter(None, self.settings.rbm_counts.split(",")))

    def pretraining(self, data):
        """Yields the machines of each level, trained on the outputs of those below."""
        s, train = self.settings, data.splits["train"]
        for level, units in self.levels:
            level_data = dataclasses.replace(data, splits={"train": train})
            batch_size = min(s.rbm_batch_size, len(train))
            settings = BoltzmannSettings(
                steps=s.rbm_steps, batch_size=batch_size, units=units, level=level, counts=self.counts
            )
            machines = Boltzmann(level_data, settings, self.seed)
            yield f"machines_{level}", machines, level_data
            for m in self.dims:
                self.networks[f"machine_{m}_{level}"].set_weights(machines.networks[m].get_weights())
            train = dataclasses.replace(
                train, features={m: machines.outputs(m, train.features[m]) for m in train.modalities}
            )

    @property
    def players(self):
        """One: the autoencoders; the machines stay as they were trained."""
        return {"joint": tuple(name for name in self.networks if not name.startswith("machine"))}

    def costs(self, batch, step):
        """The weighted losses of a batch, name -> scalar."""
        alpha = self.settings.alpha or PAPER_ALPHA[self.settings.variant]
        targets = {m: self.seen(m, batch[m]) for m in self.dims}
        codes = {m: self.networks[f"encoder_{m}"](targets[m]) for m in self.dims}
        restored = sum(
            squared_error(self.networks[f"decoder_{m}_{n}"](codes[m]), targets[n])
            for m, n in itertools.product(self.dims, repeat=2)
            if f"decoder_{m}_{n}" in self.networks
        )
        apart = sum(squared_error(codes[m], codes[n]) for m, n in itertools.combinations(self.dims, 2))
        return {"reconstruction": (1 - alpha) * restored, "correlation": alpha * apart}

    def embed(self, modality, features):
        """The code h_m: features (B, d) to (B, k)."""
        return self.networks[f"encoder_{modality}"](self.seen(modality, features))

    def seen(self, modality, features):
        """What the autoencoders see of features (B, d): the features, or (B, units) that the machines make of them."""
        for level, _ in self.levels:
            features = self.networks[f"machine_{modality}_{level}"](features)
        return features

    def make_optimizer(self, player, learning_rate):
        """As Method.make_optimizer, with a rising momentum of sgd."""
        optimizer = super().make_optimizer(player, learning_rate)
        if self.settings.optimizer == "sgd":
            optimizer.initial_momentum = self.settings.initial_momentum
        return optimizer


def squared_error(a, b):
    """Mean over the rows u of ||a_u - b_u||^2, a scalar."""
    return tf.reduce_mean(tf.reduce_sum((a - b) ** 2, axis=-1))
