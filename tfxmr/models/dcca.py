"""DCCA: deep canonical correlation analysis (Andrew et al., ICML 2013)."""
import dataclasses
from collections.abc import Sequence
from typing import Any, Self

import keras
import numpy as np
import tensorflow as tf

from tfxmr.baselines._linear import View, constant
from tfxmr.baselines._pairs import check_varying
from tfxmr.baselines.cca import canonical_directions
from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.models.base import Batch, Losses, Method, Networks, OptimizerSettings, Players, Step


def cube_root(x: tf.Tensor) -> tf.Tensor:
    """The paper's unit: the y (...) with y^3 / 3 + y = x, in closed form, of x (...)."""
    return 2 * tf.sinh(tf.asinh(1.5 * x) / 3)


ACTIVATIONS = {"cube_root": cube_root, "relu": tf.nn.relu, "tanh": tf.tanh, "sigmoid": tf.sigmoid}


@dataclasses.dataclass(frozen=True)
class DCCASettings(OptimizerSettings):
    """Settings of DCCA. The paper tuned widths, ridge and penalty on held-out data; the values are this project's."""

    batch_size: int = changed(
        500, "The default is several times the width of the outputs, since a batch of fewer correlates anyway."
    )
    learning_rate: float = changed(grid=(1e-4, 3e-4, 1e-3, 3e-3))
    weight_decay: float = changed(grid=(0.0, 1e-4, 1e-3))
    select: str = changed("validation")
    feature_norm: str = changed(
        # 400 raw pairs, image norm 43: validation mAP .32 as they are, .34 z-scored, .45 L2-normalised
        "l2"
    )
    units: tuple[int, ...] = setting(
        (1024, 10), "Widths of each network's layers; the last are the outputs.", minimum=1, parts=1,
        grid=((1024, 10), (1024, 20), (1024, 1024, 10), (1024, 1024, 50)),
    )
    activation: str = setting(
        "cube_root", "Hidden units; cube_root: the paper's, y with y^3/3 + y = x.", choices=tuple(ACTIVATIONS)
    )
    ridge: float = setting(
        1e-2, "r_1 = r_2, on the diagonal of the outputs' covariances.", minimum=1e-12, grid=(1e-3, 1e-2, 1e-1, 1.0)
    )
    top_ridge: float = setting(
        1e-2, "The same in the linear CCA on top, relative to the outputs' mean variance.", minimum=0.0
    )
    components: int = setting(0, "Directions that the linear CCA on top keeps; 0: all.", minimum=0)

    def resolved(self, num_classes: int = 0, instances: bool = False, widths: Sequence[int] = ()) -> Self:
        """With as many directions as there are, for which 0 stands."""
        return dataclasses.replace(self, components=min(self.components or self.units[-1], self.units[-1]))


class DCCA(Method):
    """Networks f, g whose outputs correlate most between paired items.

    max over f, g of corr(f(X), g(Y)) = ||T||_tr,  T = S_11^-1/2 S_12 S_22^-1/2           (section 3, eq. 10)

    where S are the covariances of the outputs over a batch, S_11 and S_22 with the ridge r on their diagonals, and
    ||.||_tr is the sum of the singular values. Labels are not used. Retrieval compares the outputs after a linear CCA
    of the training items' outputs under the present weights, by cosine.

    Differs from the paper: batches with Adam, where it has full batches with L-BFGS (--batch_size may be the size of
    the training set); no pre-training of the layers as denoising autoencoders.
    """

    Settings = DCCASettings
    settings: DCCASettings
    paper = "Andrew et al., ICML 2013"
    citation = """
    @inproceedings{andrew2013deep,
      author = {Galen Andrew and Raman Arora and Jeff A. Bilmes and Karen Livescu},
      title = {Deep Canonical Correlation Analysis},
      booktitle = {Proceedings of the 30th International Conference on Machine Learning},
      pages = {1247--1255},
      year = {2013}
    }
    """
    provenance = "the paper"
    loss_names = {"minus_correlation": "minus the total correlation"}
    zero_shot = True
    least_modalities = most_modalities = 2
    pairs = True
    multi_label = True  # it looks at no class

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if the data are no pairs of two modalities, or the features of one do not vary."""
        super().check(data)
        check_varying(data, self.name)

    def make_networks(self, data: Shapes) -> Networks:
        """Builds a network for each modality, and the linear map on top of it, which no gradient trains."""
        s = self.settings
        towers = {
            m: self.tower(m, data.dims[m], s.units, activation=ACTIVATIONS[s.activation]) for m in self.dims
        }
        width = s.resolved().components
        return towers | {f"top_{m}": Top(s.units[-1], width, name=f"top_{m}") for m in self.dims}

    @property
    def players(self) -> Players:
        """One: both networks ascend the correlation."""
        return {"joint": tuple(self.dims)}

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """Minus the correlation of a batch, name -> scalar."""
        one, other = (self.networks[m](batch[m]) for m in self.dims)
        return {"minus_correlation": -losses.total_correlation(one, other, self.settings.ridge)}

    def finish(self, data: MultiModalData) -> None:
        """Fits the linear CCA of the training items' outputs under the present weights."""
        train = data.splits["train"]
        outputs = [self.networks[m](np.asarray(train.features[m])).numpy() for m in self.dims]
        for m, rows in zip(self.dims, outputs, strict=True):
            if constant(rows):
                raise InputError(
                    f"the {m} network gives all training items the same outputs, so nothing correlates with them; "
                    "lower --learning_rate, or normalise the features by --feature_norm=zscore"
                )
        views, width = [View(rows) for rows in outputs], self.networks[f"top_{next(iter(self.dims))}"].width
        parts = [view.width for view in views]
        directions, _ = canonical_directions(views, width, self.settings.top_ridge, parts, "top_ridge")
        for m, view, weights in zip(self.dims, views, directions, strict=True):
            self.networks[f"top_{m}"].set_weights([view.mean, weights])

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """The outputs, mapped as `finish` last found."""
        return self.networks[f"top_{modality}"](self.networks[modality](features))


class Top(keras.layers.Layer):
    """(x - mean) W, set from outside.

    Args:
      inputs: width of x.
      width: width of the result.
    """

    def __init__(self, inputs: int, width: int, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.width = width
        self.mean = self.add_weight(shape=(inputs,), initializer="zeros", trainable=False, name="mean")
        self.kernel = self.add_weight(shape=(inputs, width), initializer="zeros", trainable=False, name="kernel")
        self.built = True

    def call(self, x: tf.Tensor) -> tf.Tensor:
        """(n, inputs) to (n, width)."""
        return tf.matmul(x - self.mean, self.kernel)
