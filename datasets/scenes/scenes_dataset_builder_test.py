"""Tests of the `scenes` builder: TFDS's own checks, and a build that is killed halfway."""
import pathlib
import signal
import subprocess
import sys
from unittest import mock

import numpy as np
import tensorflow_datasets as tfds
from tfxmr_datasets.scenes import generator, scenes_dataset_builder

KILLED_BUILD = """
import os, signal, sys
import tensorflow_datasets as tfds
print("scenes" in tfds.list_builders(with_community_datasets=False), flush=True)

from tfxmr_datasets.scenes import generator, scenes_dataset_builder
example = generator.example

def deadly(split, label, number, seed):
    if (split, label) == ("test", 5):
        os.kill(os.getpid(), signal.SIGKILL)
    return example(split, label, number, seed)

generator.example = deadly
scenes_dataset_builder.ITEMS_PER_CLASS.update(train=8, test=4)
scenes_dataset_builder.Builder(data_dir=sys.argv[1]).download_and_prepare()
"""


def small():
    """Two items of a class to train, one to test."""
    return mock.patch.dict(scenes_dataset_builder.ITEMS_PER_CLASS, train=2, test=1)


class ScenesTest(tfds.testing.DatasetBuilderTestCase):
    DATASET_CLASS = scenes_dataset_builder.Builder
    SPLITS = {"train": 1600, "test": 400}
    EXAMPLE_DIR = pathlib.Path(__file__).parent  # nothing is read: the dataset is generated


def test_a_killed_build_leaves_nothing_that_the_next_one_takes_for_finished(tmp_path, monkeypatch):
    """Guards against half a dataset being read as a whole after SIGKILL, and against a name of TFDS."""
    command = [sys.executable, "-c", KILLED_BUILD, str(tmp_path)]
    killed = subprocess.run(command, capture_output=True, text=True)
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert killed.stdout.startswith("False\n")
    assert (tmp_path / "scenes").exists() and not (tmp_path / "scenes" / "1.0.0").exists()

    monkeypatch.setattr(scenes_dataset_builder, "ITEMS_PER_CLASS", {"train": 8, "test": 4})
    builder = scenes_dataset_builder.Builder(data_dir=tmp_path)
    builder.download_and_prepare()
    examples = list(tfds.as_numpy(builder.as_dataset(split="test")))
    np.testing.assert_array_equal(np.bincount([example["label"] for example in examples]), [4] * 20)
    stored = next(example for example in examples if example["id"] == b"test_helicopter_003")
    expected = generator.example("test", 7, 3)
    np.testing.assert_array_equal(stored["image"], expected["image"])
    assert stored["text"].decode() == expected["text"]
