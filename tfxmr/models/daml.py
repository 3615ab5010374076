"""DAML-style: deep adversarial metric learning for cross-modal retrieval (Xu et al., World Wide Web 2019)."""
import dataclasses
import itertools

import tensorflow as tf

from tfxmr.core.settings import changed, setting
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.layers import leaky_relu, reverse_gradient
from tfxmr.models.base import Batch, Losses, Method, MethodSettings, Networks, Step

WEIGHTS = (0.01, 0.1, 1.0, 10.0, 100.0)


@dataclasses.dataclass(frozen=True)
class DAMLSettings(MethodSettings):
    """Settings of DAML; all are this project's choices after MS2GAN and ACMR, see DAML."""

    epochs: int = changed(200)
    batch_size: int = changed(128)
    beta_1: float = changed(0.5)
    learning_rate: float = changed(grid=(1e-4, 2e-4, 5e-4, 1e-3))
    select: str = changed("validation")
    tau: float = setting(
        4.0, "Squared distance that divides pairs of one class from others.", minimum=0.0, grid=(2.0, 4.0, 8.0, 16.0)
    )
    margin: float = setting(
        1.0, "Distance of either kind of pair from --tau, a squared distance too.", minimum=0.0, grid=(0.0, 1.0, 2.0)
    )
    alpha: float = setting(10.0, "Weight of the metric loss.", minimum=0.0, grid=WEIGHTS)
    beta: float = setting(0.1, "Weight of the squared distance of a pair.", minimum=0.0, grid=WEIGHTS)
    lambda_adv: float = setting(
        1.0, "Factor of the reversed gradient of the adversarial loss.", minimum=0.0, grid=(0.0, *WEIGHTS)
    )
    common_units: tuple[int, ...] = setting((1024, 512, 128), "Widths of each modality's layers.", minimum=1, parts=1)
    modality_units: tuple[int, ...] = setting((64,), "Widths of the modality classifier's hidden layers.", minimum=1)


class DAML(Method):
    """A metric learnt over all modalities, in a space where a classifier cannot tell the modalities apart.

    A tower of each modality m makes the common representation m_u of item u of class l_u. With the modality
    classifier A and all pairs (p, q) of representations of a batch, whatever their items and modalities,

        min over towers:  alpha L_metric + beta L_pair - lambda L_adv
        min over A:       L_adv

        L_metric = mean over pairs of one class of max(0, ||p - q||^2 - (tau - margin))
                 + mean over pairs of two classes of max(0, (tau + margin) - ||p - q||^2)
        L_pair   = mean over u of the sum over pairs a < b of modalities of ||a_u - b_u||^2
        L_adv    = mean over u of the sum over m of -log A_m(m_u)

    Both players take one step at once: the gradient of L_adv is reversed, and multiplied by lambda, between m_u and
    A. Retrieval compares m_u by cosine.

    Call its results "DAML-style". That the variation within classes is minimised, that between classes maximised and
    the difference of pairs minimised, in nonlinear networks with an adversarial modality classifier, is what the
    paper's abstract says. The form of the metric loss (that of deep metric learning, Hu, Lu and Tan, CVPR 2014,
    with a plain hinge), widths, activations (tanh), weights and optimizer are this project's, taken from MS2GAN where
    that has the like; alpha and beta were chosen on validation items of Wikipedia. With modalities that share no rows,
    L_pair joins items of one class.
    """

    Settings = DAMLSettings
    settings: DAMLSettings
    paper = "Xu et al., World Wide Web 2019"
    citation = """
    @article{xu2019deep,
      author = {Xing Xu and Li He and Huimin Lu and Lianli Gao and Yanli Ji},
      title = {Deep Adversarial Metric Learning for Cross-Modal Retrieval},
      journal = {World Wide Web},
      volume = {22},
      number = {2},
      pages = {657--672},
      year = {2019}
    }
    """
    provenance = "50 %: known by its abstract"
    loss_names = {
        "metric": "L_metric, distances by class", "pair": "L_pair, distances of pairs", "adv": "L_adv, modality",
    }
    zero_shot = True
    least_modalities = 2
    least_classes = 2

    def make_networks(self, data: Shapes) -> Networks:
        """Builds a tower for each modality, and the modality classifier."""
        s = self.settings
        tanh, leaky = {"activation": tf.tanh, "output_activation": tf.tanh}, {"activation": leaky_relu}
        shapes = {f"tower_{m}": (d, s.common_units, tanh) for m, d in data.dims.items()}
        shapes["modality_classifier"] = s.common_units[-1], (*s.modality_units, len(data.dims)), leaky
        return self.towers(shapes)

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The weighted losses of a batch, name -> scalar."""
        s = self.settings
        common = tf.stack([self.embed(m, batch[m]) for m in self.dims])  # (M, B, d)
        everything = tf.reshape(common, (-1, common.shape[-1]))  # (M B, d)
        labels = tf.tile(batch["label"], [len(self.dims)])
        metric = losses.contrastive(losses.squared_distances(everything, everything), labels, s.tau, s.margin)
        pairs = [tf.reduce_sum((a - b) ** 2, axis=-1) for a, b in itertools.combinations(tf.unstack(common), 2)]
        logits = self.networks["modality_classifier"](reverse_gradient(common, s.lambda_adv))  # (M, B, M)
        return {
            "metric": s.alpha * metric,
            "pair": s.beta * tf.reduce_mean(sum(pairs)),
            "adv": tf.reduce_mean(losses.modality_classification(logits)),
        }

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """The output (B, d) of the modality's tower."""
        return self.networks[f"tower_{modality}"](features)
