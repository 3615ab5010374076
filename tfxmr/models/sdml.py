"""SDML: scalable deep multimodal learning (Hu et al., SIGIR 2019)."""
import dataclasses
from collections.abc import Iterator
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.core.wording import counted
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import losses, randomness
from tfxmr.engine.keras_model import Shapes
from tfxmr.models.base import Batch, Losses, Method, MethodSettings, Networks, Players, Rate, Step, Update, init_setting


@dataclasses.dataclass(frozen=True)
class SDMLSettings(MethodSettings):
    """Settings of SDML; the defaults are those of the authors' code."""

    epochs: int = changed(200)
    batch_size: int = changed(100, "The authors take 500 from 100 classes on.")
    beta_1: float = changed(0.5)
    learning_rate: float = changed(
        help_text="Adam's base learning rate of the images' networks.", grid=(1e-4, 2e-4, 5e-4, 1e-3)
    )
    other_learning_rate: float = setting(
        2e-4, "Adam's base learning rate of all other modalities' networks.", minimum=0.0,
        grid=(1e-4, 2e-4, 5e-4, 1e-3),
    )
    select: str = changed("validation")
    init: str = init_setting("torch")
    alpha: float = setting(
        0.5, "Share of the reconstruction in the loss, in [0, 1]; the rest is the anchors'.", minimum=0.0, maximum=1.0,
        grid=(0.0, 0.1, 0.3, 0.5, 0.7, 0.9),
    )
    normalise_decoder: bool = setting(
        True, "L2-normalise a reconstruction, as the authors' code does whatever the features' norm is."
    )
    common_width: int = setting(512, "Width of the common space; at least the number of classes.", minimum=1)
    hidden_units: tuple[int, ...] = setting(
        (1024, 1024), "Widths of the hidden layers of encoders and decoders.", minimum=1
    )


class SDML(Method):
    """Every modality is trained alone, to meet in a common space that is fixed beforehand.

    W (C columns of length d) are the first columns of a fixed random orthogonal d x d matrix: the classes' anchors. An
    item of modality m has features x and the one-hot class y; the encoder gives z = f_m(x) / ||f_m(x)||, the decoder
    r = g_m(z) / ||g_m(z)||. For each m by itself,

        min over f_m, g_m:  alpha mean ||r - x|| + (1 - alpha) mean ||z W - y||

    so that modalities may be added, removed or trained on other machines. Retrieval compares z by cosine.

    Of items of several classes y has a 1 for each: z is drawn to the middle of their anchors.

    The unit-norm reconstruction can reach unit-norm features alone (--feature_norm=l2); --nonormalise_decoder
    leaves it as it is. Hidden layers have ReLU.

    Differs from the authors' code: the epoch is chosen for all modalities at once by validation mAP, where the code
    chooses one for each by the anchors' loss on validation items; items without a class, which would have the first
    term alone, are not supported. Networks of more than two modalities are trained in one run with --joint.
    """

    Settings = SDMLSettings
    settings: SDMLSettings
    paper = "Hu et al., SIGIR 2019"
    citation = """
    @inproceedings{hu2019scalable,
      author = {Peng Hu and Liangli Zhen and Dezhong Peng and Pei Liu},
      title = {Scalable Deep Multimodal Learning for Cross-Modal Retrieval},
      booktitle = {Proceedings of the 42nd International ACM SIGIR Conference on Research and Development in
                   Information Retrieval},
      pages = {635--644},
      year = {2019}
    }
    """
    provenance = "the authors' code"
    torch_epsilon = True
    zero_shot = multi_label = True

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if there are more classes than orthogonal anchors."""
        super().check(data)
        width = self.settings.common_width
        if data.num_classes > width:
            raise InputError(
                f"--common_width={width}: {counted(data.num_classes, 'class needs', 'classes need')} as many "
                f"orthogonal anchors; give at least --common_width={data.num_classes}"
            )

    def make_networks(self, data: Shapes) -> Networks:
        """Draws the anchors and builds an encoder and a decoder for each modality."""
        hidden, width = self.settings.hidden_units, self.settings.common_width
        self.anchors = tf.constant(orthogonal(width, randomness.derive(self.seed, 0))[:, : data.num_classes])  # (d, C)
        shapes = {f"encoder_{m}": (d, (*hidden, width)) for m, d in data.dims.items()}
        shapes |= {f"decoder_{m}": (width, (*hidden, d)) for m, d in data.dims.items()}
        return self.towers(shapes, init=self.settings.init)

    @property
    def players(self) -> Players:
        """One for each modality, with the networks of that modality alone."""
        return {m: (f"encoder_{m}", f"decoder_{m}") for m in self.dims}

    def compile(
        self, learning_rate: Rate | None = None, steps_per_epoch: int | None = None, **kwargs: Any,
    ) -> None:
        """As Method.compile; without `learning_rate`, images and the other modalities have the settings' own."""
        super().compile(learning_rate, steps_per_epoch, **kwargs)
        if learning_rate is None:
            for m in set(self.dims) - {"image"}:
                self.player_optimizers[m].learning_rate = self.settings.other_learning_rate

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields one update for each modality."""
        for m in self.dims:
            with tf.GradientTape() as tape:
                loss = self.losses_of(m, batch[m], batch["label"])
            yield self.minimise(m, loss, tape)

    def losses_of(self, modality: str, features: tf.Tensor, labels: tf.Tensor) -> Losses:
        """The weighted losses of features (B, d) of a modality with labels (B,) or (B, C), name -> scalar."""
        alpha = self.settings.alpha
        z = self.embed(modality, features)
        made = self.networks[f"decoder_{modality}"](z)
        if self.settings.normalise_decoder:
            made = tf.math.l2_normalize(made, -1)
        truth = losses.label_vectors(labels, self.anchors.shape[1])
        return {
            "reconstruction": alpha * tf.reduce_mean(losses.row_distances(made, features)),
            "anchors": (1 - alpha) * tf.reduce_mean(losses.row_distances(tf.matmul(z, self.anchors), truth)),
        }

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """z = f_m(x) / ||f_m(x)||."""
        return tf.math.l2_normalize(self.networks[f"encoder_{modality}"](features), -1)


def orthogonal(size: int, seed: int) -> NDArray[np.float32]:
    """Draws an orthogonal matrix uniformly. Returns float32 (size, size)."""
    q, r = np.linalg.qr(np.random.default_rng(seed).normal(size=(size, size)))
    return (q * np.sign(np.diag(r))).astype(np.float32)
