"""MCSM: modality-specific cross-modal similarity measurement with recurrent attention (Peng et al., TIP 2018)."""
import dataclasses
from collections.abc import Iterator

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.settings import changed, setting
from tfxmr.engine import randomness
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.parts.attention import Attention, masked_softmax
from tfxmr.engine.parts.recurrent import LSTMStack
from tfxmr.engine.parts.text_convolution import ConvolutionStages
from tfxmr.engine.parts.triplet import different, triplet
from tfxmr.evaluation.similarity import blocks, scorer
from tfxmr.models.base import Batch, Losses, Method, Networks, OptimizerSettings, Players, Stage, Step, Update

BRANCHES = ("text", "image")  # in the order of their stages
Ranges = dict[str, tuple[NDArray, NDArray]]  # branch -> what is mapped to 0, and to 1, each (1, G) or (q, 1)
TEXT_WINDOWS = ((15, 5), (9, 5), (7, 6))  # of each stage of convolution: words of a window, places pooled


@dataclasses.dataclass(frozen=True)
class MCSMSettings(OptimizerSettings):
    """Settings of MCSM; the defaults are those of the authors' code."""

    steps: int = changed(10_000, help_text="Training steps of each branch; 0 takes --epochs.")
    batch_size: int = changed(40)
    optimizer: str = changed(
        "rmsprop", help_text="The optimizer: rmsprop, with a mean square that keeps .99 a step and an epsilon of 1e-8 "
        "outside the root, as Torch has it; adam, with --beta_1; or sgd, with --momentum.",
        choices=("rmsprop", "adam", "sgd"),
    )
    learning_rate: float = changed(1e-4, grid=(1e-4, 3e-4, 1e-3))
    margin: float = setting(0.5, "Margin alpha of the hinge losses.", minimum=0.0, grid=(0.2, 0.5))
    joint_units: int = setting(4096, "Width of each branch's space.", minimum=1)
    image_lstm_units: tuple[int, ...] = setting(
        (512, 512), "Widths of the LSTMs over an image's regions.", minimum=1, parts=1
    )
    text_lstm_units: tuple[int, ...] = setting(
        (256, 256), "Widths of the LSTMs over a text's places.", minimum=1, parts=1
    )
    text_convs: int = setting(
        3, "Stages of convolution, normalisation and pooling of a text's words at most (widths 15, 9, 7; pooled by 5, "
        "5, 6). As many are built as keep a place of the longest text: 3 from 354 words on, 2 from 79, 1 from 19; "
        "without any, one convolution of width 3 keeps every word a place.", minimum=0, maximum=3,
    )
    text_filters: tuple[int, ...] = setting(
        (384, 512, 256), "Widths of these three stages; the last is that of a lone convolution, too.", minimum=1,
        parts=len(TEXT_WINDOWS),
    )
    dropout_keep: float = setting(
        0.5, "Probability that dropout keeps an output of an LSTM, and an entry of the attention's tanh.",
        minimum=0.05, maximum=1.0,
    )
    attention: bool = setting(True, "Attention over regions and words; without, each counts the same.")
    attention_form: str = setting(
        "paper", "paper: the weights are softmax(w tanh(W h)) in both branches; code: those of texts "
        "softmax(w tanh(h)), as in the released code.", choices=("paper", "code"),
    )
    true_pairs: bool = setting(
        False, "The text branch, too, learns from true pairs; else a text gets a random training image of its class."
    )
    fusion: str = setting(
        "adaptive", "How the similarities of the branches become one. adaptive: each is weighted by the other, scaled "
        "to [0, 1] along a row; sum: they are added; image, text: one branch alone. `tfxmr evaluate` may change it.",
        choices=("adaptive", "sum", "image", "text"),
        affects="scoring",
    )
    fusion_rows: str = setting(
        "query", "Along which rows --fusion=adaptive scales. query: the query's, over the gallery; image: each image's "
        "over all texts, as the authors do in both directions: a text's ranking depends on the other texts asked.",
        choices=("query", "image"),
        affects="scoring",
    )
    fusion_weight: float = setting(
        0.5, "Share of the image branch's similarity in --fusion=adaptive and sum, in [0, 1]. Equal shares are the "
        "paper's formula; the authors' code takes the best of 101 on the test items, which this project does not: "
        "`tfxmr tune` searches it on validation items.", minimum=0.0, maximum=1.0, grid=(0.25, 0.5, 0.75),
        affects="scoring",
    )


