"""Tests of what TensorBoard's projector is given, read back by TensorBoard's own plugin."""
import numpy as np
import pytest
from google.protobuf import text_format
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

from tfxmr.evaluation import Retriever
from tfxmr.runs import projector


def encode(modality, features):
    return features[:, :3] * (1 if modality == "image" else -1)


def read(folder):
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    (embedding,) = config.embeddings
    points = np.loadtxt(folder / embedding.tensor_path, delimiter="\t", ndmin=2)
    header, *items = [line.split("\t") for line in (folder / embedding.metadata_path).read_text().splitlines()]
    assert points.shape == tuple(embedding.tensor_shape)
    return points, header, items


def test_points_and_items_belong_together(make_data, tmp_path):
    """Guards against rows of one modality beside points of another, and metadata that TensorBoard shifts by a line."""
    data = make_data(test=30, classes=5)
    projector.write(tmp_path, Retriever(encode), data, unseen=(0, 2))
    points, header, items = read(tmp_path)
    assert header == ["modality", "class", "classes", "split", "id"] and len(items) == len(points) == 60
    test = data.splits["test"]
    np.testing.assert_allclose(points[:30], encode("image", test.features["image"]), rtol=1e-5)
    np.testing.assert_allclose(points[30:], encode("text", test.features["text"]), rtol=1e-5)
    assert items[0] == ["image", "class 0", "unseen", "test", "test 0"]
    assert items[31] == ["text", "class 1", "seen", "test", "test 1"]


def test_a_sample_of_many(make_data, tmp_path, monkeypatch):
    """Guards against items and points sampled apart, and a browser that drowns."""
    monkeypatch.setattr(projector, "POINTS", 11)
    data = make_data(test=30, names=False)
    data.splits["test"].ids["image"][3] = "a\tname\nof two lines"
    projector.write(tmp_path, Retriever(encode), data)
    points, _, items = read(tmp_path)
    assert len(points) == len(items) == 11
    test = data.splits["test"]
    for point, (modality, label, _, _, name) in zip(points, items, strict=True):
        row = [" ".join(n.split()) for n in test.ids[modality]].index(name)
        assert str(test.labels[modality][row]) == label
        assert point == pytest.approx(encode(modality, test.features[modality][row : row + 1])[0], rel=1e-5)
