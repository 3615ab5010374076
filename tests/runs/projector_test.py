"""Tests of what TensorBoard's projector is given, read back by TensorBoard's own plugin."""
import dataclasses
import json

import numpy as np
import pytest
from google.protobuf import text_format
from PIL import Image
from tensorboard.backend.event_processing.data_provider import MultiplexerDataProvider
from tensorboard.backend.event_processing.plugin_event_multiplexer import EventMultiplexer
from tensorboard.plugins import base_plugin
from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig
from tensorboard.plugins.projector.projector_plugin import ProjectorPlugin
from werkzeug.test import Client

from tfxmr.core.errors import InputError
from tfxmr.evaluation import Retriever
from tfxmr.runs import board, projector


def encode(modality, features):
    return features[:, :3] * (1 if modality == "image" else -1)


def read(folder):
    config = text_format.Parse((folder / "projector_config.pbtxt").read_text(), ProjectorConfig())
    embedding, *thumbnails = config.embeddings
    assert [shown.tensor_name for shown in config.embeddings] == ["common space", "common space, thumbnails"][: 1 + len(thumbnails)]
    assert all((e.tensor_path, e.metadata_path, e.tensor_shape) == (embedding.tensor_path, embedding.metadata_path, embedding.tensor_shape) for e in thumbnails)
    points = np.loadtxt(folder / embedding.tensor_path, delimiter="\t", ndmin=2)
    header, *items = [line.split("\t") for line in (folder / embedding.metadata_path).read_text().splitlines()]
    assert points.shape == tuple(embedding.tensor_shape)
    return points, header, items


def test_points_and_items_belong_together(make_data, tmp_path):
    """Guards against rows of one modality beside points of another, and metadata that TensorBoard shifts by a line."""
    data = make_data(test=30, classes=5)
    projector.write(tmp_path, Retriever(encode), data, unseen=(0, 2))
    points, header, items = read(tmp_path)
    assert header == ["class", "modality", "classes", "split", "id"] and len(items) == len(points) == 60
    test = data.splits["test"]
    np.testing.assert_allclose(points[:30], encode("image", test.features["image"]), rtol=1e-5)
    np.testing.assert_allclose(points[30:], encode("text", test.features["text"]), rtol=1e-5)
    assert items[0] == ["class 0", "image", "unseen", "test", "test 0"]
    assert items[31] == ["class 1", "text", "seen", "test", "test 1"]


def test_a_sample_of_many(make_data, tmp_path, monkeypatch):
    """Guards against items and points sampled apart, and a browser that drowns."""
    monkeypatch.setattr(projector, "POINTS", 11)
    data = make_data(test=30, names=False)
    data.splits["test"].ids["image"][3] = "a\tname\nof two lines"
    projector.write(tmp_path, Retriever(encode), data)
    points, _, items = read(tmp_path)
    assert len(points) == len(items) == 11
    test = data.splits["test"]
    for point, (label, modality, _, _, name) in zip(points, items, strict=True):
        row = [" ".join(n.split()) for n in test.ids[modality]].index(name)
        assert str(test.labels[modality][row]) == label
        assert point == pytest.approx(encode(modality, test.features[modality][row : row + 1])[0], rel=1e-5)


def colour(row):
    """Of an item's image: its row."""
    return (8 * row, 255 - 8 * row, 90)


@pytest.fixture
def shown(monkeypatch):
    """Images 40 pixels wide and 20 high, and texts, of all items."""
    def media(data, split, modality, rows, **places):
        if modality == "image":
            return [np.full((20, 40, 3), colour(row), np.uint8) for row in rows]
        return [f"sentence {row}" for row in rows]

    monkeypatch.setattr(projector, "media", media)


def test_thumbnails_stand_where_their_points_do(make_data, tmp_path, monkeypatch, shown):
    """Guards against thumbnails of other items, which the projector takes by their place on the sheet."""
    monkeypatch.setattr(projector, "POINTS", 11)
    data = make_data(test=30)
    projector.write(tmp_path, Retriever(encode), data)
    _, _, items = read(tmp_path)
    config = text_format.Parse((tmp_path / "projector_config.pbtxt").read_text(), ProjectorConfig())
    sprite = config.embeddings[1].sprite
    side, _ = sprite.single_image_dim
    sheet = np.asarray(Image.open(tmp_path / sprite.image_path))
    assert sheet.shape == (4 * side, 4 * side, 3) and not config.embeddings[0].sprite.image_path
    for i, (_, modality, *_, name) in enumerate(items):
        tile = sheet[i // 4 * side : (i // 4 + 1) * side, i % 4 * side : (i % 4 + 1) * side]
        if modality == "image":
            np.testing.assert_allclose(tile[side // 2, side // 2], colour(int(name.split()[-1])), atol=8)
            assert (tile[2] > 240).all()  # the image is whole, and wider than high
        else:
            assert tile.min() < 100 and np.mean(tile > 200) > 0.5


def test_a_run_without_its_images_has_points(make_data, tmp_path, monkeypatch):
    """Guards against a finished training that ends in an error because its images were moved away."""
    def gone(*_, **__):
        raise InputError("--data_dir=images: no such folder")

    monkeypatch.setattr(projector, "media", gone)
    projector.write(tmp_path, Retriever(encode), make_data(test=30))
    assert len(read(tmp_path)[2]) == 60 and not (tmp_path / "projector/thumbnails.jpg").exists()


def test_every_run_is_listed(make_data, tmp_path, shown):
    """Guards against runs, those without steps among them, that TensorBoard's projector does not list or cannot read."""
    data = make_data(test=6)
    for name in ("cca", "series/seed_0", "series/seed_1"):
        (tmp_path / name).mkdir(parents=True)
        projector.write(tmp_path / name, Retriever(encode), data)
        board.write(tmp_path / name / board.START, 0, [])
        board.write_final(tmp_path / name, {"seed": 0}, {"final_test/mAP": 0.5}, 0)
    runs = EventMultiplexer()
    runs.AddRunsFromDirectory(str(tmp_path))
    runs.Reload()
    context = base_plugin.TBContext(logdir=str(tmp_path), data_provider=MultiplexerDataProvider(runs, str(tmp_path)))
    apps = ProjectorPlugin(context).get_plugin_apps()

    def get(app, **query):
        answer = Client(apps[app]).get("/", query_string=query)
        assert answer.status_code == 200, answer.data
        return answer.data

    assert sorted(json.loads(get("/runs"))) == ["cca", "series/seed_0", "series/seed_1"]
    for name in ("cca", "series/seed_1"):
        for embedding in json.loads(get("/info", run=name))["embeddings"]:
            asked = {"run": name, "name": embedding["tensorName"]}
            assert len(get("/tensor", **asked)) == 12 * 3 * 4
            assert get("/metadata", **asked).startswith(b"class\tmodality")
        assert get("/sprite_image", **asked).startswith(b"\xff\xd8")


@pytest.mark.parametrize("name", ["wikipedia", "mscoco"])
def test_a_closed_form_waits_for_no_records(make_data, tmp_path, shown, name):
    """Guards against TensorFlow, and a pass over all images, in a run of seconds; neural methods have both."""
    data = dataclasses.replace(make_data(test=6), name=name)
    for records in (True, False):
        (tmp_path / str(records)).mkdir()
        projector.write(tmp_path / str(records), Retriever(encode), data, records=records)
        assert (tmp_path / str(records) / "projector/thumbnails.jpg").exists() == records
