"""What several tests share: small made-up data, and the real Wikipedia files where they are present."""
import pathlib

import numpy as np
import pytest
import scipy.io

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.features.normalisation import normalise_features

REAL = pathlib.Path(__file__).parents[2] / "shared/data/wikipedia"


@pytest.fixture
def wikipedia_files():
    """The folder of the real Wikipedia files; skips where there is none."""
    if not REAL.is_dir():
        pytest.skip(f"the real Wikipedia files are not in {REAL}")
    return REAL


@pytest.fixture(scope="session")
def make_data():
    """A function that makes paired data: class c's features scatter around its own mean in both modalities."""
    return _make_data


def _make_data(train=60, test=30, classes=5, dims=None, names=True, noise=0.3, seed=0):
    rng = np.random.default_rng(seed)
    dims = dims or {"image": 6, "text": 4}
    means = {m: rng.normal(size=(classes, d)) for m, d in dims.items()}

    def split(size, name):
        labels = np.arange(size) % classes
        features = {m: means[m][labels] + noise * rng.normal(size=(size, d)) for m, d in dims.items()}
        return Split.of_pairs(features, labels, [f"{name} {i}" for i in range(size)])

    return MultiModalData(
        name="made up",
        splits={"train": split(train, "train"), "test": split(test, "test")},
        class_names=[f"class {c}" for c in range(classes)] if names else [],
        class_embeddings=rng.normal(size=(classes, 3)).astype(np.float32) if names else None,
        features={m: {"name": f"{m} features"} for m in dims},
    )


@pytest.fixture
def official_wikipedia(wikipedia_files):
    """The official features and split of Wikipedia, z-scored by the training items, as MultiModalData."""
    stored = scipy.io.loadmat(wikipedia_files / "raw_features.mat")
    splits = {}
    for name, short in (("train", "tr"), ("test", "te")):
        lines = (wikipedia_files / f"{name}set_txt_img_cat.list").read_text().splitlines()
        labels = [int(line.split("\t")[2]) - 1 for line in lines]
        splits[name] = Split.of_pairs({"image": stored[f"I_{short}"], "text": stored[f"T_{short}"]}, labels)
    data = MultiModalData("wikipedia", splits, [])
    return normalise_features(data, "zscore", data.splits["train"])
