"""The contract bites: small methods, each with one fault, break the rule that it belongs to, and say so."""
import dataclasses

import keras
import numpy as np
import pytest
import tensorflow as tf

from tfxmr import testing
from tfxmr.baselines.cca import CCA
from tfxmr.core.settings import setting
from tfxmr.engine.layers import Tower
from tfxmr.engine.parts.batch_norm import BatchNorm
from tfxmr.engine.parts.triplet import different, triplet
from tfxmr.models.base import Method, MethodSettings, Stage
from tfxmr.models.deep_sm import DeepSM


@dataclasses.dataclass(frozen=True)
class SoundSettings(MethodSettings):
    learning_rate: float = setting(1e-3, "Adam's base learning rate.", minimum=0.0)
    units: tuple = setting((64, 32), "Widths of the layers.", minimum=1)
    dropout_keep: float = setting(1.0, "Probability that dropout keeps a hidden unit.", minimum=0.05, maximum=1.0)


class Sound(Method):
    """Triplets of unit vectors, with dropout; one player. What the mutants below are made of."""

    Settings = SoundSettings
    paper, provenance, zero_shot = "a test of the contract", "this project", True
    modalities = ("image", "text")

    def make_networks(self, data):
        return {m: self.tower(m, d, self.settings.units, keep=self.settings.dropout_keep) for m, d in data.dims.items()}

    def seeds(self, step):
        return {m: step.masks(i) for i, m in enumerate(self.dims)}

    def compute_losses(self, batch, step):
        z = [self.unit(m, batch[m], seed) for m, seed in self.seeds(step).items()]
        similarities, allowed = tf.matmul(*z, transpose_b=True), different(batch["label"])
        return {"triplet": tf.reduce_mean(triplet(similarities, allowed, 0.3))}

    def unit(self, modality, x, seed=None):
        return tf.math.l2_normalize(self.networks[modality](x, seed=seed), -1)

    def embed(self, modality, features):
        return self.unit(modality, features)


class SoundPlayers(Sound):
    """A classifier a modality, each a player of its own, in two stages of which the first trains the images' alone."""

    def make_networks(self, data):
        hidden, keep = self.settings.units, self.settings.dropout_keep
        towers = {m: self.tower(m, d, (*hidden, data.num_classes), keep=keep) for m, d in data.dims.items()}
        return towers | {"norm": BatchNorm(data.num_classes)}

    @property
    def players(self):
        return {"image": ("image",), "text": ("text", "norm")}

    def make_stages(self, num_items):
        steps = self.total_steps(num_items)
        return Stage("first", steps, ("image",)), Stage("both", steps)

    def updates(self, batch, step):
        for m, seed in self.seeds(step).items():
            if step.stage == "first" and m == "text":
                continue
            with tf.GradientTape() as tape:
                logits = self.logits(m, batch[m], seed, step.training)
                loss = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], logits)
                loss = {"class": tf.reduce_mean(loss)}
            yield self.minimise(m, loss, tape)

    def logits(self, modality, x, seed=None, training=False):
        z = self.networks[modality](x, seed=seed)
        return self.networks["norm"](z, training=training) if modality == "text" else z

    def embed(self, modality, features):
        return tf.nn.softmax(self.logits(modality, features))


class SoundViews(Sound):
    """Means of regions and of the vectors of words."""

    inputs = ("image.regions", "text.words")

    def make_networks(self, data):
        self.table = tf.constant(data.tables["text.words"])
        widths = {"image": data.dims["image.regions"][1], "text": self.table.shape[1]}
        return {m: self.tower(m, d, self.settings.units, keep=self.settings.dropout_keep) for m, d in widths.items()}

    def compute_losses(self, batch, step):
        return super().compute_losses({"label": batch["label"]} | {m: self.mean(m, batch) for m in ("image", "text")}, step)

    def seeds(self, step):
        return {m: step.masks(i) for i, m in enumerate(("image", "text"))}

    def mean(self, modality, views):
        if modality == "image":
            return tf.reduce_mean(views["image.regions"], axis=1)
        return tf.reduce_mean(tf.gather(self.table, views["text.words"]), axis=1)

    def embed(self, modality, features):
        return self.unit(modality, self.mean(modality, features))


@pytest.mark.parametrize("method", [Sound, SoundPlayers, SoundViews])
def test_the_sound_originals_pass(method):
    """Guards against rules that break everything."""
    testing.keeps_all(method)


MUTANTS = []


def breaks(rule, message, base=Sound, **settings):
    """Makes a mutant of its base, that must break the rule with a message."""
    def enlist(mutant):
        MUTANTS.append(pytest.param(rule, message, mutant, base, settings, id=f"{rule.__name__}-{mutant.__name__}"))
        return mutant

    return enlist


@breaks(testing.learns, "NegatedTriplet does not learn: image->text goes -?[0-9.]+ of the way .*untrained .*Is a loss ascended")
class NegatedTriplet(Sound):
    def compute_losses(self, batch, step):
        return {"triplet": -super().compute_losses(batch, step)["triplet"]}


