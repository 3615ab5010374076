"""CMDN: cross-media multiple deep networks (Peng et al., IJCAI 2016), as stacked autoencoders."""
import dataclasses

import tensorflow as tf

from tfxmr import losses
from tfxmr.models.base import Method, OptimizerSettings, selection_setting
from tfxmr.settings import setting


@dataclasses.dataclass(frozen=True)
class CMDNSettings(OptimizerSettings):
    """Settings of CMDN: widths of the released code; optimiser and length are this project's choice."""

    # 400 pairs are 2 batches an epoch: 50 epochs gave a mAP of .38 there, 200 .49; --patience ends longer ones
    epochs: int = setting(200, "Training epochs at most, if --steps is 0.", minimum=0)
    batch_size: int = setting(128, "Items in a batch.", minimum=2)
    learning_rate: float = setting(
        3e-4, "The optimiser's base learning rate.", minimum=0.0, grid=(1e-4, 3e-4, 1e-3)
    )
    select: str = selection_setting("validation")
    feature_norm: str = setting(
        "zscore", "How features are normalised, with statistics of the training split.",
        choices=("none", "l2", "zscore", "minmax"),
    )
    activation: str = setting(
        "tanh", "Units of all layers but the intra ones: tanh, codes of both signs; or sigmoid, as in the paper, which "
        "needs the paper's pre-training by Boltzmann machines: without it the codes tell little apart.",
        choices=("sigmoid", "tanh"),
    )
    intra_units: tuple = setting((1024, 512), "Widths of each modality's own encoder.", minimum=1)
    inter_units: tuple = setting(
        (1024, 2048), "Widths of each modality's layers below the joint code, and last of the joint code.", minimum=1
    )
    merged_units: tuple = setting((1024,), "Width of the code of both (the last one) and layers below it.", minimum=1)
    semantic_units: tuple = setting((1024, 1024, 1024), "Widths of the classifying layers on top.", minimum=1)
    common_units: tuple = setting(
        (512, 256, 128, 64), "Widths of the stacked joint autoencoders; the last is what retrieval compares, as many "
        "as do best on validation.", minimum=1, grid=((512,), (512, 256), (512, 256, 128), (512, 256, 128, 64)),
    )
    end_to_end: bool = setting(False, "Lets the gradient of each stage into those below, which the paper does not.")


