"""What a user of Keras expects of a model: fit and evaluate with callbacks, summary, weights and .keras files.

The runs of `tfxmr train` do not come here; they have a loop of their own, see StepwiseModel.take_steps.
"""
import base64
import dataclasses
import math
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.data.views import modality_of, ordered
from tfxmr.engine import randomness, sampling
from tfxmr.engine.execution import StepwiseModel
from tfxmr.engine.logs import SHOWN


@dataclasses.dataclass(frozen=True)
class Shapes:
    """What a method's networks are made from: of the training data all but the items themselves.

    Attributes:
      name, dims, num_classes, class_embeddings, tables, vocabularies: as of MultiModalData.
      items: training items.
      source: Shapes of the second domain, or None.
    """

    name: str
    dims: dict
    num_classes: int
    items: int
    class_embeddings: np.ndarray | None = None
    tables: dict = dataclasses.field(default_factory=dict)
    vocabularies: dict = dataclasses.field(default_factory=dict)
    source: "Shapes | None" = None

    @classmethod
    def of(cls, data: Any) -> "Shapes":
        """The shapes of training data, MultiModalData; or Shapes as they are."""
        if isinstance(data, cls):
            return data
        same = {f.name: getattr(data, f.name) for f in dataclasses.fields(cls) if f.name not in ("items", "source")}
        source = None if data.source is None else cls.of(data.source)
        return cls(**same, items=len(data.splits["train"]), source=source)

    @property
    def splits(self) -> dict:
        """The training split, of which the length alone is known."""
        return {"train": range(self.items)}

    @property
    def views(self) -> list:
        """Names of the views in order."""
        return ordered(self.dims)

    @property
    def modalities(self) -> list:
        """Names of the modalities in order."""
        return list(dict.fromkeys(map(modality_of, self.views)))

    def get_config(self) -> dict:
        """All of it as JSON holds it."""
        config = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        config["class_embeddings"] = packed(self.class_embeddings)
        config["tables"] = {view: packed(table) for view, table in self.tables.items()}
        return config | {"source": self.source and self.source.get_config()}

    @classmethod
    def from_config(cls, config: dict) -> "Shapes":
        """The shapes that `get_config` gave, also after JSON has made lists of tuples."""
        dims = {view: tuple(size) if isinstance(size, list) else size for view, size in config["dims"].items()}
        tables = {view: unpacked(table) for view, table in config["tables"].items()}
        made = {"dims": dims, "tables": tables, "class_embeddings": unpacked(config["class_embeddings"])}
        return cls(**config | made | {"source": config["source"] and cls.from_config(config["source"])})


def packed(array: Any) -> dict[str, Any] | None:
    """A float array (or None) as JSON, bit for bit."""
    if array is None:
        return None
    array = np.ascontiguousarray(array, np.float32)
    return {"shape": list(array.shape), "float32": base64.b64encode(array.tobytes()).decode()}


def unpacked(packed: dict[str, Any] | None) -> NDArray | None:
    """What `packed` was given."""
    if packed is None:
        return None
    return np.frombuffer(base64.b64decode(packed["float32"]), np.float32).reshape(packed["shape"])


class Means:
    """Running means of named scalars, whose names are known when they first come.

    No Keras object, so that neither the model's weights nor its files hold them.
    """

    def __init__(self) -> None:
        self.by_name: dict[str, keras.metrics.Metric] = {}

    def update(self, values: dict[str, tf.Tensor]) -> None:
        """Takes scalar tensors by name into the means."""
        for name in values.keys() - self.by_name.keys():
            with tf.init_scope():  # also where a graph is being made
                self.by_name[name] = keras.metrics.Mean(name=name)
        for name, value in values.items():
            self.by_name[name].update_state(value)

    def results(self) -> dict[str, tf.Tensor]:
        """The means by name."""
        return {name: mean.result() for name, mean in self.by_name.items()}


class PlayersOptimizer:
    """The optimizers of all players as the one `model.optimizer` that Keras' callbacks and summary ask for.

    It is what they read of a keras.optimizers.MultiOptimizer, which cannot give one network to two optimizers.

    Args:
      by_player: function without arguments that gives them, player -> optimizer.
    """

    built = True

    def __init__(self, by_player: Callable[[], dict[str, keras.optimizers.Optimizer]]) -> None:
        self.by_player = by_player

    @property
    def optimizers(self) -> list:
        """All of them."""
        return list(self.by_player().values())

    @property
    def variables(self) -> list:
        """Those of all optimizers."""
        return [v for optimizer in self.optimizers for v in optimizer.variables]

    @property
    def iterations(self) -> tf.Variable:
        """Updates of the first player."""
        return self.optimizers[0].iterations


