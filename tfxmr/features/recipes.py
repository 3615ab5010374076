"""Features made again from their state, in another process, when the data that they were fitted on are gone."""
import importlib
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.features.feature import Feature

# Named and imported when one is needed: a descriptor or word counts wait neither for TensorFlow nor for gensim.
KINDS = {  # beside tfxmr.features.image.descriptor.DESCRIPTORS
    "network": "image.network:ImageNetwork", "onnx_images": "image.onnx_network:OnnxImages",
    "hub_images": "image.hub_images:HubImages", "hub_sentences": "text.hub_sentences:HubSentences",
    "onnx_sentences": "text.onnx_sentences:OnnxSentences", "own_images": "image.own_images:OwnImages",
    "own_files": "own_files:OwnFiles",
    "own_sentences": "text.own_sentences:OwnSentences",
    "vectorizer": "text.bag_of_words:TextVectorizer", "word_counts": "text.word_counts:WordCounts",
    "doc2vec": "text.doc2vec:DocumentVectors", "word2vec": "text.word_sequences:MeanWordVectors",
    "sequence": "text.word_sequences:WordSequence", "words": "text.word_sequences:WordNumbers",
    "sentence_cnn": "text.sentence_cnn:SentenceNetwork",
}


def restored(
    facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place = None,
    image_weights: Place = None,
) -> Feature:
    """The feature of a state, which makes the same rows of new media as the one that gave the state.

    Args:
      facts, arrays: as `Feature.state` gives them, perhaps written to a disk and read back.
      word_vectors: path of the file of word vectors, of the exported network or of the preset's folder that a text
        feature was made with; None: where it was then. Of use where the state names one alone.
      image_weights: likewise of the weights of an image network, "imagenet" or the path of a file or folder.

    Raises:
      InputError: the state is damaged or of another version, or the word vectors or weights that it names are missing,
        or are others.
    """
    kind = facts.get("feature")
    made_by = _class_of(kind)
    try:
        return made_by.of_state(facts, arrays, word_vectors, image_weights)
    except InputError:
        raise
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        raise InputError(
            f"the state of the {kind} features is damaged ({type(error).__name__}: {error}); put back a copy of its "
            "files, or make the features again"
        ) from error


def _class_of(kind: Any) -> Any:
    """The class of the features of a kind; raises InputError if there is none."""
    if isinstance(kind, str) and kind in KINDS:
        module, name = KINDS[kind].split(":")
        return getattr(importlib.import_module(f"tfxmr.features.{module}"), name)
    from tfxmr.features.image.descriptor import DESCRIPTORS  # scikit-image is not imported for texts

    if isinstance(kind, str) and kind in DESCRIPTORS:
        return DESCRIPTORS[kind]
    raise InputError(
        f"a feature of the kind {kind!r} is not known here; there are {', '.join((*DESCRIPTORS, *KINDS))}. Make the "
        "features again, or take the version of tfxmr that wrote it"
    )