class CMDN(Method):
    """Codes of a modality alone and codes of all modalities jointly, merged, classified, and stacked to a common one.

    A joint autoencoder has one layer over the parts y_m of all modalities m present, c = tanh(sum y_m W_m + b),
    and restores the y_m of all, also of one modality alone:

        J(y) = mean over items and over the inputs {all m}, {m} for each m, of the sum over n of ||y_n - D_n(c)||^2

    From x^m upwards, each stage has the loss on its right, and takes the outputs of the stage before as they are:

        a_m = A_m(x^m)                    intra, ReLU        ||x^m - D(a_m)||^2
        q_m = c of I_m(x^m) alone         inter              J(I_m(x^m)) and ||x^m - D(I_m(x^m))||^2
        r_m = M_m([a_m; q_m])             merge              ||[a_m; q_m] - D(r_m)||^2
        s_m = S_m(r_m)                    semantic           - log softmax(P_m(s_m))_l
        h_m = c of s_m alone              common, level 1    J(s) - mean of log softmax(P(c))_l
        h_m = c of the h_m below, alone   each further level the same

    Retrieval compares the last level's h_m by cosine; the released evaluation scales each of its dimensions by the
    test items' statistics first (--eval_znorm=group).

    Differs from the paper: autoencoders stand for its restricted Boltzmann machines and deep belief networks, so units
    are tanh, where its logistic ones start from trained machines (--activation=sigmoid; BUILD_NOTES.md); all stages
    train at once, where the gradient stops between them as in training one after another (--end_to_end lets it pass);
    the reconstructions are means over a layer's units, so that no stage outweighs another, and there is no weight
    decay, which would outweigh them; Adam is the optimiser, where the released code has gradient descent. More than two
    modalities, and the pairing by class of items that share no rows, are this project's.
    """

    Settings = CMDNSettings
    paper = "Peng et al., IJCAI 2016"
    certainty = "widths from the authors' code; its Boltzmann machines are autoencoders here"
    least_modalities = 2
    least_classes = 2

    def make_networks(self, data):
        """Builds the networks of every stage."""
        s, classes, activation = self.settings, data.num_classes, getattr(tf, self.settings.activation)
        *below, joint = s.inter_units
        below = below or [joint]
        shapes = {}
        for m, d in data.dims.items():
            merged = s.intra_units[-1], joint
            shapes |= autoencoder(f"intra_{m}", d, s.intra_units, tf.nn.relu)
            shapes |= autoencoder(f"inter_{m}", d, below, activation)
            shapes |= autoencoder(f"merge_{m}", merged, s.merged_units, activation)
            shapes[f"semantic_{m}"] = s.merged_units[-1], s.semantic_units, activation, activation
            shapes[f"semantic_{m}_classifier"] = s.semantic_units[-1], (classes,), None, None
        self.levels = {"joint": (below[-1], joint)}
        for i, widths in enumerate(zip((s.semantic_units[-1], *s.common_units), s.common_units, strict=False), 1):
            self.levels[f"common_{i}"] = widths
            shapes[f"common_{i}_classifier"] = widths[1], (classes,), None, None
        for name, (part, code) in self.levels.items():
            shapes[name] = (part,) * len(data.dims), (code,), None, activation
            shapes |= {f"{name}_decoder_{m}": (code, (part,), None, None) for m in data.dims}
        return {
            name: self.tower(name, inputs, units, activation=hidden, output_activation=last)
            for name, (inputs, units, hidden, last) in shapes.items()
        }

    def costs(self, batch, step):
        """The losses of a batch by stage, name -> scalar."""
        net, cost, parts = self.networks, {}, {}
        intra = {m: self.restored(f"intra_{m}", batch[m], cost) for m in self.dims}
        inter = {m: self.restored(f"inter_{m}", batch[m], cost) for m in self.dims}
        joint = self.jointly("joint", {m: self.cut(v) for m, v in inter.items()}, cost)
        for m in self.dims:
            merged = self.restored(f"merge_{m}", (self.cut(intra[m]), self.cut(joint[m])), cost)
            parts[m] = net[f"semantic_{m}"](self.cut(merged))
            logits = net[f"semantic_{m}_classifier"](parts[m])
            cost[f"semantic_{m}"] = tf.reduce_mean(losses.semantic_discrimination(logits[None], batch["label"]))
        for name in list(self.levels)[1:]:
            parts = self.jointly(name, {m: self.cut(v) for m, v in parts.items()}, cost, batch["label"])
        return cost

    def cut(self, x):
        """x, as the next stage takes it."""
        return x if self.settings.end_to_end else tf.stop_gradient(x)

    def restored(self, name, inputs, cost):
        """The code of an autoencoder, whose loss goes into `cost`; the input may be a tuple of parts."""
        parts = inputs if isinstance(inputs, tuple) else (inputs,)
        code = self.networks[name](*parts)
        cost[name] = squared_error(self.networks[f"{name}_decoder"](code), tf.concat(parts, axis=-1))
        return code

    def jointly(self, name, parts, cost, labels=None):
        """Codes of each modality alone, modality -> (B, k); the joint autoencoder's losses go into `cost`."""
        present = tf.concat((tf.ones((1, len(self.dims))), tf.eye(len(self.dims))), axis=0)  # (1 + M, M)
        codes = self.networks[name](*(present[:, i, None, None] * parts[m] for i, m in enumerate(self.dims)))
        restored = {m: self.networks[f"{name}_decoder_{m}"](codes) for m in self.dims}  # (1 + M, B, d)
        cost[name] = sum(squared_error(restored[m], parts[m]) for m in self.dims)
        if labels is not None:
            logits = self.networks[f"{name}_classifier"](codes)
            total = losses.semantic_discrimination(logits, labels)  # over 1 + M inputs
            cost[f"{name}_class"] = tf.reduce_mean(total) / (1 + len(self.dims))
        return dict(zip(self.dims, tf.unstack(codes[1:]), strict=True))

    def embed(self, modality, features):
        """The last level's h_m."""
        net = self.networks
        joint = self.alone("joint", modality, net[f"inter_{modality}"](features))
        code = net[f"semantic_{modality}"](net[f"merge_{modality}"](net[f"intra_{modality}"](features), joint))
        for name in list(self.levels)[1:]:
            code = self.alone(name, modality, code)
        return code

    def alone(self, name, modality, part):
        """The joint code (B, k) of one modality's part (B, d), without the others."""
        return self.networks[name](*(part if m == modality else tf.zeros_like(part) for m in self.dims))


def autoencoder(name, width, units, activation):
    """The shapes of an encoder, and of a decoder that mirrors it and restores `width`, or the sum of widths."""
    total = sum(width) if isinstance(width, tuple) else width
    return {
        name: (width, units, activation, activation),
        f"{name}_decoder": (units[-1], (*reversed(units[:-1]), total), activation, None),
    }


def squared_error(a, b):
    """Mean of (a - b)^2 over all of a, to whose shape b is broadcast; a scalar."""
    return tf.reduce_mean((a - b) ** 2)
