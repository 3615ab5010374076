"""Tests of the embedded dataset as matrices, on a few items a class."""
import numpy as np
import pytest
from tfxmr_datasets.scenes import scenes_dataset_builder

import tfxmr.data
from tfxmr.data import scenes, tfds_io
from tfxmr.features.bag_of_words import TextVectorizer
from tfxmr.features.image_descriptor import image_descriptor


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(scenes_dataset_builder.ITEMS_PER_CLASS, "train", 4)
    monkeypatch.setitem(scenes_dataset_builder.ITEMS_PER_CLASS, "test", 2)


def test_rows_fit_each_other(small, tmp_path):
    """Guards against images, texts, labels and ids out of step, and against a vocabulary with words of test texts."""
    data = scenes.load(data_dir=tmp_path)
    builder = tfds_io.build(scenes_dataset_builder.Builder, None, tmp_path, None)
    raw = {name: list(tfds_io.examples(builder, name)) for name in ("train", "test")}
    vectorizer = TextVectorizer("tfidf").fit([example["text"] for example in raw["train"]])
    assert {name: len(split) for name, split in data.splits.items()} == {"train": 80, "test": 40}
    for name, split in data.splits.items():
        for row in (0, 17, len(split) - 1):
            example = raw[name][row]
            np.testing.assert_allclose(split.features["image"][row], image_descriptor([example["image"]])[0], rtol=1e-5)
            np.testing.assert_allclose(
                split.features["text"][row], vectorizer.transform([example["text"]])[0], rtol=1e-5
            )
            assert split.labels["image"][row] == example["label"] and split.ids["text"][row] == example["id"]
        assert np.bincount(split.labels["text"]).tolist() == [len(split) // 20] * 20


def test_class_embeddings(small, tmp_path):
    """Guards against classes without a word vector of their own: a random one would end zero-shot transfer."""
    data = tfxmr.data.load("scenes", data_dir=tmp_path, text_features="counts")
    assert data.class_embeddings.shape == (20, 300) and len(data.class_names) == 20
    assert data.features["text"]["name"] == "counts"
    assert {d["how"] for d in data.features["class_embeddings"]["decisions"]} <= {"exact", "lower", "alias", "words"}
    unit = data.class_embeddings / np.linalg.norm(data.class_embeddings, axis=1, keepdims=True)
    assert np.max(unit @ unit.T - np.eye(20)) < 0.999
