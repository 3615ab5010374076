"""Tests of building once, alone, and after a killed build."""
import fcntl
import pathlib
import subprocess
import sys
import tempfile
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


def test_no_temporary_folders_are_left(tmp_path, monkeypatch):
    """Guards against the empty folder that TFDS leaves for each builder of data that are not built."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "temporary"))
    (tmp_path / "temporary").mkdir()
    tfds_io.build(Tiny, None, tmp_path / "data")
    assert Tiny.built == 1 and list((tmp_path / "temporary").iterdir()) == []
    assert tfds.core.DatasetInfo.initialize_from_bucket.__name__ == "initialize_from_bucket"


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


class Pictures(tfds.core.GeneratorBasedBuilder, skip_registration=True):
    """Items of every kind of feature that the data sets here have, with PNG images, or JPEG images in the config jpeg."""

    VERSION = tfds.core.Version("1.0.0")
    BUILDER_CONFIGS = [tfds.core.BuilderConfig(name=name) for name in ("png", "jpeg")]

    def _info(self):
        image = tfds.features.Image(shape=(None, None, 3), encoding_format=self.builder_config.name)
        kinds = {"image": image, "id": tfds.features.Text(), "label": tfds.features.ClassLabel(names=["a", "b"])}
        return tfds.core.DatasetInfo(builder=self, features=tfds.features.FeaturesDict(kinds))

    def _split_generators(self, dl_manager):
        return {"train": self._generate_examples()}

    def _generate_examples(self):
        rng = np.random.default_rng(0)
        for n in range(5):
            image = rng.integers(0, 256, (9 + n, 8, 3), dtype=np.uint8)
            yield n, {"image": image, "id": f"größe {n}", "label": n % 2}


@pytest.mark.parametrize("kind", ["png", "jpeg"])
@pytest.mark.parametrize("images", [True, False])
def test_without_tensorflow_the_values_are_the_same(tmp_path, kind, images):
    """Guards against features that are others, by a bit, where TensorFlow does not read them."""
    builder = tfds_io.build(Pictures, kind, tmp_path)
    assert tfds_io._is_plain(builder, "train", images) == (kind == "png" or not images)
    by_tensorflow, plain = ([*read(builder, "train", images)] for read in (tfds_io._by_tensorflow, tfds_io._plain))
    assert len(plain) == 5
    for ours, theirs in zip(plain, by_tensorflow, strict=True):
        assert ours.keys() == theirs.keys()
        for name in theirs:
            np.testing.assert_array_equal(ours[name], theirs[name])
            assert type(ours[name]) is type(theirs[name]) and getattr(ours[name], "dtype", 0) == getattr(theirs[name], "dtype", 0)
    assert sorted(e["id"] for e in tfds_io.examples(builder, "train", images)) == [f"größe {n}" for n in range(5)]


@pytest.mark.parametrize("place", [0, 5, 9, 12, 40, -5, -1])
@pytest.mark.parametrize("change", ["a bit", "the end"])
def test_a_damaged_record_is_noticed(tmp_path, place, change):
    """Guards against a bit or an end that is lost, and read over: each byte is under a checksum."""
    builder = tfds_io.build(Pictures, "png", tmp_path)
    (path,) = map(pathlib.Path, builder.info.splits["train"].filepaths)
    content = bytearray(path.read_bytes())
    if change == "a bit":
        content[place] ^= 4
    else:
        content = content[: place or -3]
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"pictures.*is damaged \(.* of 5 train items|is damaged \(pictures-train.*byte \d+ is damaged"):
        [*tfds_io.examples(builder, "train")]


def test_a_built_set_of_png_images_is_read_without_tensorflow(tmp_path):
    """Guards against seconds of TensorFlow's import in every command on the embedded data set."""
    tfds_io.build(Pictures, "png", tmp_path)
    code = (
        f"import sys; sys.path.insert(0, {str(pathlib.Path(__file__).parent)!r})\n"
        "import tfds_io_test; from tfxmr.extraction import tfds_io\n"
        f"found = tfds_io.read(tfds_io.build(tfds_io_test.Pictures, 'png', {str(tmp_path)!r}), 'train')\n"
        "assert len(found['id']) == 5 and not {'tensorflow', 'keras'} & {*sys.modules}\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
