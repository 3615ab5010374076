"""The base of every closed-form method: learn from matrices, represent each modality; scikit-learn's manners."""
import dataclasses
import inspect
import math
from collections.abc import Sequence
from typing import Any, Self

import numpy as np
import sklearn.base
import sklearn.exceptions
import sklearn.utils
import sklearn.utils.multiclass
import sklearn.utils.validation
from numpy.typing import ArrayLike, NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting
from tfxmr.core.wording import counted
from tfxmr.data import normalisation
from tfxmr.data.labels import class_sets, without_class
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.evaluation.retriever import Retriever, Trained


@dataclasses.dataclass(frozen=True)
class BaselineSettings(Settings):
    """Settings that every closed-form method has."""

    feature_norm: str = setting(
        "zscore",
        "How features are normalised, with statistics of the training split.",
        choices=("none", "l2", "zscore", "minmax"),
    )


@dataclasses.dataclass(frozen=True)
class CommonSpaceSettings(BaselineSettings):
    """Settings of a method whose representations are as wide as is wanted."""

    components: int = setting(
        0, "Width of the common space, at most the narrower feature's width; 0: 10 for every ten classes begun of the "
        "training items, and 10 for data without classes.", minimum=0, grid=(0, 2, 3, 5, 20, 50),
    )

    def width(self, data: MultiModalData) -> int:
        """The width that is wanted for training data, before any feature's width limits it."""
        return self.resolved(data.num_classes, data.instances).components

    def resolved(self, num_classes: int, instances: bool = False, widths: Sequence[int] = ()) -> Self:
        """With the width that 0 stands for, and none beyond the narrower feature's.

        Args:
          num_classes, instances, widths: as of tfxmr.core.settings.Settings.resolved.
        """
        automatic = 10 if instances else 10 * math.ceil(num_classes / 10)
        return dataclasses.replace(self, components=min([self.components or automatic, *widths]))