@breaks(testing.knows_its_labels, "OneClass says multi_label = True, and cannot train on items of several classes")
class OneClass(Sound):
    multi_label = True


@breaks(testing.knows_its_labels, "FirstClass does not learn items of several classes: image->text goes .*one of an item's classes")
class FirstClass(Sound):
    multi_label = True

    def compute_losses(self, batch, step):
        return super().compute_losses(batch | {"label": tf.argmax(tf.ones_like(batch["label"]), axis=-1)}, step)


@breaks(testing.knows_its_labels, "Unsaid takes items of several classes, and says multi_label = False")
class Unsaid(Sound):
    @classmethod
    def check_labels(cls, data, name):
        pass


class Ascending(DeepSM):
    def minimise(self, player, losses, tape):
        player, losses, gradients = super().minimise(player, losses, tape)
        return player, losses, [-g for g in gradients]


breaks(testing.learns, "Ascending does not learn: .*is (inf|nan) at step .*Is a loss ascended", DeepSM)(Ascending)
breaks(testing.descends, "Ascending ascends its loss: .*player image in stage training .*wrong sign", DeepSM)(Ascending)


@breaks(testing.descends, "no loss of player text reaches its networks text, norm", SoundPlayers)
class OutsideOfTheTape(SoundPlayers):
    def logits(self, modality, x, seed=None, training=False):
        z = super().logits(modality, x, seed, training)
        return tf.stop_gradient(z) if modality == "text" else z


@breaks(testing.drops_out_in_training_alone, "does not drop out in training: .*dropout_keep.*step.masks")
class NoDropout(Sound):
    def seeds(self, step):
        return dict.fromkeys(self.dims)


@breaks(testing.drops_out_in_training_alone, "does not drop out in training: .*network image")
class NoBuiltInDropout(NoDropout):
    @dataclasses.dataclass(frozen=True)
    class Settings(MethodSettings):
        units: tuple = setting((64, 32), "Widths of the layers.", minimum=1)

    def make_networks(self, data):
        return {m: self.tower(m, d, self.settings.units, keep=0.5) for m, d in data.dims.items()}


@breaks(testing.drops_out_in_training_alone, "drops out in evaluation: with step.training False .*dropout_keep")
class DropoutInEvaluation(Sound):
    def seeds(self, step):
        return super().seeds(dataclasses.replace(step, training=True))


@breaks(testing.drops_out_in_training_alone, "does not encode an item by itself: what represents image items")
class DropoutAtEncoding(Sound):
    def embed(self, modality, features):
        return self.unit(modality, features, seed=tf.constant([1, 2]))  # the same at each call


@breaks(testing.drops_out_in_training_alone, "does not encode an item by itself: what represents text .*training=True", SoundPlayers)
class BatchStatisticsAtEncoding(SoundPlayers):
    def embed(self, modality, features):
        return tf.nn.softmax(self.logits(modality, features, training=True))


@breaks(testing.is_seeded, "is not seeded: network 'text' has other initial weights in a second model")
class UnseededNetwork(Sound):
    def make_networks(self, data):
        networks = super().make_networks(data)
        networks["text"].set_weights([np.random.normal(size=w.shape) for w in networks["text"].get_weights()])
        return networks


@breaks(testing.is_seeded, "is not seeded: network 'image' has other initial weights in a second model")
class UnseededLayer(Sound):
    class Noisy(keras.layers.Dense):
        def build(self, input_shape):
            super().build(input_shape)
            self.kernel.assign_add(tf.random.normal(self.kernel.shape))

        def call(self, x, seed=None):
            return super().call(x)

    def make_networks(self, data):
        return super().make_networks(data) | {"image": self.network("image", lambda: self.Noisy(32), (data.dims["image"],))}


@breaks(testing.is_seeded, "is not seeded: no network's initial weights depend on the seed")
class OneSeedForAll(Sound):
    def make_networks(self, data):
        return {m: Tower(d, self.settings.units, seed=3) for m, d in data.dims.items()}


@breaks(testing.is_seeded, "is not seeded: loss joint/triplet of stage training differs .*tf.random.stateless")
class UnseededNoise(Sound):
    def compute_losses(self, batch, step):
        noisy = batch | {"image": batch["image"] + tf.random.normal(tf.shape(batch["image"]))}
        return super().compute_losses(noisy, step)


@breaks(testing.changes_only_its_networks, "player image changes network 'text', .*by an assignment in updates, stage both", SoundPlayers)
class AssignsAnother(SoundPlayers):
    def updates(self, batch, step):
        for update in super().updates(batch, step):
            if step.stage == "both" and update[0] == "image":
                weight = self.networks["text"].trainable_variables[0]
                weight.assign(0.9 * weight)
            yield update


