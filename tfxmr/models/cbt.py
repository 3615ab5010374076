"""CBT: cross-media bi-translation by reinforcement (Qi and Peng, IJCAI 2018), and RCBT, its context-aware successor."""
import dataclasses
from collections.abc import Iterator

import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.settings import changed, setting
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.engine import randomness
from tfxmr.engine.keras_model import Shapes
from tfxmr.engine.parts.attention import Attention
from tfxmr.engine.parts.recurrent import LSTMStack
from tfxmr.engine.parts.reinforce import cosine_reward, reinforce
from tfxmr.engine.parts.text_convolution import Convolution, max_pool, valid_windows
from tfxmr.models.base import Batch, Features, Losses, Method, Networks, OptimizerSettings, Players, Step, Update

VIEWS = {  # encoder -> what it reads
    "rcbt": ("image", "image.regions", "text", "text.words"), "cbt": ("image.regions", "text.words"), "global": (),
}
WINDOW, POOL = 5, 3  # words that a filter sees, and of its outputs those of which the largest is kept
DAMPING = 0.1  # added to squared norms, as in the code
STDDEV = 0.1  # of the normal initial weights of convolution and attention, as in the code


@dataclasses.dataclass(frozen=True)
class CBTSettings(OptimizerSettings):
    """Settings of CBT; widths are those of RCBT's code. The code's own training, but for its choice on test items:

        --mode=code --class_weight=0.1 --rewards_train_encoders --init_stddev=0.1
        --optimizer=sgd --learning_rate=0.1 --momentum=0 --steps=0 --epochs=10
    """

    steps: int = changed(300)
    epochs: int = changed(10)
    batch_size: int = changed(200)
    learning_rate: float = changed(
        3e-4, "The code's is .1, of sgd without momentum.", grid=(1e-4, 3e-4, 1e-3)
    )
    select: str = changed("validation")
    encoder: str = setting(
        "rcbt",
        "What an item is to the translators. rcbt: its vector beside its regions or words, which an LSTM reads and "
        "attention pools; cbt: the mean output of that LSTM alone; global: its vector alone.",
        choices=tuple(VIEWS),
    )
    mode: str = setting(
        "policy",
        "How rewards train. policy: they are expected rewards of sampled translations, ascended by policy gradient; "
        "code: back-translations alone, of the mean translation, as the code does (it sets --alpha to 0); path: both "
        "rewards are differentiated through the mean translation, no reinforcement; none: classes alone.",
        choices=("policy", "code", "path", "none"),
    )
    alpha: float = setting(
        0.5, "Share of the inter-media reward, in [0, 1]; the rest is the intra-media one's. 1 is the ablation `only "
        "inter`, 0 `only intra`.", minimum=0.0, maximum=1.0, grid=(0.0, 0.25, 0.5, 0.75, 1.0),
    )
    samples: int = setting(2, "Translations K sampled of each item, of --mode=policy.", minimum=2)
    policy_stddev: float = setting(
        0.1, "Standard deviation of a sampled translation around the mean, in each entry.", minimum=1e-6
    )
    class_weight: float = setting(
        1.0, "Weight of the classification losses; the code's is .1, at which the policy's noise drowns the classes "
        "under Adam.", minimum=0.0, grid=(0.1, 0.3, 1.0, 3.0),
    )
    rewards_train_encoders: bool = setting(
        False, "Let rewards change what they compare translations with, too, as the code does."
    )
    hidden_units: tuple[int, ...] = setting(
        (3000, 2000, 1000), "Widths of the translators: the image's side, the shared middle, the text's.", minimum=1
    )
    region_units: tuple[int, ...] = setting((512, 512), "Widths of the LSTMs over the regions.", minimum=1, parts=1)
    word_filters: int = setting(300, "Filters of the convolution over the words.", minimum=1)
    word_units: tuple[int, ...] = setting((300, 300), "Widths of the LSTMs over the words.", minimum=1, parts=1)
    dropout_keep: float = setting(
        0.5, "Probability that dropout keeps an output of an LSTM.", minimum=0.05, maximum=1.0
    )
    init_stddev: float = setting(
        0.0, "Standard deviation of the translators' initial weights, normal and truncated at two of it; the code's is "
        ".1. 0: uniform in +-sqrt(6/(inputs + outputs)), after Glorot.", minimum=0.0
    )

    def __post_init__(self) -> None:
        """Raises InputError for values out of range, or for another number of layers."""
        super().__post_init__()
        if len(self.hidden_units) != 3:
            raise InputError(
                f"--hidden_units={','.join(map(str, self.hidden_units))}: give three widths, such as "
                "--hidden_units=300,200,100"
            )


