"""The base of every neural method: players that take turns, one optimizer each, and an encoder for each modality."""
import dataclasses
import json
import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, Self, TypeAlias

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.errors import InputError, NotFinite
from tfxmr.core.progress import Progress
from tfxmr.core.settings import Settings, changed, setting
from tfxmr.core.wording import counted
from tfxmr.data.memmap import MappedMatrix
from tfxmr.data.multimodal import MultiModalData
from tfxmr.data.views import modality_of
from tfxmr.engine import distribution, randomness
from tfxmr.engine.keras_model import KerasMethod, Shapes
from tfxmr.engine.layers import INITS, Tower
from tfxmr.engine.logs import SHOWN
from tfxmr.engine.optimizers import SGD, Adam, ByStages, BySteps, RMSprop
from tfxmr.evaluation.retriever import Retriever, Trained

Array: TypeAlias = NDArray | MappedMatrix
# view -> (B, ...), "label" -> int32 (B,), or of items of several classes float32 (B, C); "wrong" and "source" -> Batch
Batch: TypeAlias = dict[str, Any]
Features: TypeAlias = tf.Tensor | dict[str, tf.Tensor]  # (B, d); of a method that names its inputs view -> (B, ...)
Losses: TypeAlias = dict[str, tf.Tensor]  # name -> scalar
Networks: TypeAlias = dict[str, keras.layers.Layer]  # name -> layer
Players: TypeAlias = dict[str, tuple[str, ...]]  # player -> names of networks
Rate: TypeAlias = float | keras.optimizers.schedules.LearningRateSchedule
Update: TypeAlias = tuple[str, Losses, list[tf.Tensor]] | tuple[str, Losses, list[tf.Tensor], Losses]  # see `minimise`


def init_setting(default: str) -> Any:
    """The setting `init`, whose default differs by method."""
    return setting(
        default,
        "Initial weights of a layer with n inputs. torch: weights and biases uniform in +-1/sqrt(n), as PyTorch's; "
        "glorot: weights uniform in +-sqrt(6/(n + outputs)), biases 0.",
        choices=INITS,
    )


@dataclasses.dataclass(frozen=True)
class MethodSettings(Settings):
    """Settings that every neural method has; a method overrides the defaults by its paper's."""

    steps: int = setting(0, "Training steps (batches); 0 takes --epochs.", minimum=0)
    epochs: int = setting(100, "Training epochs at most, if --steps is 0.", minimum=0)
    batch_size: int = setting(
        64, "Items in a batch. Of a smaller training set the default takes all items; a larger one is refused.",
        minimum=2,
    )
    learning_rate: float = setting(1e-4, "Adam's base learning rate.", minimum=0.0)
    beta_1: float = setting(0.9, "Adam's decay of the mean gradient, in [0, .999].", minimum=0.0, maximum=0.999)
    select: str = setting(
        "last",
        "Weights that are kept. last: the last step's; validation: those of the epoch with the best mAP on the "
        "validation split, averaged over all directions, or for data without classes the best sum of recalls at 1, 5 "
        "and 10; without such a split, on a tenth of the training items "
        "(--validation_fraction), which are held out.",
        choices=("last", "validation"),
    )
    patience: int = setting(
        20, "With --select=validation, epochs without a better one that end the training; 0: none do.",
        minimum=0,
    )
    patience_steps: int = setting(
        300, "Steps that the epochs of --patience hold at least: on small data an epoch is a few steps, in which no "
        "method gets anywhere.", minimum=0,
    )
    precision: str = setting(
        "float32",
        "What the networks compute in. bfloat16 and float16 keep weights, losses and updates in float32; float16 takes "
        "a loss scale that adapts itself. bfloat16 pays on a CPU with AVX512-BF16 or AMX, and on a GPU.",
        choices=("float32", "bfloat16", "float16"),
    )
    jit_compile: bool = setting(
        False, "Compiles the step by XLA, which draws other random numbers; on a CPU it is slower than without."
    )
    feature_norm: str = setting(
        "none",
        "How features are normalised, with statistics of the training split.",
        choices=("none", "l2", "zscore", "minmax"),
    )


