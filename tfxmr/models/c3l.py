"""C3L: cross-modal circular correlation learning ("Show and tell in the loop", Peng and Qi, IEEE TMM 2019)."""
import dataclasses
import functools

import numpy as np
import tensorflow as tf

from tfxmr import losses, randomness
from tfxmr.errors import InputError
from tfxmr.models.base import Method, MethodSettings, Stage, selection_setting
from tfxmr.parts.feature_generator import FeatureGenerator
from tfxmr.parts.sentence_encoder import END, START, SentenceEncoder, with_marks
from tfxmr.parts.triplet import different, triplet
from tfxmr.parts.word_decoder import WordDecoder
from tfxmr.settings import setting

WORDS = "text.words"
WIDTH = 300  # of word vectors
leaky = functools.partial(tf.nn.leaky_relu, alpha=0.2)


@dataclasses.dataclass(frozen=True)
class C3LSettings(MethodSettings):
    """Settings of C3L. No code is public: all numbers but for what C3L names are this project's."""

    learning_rate: float = setting(1e-4, "Adam's base learning rate.", minimum=0.0, grid=(1e-4, 3e-4, 1e-3))
    gan_rate: float = setting(2.0, "Factor on the learning rate of the discriminator and the generator.", minimum=0.0)
    gan_beta_1: float = setting(
        0.5, "Adam's decay of the mean gradient of these two, in [0, .999].", minimum=0.0, maximum=0.999
    )
    select: str = selection_setting("validation")
    margin: float = setting(0.5, "Margin lambda of the correlation loss.", minimum=0.0, grid=(0.2, 0.5))
    negatives: str = setting(
        "one", "Items of a batch from which an item is kept away: one that is drawn, or all, of other classes (of data "
        "without classes any other).", choices=("one", "all"),
    )
    text_weight: float = setting(
        1.0, "Weight of the generated sentences' loss, per word; 0 makes no word decoder.", minimum=0.0
    )
    gan: bool = setting(True, "Image features are generated from texts, and judged; without, only the rest is trained.")
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
        "relu", "The generator's last activation: relu, for features that are never negative, as VGG's fc7; linear.",
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

    Differs from the paper, of whose text the losses and pathways are known alone: an image is its extracted features,
    which the generator makes, in place of pixels; this project's are all widths, lambda (the authors' MCSM has .5), one
    drawn negative, a loss per word (a sum over 50 words would outweigh the hinge a hundredfold), the loop's schedule.
    """

    Settings = C3LSettings
    paper = "Peng and Qi, IEEE TMM 2019"
    certainty = "the losses are the paper's; layers, weights and schedule this project's: 30 %"
    modalities = ("image", "text")
    inputs = ("image", WORDS)
    pairs = True
    zero_shot = True

    def make_networks(self, data):
        """Builds both pathways, and where they are trained the decoder, the generator and the discriminator."""
        s, size, seed = self.settings, data.dims["image"], self.own_seed
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
        found = {
            "image": self.tower("image", size, (s.image_units, s.common_units)),
            "image_third": self.tower("image_third", s.common_units, (s.decoder_units,)),
            "text_words": SentenceEncoder(
                words, s.text_units, width=WIDTH, seed=seed("text_words"), name="text_words", dtype=self.policy
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
            found["text_third"] = self.tower("text_third", s.common_units, (s.decoder_units,))
            found["generator"] = FeatureGenerator(
                s.decoder_units, size, noise_dim=s.noise_units, units=s.generator_units, seed=seed("generator"),
                nonnegative=s.generated == "relu", name="generator", dtype=self.policy,
            )
            found["discriminator"] = self.tower(
                "discriminator", (size, s.common_units), (s.discriminator_units, 1), activation=leaky
            )
        return found

    def own_seed(self, name):
        """The seed of a network's initial weights."""
        return randomness.derive(self.seed, *name.encode())

    @property
    def players(self):
        """The pathways to c with the word decoder; the discriminator; the generator with the text's third layer."""
        own = ("text_third", "generator", "discriminator")
        found = {"pathways": tuple(name for name in self.networks if name not in own)}
        if not self.settings.gan:
            return found
        encoder = ("text_words", "text") if self.settings.gan_to_encoder else ()
        return found | {"discriminator": ("discriminator",), "generator": ("text_third", "generator", *encoder)}

    @property
    def rates(self):
        """The factor of discriminator and generator."""
        return dict.fromkeys(("discriminator", "generator"), self.settings.gan_rate)

    def make_optimizer(self, player, learning_rate):
        """Adam, whose beta_1 differs for the generator and the discriminator."""
        optimizer = super().make_optimizer(player, learning_rate)
        if player != "pathways":
            optimizer.beta_1 = self.settings.gan_beta_1
        return optimizer

    def words_of(self, views):
        """The words of texts between their marks, int (B, T)."""
        return views[WORDS] if self.marked else with_marks(views[WORDS], *self.marks)

    def of_image(self, features):
        """c_i of features (B, d): (B, common_units), unit norm."""
        return tf.math.l2_normalize(self.networks["image"](features), -1)

    def of_words(self, words):
        """c_t of marked words (B, T)."""
        return tf.math.l2_normalize(self.networks["text"](self.networks["text_words"](words)), -1)

    def generate_features(self, common, seed=None, training=False):
        """g_i (B, d) of c_t (B, common_units); without a seed from noise 0."""
        return self.networks["generator"](self.networks["text_third"](common), seed=seed, training=training)

    def generate_words(self, common, length):
        """The most likely sentence of each c_i (B, common_units), marks and padding included: int (B, length)."""
        return self.networks["decoder"].greedy(self.networks["image_third"](common), length)

    def make_stages(self, num_items):
        """One stage, whose batches have an image of another class for each pair."""
        return (Stage("training", self.total_steps(num_items), sampler="contrasted"),)

    def updates(self, batch, step):
        """Yields the updates of the pathways, the discriminator and the generator."""
        s, words = self.settings, self.words_of(batch)
        noise = randomness.fold_in(step.seed, 0)
        extended = self.is_extended(step)
        with tf.GradientTape() as tape:
            image, text = self.of_image(batch["image"]), self.of_words(words)
            found = {"correlation": tf.cond(
                extended,
                lambda: self.correlation(*self.extension(batch, words, image, text, noise), step.seed),
                lambda: self.correlation(image, text, batch["label"], step.seed),
            )}
            if s.text_weight:
                found["text"] = s.text_weight * self.word_loss(image, words)
        kinds = int(s.text_weight > 0) + int(s.gan)
        generated = tf.where(extended, float(kinds * words.shape[0]), 0.0)
        yield *self.minimise("pathways", found, tape), {"generated_pairs": generated}
        if s.gan:
            yield from self.adversarial_updates(batch, words, noise, step.training)

    def adversarial_updates(self, batch, words, noise, training):
        """Yields the updates of the discriminator and the generator."""
        common = tf.stop_gradient(self.of_words(words))
        made = self.generate_features(common, noise, training)
        with tf.GradientTape() as tape:
            logits = self.judge(tf.stack((batch["image"], batch["wrong"]["image"], made)), common)
            real, wrong, fake = losses.real_cost(logits[0]), *tf.unstack(losses.fake_cost(logits[1:]))
            cost = {"judge": tf.reduce_mean(real + (wrong + fake) / 2)}
        yield self.minimise("discriminator", cost, tape)
        with tf.GradientTape() as tape:
            common = self.of_words(words) if self.settings.gan_to_encoder else common
            made = self.generate_features(common, noise, training)
            cost = {"fool": tf.reduce_mean(losses.real_cost(self.judge(made, tf.stop_gradient(common))))}
        yield self.minimise("generator", cost, tape)

    def judge(self, features, common):
        """Logits of pairs of features (..., B, d) and c_t (B, common_units)."""
        return self.networks["discriminator"](features, common)[..., 0]

    def is_extended(self, step):
        """Whether the batch of a Step is extended by what is generated from it, a bool tensor."""
        s = self.settings
        if not (s.text_weight or s.gan):
            return tf.constant(False)
        begin = s.loop_epoch * self.steps_per_epoch(self.shapes.items) / max(1, self.stage.steps)
        drawn = tf.random.stateless_uniform((), randomness.fold_in(step.seed, 1)) < s.loop
        return drawn & (tf.convert_to_tensor(step.progress, tf.float32) >= begin)

    def extension(self, batch, words, image, text, noise):
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
            made = tf.stop_gradient(self.generate_features(text, noise))
            images, texts, count = [*images, self.of_image(made)], [*texts, text], count + 1
        return tf.concat(images, 0), tf.concat(texts, 0), tf.tile(batch["label"], (count,))

    def correlation(self, image, text, labels, seed):
        """L_corr of c_i and c_t (B, common_units) with labels (B,), a scalar."""
        allowed, found = different(labels), 0.0
        similarities = tf.matmul(image, text, transpose_b=True)
        for i, one in enumerate((similarities, tf.transpose(similarities)), start=2):
            own = randomness.fold_in(seed, i)
            found += tf.reduce_mean(triplet(one, allowed, self.settings.margin, self.settings.negatives, own))
        return found

    def word_loss(self, image, words):
        """L_text of c_i (B, common_units) and marked words (B, T), a scalar; the end mark counts, the start not."""
        found = self.networks["decoder"](self.networks["image_third"](image), words)
        return tf.reduce_sum(found) / tf.reduce_sum(tf.cast(words[:, 1:] > 0, tf.float32))

    def embed(self, modality, features):
        """c (B, common_units), unit norm."""
        return self.of_image(features["image"]) if modality == "image" else self.of_words(self.words_of(features))

    def measure(self, split):
        """What the generators are worth on a split's pairs, name -> float.

        "nats a word" is L_text, "of shuffled images" the same with the images of other items, "logits ..." the
        discriminator's means.
        """
        image = tf.constant(self.checked("image", split.features["image"]))
        words = self.words_of({WORDS: tf.constant(self.checked(WORDS, split.features[WORDS]))})
        common, shuffled = self.of_image(image), np.roll(np.arange(len(split)), 1)
        found = {}
        if self.settings.text_weight:
            found["nats a word"] = float(self.word_loss(common, words))
            found["nats a word of shuffled images"] = float(self.word_loss(tf.gather(common, shuffled), words))
        if self.settings.gan:
            text = self.of_words(words)
            for name, features in (
                ("right", image), ("shuffled", tf.gather(image, shuffled)), ("generated", self.generate_features(text)),
            ):
                found[f"logits of {name} images"] = float(tf.reduce_mean(self.judge(features, text)))
        return found
