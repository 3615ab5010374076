"""Tests of text features: by hand where they can be counted, and the same bits in every process."""
import hashlib
import os
import pathlib
import subprocess
import sys

import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.features.text import by_name, doc2vec
from tfxmr.features.text.base import TextOptions

TEXTS = [f"the {a} {v} near the {b}" for a in ("cat", "dog", "bird") for v in ("sleeps", "runs") for b in ("tree", "house")]
LABELS = [n // 4 for n in range(12)]
OPTIONS = TextOptions(min_documents=1, epochs=2)

REPEAT = """
import hashlib, sys
sys.path.insert(0, {folder!r})
from by_name_test import *
for name in {names!r}:
    feature = by_name.make(name, OPTIONS).fit(TEXTS, LABELS)
    print(name, hashlib.sha256(feature.transform(TEXTS + ["a cat"])).hexdigest())
"""


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("4 2\ncat 1 0\ndog 0 1\nruns 1 1\nParis 5 5\n")
    return TextOptions(min_documents=1, vectors=str(path))


def test_word_counts():
    found = by_name.make("bow2", OPTIONS).fit(["red red car", "red bus", "car"]).transform(["red car car", "bus"])
    assert found.tolist() == [[2, 1], [0, 0]]  # columns car, red: bus is the third in frequency
    assert by_name.make("tfidf5", OPTIONS).fit(TEXTS).transform(TEXTS).shape == (12, 5)


def test_mean_of_word_vectors(vectors):
    """Words are looked up in lower case, then as written; the file was not fitted on the texts."""
    feature = by_name.make("word2vec", vectors).fit(TEXTS)
    assert feature.transform(["The CAT runs", "Paris", "nothing"]).tolist() == [[1, 0.5], [5, 5], [0, 0]]
    assert not feature.fitted and len(feature.rule["word_vectors_sha256"]) == 64


def test_word_sequence(vectors, tmp_path):
    """Numbers are alphabetical from 1; the row of the table is the word's vector; longer texts are cut."""
    feature = by_name.make("sequence", vectors).fit(["a dog runs", "the cat"])
    rows = feature.transform(["runs, cat! runs", "unknown dog", "unknown"])
    assert rows.dtype == np.int32 and rows.tolist() == [[3, 1], [2, 0], [0, 0]] and feature.dim == (2,)
    assert feature.known(rows).tolist() == [True, True, False]
    feature.save(tmp_path)
    assert np.load(tmp_path / "text.words.table.npy").tolist() == [[0, 0], [1, 0], [0, 1], [1, 1]]
    assert (tmp_path / "text.words.vocabulary.txt").read_text() == "cat\ndog\nruns\n"


def test_word_numbers(tmp_path):
    """Guards against a text cut before its end mark, rare words that get a number, and numbers that are not the lines'."""
    texts = ["red boat", "red car red boat boat boat", "car car a tree"]
    feature = by_name.make("words", TextOptions(min_words=3, max_length=3)).fit(texts)
    feature.save(tmp_path)
    lines = (tmp_path / "text.words.vocabulary.txt").read_text().splitlines()
    assert lines == ["<start>", "<end>", "<unknown>", "boat", "car", "red"] and feature.dim == (5,)
    rows = feature.transform(["Red boat", "red tree car boat", "", "snow"])
    assert rows.dtype == np.int32
    assert rows.tolist() == [[1, 6, 4, 2, 0], [1, 6, 3, 5, 2], [1, 2, 0, 0, 0], [1, 3, 2, 0, 0]]
    assert feature.known(rows).tolist() == [True, True, False, False]
    assert by_name.make("words", TextOptions(min_words=1)).fit(texts).dim == (8,)  # six words and two marks
    with pytest.raises(InputError, match="--min_words=9: no word occurs 9 times in 3 texts; lower it"):
        by_name.make("words", TextOptions(min_words=9)).fit(texts)


@pytest.mark.parametrize("mode", ["dbow", "dm"])
def test_doc2vec_does_not_depend_on_the_texts_before(mode):
    """Guards against gensim's inference, which goes on in the random state that the text before has left."""
    feature = by_name.make("doc2vec", TextOptions(min_documents=1, mode=mode)).fit(TEXTS)
    whole = feature.transform(TEXTS)
    assert whole.shape == (12, 300) and np.array_equal(feature.transform(TEXTS[5:6]), whole[5:6])
    assert not feature.transform(["zzz"]).any()


@pytest.mark.parametrize("mode", ["dbow", "dm"])
def test_stored_doc2vec_infers_alike(mode, tmp_path):
    """Guards against rows of the stored model in another order: gensim sorts words of one frequency anew."""
    feature = by_name.make("doc2vec", TextOptions(min_documents=1, mode=mode)).fit(TEXTS)
    feature.save(tmp_path)
    options = TextOptions(model=str(tmp_path / "doc2vec.npz"))
    stored = by_name.make("doc2vec", options).fit([])
    assert np.array_equal(stored.transform(TEXTS), feature.transform(TEXTS)) and not stored.fitted


def test_pickled_models_are_refused(tmp_path):
    """Guards against gensim's own format, which is a pickle."""
    path = tmp_path / "model.d2v"
    doc2vec.train(TEXTS, OPTIONS).save(str(path))
    with pytest.raises(InputError, match="are pickles, which can run any code, and are never read"):
        doc2vec.load(path)
    with pytest.raises(InputError, match="there is no such file"):
        doc2vec.load(tmp_path / "none")


@pytest.mark.parametrize("name, change", [
    ("settings", lambda values: values * [1, -1, 1, 1, 1]), ("settings", lambda values: values[:3]),
    ("vectors", lambda values: values[:, 1:]), ("vectors", lambda values: values.astype(str)),
    ("counts", lambda values: -values), ("words", lambda values: values[[0] * len(values)]), ("output", lambda values: 3.0),
])
def test_damaged_models_are_refused(tmp_path, name, change):
    """Guards against arrays that do not fit together, at which gensim raises whatever comes."""
    path = tmp_path / "doc2vec.npz"
    doc2vec.save(path, doc2vec.train(TEXTS, OPTIONS))
    with np.load(path) as stored:
        arrays = dict(stored)
    doc2vec.load(path)
    np.savez(path, **arrays | {name: change(arrays[name])})
    with pytest.raises(InputError, match="doc2vec.npz: is no Doc2Vec model"):
        doc2vec.load(path)


def test_sentence_network_learns_its_classes():
    feature = by_name.make("sentence_cnn", TextOptions(min_documents=1, epochs=25)).fit(TEXTS, LABELS)
    rows = feature.transform(TEXTS)
    assert rows.shape == (12, 300) and rows.min() >= 0 and feature.labels_used
    centres = np.stack([rows[4 * c : 4 * c + 4].mean(axis=0) for c in range(3)])
    nearest = ((rows[:, None] - centres) ** 2).sum(axis=2).argmin(axis=1)
    assert nearest.tolist() == LABELS


def test_the_same_bits_in_every_process():
    """Guards against PYTHONHASHSEED, by which gensim starts inference, and against any state left by other tests."""
    names = ["bow10", "doc2vec", "word2vec", "sequence", "words", "sentence_cnn"]
    here = []
    for name in names:
        rows = by_name.make(name, OPTIONS).fit(TEXTS, LABELS).transform([*TEXTS, "a cat"])
        here.append(f"{name} {hashlib.sha256(rows).hexdigest()}")
    code = REPEAT.format(folder=str(pathlib.Path(__file__).parent), names=names)
    there = subprocess.run([sys.executable, "-c", code], env={**os.environ, "PYTHONHASHSEED": "7"}, check=True,
                           capture_output=True, text=True).stdout.splitlines()
    assert there == here


def test_refuses():
    with pytest.raises(InputError, match="there are bowN, tfidfN"):
        by_name.make("bert", OPTIONS)
    with pytest.raises(InputError, match="no word occurs 50 times in 12 texts"):
        by_name.make("doc2vec", TextOptions(min_documents=50)).fit(TEXTS)
