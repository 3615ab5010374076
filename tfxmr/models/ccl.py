"""CCL: cross-modal correlation learning with hierarchical networks (Peng et al., IEEE Trans. Multimedia 2018)."""
import dataclasses
import itertools

import tensorflow as tf

from tfxmr import losses
from tfxmr.models.base import Method, OptimizerSettings, selection_setting
from tfxmr.settings import setting


@dataclasses.dataclass(frozen=True)
class CCLSettings(OptimizerSettings):
    """Settings of CCL: widths, margin and batch of the released code; optimiser and length are our choice."""

    epochs: int = setting(
        100, "Training epochs at most, if --steps is 0; the released code takes 20,000 steps.", minimum=0
    )
    batch_size: int = setting(80, "Items in a batch.", minimum=2)
    learning_rate: float = setting(
        3e-4, "The optimiser's base learning rate.", minimum=0.0, grid=(1e-4, 3e-4, 1e-3)
    )
    select: str = selection_setting("validation")
    feature_norm: str = setting(
        "zscore", "How features are normalised, with statistics of the training split.",
        choices=("none", "l2", "zscore", "minmax"),
    )
    encoder_units: tuple = setting(
        (2048, 1024), "Widths of an encoder's layers (stage 1); decoders mirror all but the last.", minimum=1
    )
    common_units: tuple = setting(
        (1024, 1024), "Widths of the common network's layers (stage 2), the last of which both tasks share.", minimum=1
    )
    activation: str = setting(
        "tanh", "Units of all hidden layers, codes and h: tanh, codes of both signs; or sigmoid as in the paper, whose "
        "layers start from Boltzmann machines: without them it learns slowly.",
        choices=("sigmoid", "tanh"),
    )
    correlation: float = setting(
        0.7, "lambda, weight of the codes' distance against the reconstruction's in stage 1, in [0, 1].",
        minimum=0.0, maximum=1.0,
    )
    margin: float = setting(
        1.0, "Distance from which two classes count as apart, in the contrastive loss.", minimum=0.0,
        grid=(1.0, 2.0, 4.0, 8.0),
    )
    beta: float = setting(1.0, "Weight of the contrastive loss against the classification.", minimum=0.0)
    end_to_end: bool = setting(False, "Lets the gradient of stage 2 into the encoders, which the paper does not.")


class CCL(Method):
    """Codes that restore their item and resemble their pair's, and on them a network of two tasks.

    Stage 1, codes c_m = E_m(x^m) with decoders D_m, as a mean over items:

        min over E, D:  (1 - lambda) sum over m of ||x^m - D_m(c_m)||^2 + lambda sum over m < n of ||c_m - c_n||^2

    Stage 2, z_m = F_m(c_m) and the common representation h_m = tanh(z_m):

        min over F, P:  beta sum over m < n of L_inter(h_m, h_n) + sum over m of L_intra(P_m(z_m))

        L_inter = 1/2B sum over the B x B pairs (u, v) of ||h_mu - h_nv||^2 where the labels agree,
                  of max(0, margin - ||h_mu - h_nv||)^2 where they differ
        L_intra = mean over u of - log softmax(P_m(z_mu))_{l_u}

    All units are tanh. Retrieval compares h_m by cosine; the released evaluation scales each of its dimensions by
    the test items' statistics first (--eval_znorm=group).

    Differs from the paper: units are tanh, where its logistic ones (--activation=sigmoid) start from restricted
    Boltzmann machines; both stages train at once, where the second's gradient stops at the codes as it does there
    (--end_to_end lets it pass); codes of patches of the image and text, and the restricted Boltzmann machines that
    pre-train and fuse, are left out, since features of the whole item are all that is given; Adam is the optimiser,
    where the released code has --optimizer=sgd --learning_rate=1e-4 --weight_decay=4e-3 --steps=20000. More than two
    modalities, and the pairing by class of items that share no rows, are this project's.
    """

    Settings = CCLSettings
    paper = "Peng et al., IEEE Trans. Multimedia 2018"
    certainty = "widths and losses from the authors' code; patches and pre-training left out"
    least_modalities = 2
    least_classes = 2

    def make_networks(self, data):
        """Builds encoder, decoder, common network and classifier for each modality."""
        *hidden, code = self.settings.encoder_units
        common, shapes, self.activation = self.settings.common_units, {}, getattr(tf, self.settings.activation)
        for m, d in data.dims.items():
            shapes |= {
                f"encoder_{m}": (d, (*hidden, code), self.activation),
                f"decoder_{m}": (code, (*reversed(hidden), d), None),
                f"common_{m}": (code, common, None),
                f"classifier_{m}": (common[-1], (data.num_classes,), None),
            }
        return {
            name: self.tower(name, inputs, units, activation=self.activation, output_activation=last)
            for name, (inputs, units, last) in shapes.items()
        }

    def costs(self, batch, step):
        """The weighted losses of a batch, name -> scalar."""
        s, net, labels = self.settings, self.networks, batch["label"]
        codes = {m: net[f"encoder_{m}"](batch[m]) for m in self.dims}
        before = codes if s.end_to_end else {m: tf.stop_gradient(c) for m, c in codes.items()}
        shared = {m: net[f"common_{m}"](before[m]) for m in self.dims}  # z
        common = {m: self.activation(z) for m, z in shared.items()}  # h
        pairs = list(itertools.combinations(self.dims, 2))
        inter = sum(
            losses.margin_contrastive(losses.squared_distances(common[m], common[n]), labels, s.margin)
            for m, n in pairs
        )
        intra = losses.semantic_discrimination(tf.stack([net[f"classifier_{m}"](shared[m]) for m in self.dims]), labels)
        restored = sum(squares(net[f"decoder_{m}"](codes[m]) - batch[m]) for m in self.dims)
        apart = sum(squares(codes[m] - codes[n]) for m, n in pairs)
        cost = {
            "reconstruction": (1 - s.correlation) * restored,
            "correlation": s.correlation * apart,
            "contrastive": s.beta * inter,
            "class": intra,
        }
        return {name: tf.reduce_mean(value) for name, value in cost.items()}

    def embed(self, modality, features):
        """The common representation h_m."""
        return self.activation(self.networks[f"common_{modality}"](self.networks[f"encoder_{modality}"](features)))


def squares(x):
    """Squared length of each row of x (B, d): (B,)."""
    return tf.reduce_sum(x**2, axis=-1)
