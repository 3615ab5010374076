"""C3L: cross-modal circular correlation learning ("Show and tell in the loop", Peng and Qi, IEEE TMM 2019)."""
import dataclasses
from collections.abc import Callable, Iterator
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.views import PIXELS
from tfxmr.engine import distribution, losses, randomness
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.layers import leaky_relu
from tfxmr.engine.parts.dcgan import ImagePainter, ImageReader
from tfxmr.engine.parts.feature_generator import FeatureGenerator
from tfxmr.engine.parts.sentence_encoder import END, START, SentenceEncoder, with_marks
from tfxmr.engine.parts.triplet import different, triplet
from tfxmr.engine.parts.word_decoder import WordDecoder
from tfxmr.models.base import Batch, Method, MethodSettings, Networks, Players, Rate, Step, Update

WORDS = "text.words"
WIDTH = 300  # of word vectors


@dataclasses.dataclass(frozen=True)
class C3LSettings(MethodSettings):
    """Settings of C3L. No code is public: all numbers but for what C3L names are this project's."""

    learning_rate: float = changed(grid=(1e-4, 3e-4, 1e-3))
    gan_rate: float = setting(2.0, "Factor on the learning rate of the discriminator and the generator.", minimum=0.0)
    gan_beta_1: float = setting(
        0.5, "Adam's decay of the mean gradient of these two, in [0, .999].", minimum=0.0, maximum=0.999
    )
    select: str = changed("validation")
    margin: float = setting(0.5, "Margin lambda of the correlation loss.", minimum=0.0, grid=(0.2, 0.5))
    negatives: str = setting(
        "one", "Items of a batch from which an item is kept away: one that is drawn, or all, of other classes (of data "
        "without classes any other).", choices=("one", "all"),
    )
    text_weight: float = setting(
        1.0, "Weight of the generated sentences' loss, per word; 0 makes no word decoder.", minimum=0.0
    )
    pixels: bool = setting(
        False, "Images are their pixels, the view image.pixels of 64 x 64, read by convolutions and drawn by a DCGAN; "
        "else their features.",
    )
    channels: int = setting(
        32, "With --pixels, channels of the largest hidden map of the networks that read and draw.", minimum=1
    )
    gan: bool = setting(True, "Images are generated from texts, and judged; without, only the rest is trained.")
    gan_to_encoder: bool = setting(False, "The generator's loss changes the text's encoder, too.")
    loop: float = setting(
        0.5, "Probability that a batch is extended by the pairs that are generated from it; 0 never does.", minimum=0.0,
        maximum=1.0,
    )
    loop_epoch: int = setting(5, "Epochs before the first generated pairs.", minimum=0)
    image_units: int = setting(2048, "Width of the image's first layer.", minimum=1)
    text_units: int = setting(512, "Width of the GRU over a text's words.", minimum=1)
    text_hidden: int = setting(1024, "Width of the text's first layer.", minimum=1)
    common_units: int = setting(1024, "Width of the common representation.", minimum=1)
    decoder_units: int = setting(512, "Width of the third layer of both pathways, and of the word decoder.", minimum=1)
    noise_units: int = setting(100, "Width of the generator's noise.", minimum=1)
    generator_units: int = setting(1024, "Width of the generator's hidden layer.", minimum=1)
    discriminator_units: int = setting(1024, "Width of the discriminator's hidden layer.", minimum=1)
    generated: str = setting(
        "relu", "The generator's last activation without --pixels: relu, for features that are never negative, as "
        "VGG's fc7; linear.",
        choices=("relu", "linear"),
    )


