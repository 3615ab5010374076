"""What Corr-AE, CMDN and CCL share, whose authors train one stage after another: the machines below, and scalings."""
import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.normalisation import statistics
from tfxmr.engine import randomness
from tfxmr.models._boltzmann import Descent, Machine, Recipe
from tfxmr.models.base import Array, Batch, Method, OptimizerSettings, Rate, Stage, Step, Update

# Corr-AE's authors' for Wikipedia: of the lowest machine of a modality by its kind, and of those above
CORR_AE_RECIPES = {
    "gaussian": Recipe(1e-3, 20_000, sparsity_weight=0.1, growth=None),
    "counts": Recipe(0.1, 20_000, rise=5_000, l2=1e-4, stddev=1e-5, up_factor=10.0),
    "upper": Recipe(0.05, 20_000),
    "upper_counts": Recipe(0.01, 20_000, target=0.1),
}


def deepnet_recipes(first: int, upper: int, joint: int, merging: int) -> dict[str, Recipe]:
    """The recipes of CMDN's and CCL's authors, which differ in the machines' numbers of steps alone.

    Args:
      first: steps of the lowest machines.
      upper: of those above them.
      joint: of the machine over all modalities.
      merging: of the machines over codes.

    Returns:
      Recipe by what `DeepNet.part_of` says, "joint" or "merging".
    """
    counts = Recipe(
        0.1, first, rise=5_000, l2=1e-4, stddev=1e-5, up_factor=10.0, words=100, drawn_from=5_000,
    )
    several = Recipe(0.01, joint, rise=5_000, l2=1e-4, sparsity_weight=0.0)
    return {
        "gaussian": Recipe(1e-3, first, sparsity_weight=0.1, growth=(50_000, 10_000)),
        "counts": counts,
        "upper": Recipe(0.05, upper, target=0.1),
        "upper_counts": Recipe(0.01, upper, target=0.1),
        "joint": several,
        "merging": dataclasses.replace(several, steps=merging),
    }


@dataclasses.dataclass(frozen=True)
class DeepNetSettings(OptimizerSettings):
    """Settings of the machines, which Corr-AE, CMDN and CCL have."""

    rbm_pretrain: bool = setting(
        False, "First trains restricted Boltzmann machines on each modality, as the paper does; what is above takes "
        "the outputs of the upper ones."
    )
    rbm_units: tuple[int, ...] = setting(
        (2048, 1024), "Hidden units of each modality's machines, the lowest first.", minimum=1
    )
    rbm_count_units: int = setting(
        1024, "Hidden units of the lowest machine of --rbm_counts; 0: as --rbm_units.", minimum=0
    )
    rbm_steps: int = setting(
        20_000, "Steps of contrastive divergence for the machines of each level. The authors' learning rates and "
        "momentum change over their own numbers of steps, and here over as many, stretched.", minimum=1,
    )
    rbm_batch_size: int = setting(128, "Items in a batch there; all, if there are fewer.", minimum=2)
    rbm_counts: str = setting(
        "", "Modalities, with commas between them, whose features are word counts or TF-IDF (with --feature_norm=none "
        "or l2): their lowest machine is a replicated softmax."
    )
    rbm_cd_growth: bool = setting(
        False, "Contrastive divergence takes more steps as training proceeds, as the authors' does: up to 38 times the "
        "time of one."
    )

    activation: str = setting(
        "auto", "Hidden units and codes: tanh, codes of both signs; sigmoid, as in the paper, whose layers start from "
        "machines; auto: sigmoid with --rbm_pretrain, else tanh.", choices=("auto", "sigmoid", "tanh"),
    )

    @property
    def counts(self) -> tuple[str, ...]:
        """The modalities whose features are word counts."""
        return tuple(filter(None, self.rbm_counts.split(",")))

    @property
    def unit(self) -> Callable[[tf.Tensor], tf.Tensor]:
        """The function of the units that `activation` names."""
        # without machines to start from, codes of one sign tell little apart: on 400 raw pairs mAP .25, tanh .33
        automatic = "sigmoid" if self.rbm_pretrain else "tanh"
        return getattr(tf, automatic if self.activation == "auto" else self.activation)

    def remedies(self) -> list[str]:
        """As Settings.remedies; word counts must stay such, and the machines' rates and scales are fixed."""
        found = [flag for flag in super().remedies() if not (self.rbm_counts and flag.startswith("--feature_norm"))]
        return found + ["--norbm_pretrain"] * self.rbm_pretrain


