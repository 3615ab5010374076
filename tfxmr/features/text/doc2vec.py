"""Paragraph vectors (Le and Mikolov, ICML 2014), trained and inferred so that repeating gives the same bits."""
import hashlib
import os
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import numpy as np
from gensim.models.doc2vec import Doc2Vec, TaggedDocument, train_document_dbow, train_document_dm
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.wording import counted
from tfxmr.data.files import archive
from tfxmr.features.feature import State, words_of
from tfxmr.features.text.bag_of_words import split_words
from tfxmr.features.text.base import TextFeature, TextOptions

DIM = 300
TRAINING = {"window": 15, "negative": 5, "hs": 0, "sample": 1e-3}
INFER_ALPHA, INFER_MIN_ALPHA, INFER_EPOCHS = 0.01, 1e-4, 100
SETTINGS = ("dm", "vector_size", "window", "negative", "seed")  # of a stored model


class DocumentVectors(TextFeature):
    """doc2vec: the vector, 300-d, that best predicts the words of a text.

    PV-DBOW draws words of the text and has its vector v predict them against negative samples,
    max sum_w log s(u_w v) + sum_neg log s(-u_neg v); PV-DM adds the mean of the neighbours' vectors to v. The texts
    that were trained on get their vectors by inference, too, so that all splits are alike.

    gensim repeats neither of the two by itself: with more than one thread training depends on chance, and inference
    starts at a vector made of Python's hash of the text, which differs in every process, and continues in the random
    state that the texts before have left. Here each text starts at a digest of its own words and seed.
    """

    kind = "doc2vec"

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Trains a model on the texts, or takes the stored one that the options name."""
        if self.options.model:
            self._model, self.fitted = load(self.options.model), False
            digest = hashlib.sha256(pathlib.Path(self.options.model).read_bytes()).hexdigest()
            self.rule = {"model": self.options.model, "model_sha256": digest}
        else:
            self._model = train(texts, self.options)
            self.rule = {"mode": self.options.mode, "epochs": self._model.epochs, "min_count":
                         self.options.min_documents, **TRAINING}
        self.dim = self._model.vector_size
        self.rule |= {"infer_alpha": INFER_ALPHA, "infer_epochs": INFER_EPOCHS, "words": len(self._model.wv)}
        return self

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns float32 (n, 300)."""
        return np.stack([infer(self._model, split_words(text), self.options.seed) for text in texts])

    def save(self, folder: pathlib.Path) -> None:
        """Writes the model as `load` reads it."""
        save(folder / "doc2vec.npz", self._model)

    def _learned(self) -> State:
        """The model, as `save` writes it."""
        words, settings, arrays = _parts(self._model)
        return {"words": words, "settings": settings}, arrays

    def _take(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place) -> None:
        """Takes the model."""
        counts, vectors, output = arrays["counts"], arrays["vectors"], arrays["output"]
        self._model = _model(np.array(words_of(facts)), counts, vectors, output, facts["settings"])
        self.dim = self._model.vector_size


def train(texts: Sequence[str], options: TextOptions) -> Doc2Vec:
    """Trains a gensim Doc2Vec on texts; raises InputError if no word is frequent enough."""
    model = Doc2Vec(
        dm=int(options.mode == "dm"), vector_size=DIM, min_count=options.min_documents, epochs=options.epochs or 20,
        workers=1, seed=options.seed, **TRAINING,
    )
    corpus = [TaggedDocument(split_words(text), [number]) for number, text in enumerate(texts)]
    model.build_vocab(corpus)
    if not len(model.wv):
        raise InputError(
            f"--text_features=doc2vec: no word occurs {counted(options.min_documents, 'time')} in "
            f"{counted(len(corpus), 'text')}; lower --min_documents"
        )
    model.train(corpus, total_examples=model.corpus_count, epochs=model.epochs)
    return model


def infer(model: Doc2Vec, words: Sequence[str], seed: int) -> NDArray:
    """The vector (d,) of a list of words by a gensim Doc2Vec; zero if the model knows none of them.

    Args:
      model: without hierarchical softmax.
      words: list of str.
      seed: int.
    """
    known = [word for word in words if word in model.wv]
    vector = np.zeros((1, model.vector_size), np.float32)
    if not known:
        return vector[0]
    state = np.frombuffer(hashlib.sha256(f"{seed} {' '.join(known)}".encode()).digest(), "<u4")
    rng = np.random.RandomState(state)
    vector[0] = (rng.random_sample(model.vector_size) - 0.5) / model.vector_size
    model.random.seed(rng.randint(2**31))
    work = np.zeros(model.layer1_size, np.float32)
    frozen = {"learn_words": False, "learn_hidden": False, "doctag_vectors": vector,
              "doctags_lockf": np.ones(1, np.float32)}
    for alpha in np.linspace(INFER_ALPHA, INFER_MIN_ALPHA, INFER_EPOCHS):
        if model.sg:
            train_document_dbow(model, known, [0], float(alpha), work, **frozen)
        else:
            train_document_dm(model, known, [0], float(alpha), work, np.zeros_like(work), **frozen)
    return vector[0]


