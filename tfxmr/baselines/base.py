"""The base of every closed-form method: fit on matrices, transform each modality."""
import dataclasses
import math

import numpy as np

from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting
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

    def width(self, data):
        """The width that is wanted for training data, before any feature's width limits it."""
        return self.components or (10 if data.instances else 10 * math.ceil(data.num_classes / 10))


class Baseline(Trained):
    """Base of the closed-form methods. A subclass fills `fit`, which sets arrays whose names end in "_".

    Args:
      settings: an instance of the class's `Settings`; None takes the defaults.
    """

    Settings = BaselineSettings
    takes_source = needs_source = False  # whether it learns from a second domain
    in_memory = True  # a closed form needs all rows at once
    strategies = False
    paper = ""
    certainty = ""  # where its details come from, or how sure they are
    needs_class_embeddings = False
    zero_shot = True
    transductive = False  # True: `fit` has an argument `unlabelled`, modality -> features of the items to be searched

    def __init__(self, settings=None):
        self.settings = settings or self.Settings()

    @classmethod
    def of(cls, data, settings, seed):
        """Makes the method for training data. Raises InputError if it cannot learn from them."""
        method = cls(settings)
        method.check(data)
        return method

    def check(self, data):
        """Raises InputError if the method cannot learn from `data`."""
        self.check_modalities(data, type(self).__name__)

    def fit(self, data):
        """Learns from the split "train" of MultiModalData. Returns self."""
        raise NotImplementedError

    def transform(self, modality, features):
        """Maps features (n, d) of a modality to representations (n, k)."""
        raise NotImplementedError

    def fitted(self, modality: str, *names: str) -> list:
        """The fitted arrays of a modality by their names: "weights" is `{modality}_weights_`.

        Raises:
          InputError: the method was not fitted on this modality.
        """
        if not all(hasattr(self, f"{modality}_{name}_") for name in names):
            raise InputError(f"{type(self).__name__} was not fitted on the modality {modality}")
        return [getattr(self, f"{modality}_{name}_") for name in names]

    def check_width(self, modality, features, expected):
        """Returns features as float64 (n, expected), or raises InputError that names both widths."""
        features = np.asarray(features, np.float64)
        if features.ndim != 2 or features.shape[1] != expected:
            raise InputError(
                f"{modality} features have the shape {features.shape}; this method was fitted on the width "
                f"{expected}, that is (n, {expected})"
            )
        return features

    def retriever(self, data):
        """What the fitted method is to all that uses it: a Retriever. `data` are the training data."""
        return Retriever(self.transform, self.similarity)

    def arrays(self):
        """The fitted arrays by name; what is saved."""
        return {name: value for name, value in vars(self).items() if name.endswith("_")}

    def set_arrays(self, arrays):
        """Restores what `arrays` gave."""
        for name, value in arrays.items():
            setattr(self, name, value)