@dataclasses.dataclass(frozen=True)
class StagedSettings(DeepNetSettings):
    """Settings of CMDN and CCL."""

    select: str = changed("validation")
    feature_norm: str = changed("zscore")
    variant: str = setting(
        "staged", "staged: one stage after another, as the paper; together: this project's, all at once, without "
        "machines.", choices=("staged", "together"),
    )
    semantic_steps: int = setting(
        0, "Steps of the classifying networks; the authors' are 50000. 0: as --steps.", minimum=0
    )
    semantic_units: tuple[int, ...] = setting(
        (1024, 1024, 1024), "Widths of the classifying networks.", minimum=1, parts=1
    )
    end_to_end: bool = setting(False, "With --variant=together, lets the gradient of each stage into those below.")

    def __post_init__(self) -> None:
        """Raises InputError for settings that do not go together, before anything is trained."""
        super().__post_init__()
        if self.variant == "together" and self.rbm_pretrain:
            raise InputError("--rbm_pretrain: --variant=together has no machines; take --variant=staged")
        if self.variant == "staged" and self.end_to_end:
            raise InputError("--end_to_end: in stages that follow each other nothing passes; take --variant=together")


class Scaling(keras.layers.Layer):
    """(x - mean) * scale of each column, by statistics of the training items that a stage sets when it begins.

    Args:
      width: of x.
    """

    def __init__(self, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        # all replicas set them to the same values
        fixed = {"trainable": False, "aggregation": "only_first_replica"}
        self.mean = self.add_weight(shape=(width,), initializer="zeros", name="mean", **fixed)
        self.scale = self.add_weight(shape=(width,), initializer="ones", name="scale", **fixed)
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(n, width) to the same."""
        return (x - self.mean) * self.scale

    def set(self, rows: Array, kind: str) -> None:
        """Takes the statistics of rows (n, width): "zscore", as tfxmr.data.normalisation; or "range", to [0, 1].

        A range is that of all entries: columns keep their sizes against each other.
        """
        mean: Any
        scale: Any  # there are both, of these kinds
        mean, scale = (np.min(rows), np.ptp(rows) or 1.0) if kind == "range" else statistics(rows, kind)
        self.mean.assign(np.broadcast_to(mean, self.mean.shape))
        self.scale.assign(np.broadcast_to(1 / scale, self.scale.shape))


class DeepNet(Method):
    """Base of the three: each modality's stack of machines, trained one level after another if there are any.

    Attributes:
      recipes: Recipe by what `part_of` says.
    """

    Settings = DeepNetSettings
    settings: DeepNetSettings
    recipes: dict[str, Recipe] = {}

    def check(self, data: MultiModalData) -> None:
        """Raises InputError for features that the machines cannot take, before anything is trained."""
        super().check(data)
        s = self.settings
        if not s.rbm_pretrain:
            return
        unknown = set(s.counts) - set(data.dims)
        if unknown:
            raise InputError(f"--rbm_counts={s.rbm_counts}: the data have {', '.join(data.dims)} alone")
        for m in s.counts:
            if any(block.min() < 0 for block in memmap.blocks(data.splits["train"].features[m])):
                raise InputError(
                    f"--rbm_counts={s.rbm_counts}: {m} features below 0 are no word counts; take --feature_norm=none, "
                    "and features such as bow3000 or tfidf1000"
                )

    @property
    def levels(self) -> range:
        """Numbers of the levels of machines, the lowest first."""
        return range(len(self.settings.rbm_units) if self.settings.rbm_pretrain else 0)

    def part_of(self, modality: str, level: int) -> str:
        """The key of `recipes` of a modality's machine on a level, counted from 0."""
        counts = modality in self.settings.counts
        return "upper" + "_counts" * counts if level else "counts" if counts else "gaussian"

    def machine(self, name: str, inputs: int | Sequence[int], units: int, part: str) -> Machine:
        """Builds a machine, whose visible units above the lowest level are probabilities.

        Args:
          name: of the network.
          inputs: width of what it sees, or the widths of its parts.
          units: hidden units.
          part: key of `recipes`.

        Returns:
          The Machine.
        """
        kind = part if part in ("gaussian", "counts") else "binary"
        return Machine(inputs, units, kind, self.recipes[part], self.own_seed(name), name=name)

    def make_machines(self, dims: dict[str, int]) -> tuple[dict[str, Machine], dict[str, int]]:
        """The machines, name -> layer, and the width of their outputs, modality -> int, for features of `dims`."""
        s, machines, dims = self.settings, {}, dict(dims)
        for level in self.levels:
            for m, d in dims.items():
                part, name = self.part_of(m, level), machine_name(m, level)
                dims[m] = s.rbm_count_units or s.rbm_units[0] if part == "counts" else s.rbm_units[level]
                machines[name] = self.machine(name, d, dims[m], part)
        return machines, dims

    def machine_stages(self) -> list[Stage]:
        """A stage for each level."""
        return [
            self.machine_stage(f"machines_{level}", *(machine_name(m, level) for m in self.dims))
            for level in self.levels
        ]

    def machine_stage(self, name: str, *machines: str) -> Stage:
        """A stage of contrastive divergence, in which some machines have a turn."""
        return Stage(name, self.settings.rbm_steps, machines, self.settings.rbm_batch_size)

    def begin(self, data: MultiModalData) -> dict[str, Any]:
        """Before the lowest machines, scales Gaussian ones to the training items."""
        deviation: Any  # there is one, of z-scores
        for m, features in data.splits["train"].features.items() if self.stage.name == "machines_0" else ():
            machine = self.networks[machine_name(m, 0)]
            if machine.kind == "gaussian":
                mean, deviation = statistics(features, "zscore")
                machine.mean.assign(mean)
                machine.scale.assign(1 / deviation)
        return {}

    @property
    def machines(self) -> list[str]:
        """Names of all machines."""
        return [name for name, network in self.networks.items() if isinstance(network, Machine)]

    def contrasted(self, name: str, x: tf.Tensor, step: Step) -> Update:
        """The update of the machine `name` by a step of contrastive divergence on what it sees, x (B, d)."""
        machine = self.networks[name]
        time = tf.round(step.progress * machine.recipe.steps)
        seed = randomness.fold_in(step.seed, self.machines.index(name))
        error, gradients = machine.contrast(x, seed, time, self.settings.rbm_cd_growth)
        return name, {"reconstruction": error}, [g * self.loss_scale(name) for g in gradients]

    def machine_updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the updates of the machines of the stage's level."""
        level = int(step.stage.rpartition("_")[2])
        for m in self.dims:
            yield self.contrasted(machine_name(m, level), self.seen(m, batch[m], level), step)

    def seen(self, modality: str, features: tf.Tensor, level: int | None = None) -> tf.Tensor:
        """What is above the machines, or the machines of a level, see of a modality's features.

        Args:
          modality: name.
          features: (B, d).
          level: of machines, from 0; None: what is above all of them.

        Returns:
          The features, or (B, units) that the machines below make of them.
        """
        for below in self.levels[:level]:
            features = self.networks[machine_name(modality, below)](features)
        return features

    def make_optimizer(self, player: str, learning_rate: Rate) -> keras.optimizers.Optimizer:
        """As Method.make_optimizer; each machine has its recipe's."""
        network = self.networks.get(player)
        if isinstance(network, Machine):
            return network.recipe.optimizer(self.settings.rbm_steps, f"sgd_{player}")
        return super().make_optimizer(player, learning_rate)


class Staged(DeepNet):
    """Base of CMDN and CCL: one player a stage of networks, after stages of machines; or all of them together.

    Attributes:
      descents: the authors' Descent of stages of networks, by `kind_of` the stage.
    """

    Settings = StagedSettings
    settings: StagedSettings
    descents: dict[str, Descent] = {}

    @property
    def together(self) -> bool:
        """Whether all stages train at once."""
        return self.settings.variant == "together"

    @property
    def authors_sgd(self) -> bool:
        """Whether each stage descends as the authors'."""
        return self.settings.optimizer == "sgd" and not self.together

    def upper_machines(self, stage: str, batch: Batch) -> Iterator[tuple[str, tf.Tensor]]:
        """Yields the machines of a stage that stand on codes, and what each sees, (B, d)."""
        raise NotImplementedError

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the update of the stage's networks, or of each of its machines."""
        if step.stage.startswith("machines_"):
            yield from self.machine_updates(batch, step)
        elif "machine" in step.stage:
            for name, seen in self.upper_machines(step.stage, batch):
                yield self.contrasted(name, seen, step)
        else:
            with tf.GradientTape() as tape:
                loss = self.compute_losses(batch, step)
            yield self.minimise("joint" if self.together else step.stage, loss, tape)

    def descending(self, player: str, learning_rate: Rate) -> keras.optimizers.Optimizer:
        """The optimizer of a player with one of `descents`, over the steps of the stage of its name."""
        steps = next(stage.steps for stage in self.stages if stage.name == player)
        return self.descents[kind_of(player)].optimizer(max(1, steps), f"sgd_{player}", learning_rate)


def kind_of(stage: str) -> str:
    """The first word of a stage's or player's name."""
    return stage.partition("_")[0]


def machine_name(modality: str, level: int) -> str:
    """Name of the machine of a modality on a level, counted from 0."""
    return f"machine_{modality}_{level}"


def rows_of(function: Callable[[tf.Tensor], tf.Tensor], features: Array, block: int = 1024) -> NDArray:
    """What a function makes of each row of features.

    Args:
      function: float32 (B, d) to (B, k).
      features: (n, d).
      block: rows that it is given at once.

    Returns:
      float32 array (n, k).
    """
    blocks = (np.asarray(features[i : i + block], np.float32) for i in range(0, len(features), block))
    return np.concatenate([function(tf.constant(rows)).numpy() for rows in blocks])
