"""MS2GAN: modality-specific and shared generative adversarial network (Wu et al., Pattern Recognition 2020)."""
import dataclasses

import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.layers import leaky_relu, reverse_gradient
from tfxmr.models._adversary import Adversarial, AdversarySettings
from tfxmr.models.base import Batch, Losses, Networks, Step

LOSSES = ("sd", "c", "lm", "adv")
THRESHOLDS = tuple(float(t) for t in range(1, 11))  # the paper's grid (section 4.3)
WEIGHTS = (0.01, 0.1, 1.0, 10.0, 100.0)


@dataclasses.dataclass(frozen=True)
class MS2GANSettings(AdversarySettings):
    """Settings of MS2GAN; the defaults are the paper's (section 4.3), or its ancestor ACMR's where it is silent."""

    epochs: int = changed(200, "The paper is silent.")
    batch_size: int = changed(128, "U in the paper.")
    beta_1: float = changed(0.5, "ACMR's, the paper is silent.")
    learning_rate: float = changed(
        # validation mAP with alpha 1 over four sets of features: 1e-4 .417, 3e-4 .413, 1e-3 .348
        why="ACMR's, the paper is silent. On raw features take 1e-3 with --alpha=0.01.", grid=(1e-4, 2e-4, 5e-4, 1e-3)
    )
    select: str = changed("validation")
    tau: float = setting(
        4.0, "Threshold of the contrastive loss (eq. 3), a squared distance.", minimum=0.0, grid=THRESHOLDS
    )
    zeta: float = setting(
        4.0, "Threshold of the large margin loss (eq. 4), a squared distance.", minimum=0.0, grid=THRESHOLDS
    )
    alpha: float = setting(1.0, "Weight of the contrastive loss (eq. 6).", minimum=0.0, grid=WEIGHTS)
    beta: float = setting(0.1, "Weight of the large margin loss (eq. 6).", minimum=0.0, grid=WEIGHTS)
    contrastive_third: str = setting(
        "cross", "Reading of the third term of eq. 2, see tfxmr.engine.losses.contrastive_distances.",
        choices=losses.CONTRASTIVE_THIRDS,
    )
    tanh_logits: bool = setting(False, "tanh on the classifier's logits too, as section 4.3 can be read.")
    adv_schedule: str = changed("constant")
    without: tuple[str, ...] = setting(
        (), "Losses that are omitted, with the networks that only they train: some of sd, c, lm (section 4.5.1), adv.",
        choices=LOSSES,
    )
    representation: str = setting(
        "both",
        "What retrieval compares: specific (MSGAN1) or shared (MSGAN2) features, or both; or, which the paper does "
        "not, the classifier's class probabilities. It changes no loss, so `tfxmr evaluate` may choose another.",
        choices=("both", "specific", "shared", "probabilities"),
        affects="scoring",
    )
    specific_units: tuple[int, ...] = setting((1024, 512, 128), "Widths of each modality's own layers.", minimum=1)
    shared_units: tuple[int, ...] = setting((128, 128), "Widths of the layers that all modalities share.", minimum=1)
    modality_units: tuple[int, ...] = setting((64,), "Widths of the modality classifier's hidden layers.", minimum=1)

    def __post_init__(self) -> None:
        """Raises InputError for values out of range, or that do not fit each other."""
        super().__post_init__()
        if set(self.without) == set(LOSSES):
            raise InputError(f"--without={','.join(self.without)}: leaves no loss to minimise; omit at most three")
        if self.representation == "probabilities" and "sd" in self.without:
            raise InputError("--representation=probabilities: --without=sd leaves no classifier; change one of them")
        if not self.specific_units or self.specific_units[-1:] != self.shared_units[-1:]:
            raise InputError(
                f"--specific_units={self.specific_units}, --shared_units={self.shared_units}: the large margin loss "
                "compares their outputs; give both the same last width"
            )


