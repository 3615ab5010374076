"""CCL: cross-modal correlation learning with hierarchical networks (Peng et al., IEEE Trans. Multimedia 2018)."""
import dataclasses
import functools
import itertools
from collections.abc import Iterator
from typing import Any

import keras
import tensorflow as tf

from tfxmr.core.settings import changed, setting
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.optimizers import SGD, Adam
from tfxmr.models._boltzmann import Descent
from tfxmr.models._deepnet import Scaling, Staged, StagedSettings, deepnet_recipes, rows_of
from tfxmr.models.base import Batch, Losses, Networks, Players, Rate, Stage, Step

# the authors' descent in the stages of networks but the last, which is Caffe's
DESCENTS = {
    "codes": Descent(0.05, 10_000, l2=1e-4), "semantic": Descent(0.01, 50_000, decay="exponential", rise=None),
}
BASE_RATE = 1e-4  # the authors' of the last stage, which --learning_rate replaces; others keep their ratio to it
# Adam's of the codes of features: the authors' rate suits their logistic reconstructions of probabilities
CODES_RATE = 3e-4


@dataclasses.dataclass(frozen=True)
class CCLSettings(StagedSettings):
    """Settings of CCL: widths, margin, batch and rates of the released code; the length is our choice."""

    steps: int = changed(
        help_text="Training steps of the last stage, and of those whose own are not given; 0 takes --epochs. The "
        "released code takes 20000 in the last."
    )
    epochs: int = changed(help_text="Training epochs of each stage at most, if --steps is 0.")
    codes_steps: int = setting(
        0, "Steps of the codes that reconstruct their items; the authors' are 10000. 0: as --steps.", minimum=0
    )
    batch_size: int = changed(80)
    optimizer: str = changed(
        help_text="The optimizer: adam; or sgd, with --variant=staged the authors', of each stage its own rate, "
        "decay, momentum and weight decay."
    )
    learning_rate: float = changed(
        3e-4, "The authors' sgd has 1e-4: that of the last stage, to which the rates of the others keep their ratio.",
        grid=(1e-4, 3e-4, 1e-3),
    )
    variant: str = changed(
        why="Together there is no classifying network; it suits --feature_norm=l2 --margin=4 --end_to_end."
    )
    encoder_units: tuple[int, ...] = setting(
        (2048, 1024), "Widths of an encoder's layers; decoders mirror all but the last. With --rbm_pretrain the "
        "paper's is 1024.", minimum=1, parts=1,
    )
    fusing_units: int = setting(
        2048, "Hidden units of the machine over a modality's codes, with --rbm_pretrain; 0: there is none.", minimum=0
    )
    common_units: tuple[int, ...] = setting(
        (1024, 1024), "Widths of the common network's layers, the last of which both tasks share.", minimum=1, parts=1
    )
    activation: str = changed(why="In stages, those of codes alone; with --variant=together h, too.")
    correlation: float = setting(
        0.7, "lambda, weight of the codes' distance against the reconstruction's, in [0, 1].",
        minimum=0.0, maximum=1.0,
    )
    margin: float = setting(
        1.0, "Distance from which two classes count as apart, in the contrastive loss.", minimum=0.0,
        grid=(1.0, 2.0, 4.0, 8.0),
    )
    beta: float = setting(
        1.0, "Weight of the contrastive loss against the classification; 2 has the gradient that the released code "
        "applies, twice that of its formula.", minimum=0.0,
    )
    class_outputs: int = setting(
        0, "Outputs of the common network's classifiers, of which as many as there are classes are used; the released "
        "code has 256. 0: as many as classes.", minimum=0,
    )