class Baseline(Trained, sklearn.base.BaseEstimator):
    """Base of the closed-form methods. A subclass fills `learn`, which keeps arrays, and `represent`, which uses them.

    These two are what a run calls, with the data set's modalities by name and features that it has normalised. `fit`
    and `transform` do the same with plain arrays, which they normalise as `feature_norm` says, with the statistics of
    the arrays that were fitted. `get_params`, `set_params`, `sklearn.base.clone` and pickle work as scikit-learn's do;
    the parameters are the fields of `Settings`, where each is declared once.

    Args:
      settings: an instance of the class's `Settings`; None takes the defaults.
      **parameters: settings by name, which replace those of `settings`.
    """

    Settings: type[BaselineSettings] = BaselineSettings
    settings: BaselineSettings
    takes_source = needs_source = False  # whether it learns from a second domain
    in_memory = True  # a closed form needs all rows at once
    strategies = False
    paper = ""  # authors, venue, year
    citation = ""  # BibTeX of it, for `tfxmr cite`
    provenance = ""  # where its details come from
    supervised = False  # whether it learns from the classes, so that `fit` needs labels
    needs_class_embeddings = False
    zero_shot = True

    def __init__(self, settings: BaselineSettings | None = None, **parameters: Any) -> None:
        self.settings = dataclasses.replace(settings or self.Settings(), **parameters)

    def __init_subclass__(cls, **keywords: Any) -> None:
        """Gives `help` and editors the parameters by name, as the settings declare them."""
        super().__init_subclass__(**keywords)
        cls.__signature__ = inspect.Signature([
            inspect.Parameter(f.name, inspect.Parameter.KEYWORD_ONLY, default=f.default, annotation=f.type)
            for f in dataclasses.fields(cls.Settings)
        ])

    def get_params(self, deep: bool = True) -> dict[str, Any]:
        """The settings by name; `deep` changes nothing, since none is an estimator."""
        return {f.name: getattr(self.settings, f.name) for f in dataclasses.fields(self.settings)}

    def set_params(self, **parameters: Any) -> Self:
        """Changes settings by name. Returns self; raises InputError for one that is not there or out of its range."""
        unknown = [name for name in parameters if name not in self.get_params()]
        if unknown:
            raise InputError(
                f"{type(self).__name__} has no parameter {unknown[0]}; it has {', '.join(self.get_params())}"
            )
        self.settings = dataclasses.replace(self.settings, **parameters)
        return self

    def fit(self, *views: ArrayLike, labels: ArrayLike | None = None) -> Self:
        """Learns from plain arrays: `CCA().fit(X, Y)`, `SM().fit(X, Y, labels=y)`.

        Row i of every view is the same item. The arrays are held as float32, as data sets are. Where a setting or a
        message names a modality, they are "view1", "view2" and so on.

        Args:
          *views: a matrix (n, d) for each modality.
          labels: (n,) class of each item, numbers or words; or 0/1 (n, C) for items of several classes. Methods that
            learn from classes need them, and they decide the default width of a common space.

        Returns:
          self.

        Raises:
          ValueError: arrays that are no finite matrices of the same items, or too few or many of them.
        """
        names = [f"view{i}" for i in range(1, len(views) + 1)]
        data = self._data(names, views, labels)
        train, kind = data.splits["train"], self.settings.feature_norm
        self._fitted = {m: (data.dims[m], kind, normalisation.statistics(train.features[m], kind)) for m in names}
        return self.learn(normalisation.normalise_features(data, kind, train))

    def transform(self, *views: ArrayLike | None) -> NDArray | tuple[NDArray, ...]:
        """Maps items of the views that were fitted to their representations, each view by itself.

        Args:
          *views: a matrix (n_m, d) for each view in the order of `fit`; None leaves a view out, as do missing ones at
            the end.

        Returns:
          (n_m, k) for each view that was given: a tuple, or the array alone of a single view.
        """
        if not hasattr(self, "_fitted"):
            raise sklearn.exceptions.NotFittedError(
                f"this {type(self).__name__} is not fitted; call fit with plain arrays before transform"
            )
        if len(views) > len(self._fitted):
            raise InputError(f"transform was given {counted(len(views), 'view')}; fit was given {len(self._fitted)}")
        found = []
        for (m, (width, kind, statistics)), x in zip(self._fitted.items(), views, strict=False):
            if x is not None:
                self.check_width(m, rows := _matrix(m, x), width)
                rows = normalisation.apply(rows, kind, *statistics)
                found.append(self.represent(m, rows))
        return found[0] if len(found) == 1 else tuple(found)

    def fit_transform(self, *views: ArrayLike, labels: ArrayLike | None = None) -> NDArray | tuple[NDArray, ...]:
        """Learns from plain arrays and maps the same: arguments as of `fit`, what it returns as of `transform`."""
        return self.fit(*views, labels=labels).transform(*views)

    def __sklearn_tags__(self) -> sklearn.utils.Tags:
        tags = super().__sklearn_tags__()
        tags.transformer_tags = sklearn.utils.TransformerTags()
        two = self.most_modalities == 2  # what scikit-learn gives as y is the second view
        tags.target_tags = sklearn.utils.TargetTags(required=True, single_output=not two, multi_output=two)
        return tags

    def __sklearn_is_fitted__(self) -> bool:
        return bool(self.arrays())

    def _data(self, names: list[str], views: tuple[ArrayLike, ...], labels: ArrayLike | None) -> MultiModalData:
        """Plain arrays as training data. Raises ValueError as `fit` does."""
        name = type(self).__name__
        if not self.least_modalities <= len(views) <= self.most_modalities:
            wanted = "two views" if self.most_modalities == 2 else f"{self.least_modalities} or more views"
            raise InputError(f"{name} learns from {wanted}; fit was given {len(views)}: write {name}().fit(X, Y)")
        features = {m: _matrix(m, x, least=2) for m, x in zip(names, views, strict=True)}
        sklearn.utils.validation.check_consistent_length(*features.values(), labels)
        if labels is None:
            if self.supervised:
                raise InputError(f"{name} learns from classes; give fit(..., labels=y), y (n,) the class of each item")
            split = Split.of_pairs(features, np.arange(len(features["view1"])))
            return MultiModalData("given as arrays", {"train": split}, [], instances=True)
        if (sets := class_sets(np.asarray(labels))) is not None:
            return self._of_several(features, sets)
        labels = sklearn.utils.validation.column_or_1d(labels)
        sklearn.utils.multiclass.check_classification_targets(labels)
        classes, numbers = np.unique(labels, return_inverse=True)
        return MultiModalData("given as arrays", {"train": Split.of_pairs(features, numbers)}, list(map(str, classes)))

    def _of_several(self, features: dict[str, NDArray], sets: NDArray[np.bool_]) -> MultiModalData:
        """Plain arrays of items with classes (n, C) as data; those of one class each have its number."""
        if wrong := without_class(sets):
            raise InputError(f"labels {wrong}")
        labels = sets.argmax(axis=1) if (sets.sum(axis=1) == 1).all() else sets
        split = Split.of_pairs(features, labels)
        return MultiModalData("given as arrays", {"train": split}, list(map(str, range(sets.shape[1]))))

    @property
    def transductive(self) -> bool:
        """True if `learn` has an argument `unlabelled`, modality -> features of the items that are searched."""
        return False

    @classmethod
    def of(cls, data: MultiModalData, settings: BaselineSettings, seed: int) -> Self:
        """Makes the method for training data. Raises InputError if it cannot learn from them.

        Args:
          data: the training data.
          settings: of the class's `Settings`.
          seed: of the run; closed-form methods draw nothing by it.

        Returns:
          The method, not fitted yet.
        """
        method = cls(settings)
        method.check(data)
        return method

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if the method cannot learn from `data`."""
        self.check_modalities(data, type(self).__name__)

    def learn(self, data: MultiModalData) -> Self:
        """Learns from the split "train". Returns self."""
        raise NotImplementedError(f"{type(self).__name__} fills `learn(data)`, which older versions called `fit`")

    def represent(self, modality: str, features: NDArray) -> NDArray:
        """Maps features (n, d) of a modality, normalised as in training, to representations (n, k)."""
        raise NotImplementedError(
            f"{type(self).__name__} fills `represent(modality, features)`, which older versions called `transform`"
        )

    def keep(self, modality: str, **arrays: ArrayLike) -> None:
        """Keeps fitted arrays of a modality: `weights=` as `{modality}_weights_`."""
        for name, array in arrays.items():
            setattr(self, f"{modality}_{name}_", array)

    def fitted(self, modality: str, *names: str) -> list[Any]:
        """The arrays of a modality that `keep` was given under these names.

        Raises:
          InputError: the method was not fitted on this modality.
        """
        if not all(hasattr(self, f"{modality}_{name}_") for name in names):
            raise InputError(f"{type(self).__name__} was not fitted on the modality {modality}")
        return [getattr(self, f"{modality}_{name}_") for name in names]

    def check_width(self, modality: str, features: ArrayLike, expected: int) -> NDArray[np.float64]:
        """Returns features as float64 (n, expected), or raises InputError that names both widths."""
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != expected:
            raise InputError(
                f"{modality} features have the shape {features.shape}; this method was fitted on the width "
                f"{expected}, that is (n, {expected})"
            )
        return features

    def retriever(self, data: MultiModalData | None) -> Retriever:
        """What the fitted method is to all that uses it: a Retriever. `data` are the training data."""
        return Retriever(self.represent, self.similarity)

    def arrays(self) -> dict[str, Any]:
        """The fitted arrays by name; what is saved."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def set_arrays(self, arrays: dict[str, Any]) -> None:
        """Restores what `arrays` gave."""
        for name, value in arrays.items():
            setattr(self, name, value)


class LinearBaseline(Baseline):
    """Base of methods whose representations are linear, (x - mean) W + bias.

    Attributes:
      linear: the arrays that `learn` keeps of a modality: "weights" (d, k), and "mean" (d,) or "bias" (k,) if it has
        one.
    """

    linear: tuple[str, ...] = ("weights",)

    def represent(self, modality: str, features: NDArray) -> NDArray:
        """Maps features (n, d) of a modality, normalised as in training, to (n, k)."""
        held = dict(zip(self.linear, self.fitted(modality, *self.linear), strict=True))
        rows = self.check_width(modality, features, len(held["weights"]))
        made = (rows - held["mean"] if "mean" in held else rows) @ held["weights"]
        return made + held["bias"] if "bias" in held else made


def _matrix(name: str, x: ArrayLike, least: int = 1) -> NDArray:
    """A plain array as float32 (n, d). Raises ValueError for anything else, fewer rows, values that are not finite."""
    return sklearn.utils.validation.check_array(x, dtype=np.float32, input_name=name, ensure_min_samples=least)
