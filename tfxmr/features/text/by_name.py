"""Texts to vectors or tokens, by name: what `tfxmr extract --text_features=NAME` can make."""
import re

from tfxmr.core.errors import InputError
from tfxmr.features.text.base import TextFeature, TextOptions
from tfxmr.features.text.word_counts import WordCounts
from tfxmr.features.text.word_sequences import MeanWordVectors, WordNumbers, WordSequence

NAMES = (
    "bowN, tfidfN (N words, such as bow3000), doc2vec, word2vec, sentence_cnn; word numbers, as the view text.words: "
    "sequence (with word vectors), words (with start and end); onnx:FILE, an exported network with its tokenizer.json; "
    "hub:PRESET, of keras-hub; MODULE:FUNCTION, of your own"
)


def make(name: str, options: TextOptions) -> TextFeature:
    """The TextFeature of a name. Raises InputError for an unknown one."""
    if re.fullmatch(r"(bow|tfidf)\d+", name):
        return WordCounts(name, options)
    if name.startswith("onnx:"):
        from tfxmr.features.text.onnx_sentences import OnnxSentences

        return OnnxSentences(name, options)
    if name.startswith("hub:"):
        from tfxmr.features.text.hub_sentences import HubSentences

        return HubSentences(name, options)
    if ":" in name:
        from tfxmr.features.text.own_sentences import OwnSentences

        return OwnSentences(name, options)
    if name == "doc2vec":
        from tfxmr.features.text.doc2vec import DocumentVectors

        return DocumentVectors(name, options)
    if name == "sentence_cnn":
        from tfxmr.features.text.sentence_cnn import SentenceNetwork

        return SentenceNetwork(name, options)
    kinds = {"word2vec": MeanWordVectors, "sequence": WordSequence, "words": WordNumbers}
    if name not in kinds:
        raise InputError(f"--text_features={name}: there is no such feature to extract; there are {NAMES}")
    return kinds[name](name, options)
