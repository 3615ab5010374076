"""The embedded data set as matrices: generated scenes, a classical image descriptor, bag-of-words texts.

More views are made where they are wanted. "image.regions" are the descriptor's 49 places and "image.pixels" the
images themselves, see tfxmr.features.image.descriptor. "text.words" are the numbers of a text's words in order, with
the word vectors and the vocabulary of `word_vectors`. Every word of that corpus has a number, by alphabet, whether a
text has it or not: so the view is fitted on no item, and is the same in every split and with any classes unseen. Words
that the corpus has not are skipped.
"""
import dataclasses
import functools
import itertools
from typing import Any

import numpy as np
from numpy.typing import NDArray
from tfxmr_datasets.scenes import generator

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction.dataset import Dataset, Reader, Request
from tfxmr.extraction.describing import describe
from tfxmr.features.image.descriptor import Descriptor, DescriptorRegions, Pixels, image_pixels, image_regions
from tfxmr.features.text.bag_of_words import KINDS, TextVectorizer
from tfxmr.features.text.word_sequences import WordSequence


class Scenes(Dataset):
    """"train" and "test" pairs of 20 classes; texts have the vocabulary of the training texts."""

    def arrays(self, request: Request) -> MultiModalData:
        """Generates the data set if it is not built yet, and makes its features and the views that are wanted."""
        builder, columns = self._columns(request)
        data = self.divided(self._data(builder, columns), request, self.fitted_on)
        images, texts, ids = ([*itertools.chain(*(c[n] for c in columns.values()))] for n in ("image", "text", "id"))
        described = describe(Descriptor(), "image", images, len(images), lambda image: image,
                             lambda _, image: image, request.cache_dir)
        row_of = {id_: row for row, id_ in enumerate(ids)}
        of_split = {name: [texts[row_of[id_]] for id_ in split.ids["text"]] for name, split in data.splits.items()}
        vectorizer = TextVectorizer(request.text_features).fit(of_split["train"])
        names = {"image": request.image_features, "text": request.text_features}
        recipes: dict[str, Any] = {"image": Descriptor(), "text": vectorizer}
        tables, vocabularies = {}, {}
        if "image.regions" in request.views:
            names["image.regions"], recipes["image.regions"] = "descriptor regions", DescriptorRegions()
        if "image.pixels" in request.views:
            names["image.pixels"], recipes["image.pixels"] = "pixels", Pixels()
        if "text.words" in request.views:
            names["text.words"] = "words"
            vocabularies["text.words"], tables["text.words"] = _words()
            # The texts say but how far to pad.
            recipes["text.words"] = WordSequence.of_words("words", vocabularies["text.words"][1:], texts)
        splits = {}
        for name, split in data.splits.items():
            rows: Any = described.matrix(row_of, split, "image")
            features = {"image": rows, "text": vectorizer.transform(of_split[name])}
            if "image.regions" in names:
                features["image.regions"] = image_regions(rows)
            if "image.pixels" in names:
                features["image.pixels"] = image_pixels(images[row_of[id_]] for id_ in split.ids["image"])
            if "text.words" in names:
                features["text.words"] = recipes["text.words"].transform(of_split[name])
            splits[name] = dataclasses.replace(split, features=features)
        facts = {view: {"name": name, "source": f"scenes {builder.version}"} for view, name in names.items()}
        return dataclasses.replace(
            data, splits=splits, features=facts, tables=tables, vocabularies=vocabularies, recipes=recipes,
        )

    def listed(self, request: Request) -> MultiModalData:
        """As `arrays`, without columns."""
        return self._data(*self._columns(request))

    def _columns(self, request: Request) -> tuple[Any, dict[str, dict[str, Any]]]:
        """(The builder, built; of "train" and "test" the columns.)"""
        from tfxmr.extraction import tfds_io

        builder = self.build(None, request)
        return builder, {name: tfds_io.read(builder, name) for name in ("train", "test")}

    def _data(self, builder: Any, columns: dict[str, dict[str, Any]]) -> MultiModalData:
        """The pairs, whose matrices have no columns."""
        splits = {}
        for name, c in columns.items():
            empty = np.zeros((len(c["id"]), 0), np.float32)
            splits[name] = Split.of_pairs({"image": empty, "text": empty}, c["label"], c["id"])
        return MultiModalData(name=self.name, splits=splits, class_names=list(builder.info.features["label"].names))

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
    fitted_on="text: vocabulary and word weights on the training texts; image: on nothing",
)