class KerasMethod(StepwiseModel):
    """The part of tfxmr.models.base.Method that Keras' own loops and files see.

        model = MS2GAN(data)  # the training data with a validation split, as tfxmr.runs.job.prepare gives them
        model.compile()
        model.fit(
            model.dataset(data), epochs=20, validation_data=model.dataset(data, "validation"),
            callbacks=[ValidationMAP(data), keras.callbacks.EarlyStopping("val_mAP", mode="max", patience=5)],
        )
        model.save("model.keras")

    On one device `fit` on `dataset` gives the weights of a run's steps, bit for bit. Every loss is logged as
    PLAYER/LOSS, an epoch's mean, and their sum as `loss`: where players have opposite aims it tells little, and val_mAP
    is what to watch (tfxmr.runs.callbacks.ValidationMAP, before all callbacks that look at it).

    Keras' BackupAndRestore, with its backups at the ends of epochs, resumes as if nothing had happened. What else a run
    guarantees is left to `tfxmr train` and tfxmr.runs.run: training on several devices or in stages, a
    selection on validation items by the protocol, and a resumption at any step. Of a method that fits something on top
    of its trained networks (DCCA), call `finish(data)` before you use them; ValidationMAP does.
    """

    train_function: Callable | None

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.means = Means()
        self.compile_arguments: dict[str, Any] = {}

    def __init_subclass__(cls, **kwargs: Any) -> None:
        """Registers a method, so that Keras finds the class of a saved model once its module is imported."""
        super().__init_subclass__(**kwargs)
        keras.saving.register_keras_serializable(cls.__module__)(cls)

    @property
    def metrics(self) -> list:
        """The means over an epoch of the losses that Keras' loops log."""
        return list(self.means.by_name.values())

    def compile(self, learning_rate: Any = None, steps_per_epoch: int | None = None, **kwargs: Any) -> None:
        """As Method.compile, which makes the optimizers; keeps the arguments for a model that is loaded."""
        own = ("optimizer", "loss", "loss_weights", "metrics", "weighted_metrics")
        given = [name for name in own if name in kwargs]
        if given:
            raise InputError(
                f"compile({given[0]}=...): {self.name} has losses and optimizers of its own; its settings change them, "
                "and `learning_rate` takes a number or a schedule of Keras"
            )
        self.compile_arguments = {"learning_rate": learning_rate, "steps_per_epoch": steps_per_epoch} | kwargs
        super().compile(optimizer=None, loss=None, **kwargs)
        self.optimizer = PlayersOptimizer(lambda: self.player_optimizers)

    def dataset(self, data: Any, split: str = "train", steps: int | None = None) -> tf.data.Dataset:
        """The batches of a split for `fit` and `evaluate`.

        Those of the training split continue from the step that the model has reached, as those of a run do.
        Those of another split are the same at each pass, and are drawn as those of the training are.

        Args:
          data: the training data, MultiModalData.
          split: name of the split.
          steps: batches of a pass; None: as many as an epoch has. For `fit(steps_per_epoch=...)` give the steps of all
            epochs together.

        Returns:
          tf.data.Dataset of dicts, view -> (B, ...) and "label" -> int32 (B,).

        Raises:
          InputError: there is no such split.
        """
        if split not in data.splits:
            raise InputError(f"{self.name}: dataset {data.name} has no split {split!r}, but {', '.join(data.splits)}")
        data = dataclasses.replace(data, splits={"train": data.splits[split]})
        items = len(data.splits["train"])
        if split != "train":
            steps = steps or math.ceil(items / self.settings.batch_size)
            return sampling.stage_batches(self, data, self.seed, 0, steps)
        steps = steps or self.steps_per_epoch(items)
        batches = sampling.stage_batches(
            self, data, self.seed, lambda: self.steps_done, lambda: self.steps_done + steps
        )
        return batches.apply(tf.data.experimental.assert_cardinality(steps))

    def fit(self, x: Any = None, *args: Any, **kwargs: Any) -> keras.callbacks.History:
        """As keras.Model.fit, on what `dataset` gives: see the class.

        Raises:
          InputError: under a strategy, whose devices Keras would give each another part of the batch; or of a method
            that trains in stages.
        """
        self._require_no_strategy("fit")
        if len(self.stages) > 1:
            names = ", ".join(stage.name for stage in self.stages)
            raise InputError(f"fit: {self.name} trains in the stages {names}, one after another; take `tfxmr train`")
        if not args:
            kwargs.setdefault("shuffle", False)  # by default Keras warns that it does not shuffle a dataset
        return super().fit(x, *args, **kwargs)

    def evaluate(self, x: Any = None, *args: Any, **kwargs: Any) -> Any:
        """As keras.Model.evaluate: the losses on what `dataset` gives, without dropout, of the present weights."""
        self._require_no_strategy("evaluate")
        return super().evaluate(x, *args, **kwargs)

    def _require_no_strategy(self, what: str) -> None:
        with self.distribute_strategy.scope():
            if not tf.distribute.has_strategy():
                return
        raise InputError(
            f"{what}: {self.name} learns from whole batches, and Keras' loop gives every device a part of them; make "
            "the model outside of the strategy's scope, or train by `tfxmr train --strategy=mirrored`"
        )

    def make_train_function(self, force: bool = False) -> None:
        """Makes what `fit` calls for `steps_per_execution` steps: the step, in the loop, of a run.

        In a graph of another form TensorFlow fuses other operations, and the weights differ in their last digits.
        """
        if self.train_function is not None and not force:
            return
        one_step, count = self.make_one_step(), self.steps_per_execution

        def execute(batches: Any) -> Any:
            first = batches.get_next_as_optional()

            def body(i: tf.Tensor, batch: Any) -> Any:
                logs, _ = one_step(_only(batch.get_value()))
                self._log(dict(zip(self.log_names, tf.unstack(logs), strict=True)))
                left, empty = i + 1 < count, tf.experimental.Optional.empty(first.element_spec)
                return i + 1, tf.cond(left, batches.get_next_as_optional, lambda: empty)

            taken, _ = tf.while_loop(
                lambda i, batch: tf.logical_and(i < count, batch.has_value()), body, (0, first), parallel_iterations=1
            )
            return taken, self.means.results()

        execute = execute if self.run_eagerly else tf.function(execute, autograph=False)

        def train_function(batches: Any) -> Any:
            if not isinstance(batches, tf.data.Iterator):  # of train_on_batch
                batches = iter(tf.data.Dataset.from_tensors(_only(next(batches))))
            taken, logs = execute(batches)
            if not taken:
                raise StopIteration
            return logs

        self.train_function = train_function

    def test_step(self, batch: Any) -> dict[str, tf.Tensor]:
        """The means of the losses of a batch, which teaches nothing: no dropout, and other draws always the same."""
        step = dataclasses.replace(self.present_step(), seed=randomness.step_seed(self.seed, 0), training=False)
        logs: dict[str, tf.Tensor] = {}
        for player, losses, _, *shown in self.updates(_only(batch), step):
            logs |= {f"{player}/{name}": value for name, value in losses.items()}
            logs |= {f"{SHOWN}/{name}": value for values in shown for name, value in values.items()}
        self._log(logs)
        return self.means.results()

    def _log(self, logs: dict[str, tf.Tensor]) -> None:
        logs = {name: value for name, value in logs.items() if not name.endswith("/gradient_norm")}
        losses = [value for name, value in logs.items() if not name.startswith(f"{SHOWN}/")]
        self.means.update({"loss": tf.add_n(losses)} | logs)

    def call(self, batch: Any) -> dict[str, Any]:
        """The representations of a batch's items, modality -> as `embed` gives them; other entries are left alone."""
        held: dict[str, dict[str, tf.Tensor]] = {}
        for view in ordered(batch.keys() & self.dims.keys()):
            held.setdefault(modality_of(view), {})[view] = batch[view]
        return {m: self.embed(m, views if self.reads(self.settings) else views[m]) for m, views in held.items()}

    def get_config(self) -> dict:
        """What makes the same method anew, with initial weights: settings, seed, and what the data must be like."""
        settings = {f.name: getattr(self.settings, f.name) for f in dataclasses.fields(self.settings)}
        settings = {name: list(v) if isinstance(v, tuple) else v for name, v in settings.items()}
        return {"settings": settings, "seed": self.seed, "shapes": self.shapes.get_config()}

    @classmethod
    def from_config(cls, config: dict) -> "KerasMethod":
        """The method that `get_config` tells of."""
        settings = {name: tuple(v) if isinstance(v, list) else v for name, v in config["settings"].items()}
        method: Any = cls  # a subclass, tfxmr.models.base.Method, has the constructor
        return method(Shapes.from_config(config["shapes"]), cls.Settings(**settings), config["seed"])

    def get_compile_config(self) -> dict:
        """The arguments of `compile`."""
        return keras.saving.serialize_keras_object(self.compile_arguments)

    def compile_from_config(self, config: dict) -> None:
        """Compiles as `get_compile_config` tells."""
        self.compile(**keras.saving.deserialize_keras_object(config))

    def save_own_variables(self, store: Any) -> None:
        """Adds the step to what a file of weights holds: networks and optimizers are saved as what they are."""
        store["step"] = np.asarray(self.steps_done, np.int64)

    def load_own_variables(self, store: Any) -> None:
        """Takes the step from a file of weights."""
        self.step.assign(np.asarray(store["step"]).item())


def _only(batch: Any) -> Any:
    """A batch as `train_step` takes it, of what Keras hands over with labels and weights that are none."""
    return keras.utils.unpack_x_y_sample_weight(batch)[0]
