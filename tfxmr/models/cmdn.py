"""CMDN: cross-media multiple deep networks (Peng et al., IJCAI 2016)."""
import dataclasses
import functools
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import losses
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.layers import Dense
from tfxmr.engine.optimizers import Adam
from tfxmr.models._boltzmann import Descent
from tfxmr.models._deepnet import Scaling, Staged, StagedSettings, deepnet_recipes, kind_of, rows_of
from tfxmr.models.base import Batch, Losses, Networks, Players, Rate, Stage, Step

# the authors' descent in the stages of networks, by the first word of their names
DESCENTS = {
    "semantic": Descent(0.01, 50_000, decay="exponential", rise=None),
    "common": Descent(0.05, 20_000, l2=1e-4),
}
BASE_RATE = 0.01  # the authors' of the stage "semantic", which --learning_rate replaces; others keep their ratio to it
# Adam's of autoencoders: the authors' rates suit their logistic outputs; at .1 linear ones of 1,024 units diverge
AUTOENCODER_RATE = 1e-3


@dataclasses.dataclass(frozen=True)
class CMDNSettings(StagedSettings):
    """Settings of CMDN: widths of the released code; optimizer and length are this project's choice."""

    # not epochs: on 200 pairs 100 of them are 100 steps, after which logistic codes tell nothing apart yet
    steps: int = changed(
        1500, help_text="Training steps of each stage whose own are not given; 0 takes --epochs."
    )
    epochs: int = changed(help_text="Training epochs of each stage at most, if --steps is 0.")
    autoencoder_steps: int = setting(
        0, "Steps of each stage of autoencoders below the classifying networks; the authors' are 100000. 0: as "
        "--steps.", minimum=0,
    )
    batch_size: int = changed(128)
    optimizer: str = changed(
        "sgd", help_text="The optimizer: adam; or sgd, with --variant=staged the authors', of each stage its own rate, "
        "decay, momentum and weight decay, but Adam in stages of autoencoders."
    )
    learning_rate: float = changed(
        0.01, "With --optimizer=sgd --variant=staged that of the classifying networks, to which the rates of the other "
        "stages keep their ratio.", grid=(3e-3, 1e-2),
    )
    variant: str = changed(
        why="Together units are tanh; it suits --optimizer=adam --learning_rate=3e-4 --feature_norm=l2 --end_to_end."
    )
    activation: str = changed(
        "tanh", help_text="Units of the autoencoders that stand for machines, and with --variant=together of all "
        "layers but the intra ones.", choices=("sigmoid", "tanh"),
    )
    intra_units: tuple[int, ...] = setting((1024, 512), "Widths of each modality's own encoder.", minimum=1, parts=1)
    inter_units: tuple[int, ...] = setting(
        (1024, 2048), "Widths of each modality's layers below the joint code, and last of the joint code. With "
        "--rbm_pretrain machines take the place of the layers below.", minimum=1, parts=1,
    )
    merged_units: tuple[int, ...] = setting(
        (1024,), "Width of the code of both (the last one) and layers below it.", minimum=1, parts=1
    )
    semantic_inputs: str = setting(
        "merged", "What the classifying networks see: the merged codes, as the paper; machines: the outputs of the "
        "upper machines of --rbm_pretrain; features. The stages between are skipped.",
        choices=("merged", "machines", "features"),
    )
    common_units: tuple[int, ...] = setting(
        (512, 256, 128, 64), "Widths of the stacked joint autoencoders; the last is what retrieval compares, as many "
        "as do best on validation.", minimum=1, grid=((512,), (512, 256), (512, 256, 128), (512, 256, 128, 64)),
    )

    def __post_init__(self) -> None:
        """Raises InputError for settings that do not go together, before anything is trained."""
        super().__post_init__()
        if self.semantic_inputs == "machines" and not self.rbm_pretrain:
            raise InputError("--semantic_inputs=machines: there are none; add --rbm_pretrain")
        if self.semantic_inputs != "merged" and self.variant == "together":
            raise InputError(f"--semantic_inputs={self.semantic_inputs}: is of --variant=staged")


