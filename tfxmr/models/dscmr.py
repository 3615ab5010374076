"""DSCMR: deep supervised cross-modal retrieval (Zhen et al., CVPR 2019)."""
import dataclasses
import itertools

import tensorflow as tf

from tfxmr.core.settings import changed, setting
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.models.base import Batch, Losses, Method, MethodSettings, Networks, Step, init_setting


@dataclasses.dataclass(frozen=True)
class DSCMRSettings(MethodSettings):
    """Settings of DSCMR; the defaults are those of the authors' code."""

    epochs: int = changed(500)
    batch_size: int = changed(100)
    beta_1: float = changed(0.5)
    learning_rate: float = changed(grid=(1e-4, 2e-4, 5e-4, 1e-3))
    select: str = changed("validation")
    init: str = init_setting("torch")
    alpha: float = setting(
        1e-3, "Weight of the similarity of classes in the common space, J2.", minimum=0.0,
        grid=(0.0, 1e-3, 1e-2, 1e-1, 1.0),
    )
    beta: float = setting(
        0.1, "Weight of the distance of a pair in the common space, J3.", minimum=0.0, grid=(0.0, 1e-2, 1e-1, 1.0)
    )
    hidden_units: tuple[int, ...] = setting((2048,), "Widths of each modality's own layers.", minimum=1, parts=1)
    common_units: tuple[int, ...] = setting(
        (1024,), "Widths of the layers that all modalities share.", minimum=1, parts=1
    )


def likelihood(a: tf.Tensor, b: tf.Tensor, same: tf.Tensor) -> tf.Tensor:
    """How well cosines tell the pairs of one class from the others, a term of J2.

    With theta = cos(a_u, b_v) / 2, the mean over all (u, v) of log(1 + exp(theta)) - S_uv theta: the negative log
    likelihood of S_uv if the odds that u and v are of one class are exp(theta) to 1.

    Args:
      a: (B, d).
      b: (B, d).
      same: S (B, B), 1 for a pair of one class, 0 for one of two.

    Returns:
      A scalar in [.47, .98], since theta is in [-.5, .5].
    """
    theta = tf.matmul(tf.math.l2_normalize(a, -1), tf.math.l2_normalize(b, -1), transpose_b=True) / 2
    return tf.reduce_mean(tf.nn.softplus(theta) - same * theta)


class DSCMR(Method):
    """A linear classifier shared by all modalities makes the common space discriminative.

    An item n has features x_n^m in each modality m and the one-hot class y_n. A layer of the modality's own and a
    linear one that all share make its common representation m_n, and a linear classifier p, shared too, minimises

        J  = J1 + alpha J2 + beta J3
        J1 = mean over n of the sum over m of ||p(m_n) - y_n||
        J2 = sum over pairs a <= b of modalities of the mean over (u, v) of log(1 + exp(theta)) - S_uv theta,
             theta = cos(a_u, b_v) / 2, S_uv = 1 if u and v are of one class, else 0
        J3 = mean over n of the sum over pairs a < b of modalities of ||a_n - b_n||

    over all weights. Retrieval compares m by cosine. For images and texts J2 has the terms of images with images,
    images with texts and texts with texts, and J3 one; the sums over more modalities are this project's.

    As in the authors' code, the norms are not squared and p has no softmax. Of items of several classes y_n has a 1 for
    each, and S_uv is 1 if u and v share one; their code counts how many they share.

    Differs from the authors' code: the best epoch is chosen on validation items, where the code chooses it on the test
    items, so that its published values are optimistic; batches are drawn at random, where its loader does not
    shuffle. On raw features the initial weights matter: --init=glorot costs .1 to .2 of mAP there.
    """

    Settings = DSCMRSettings
    settings: DSCMRSettings
    paper = "Zhen et al., CVPR 2019"
    citation = """
    @inproceedings{zhen2019deep,
      author = {Liangli Zhen and Peng Hu and Xu Wang and Dezhong Peng},
      title = {Deep Supervised Cross-Modal Retrieval},
      booktitle = {Proceedings of the IEEE Conference on Computer Vision and Pattern Recognition},
      pages = {10394--10403},
      year = {2019}
    }
    """
    provenance = "the authors' code"
    torch_epsilon = True
    loss_names = {
        "j1": "J1, label space", "j2": "J2, common space", "j3": "J3, between modalities",
    }
    zero_shot = multi_label = True

    def make_networks(self, data: Shapes) -> Networks:
        """Builds each modality's own layers, the shared linear layer and the classifier."""
        s = self.settings
        self.num_classes = data.num_classes
        shapes: dict[str, tuple] = {
            f"own_{m}": (d, s.hidden_units, {"output_activation": tf.nn.relu}) for m, d in data.dims.items()
        }
        shapes["common"] = s.hidden_units[-1], s.common_units
        shapes["classifier"] = s.common_units[-1], (data.num_classes,)
        return self.towers(shapes, init=s.init)

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The weighted losses of a batch, name -> scalar."""
        labels = batch["label"]
        common = tf.stack([self.embed(m, batch[m]) for m in self.dims])  # (M, B, d)
        predicted = self.networks["classifier"](common)  # (M, B, C)
        truth = losses.label_vectors(labels, self.num_classes)
        same = tf.cast(losses.share_class(labels), tf.float32)
        every = range(len(self.dims))
        j2 = [likelihood(common[a], common[b], same) for a, b in itertools.combinations_with_replacement(every, 2)]
        j3 = [tf.reduce_mean(losses.row_distances(common[a], common[b])) for a, b in itertools.combinations(every, 2)]
        return {
            "j1": tf.reduce_mean(tf.reduce_sum(losses.row_distances(predicted, truth), axis=0)),
            "j2": self.settings.alpha * sum(j2),
            "j3": self.settings.beta * sum(j3),
        }

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """The output (B, d) of the shared linear layer."""
        return self.networks["common"](self.networks[f"own_{modality}"](features))