class C3L(Method):
    """Images make sentences and sentences images; what is made is paired with what it was made from, and learned from.

    Pathway image -> text: features s_i -> ReLU -> c_i -> h_i, with which an LSTM begins that gives the text's words.
    Pathway text -> image: words -> GRU -> ReLU -> c_t -> h_t, from which, and noise, a generator makes features g_i.
    The second layer of each, with unit norm, is the common representation: sim(i, t) = <c_i, c_t>. Over both pathways

        L_corr = mean of  max(0, lambda - sim(i, t) + sim(i, t-)) + max(0, lambda - sim(i, t) + sim(i-, t))
        L_text = mean over words of  - log p(w_t | w_1 ... w_(t - 1), h_i)

    t- and i- of another class, is minimised; and with real(z) = - log D, fake(z) = - log(1 - D), in this order

        D: min of mean real(D(s_i, c_t)) + (fake(D(s_i-, c_t)) + fake(D(g_i, c_t))) / 2     over the discriminator
        G: min of mean real(D(g_i, c_t))                        over the generator and the layer that makes h_t

    From epoch `loop_epoch` on, with probability `loop`, L_corr has two more pairs for each of the batch: (i, the
    sentence made from i) and (g_i, t), as constants, of the pair's class. Retrieval compares c by cosine.

    With --pixels, s_i and g_i are images: strided convolutions come before the image's first layer and before the
    discriminator's, and the generator is that of a DCGAN (Radford et al., ICLR 2016).

    Differs from the paper, of whose text the losses and pathways are known alone: an image is its extracted features,
    which the generator makes, unless --pixels; this project's are all widths, lambda (the authors' MCSM has .5), one
    drawn negative, a loss per word (a sum over 50 words would outweigh the hinge a hundredfold), the loop's schedule.
    """

    Settings = C3LSettings
    settings: C3LSettings
    paper = "Peng and Qi, IEEE TMM 2019"
    citation = """
    @article{peng2019show,
      author = {Yuxin Peng and Jinwei Qi},
      title = {Show and Tell in the Loop: Cross-Modal Circular Correlation Learning},
      journal = {IEEE Transactions on Multimedia},
      volume = {21},
      number = {6},
      pages = {1538--1550},
      year = {2019}
    }
    """
    provenance = "the losses are the paper's; layers, weights and schedule this project's: 30 %"
    modalities = ("image", "text")
    inputs = ("image", WORDS)
    sampler = "contrasted"
    pairs = True
    zero_shot = True
    word_counts = None  # int (V + 1,) of the training texts, end marks among them, once it is trained

    @classmethod
    def reads(cls, settings: C3LSettings) -> tuple[str, ...]:
        """Features or pixels, and words."""
        return ("image.pixels" if settings.pixels else "image", WORDS)

    @property
    def view(self) -> str:
        """The view that an image is here."""
        return self.reads(self.settings)[0]

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if --pixels finds no pixels of 64 x 64, as they are, too."""
        super().check(data)
        if not self.settings.pixels:
            return
        size = np.atleast_1d(data.dims[self.view])  # of an image in one row, its one width
        if tuple(size) != PIXELS:
            shown = " x ".join(map(str, size))
            raise InputError(
                f"--pixels: the view {self.view} of dataset {data.name} is {shown} an item; make it 4096 x 3 by "
                "`tfxmr extract --image_features=pixels`"
            )
        if self.settings.feature_norm != "none":
            raise InputError(
                f"--feature_norm={self.settings.feature_norm}: --pixels takes colours as they are, in [0, 1]; omit "
                "one of the two"
            )

    def make_networks(self, data: Shapes) -> Networks:
        """Builds both pathways, and where they are trained the decoder, the generator and the discriminator."""
        s, seed = self.settings, self.own_seed
        words = len(data.vocabularies.get(WORDS, data.tables.get(WORDS, ()))) - 1
        if words < 1:
            raise InputError(
                f"c3l: dataset {data.name} names no words of {WORDS}; `tfxmr extract --text_features=words` does"
            )
        marked = {START, END} <= set(data.vocabularies.get(WORDS, ()))
        if marked:
            self.marks = tuple(data.vocabularies[WORDS].index(mark) for mark in (START, END))
        else:
            self.marks = words + 1, words + 2
            words += 2
        self.marked = marked
        found, size = {}, data.dims[self.view]
        if s.pixels:
            found["pixels"] = self.reader("pixels")
            size = found["pixels"].width
        found |= {
            "image": self.tower("image", size, (s.image_units, s.common_units)),
            "image_third": self.tower("image_third", s.common_units, (s.decoder_units,)),
            "text_words": SentenceEncoder(
                words, s.text_units, width=WIDTH, cut=not s.jit_compile, seed=seed("text_words"), name="text_words",
                dtype=self.policy,
            ),
            "text": self.tower("text", s.text_units, (s.text_hidden, s.common_units)),
        }
        if s.text_weight:
            found["decoder"] = WordDecoder(
                words, s.decoder_units, start=self.marks[0], end=self.marks[1], seed=seed("decoder"), word_dim=WIDTH,
                name="decoder", dtype=self.policy,
            )
        else:
            del found["image_third"]
        if s.gan:
            found |= self.adversaries(size)
        if s.loop and (s.text_weight or s.gan):
            found["generated_pairs"] = Counter(name="generated_pairs")
        return found

    def reader(self, name: str) -> ImageReader:
        """Convolutions over images."""
        return ImageReader(self.settings.channels, seed=self.own_seed(name), name=name, dtype=self.policy)

    def adversaries(self, size: int) -> Networks:
        """The networks of the conditional GAN by name; `size`: width of features, or after convolutions."""
        s, found = self.settings, {}
        common: dict[str, Any] = {"noise_dim": s.noise_units, "seed": self.own_seed("generator"), "name": "generator"}
        if s.pixels:
            found["generator"] = ImagePainter(s.decoder_units, channels=s.channels, dtype=self.policy, **common)
            found["discriminator_pixels"] = self.reader("discriminator_pixels")
        else:
            found["generator"] = FeatureGenerator(
                s.decoder_units, size, units=s.generator_units, nonnegative=s.generated == "relu", dtype=self.policy,
                **common,
            )
        found["text_third"] = self.tower("text_third", s.common_units, (s.decoder_units,))
        found["discriminator"] = self.tower(
            "discriminator", (size, s.common_units), (s.discriminator_units, 1), activation=leaky_relu
        )
        return found

    @property
    def players(self) -> Players:
        """The pathways to c with the word decoder; the discriminator; the generator with the text's third layer."""
        judges = tuple(name for name in self.networks if name.startswith("discriminator"))
        own = ("text_third", "generator", "generated_pairs", *judges)
        found = {"pathways": tuple(name for name in self.networks if name not in own)}
        if not self.settings.gan:
            return found
        encoder = ("text_words", "text") if self.settings.gan_to_encoder else ()
        return found | {"discriminator": judges, "generator": ("text_third", "generator", *encoder)}

    @property
    def rates(self) -> dict[str, float]:
        """The factor of discriminator and generator."""
        return dict.fromkeys(("discriminator", "generator"), self.settings.gan_rate)

    def make_optimizer(self, player: str, learning_rate: Rate) -> keras.optimizers.Optimizer:
        """Adam, whose beta_1 differs for the generator and the discriminator."""
        optimizer = super().make_optimizer(player, learning_rate)
        if player != "pathways":
            optimizer.beta_1 = self.settings.gan_beta_1
        return optimizer

    def words_of(self, views: dict[str, tf.Tensor]) -> tf.Tensor:
        """The words of texts between their marks, int (B, T)."""
        return views[WORDS] if self.marked else with_marks(views[WORDS], *self.marks)

    def of_image(self, images: tf.Tensor) -> tf.Tensor:
        """c_i of images, features (B, d) or pixels (B, 4096, 3): (B, common_units), unit norm."""
        found = self.networks["pixels"](images) if self.settings.pixels else images
        return tf.math.l2_normalize(self.networks["image"](found), -1)

    def of_words(self, words: tf.Tensor) -> tf.Tensor:
        """c_t of marked words (B, T)."""
        return tf.math.l2_normalize(self.networks["text"](self.networks["text_words"](words)), -1)

    def generate_images(self, common: tf.Tensor, seed: tf.Tensor | None = None, training: bool = False) -> tf.Tensor:
        """g_i of texts.

        Args:
          common: c_t (B, common_units).
          seed: int32 (2,) of the noise; None: it is 0.
          training: see FeatureGenerator.

        Returns:
          (B, d), or pixels (B, 4096, 3).
        """
        return self.networks["generator"](self.networks["text_third"](common), seed=seed, training=training)

    def generate_words(self, common: tf.Tensor, length: int) -> tf.Tensor:
        """The most likely sentence of each c_i (B, common_units), marks and padding included: int (B, length)."""
        return self.networks["decoder"].greedy(self.networks["image_third"](common), length)

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """Yields the updates of the pathways, the discriminator and the generator."""
        s, words = self.settings, self.words_of(batch)
        noise = randomness.fold_in(step.seed, 0)
        extended = self.is_extended(step)
        with tf.GradientTape() as tape:
            image, text = self.of_image(batch[self.view]), self.of_words(words)
            found = {"correlation": self.circular(
                extended,
                lambda: self.correlation(*self.extension(batch, words, image, text, noise), step.seed),
                lambda: self.correlation(image, text, batch["label"], step.seed),
            )}
            if s.text_weight:
                found["text"] = s.text_weight * self.word_loss(image, words)
        kinds = int(s.text_weight > 0) + int(s.gan)
        shown = {}
        if "generated_pairs" in self.networks:
            generated = tf.where(extended & step.training, kinds * words.shape[0], 0)
            shown["generated_pairs"] = self.networks["generated_pairs"](generated)
        yield *self.minimise("pathways", found, tape), shown
        if s.gan:
            yield from self.adversarial_updates(batch, words, noise, step.training)

    def adversarial_updates(self, batch: Batch, words: tf.Tensor, noise: tf.Tensor, training: bool) -> Iterator[Update]:
        """Yields the updates of the discriminator and the generator.

        Args:
          batch: as of `updates`.
          words: marked words (B, T).
          noise: int32 (2,) of the generator.
          training: whether layers train, see Step.
        """
        common = tf.stop_gradient(self.of_words(words))
        made = self.generate_images(common, noise, training)
        with tf.GradientTape() as tape:
            logits = self.judge(tf.stack((batch[self.view], batch["wrong"][self.view], made)), common)
            real = losses.real_loss(logits[0])
            wrong, fake = tf.unstack(losses.fake_loss(logits[1:]))
            loss = {"judge": tf.reduce_mean(real + (wrong + fake) / 2)}
        yield self.minimise("discriminator", loss, tape)
        with tf.GradientTape() as tape:
            common = self.of_words(words) if self.settings.gan_to_encoder else common
            made = self.generate_images(common, noise, training)
            loss = {"fool": tf.reduce_mean(losses.real_loss(self.judge(made, tf.stop_gradient(common))))}
        yield self.minimise("generator", loss, tape)

    def judge(self, images: tf.Tensor, common: tf.Tensor) -> tf.Tensor:
        """Logits (..., B) of pairs of images, features (..., B, d) or pixels (..., B, 4096, 3), and c_t."""
        found = self.networks["discriminator_pixels"](images) if self.settings.pixels else images
        return self.networks["discriminator"](found, common)[..., 0]

    def is_extended(self, step: Step) -> tf.Tensor:
        """Whether the batch of a Step is extended by what is generated from it, a bool tensor."""
        s = self.settings
        if "generated_pairs" not in self.networks:
            return tf.constant(False)
        begin = s.loop_epoch * self.steps_per_epoch(self.shapes.items) / max(1, self.stage.steps)
        drawn = tf.random.stateless_uniform((), randomness.fold_in(step.seed, 1)) < s.loop
        return drawn & (tf.convert_to_tensor(step.progress, tf.float32) >= begin)

    def circular(self, extended: tf.Tensor, loop: Callable[[], tf.Tensor], plain: Callable[[], tf.Tensor]) -> tf.Tensor:
        """The loss that `loop()` gives if `extended`, a bool tensor, else that of `plain()`, a scalar."""
        if "generated_pairs" not in self.networks:
            return plain()
        # XLA has no gradient of a loop over words within a condition, and replicas do not exchange rows within one
        if self.settings.jit_compile or distribution.replicas() > 1:
            return tf.where(extended, loop(), plain())
        return tf.cond(extended, loop, plain)

    def extension(
        self, batch: Batch, words: tf.Tensor, image: tf.Tensor, text: tf.Tensor, noise: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
        """(c_i, c_t, labels) of a batch with the pairs that are generated from it; these are constants as they come in.

        Args:
          batch, words: as of `updates`.
          image, text: c_i and c_t (B, common_units).
          noise: int32 (2,), of the generator.
        """
        images, texts, count = [image], [text], 1
        if self.settings.text_weight:
            sentences = self.generate_words(tf.stop_gradient(image), words.shape[1])  # not differentiated
            images, texts, count = [*images, image], [*texts, self.of_words(sentences)], count + 1
        if self.settings.gan:
            made = tf.stop_gradient(self.generate_images(text, noise))
            images, texts, count = [*images, self.of_image(made)], [*texts, text], count + 1
        return tf.concat(images, 0), tf.concat(texts, 0), tf.tile(batch["label"], (count,))

    def correlation(self, image: tf.Tensor, text: tf.Tensor, labels: tf.Tensor, seed: tf.Tensor) -> tf.Tensor:
        """L_corr of pairs.

        Args:
          image, text: c_i and c_t (B, common_units), unit norm.
          labels: (B,).
          seed: int32 (2,) of the drawn negatives.

        Returns:
          A scalar.
        """
        allowed, found = different(labels), 0.0
        similarities = tf.matmul(image, text, transpose_b=True)
        for i, one in enumerate((similarities, tf.transpose(similarities)), start=2):
            own = randomness.fold_in(seed, i)
            found += tf.reduce_mean(triplet(one, allowed, self.settings.margin, self.settings.negatives, own))
        return found

    def word_loss(self, image: tf.Tensor, words: tf.Tensor) -> tf.Tensor:
        """L_text of c_i (B, common_units) and marked words (B, T), a scalar; the end mark counts, the start not."""
        found = self.networks["decoder"](self.networks["image_third"](image), words)
        return tf.reduce_sum(found) / tf.reduce_sum(tf.cast(words[:, 1:] > 0, tf.float32))

    def embed(self, modality: str, features: dict[str, tf.Tensor]) -> tf.Tensor:
        """c (B, common_units), unit norm."""
        return self.of_image(features[self.view]) if modality == "image" else self.of_words(self.words_of(features))

    def captions(self, features: dict[str, NDArray]) -> list[list[str]]:
        """The most likely sentence of each image, without marks.

        Args:
          features: view -> array (n, ...) of images.

        Returns:
          n lists of words, or of their numbers.
        """
        if not self.settings.text_weight:
            raise InputError("--figure=captions: this run of c3l has no word decoder (--text_weight=0)")
        image = self.of_image(tf.constant(self.checked(self.view, features[self.view])))
        found = self.generate_words(image, self.dims[WORDS][0] + 2 * (not self.marked)).numpy()
        known = self.shapes.vocabularies.get(WORDS)
        unspoken = {0, *self.marks}
        return [[known[n] if known else str(n) for n in words if n not in unspoken] for words in found.tolist()]

    def drawings(self, features: dict[str, NDArray]) -> dict[str, NDArray]:
        """The image generated from each text, without noise.

        Args:
          features: view -> array (n, ...) of texts.

        Returns:
          view -> (n, ...).
        """
        if not self.settings.gan:
            raise InputError("--figure=generated: this run of c3l has no generator of images (--nogan)")
        words = self.words_of({WORDS: tf.constant(self.checked(WORDS, features[WORDS]))})
        return {self.view: self.generate_images(self.of_words(words)).numpy()}

    def finish(self, data: MultiModalData) -> None:
        """Counts the words of the training texts, with which `measure` compares the decoder."""
        words = self.words_of({WORDS: tf.constant(self.checked(WORDS, data.splits["train"].features[WORDS]))})
        size = self.networks["text_words"].table.table.shape[0]
        self.word_counts = np.bincount(words.numpy()[:, 1:].ravel(), minlength=size)
        self.word_counts[0] = 0  # padding

    def measure(self, split: Split) -> dict[str, float]:
        """What the generators are worth on a split's pairs, name -> float.

        "nats a word" is L_text, "of shuffled images" the same with the images of other items, "by a unigram model" the
        same of a model that knows of each word how often it stands in the training texts (and once more, so that none
        is impossible); "logits ..." the discriminator's means, "generated pairs" how many the training made.
        """
        image = tf.constant(self.checked(self.view, split.features[self.view]))
        words = self.words_of({WORDS: tf.constant(self.checked(WORDS, split.features[WORDS]))})
        # a random cycle, since items often stand by classes, and a neighbour's image would be one of the same class
        order = np.random.default_rng(0).permutation(len(split))
        shuffled = np.empty_like(order)
        shuffled[order] = np.roll(order, 1)
        common, found = self.of_image(image), {}
        if self.settings.text_weight:
            found["nats a word"] = float(self.word_loss(common, words))
            found["nats a word of shuffled images"] = float(self.word_loss(tf.gather(common, shuffled), words))
            if self.word_counts is not None:
                found["nats a word by a unigram model"] = unigram_loss(self.word_counts, words.numpy(), self.marks[0])
        if self.settings.gan:
            text = self.of_words(words)
            for name, images in (
                ("right", image), ("shuffled", tf.gather(image, shuffled)), ("generated", self.generate_images(text)),
            ):
                found[f"logits of {name} images"] = float(tf.reduce_mean(self.judge(images, text)))
        if "generated_pairs" in self.networks:
            found["generated pairs"] = float(self.networks["generated_pairs"].total)
        return found


class Counter(keras.layers.Layer):
    """A sum of whole numbers that checkpoints keep."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.total = self.add_weight(
            shape=(), initializer="zeros", dtype="int64", trainable=False, name="total", autocast=False,
            aggregation="only_first_replica",  # all replicas count the same
        )
        self.built = True

    def call(self, number: tf.Tensor) -> tf.Tensor:
        """Adds a number; returns the sum, float32, as it is shown."""
        self.total.assign(self.total + tf.cast(number, tf.int64))
        return tf.cast(self.total, tf.float32)


def unigram_loss(counts: np.ndarray, words: np.ndarray, start: int) -> float:
    """The loss of a model of single words, p(w) = (counts[w] + 1) / sum of the same over all words but the start mark.

    Args:
      counts: int (V + 1,), of padding 0.
      words: int (n, T), marked; neither the start mark nor padding is scored.
      start: number of the start mark.

    Returns:
      Mean of - log p(word) over words, in nats.
    """
    smoothed = counts + 1.0
    smoothed[[0, start]] = 0
    scored = words[:, 1:][words[:, 1:] > 0]
    return float(np.log(smoothed.sum()) - np.log(smoothed[scored]).mean())