@dataclasses.dataclass(frozen=True)
class OptimizerSettings(MethodSettings):
    """MethodSettings of a method whose optimizer can be chosen; a method overrides the defaults by its paper's."""

    optimizer: str = setting("adam", "The optimizer: adam, or sgd with --momentum.", choices=("adam", "sgd"))
    learning_rate: float = changed(1e-3, help_text="The optimizer's base learning rate.")
    half_life: int = setting(
        0, "Steps t_h of the decay: the learning rate is divided by 1 + t / t_h at step t; 0: it is constant.",
        minimum=0,
    )
    momentum: float = setting(0.9, "Momentum of sgd, in [0, .999].", minimum=0.0, maximum=0.999)
    weight_decay: float = setting(
        0.0, "Times the weight matrices, is added to their gradient: the derivative of half their squared norm.",
        minimum=0.0,
    )


@dataclasses.dataclass(frozen=True)
class Step:
    """What the losses of one training step may depend on beside the batch: functions of (seed, step) alone.

    Attributes:
      seed: int32 (2,), the step's random state, of which tfxmr.engine.randomness.fold_in derives those of its draws.
      progress: float32 scalar tensor in [0, 1), the share of the stage's steps that came before.
      stage: name of the stage.
      training: True; False where keras.Model.evaluate asks for the losses of networks in use. Networks whose training
        differs from their use (BatchNorm) take it as it is.
    """

    seed: tf.Tensor
    progress: tf.Tensor | float = 0.0
    stage: str = "training"
    training: bool = True

    def masks(self, number: int | tf.Tensor) -> tf.Tensor | None:
        """The random state int32 (2,) of dropout masks, of which a step may have several by their number.

        Args:
          number: int or integer tensor.

        Returns:
          None, which switches dropout off, unless in training.
        """
        return randomness.fold_in(self.seed, number) if self.training else None


@dataclasses.dataclass(frozen=True)
class Stage:
    """A part of a training with steps of its own, such as the pre-training of some networks.

    Attributes:
      name: as Step.stage tells it to the losses.
      steps: its length.
      players: names of the players that have a turn in it; None: all.
      batch_size: items in a batch, of fewer items all; 0: --batch_size.
      sampler: how its batches are drawn, one of tfxmr.engine.sampling.SAMPLERS.
      rate: factor on the learning rates.
    """

    name: str
    steps: int
    players: tuple[str, ...] | None = None
    batch_size: int = 0
    sampler: str = "items"
    rate: float = 1.0


class Decisions(tf.train.experimental.PythonState):
    """What stages decided when they began, stage name -> dict; a part of checkpoints."""

    def __init__(self) -> None:
        super().__init__()
        self.by_stage: dict[str, dict[str, Any]] = {}

    def serialize(self) -> str:
        """As a text."""
        return json.dumps(self.by_stage)

    def deserialize(self, text: str) -> None:
        """From a text of `serialize`."""
        self.by_stage = json.loads(text)


