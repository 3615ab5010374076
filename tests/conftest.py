"""What several tests share: small made-up data, and the real Wikipedia files where they are present."""
import gc
import os
import pathlib
import tempfile

import numpy as np
import pytest
import scipy.io
import tensorflow as tf
from making import paired_data
from tensorflow.python.framework import ops

from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.normalisation import normalise_features
from tfxmr.engine import memory

# No test fills or finds the cache of whoever runs it; commands that tests start inherit it.
_CACHE = tempfile.TemporaryDirectory()
os.environ["XDG_CACHE_HOME"] = _CACHE.name
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
    return paired_data


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


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder of random matrices with four classes and word vectors of their names."""
    folder = tmp_path_factory.mktemp("npz")
    rng = np.random.default_rng(0)
    for split, n in (("train", 80), ("test", 40)):
        np.savez(
            folder / f"{split}.npz", image=rng.normal(size=(n, 30)), text=rng.normal(size=(n, 20)),
            label=np.arange(n) % 4,
        )
    names = ["one", "two", "three", "four"]
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    lines = [f"{name} {' '.join(f'{v:.4f}' for v in rng.normal(size=8))}" for name in names]
    (folder / "words.txt").write_text("\n".join(["4 8", *lines]) + "\n")
    return folder


@pytest.fixture
def eagerly():
    """Runs steps in Python: to trace the graphs of a method of many players takes ten times as long as a few steps.

    For what a method does from step to step. Its graphs have tests of their own: contract_test.py's simplest command
    and rules, and the slow ones of keras_model_test.py.
    """
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


def pytest_collection_finish():
    """Spares the garbage collector what the imports made: every run collects, and would go through it."""
    gc.collect()
    gc.freeze()


@pytest.fixture(autouse=True)
def few_graphs():
    """Frees the graphs of earlier tests, as a run does; those of a whole suite are gigabytes, and slow each collection."""
    yield
    if sum(name.startswith("CustomGradient-") for name in ops.gradient_registry._registry) > 50:
        memory.free()