class CCL(Staged):
    """Codes that reconstruct their item and resemble their pair's, classified, and on them a network of two tasks.

    The stages minimise one after another, as means over items, with the weights below as the stages before left them:

        codes     c_m = E_m(x_m)               (1 - lambda)/2 sum over m of ||x_m - D_m(c_m)||^2
                                               + lambda/2 sum over m < n of ||c_m - c_n||^2
        semantic  s_m = S_m(c_m), ReLU         - log softmax(P_m(s_m))_l
        common    z_m = F_m(zscore(s_m)),      beta sum over m < n of L_inter(h_m, h_n)
                  h_m = sigmoid(z_m)           + sum over m of L_intra(Q_m(z_m))

        L_inter = 1/2B sum over the B x B pairs (u, v) of ||h_mu - h_nv||^2 where the labels agree,
                  of max(0, margin - ||h_mu - h_nv||)^2 where they differ
        L_intra = mean over u of - log softmax(Q_m(z_mu))_{l_u}

    The z-scores are by the training items. F_m's hidden units are logistic. Retrieval compares h_m by cosine; they are
    of one sign: --eval_znorm=train scales each of their dimensions by the training items first; the released
    evaluation, by the test items (--eval_znorm=group).

    With --rbm_pretrain, as in the paper, x_m are the outputs of two restricted Boltzmann machines a modality
    (tfxmr.models._boltzmann; the stages "machines_0", ...), which logistic codes reconstruct by logistic outputs, and
    another machine ("fusing_machines") over c_m makes what is classified.

    With --variant=together, this project's, codes and common networks train at once, of tanh units, h too; F_m sees
    c_m, of which the second gradient stops unless --end_to_end; and codes' squares are not halved.

    Differs from the paper: the whole items' features alone are seen, not those of patches, whose codes the paper's
    fusing machine sees as well; without --rbm_pretrain tanh codes of the features stand for machines; Adam is the
    optimizer (--optimizer=sgd --learning_rate=1e-4 --steps=20000 are the authors', whose weight decay falls on the
    biases of the last stage too, and whose biases of its first and last layers learn at twice the rate); the released
    code reverses the order of the last stage's 1,024 inputs of about half of the items, a slip; weights are chosen by
    validation. More than two modalities, and the pairing by class of items that share no rows, are this project's.
    """

    Settings = CCLSettings
    settings: CCLSettings
    paper = "Peng et al., IEEE Trans. Multimedia 2018"
    citation = """
    @article{peng2018ccl,
      author = {Yuxin Peng and Jinwei Qi and Xin Huang and Yuxin Yuan},
      title = {{CCL}: Cross-Modal Correlation Learning with Multigrained Fusion by Hierarchical Network},
      journal = {IEEE Transactions on Multimedia},
      volume = {20},
      number = {2},
      pages = {405--420},
      year = {2018}
    }
    """
    provenance = "the authors' code; patches are not used, its Boltzmann machines are --rbm_pretrain"
    least_modalities = 2
    least_classes = 2
    recipes = deepnet_recipes(50_000, 50_000, 50_000, 50_000)
    descents = DESCENTS

    def make_networks(self, data: Shapes) -> Networks:
        """Builds, for each modality, machines if there are any, encoder, decoder, classifying and common network."""
        s, staged, unit = self.settings, not self.together, self.settings.unit
        *hidden, code = s.encoder_units
        relu, both = ({"activation": f, "output_activation": f} for f in (tf.nn.relu, unit))
        last = {"activation": unit, "output_activation": tf.sigmoid if s.rbm_pretrain else None}
        found: Networks = {}
        machines, dims = self.make_machines(data.dims)
        found |= machines
        for m, d in dims.items():
            found |= self.towers({
                f"encoder_{m}": (d, (*hidden, code), both), f"decoder_{m}": (code, (*reversed(hidden), d), last),
            }, init="fan_out" if s.rbm_pretrain else "glorot")
            common, width, classes = code, code, data.num_classes
            if staged:
                if self.fusing:
                    name, width = f"fusing_machine_{m}", s.fusing_units
                    found[name] = self.machine(name, code, width, "merging")
                found |= self.towers({
                    f"semantic_{m}": (width, s.semantic_units, relu),
                    f"semantic_{m}_classifier": (s.semantic_units[-1], (classes,)),
                }, init="fan_out")
                common = s.semantic_units[-1]
                found[f"scaled_{m}"] = Scaling(common, name=f"scaled_{m}")
                classes = max(classes, s.class_outputs)
            found |= self.towers({
                f"common_{m}": (common, s.common_units, {"activation": tf.sigmoid if staged else unit}),
                f"classifier_{m}": (s.common_units[-1], (classes,)),
            }, init="caffe" if staged else "glorot")
        return found

    @property
    def fusing(self) -> bool:
        """Whether there are machines over codes."""
        return self.settings.rbm_pretrain and self.settings.fusing_units > 0

    def make_stages(self, num_items: int) -> tuple[Stage, ...]:
        """The stages of the class in order; of --variant=together one."""
        s, steps = self.settings, self.total_steps(num_items)
        if self.together:
            return (Stage("training", steps),)
        fusing = self.machine_stage("fusing_machines", *(f"fusing_machine_{m}" for m in self.dims))
        return (
            *self.machine_stages(), Stage("codes", s.codes_steps or steps, ("codes",)), *[fusing] * self.fusing,
            Stage("semantic", s.semantic_steps or steps, ("semantic",)), Stage("common", steps, ("common",)),
        )

    @property
    def players(self) -> Players:
        """A player for each stage of networks, and one for each machine; of --variant=together one for all."""
        if self.together:
            return super().players
        found: Players = {name: (name,) for name in self.machines}
        own = {"codes": ("encoder", "decoder"), "semantic": ("semantic",), "common": ("common", "classifier")}
        for player, kinds in own.items():
            found[player] = tuple(name for name in self.networks if name.partition("_")[0] in kinds)
        return found

    @property
    def rates(self) -> dict[str, float]:
        """With the authors' sgd, the ratio of each stage's rate to that of the last."""
        if not self.authors_sgd:
            return {}
        own = {player: descent.learning_rate for player, descent in DESCENTS.items()}
        if not self.settings.rbm_pretrain:
            own["codes"] = CODES_RATE
        return {player: rate / BASE_RATE for player, rate in own.items()}

    def make_optimizer(self, player: str, learning_rate: Rate) -> keras.optimizers.Optimizer:
        """As DeepNet.make_optimizer; with the authors' sgd of each stage its own, and Adam for codes of features."""
        s = self.settings
        if not self.authors_sgd or player in self.machines:
            return super().make_optimizer(player, learning_rate)
        if player == "common":
            return SGD(learning_rate, momentum=0.9, l2=s.weight_decay or 4e-3, name="sgd_common")
        if player == "codes" and not s.rbm_pretrain:
            return Adam(learning_rate, epsilon=1e-8, name="adam_codes")
        return self.descending(player, learning_rate)

    def begin(self, data: MultiModalData) -> dict[str, Any]:
        """Before the last stage, sets its scalings to the training items."""
        found = super().begin(data)
        for m, x in data.splits["train"].features.items() if self.stage.name == "common" else ():
            self.networks[f"scaled_{m}"].set(rows_of(functools.partial(self.semantic, m), x), "zscore")
        return found

    def upper_machines(self, stage: str, batch: Batch) -> Iterator[tuple[str, tf.Tensor]]:
        """Yields the machine over each modality's codes, and the codes (B, k)."""
        for m in self.dims:
            yield f"fusing_machine_{m}", self.encoded(m, batch[m])

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The weighted losses of a batch, name -> scalar: of the stage, or with --variant=together of all."""
        if self.together:
            x, codes = batch, {m: self.networks[f"encoder_{m}"](batch[m]) for m in self.dims}
            before = codes if self.settings.end_to_end else {m: tf.stop_gradient(c) for m, c in codes.items()}
            return self.losses_of_codes(x, codes) | self.losses_of_tasks(before, batch["label"])
        if step.stage == "codes":
            x = {m: self.seen(m, batch[m]) for m in self.dims}
            loss = self.losses_of_codes(x, {m: self.networks[f"encoder_{m}"](x[m]) for m in self.dims})
            return {name: value / 2 for name, value in loss.items()}
        if step.stage == "semantic":
            logits = {m: self.networks[f"semantic_{m}_classifier"](self.semantic(m, batch[m])) for m in self.dims}
            return {
                f"class_{m}": tf.reduce_mean(losses.semantic_discrimination(x[None], batch["label"]))
                for m, x in logits.items()
            }
        return self.losses_of_tasks({m: self.task_input(m, batch[m]) for m in self.dims}, batch["label"])

    def losses_of_codes(self, x: dict[str, tf.Tensor], codes: dict[str, tf.Tensor]) -> Losses:
        """The losses of codes of x, both by modality, name -> scalar."""
        reconstructed = sum(squares(self.networks[f"decoder_{m}"](codes[m]) - x[m]) for m in self.dims)
        apart = sum(squares(codes[m] - codes[n]) for m, n in itertools.combinations(self.dims, 2))
        correlation = self.settings.correlation
        return {
            "reconstruction": (1 - correlation) * tf.reduce_mean(reconstructed),
            "correlation": correlation * tf.reduce_mean(apart),
        }

    def losses_of_tasks(self, inputs: dict[str, tf.Tensor], labels: tf.Tensor) -> Losses:
        """The losses of the common networks on their inputs by modality, name -> scalar."""
        s, net = self.settings, self.networks
        shared = {m: net[f"common_{m}"](inputs[m]) for m in self.dims}  # z
        common = {m: self.last(z) for m, z in shared.items()}  # h
        inter = sum(
            losses.margin_contrastive(losses.squared_distances(common[m], common[n]), labels, s.margin)
            for m, n in itertools.combinations(self.dims, 2)
        )
        intra = losses.semantic_discrimination(tf.stack([net[f"classifier_{m}"](shared[m]) for m in self.dims]), labels)
        return {"contrastive": s.beta * tf.reduce_mean(inter), "class": tf.reduce_mean(intra)}

    def last(self, z: tf.Tensor) -> tf.Tensor:
        """h of z (B, k)."""
        return self.settings.unit(z) if self.together else tf.sigmoid(z)

    def encoded(self, m: str, x: tf.Tensor) -> tf.Tensor:
        """c_m of features (B, d)."""
        return self.networks[f"encoder_{m}"](self.seen(m, x))

    def semantic(self, m: str, x: tf.Tensor) -> tf.Tensor:
        """s_m (B, k) of features (B, d)."""
        codes = self.encoded(m, x)
        return self.networks[f"semantic_{m}"](self.networks[f"fusing_machine_{m}"](codes) if self.fusing else codes)

    def task_input(self, m: str, x: tf.Tensor) -> tf.Tensor:
        """What the common network sees, (B, k), of features (B, d)."""
        if self.together:
            return self.encoded(m, x)
        return self.networks[f"scaled_{m}"](self.semantic(m, x))

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """The common representation h_m (B, k) of features (B, d)."""
        return self.last(self.networks[f"common_{modality}"](self.task_input(modality, features)))


def squares(x: tf.Tensor) -> tf.Tensor:
    """Squared length of each row of x (B, d): (B,)."""
    return tf.reduce_sum(x**2, axis=-1)