class CMDN(Staged):
    """Codes of a modality alone and codes of all modalities jointly, merged, classified, and stacked to a common one.

    With S the square of a vector's length, one half of it, and as means over items, the stages minimise, each with the
    weights below as the stages before left them,

        intra_i   a_m = A_m(x_m), layers 1 to i      S(x_m - D(a_m)); in each i all layers so far, ReLU, D's last linear
        between   I_m(x_m)                           S(x_m - D(I_m(x_m)))
                  q_m = C(I_m alone)                 J(I)
                  r_m = M_m([a_m; q_m])              S([a_m; q_m] - D(r_m))
        semantic  s_m = S_m(z(r_m)), ReLU            - log softmax(P_m(s_m))_l
        common_i  h_m = C_i(h_m below, s_m, alone)   J(h) - log softmax(P(C))_l, logistic units

    z are z-scores by the training items. A joint autoencoder has one layer over the parts y_m of all modalities
    present, C = unit(sum of y_m W_m + b), and reconstructs all y_m, also of one modality alone:

        J(y) = mean over the inputs {all m} and {m} for each m, of the sum over n of S(y_n - D_n(C))

    Retrieval compares the last level's h_m by cosine. They are of one sign: --eval_znorm=train scales each of their
    dimensions by the training items first; the released evaluation, by the test items (--eval_znorm=group).

    With --rbm_pretrain restricted Boltzmann machines (tfxmr.models._boltzmann) take the place of the stage between,
    as in the paper: each modality's stack ("machines_0", ...), which is I_m; one over all modalities' outputs
    ("joint_machine"), q_m its hidden units after ten rounds of mean-field inference of the other modalities; and one a
    modality over a_m, scaled to [0, 1], and q_m ("merge_machines"). These need paired items.

    With --variant=together, this project's, all stages train at once, with tanh in place of logistic units and ReLU,
    without z, S as means over a layer's units, so that no stage outweighs another; gradients stop between the stages
    unless --end_to_end.

    Differs from the paper: without --rbm_pretrain autoencoders stand for its machines, trained at once with no gradient
    between them; the scalings between the stages are by the training items, where the release's are by each split's
    own; one batch size for all stages but those of machines; of intra the outputs are linear, on z-scores, by
    Adam; the weights are chosen by validation. More than two modalities, and the pairing by class of
    items that share no rows, are this project's.
    """

    Settings = CMDNSettings
    settings: CMDNSettings
    paper = "Peng et al., IJCAI 2016"
    citation = """
    @inproceedings{peng2016cross,
      author = {Yuxin Peng and Xin Huang and Jinwei Qi},
      title = {Cross-Media Shared Representation by Hierarchical Learning with Multiple Deep Networks},
      booktitle = {Proceedings of the 25th International Joint Conference on Artificial Intelligence},
      pages = {3846--3853},
      year = {2016}
    }
    """
    provenance = "the authors' code; its Boltzmann machines are --rbm_pretrain"
    least_modalities = 2
    least_classes = 2
    recipes = deepnet_recipes(100_000, 200_000, 200_000, 100_000)
    descents = DESCENTS

    def check(self, data: MultiModalData) -> None:
        """As DeepNet.check; a machine over all modalities needs items that have all of them."""
        super().check(data)
        if self.settings.rbm_pretrain and not data.splits["train"].paired:
            raise InputError(
                "--rbm_pretrain: a machine over all modalities needs pairs, and these modalities share no rows; take "
                "--norbm_pretrain"
            )

    def make_networks(self, data: Shapes) -> Networks:
        """Builds the networks of every stage."""
        s, staged, unit = self.settings, not self.together, self.settings.unit
        shapes: dict[str, tuple] = {}
        others: Networks = {}
        widths = dict(data.dims)
        for m, d in data.dims.items():
            if staged:
                others[f"standard_{m}"] = Scaling(d, name=f"standard_{m}")
            if self.depth:
                shapes |= autoencoder(f"intra_{m}", d, s.intra_units, tf.nn.relu)
        if s.rbm_pretrain and s.semantic_inputs != "features":
            machines, widths = self.make_machines(data.dims)
            others |= machines
        self.levels_by_name = {}
        if s.semantic_inputs == "merged":
            joint, merged = s.inter_units[-1], s.merged_units[-1]
            if s.rbm_pretrain:
                others["joint_machine"] = self.machine("joint_machine", list(widths.values()), joint, "joint")
            else:
                below = s.inter_units[:-1] or (joint,)
                self.levels_by_name["joint"] = below[-1], joint, unit
            for m, d in data.dims.items():
                parts = s.intra_units[-1], joint
                if s.rbm_pretrain:
                    others[f"range_{m}"] = Scaling(parts[0], name=f"range_{m}")
                    others[f"merge_machine_{m}"] = self.machine(f"merge_machine_{m}", parts, merged, "merging")
                else:
                    shapes |= autoencoder(f"inter_{m}", d, below, unit)
                    shapes |= autoencoder(f"merge_{m}", parts, s.merged_units, unit)
            widths = dict.fromkeys(data.dims, merged)
        semantic, level = (tf.nn.relu, tf.sigmoid) if staged else (unit, unit)
        for m, d in widths.items():
            if staged:
                others[f"scaled_{m}"] = Scaling(d, name=f"scaled_{m}")
            shapes[f"semantic_{m}"] = d, s.semantic_units, semantic, semantic
            shapes[f"semantic_{m}_classifier"] = s.semantic_units[-1], (data.num_classes,), None, None
        for i, (part, code) in enumerate(zip((s.semantic_units[-1], *s.common_units), s.common_units, strict=False), 1):
            self.levels_by_name[f"common_{i}"] = part, code, level
            shapes[f"common_{i}_classifier"] = code, (data.num_classes,), None, None
        for name, (part, code, activation) in self.levels_by_name.items():
            last = activation if staged and name != "joint" else None
            shapes[name] = (part,) * len(data.dims), (code,), None, activation
            shapes |= {f"{name}_decoder_{m}": (code, (part,), None, last) for m in data.dims}
        return {
            name: self.tower(
                name, inputs, units, activation=hidden, output_activation=last, init=self.init_of(name),
                by_layers=staged and name.startswith("intra_"),
            )
            for name, (inputs, units, hidden, last) in shapes.items()
        } | others

    def init_of(self, name: str) -> str:
        """Initial weights of a network: DeepNet's for those of the authors."""
        own = not self.together and kind_of(name) not in ("inter", "joint", "merge")
        return "fan_out" if own else "glorot"

    @property
    def depth(self) -> int:
        """Layers of a modality's own encoder; 0 where it has no part in what is classified."""
        return len(self.settings.intra_units) if self.settings.semantic_inputs == "merged" else 0

    def make_stages(self, num_items: int) -> tuple[Stage, ...]:
        """The stages of the class in order; of --variant=together one."""
        s, steps = self.settings, self.total_steps(num_items)
        if self.together:
            return (Stage("training", steps),)

        def stages(*names: str, length: int) -> list[Stage]:
            return [Stage(name, length or steps, (name,)) for name in names]

        found = stages(*(f"intra_{i}" for i in range(1, self.depth + 1)), length=s.autoencoder_steps)
        if s.rbm_pretrain and s.semantic_inputs != "features":
            found += self.machine_stages()
        if s.semantic_inputs == "merged" and s.rbm_pretrain:
            found.append(self.machine_stage("joint_machine", "joint_machine"))
            found.append(self.machine_stage("merge_machines", *(f"merge_machine_{m}" for m in self.dims)))
        elif s.semantic_inputs == "merged":
            found += stages("between", length=s.autoencoder_steps)
        found += stages("semantic", length=s.semantic_steps)
        return tuple(found + stages(*(f"common_{i}" for i in range(1, len(s.common_units) + 1)), length=0))

    @property
    def players(self) -> Players:
        """A player for each stage of networks, and one for each machine; of --variant=together one for all."""
        if self.together:
            return super().players
        found: Players = {name: (name,) for name in self.machines}
        towers = [n for n in self.networks if n not in found and not isinstance(self.networks[n], Scaling)]
        prefixes: Players = {f"intra_{i}": ("intra_",) for i in range(1, self.depth + 1)}
        prefixes |= {"between": ("inter_", "joint_", "merge_"), "semantic": ("semantic_",)}
        prefixes |= {name: (f"{name}_",) for name in self.levels_by_name if name != "joint"}
        for name, own in prefixes.items():
            found[name] = tuple(n for n in towers if f"{n}_".startswith(own))
        return {player: names for player, names in found.items() if names}

    def variables_of(self, player: str) -> list[keras.Variable]:
        """As Method.variables_of; of an intra stage those of the layers so far: first ones up, last ones down."""
        if not player.startswith("intra_"):
            return super().variables_of(player)
        depth = int(player.rpartition("_")[2])
        layers = [layer for m in self.dims for tower in self.intra_layers(m, depth) for layer in tower]
        return [v for layer in layers for v in layer.trainable_variables]

    def intra_layers(self, m: str, depth: int) -> tuple[list[Dense], list[Dense]]:
        """The first `depth` layers of a modality's own encoder, and the last ones of its decoder."""
        return self.networks[f"intra_{m}"].layers[:depth], self.networks[f"intra_{m}_decoder"].layers[-depth:]

    @property
    def rates(self) -> dict[str, float]:
        """With the authors' sgd, the ratio of each stage's rate to that of "semantic"."""
        if not self.authors_sgd:
            return {}
        own = {kind: descent.learning_rate for kind, descent in DESCENTS.items()}
        return {player: own.get(kind_of(player), AUTOENCODER_RATE) / BASE_RATE for player in self.players}

    def make_optimizer(self, player: str, learning_rate: Rate) -> keras.optimizers.Optimizer:
        """As DeepNet.make_optimizer; with the authors' sgd of each stage its own, and Adam for autoencoders."""
        if player not in self.rates or player in self.machines:
            return super().make_optimizer(player, learning_rate)
        if kind_of(player) not in DESCENTS:
            return Adam(learning_rate, epsilon=1e-8, name=f"adam_{player}")
        return self.descending(player, learning_rate)

    def begin(self, data: MultiModalData) -> dict[str, Any]:
        """Before the first stage and those that take scaled codes, sets the scalings to the training items."""
        found = super().begin(data)
        if self.together:
            return found
        features = data.splits["train"].features
        for m in self.dims:
            if self.stage == self.stages[0]:
                self.networks[f"standard_{m}"].set(features[m], "zscore")
            if self.stage.name == "merge_machines":
                self.networks[f"range_{m}"].set(rows_of(functools.partial(self.intra, m), features[m]), "range")
            if self.stage.name == "semantic":
                self.networks[f"scaled_{m}"].set(rows_of(functools.partial(self.merged, m), features[m]), "zscore")
        return found

    def upper_machines(self, stage: str, batch: Batch) -> Iterator[tuple[str, tf.Tensor]]:
        """Yields the machine over all modalities' codes and these; or a modality's, and what it merges, (B, d) each."""
        if stage == "joint_machine":
            yield stage, tf.concat([self.seen(m, batch[m]) for m in self.dims], axis=-1)
        else:
            for m in self.dims:
                yield f"merge_machine_{m}", tf.concat(self.intra_and_joint(m, batch[m]), axis=-1)

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The losses of a batch, name -> scalar: of the stage, or with --variant=together of all."""
        if self.together:
            return self.losses_together(batch)
        loss: Losses = {}
        kind, number = kind_of(step.stage), step.stage.rpartition("_")[2]
        if kind == "intra":
            for m in self.dims:
                x, depth = self.standard(m, batch[m]), int(number)
                up, down = self.intra_layers(m, depth)
                made = x
                for i, layer in enumerate((*up, *down), 1):
                    made = layer(made) if i == 2 * depth else tf.nn.relu(layer(made))
                loss[f"intra_{m}"] = self.squared_error(tf.cast(made, tf.float32), x)
        elif kind == "between":
            own = {m: self.standard(m, batch[m]) for m in self.dims}
            self.between(own, {m: self.intra(m, batch[m]) for m in self.dims}, loss)
        elif kind == "semantic":
            for m in self.dims:
                self.classified(m, self.code(m, batch[m], 0), batch["label"], loss)
        else:
            parts = {m: self.code(m, batch[m], int(number) - 1) for m in self.dims}
            self.jointly(step.stage, parts, loss, batch["label"])
        return loss

    def losses_together(self, batch: Batch) -> Losses:
        """The losses of all stages, from codes that are computed once."""
        loss: Losses = {}
        parts: dict[str, tf.Tensor] = {}
        intra = {m: self.reconstructed(f"intra_{m}", (batch[m],), loss) for m in self.dims}
        for m, merged in self.between(batch, intra, loss).items():
            parts[m] = self.networks[f"semantic_{m}"](self.cut(merged))
            self.classified(m, parts[m], batch["label"], loss)
        for name in list(self.levels_by_name)[1:]:
            parts = self.jointly(name, {m: self.cut(v) for m, v in parts.items()}, loss, batch["label"])
        return loss

    def between(self, x: dict[str, tf.Tensor], intra: dict[str, tf.Tensor], loss: Losses) -> dict[str, tf.Tensor]:
        """r_m by modality, by what stands for machines.

        Args:
          x: features by modality, (B, d) each.
          intra: a_m by modality, (B, k) each.
          loss: name -> scalar, which the losses are added to.

        Returns:
          modality -> (B, merged_units[-1]).
        """
        inter = {m: self.reconstructed(f"inter_{m}", (x[m],), loss) for m in self.dims}
        joint = self.jointly("joint", {m: self.cut(v) for m, v in inter.items()}, loss)
        return {m: self.reconstructed(f"merge_{m}", (self.cut(intra[m]), self.cut(joint[m])), loss) for m in self.dims}

    def cut(self, x: tf.Tensor) -> tf.Tensor:
        """x, as the next stage takes it."""
        return x if self.settings.end_to_end else tf.stop_gradient(x)

    def squared_error(self, a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
        """S of a - b (..., B, d), as a mean over all items and inputs; b is broadcast to a's shape. A scalar."""
        if self.together:
            return tf.reduce_mean((a - b) ** 2)
        return 0.5 * tf.reduce_mean(tf.reduce_sum((a - b) ** 2, axis=-1))

    def reconstructed(self, name: str, parts: Sequence[tf.Tensor], loss: Losses) -> tf.Tensor:
        """The code (B, k) by the autoencoder `name` of one or several `parts` (B, d), whose loss is added to `loss`."""
        code = self.networks[name](*parts)
        loss[name] = self.squared_error(self.networks[f"{name}_decoder"](code), tf.concat(parts, axis=-1))
        return code

    def classified(self, m: str, codes: tf.Tensor, labels: tf.Tensor, loss: Losses) -> None:
        """Adds the classification loss of the codes (B, k) of a modality m, with labels (B,), to `loss`."""
        logits = self.networks[f"semantic_{m}_classifier"](codes)
        loss[f"semantic_{m}"] = tf.reduce_mean(losses.semantic_discrimination(logits[None], labels))

    def jointly(
        self, name: str, parts: dict[str, tf.Tensor], loss: Losses, labels: tf.Tensor | None = None,
    ) -> dict[str, tf.Tensor]:
        """Codes of each modality alone, by a joint autoencoder.

        Args:
          name: of the autoencoder.
          parts: what it sees by modality, (B, d) each.
          loss: name -> scalar, which its losses are added to.
          labels: (B,), which its codes are classified by; None: they are not.

        Returns:
          modality -> (B, k).
        """
        present = tf.concat((tf.ones((1, len(self.dims))), tf.eye(len(self.dims))), axis=0)  # (1 + M, M)
        codes = self.networks[name](*(present[:, i, None, None] * parts[m] for i, m in enumerate(self.dims)))
        reconstructed = {m: self.networks[f"{name}_decoder_{m}"](codes) for m in self.dims}  # (1 + M, B, d)
        loss[name] = sum(self.squared_error(reconstructed[m], parts[m]) for m in self.dims)
        if labels is not None:
            logits = self.networks[f"{name}_classifier"](codes)
            total = losses.semantic_discrimination(logits, labels)  # over 1 + M inputs
            loss[f"{name}_class"] = tf.reduce_mean(total) / (1 + len(self.dims))
        return dict(zip(self.dims, tf.unstack(codes[1:]), strict=True))

    def standard(self, m: str, x: tf.Tensor) -> tf.Tensor:
        """Features (B, d) as the networks take them."""
        return x if self.together else self.networks[f"standard_{m}"](x)

    def intra(self, m: str, x: tf.Tensor) -> tf.Tensor:
        """a_m (B, k) of features (B, d)."""
        return self.networks[f"intra_{m}"](self.standard(m, x))

    def inter(self, m: str, x: tf.Tensor) -> tf.Tensor:
        """I_m (B, k) of features (B, d), by an autoencoder or by machines."""
        return self.seen(m, x) if self.settings.rbm_pretrain else self.networks[f"inter_{m}"](self.standard(m, x))

    def intra_and_joint(self, m: str, x: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """a_m, with machines scaled to [0, 1], and q_m, (B, k) each, of features (B, d)."""
        own, between = self.intra(m, x), self.inter(m, x)
        if not self.settings.rbm_pretrain:
            return own, self.alone("joint", m, between)
        parts = [between if n == m else None for n in self.dims]
        return self.networks[f"range_{m}"](own), self.networks["joint_machine"].mean_field(parts)

    def merged(self, m: str, x: tf.Tensor) -> tf.Tensor:
        """r_m (B, k) of features (B, d), or what --semantic_inputs has in its place."""
        if self.settings.semantic_inputs == "features":
            return self.standard(m, x)
        if self.settings.semantic_inputs == "machines":
            return self.seen(m, x)
        name = f"merge_machine_{m}" if self.settings.rbm_pretrain else f"merge_{m}"
        return self.networks[name](*self.intra_and_joint(m, x))

    def classifying_input(self, m: str, x: tf.Tensor) -> tf.Tensor:
        """z(r_m) of features."""
        scaled = self.networks.get(f"scaled_{m}")
        return self.merged(m, x) if scaled is None else scaled(self.merged(m, x))

    def code(self, m: str, x: tf.Tensor, levels: int) -> tf.Tensor:
        """h_m (B, k) of the first `levels` common levels, of features x (B, d) of modality m; of 0 levels s_m."""
        code = self.networks[f"semantic_{m}"](self.classifying_input(m, x))
        for i in range(1, levels + 1):
            code = self.alone(f"common_{i}", m, code)
        return code

    def embed(self, modality: str, features: tf.Tensor) -> tf.Tensor:
        """The last level's h_m (B, k) of features (B, d)."""
        return self.code(modality, features, len(self.settings.common_units))

    def alone(self, name: str, modality: str, part: tf.Tensor) -> tf.Tensor:
        """The code (B, k) by the joint autoencoder `name` of one modality's part (B, d), without the others."""
        return self.networks[name](*(part if m == modality else tf.zeros_like(part) for m in self.dims))


def autoencoder(
    name: str, width: int | tuple[int, ...], units: Sequence[int], activation: Callable[[tf.Tensor], tf.Tensor],
) -> dict[str, tuple]:
    """The shapes of an encoder, and of a decoder that mirrors it.

    Args:
      name: of the encoder; the decoder's has "_decoder" after it.
      width: of what it encodes, or the widths of its parts.
      units: widths of the encoder's layers.
      activation: of all layers but the decoder's last.

    Returns:
      name -> (inputs, units, activation of hidden layers, of the last).
    """
    total = sum(width) if isinstance(width, tuple) else width
    return {
        name: (width, units, activation, activation),
        f"{name}_decoder": (units[-1], (*reversed(units[:-1]), total), activation, None),
    }