class MCSM(Method):
    """Two spaces, each of one modality's finer structure, whose similarities are fused.

    Image branch: the regions x_1 ... x_49 of an image pass through LSTMs, h = W LSTM(x), and attention,

        a = softmax(w^T tanh(W_a h)),   v = sum over j of a_j h_j / || sum over j of a_j h_j ||,

    a text's vector t through one layer, u = U t / ||U t||; S_image(image, text) = <v, u>. Text branch: the other way
    round; the words pass through convolutions (each with batch normalisation, ReLU, pooling) before the LSTMs, an
    image's vector through sigmoid(U x), L2-normalised; S_text. Each branch by itself, with networks, batches and
    an optimizer of its own, minimises over its networks, as a mean over the items n of a batch,

        max(0, alpha - S(i_n, t_n) + S(i_n, t-)) + max(0, alpha - S(i_n, t_n) + S(i-, t_n))

    with one text t- and one image i- of another class, drawn from the batch. The image branch learns from true pairs,
    the text branch from texts with a random image of their class. (On data of items instead of classes the negative is
    any other item.) Retrieval compares, with r(S) = (S - min S) / (max S - min S) along the query's row over the whole
    gallery (0 where all are equal),

        Sim = 2 lambda r(S_text) S_image + 2 (1 - lambda) r(S_image) S_text,   lambda = 1/2

    The stage "text" comes before the stage "image"; --select=validation chooses among the steps of the latter alone.

    Differs from the paper: nothing is chosen on test items, where the authors take lambda from there; along the
    query's row, where theirs is the image's in both directions (--fusion_rows=image). Differs from the authors' code:
    its negatives, by a slip, are of any class, the anchor's own item among them; its texts are of 2,904 words, padding
    among them, where here padding has no part in LSTMs and attention (but in the batch normalisations' statistics);
    initial weights are Glorot and Bengio's, an LSTM has one bias a gate, whose first value is 0, and the attention's w
    has none, which softmax would not see.
    """

    Settings = MCSMSettings
    settings: MCSMSettings
    paper = "Peng et al., IEEE Trans. Image Processing 2018"
    citation = """
    @article{peng2018modality,
      author = {Yuxin Peng and Jinwei Qi and Yuxin Yuan},
      title = {Modality-Specific Cross-Modal Similarity Measurement with Recurrent Attention Network},
      journal = {IEEE Transactions on Image Processing},
      volume = {27},
      number = {11},
      pages = {5585--5599},
      year = {2018}
    }
    """
    provenance = "the authors' code"
    loss_names = {"other_text": "against another text", "other_image": "against another image"}
    modalities = ("image", "text")
    inputs = ("image", "image.regions", "text", "text.words")
    zero_shot = True
    whole_gallery = True

    def make_networks(self, data: Shapes) -> Networks:
        """Builds the networks of both branches: over the places of one modality, and of the other's vector."""
        s, (_, width) = self.settings, data.dims["image.regions"]
        self.table = tf.constant(data.tables["text.words"])  # row 0, of the padding, is 0
        (length,), filters = data.dims["text.words"], s.text_filters
        stages = [(n, *windows) for n, windows in zip(filters, text_windows(length, s.text_convs), strict=False)]
        convolutions = ConvolutionStages(
            self.table.shape[1], stages or [(filters[-1], 3, 1)], same=not stages, seed=self.own_seed("convolutions"),
            name="text_convolutions", dtype=self.policy,
        )
        inputs = {"image": width, "text": stages[-1][0] if stages else filters[-1]}
        made = {"text_convolutions": convolutions}
        for branch, units in (("text", s.text_lstm_units), ("image", s.image_lstm_units)):
            made[f"{branch}_lstm"] = LSTMStack(
                inputs[branch], units, keep=s.dropout_keep, forget_bias=0.0, seed=self.own_seed(f"{branch}_lstm"),
                name=f"{branch}_lstm", dtype=self.policy,
            )
            made[f"{branch}_places"] = self.tower(f"{branch}_places", units[-1], (s.joint_units,))
            if s.attention:
                made[f"{branch}_attention"] = Attention(
                    s.joint_units, hidden=branch == "image" or s.attention_form == "paper", keep=s.dropout_keep,
                    seed=self.own_seed(f"{branch}_attention"), name=f"{branch}_attention", dtype=self.policy,
                )
        made["image_vector"] = self.tower(
            "image_vector", data.dims["image"], (s.joint_units,), output_activation=tf.sigmoid
        )
        made["text_vector"] = self.tower("text_vector", data.dims["text"], (s.joint_units,))
        return made

    @property
    def players(self) -> Players:
        """The branches, which share nothing; a modality's vector is of the other's branch."""
        return {
            branch: tuple(n for n in self.networks if n.startswith(f"{branch}_") != (n.endswith("_vector")))
            for branch in BRANCHES
        }

    def make_stages(self, num_items: int) -> tuple[Stage, ...]:
        """A branch after the other, as long as each other."""
        steps = self.total_steps(num_items)
        samplers = {"text": "items" if self.settings.true_pairs else "repaired", "image": "items"}
        return tuple(Stage(branch, steps, (branch,), sampler=samplers[branch]) for branch in BRANCHES)

    def places(
        self, branch: str, views: dict[str, tf.Tensor], training: bool = False, seed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor | None]:
        """What attention weighs.

        Args:
          branch: "image" or "text".
          views: view -> (B, ...).
          training: whether batches are normalised by themselves.
          seed: int32 (2,) of the LSTMs' dropout masks; None: no dropout.

        Returns:
          (h (B, P, joint_units), which of the places are valid, bool (B, P), or None for all).
        """
        if branch == "image":
            x, valid = views["image.regions"], None
        else:
            words = views["text.words"]
            x, valid = self.networks["text_convolutions"](tf.gather(self.table, words), words > 0, training=training)
        return self.networks[f"{branch}_places"](self.networks[f"{branch}_lstm"](x, valid, seed=seed)), valid

    def attend(
        self, branch: str, h: tf.Tensor, valid: tf.Tensor | None, seed: tf.Tensor | None = None,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """The sum over places by their weights.

        Args:
          branch: "image" or "text".
          h: (B, P, d).
          valid: bool (B, P), the places that count; None: all.
          seed: int32 (2,) of the attention's dropout mask; None: no dropout.

        Returns:
          (The sum (B, d), the weights (B, P)).
        """
        if self.settings.attention:
            return self.networks[f"{branch}_attention"](h, valid, seed=seed)
        weights = masked_softmax(tf.zeros(tf.shape(h)[:2]), valid)
        return tf.einsum("bp,bpd->bd", weights, h), weights

    def vectors(self, branch: str, modality: str, views: dict[str, tf.Tensor], step: Step | None = None) -> tf.Tensor:
        """The vectors of the items of a modality in the space of a branch.

        Args:
          branch: "image" or "text".
          modality: likewise.
          views: view -> (B, ...).
          step: Step of a training; None: in use.

        Returns:
          (B, joint_units), unit-norm rows.
        """
        training = step is not None and step.training
        lstm_seed, attention_seed = (step.masks(0), step.masks(1)) if step is not None else (None, None)
        if modality == branch:
            made, _ = self.attend(branch, *self.places(branch, views, training, lstm_seed), attention_seed)
        else:
            made = self.networks[f"{modality}_vector"](views[modality])
        return tf.math.l2_normalize(made, -1)

    def compute_losses(self, batch: Batch, step: Step) -> Losses:
        """The hinge losses of the stage's branch, by what the negatives are, name -> scalar."""
        images, texts = (self.vectors(step.stage, m, batch, step) for m in ("image", "text"))
        similarities = tf.matmul(images, texts, transpose_b=True)
        allowed, margin = different(batch["label"]), self.settings.margin
        seeds = [randomness.fold_in(step.seed, 2 + i) for i in range(2)]  # 0 and 1 are those of masks
        other_texts = triplet(similarities, allowed, margin, "one", seeds[0])
        other_images = triplet(tf.transpose(similarities), allowed, margin, "one", seeds[1])
        return {"other_text": tf.reduce_mean(other_texts), "other_image": tf.reduce_mean(other_images)}

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the update of the stage's branch."""
        with tf.GradientTape() as tape:
            loss = self.compute_losses(batch, step)
        yield self.minimise(step.stage, loss, tape)

    def embed(self, modality: str, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """The vectors of both spaces, branch -> (B, joint_units)."""
        return {branch: self.vectors(branch, modality, features) for branch in BRANCHES}

    def similarity(
        self, query_modality: str, queries: dict[str, NDArray], gallery_modality: str, gallery: dict[str, NDArray],
        ranges: Ranges | None = None,
    ) -> NDArray:
        """Sim of the class, or that of --fusion.

        Args:
          query_modality, gallery_modality: in each space all modalities are compared alike.
          queries, gallery: branch -> (q, joint_units) and (G, joint_units).
          ranges: what `context` gives.

        Returns:
          (q, G).
        """
        s = self.settings
        used = BRANCHES if s.fusion in ("adaptive", "sum") else (s.fusion,)
        found = {branch: products(queries[branch], gallery[branch]) for branch in used}
        return found[s.fusion] if len(found) == 1 else fuse(found, s.fusion, s.fusion_weight, ranges)

    def context(
        self, query_modality: str, queries: dict[str, NDArray], gallery_modality: str, gallery: dict[str, NDArray],
    ) -> Ranges | None:
        """What `similarity` must know of all queries.

        Args:
          query_modality, gallery_modality: names.
          queries, gallery: branch -> (q, joint_units) and (G, joint_units).

        Returns:
          With --fusion_rows=image, of text queries: branch -> the least and the largest S of each image, (1, G) each.
          Else None: along the queries' rows nothing depends on the other queries.
        """
        s = self.settings
        if s.fusion != "adaptive" or s.fusion_rows == "query" or query_modality == "image":
            return None
        found = {}
        for branch in BRANCHES:
            texts, images = queries[branch], gallery[branch]
            parts = [products(texts[block], images) for block in blocks(len(texts), len(images))]
            lows, highs = (np.stack([edge(part, axis=0) for part in parts]) for edge in (np.min, np.max))
            found[branch] = lows.min(axis=0, keepdims=True), highs.max(axis=0, keepdims=True)
        return found

    def points(self, made: dict[str, NDArray]) -> NDArray:
        """Vectors (n, k) of which the product is the sum of both branches' similarities, or that of --fusion alone."""
        fusion = self.settings.fusion
        used, share = ((fusion,), (1.0,)) if fusion in BRANCHES else (BRANCHES, (0.5, 0.5))
        if fusion not in BRANCHES:
            share = 1 - self.settings.fusion_weight, self.settings.fusion_weight
        return np.concatenate([np.sqrt(w) * made[branch] for branch, w in zip(used, share, strict=True)], axis=1)

    def carried(self, images: dict[str, NDArray], texts: dict[str, NDArray]) -> dict[str, NDArray]:
        """What each region adds to S_image of n pairs, and each word to S_text.

        A place adds a_j <h_j, u> / || sum of a_j h_j ||; the sum over the places is S. What a place adds, which several
        words reach, is split among these alike.

        Args:
          images, texts: view -> (n, ...), normalised as in training.

        Returns:
          {"image": (n, regions), "text": (n, words)}.
        """
        found = {}
        for branch, own, other in (("image", images, texts), ("text", texts, images)):
            own, other = ({v: tf.constant(self.checked(v, x)) for v, x in views.items()} for views in (own, other))
            h, valid = self.places(branch, own)
            pooled, weights = self.attend(branch, h, valid)
            partner = self.vectors(branch, "text" if branch == "image" else "image", other)
            lengths = tf.maximum(tf.norm(pooled, axis=1), 1e-6)
            found[branch] = (weights * tf.einsum("npd,nd->np", h, partner) / lengths[:, None]).numpy()
        words = np.asarray(texts["text.words"]) > 0
        reached = self.networks["text_convolutions"].fields(words.shape[1]) & words[:, None]  # (n, places, words)
        shares = reached / np.maximum(reached.sum(axis=2, keepdims=True), 1)
        return {"image": found["image"], "text": np.einsum("np,npw->nw", found["text"], shares)}


def text_windows(length: int, most: int = len(TEXT_WINDOWS)) -> tuple[tuple[int, int], ...]:
    """The stages of TEXT_WINDOWS, `most` at most, that keep a place of texts of `length` words."""
    for number, (width, pool) in enumerate(TEXT_WINDOWS[:most]):
        length = (length - width + 1) // pool
        if length < 1:
            return TEXT_WINDOWS[:number]
    return TEXT_WINDOWS[:most]


def products(queries: NDArray, gallery: NDArray) -> NDArray:
    """<q, g> of rows (q, d) and (G, d): (q, G); of equal rows of the gallery the same number."""
    return scorer(queries, gallery, "dot")[0](slice(None))


def fuse(
    similarities: dict[str, NDArray], fusion: str = "adaptive", weight: float = 0.5, ranges: Ranges | None = None,
) -> NDArray:
    """The similarities of both branches as one.

    Args:
      similarities: {"image": S_image, "text": S_text}, each (q, G).
      fusion: "adaptive": 2 weight r(S_text) S_image + 2 (1 - weight) r(S_image) S_text, with r to [0, 1]; "sum":
        2 weight S_image + 2 (1 - weight) S_text.
      weight: in [0, 1].
      ranges: branch -> (least, largest), arrays that broadcast with (q, G): what r maps to 0 and 1; None: of each row.

    Returns:
      (q, G).
    """
    image, text = similarities["image"], similarities["text"]
    if fusion == "sum":
        return 2 * weight * image + 2 * (1 - weight) * text
    scaled = {branch: to_unit(s, *(ranges[branch] if ranges else edges(s))) for branch, s in similarities.items()}
    return 2 * weight * scaled["text"] * image + 2 * (1 - weight) * scaled["image"] * text


def edges(similarities: NDArray) -> tuple[NDArray, NDArray]:
    """The least and the largest of each row of (q, G): two (q, 1)."""
    return similarities.min(axis=1, keepdims=True), similarities.max(axis=1, keepdims=True)


def to_unit(similarities: NDArray, low: NDArray, high: NDArray) -> NDArray:
    """Maps [low, high] to [0, 1], and all to 0 where these are equal: similarities (q, G) to (q, G)."""
    return (similarities - low) / np.where(high > low, high - low, np.inf)
