"""Tests of building once, alone, and after a killed build."""
import fcntl
import threading

import numpy as np
import pytest
import tensorflow_datasets as tfds

from tfxmr.core.errors import InputError
from tfxmr.extraction import tfds_io


class Tiny(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Three numbers."""

    VERSION = tfds.core.Version("1.0.0")
    built = 0

    def _info(self):
        features = tfds.features.FeaturesDict({"n": tfds.features.Scalar(np.int64), "name": tfds.features.Text()})
        return tfds.core.DatasetInfo(builder=self, features=features)

    def _split_generators(self, dl_manager):
        Tiny.built += 1
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        yield from ((n, {"n": n, "name": name}) for n, name in enumerate(("zero", "one", "two")))


@pytest.fixture(autouse=True)
def count(monkeypatch):
    monkeypatch.setattr(Tiny, "built", 0)


def test_what_a_killed_build_left_is_removed(tmp_path):
    """Guards against a disk full of halves, and against the removal of anything else."""
    left, kept = tmp_path / "tiny/incomplete.ABC123_1.0.0", tmp_path / "tiny/incomplete.ABC123_2.0.0"
    for folder in (left, kept):
        folder.mkdir(parents=True)
        (folder / "half.tfrecord").write_text("half")
    assert len(list(tfds_io.examples(tfds_io.build(Tiny, None, tmp_path), "train"))) == 3
    assert not left.exists() and kept.exists()


def test_a_finished_build_is_kept(tmp_path):
    for _ in range(2):
        tfds_io.build(Tiny, None, tmp_path)
    assert Tiny.built == 1


def test_single_records(tmp_path):
    """Guards against a record of another item, in whatever order they are asked for, and over several files."""
    builder = tfds_io.build(Tiny, None, tmp_path)
    records = tfds_io.Records(builder, ("name",))
    assert [records.get("name", name)["n"] for name in ("two", "zero", "one", "two")] == [2, 0, 1, 2]
    assert records.get("name", "three") is None and records.get("name", "one")["name"] == "one"


def test_a_build_waits_for_another(tmp_path):
    """Guards against the removal of what another process is building at the same time."""
    (tmp_path / "tiny").mkdir()
    with open(tmp_path / "tiny/.1.0.0.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=tfds_io.build, args=(Tiny, None, tmp_path))
        thread.start()
        thread.join(0.5)
        assert thread.is_alive() and Tiny.built == 0
    thread.join()
    assert Tiny.built == 1


def test_a_build_that_another_process_has_just_finished(tmp_path):
    """Guards against a builder that was made before the other process was ready, and knows no splits."""
    (tmp_path / "tiny").mkdir()
    found = []
    with open(tmp_path / "tiny/.1.0.0.lock", "w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        thread = threading.Thread(target=lambda: found.append(tfds_io.build(Tiny, None, tmp_path)))
        thread.start()
        thread.join(0.5)
        tfds_io.builder(Tiny, None, tmp_path).download_and_prepare()
    thread.join()
    assert Tiny.built == 1
    assert [example["n"] for example in tfds_io.examples(found[0], "train")] == [0, 1, 2]


@pytest.mark.parametrize("name, change", [
    ("tiny-train.tfrecord-00000-of-00001", lambda content: content[:-7]),
    ("tiny-train.tfrecord-00000-of-00001", lambda content: b""),
    ("tiny-train.tfrecord-00000-of-00001", lambda content: content[:20] + b"!" + content[21:]),
    ("tiny-train.tfrecord-00000-of-00001", None),
    ("dataset_info.json", lambda content: content[: len(content) // 2]),
    ("dataset_info.json", None),
])
def test_a_damaged_dataset_is_refused(tmp_path, name, change):
    """Guards against TensorFlow's exceptions, and above all against a dataset with fewer items and no error."""
    builder = tfds_io.build(Tiny, None, tmp_path)
    path = tmp_path / "tiny/1.0.0" / name
    content = path.read_bytes()
    path.unlink()
    if change:
        path.write_bytes(change(content))
    with pytest.raises(InputError, match=f"{tmp_path}/tiny.*is damaged .*move this folder elsewhere, and the same command builds"):
        list(tfds_io.examples(tfds_io.build(Tiny, None, tmp_path), "train"))
    assert builder.info.splits["train"].num_examples == 3


@pytest.mark.parametrize("words", ["No space left on device", "No such file or directory"])
def test_a_full_disk_is_an_error_of_the_system(tmp_path, monkeypatch, words):
    """Guards against TFDS's RuntimeError, which names neither the folder nor a remedy."""
    def fail(*arguments, **more):
        raise RuntimeError(f"ResourceExhaustedError: Failed to finalize writing of split 'train': x; {words}")

    monkeypatch.setattr(Tiny, "download_and_prepare", fail)
    with pytest.raises(InputError, match=f"--data_dir={tmp_path}: the dataset cannot be built there .*{words}; "):
        tfds_io.build(Tiny, None, tmp_path)
