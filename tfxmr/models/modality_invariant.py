"""Modality-invariant image-sentence embedding (Liu et al., TOMM 2019)."""
import dataclasses
import warnings
from collections.abc import Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.core.wording import counted
from tfxmr.data.multimodal import MultiModalData
from tfxmr.engine import randomness
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.layers import reverse_gradient
from tfxmr.engine.optimizers import BySteps
from tfxmr.engine.parts.recurrent import INITS
from tfxmr.engine.parts.sentence_encoder import END, START, SentenceEncoder, with_marks
from tfxmr.engine.parts.triplet import NEGATIVES, different, triplet
from tfxmr.models._adversary import Adversarial, AdversarySettings
from tfxmr.models.base import Batch, Losses, Networks, Players, Rate, Stage, Step, Update

WORDS = "text.words"
STAGES = ("embedding", "classifier", "joint")
COLLAPSED = 0.03  # of the loss of equal embeddings, within which a collapse is suspected
LEAST_STEPS = 100  # of small data an epoch is a few steps, in which no embedding gets far


@dataclasses.dataclass(frozen=True)
class ModalityInvariantSettings(AdversarySettings):
    """Settings of the modality-invariant embedding; the defaults of the encoders are VSE++'s, the paper's not known."""

    epochs: int = changed(30, help_text="Training epochs of all stages together, if --steps is 0.")
    stages: tuple[int, ...] = setting(
        (15, 2, 13), "Shares of the training of its three stages: the embedding alone; the modality classifier alone; "
        "both. 0 skips a stage: 1,0,0 is the embedding without an adversary.", minimum=0,
    )
    batch_size: int = changed(128, "An item is an image with one of its sentences.")
    learning_rate: float = changed(2e-4, "Take 1e-3 on a few thousand items.", grid=(2e-4, 5e-4, 1e-3))
    decay_epochs: int = setting(
        15, "Epochs after which the encoders' learning rate is divided by 10, each time; 0: never. The modality "
        "classifier keeps its own.", minimum=0,
    )
    clip_norm: float = setting(
        2.0, "Largest norm of the gradient of both encoders together, of the loss per example; 0: any. VSE++ clips the "
        "sum over a batch at 2, which it is at every step: .0156 here at its batch of 128.", minimum=0.0,
    )
    select: str = changed("validation")
    units: int = setting(1024, "Width of the embedding and of the GRU.", minimum=1)
    word_table: str = setting(
        "learned", "Vectors of the words. learned: uniform in +-.1 at first; data: those that come with the view "
        "text.words, which stay as they are.", choices=("learned", "data"),
    )
    word_width: int = setting(300, "Width of learned word vectors.", minimum=1)
    text_layer: bool = setting(False, "A linear layer after the GRU, as images have one; VSE++ has none.")
    init: str = setting(
        "torch", "Initial weights of the GRU with n units. torch: weights and biases uniform in +-1/sqrt(n); glorot: "
        "those of the input Glorot uniform, the others orthogonal, biases 0.", choices=INITS,
    )
    margin: float = setting(
        0.2, "By how much the own partner is to be more similar than others.", minimum=0.0, grid=(0.1, 0.2, 0.3)
    )
    negatives: str = setting(
        "all", "Items of a batch from which an item is kept away: one that is drawn, all, or the hardest (the most "
        "similar). The first stage takes all in the place of hardest, which collapses from random weights.",
        choices=NEGATIVES,
    )
    adv_loss: str = setting(
        "grl", "How the encoders are trained against the modality classifier. grl: they ascend its loss, by a reversed "
        "gradient; flipped: they descend its loss of the wrong modality; none: not at all, the classifier looks on.",
        choices=("grl", "flipped", "none"),
    )
    adv_weight: float = setting(1.0, "Weight of the adversarial loss beside the triplet loss.", minimum=0.0)
    lambda_adv: float = changed(
        help_text="Factor of what the encoders get of the adversarial loss, in the joint stage.", grid=(0.01, 0.1, 1.0)
    )
    classifier_units: tuple[int, ...] = setting(
        (512, 256), "Widths of the modality classifier's hidden layers.", minimum=1
    )
    classifier_loss: float = setting(
        0.3, "Loss at which the second stage stops to train the classifier: a perfect one has no gradient to reverse.",
        minimum=0.0,
    )

    def __post_init__(self) -> None:
        """Raises InputError for values out of range, or stages that are not three shares."""
        super().__post_init__()
        if len(self.stages) != 3 or not sum(self.stages):
            shown = ",".join(map(str, self.stages))
            raise InputError(f"--stages={shown}: give three shares, not all 0, such as --stages=15,2,13")


