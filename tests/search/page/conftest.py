"""A run whose features are made of sentences and images, its media, and the page of it."""
import dataclasses
import io
import types

import numpy as np
import pytest
from making import Words
from PIL import Image

import tfxmr
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.encoding import Encoder
from tfxmr.evaluation import protocol
from tfxmr.runs.run import run
from tfxmr.search import Index
from tfxmr.search.building import build
from tfxmr.search.page.app import make_app
from tfxmr.search.query import Searcher


class Colours:
    """A feature of images: mean and deviation of each colour."""

    name = "colours"

    def transform(self, images):
        flat = [image.reshape(-1, 3) / 255 for image in images]
        return np.array([[*f.mean(0), *f.std(0)] for f in flat], np.float32)


class Made:
    """Media by the items' names; the image of test 3 is lost."""

    def prepare(self):
        self.prepared = True

    def text(self, columns, modality):
        return f"a red boat <{columns['name']}>" if modality == "text" else None

    def thumbnail(self, columns, modality, side=160):
        if modality != "image" or columns["name"] == "test 3":
            return None
        return png((int(columns["row"]), 0, 0), (side // 8, 8))

    def file(self, columns, modality):
        return {"audio": Sound(b"RIFF0000WAVE", "audio/wav"), "shape3d": Sound(b"<svg/>", "image/svg+xml")}.get(modality)


@dataclasses.dataclass
class Sound:
    """A sound inside another file, that is of `size` bytes."""

    content: bytes
    kind: str
    size: int = 12
    path: None = None

    def read(self):
        return self.content


def png(colour=(200, 30, 30), size=(40, 30), kind="PNG"):
    content = io.BytesIO()
    Image.new("RGB", size, colour).save(content, kind)
    return content.getvalue()


def searcher_of(folder):
    encoder = tfxmr.load(folder)
    recipes = {"text": Words("red", "boat", "sky", "sea"), "image": Colours()}
    encoder = Encoder(encoder.facts, encoder.method, encoder.normalisations, recipes.get, {})
    return Searcher(Index.open(folder / "index"), encoder)


@pytest.fixture(scope="session")
def runs(make_data, tmp_path_factory):
    """Folders of two runs on the same data."""
    data = make_data(dims={"image": 6, "text": 4}, classes=4, train=40, test=24, noise=0.8)
    folders = []
    for components in (3, 2):
        folder = tmp_path_factory.mktemp("run")
        run(CCA, CCASettings(components=components, feature_norm="zscore"), data, protocol.make("standard", data), folder)
        build(tfxmr.load(folder), folder / "encoder", folder / "index").close()
        folders.append(folder)
    return folders


@pytest.fixture(scope="session")
def searchers(runs):
    return [searcher_of(folder) for folder in runs]


@pytest.fixture(scope="session")
def client(searchers):
    return make_app(searchers[:1], Made(), ["cca"]).test_client()


@pytest.fixture(scope="session")
def two(searchers):
    return make_app(searchers, Made(), ["three <b>", "two"]).test_client()


@pytest.fixture
def heard(tmp_path):
    """A searcher without encoder, of sounds, 3D shapes and videos."""
    facts = dataclasses.make_dataclass("E", ["digest", "dimensions", "similarity"])("5e1f" * 16, 2, "cosine")
    with Index.open(tmp_path / "index", facts) as index:
        for m, x in (("audio", 0.1), ("shape3d", 0.2), ("video", 0.3)):
            index.add(m, [f"{m}/{i}" for i in range(8)], [[1, x + 0.1 * (i // 2)] for i in range(8)], {"name": [f"{m} {i}" for i in range(8)]})
    return Searcher(Index.open(tmp_path / "index"))


@pytest.fixture
def media():
    return types.SimpleNamespace(png=png, made=Made())
