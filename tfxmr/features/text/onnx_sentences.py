"""Texts by any exported network: `--text_features=onnx:FILE`; see tfxmr.features.onnx_graph for its files."""
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, digest_file
from tfxmr.features import onnx_graph
from tfxmr.features.feature import State
from tfxmr.features.text.base import TextFeature, TextOptions

TOKENIZER, LONGEST = "tokenizer.json", 512  # tokens of a text at most, where nothing says it
ANY = 10**6  # tokenizer_config.json says of tokenizers without a limit that it is larger than this


class OnnxSentences(TextFeature):
    """The vectors of an exported text network, by the tokenizer and the pooling that lie beside it.

    What makes a vector of an output (1, T, d) is the model's own JSON's "pooling", that of Sentence Transformers'
    1_Pooling/config.json, or else the mean of all tokens, those that the attention mask has. A text runs alone and,
    unless the graph's length is fixed, without padding, so that its row never depends on others.

    Args:
      name: onnx:FILE.
      options: TextOptions; nothing of it is used.

    Raises:
      InputError: the file is no such network, the tokenizer is missing, or tokenizers is not installed.
    """

    kind, fitted = "onnx_sentences", False
    alone = True
    dim: int

    def __init__(self, name: str, options: TextOptions) -> None:
        self.graph = graph = onnx_graph.Graph("text", name)
        super().__init__(f"{onnx_graph.PREFIX}{graph.path.name}", options)
        path = graph.file(TOKENIZER)
        if path is None:
            raise InputError(f"{graph.flag}: there is no {TOKENIZER} beside it; save it there, as Hugging Face's "
                             "tokenizers write it")
        self._tokenizer = self._tokens_by(path)
        self._ids = graph.declared.get("input", "input_ids" if "input_ids" in graph.inputs else [*graph.inputs][0])
        if self._ids not in graph.inputs:
            raise InputError(f"{graph.flag}: has no input {self._ids!r}; there are {', '.join(graph.inputs)}")
        self.length, fixed = self._lengths()
        self._tokenizer.enable_truncation(self.length)
        self._pad(fixed)
        self.pooling = graph.declared.get("pooling", self._pooling())
        self.dim = len(self._row("a"))
        self.rule = graph.rule(
            pooling=self.pooling, tokenizer_sha256=digest_file(path), max_length=self.length, padded_to=fixed,
        )

    def _tokens_by(self, path: Any) -> Any:
        try:
            import tokenizers
        except ImportError as error:
            raise InputError(f"{self.graph.flag}: needs the package tokenizers ({error}): pip install 'tfxmr[onnx]'"
                             ) from error
        try:
            return tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # its only type
            raise InputError(f"{path}: is no tokenizer ({error}); get it as the model's authors publish it") from error

    def _lengths(self) -> tuple[int, int | None]:
        """(Tokens of a text at most, tokens of every text if the graph's length is fixed)."""
        shape = self.graph.inputs[self._ids][1]
        fixed = shape[1] if len(shape) > 1 else None
        told = (
            self.graph.declared.get("max_length"), self.graph.read("sentence_bert_config.json").get("max_seq_length"),
            (self._tokenizer.truncation or {}).get("max_length"),
            self.graph.read("tokenizer_config.json").get("model_max_length"),
        )
        length = next((int(n) for n in told if isinstance(n, int | float) and 0 < n < ANY), fixed or LONGEST)
        return min(length, fixed or length), fixed

    def _pad(self, fixed: int | None) -> None:
        """Has every text filled up to the graph's length, if that is fixed; else there is no padding."""
        padding = self._tokenizer.padding
        self._tokenizer.no_padding()
        if fixed is None:
            return
        if padding is None:
            token = self.graph.read("tokenizer_config.json").get("pad_token") or "[PAD]"
            token = token["content"] if isinstance(token, dict) else token
            padding = {"pad_token": token, "pad_id": self._tokenizer.token_to_id(token) or 0}
        self._tokenizer.enable_padding(
            pad_id=padding["pad_id"], pad_token=padding["pad_token"], pad_type_id=padding.get("pad_type_id", 0),
            length=fixed,
        )

    def _pooling(self) -> str:
        """As Sentence Transformers declare it, else the mean."""
        config = self.graph.read("1_Pooling/config.json")
        asked = [name.removeprefix("pooling_mode_") for name, on in config.items()
                 if name.startswith("pooling_mode_") and on is True]
        known = {"cls_token": "cls", "mean_tokens": "mean"}
        if config and (len(asked) != 1 or asked[0] not in known):
            raise InputError(f"{self.graph.flag}: 1_Pooling/config.json asks for {', '.join(asked) or 'nothing'}; "
                             f'declare "pooling" in {self.graph.path.with_suffix(".json")}: mean or cls')
        return known[asked[0]] if config else "mean"

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Learns nothing."""
        return self

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns float32 (n, dim)."""
        return self.graph.rows(self._row, texts, self.dim)

    def _row(self, text: str) -> NDArray:
        tokens = self._tokenizer.encode(text)
        mask = np.array(tokens.attention_mask, np.int64)
        known = {"attention_mask": mask, "token_type_ids": np.array(tokens.type_ids, np.int64),
                 "position_ids": np.arange(len(mask)), self._ids: np.array(tokens.ids, np.int64)}
        output = self.graph.run({name: values[None] for name, values in known.items()})
        return self.graph.vector(output, self.pooling, mask.astype(bool))

    def _learned(self) -> State:
        """Where the file is."""
        return {"path": str(self.graph.path)}, {}

    @classmethod
    def of_state(
        cls, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
        image_weights: Place = None,
    ) -> Self:
        """The feature, of the file or a copy of it; see `tfxmr.features.restored`."""
        return onnx_graph.remade(cls, facts, word_vectors, "word_vectors", options=TextOptions(seed=facts["seed"]))