class ModalityInvariant(Adversarial):
    """Images and sentences in one space, from which a classifier cannot tell which of the two an item is.

    An image has features x, a sentence the words w_1 ... w_T. With unit-norm embeddings

        v = W (x / ||x||) + b,  v / ||v||        t = the GRU's state after the end mark,  t / ||t||

    and S_nk = v_n . t_k of the items n, k of a batch (an item is an image with one of its sentences), D the modality
    classifier, m its target, the modality,

        L_triplet = mean over n of  sum over k of max(0, margin - S_nn + S_nk) + max(0, margin - S_nn + S_kn)
        L_mod     = mean over the 2 B embeddings z of  - log softmax(D(z))_m

    where k runs over the items of other images: sentences of one image are no negatives of each other's image. The
    training has three stages:

        embedding    min over W, b, GRU, word vectors:  L_triplet
        classifier   min over D:  L_mod, until it is `classifier_loss`
        joint        min over D:  L_mod;  min over the rest:  L_triplet - lambda adv_weight L_mod

    by a reversed gradient (Ganin and Lempitsky, ICML 2015), or with --adv_loss=flipped L_triplet + lambda adv_weight
    times L_mod with the other modality as target, whose gradient does not vanish before a good classifier. lambda rises
    to `lambda_adv` over the joint stage. Retrieval compares by cosine. Classes are not used.

    Differs from the paper, whose text but for the abstract is not public: the encoders, the triplet loss and their
    numbers are those of VSE++ (Faghri et al., BMVC 2018), the nearest public code; the widths of D, the lengths of the
    stages and the ramp are this project's. Losses are per example: summed over the batch, as VSE++ has it, the triplet
    loss of the beginning is 6,500 and no adversary with .69 is felt. Of VSE++ differ: all sentences of the image, not
    the own one alone, are no negatives (there five rows of one image may repel each other); batches are drawn
    independently of each other; the words are those of training sentences alone. The fourth stage, which fine-tunes the
    image network at a tenth of the rate, needs pixels: with features that are there already it is skipped.
    """

    Settings = ModalityInvariantSettings
    settings: ModalityInvariantSettings
    paper = "Liu et al., TOMM 2019"
    citation = """
    @article{liu2019modality,
      author = {Ruoyu Liu and Yao Zhao and Shikui Wei and Liang Zheng and Yi Yang},
      title = {Modality-Invariant Image-Text Embedding for Image-Sentence Matching},
      journal = {ACM Transactions on Multimedia Computing, Communications, and Applications},
      volume = {15},
      number = {1},
      pages = {27:1--27:19},
      year = {2019},
      doi = {10.1145/3300939}
    }
    """
    provenance = "the abstract; encoders and triplet loss from VSE++'s code, the rest this project's"
    modalities = ("image", "text")
    inputs = ("image", WORDS)
    pairs = True
    multi_label = True  # it looks at no class
    takes_items = True
    torch_epsilon = True
    zero_shot = True
    marks: tuple[int, ...] = ()  # numbers of the marks that sentences get here, where they bring none

    def check(self, data: MultiModalData) -> None:
        """Raises InputError where word vectors of the data are asked for and there are none."""
        super().check(data)
        if self.settings.word_table == "data" and WORDS not in data.tables:
            raise InputError(
                f"--word_table=data: dataset {data.name} has no vectors of the words of {WORDS}; take "
                "--word_table=learned, or words with vectors: `tfxmr extract --text_features=sequence`"
            )

    def make_networks(self, data: Shapes) -> Networks:
        """Builds the image's layer, the sentence's encoder (and layer), and the modality classifier."""
        s = self.settings
        vocabulary, table = data.vocabularies.get(WORDS), data.tables.get(WORDS)
        fixed = s.word_table == "data"
        words = len(data.tables[WORDS] if vocabulary is None else vocabulary) - 1
        if not fixed and not (vocabulary and {START, END} <= set(vocabulary)):  # a fixed table has no vectors of marks
            self.marks = words + 1, words + 2
        text = SentenceEncoder(
            words + len(self.marks), s.units, width=s.word_width, table=table if fixed else None, init=s.init,
            cut=not s.jit_compile, seed=self.own_seed("text"), name="text", dtype=self.policy,
        )
        made = {"image": self.tower("image", data.dims["image"], (s.units,)), "text": text}
        if s.text_layer:
            made["text_layer"] = self.tower("text_layer", s.units, (s.units,))
        return made | {"classifier": self.tower("classifier", s.units, (*s.classifier_units, 2))}

    @property
    def players(self) -> Players:
        """Both encoders, and the modality classifier."""
        encoders = ("image", "text", "text_layer") if self.settings.text_layer else ("image", "text")
        return {"embedding": encoders, "classifier": ("classifier",)}

    def make_stages(self, num_items: int) -> tuple[Stage, ...]:
        """Up to three stages, whose steps are shares of the whole."""
        shares = self.settings.stages
        ends = np.rint(self.total_steps(num_items) * np.cumsum((0, *shares)) / sum(shares)).astype(int)
        players = (("embedding",), ("classifier",), None)
        parts = zip(STAGES, np.diff(ends).tolist(), players, strict=True)
        return tuple(Stage(name, steps, own) for name, steps, own in parts if steps)

    def own_rate(self, steps_per_epoch: int) -> Rate:
        """The settings' rate, divided by 10 every `decay_epochs`: that of the encoders."""
        epochs = self.settings.decay_epochs
        return self.decaying(0.1, epochs, steps_per_epoch) if epochs else self.settings.learning_rate

    def make_optimizer(self, player: str, learning_rate: Rate) -> keras.optimizers.Optimizer:
        """As Method.make_optimizer; the encoders' rate alone decays, and theirs is the clip."""
        if player == "classifier" and isinstance(learning_rate, BySteps):
            # it has to follow the embedding to the end: with a tenth of its rate it falls behind even unopposed
            learning_rate = self.settings.learning_rate
        optimizer = super().make_optimizer(player, learning_rate)
        if player == "embedding" and self.settings.clip_norm:
            optimizer.global_clipnorm = self.settings.clip_norm
        return optimizer

    def watchers(self) -> list[keras.callbacks.Callback]:
        """A warning of collapse, in the stages that train the embedding."""
        return [CollapseWarning(self.steps_per_epoch(self.shapes.items))] if self.stage.name != "classifier" else []

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the updates of the stage; those of the joint one are of the same weights."""
        if step.stage == "classifier":
            yield self.classify(self.represent(batch), self.settings.classifier_loss)
            return
        with tf.GradientTape() as tape:
            common = self.represent(batch)
            image, text = tf.unstack(common)
            found, collapse = self.matching(image, text, batch["item"], step)
            if step.stage == "joint" and self.settings.adv_loss != "none":
                found["adversary"] = self.adversary(common, self.reversal(step))
        embedding = *self.minimise("embedding", found, tape), {"collapse": collapse}
        classifier = [self.classify(common)] if step.stage == "joint" else []
        yield embedding
        yield from classifier

    def represent(self, batch: Batch) -> tf.Tensor:
        """(v, t) stacked: (2, B, units), unit-norm rows."""
        return tf.stack([self.embed(m, batch) for m in ("image", "text")])

    def matching(self, image: tf.Tensor, text: tf.Tensor, items: tf.Tensor, step: Step) -> tuple[Losses, tf.Tensor]:
        """The triplet loss of unit-norm embeddings (B, d).

        Args:
          image, text: of the pairs.
          items: int (B,), the image that each pair is of.
          step: Step.

        Returns:
          ({"triplet": scalar}, its share of what it would be if all embeddings were equal).
        """
        s, allowed = self.settings, different(items)
        negatives = "all" if s.negatives == "hardest" and step.stage == "embedding" else s.negatives

        def loss(similarities: tf.Tensor) -> tf.Tensor:
            directions = enumerate((similarities, tf.transpose(similarities)))
            return sum(
                tf.reduce_mean(triplet(one, allowed, s.margin, negatives, randomness.fold_in(step.seed, i)))
                for i, one in directions
            )

        similarities = tf.matmul(image, text, transpose_b=True)
        found = loss(similarities)
        return {"triplet": found}, tf.math.divide_no_nan(found, loss(tf.zeros_like(similarities)))

    def adversary(self, common: tf.Tensor, factor: float | tf.Tensor) -> tf.Tensor:
        """The adversarial loss of the encoders, of (2, B, d), a scalar; `factor` as `reversal` gives it."""
        s = self.settings
        if s.adv_loss == "grl":
            return s.adv_weight * tf.reduce_mean(self.modality_losses(reverse_gradient(common, factor))[0])
        return s.adv_weight * factor * tf.reduce_mean(self.modality_losses(common[::-1])[0])

    def modality_losses(self, common: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """(The cross-entropies, the hits) of the modality, float32 (2, B) each, of (2, B, d): images, then texts."""
        logits = self.networks["classifier"](common)
        targets = tf.repeat([[0], [1]], tf.shape(common)[1], axis=1)
        hits = tf.argmax(logits, axis=-1, output_type=tf.int32) == targets
        return tf.nn.sparse_softmax_cross_entropy_with_logits(targets, logits), tf.cast(hits, tf.float32)

    def classify(self, common: tf.Tensor, least: float = 0.0) -> Update:
        """The classifier's update on (2, B, d), of which it stays below a loss of `least`."""
        with tf.GradientTape() as tape:
            values, hits = self.modality_losses(tf.stop_gradient(common))
            found = {"modality": tf.maximum(tf.reduce_mean(values), least)}
        return *self.minimise("classifier", found, tape), {"accuracy": tf.reduce_mean(hits)}

    def embed(self, modality: str, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """v or t (B, units), with unit norm; an image without features is b / ||b||."""
        if modality == "image":
            made = self.networks["image"](tf.math.l2_normalize(features["image"], -1))
        else:
            words = with_marks(features[WORDS], *self.marks) if self.marks else features[WORDS]
            made = self.networks["text"](words)
            made = self.networks["text_layer"](made) if self.settings.text_layer else made
        return tf.math.l2_normalize(made, -1)


class CollapseWarning(keras.callbacks.Callback):
    """Warns once if the triplet loss stays for an epoch what it is for equal embeddings; it stops nothing.

    Hardest negatives from random weights lead there: all items come to one point, where the loss is 2 margin and hardly
    has a gradient. Some data leave it by themselves.

    Args:
      epoch: steps of an epoch, of which `LEAST_STEPS` are taken at least.
    """

    def __init__(self, epoch: int) -> None:
        super().__init__()
        self.epoch = max(epoch, LEAST_STEPS)
        self.since: int | None = None

    def on_train_batch_end(self, batch: int, logs: Any = None) -> None:
        """Looks at the last step of an execution."""
        step = self.model.steps_done
        if abs(logs["shown/collapse"] - 1) > COLLAPSED:
            self.since = step
        elif self.since is None:
            self.since = step - 1
        elif self.since >= 0 and step - self.since >= self.epoch:
            warnings.warn(
                f"step {step}: for {counted(self.epoch, 'step')} the triplet loss has been within {COLLAPSED:.0%} of "
                "what it is if all embeddings are equal; if it stays there, they have collapsed: train by "
                "--negatives=all first (--stages=15,2,13), by a larger --learning_rate, a smaller --lambda_adv, or "
                "longer", stacklevel=2,
            )
            self.since = -1  # said once
