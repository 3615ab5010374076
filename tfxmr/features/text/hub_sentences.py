"""Texts by a preset of keras-hub: `--text_features=hub:PRESET`; see tfxmr.features.hub_preset."""
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.files import Place, read_json
from tfxmr.features import hub_preset
from tfxmr.features.feature import State
from tfxmr.features.text.base import TextFeature, TextOptions

BATCH = 16  # texts at once
STEP = 16  # padded texts are cut off after the least multiple of it that holds their tokens


class HubSentences(TextFeature):
    """The vectors of a preset's text network, of tokens that its own tokenizer and preprocessor make.

    Of two towers, as CLIP and SigLIP, the vector by which texts are compared with images. Of a TextEmbedder, such as
    all_minilm_l6_v2_en, what it gives, pooled and normalised as it says. Of another network, as BERT, the mean of its
    last layer over the tokens of the text, those of the padding mask.

    Args:
      name: hub:PRESET.
      options: TextOptions; nothing of it is used.

    Raises:
      InputError: there is no such preset, or it is none of texts.
    """

    kind, fitted = "hub_sentences", False
    dim: int

    def __init__(self, name: str, options: TextOptions) -> None:
        self.preset = preset = hub_preset.Preset("text", name)
        super().__init__(preset.name, options)
        hub = preset.module("keras_hub")
        preset.read(hub.tokenizers.Tokenizer.from_preset, "tokenizer")  # of another kind refused before the network
        self._two_towers = False
        whole, self._network, self._preprocessor, self.pooling = self._found(hub.models)
        self._inputs = [*hub_preset.inputs_of(self._network)]
        self.length = min(self._preprocessor.sequence_length or 512, _longest(whole))
        self._preprocessor.sequence_length = self.length
        self.dim = int(self._network.output.shape[-1])
        if not set(self._inputs) <= set(self.tokens(["a"])):
            raise preset.refusal(whole)
        self.rule = preset.rule(whole, pooling=self.pooling, max_length=self.length)

    def _found(self, models: Any) -> tuple[Any, Any, Any, str]:
        """(The whole network, keras.Model from tokens to vectors, preprocessor, where these are taken)."""
        preset, task = self.preset, self.preset.folder / hub_preset.TASK
        keras = preset.module("keras")  # imported here, so that what is refused does not wait for it
        if task.is_file() and str(read_json(task, "get the preset anew").get("class_name")).endswith("TextEmbedder"):
            embedder = preset.read(models.TextEmbedder.from_preset, "TextEmbedder", dtype="float32")
            pooling = f"{getattr(embedder, 'pooling_mode', 'own')}, as its TextEmbedder"
            network = keras.Model(embedder.input, embedder.output)
            return embedder.backbone, network, embedder.preprocessor, pooling
        whole = preset.network()
        inputs = hub_preset.inputs_of(whole)
        if hasattr(whole, "get_text_embeddings") and set(inputs) == {"images", "token_ids"}:
            self._two_towers = True
            preprocessor = preset.read(models.CausalLMPreprocessor.from_preset, "preprocessor of texts")
            preprocessor.image_converter = None
            tokens = keras.Input((None,), dtype="int32", name="token_ids")
            network = keras.Model({"token_ids": tokens}, whole.get_text_embeddings(tokens))
            return whole, network, preprocessor, "projection"
        output: Any = whole.output.get("sequence_output") if isinstance(whole.output, dict) else whole.output
        if not {"token_ids", "padding_mask"} <= set(inputs) or len(getattr(output, "shape", ())) != 3:
            raise preset.refusal(whole)
        preprocessor = preset.read(models.TextClassifierPreprocessor.from_preset, "preprocessor of single texts")
        mask = keras.ops.cast(inputs["padding_mask"], output.dtype)[:, :, None]
        mean = keras.ops.sum(output * mask, axis=1) / keras.ops.maximum(keras.ops.sum(mask, axis=1), 1)
        return whole, keras.Model(inputs, mean), preprocessor, "mean"

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Learns nothing."""
        return self

    def tokens(self, texts: Sequence[str]) -> dict[str, NDArray]:
        """What the network takes for n texts: name -> int32 (n, T), filled up to the preset's length."""
        given: Any = {"prompts": list(texts), "images": None} if self._two_towers else list(texts)
        made = self._preprocessor(given)
        return {name: np.asarray(value, np.int32) for name, value in made.items() if value is not None}

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns float32 (n, dim)."""
        rows = np.zeros((len(texts), self.dim), np.float32)
        if not len(texts):
            return rows
        tokens = {name: array for name, array in self.tokens(texts).items() if name in self._inputs}
        # What is masked costs time alone. A text's own length decides, so that its row never depends on others.
        places = np.full(len(texts), self.length)
        if (mask := tokens.get("padding_mask")) is not None and mask[:, 0].all():
            places = np.minimum(-(-mask.sum(axis=1) // STEP) * STEP, self.length)
        for length in np.unique(places):
            chosen = np.flatnonzero(places == length)
            cut = {name: array[chosen, :length] for name, array in tokens.items()}
            rows[chosen] = hub_preset.in_batches(self._network, cut, BATCH)
        return rows

    def _learned(self) -> State:
        """Which preset it is."""
        return {"preset": self.preset.given}, {}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature, of the preset or a copy of it; see `tfxmr.features.restored`."""
        return hub_preset.remade(cls, facts, word_vectors, "word_vectors", options=TextOptions(seed=facts["seed"]))


def _longest(whole: Any) -> int:
    """How many tokens a network takes at most."""
    towers = (whole, getattr(whole, "text_encoder", None))
    return min((n for tower in towers if (n := getattr(tower, "max_sequence_length", None))), default=10**6)
