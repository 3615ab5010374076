"""Corr-AE: correspondence autoencoders (Feng et al., ACM MM 2014)."""
import dataclasses
import itertools

import tensorflow as tf

from tfxmr import randomness
from tfxmr.data import mapped
from tfxmr.errors import InputError
from tfxmr.features.normalisation import statistics
from tfxmr.models._boltzmann import Machine, kind_of, optimizer_of
from tfxmr.models.base import Method, OptimizerSettings, Stage, selection_setting
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
        """As Settings.remedies; numbers of words must stay such, and the machines' rates and scales are fixed."""
        found = [flag for flag in super().remedies() if not (self.rbm_counts and flag.startswith("--feature_norm"))]
        return found + ["--norbm_pretrain"] * self.rbm_pretrain


class CorrAE(Method):
    """Autoencoders of all modalities whose codes are drawn together.

    With the code h_m = E_m(x^m) of modality m and a decoder D_mn of it into modality n,

        min  (1 - alpha) sum over (m, n) of ||x^n - D_mn(h_m)||^2  +  alpha sum over m < n of ||h_m - h_n||^2

    as a mean over items; (m, n) are m = n (Corr-AE), m != n (Corr-Cross-AE) or all (Corr-Full-AE). Labels are not
    used. All hidden units are tanh. Retrieval compares the codes h_m by cosine.

    The paper has two modalities; the sums over more, and the pairing by class of items that share no rows
    (tfxmr.training.sampling), are this project's.

    With --rbm_pretrain, x^m are the outputs of restricted Boltzmann machines (tfxmr.models._boltzmann), each level
    trained in a stage of its own, on the outputs of those below, and then left as it is (Hinton, Osindero and Teh
    2006). With --optimizer=sgd --learning_rate=.05 --half_life=10000 --steps=20000 --encoder_units=1024 as well it is
    the authors' configuration.

    Differs from the paper: without --rbm_pretrain there are no machines, the encoder has a hidden layer in place of the
    upper ones, and units are tanh, where the paper's, as those of --rbm_pretrain, are logistic; Adam is the default.
    The authors' text machine counts its words ten times on the way up alone, and from step 15,000 on takes a second
    step of contrast in all but the image's first; neither is built.
    """

    Settings = CorrAESettings
    paper = "Feng et al., ACM MM 2014"
    certainty = "a public configuration; pre-training is --rbm_pretrain"
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
                name, kind = machine_name(m, level), kind_of(m, level, self.counts)
                machines[name] = Machine(d, units, kind, randomness.derive(self.seed, *name.encode()), name=name)
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

    def make_stages(self, num_items):
        """The machines of each level, the lowest first, and the autoencoders."""
        s = self.settings
        machines = [
            Stage(f"machines_{level}", s.rbm_steps, tuple(machine_name(m, level) for m in self.dims), s.rbm_batch_size)
            for level, _ in self.levels
        ]
        return (*machines, Stage("training", self.total_steps(num_items), ("joint",)))

    def begin(self, data):
        """Before the lowest machines, scales Gaussian ones to the training items; refuses counts below 0."""
        for m, features in data.splits["train"].features.items() if self.stage.name == "machines_0" else ():
            if m in self.counts and any(block.min() < 0 for block in mapped.blocks(features)):
                raise InputError(
                    f"--rbm_counts={m}: {m} features below 0 are no counts of words; take --feature_norm=none, and "
                    "features such as bow3000"
                )
            machine = self.networks[machine_name(m, 0)]
            if machine.kind == "gaussian":
                mean, deviation = statistics(features, "zscore")
                machine.mean.assign(mean)
                machine.scale.assign(1 / deviation)
        return {}

    @property
    def players(self):
        """The autoencoders, and each machine by itself."""
        machines = {name: (name,) for name in self.networks if name.startswith("machine")}
        return {"joint": tuple(name for name in self.networks if name not in machines)} | machines

    def updates(self, batch, step):
        """Yields the autoencoders' update; in the stage of a level, each machine's step of contrastive divergence."""
        if step.stage == "training":
            yield from super().updates(batch, step)
            return
        level = int(step.stage.rpartition("_")[2])
        for i, m in enumerate(self.dims):
            machine = self.networks[machine_name(m, level)]
            error, gradients = machine.contrast(self.seen(m, batch[m], level), randomness.fold_in(step.seed, i))
            yield machine_name(m, level), {"reconstruction": error}, gradients

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

    def seen(self, modality, features, level=None):
        """What the autoencoders, or the machines of a level, see of features (B, d).

        Returns:
          The features, or (B, units) that the machines below make of them.
        """
        for below, _ in self.levels[:level]:
            features = self.networks[machine_name(modality, below)](features)
        return features

    def make_optimizer(self, player, learning_rate):
        """As Method.make_optimizer, with a rising momentum of sgd; each machine has its recipe's."""
        if player != "joint":
            return optimizer_of(self.networks[player], f"sgd_{player}")
        optimizer = super().make_optimizer(player, learning_rate)
        if self.settings.optimizer == "sgd":
            optimizer.initial_momentum = self.settings.initial_momentum
        return optimizer


def machine_name(modality, level):
    """Name of the machine of a modality on a level, counted from 0."""
    return f"machine_{modality}_{level}"


def squared_error(a, b):
    """Mean over the rows u of ||a_u - b_u||^2, a scalar."""
    return tf.reduce_mean(tf.reduce_sum((a - b) ** 2, axis=-1))
