"""Tests of features made again from their state: the same rows of new media, in another process, or a refusal."""
import hashlib
import json
import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.features import recipes, restored
from tfxmr.features.image import by_name as images
from tfxmr.features.image import fine_tuning
from tfxmr.features.image import network as image_network
from tfxmr.features.image.fine_tuning_options import FineTuning
from tfxmr.features.text import by_name
from tfxmr.features.text.bag_of_words import TextVectorizer
from tfxmr.features.text.base import TextOptions

TEXTS = [f"the {a} {v} near the {b}" for a in ("cat", "dog", "bird") for v in ("sleeps", "runs") for b in ("tree", "house")]
LABELS = [n // 4 for n in range(12)]
NEW = ["The bird sleeps, the CAT runs!", "a cat", "", "zzz", "dog " * 30, "Paris naïve Straße"]
IMAGES = [np.random.default_rng(n).integers(0, 256, (20 + n, 30, 3), np.uint8) for n in range(3)]


def TinyVGG(weights=None):
    """A network that ends as VGG does; its side is 8 pixels."""
    image = keras.Input((8, 8, 3))
    hidden = keras.layers.Conv2D(4, 3, activation="relu", name="block1_conv1")(image)
    hidden = keras.layers.BatchNormalization(name="bn")(hidden)
    hidden = keras.layers.Flatten(name="flatten")(hidden)
    hidden = keras.layers.Dense(6, activation="relu", name="fc1")(hidden)
    hidden = keras.layers.Dense(5, activation="relu", name="fc2")(hidden)
    return keras.Model(image, keras.layers.Dense(3, activation="softmax", name="predictions")(hidden))


@pytest.fixture
def tiny(monkeypatch):
    monkeypatch.setattr(image_network, "_find", lambda name: (TinyVGG, keras.applications.vgg19.preprocess_input))


def write(state, folder):
    """A state on a disk, as JSON and plain arrays of numbers: whatever is no such thing fails here."""
    facts, arrays = state
    (folder / "state.json").write_text(json.dumps(facts))
    np.savez(folder / "state.npz", **arrays)
    assert all(values.dtype.kind in "biuf" for values in arrays.values())


def read(folder):
    with np.load(folder / "state.npz") as arrays:
        return json.loads((folder / "state.json").read_text()), dict(arrays)


def check(feature, media, folder, **files):
    """A feature made again gives the same rows, and the same state."""
    write(feature.state(), folder)
    again = restored(*read(folder), **files)
    rows = again.transform(media)
    assert rows.dtype == feature.dtype == again.dtype and np.array_equal(rows, feature.transform(media))
    assert (again.name, again.view, again.dim, again.rule if hasattr(again, "rule") else None) == (
        feature.name, feature.view, feature.dim, json.loads(json.dumps(feature.rule)) if hasattr(feature, "rule") else None)
    state, expected = again.state(), read(folder)
    where = {key: str(path) for key, path in zip(("file",) if "word_vectors" in files else ("weights",), files.values(), strict=False)}
    assert json.loads(json.dumps(state[0])) == expected[0] | where and state[1].keys() == expected[1].keys()
    assert all(np.array_equal(state[1][name], values) for name, values in expected[1].items())
    return again


@pytest.mark.parametrize("name", ["bow6", "tfidf6", "word2vec", "sequence", "words", "sentence_cnn", "doc2vec"])
def test_text_features_are_made_again(name, tmp_path):
    """Guards against a state that lacks what new texts need, such as the seed of inference or word weights."""
    options = TextOptions(seed=3, min_documents=1, min_words=1, epochs=2)
    feature = by_name.make(name, options).fit(TEXTS, LABELS)
    again = check(feature, NEW, tmp_path)
    assert np.array_equal(again.known(again.transform(NEW)), feature.known(feature.transform(NEW)))


def test_doc2vec_by_the_neighbours_mean_is_made_again(tmp_path):
    """Guards against PV-DM that comes back as PV-DBOW: gensim calls the two by opposite flags."""
    check(by_name.make("doc2vec", TextOptions(min_documents=1, mode="dm", epochs=2)).fit(TEXTS), NEW, tmp_path)


def test_doc2vec_of_a_stored_model_infers_by_its_own_seed(tmp_path):
    """Guards against the stored model's seed in the place of the one that inference started from."""
    by_name.make("doc2vec", TextOptions(min_documents=1, epochs=2)).fit(TEXTS).save(tmp_path)
    feature = by_name.make("doc2vec", TextOptions(seed=9, model=str(tmp_path / "doc2vec.npz"))).fit([])
    check(feature, NEW, tmp_path)


@pytest.mark.parametrize("kind", ["counts", "tfidf"])
def test_vectorizers_are_made_again(kind, tmp_path):
    check(TextVectorizer(kind, min_documents=1).fit(TEXTS), NEW, tmp_path)


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "vectors.txt"
    path.write_text("5 2\ncat 1 0\ndog 0 1\nruns 1 1\nParis 5 5\nna\u00efve 3 .5\n", encoding="utf-8")
    return path


def test_word_vectors_of_a_file_are_named_with_their_digest(vectors, tmp_path):
    """Guards against means over the words of the fitted texts alone, and against another file that is taken silently."""
    feature = by_name.make("word2vec", TextOptions(vectors=str(vectors))).fit(["the cat"])
    assert feature.transform(NEW)[-1].tolist() == [4, 2.75]
    facts, arrays = feature.state()
    assert not arrays and facts["file"] == str(vectors)
    check(feature, NEW, tmp_path)
    moved = vectors.rename(tmp_path / "moved.txt")
    check(feature, NEW, tmp_path, word_vectors=moved)
    digest = hashlib.sha256(moved.read_bytes()).hexdigest()[:12]
    with pytest.raises(InputError, match=rf"no file {vectors}; .* with {vectors} \(SHA-256 {digest}...\): name a copy of it as "
                       "--word_vectors=FILE"):
        restored(facts, arrays)
    other = tmp_path / "other.txt"
    other.write_text(moved.read_text().replace("5 5", "5 6"))
    with pytest.raises(InputError, match=rf"other.txt \(SHA-256 {hashlib.sha256(other.read_bytes()).hexdigest()[:12]}...\) is "
                       rf"another file; the word2vec features were made with .*{digest}"):
        restored(facts, arrays, word_vectors=other)


@pytest.mark.parametrize("name", ["sequence", "sentence_cnn"])
def test_a_vocabulary_needs_no_file_of_vectors(name, vectors, tmp_path):
    feature = by_name.make(name, TextOptions(vectors=str(vectors), epochs=1)).fit(["a cat runs in Paris", "dog"], [0, 1])
    vectors.unlink()
    check(feature, NEW, tmp_path)


@pytest.mark.parametrize("name", ["descriptor", "descriptor_regions", "pixels"])
def test_descriptors_are_made_again(name, tmp_path):
    check(images.make(name), IMAGES, tmp_path)


@pytest.mark.parametrize("layer", ["fc2", None, "bn"])
def test_networks_are_made_again(layer, tiny, tmp_path):
    """Guards against another layer, and against random weights that are drawn anew."""
    feature = images.make("TinyVGG", layer, "none", seed=5)
    assert not feature.state()[1]  # the weights are those of a seed
    check(feature, IMAGES, tmp_path)


def test_weights_are_named_with_their_digest(tiny, tmp_path, monkeypatch):
    """Guards against weights of others in the state, and against rows by other weights."""
    path = tmp_path / "weights.npz"
    arrays = {v.path: v.numpy() for v in TinyVGG().variables}
    np.savez(path, **arrays)
    monkeypatch.chdir(tmp_path)
    feature = images.make("TinyVGG", "fc2", "weights.npz")
    facts, learned = feature.state()
    assert not learned and facts["weights"] == str(path)  # from any folder
    check(feature, IMAGES, tmp_path)
    np.savez(tmp_path / "other.npz", **arrays | {"fc1/bias": arrays["fc1/bias"] + 1})
    moved = path.rename(tmp_path / "moved.npz")
    check(feature, IMAGES, tmp_path, image_weights=str(moved))
    digest = feature.rule["weights_sha256"][:12]
    remedy = rf"the TinyVGG features were made with {path} \(SHA-256 of the weights {digest}...\): name a copy of it as --image_w"
    with pytest.raises(InputError, match=f"there is no file {path}; {remedy}"):
        restored(facts, learned)
    with pytest.raises(InputError, match=rf"other.npz \(weights of SHA-256 \w+...\) holds others; {remedy}"):
        restored(facts, learned, image_weights=str(tmp_path / "other.npz"))


@pytest.mark.parametrize("layers", ["connected", "all"])
def test_fine_tuned_weights_are_in_the_state(layers, tiny, tmp_path):
    """Guards against features by the published weights after a fine-tuning; those that stayed as they were are named."""
    path = tmp_path / "weights.npz"
    np.savez(path, **{v.path: v.numpy() for v in TinyVGG().variables})
    feature = fine_tuning.FineTunedNetwork("TinyVGG", "fc2", str(path), 0, FineTuning(2, .05, layers))
    before = feature.transform(IMAGES)
    inputs = feature.frozen.transform(IMAGES) if feature.frozen else feature.inputs(IMAGES)
    feature.train(lambda rows: inputs[rows], [0, 1, 0], tmp_path / "scratch")
    assert not np.array_equal(feature.transform(IMAGES), before)
    facts, arrays = feature.state()
    shapes = sorted(values.shape for values in arrays.values())
    assert shapes == sorted([(144, 6), (6,), (6, 5), (5,)] + [(3, 3, 3, 4), (4,)] * (layers == "all"))
    write((facts, arrays), tmp_path)
    again = restored(*read(tmp_path))
    np.testing.assert_allclose(again.transform(IMAGES), feature.transform(IMAGES), atol=1e-6)
    assert again.state()[0] == json.loads(json.dumps(facts)) and again.state()[1].keys() == arrays.keys()


ELSEWHERE = """
import hashlib, json, sys
import numpy as np
from tfxmr.features import restored
with np.load("state.npz") as arrays:
    feature = restored(json.load(open("state.json")), dict(arrays))
media = json.load(open("media.json"))
if isinstance(media[0], list):
    media = [np.array(image, np.uint8) for image in media]
print(hashlib.sha256(feature.transform(media).tobytes()).hexdigest())
print(*sorted({"tensorflow", "keras", "gensim", "sklearn"} & set(sys.modules)))
"""


@pytest.mark.parametrize("name, imported", [
    ("descriptor", ""), ("tfidf6", ""), ("bow6", ""), ("words", ""), ("sequence", ""), ("word2vec", ""), ("doc2vec", "gensim"),
    ("sentence_cnn", "keras sklearn tensorflow"),
])
def test_in_a_fresh_process(name, imported, tmp_path):
    """Guards against a state in the process alone, and against seconds for TensorFlow, gensim or scikit-learn at a search."""
    image = name == "descriptor"
    options = TextOptions(min_documents=1, min_words=1, epochs=2)
    feature = images.make(name) if image else by_name.make(name, options).fit(TEXTS, LABELS)
    media = IMAGES if image else NEW
    write(feature.state(), tmp_path)
    (tmp_path / "media.json").write_text(json.dumps([m.tolist() for m in media] if image else media))
    done = subprocess.run([sys.executable, "-c", ELSEWHERE], cwd=tmp_path, capture_output=True, text=True, check=True,
                          env={**os.environ, "PYTHONHASHSEED": "7"})
    assert done.stdout.splitlines() == [hashlib.sha256(feature.transform(media).tobytes()).hexdigest(), imported]


@pytest.mark.parametrize("name, change", [
    ("tfidf6", {"vectorizer": {}}), ("bow6", {"vectorizer": 3}), ("bow6", {"name": "bow"}), ("bow6", {"rule": 3}), ("bow6", {"seed": None}),
    ("words", {"words": ["cat"]}), ("words", {"length": -1}), ("words", {"length": 1e9}), ("words", {"words": "abc"}),
    ("sequence", {"words": ["cat", "cat"]}), ("sequence", {"words": []}), ("sequence", {"length": True}), ("word2vec", {"words": ["cat"]}),
    ("doc2vec", {"settings": [1]}), ("doc2vec", {"words": [1, 2]}), ("doc2vec", {"settings": None}), ("sentence_cnn", {"words": ["a"]}),
    ("sentence_cnn", {"length": 1}), ("sentence_cnn", {"feature": "bert"}), ("bow6", {"feature": None}), ("bow6", {"feature": ["x"]}),
    ("bow6", {"feature": "network"}), ("descriptor", {"feature": "word2vec"}),
])
def test_damaged_facts_are_refused(name, change, tmp_path):
    """Guards against a traceback, and a feature of words that it has no vectors of."""
    feature = images.make(name) if name == "descriptor" else by_name.make(
        name, TextOptions(min_documents=1, min_words=1, epochs=1)).fit(TEXTS, LABELS)
    facts, arrays = feature.state()
    with pytest.raises(InputError):
        restored(facts | change, arrays)


@pytest.mark.parametrize("name", ["tfidf6", "word2vec", "doc2vec", "sentence_cnn"])
@pytest.mark.parametrize("change", [
    lambda values: values[1:], lambda values: values.astype(str), lambda values: None, lambda values: values[None],
    lambda values: values * np.nan,
], ids=["short", "text", "none", "deep", "nan"])
def test_damaged_arrays_are_refused(name, change):
    facts, arrays = by_name.make(name, TextOptions(min_documents=1, epochs=1)).fit(TEXTS, LABELS).state()
    for key in arrays:
        with pytest.raises(InputError):
            restored(facts, arrays | {key: change(arrays[key])})
        with pytest.raises(InputError):
            restored(facts, {other: values for other, values in arrays.items() if other != key})


def test_every_kind_is_there():
    """Guards against a name that no class has."""
    for kind, place in recipes.KINDS.items():
        module, name = place.split(":")
        found = getattr(__import__(f"tfxmr.features.{module}", fromlist=[name]), name)
        assert getattr(found, "kind", None) == kind or getattr(found, "name", None) == kind or kind in ("network", "vectorizer")