class Method(Trained, KerasMethod):
    """Base of the neural methods. A subclass fills three holes:

    * `make_networks(data)` builds its networks by name, in full (no weights appear later);
    * `compute_losses(batch, step)`, the losses whose sum all networks minimise;
    * `embed(modality, features)`, the representation that retrieval compares.

    Where networks have different aims, two more instead of `compute_losses`: `players`, name -> names of the networks
    that this player's update changes, and `updates(batch, step)`, the updates of one step in the paper's order. A
    training of several parts names them in `make_stages`, and decides in `begin` what a part works with. What is fitted
    on top of trained networks is fitted by `finish`. Representations that are not two vectors to be compared by a
    protocol's similarity are compared by a method `similarity`, see tfxmr.evaluation.retriever.Retriever.

    A network may be any Keras layer whose weights are there when it is made and whose random numbers depend on nothing
    but its inputs: see `network`, and tfxmr.engine.randomness for dropout and the like.

    The base owns `train_step`, the optimizers, the random state and the checkpointed state.

    Args:
      data: the training data, MultiModalData restricted to the classes that may be seen, with labels
        0..C-1 and, where known, their class embeddings (C, e).
      settings: an instance of the class's `Settings`; None takes the paper's defaults.
      seed: of the initial weights, the batches and dropout.

    Raises:
      InputError: the data lacks a modality or the class embeddings that the method needs.

    Attributes:
      inputs: names of the views that the method reads; () reads each modality's vector. A batch has their arrays by
        their names; `embed` gets the array of a modality, or of a method that names its inputs view -> array. Where the
        settings decide which views these are, the class method `reads(settings)` gives them.
      takes_source, needs_source: whether the method learns from a second domain (data.source, batch["source"]).
      source_modalities: names of the modalities that it reads of that domain; () all that both domains have.
      sampler: how batches are drawn in a training of one stage, see Stage.
      torch_epsilon: whether Adam adds its epsilon as PyTorch does, see Adam's epsilon_corrected.
      takes_items: whether its batches tell which rows are of one item: batch["item"], see tfxmr.engine.sampling.
      stages: the training's Stages, in order; length: their steps in all.
      stage: the Stage that the next step belongs to; decision: what it decided when it began, see `begin`.
    """

    Settings: type[MethodSettings] = MethodSettings
    settings: MethodSettings
    networks: Networks
    player_optimizers: dict[str, keras.optimizers.Optimizer]
    stages: tuple[Stage, ...]
    stage: Stage
    decision: dict[str, Any]
    in_memory = False  # True: all rows of the features must be in memory at once
    strategies = True  # whether it trains on several devices
    paper = ""  # authors, venue, year
    citation = ""  # BibTeX of it, for `tfxmr cite`
    provenance = ""  # where its details come from
    # Loss -> what its paper calls it, in words and with its symbol, for figures; TensorBoard has them as a text.
    loss_names: Mapping[str, str] = {}
    takes_source = needs_source = takes_items = False
    source_modalities: tuple[str, ...] = ()
    sampler = "items"
    torch_epsilon = False
    needs_class_embeddings = False
    zero_shot = False
    least_classes = 1

    def __init__(self, data: MultiModalData | Shapes, settings: MethodSettings | None = None, seed: int = 0) -> None:
        super().__init__(name=type(self).__name__.lower())
        self.settings = settings or self.Settings()
        self.seed = seed
        if not isinstance(data, Shapes):  # of a model that is loaded, and was checked when it was made
            self.check(data)
        self.shapes = Shapes.of(data)
        self.dims = dict(data.dims)
        with randomness.seeded_layers(seed):
            self.networks = self.make_networks(self.shapes)
        for name, network in self.networks.items():
            check_network(self.name, name, network)
        self.player_optimizers = {}  # until it is compiled
        self.by_rows = distribution.shard(self.networks)
        self.stages = tuple(self.make_stages(len(data.splits["train"])))
        self.length = sum(stage.steps for stage in self.stages)
        self.decisions = Decisions()
        self.enter(0)
        self.built = True

    @classmethod
    def of(cls, data: MultiModalData, settings: MethodSettings, seed: int) -> Self:
        """Makes the method for training data.

        Args:
          data: the training data.
          settings: of the class's `Settings`.
          seed: of the run.

        Returns:
          The method, not compiled yet.

        Raises:
          InputError: it cannot train on them.
        """
        return cls(data, settings, seed)

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if the method cannot train on `data`."""
        self.check_modalities(data, self.name)
        train = data.splits["train"]
        train.require_classes(data.class_names)
        if data.multi_label and not train.paired:
            raise InputError(
                f"{self.name}: items of several classes are trained on in pairs, and those of dataset {data.name} "
                f"share no rows but within {' | '.join('+'.join(g) for g in train.groups)}; choose --modalities, or "
                "--model=sm"
            )
        if data.num_classes < self.least_classes:
            raise InputError(f"{self.name} needs two or more training classes")
        if self.needs_class_embeddings and data.class_embeddings is None:
            raise InputError(
                f"{self.name} needs word vectors of the class names, and dataset {data.name} has none: give "
                "--word_vectors=FILE (word2vec format; Google News, say)"
                + ("" if data.class_names else " and a classes.txt with one class name a line") + "."
            )
        size, batch = len(data.splits["train"]), self.settings.batch_size
        if size < 2:
            raise InputError(f"{self.name} needs two or more training items; dataset {data.name} has {size}")
        if batch > size:
            raise InputError(f"--batch_size={batch}: the training set has {counted(size, 'item')}; take at most that "
                             "many.")
        if self.settings.jit_compile and tf.distribute.get_strategy().num_replicas_in_sync > 1:
            raise InputError("--jit_compile: XLA cannot compile a step of several devices; omit it or --strategy")

    def make_networks(self, data: Shapes) -> Networks:
        """Builds the networks: name -> layer, with all weights created.

        Args:
          data: tfxmr.engine.keras_model.Shapes of the training data, so that a saved model can be made without them.

        Returns:
          name -> layer.
        """
        raise NotImplementedError

    def tower(self, name: str, inputs: int | Sequence[int], units: Sequence[int], **arguments: Any) -> Tower:
        """Builds a Tower with random weights by seed and name; Glorot uniform unless `stddev` or `init` is given.

        Args:
          name: of the network.
          inputs: width of its input, or of its parts.
          units: widths of its layers.
          **arguments: of Tower.

        Returns:
          The Tower.
        """
        arguments = {"stddev": None, "dtype": self.policy} | arguments
        return Tower(inputs, units, **arguments, seed=self.own_seed(name), name=name)

    def towers(self, shapes: dict[str, tuple], **arguments: Any) -> Networks:
        """Builds a `tower` of each name in `shapes`, name -> (inputs, units), or (inputs, units, its own arguments)."""
        return {
            name: self.tower(name, inputs, units, **arguments, **dict(*own))
            for name, (inputs, units, *own) in shapes.items()
        }

    def own_seed(self, name: str) -> int:
        """The seed of the initial weights of the network `name`."""
        return randomness.derive(self.seed, *name.encode())

    @property
    def policy(self) -> str:
        """The name of Keras' dtype policy that the setting `precision` asks for."""
        precision = self.settings.precision
        return precision if precision == "float32" else f"mixed_{precision}"

    def network(self, name: str, make: Callable[[], keras.layers.Layer], *shapes: Sequence[int]) -> keras.layers.Layer:
        """Builds a network of Keras layers, whose initial weights depend on the method's seed and this name alone.

        Args:
          name: of the network.
          make: function without arguments that makes the layer.
          *shapes: of its inputs for one item, such as (300,): it is called with zeros of them to make its weights.

        Returns:
          The layer, with all weights.
        """
        with randomness.seeded_layers(self.seed, name):
            layer = make()
            layer(*(tf.zeros((2, *shape)) for shape in shapes))
        return layer

    def make_stages(self, num_items: int) -> tuple[Stage, ...]:
        """The training's Stages for a training set of `num_items`; by default one of `total_steps`, see `sampler`."""
        return (Stage("training", self.total_steps(num_items), sampler=self.sampler),)

    def begin(self, data: MultiModalData) -> dict[str, Any]:
        """Decides what `stage` works with, given the networks as they are when it begins; it may set weights, too.

        It is called once a stage; what it returns is kept in the checkpoints, and a resumed run does not decide anew.

        Args:
          data: the training data.

        Returns:
          A dict that JSON can hold. "classes": labels of the items that the stage trains on, "source_classes" the same
          of the second domain; without them all. All else is the method's own, found as `decision` from then on.
        """
        return {}

    def enter(self, number: int, data: MultiModalData | None = None) -> None:
        """Goes to the stage of a number, which has its own function of a step.

        Args:
          number: from 0.
          data: the training data, for a stage that has not decided yet; None: it is not to be trained now.
        """
        self.stage = self.stages[number]
        self.stage_start = sum(stage.steps for stage in self.stages[:number])
        if data is not None and self.stage.name not in self.decisions.by_stage:
            self.decisions.by_stage[self.stage.name] = json.loads(json.dumps(self.begin(data)))
        self.decision = self.decisions.by_stage.get(self.stage.name, {})
        if self.player_optimizers:
            self.make_step_function()

    @property
    def stage_number(self) -> int:
        """The number of the stage that the next step belongs to; after the last step that of the last stage."""
        ends = np.cumsum([stage.steps for stage in self.stages])
        return min(int(np.searchsorted(ends, self.steps_done, side="right")), len(self.stages) - 1)

    @property
    def players(self) -> Players:
        """Player name -> names of the networks whose weights its update changes; by default one player has all."""
        return {"joint": tuple(self.networks)}

    @property
    def rates(self) -> dict[str, float]:
        """Player -> factor on its learning rate, for those that have one."""
        return {}

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The weighted losses of a batch, name -> scalar; arguments as of `updates`."""
        raise NotImplementedError

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the updates of one step in order, each as `minimise` returns it; by default one of `compute_losses`.

        The base applies an update before it asks for the next, so a later loss sees the new weights.

        Args:
          batch: modality -> (B, d), and "label" -> int32 (B,); if `multi_label`, perhaps float32 (B, C).
          step: Step.
        """
        with tf.GradientTape() as tape:
            loss = self.compute_losses(batch, step)
        yield self.minimise("joint", loss, tape)

    def watchers(self) -> list:
        """Keras callbacks of the method's own for the present stage, that look at its steps and change nothing."""
        return []

    def finish(self, data: MultiModalData) -> None:
        """Fits what is fitted to the trained networks, such as a linear map on top of them; by default nothing.

        It is called with the training data before anything is represented by weights that have changed.
        """

    def retriever(self, data: MultiModalData | None) -> Retriever:
        """What the present weights are to all that uses them: a Retriever.

        Args:
          data: the training data, by which the method is finished; None: it is.

        Returns:
          Retriever.
        """
        if data is not None:
            self.finish(data)
        return Retriever(
            self.encode, self.similarity, self.context, self.whole_gallery, self.points, self.carried, self.captions,
            self.drawings,
        )

    def embed(self, modality: str, features: Features) -> Features:
        """Maps the features of a modality to the representations (B, k) that retrieval compares.

        Args:
          modality: name.
          features: (B, d); of a method that names its inputs view -> (B, ...).

        Returns:
          (B, k); or name -> (B, ...), which the method's `similarity` compares.
        """
        raise NotImplementedError

    def variables_of(self, player: str) -> list[keras.Variable]:
        """The trainable variables that a player's update changes."""
        return [v for name in self.players[player] for v in self.networks[name].trainable_variables]

    def computed_whole(self, player: str) -> list[bool]:
        """For each of `variables_of` a player, True if every replica knows the whole batch's gradient."""
        return [id(variable) not in self.by_rows for variable in self.variables_of(player)]

    def minimise(self, player: str, losses: Losses, tape: tf.GradientTape) -> Update:
        """Makes a player's update from its losses.

        Args:
          player: name of the player.
          losses: name -> scalar; their sum is minimised.
          tape: GradientTape that recorded the losses.

        Returns:
          (player, losses, gradients of the player's variables). An update may have a fourth part, name -> scalar, which
          is shown beside the losses, in TensorBoard and Keras' logs as shown/NAME, and neither minimised nor checked.
        """
        return player, losses, self.gradient(player, losses, tape, self.variables_of(player))

    def gradient(self, player: str, losses: Losses, tape: tf.GradientTape, sources: Any) -> Any:
        """Gradient of the sum of a player's losses, times its loss scale, which is 1 unless networks are in float16.

        Args:
          player, losses, tape: as in `minimise`.
          sources: tensors or variables.

        Returns:
          As `sources`.
        """
        scale = self.loss_scale(player)
        return tape.gradient(list(losses.values()), sources, output_gradients=[scale] * len(losses))

    def loss_scale(self, player: str) -> tf.Tensor:
        """The factor, scalar tensor, on a player's gradients that its optimizer divides out again."""
        return tf.convert_to_tensor(self.player_optimizers[player].scale_loss(1.0), tf.float32)

    def compile(self, learning_rate: Rate | None = None, steps_per_epoch: int | None = None, **kwargs: Any) -> None:
        """Creates one optimizer for each player and builds all its slots, so that a checkpoint finds its place.

        Args:
          learning_rate: float or Keras schedule over the player's updates (optimizers.BySteps: over steps); None
            takes the settings'.
          steps_per_epoch: for a method whose learning rate changes by epochs; None: as the training data have.
          **kwargs: `run_eagerly` and the like, for keras.Model.compile.
        """
        kwargs.setdefault("jit_compile", self.settings.jit_compile)
        super().compile(learning_rate, steps_per_epoch, **kwargs)
        self.player_optimizers = {}
        for player in self.players:
            rate = learning_rate
            if rate is None:
                rate = self.own_rate(steps_per_epoch or self.steps_per_epoch(self.shapes.items))
            rate = self.scaled(rate, self.rates.get(player, 1.0))
            with self.distribute_strategy.scope():
                optimizer = self.make_optimizer(player, rate)
                distribution.take_sums(optimizer)
                if self.settings.precision == "float16":
                    optimizer = keras.optimizers.LossScaleOptimizer(optimizer, name=f"scaled_{optimizer.name}")
                optimizer.build(self.variables_of(player))
            self.player_optimizers[player] = optimizer
        self.make_step_function()

    def own_rate(self, steps_per_epoch: int) -> Rate:
        """The learning rate where `compile` is given none, a float or Keras schedule: the settings'."""
        return self.settings.learning_rate

    def decaying(self, factor: float, epochs: int, steps_per_epoch: int, ahead: int = 0) -> Rate:
        """The settings' learning rate, times a factor after every so many epochs.

        Args:
          factor: in (0, 1].
          epochs: between two decays.
          steps_per_epoch: their length.
          ahead: steps by which each decay comes earlier.

        Returns:
          A schedule over the training's steps, of which each may hold several updates.
        """
        decayed = keras.optimizers.schedules.ExponentialDecay(
            self.settings.learning_rate, epochs * steps_per_epoch, factor, staircase=True
        )
        return BySteps(lambda step: decayed(step + ahead), self.step)

    def scaled(self, rate: Rate, factor: float) -> Rate:
        """A learning rate, float or Keras schedule, times a factor and that of the present stage."""
        factors = [factor * stage.rate for stage in self.stages]
        if isinstance(rate, float) and len(set(factors)) == 1:
            return rate * factors[0]
        if set(factors) == {1.0}:
            return rate
        ends = np.cumsum([stage.steps for stage in self.stages]).tolist()
        return ByStages(rate, self.step, ends[:-1], factors)

    def make_optimizer(self, player: str, learning_rate: Rate) -> keras.optimizers.Optimizer:
        """Makes a player's optimizer, without slots yet: Adam, or what OptimizerSettings say. A method may override it.

        Args:
          player: name of the player.
          learning_rate: float or Keras schedule.

        Returns:
          The optimizer.
        """
        s, l2 = self.settings, 0.0
        if isinstance(s, OptimizerSettings):
            l2 = s.weight_decay
            if s.half_life and isinstance(learning_rate, float):
                learning_rate = keras.optimizers.schedules.InverseTimeDecay(learning_rate, s.half_life, 1.0)
            if s.optimizer == "sgd":
                return SGD(learning_rate, momentum=s.momentum, l2=l2, name=f"sgd_{player}")
            if s.optimizer == "rmsprop":  # of methods that offer it
                return RMSprop(learning_rate, l2=l2, name=f"rmsprop_{player}")
        return Adam(
            learning_rate, beta_1=s.beta_1, epsilon=1e-8, l2=l2, epsilon_corrected=self.torch_epsilon,
            name=f"adam_{player}",
        )

    def present_step(self) -> Step:
        """The Step that comes next."""
        seed = randomness.step_seed(self.seed, self.step)
        done = self.step - self.stage_start if self.stage_start else self.step
        return Step(seed, tf.cast(done, tf.float32) / max(1, self.stage.steps), self.stage.name)

    def train_step(self, batch: Batch) -> Losses:
        """One step: every player's update in turn. Returns each player's losses and gradient norm."""
        logs: Losses = {}
        for player, losses, gradients, *shown in self.updates(batch, self.present_step()):
            if self.stage.players is not None and player not in self.stage.players:
                raise ValueError(f"{self.name}: player {player} has no turn in stage {self.stage.name}")
            logs |= {f"{player}/{name}": value for name, value in losses.items()}
            logs |= {f"{SHOWN}/{name}": value for values in shown for name, value in values.items()}
            gradients = distribution.summed(gradients, self.computed_whole(player))
            logs[f"{player}/gradient_norm"] = tf.linalg.global_norm(gradients) / self.loss_scale(player)
            self.player_optimizers[player].apply(gradients, self.variables_of(player))
        with tf.control_dependencies(list(logs.values())):  # the batch was drawn: `dataset` begins at the present step
            self.step.assign_add(1)
        return logs

    def failed(self, logs: Losses) -> tf.Tensor:
        """True, a scalar tensor, if a step's losses or gradient norms are not finite; the same for all replicas.

        A loss scale that is still above 1 makes float16's gradients infinite now and then: the update is skipped, and
        the scale halved. That is no failure; below 1 there is nothing left to skip.
        """
        fine = []
        for name, value in logs.items():
            player, _, part = name.partition("/")
            if player == SHOWN:
                continue
            fine.append(tf.math.is_finite(value))
            if part == "gradient_norm" and self.settings.precision == "float16":
                fine[-1] = tf.logical_or(fine[-1], self.loss_scale(player) >= 1.0)
        bad = tf.cast(tf.logical_not(tf.reduce_all(tf.stack(fine))), tf.float32)
        return distribution.summed([bad])[0] > 0  # a replica that stopped alone would leave the others waiting

    def failure(self, logs: dict[str, float]) -> str:
        """What `failed` in a step's logs: player, loss or gradient, step, and what usually helps."""
        bad = (name for name, value in logs.items() if not math.isfinite(value))
        name = next(name for name in bad if not name.startswith(f"{SHOWN}/"))
        (player, part), value = name.split("/", 1), logs[name]
        what = "gradient" if part == "gradient_norm" else f"loss {part!r}"
        return (
            f"{self.name}: the {what} of player {player} is {'nan' if math.isnan(value) else 'inf'} at step "
            f"{self.steps_done}{self.settings.advice()}"
        )

    def require_finite(self) -> None:
        """Raises NotFinite, naming a network, if weights or optimizer slots are nan or inf: nobody can train on."""
        if self.finite():
            return
        broken = [name for name, variables in self.network_state().items() if not _all_finite(variables)]
        what = f"weights of network {broken[0]}" if broken else "slots of an optimizer"
        raise NotFinite(f"{self.name}: {what} are not finite after step {self.steps_done}{self.settings.advice()}")

    @tf.function
    def finite(self) -> tf.Tensor:
        """True, a scalar tensor, if all weights and optimizer slots are finite."""
        return _all_finite(self.state_variables())

    def network_state(self) -> dict[str, list[tf.Variable]]:
        """The weights, network name -> tf.Variables, for tf.train.Checkpoint.

        As plain variables: a checkpoint of Keras layers silently omits those that they hold in lists.
        """
        return {name: [v.value for v in network.variables] for name, network in self.networks.items()}

    def state_variables(self) -> list[tf.Variable]:
        """All tf.Variables of `state`, in a list."""
        slots = [v.value for optimizer in self.player_optimizers.values() for v in optimizer.variables]
        return [self.step, *(v for variables in self.network_state().values() for v in variables), *slots]

    def state(self) -> tf.train.Checkpoint:
        """All that a resumed run needs beside its settings and data, as one tf.train.Checkpoint."""
        slots = {player: [v.value for v in opt.variables] for player, opt in self.player_optimizers.items()}
        decided = {"decisions": self.decisions} if len(self.stages) > 1 or type(self).begin is not Method.begin else {}
        return tf.train.Checkpoint(step=self.step, networks=self.network_state(), optimizers=slots, **decided)

    def steps_per_epoch(self, num_items: int) -> int:
        """floor(items / batch size), at least 1."""
        return max(1, num_items // self.settings.batch_size)

    def total_steps(self, num_items: int) -> int:
        """Length of the training in steps for a training set of `num_items`: --steps, or else --epochs."""
        return self.settings.steps or self.settings.epochs * self.steps_per_epoch(num_items)

    @tf.function(reduce_retracing=True)
    def _embed(self, modality: str, features: Features) -> Features:
        return self.embed(modality, features)

    def encode(
        self, modality: str, features: Array | dict[str, Array], block_size: int = 1024,
    ) -> NDArray | dict[str, NDArray]:
        """Maps features to the representations that retrieval compares.

        Args:
          modality: "image", "text", ...
          features: float array or MappedMatrix (n, d), d as in training; or of a method that names its inputs view ->
            array of the modality.
          block_size: items encoded at once; bounds the memory.

        Returns:
          float32 NumPy array (n, k); or name -> array (n, ...), where `embed` gives several.

        Raises:
          InputError: unknown modality, or features of another width than the model was built for.
          NotFinite: representations that are not.
        """
        wanted = {view: size for view, size in self.dims.items() if modality_of(view) == modality}
        if not wanted:
            names = dict.fromkeys(map(modality_of, self.dims))
            raise InputError(f"unknown modality {modality!r}; {self.name} has {', '.join(names)}")
        given = features if isinstance(features, dict) else {modality: features}
        if set(given) != set(wanted):
            raise InputError(f"{self.name} reads {', '.join(wanted)} of {modality} items, not {', '.join(given)}")
        views = {view: self.checked(view, x) for view, x in given.items()}
        items = len(next(iter(views.values())))
        parts = []
        with Progress(f"encode {modality}", "item", items) as told:
            for i in range(0, items, block_size) or [0]:
                told.update(i)
                block = {view: tf.constant(x[i : i + block_size]) for view, x in views.items()}
                parts.append(self._embed(modality, block if self.reads(self.settings) else block[modality]))
        made = tf.nest.map_structure(lambda *blocks: np.concatenate([block.numpy() for block in blocks]), *parts)
        fine = [np.isfinite(x).all(axis=tuple(range(1, x.ndim))) for x in tf.nest.flatten(made)]
        bad = items - int(np.all(fine, axis=0).sum())
        if bad:
            raise NotFinite(
                f"{self.name}: the representations of {bad:,} of {counted(items, f'{modality} item')} are not finite "
                f"after step {self.steps_done}{self.settings.advice()}"
            )
        return made

    def checked(self, view: str, features: Array) -> Array:
        """Features of a view as an array of its type; raises InputError unless shaped as those in training."""
        size = self.dims[view]
        shape = size if isinstance(size, tuple) else (size,)
        if not isinstance(features, MappedMatrix):
            features = np.asarray(features, np.int32 if len(shape) == 1 and isinstance(size, tuple) else np.float32)
        if tuple(features.shape[1:]) != shape:
            raise InputError(
                f"{view} features have the shape {tuple(features.shape)}; this {self.name} was built for the "
                f"width {' x '.join(map(str, shape))}, that is (n, {', '.join(map(str, shape))})"
            )
        return features


def check_network(method: str, name: str, network: Any) -> None:
    """Raises ValueError, with the reason and the remedy, if a network is none that a run can seed, save and resume.

    Args:
      method, name: of the method and the network, for the message.
      network: what `make_networks` gave.
    """
    what = f"{method}: network {name!r}"
    if not isinstance(network, keras.layers.Layer):
        raise ValueError(f"{what} is a {type(network).__name__}; make_networks gives Keras layers by name")
    if not network.built:
        raise ValueError(f"{what} has no weights yet; make it by self.network({name!r}, make, *shapes), which does it")
    for layer in network._flatten_layers():
        drawn = [getattr(layer, n, 0) for n in ("rate", "dropout", "recurrent_dropout", "stddev")]
        generators = [v for v in vars(layer).values() if isinstance(v, keras.random.SeedGenerator)]
        if generators and any(isinstance(n, float) and n > 0 for n in drawn):
            raise ValueError(
                f"{what}: its layer {layer.name!r} ({type(layer).__name__}) keeps the state of its random numbers to "
                "itself, which no checkpoint holds; take tf.nn.experimental.stateless_dropout, or tfxmr's own layers, "
                "with seeds derived from step.seed"
            )


def _all_finite(variables: Sequence[Any]) -> tf.Tensor:
    """True, a scalar tensor, if all float tensors or tf.Variables in a list are finite."""
    return tf.reduce_all([tf.reduce_all(tf.math.is_finite(v)) for v in variables if v.dtype.is_floating])