def save(path: pathlib.Path, model: Doc2Vec) -> None:
    """Writes what inference needs of a gensim Doc2Vec as plain arrays, .npz."""
    words, settings, arrays = _parts(model)
    stored: dict[str, Any] = {"words": np.array(words), **arrays, "settings": np.array(settings)}
    np.savez(path, **stored)


def _parts(model: Doc2Vec) -> tuple[list[str], list[int], dict[str, NDArray]]:
    """(Words, values of SETTINGS, arrays) of a gensim Doc2Vec, all that inference needs."""
    words = list(model.wv.index_to_key)
    counts = np.array([model.wv.get_vecattr(word, "count") for word in words])
    settings = [int(getattr(model, {"dm": "sg"}.get(name, name))) for name in SETTINGS]
    return words, settings, {"counts": counts, "vectors": model.wv.vectors, "output": model.syn1neg}


def load(path: str | os.PathLike) -> Doc2Vec:
    """Reads a model that `save` wrote; raises InputError for anything else, gensim's own pickles above all."""
    refusal = (
        f"--doc2vec_model={path}: is no Doc2Vec model of `tfxmr extract` (doc2vec.npz). Models in gensim's own format "
        "are pickles, which can run any code, and are never read; train one with --text_corpus=FILE instead"
    )
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"--doc2vec_model={path}: there is no such file")
    try:
        stored = archive.read_npz(path)
        words, counts, vectors, output, settings = (
            stored[name] for name in ("words", "counts", "vectors", "output", "settings"))
        return _model(words, counts, vectors, output, settings.tolist())
    except (ValueError, KeyError, TypeError) as error:
        raise InputError(refusal) from error


def _model(words: NDArray, counts: NDArray, vectors: NDArray, output: NDArray, settings: list[int]) -> Doc2Vec:
    """The gensim Doc2Vec of `_parts`; raises ValueError or TypeError if they do not fit together."""
    facts = dict(zip(SETTINGS, settings, strict=True))
    _check_stored(words, counts, vectors, output, facts)
    facts["dm"] = 1 - facts["dm"]  # stored as gensim's `sg`, which is 1 for PV-DBOW
    model = Doc2Vec(min_count=1, workers=1, **TRAINING | facts)
    model.build_vocab_from_freq(dict(zip(words.tolist(), counts.tolist(), strict=True)), corpus_count=1)
    # gensim has re-sorted words of one frequency; negative samples follow from their order.
    order = [model.wv.key_to_index[word] for word in words.tolist()]
    model.wv.index_to_key = words.tolist()
    model.wv.key_to_index = {word: number for number, word in enumerate(model.wv.index_to_key)}
    model.wv.expandos = {name: values[order] for name, values in model.wv.expandos.items()}
    model.wv.vectors, model.syn1neg = vectors, output
    model.make_cum_table()
    return model


def _check_stored(words: NDArray, counts: NDArray, vectors: NDArray, output: NDArray, facts: dict[str, Any]) -> None:
    """Raises ValueError or TypeError where arrays do not fit together, at which gensim would end, or go astray."""
    if words.dtype.kind != "U" or not 0 < len(set(words.tolist())) == words.size == len(words):
        raise ValueError("the words are no different strings")
    if counts.dtype.kind not in "iu" or counts.shape != words.shape or counts.min() < 1:
        raise ValueError("the counts are no whole numbers from 1 on, one a word")
    if not all(isinstance(value, int) and 0 <= value < 2**31 for value in facts.values()) or facts["dm"] > 1:
        raise ValueError("the settings are no small whole numbers")
    for matrix in (vectors, output):
        if matrix.dtype != np.float32 or matrix.shape != (len(words), facts["vector_size"]):
            raise ValueError("the matrices have not one row of that size a word")
        if not np.isfinite(matrix).all():
            raise ValueError("the matrices hold NaN or infinite values")
