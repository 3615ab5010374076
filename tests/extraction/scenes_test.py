"""Tests of the embedded dataset as matrices, on a few items a class."""
import numpy as np
import pytest
from PIL import Image
from skimage.feature import hog
from tfxmr_datasets.scenes import scenes_dataset_builder
from tfxmr_datasets.scenes.dataset import SCENES

import tfxmr.data
import tfxmr.extraction
from tfxmr.data.files import word_tables
from tfxmr.extraction import tfds_io
from tfxmr.features.image.descriptor import Descriptor, image_descriptor
from tfxmr.features.text.bag_of_words import TextVectorizer, split_words


@pytest.fixture
def small(monkeypatch):
    monkeypatch.setitem(scenes_dataset_builder.ITEMS_PER_CLASS, "train", 4)
    monkeypatch.setitem(scenes_dataset_builder.ITEMS_PER_CLASS, "test", 2)


def test_rows_fit_each_other(small, tmp_path):
    """Guards against images, texts, labels and ids out of step, and against a vocabulary with words of test texts."""
    data = tfxmr.extraction.load("scenes", data_dir=tmp_path)
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


def test_a_random_split_fits_a_vocabulary_of_its_own(small, tmp_path):
    """Guards against a leak: a vocabulary of official training texts which test now; and rows of other items."""
    data = tfxmr.extraction.load("scenes", data_dir=tmp_path, split=tfxmr.data.SplitRule("random", 1))
    builder = tfds_io.build(scenes_dataset_builder.Builder, None, tmp_path, None)
    raw = {e["id"]: e for name in ("train", "test") for e in tfds_io.examples(builder, name)}
    vectorizer = TextVectorizer("tfidf").fit([raw[id_]["text"] for id_ in data.splits["train"].ids["text"]])
    assert data.split_facts["fitted_anew"] == ["text"]
    for split in data.splits.values():
        items = [raw[id_] for id_ in split.ids["image"]]
        assert split.ids["text"] == split.ids["image"] and split.labels["image"].tolist() == [e["label"] for e in items]
        np.testing.assert_array_equal(split.features["text"], vectorizer.transform([e["text"] for e in items]))
        np.testing.assert_array_equal(split.features["image"], image_descriptor([e["image"] for e in items]))


def test_kept_descriptors_are_those_that_were_made(small, tmp_path, monkeypatch):
    first = tfxmr.extraction.load("scenes", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    monkeypatch.setattr(Descriptor, "alone", False)
    probe = image_descriptor
    monkeypatch.setattr(Descriptor, "transform", lambda self, images: probe(images) if len(images) == 1 else None)
    second = tfxmr.extraction.load("scenes", data_dir=tmp_path, cache_dir=tmp_path / "cache")
    for name, split in first.splits.items():
        np.testing.assert_array_equal(split.features["image"], second.splits[name].features["image"])


def test_class_embeddings(small, tmp_path):
    """Guards against classes without a word vector of their own: a random one would end zero-shot transfer."""
    data = tfxmr.extraction.load("scenes", data_dir=tmp_path, text_features="counts")
    assert data.class_embeddings.shape == (20, 300) and len(data.class_names) == 20
    assert data.features["text"]["name"] == "counts"
    assert {d["how"] for d in data.features["class_embeddings"]["decisions"]} <= {"exact", "lower", "alias", "words"}
    unit = data.class_embeddings / np.linalg.norm(data.class_embeddings, axis=1, keepdims=True)
    assert np.max(unit @ unit.T - np.eye(20)) < 0.999


def test_regions_are_the_parts_of_the_descriptor(small, tmp_path):
    """Guards against places in another order than the picture's, computed here from the pictures themselves."""
    data = tfxmr.extraction.load("scenes", data_dir=tmp_path, views=("image.regions", "text.words"))
    builder = tfds_io.build(scenes_dataset_builder.Builder, None, tmp_path, None)
    picture = next(tfds_io.examples(builder, "train"))["image"]
    grey = np.asarray(Image.fromarray(picture).convert("L"))
    blocks = hog(grey, pixels_per_cell=(8, 8), cells_per_block=(2, 2), block_norm="L2-Hys", feature_vector=False)
    regions = data.splits["train"].features["image.regions"]
    assert regions.dtype == np.float32 and regions.shape == (80, 49, 39) and regions.min() >= 0 and regions.max() <= 1
    for y, x in ((0, 0), (2, 5), (6, 6)):
        np.testing.assert_allclose(regions[0, 7 * y + x, :36], blocks[y, x].ravel(), rtol=1e-5)
        mean = picture[8 * y : 8 * y + 16, 8 * x : 8 * x + 16].mean(axis=(0, 1)) / 255
        np.testing.assert_allclose(regions[0, 7 * y + x, 36:], mean, atol=1 / 255)  # the thumbnail is of whole numbers
    described = data.splits["train"].features["image"]
    np.testing.assert_array_equal(regions[:, :, :36].reshape(80, -1), described[:, :1764])


def test_words_are_those_of_the_texts(small, tmp_path):
    """Guards against words in another order, numbers of other words, and other vectors than those of class names."""
    data = tfxmr.extraction.load("scenes", data_dir=tmp_path, views=("text.words",))
    assert data.views == ["image", "text", "text.words"]
    builder = tfds_io.build(scenes_dataset_builder.Builder, None, tmp_path, None)
    vocabulary, table, vectors = data.vocabularies["text.words"], data.tables["text.words"], SCENES.word_vectors()
    assert vocabulary == ["", *sorted(vectors.key_to_index)] and table.shape == (len(vocabulary), 300)
    assert not table[0].any() and table.dtype == np.float32
    np.testing.assert_array_equal(table[vocabulary.index("boat")], vectors["boat"])
    for name, split in data.splits.items():
        tokens = split.features["text.words"]
        texts = [example["text"] for example in tfds_io.examples(builder, name)]
        for row, text in zip(tokens, texts, strict=True):
            numbers = row[row > 0]
            assert not row[len(numbers):].any()
            assert [vocabulary[n] for n in numbers] == [word for word in split_words(text) if word in vectors]
        word_tables.check("tokens", tokens, "text.words", len(table) - 1)


def test_views_are_made_only_where_they_are_wanted(small, tmp_path):
    """Guards against minutes of work for nothing, and against vectors that are others beside another view."""
    plain, full = (tfxmr.extraction.load("scenes", data_dir=tmp_path, views=views) for views in ((), ("image.regions", "text.words")))
    assert plain.views == ["image", "text"] and not plain.tables
    assert plain.features == full.reading().features | {"class_embeddings": plain.features["class_embeddings"]}
    for name, split in plain.splits.items():
        for m in split.modalities:
            np.testing.assert_array_equal(split.features[m], full.splits[name].features[m])
    assert tfxmr.extraction.load("scenes", data_dir=tmp_path, views=("image.other",)).views == ["image", "text"]


def test_pixels_are_the_pictures(small, tmp_path):
    """Guards against columns first, colours in 0..255, and pictures of other items."""
    split = tfxmr.extraction.load("scenes", data_dir=tmp_path, views=("image.pixels",)).splits["test"]
    pixels = split.features["image.pixels"]
    assert pixels.dtype == np.float32 and pixels.shape == (len(split), 4096, 3)
    picture = SCENES.media("image", split.ids["image"][:1], tfxmr.extraction.Request())[0]
    np.testing.assert_allclose(pixels[0].reshape(64, 64, 3) * 255, picture, atol=1e-4)