class MS2GAN(Adversarial):
    """Features of a modality's own and features that all modalities share, both kept for retrieval.

    An item u of class l_u has features x_u^m in each of M >= 2 modalities. A tower of each modality makes its
    specific features m^f = f_m(x^m), one network the shared ones m^s = s(m^f) of all modalities. With the classifier
    p on [m^f; m^s] and the modality classifier A on m^s,

        min over f_m, s, p:  L_sd + alpha L_c + beta L_lm - lambda L_adv    (eq. 6, 8)
        min over A:          L_adv                                          (eq. 9)

        L_sd  = mean over u of the sum over m of -log p_{l_u}([m_u^f; m_u^s])                   (eq. 1)
        L_c   = mean over pairs of equal class of max(0, d_c(u, v) - tau)
              + mean over pairs of different class of max(0, tau - d_c(u, v))                   (eq. 3)
        d_c   = sum over m of ||m_u^f - m_v^f||^2
              + sum over pairs a < b of modalities of ||a_u^s - b_v^s||^2                       (eq. 2)
        L_lm  = mean over u of the sum over m of max(0, zeta - ||m_u^f - m_u^s||^2)             (eq. 4, 5)
        L_adv = mean over u of the sum over m of -log A_m(m_u^s)                                (eq. 7)

    Both players take one step at once: the gradient of L_adv is reversed, and multiplied by lambda, between m^s and A.
    For images and texts these are the paper's losses; the sums over M modalities and their pairs are this
    project's generalisation of them. The paper itself trains one model for each pair of modalities.

    Retrieval compares [m^f; m^s] by cosine. MSGAN1 and MSGAN2 of section 4.5.1 are no other trainings: the fully
    trained network's specific or shared features alone are compared.

    A batch is modality -> (B, d_m) and "label" -> (B,), where row u of every modality is of class label[u].

    Differs from the paper: the third distance of eq. 2 is between modalities, as its prose says, not within images as
    printed (--contrastive_third=literal); eq. 7 is the cross-entropy of M modalities, as g_u there says twice what A
    says; the extra 1/U of algorithm 1 is dropped, and its reversal done once; the classifier's logits are linear, as
    tanh would cap the probability of the right class at .45 for 10 classes (--tanh_logits); of the modality classifier
    only the hidden layers have a leaky ReLU, of slope .2. Optimizer, length of training, initial weights (Glorot
    uniform), selection and similarity are not stated there; with the paper's alpha of 1 validation prefers rates of
    1e-4 and 3e-4 to 1e-3. On raw features (long image rows) --learning_rate=1e-3 --alpha=0.01 comes close to SM.
    """

    Settings = MS2GANSettings
    settings: MS2GANSettings
    paper = "Wu et al., Pattern Recognition 2020"
    citation = """
    @article{wu2020modality,
      author = {Fei Wu and Xiao-Yuan Jing and Zhiyong Wu and Yimu Ji and Xiwei Dong and Xiaokai Luo and
                Qinghua Huang and Ruchuan Wang},
      title = {Modality-Specific and Shared Generative Adversarial Network for Cross-Modal Retrieval},
      journal = {Pattern Recognition},
      volume = {104},
      pages = {107335},
      year = {2020}
    }
    """
    provenance = "the paper alone; its eq. 2 is read against the print (80 %)"
    loss_names = {
        "sd": "L_sd, semantic discrimination", "c": "L_c, contrastive", "lm": "L_lm, large margin",
        "adv": "L_adv, modality",
    }
    least_modalities = 2
    least_classes = 2

    def make_networks(self, data: Shapes) -> Networks:
        """Builds a tower for each modality, the shared network, and the classifiers that some loss needs."""
        s = self.settings
        width = s.shared_units[-1]
        tanh = {"activation": tf.tanh, "output_activation": tf.tanh}
        shapes = {f"specific_{m}": (d, s.specific_units, tanh) for m, d in data.dims.items()}
        shapes["shared"] = width, s.shared_units, tanh
        if "sd" not in s.without:
            output = tf.tanh if s.tanh_logits else None
            shapes["classifier"] = (width, width), (data.num_classes,), {"output_activation": output}
        if "adv" not in s.without:
            shapes["modality_classifier"] = width, (*s.modality_units, len(data.dims)), {"activation": leaky_relu}
        return self.towers(shapes)

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The weighted losses of a batch, name -> scalar, without those that the settings omit."""
        s, labels = self.settings, batch["label"]
        specific = tf.stack([self.networks[f"specific_{m}"](batch[m]) for m in self.dims])  # (M, B, d)
        shared = self.networks["shared"](specific)  # (M, B, d)
        loss = {}
        if "sd" not in s.without:
            logits = self.networks["classifier"](specific, shared)  # (M, B, C)
            loss["sd"] = tf.reduce_mean(losses.semantic_discrimination(logits, labels))
        if "c" not in s.without:
            distances = losses.contrastive_distances(specific, shared, s.contrastive_third)  # (B, B)
            loss["c"] = s.alpha * losses.contrastive(distances, labels, s.tau)
        if "lm" not in s.without:
            loss["lm"] = s.beta * tf.reduce_mean(losses.large_margin(specific, shared, s.zeta))
        if "adv" not in s.without:
            logits = self.networks["modality_classifier"](reverse_gradient(shared, self.reversal(step)))  # (M, B, M)
            loss["adv"] = tf.reduce_mean(losses.modality_classification(logits))
        return loss

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """[m^f; m^s] (B, k), or what else the settings choose."""
        wanted, specific = self.settings.representation, self.networks[f"specific_{modality}"](features)
        if wanted == "specific":
            return specific
        shared = self.networks["shared"](specific)
        if wanted == "probabilities":
            return tf.nn.softmax(self.networks["classifier"](specific, shared))
        return shared if wanted == "shared" else tf.concat((specific, shared), axis=-1)
