"""Methods for a user's own search by Keras Tuner; `tfxmr tune` is a search of whole runs, which survives a kill."""
import dataclasses
from collections.abc import Sequence
from typing import Any

import keras
import keras_tuner

from tfxmr.core.errors import InputError
from tfxmr.core.settings import check
from tfxmr.data import MultiModalData
from tfxmr.evaluation import protocol as protocols
from tfxmr.evaluation.protocol import Protocol
from tfxmr.models.base import Method, MethodSettings
from tfxmr.runs.callbacks import ValidationMAP
from tfxmr.runs.job import fit_batch, needed, prepare
from tfxmr.runs.options import RunOptions
from tfxmr.tuning import grid as grids
from tfxmr.tuning.grid import Grid

OBJECTIVE = keras_tuner.Objective("val_mAP", "max")


class MethodHyperModel(keras_tuner.HyperModel):
    """A neural method whose settings are searched: those of its declared grid, as in `tfxmr tune`, or of another one.

        tuner = keras_tuner.RandomSearch(
            MethodHyperModel(MS2GAN, data), OBJECTIVE, max_trials=10, directory="runs/search"
        )
        tuner.search(callbacks=[keras.callbacks.EarlyStopping("val_mAP", mode="max", patience=5)])
        model = tuner.get_best_models()[0]

    Features are normalised as a trial's settings say. The search sees no test item: without a validation split in the
    data, a tenth of the training items is held out, the same for every trial.

    Args:
      method_class: of tfxmr.models.
      data: MultiModalData, the whole data as tfxmr.extraction.load gives them.
      settings: an instance of its Settings, for what is not searched; None takes the paper's defaults.
      grid: name of a setting -> tuple of its values; None takes what the method declares.
      protocol: tfxmr.evaluation.protocol.Protocol, which says what classes train and how representations are
        compared; None trains on all classes.
      seed: of the initial weights, the batches and the items held out.

    Raises:
      InputError: a method without steps, or a grid that is empty, names no setting of it, or has a value out of range.
    """

    def __init__(
        self, method_class: type[Method], data: MultiModalData, settings: MethodSettings | None = None,
        grid: Grid | None = None, protocol: Protocol | None = None, seed: int = 0,
    ) -> None:
        name = method_class.__module__.rpartition(".")[2]
        super().__init__(name=name)
        if not issubclass(method_class, Method):
            raise InputError(f"{name} is closed-form, and Keras cannot fit it; search by `tfxmr tune --model={name}`")
        self.method_class, self.seed = method_class, seed
        self.settings = settings or method_class.Settings()
        self.grid = grids.declared(method_class.Settings) if grid is None else grid
        if not self.grid:
            raise InputError(f"{name} declares no grid; give one, such as grid={{'learning_rate': (1e-4, 1e-3)}}")
        fields = {f.name: f for f in dataclasses.fields(self.settings)}
        for setting, values in self.grid.items():
            if setting not in fields:
                raise InputError(f"grid: no setting {setting!r}; {name} has {', '.join(fields)}")
            for value in values:
                check(fields[setting], value)
        self.data = needed(method_class, data, self.settings)
        self.protocol = protocol or protocols.make("standard", data)
        self._prepared: dict[str, MultiModalData] = {}

    def training_data(self, settings: MethodSettings) -> MultiModalData:
        """The training and validation items for a trial's settings, normalised."""
        kind = settings.feature_norm
        if kind not in self._prepared:
            options = RunOptions(seed=self.seed, test=False)
            self._prepared[kind] = prepare(self.data, self.protocol, settings, options)[1]
        return self._prepared[kind]

    def build(self, hp: keras_tuner.HyperParameters) -> Method:
        """The compiled method of a trial's values."""
        settings = dataclasses.replace(self.settings, **{name: self._choose(hp, name) for name in self.grid})
        data = self.training_data(settings)
        settings, _ = fit_batch(settings, data)
        model = self.method_class.of(data, settings, self.seed)
        model.compile()
        return model

    def _choose(self, hp: keras_tuner.HyperParameters, name: str) -> Any:
        """A trial's value of a setting; values that are lists stand as text in its records."""
        values, present = self.grid[name], getattr(self.settings, name)
        default = present if present in values else values[0]
        if not isinstance(present, tuple):
            return hp.Choice(name, list(values), default=default)
        by_text = {grids.value_text(value): value for value in values}
        return by_text[hp.Choice(name, list(by_text), default=grids.value_text(default))]

    def fit(
        self, hp: keras_tuner.HyperParameters, model: Method, x: Any = None, *args: Any,
        callbacks: Sequence[keras.callbacks.Callback] = (), **kwargs: Any,
    ) -> keras.callbacks.History:
        """Fits on the training items, and measures val_mAP after each epoch, before other callbacks look at it.

        Args:
          hp: the trial's values, as `build` took them.
          model: as `build` made it.
          x, *args, callbacks, **kwargs: of keras.Model.fit. By default the batches of the training items and, as
            `validation_data`, of the validation items, and as many epochs as the settings' training has.

        Returns:
          The History of keras.Model.fit.
        """
        data = self.training_data(model.settings)
        if x is None:
            x = model.dataset(data)
        if not args:
            items = len(data.splits["train"])
            kwargs.setdefault("epochs", -(-model.total_steps(items) // model.steps_per_epoch(items)))
        kwargs.setdefault("validation_data", model.dataset(data, "validation"))
        return model.fit(x, *args, callbacks=[ValidationMAP(data, self.protocol), *callbacks], **kwargs)