class CBT(Method):
    """Images are translated into texts and back, texts into images and back; what survives is what they share.

    An item of modality a is s_a; see `encode_item`. The translator of a into b and that of b into a pass through one
    common middle, with W shared by both, tanh after every layer but the last, whose output is linear:

        h_a = W(I_a(s_a)),    m = O_b(h_a),    and back    s'_a = ReLU(O_a(W(I_b(m))))

    A translation is drawn from the policy P(. | s_a) = N(m, sigma^2 1). Its rewards, with cos' as the code has it
    (`cosine_reward`: .1 is added to squared norms, of s_a alone in the second), are

        r_inter = log(cos'(sigmoid(m), s_b) / 2 + 1/2)        is it like the true partner?
        r_intra = log(cos'(s_a, s'_a) / 2 + 1/2)              can the item be told from it?
        r       = alpha r_inter + (1 - alpha) r_intra

    and for (a, b) = (image, text) and (text, image) at every step, over I, O, W, the classifier C and the encoders,

        max  E[r] over m ~ P(. | s_a)  +  class_weight E[log softmax(C(h_a))_l].

    The gradient of E[r] in the translator of a is that of (1/K) sum over samples k of (r_k - b_k) log P(m_k | s_a), b_k
    the mean reward of the other samples; that in the one back is (1 - alpha) times the derivative of r_intra, m held
    fixed. Items are held fixed where rewards compare with them. Retrieval compares softmax(C(h_a)) by cosine; of an
    item of an unseen class, the probabilities of the seen classes serve as a semantic code.

    With --encoder=global the two modalities may have any names, and of more a model is trained for each pair.

    Differs from the papers and from RCBT's code [code], which has no policy: there alpha is 0, and what remains is
    --mode=code. The policy, its K, sigma and baseline, alpha .5, the classes' weight and Adam are this project's
    [decision; the papers' are unknown]. So are initial weights after Glorot: at the code's standard deviation of .1 the
    policy's noise drowns the classes, too; separate weights of the two LSTM layers, where the code reuses one cell; and
    masks, where it runs over the padding. Kept weights are chosen on validation items, where it chooses on test items.
    """

    Settings = CBTSettings
    settings: CBTSettings
    paper = "Qi and Peng, IJCAI 2018; RCBT: IEEE TCSVT 2020"
    citation = """
    @inproceedings{qi2018cross,
      author = {Jinwei Qi and Yuxin Peng},
      title = {Cross-modal Bidirectional Translation via Reinforcement Learning},
      booktitle = {Proceedings of the 27th International Joint Conference on Artificial Intelligence},
      pages = {2630--2636},
      year = {2018},
      doi = {10.24963/ijcai.2018/365}
    }
    @article{peng2020reinforced,
      author = {Yuxin Peng and Jinwei Qi},
      title = {Reinforced Cross-Media Correlation Learning by Context-Aware Bidirectional Translation},
      journal = {IEEE Transactions on Circuits and Systems for Video Technology},
      volume = {30},
      number = {6},
      pages = {1718--1731},
      year = {2020}
    }
    """
    provenance = "RCBT's public code; its policy gradient, which the code omits: 50 %"
    least_modalities = most_modalities = 2
    pairs = True
    zero_shot = True
    least_classes = 2

    @classmethod
    def reads(cls, settings: CBTSettings) -> tuple[str, ...]:
        """What the encoder reads."""
        return VIEWS[settings.encoder]

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if words have no vectors, too."""
        super().check(data)
        if "text.words" in data.dims and "text.words" not in data.tables:
            raise InputError(
                f"--encoder={self.settings.encoder}: the words of dataset {data.name} have no vectors; add them as "
                "text.words.table.npy, or read vectors alone by --encoder=global"
            )

    def make_networks(self, data: Shapes) -> Networks:
        """Builds the encoders, both translators with their common middle, and the classifier."""
        s = self.settings
        networks: Networks = {}
        self.first, self.second = data.modalities
        if s.encoder != "global":
            networks |= self.make_encoders(data)
        parts = {"image": s.region_units[-1], "text": s.word_units[-1]}
        outer, middle = {self.first: s.hidden_units[0], self.second: s.hidden_units[2]}, s.hidden_units[1]
        normal = {"stddev": s.init_stddev or None, "init": "truncated", "activation": tf.tanh}
        for m, width in outer.items():
            size = data.dims.get(m, 0) + (0 if s.encoder == "global" else parts[m])
            networks[f"{m}_in"] = self.tower(f"{m}_in", size, (width, middle), output_activation=tf.tanh, **normal)
            networks[f"{m}_out"] = self.tower(f"{m}_out", middle, (width, size), **normal)
        networks["middle"] = self.tower("middle", middle, (middle,), output_activation=tf.tanh, **normal)
        networks["classifier"] = self.tower("classifier", middle, (data.num_classes,))
        return networks

    def make_encoders(self, data: Shapes) -> Networks:
        """The layers that read regions and words, name -> layer."""
        s, made = self.settings, {}
        self.table = tf.constant(data.tables["text.words"])  # row 0, of the padding, is 0
        widths = {"image": (data.dims["image.regions"][1], s.region_units), "text": (s.word_filters, s.word_units)}
        for m, (inputs, units) in widths.items():
            made[f"{m}_lstm"] = LSTMStack(inputs, units, keep=s.dropout_keep, seed=self.own_seed(f"{m}_lstm"))
            if s.encoder == "rcbt":
                own = self.own_seed(f"{m}_attention")
                made[f"{m}_attention"] = Attention(units[-1], hidden=False, stddev=STDDEV, seed=own)
        made["text_convolution"] = Convolution(
            self.table.shape[1], s.word_filters, WINDOW, stddev=STDDEV, bias=0.1,
            seed=self.own_seed("text_convolution"),
        )
        return made

    @property
    def players(self) -> Players:
        """One; without rewards the translators' last layers stay as they are."""
        idle = [f"{m}_out" for m in (self.first, self.second)] if self.settings.mode == "none" else []
        return {"joint": tuple(name for name in self.networks if name not in idle)}

    def encode_item(self, modality: str, features: dict[str, tf.Tensor], seed: tf.Tensor | None = None) -> tf.Tensor:
        """s_m (B, d): the item's vector, and its sequence h_1 ... h_T as the LSTMs read it, pooled.

        rcbt: [vector; sum of a_t h_t + mean of h_t], a = softmax_t(u^T tanh(h_t)); cbt: the mean; global: the vector.

        Args:
          modality: name.
          features: view -> (B, ...).
          seed: int32 (2,) of the dropout masks; None switches dropout off.
        """
        if self.settings.encoder == "global":
            return features[modality]
        if modality == "image":
            sequence, valid = features["image.regions"], None
        else:
            sequence, valid = self.windows(features["text.words"])
        states = self.networks[f"{modality}_lstm"](sequence, valid, seed=seed)
        if valid is None:
            mean = tf.reduce_mean(states, axis=1)
        else:
            count = tf.reduce_sum(tf.cast(valid, tf.float32), axis=1, keepdims=True)
            mean = tf.math.divide_no_nan(tf.reduce_sum(states, axis=1), count)
        if self.settings.encoder == "cbt":
            return mean
        pooled, _ = self.networks[f"{modality}_attention"](states, valid)
        return tf.concat((features[modality], pooled + mean), axis=-1)

    def windows(self, words: tf.Tensor) -> tuple[tf.Tensor, tf.Tensor]:
        """Words (B, T) to the pooled convolution (B, T', filters) and which of its places saw a word, bool (B, T')."""
        short = max(0, WINDOW + POOL - 1 - words.shape[1])
        words = tf.pad(words, ((0, 0), (0, short)))
        valid = words > 0
        seen = tf.nn.relu(self.networks["text_convolution"](tf.gather(self.table, words), valid))
        return max_pool(seen, valid_windows(valid, WINDOW), POOL, 1)

    def middle(self, modality: str, item: tf.Tensor) -> tf.Tensor:
        """h_m: (..., d) to (..., hidden_units[1])."""
        return self.networks["middle"](self.networks[f"{modality}_in"](item))

    def translated_back(self, modality: str, other: str, translation: tf.Tensor) -> tf.Tensor:
        """s'_m (..., d) of a `translation` (..., d') into the `other` modality."""
        return tf.nn.relu(self.networks[f"{modality}_out"](self.middle(other, translation)))

    def rewards_of(
        self, modality: str, other: str, items: dict[str, tf.Tensor], translation: tf.Tensor,
    ) -> tuple[tf.Tensor, tf.Tensor]:
        """Rewards of translations.

        Args:
          modality, other: names; from which, and into which.
          items: modality -> s (B, d).
          translation: (..., B, d').

        Returns:
          (r_inter, r_intra), both (..., B).
        """
        inter = cosine_reward(tf.sigmoid(translation), items[other], (DAMPING, DAMPING))
        back = self.translated_back(modality, other, translation)
        return inter, cosine_reward(items[modality], back, (DAMPING, 0.0))

    def updates(self, batch: Batch, step: Step) -> Iterator[Update]:
        """The update of both directions, with rewards, advantage and noise to be shown."""
        found: Losses = {}
        shown: Losses = {}
        with tf.GradientTape() as tape:
            both = (self.first, self.second)
            items = {m: self.encode_item(m, batch, step.masks(i)) for i, m in enumerate(both)}
            for i, m in enumerate(both):
                seed = randomness.fold_in(step.seed, 2 + i)
                loss, values = self.direction(m, both[1 - i], items, batch["label"], seed)
                found |= {f"{name}_{m}": value for name, value in loss.items()}
                shown |= {f"{name}_{m}": value for name, value in values.items()}
        yield *self.minimise("joint", found, tape), shown

    def direction(
        self, modality: str, other: str, items: dict[str, tf.Tensor], labels: tf.Tensor, seed: tf.Tensor,
    ) -> tuple[Losses, Losses]:
        """The losses of translating into the other modality and back.

        Args:
          modality, other: names.
          items: modality -> s (B, d).
          labels: int32 (B,).
          seed: int32 (2,) of the sampled translations.

        Returns:
          (The losses, what is shown beside them), both name -> scalar.
        """
        s = self.settings
        alpha = 0.0 if s.mode == "code" else s.alpha
        common = self.middle(modality, items[modality])
        logits = self.networks["classifier"](common)
        loss = tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits)
        found = {"class": s.class_weight * tf.reduce_mean(loss)}
        if s.mode == "none":
            return found, {}
        if not s.rewards_train_encoders:
            items = {m: tf.stop_gradient(item) for m, item in items.items()}
        mean = self.networks[f"{other}_out"](common)
        translation = mean if s.mode == "path" else tf.stop_gradient(mean)
        if s.mode == "policy":
            noise = tf.random.stateless_normal((s.samples, *mean.shape), seed)
            translation += s.policy_stddev * noise  # (K, B, d')
        inter, intra = self.rewards_of(modality, other, items, translation)
        found["intra"] = -(1 - alpha) * tf.reduce_mean(intra)
        shown = {"r_inter": tf.reduce_mean(inter), "r_intra": tf.reduce_mean(intra)}
        if s.mode == "path":
            found["inter"] = -alpha * tf.reduce_mean(inter)
        if s.mode == "policy":
            reward = alpha * inter + (1 - alpha) * intra
            log_prob = tf.reduce_sum((translation - mean) ** 2, axis=-1) / (-2 * s.policy_stddev**2)
            found["policy"] = tf.reduce_mean(reinforce(log_prob, reward))
            others = (tf.reduce_sum(reward, axis=0) - reward) / (s.samples - 1)
            lengths = tf.norm(translation - mean, axis=-1) / (tf.norm(mean, axis=-1) + 1e-12)
            # the mean of the advantage is 0; its size tells whether the samples differ, the noise's whether too much
            shown |= {"advantage": tf.reduce_mean(tf.abs(reward - others)), "noise": tf.reduce_mean(lengths)}
        return found, shown

    def embed(self, modality: str, features: Features) -> tf.Tensor:
        """Class probabilities (B, C), without dropout."""
        features = features if isinstance(features, dict) else {modality: features}
        common = self.middle(modality, self.encode_item(modality, features))
        return tf.nn.softmax(self.networks["classifier"](common))

    def measure(self, split: Split) -> dict[str, float]:
        """Mean rewards of the mean translations of a split's pairs: "r_inter image->text" and so on -> float."""
        views = {view: self.checked(view, split.features[view]) for view in self.dims}
        totals: dict[str, float] = {}
        count, block = len(split), 1024
        for i in range(0, count, block):
            for name, total in self._measured({v: tf.constant(x[i : i + block]) for v, x in views.items()}).items():
                totals[name] = totals.get(name, 0.0) + float(total) / count
        return totals

    @tf.function(reduce_retracing=True)
    def _measured(self, features: dict[str, tf.Tensor]) -> dict[str, tf.Tensor]:
        """Sums of rewards over a block of pairs."""
        found, both = {}, (self.first, self.second)
        items = {m: self.encode_item(m, features) for m in both}
        for m, other in (both, both[::-1]):
            mean = self.networks[f"{other}_out"](self.middle(m, items[m]))
            rewards = self.rewards_of(m, other, items, mean)
            for name, reward in zip(("r_inter", "r_intra"), rewards, strict=True):
                found[f"{name} {m}->{other}"] = tf.reduce_sum(reward)
        return found
