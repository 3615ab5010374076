"""Tests of the Wikipedia reader on the real files, where present."""
import pathlib

import numpy as np
import pytest
import scipy.io
import sklearn.linear_model
import sklearn.preprocessing

import tfxmr.extraction
from tfxmr.core.errors import InputError

REAL = pathlib.Path(__file__).parents[3] / "shared/data/wikipedia"
real_files = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real Wikipedia files are not in {REAL}")


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    return tmp_path_factory.mktemp("tfds")


def mean_average_precision(query, gallery, query_labels, gallery_labels):
    """The definition, one query after the other: cosine, full list, mean precision at the relevant ranks."""
    query = query / np.linalg.norm(query, axis=1, keepdims=True)
    gallery = gallery / np.linalg.norm(gallery, axis=1, keepdims=True)
    scores = []
    for vector, label in zip(query, query_labels, strict=True):
        relevant = gallery_labels[np.argsort(-gallery @ vector, kind="stable")] == label
        precisions = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
        scores.append(precisions[relevant].mean())
    return np.mean(scores)


def posteriors(train, test, labels):
    scaler = sklearn.preprocessing.StandardScaler().fit(train)
    model = sklearn.linear_model.LogisticRegression(max_iter=1000).fit(scaler.transform(train), labels)
    return model.predict_proba(scaler.transform(test))


@real_files
def test_semantic_matching(data_dir):
    """Guards against rows, labels or modalities out of step: then these figures fall towards chance, .119."""
    data = tfxmr.extraction.load("wikipedia", data_dir=data_dir, manual_dir=REAL)
    train, test = data.splits["train"], data.splits["test"]
    labels = test.labels["image"]
    image, text = [posteriors(train.features[m], test.features[m], train.labels[m]) for m in ("image", "text")]
    assert mean_average_precision(image, text, labels, labels) == pytest.approx(0.278, abs=0.01)
    assert mean_average_precision(text, image, labels, labels) == pytest.approx(0.212, abs=0.01)


@real_files
@pytest.mark.parametrize("image_features, text_features, source, first, second", [
    ("sift128", "lda10", "raw_features.mat", "I_te", "T_te"),
    ("cnn128", "lda10", "image_cnn_pca128.mat", "I_cnn_te", None),
    ("sift128", "tfidf1000", "raw_features.mat", "I_te", None),
    ("cnn128", "tfidf1000", "image_cnn_pca128.mat", "I_cnn_te", None),
])
def test_official_order(data_dir, image_features, text_features, source, first, second):
    """Guards against shuffling on the way through TFDS, and against a mix-up of matrices or splits."""
    data = tfxmr.extraction.load(
        "wikipedia", image_features=image_features, text_features=text_features, data_dir=data_dir, manual_dir=REAL
    )
    train, test = data.splits["train"], data.splits["test"]
    assert (len(train), len(test), data.num_classes) == (2173, 693, 10)
    assert data.features["image"] == {"name": image_features, "dim": 128, "source": source}
    assert data.dims == {m: data.features[m]["dim"] for m in ("image", "text")}
    for split, name in ((train, "trainset"), (test, "testset")):
        lines = [line.split("\t") for line in (REAL / f"{name}_txt_img_cat.list").read_text().splitlines()]
        assert split.ids["text"] == [line[0] for line in lines]
        assert split.ids["image"] == [line[1] for line in lines]
        assert split.labels["image"].tolist() == [int(line[2]) - 1 for line in lines]
    stored = scipy.io.loadmat(REAL / source)
    np.testing.assert_allclose(test.features["image"], stored[first], rtol=1e-6)
    if second:
        np.testing.assert_allclose(test.features["text"], stored[second], rtol=1e-6)


def test_manual_dir_that_is_not_there(tmp_path):
    """Guards against a download that starts because of a typing error."""
    with pytest.raises(InputError, match="--manual_dir=.*nowhere is no folder"):
        tfxmr.extraction.load("wikipedia", data_dir=tmp_path, manual_dir=tmp_path / "nowhere")


@real_files
def test_home_folder_in_paths(tmp_path, monkeypatch):
    """Guards against a folder called ~ in the working directory."""
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    (tmp_path / "official").symlink_to(REAL)
    tfxmr.extraction.load("wikipedia", data_dir="~/prepared", manual_dir="~/official")
    assert sorted(path.name for path in tmp_path.iterdir()) == ["official", "prepared"]


def test_data_dir_that_is_a_file(tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="--data_dir=.*file"):
        tfxmr.extraction.load("wikipedia", data_dir=tmp_path / "file", manual_dir=tmp_path)
