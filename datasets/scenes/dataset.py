"""The embedded data set as matrices: generated scenes, a classical image descriptor, bag-of-words texts.

More views are made where they are wanted. "image.regions" are the descriptor's 49 places and "image.pixels" the
images themselves, see tfxmr.features.image.descriptor. "text.words" are the numbers of a text's words in order, with
the word vectors and the vocabulary of `word_vectors`. Every word of that corpus has a number, by alphabet, whether a
text has it or not: so the view is fitted on no item, and is the same in every split and with any classes unseen. Words
that the corpus has not are skipped.
"""
import functools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tfxmr_datasets.scenes import generator

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction.dataset import Dataset, Reader, Request
from tfxmr.features.image.descriptor import (
    Descriptor,
    DescriptorRegions,
    Pixels,
    image_descriptor,
    image_pixels,
    image_regions,
)
from tfxmr.features.text.bag_of_words import KINDS, TextVectorizer
from tfxmr.features.text.word_sequences import WordSequence


class Scenes(Dataset):
    """"train" and "test" pairs of 20 classes; texts have the vocabulary of the training texts."""

    def arrays(self, request: Request) -> MultiModalData:
        """Generates the data set if it is not built yet, and makes its features and the views that are wanted."""
        from tfxmr.extraction import tfds_io

        builder = self.build(None, request)
        columns = {name: tfds_io.read(builder, name) for name in ("train", "test")}
        vectorizer = TextVectorizer(request.text_features).fit(columns["train"]["text"])
        features = {
            name: {"image": image_descriptor(c["image"]), "text": vectorizer.transform(c["text"])}
            for name, c in columns.items()
        }
        names = {"image": request.image_features, "text": request.text_features}
        recipes = {"image": Descriptor(), "text": vectorizer}
        tables, vocabularies = {}, {}
        if "image.regions" in request.views:
            names["image.regions"], recipes["image.regions"] = "descriptor regions", DescriptorRegions()
            for found in features.values():
                found["image.regions"] = image_regions(found["image"])
        if "image.pixels" in request.views:
            names["image.pixels"], recipes["image.pixels"] = "pixels", Pixels()
            for name, c in columns.items():
                features[name]["image.pixels"] = image_pixels(c["image"])
        if "text.words" in request.views:
            names["text.words"] = "words"
            vocabularies["text.words"], tables["text.words"] = _words()
            texts = [text for c in columns.values() for text in c["text"]]  # which say but how far to pad
            words = recipes["text.words"] = WordSequence.of_words("words", vocabularies["text.words"][1:], texts)
            for name, c in columns.items():
                features[name]["text.words"] = words.transform(c["text"])
        splits = {name: Split.of_pairs(features[name], c["label"], c["id"]) for name, c in columns.items()}
        return MultiModalData(
            name=self.name,
            splits=splits,
            class_names=list(builder.info.features["label"].names),
            features={view: {"name": name, "source": f"scenes {builder.version}"} for view, name in names.items()},
            tables=tables,
            vocabularies=vocabularies,
            recipes=recipes,
        )

    def reader(self, request: Request) -> Reader:
        """Generates items again: uint8 (64, 64, 3) an image, str a text."""
        return lambda modality, ids: (generator.by_id(name)[modality] for name in ids)

    def word_vectors(self) -> Any:
        """Word vectors trained on the data set's own unpaired corpus, 300-d; its stand-in for Google News."""
        return _word_vectors()


@functools.cache
def _word_vectors() -> Any:
    from tfxmr.features.text.word2vec_training import train_word2vec  # gensim takes a second to be imported

    return train_word2vec(generator.corpus())


def _words() -> tuple[list[str], NDArray]:
    """(The words of the corpus by alphabet, "" first; their vectors, float32 (V + 1, 300), zeros first)."""
    vectors = _word_vectors()
    known = sorted(vectors.key_to_index)
    return ["", *known], np.stack([np.zeros(vectors.vector_size, np.float32), *(vectors[word] for word in known)])


SCENES = Scenes(
    name="scenes",
    description="2,000 generated image-text pairs, 20 classes; no download",
    package=__package__,
    image_features=("descriptor",),
    text_features=KINDS,
    views=("image.regions", "image.pixels", "text.words"),
    fitted_on="text: vocabulary and word weights on the official training texts; image: on nothing",
)