@breaks(testing.changes_only_its_networks, "player text changes network 'image', .*by its gradients, see variables_of", SoundPlayers)
class TakesAnother(SoundPlayers):
    def variables_of(self, player):
        return super().variables_of("text") + super().variables_of("image") if player == "text" else super().variables_of(player)

    def updates(self, batch, step):
        for player, losses, gradients in super().updates(batch, step):
            variables = map(tf.convert_to_tensor, self.variables_of(player))
            yield player, losses, [tf.ones_like(v) if g is None else g for v, g in zip(variables, gradients, strict=True)]


@breaks(testing.stays_where_it_does_not_train, "network 'norm' changes in stage first, .*training=False", SoundPlayers)
class MovesFrozenStatistics(SoundPlayers):
    def updates(self, batch, step):
        self.logits("text", batch["text"], training=True)
        yield from super().updates(batch, step)


@breaks(testing.stays_where_it_does_not_train, "stage first names player 'video'", SoundPlayers)
class UnknownPlayer(SoundPlayers):
    def make_stages(self, num_items):
        return Stage("first", 2, ("video",)), Stage("both", 2)


@breaks(testing.resumes, "does not resume: .* other weights of network 'image'. Keep what changes in training in a network")
class ForgetsAMean(Sound):
    def make_networks(self, data):
        self.mean = tf.Variable(0.0, trainable=False)
        return super().make_networks(data)

    def compute_losses(self, batch, step):
        cost = super().compute_losses(batch, step)["triplet"]
        self.mean.assign(0.9 * self.mean + 0.1 * tf.stop_gradient(cost))
        return {"triplet": cost / (1 + self.mean)}


@breaks(testing.resumes, "does not resume: self.seen changes in training, and no checkpoint holds it")
class ForgetsACount(Sound):
    def make_networks(self, data):
        self.seen = tf.Variable(0.0, trainable=False)
        return super().make_networks(data)

    def compute_losses(self, batch, step):
        self.seen.assign_add(1.0)
        return super().compute_losses(batch, step)


@breaks(testing.resumes, "does not resume: .* decide for a stage in begin and return it", SoundPlayers)
class ForgetsADecision(SoundPlayers):
    factor = 1.0

    def begin(self, data):
        self.factor = 5.0 if self.stage.name == "both" else 1.0  # where a stage is resumed, nobody asks
        return {}

    def minimise(self, player, losses, tape):
        player, losses, gradients = super().minimise(player, losses, tape)
        return player, losses, [self.factor**2 * g + (self.factor - 1) for g in gradients]


@breaks(testing.reads_only_its_views, r"reads the view 'text.words', which it does not declare: it has image, text. Name it in inputs")
class UndeclaredWords(Sound):
    def compute_losses(self, batch, step):
        return super().compute_losses(batch | {"image": batch["image"] + float(tf.reduce_sum(batch["text.words"]))}, step)


@breaks(testing.reads_only_its_views, r"reads the view 'image', which it does not declare: it has image.regions, text.words", SoundViews)
class UndeclaredVector(SoundViews):
    def mean(self, modality, views):
        mean = super().mean(modality, views)
        return mean + tf.reduce_mean(views["image"], axis=1, keepdims=True) if modality == "image" else mean


@pytest.mark.parametrize(("rule", "message", "mutant", "base", "settings"), MUTANTS)
def test_a_mutant_breaks_its_rule(rule, message, mutant, base, settings):
    """Guards against a rule that nothing can break: each names the method and what is wrong."""
    assert issubclass(mutant, base)
    with pytest.raises(AssertionError, match=rf"(?s)^{mutant.__name__}.*{message.removeprefix(mutant.__name__)}"):
        rule(mutant, **settings)


def test_every_rule_has_a_mutant():
    assert {parameters.values[0] for parameters in MUTANTS} == set(testing.RULES)


def test_hidden_generator():
    """Guards against dropout whose state no checkpoint holds: such a network is refused when it is made."""
    class KerasDropout(Sound):
        def make_networks(self, data):
            def make():
                return keras.Sequential([keras.layers.Dense(8), keras.layers.Dropout(0.5)])

            return {m: self.network(m, make, (d,)) for m, d in data.dims.items()}

    with pytest.raises(ValueError, match="network 'image': its layer .*Dropout.* keeps the state of its random numbers"):
        testing.resumes(KerasDropout)


def test_closed_form_methods():
    """Guards against rules that closed-form methods are held to by name alone."""
    class Drifting(CCA):
        def learn(self, data):
            super().learn(data)
            self.drift_ = np.random.normal(size=3)
            return self

    class Centred(CCA):
        def represent(self, modality, features):
            made = super().represent(modality, features)
            return made - made.mean(axis=0)

    with pytest.raises(AssertionError, match="Drifting is not seeded: fitted twice on the same data, .* differs"):
        testing.is_seeded(Drifting)
    with pytest.raises(AssertionError, match="Centred does not encode an item by itself"):
        testing.drops_out_in_training_alone(Centred)
