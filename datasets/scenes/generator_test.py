"""Tests of the generator: repeatable, varied, and neither trivial nor hopeless as a retrieval task."""
import dataclasses
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from sklearn.metrics import average_precision_score
from sklearn.preprocessing import StandardScaler
from tfxmr_datasets.scenes import drawing, generator, world

from tfxmr.features.image.descriptor import image_descriptor
from tfxmr.features.text.bag_of_words import TextVectorizer, split_words
from tfxmr.features.text.word2vec_training import train_word2vec

DIGEST = """
import hashlib
from tfxmr_datasets.scenes import generator
item = generator.example("train", 9, 4)
text = item["text"] + generator.corpus(50)[-1]
print(hashlib.sha256(item["image"].tobytes() + text.encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def items():
    return {split: list(generator.examples(split, n)) for split, n in (("train", 40), ("test", 10))}


@pytest.fixture(scope="module")
def class_vectors():
    vectors = train_word2vec(generator.corpus())
    return np.stack([vectors[name] for name in generator.CLASSES])


def test_the_same_item_in_another_process_and_another_order(items):
    """Guards against hash(), set order or a shared generator deciding what an item is."""
    item = items["train"][9 * 40 + 4]
    text = item["text"] + generator.corpus(50)[-1]
    ours = hashlib.sha256(item["image"].tobytes() + text.encode()).hexdigest()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", DIGEST]
        theirs = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        assert theirs.stdout.strip() == ours


def test_items_are_well_formed(items):
    for item in items["train"] + items["test"]:
        assert item["image"].shape == (64, 64, 3) and item["image"].dtype == np.uint8
        assert item["image"].std() > 5
        assert 1 <= item["text"].count(".") <= 4
    assert len({item["id"] for split in items.values() for item in split}) == 1000
    np.testing.assert_array_equal(np.bincount([item["label"] for item in items["test"]]), [10] * 20)


def test_splits_and_seeds_share_no_picture(items):
    """Guards against train and test drawing from one random stream, which would repeat items."""
    train, test = ({item["image"].tobytes() for item in items[split]} for split in ("train", "test"))
    other = {item["image"].tobytes() for item in generator.examples("train", 2, seed=generator.SEED + 1)}
    assert len(train) == 800 and len(test) == 200
    assert not train & test and not train & other


def test_texts_name_their_class_only_sometimes(items):
    """Guards against a text task that is solved by looking for the class's name."""
    names = [{thing.name, thing.plural} for thing in world.THINGS]
    named = [not names[item["label"]].isdisjoint(split_words(item["text"])) for item in items["train"]]
    assert 0.1 < np.mean(named) < 0.5
    assert len({item["text"] for item in items["train"]}) > 0.9 * len(named)


@pytest.mark.parametrize("label", range(0, 20, 2))
def test_every_unseen_class_has_a_seen_relative(label):
    """Guards against a change of label order or tables that leaves zero-shot transfer without a bridge."""
    unseen, seen = world.THINGS[label], world.THINGS[label + 1]
    for attribute in ("generic", "parts", "doing", "places"):
        assert set(getattr(unseen, attribute)) & set(getattr(seen, attribute)), attribute
    own = {unseen.name, unseen.plural, *unseen.own}
    others = [thing for thing in world.THINGS if thing is not unseen]
    assert not own & {word for thing in others for word in (thing.name, thing.plural, *thing.own)}


def test_the_picture_shows_colour_and_light():
    """Guards against facts that the sentences tell and the picture does not show."""
    scene = generator.sample_scene(generator.CLASSES.index("bus"), np.random.default_rng(0))
    scene = dataclasses.replace(scene, size="large", count="a", light="day", place="city")
    scene = dataclasses.replace(scene, colour="red", accent="red")
    blue = dataclasses.replace(scene, colour="blue", accent="blue")
    night = dataclasses.replace(scene, light="night")
    red, blue, night = (drawing.render(s, np.random.default_rng(1)).astype(int) for s in (scene, blue, night))
    assert np.mean(red[..., 0] > red[..., 2] + 60) > 0.1 > np.mean(blue[..., 0] > blue[..., 2] + 60)
    assert night.mean() < 0.7 * red.mean()


def test_corpus_names_every_class_and_no_item(items):
    sentences = generator.corpus()
    words = {word for sentence in sentences for word in split_words(sentence)}
    assert len(sentences) == 6000 and set(generator.CLASSES) <= words
    assert sentences[:20] == generator.corpus(20) != generator.corpus(20, seed=1)
    assert not set(sentences) & {item["text"] for item in items["train"]}


def test_word_vectors_put_relatives_side_by_side(class_vectors):
    """Guards against a corpus in which the names carry no relation, so that nothing could transfer."""
    unit = class_vectors / np.linalg.norm(class_vectors, axis=1, keepdims=True)
    similarity = unit @ unit.T - 2 * np.eye(20)
    np.testing.assert_array_equal(similarity.argmax(axis=1), np.arange(20) ^ 1)


@pytest.mark.parametrize("seen", [1, 0], ids=["odd seen", "even seen"])
def test_neither_trivial_nor_hopeless(items, class_vectors, seen):
    """Guards against a dataset on which no method can fail or none can succeed.

    The method is ridge regression from features onto the word vector of the class. Chance is about .11 (10
    balanced classes, 400 items searched).
    """
    labels = {split: np.array([item["label"] for item in items[split]]) for split in items}
    words = TextVectorizer().fit([item["text"] for item in items["train"]])
    describe = {"image": image_descriptor, "text": words.transform}
    train = labels["train"] % 2 == seen
    encoded = {}
    for modality, vectors in describe.items():
        features = {split: vectors([item[modality] for item in items[split]]) for split in items}
        scaler = StandardScaler().fit(features["train"][train])
        ridge = Ridge(alpha=1000.0)
        ridge.fit(scaler.transform(features["train"][train]), class_vectors[labels["train"][train]])
        for split in items:
            rows = ridge.predict(scaler.transform(features[split]))
            encoded[modality, split] = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    for query, gallery in (("image", "text"), ("text", "image")):
        for parity, low, high in ((1 - seen, 0.2, 0.6), (seen, 0.4, 0.95)):
            q, g = labels["test"] % 2 == parity, labels["train"] % 2 == parity
            scores = encoded[query, "test"][q] @ encoded[gallery, "train"][g].T
            relevant = labels["test"][q][:, None] == labels["train"][g]
            precision = np.mean(list(map(average_precision_score, relevant, scores)))
            assert low < precision < high, (query, parity)
