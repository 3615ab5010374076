"""Tests of the rows that are kept for later commands: what is made again and what is not, and nothing that is fitted."""
import os
import pathlib
import subprocess
import sys
import threading

import numpy as np
import pytest
from PIL import Image

import tfxmr.extraction
from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.splits import SplitRule
from tfxmr.extraction import Request, cache, describing
from tfxmr.extraction.folder import FOLDER
from tfxmr.features.image.descriptor import Descriptor, image_descriptor


class Counted(Descriptor):
    """The descriptor, which notes the images that it is given."""

    def __init__(self):
        self.given = []

    def transform(self, images):
        self.given += [image.shape[:2] for image in images]
        return image_descriptor(images)


@pytest.fixture
def kept(tmp_path):
    return tmp_path / "cache"


@pytest.fixture
def pictures():
    """Different images, of which each has a width of its own."""
    rng = np.random.default_rng(0)
    return [rng.integers(0, 256, (20, 20 + n, 3), np.uint8) for n in range(40)]


def describe(feature, pictures, place):
    return describing.describe(feature, "image", pictures, len(pictures), lambda p: p, lambda _, held: held, place)


def given(feature, pictures, place):
    """(Rows, widths of the images that the feature was given, without those of the probe.)"""
    rows = describe(feature, pictures, place).rows
    return rows, sorted(width for height, width in feature.given if height == 20)


def test_rows_are_made_once_and_are_the_same_to_the_bit(pictures, kept):
    expected = image_descriptor(pictures)
    for widths in (list(range(20, 60)), []):
        rows, found = given(Counted(), pictures, kept)
        assert found == widths and (rows == expected).all()


def test_only_what_has_changed_is_made_again(pictures, kept):
    """Guards against rows by place or by name: an image with other content has another row."""
    describe(Counted(), pictures, kept)
    changed = [p.copy() for p in pictures]
    changed[7][0, 0] ^= 1
    rows, found = given(Counted(), changed[::-1], kept)
    assert found == [27] and (rows == image_descriptor(changed[::-1])).all()


@pytest.mark.parametrize("change", ["rule", "version", "sources", "numbers"])
def test_another_recipe_makes_all_anew(pictures, kept, change, monkeypatch):
    """Guards against rows of an older version, of other weights, or of a function that reads another file by now."""
    describe(Counted(), pictures, kept)
    feature = Counted()
    if change == "rule":
        feature.rule = {"rule": "another"}
    elif change == "version":
        monkeypatch.setattr(tfxmr, "__version__", "9.9")
    elif change == "sources":
        monkeypatch.setattr(cache, "_sources", lambda: "other")
    else:
        before = feature.transform
        feature.transform = lambda images: before(images) * np.float32(2)
    assert given(feature, pictures, kept)[1] == list(range(20, 60))


@pytest.mark.parametrize("fitted", [{"fitted": True}, {"labels_used": True}, {"rule": {"module_sha256": None}}])
def test_what_is_fitted_or_not_known_is_never_kept(pictures, kept, fitted):
    """Guards against a leak: a feature that is fitted on a split would be taken for that of another."""
    feature = Counted()
    vars(feature).update(fitted)
    describe(feature, pictures, kept)
    assert not kept.exists()


def test_none_keeps_nothing(pictures, kept, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(kept))
    describe(Counted(), pictures, "none")
    assert not kept.exists()
    describe(Counted(), pictures, None)
    assert [p.name for p in kept.iterdir()] == ["tfxmr"]


@pytest.mark.parametrize("end", [".rows.npy", ".keys.npy"])
@pytest.mark.parametrize("damage", ["flip", "cut", "empty", "gone", "other"])
def test_damage_is_found_and_made_again(pictures, kept, end, damage):
    """Guards against rows that a failing disk, or another program, has changed."""
    describe(Counted(), pictures, kept)
    path, = kept.glob(f"features/*/*{end}")
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 64
    damaged = {"flip": content, "cut": content[:-9], "empty": b"", "other": b"no array"}
    path.write_bytes(damaged[damage]) if damage in damaged else path.unlink()
    rows, found = given(Counted(), pictures, kept)
    assert (rows == image_descriptor(pictures)).all() and found
    assert len(found) == (1 if damage == "flip" else 40)
    assert given(Counted(), pictures, kept)[1] == []


def test_bad_items_are_told_and_not_kept(pictures, kept):
    for _ in range(2):
        with pytest.raises(InputError, match="no image of item 'b'"):
            describing.described(Descriptor(), "image", ["a", "b"], lambda _, ids: [pictures[0], None], kept)


def test_a_folder_that_cannot_be_written_is_told_once(pictures, tmp_path, capsys):
    """Guards against a command that ends since its cache is on a full disk, read-only, or a file."""
    (tmp_path / "file").write_text("")
    assert (describe(Counted(), pictures, tmp_path / "file").rows == image_descriptor(pictures)).all()
    assert capsys.readouterr().err.count("features are not kept (") == 1


def test_a_full_disk_is_left_alone(pictures, kept, capsys, monkeypatch):
    monkeypatch.setattr(cache, "RESERVE", 2**62)
    assert (describe(Counted(), pictures, kept).rows == image_descriptor(pictures)).all()
    assert "No space left on device" in capsys.readouterr().err
    assert not list(kept.glob("features/*/*.npy*"))


def test_a_killed_command_leaves_what_it_has_made(pictures, kept, monkeypatch):
    monkeypatch.setattr(cache, "EVERY", 0)

    class Stopped(Counted):
        alone = False

        def transform(self, images):
            if len(self.given) > 20:
                os._exit(9)
            return super().transform(images)

    Stopped.__qualname__ = "Counted"
    child = os.fork()
    if not child:
        describe(Stopped(), pictures, kept)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9
    (path,) = kept.glob("features/*")
    (path / f"x{cache.ROWS}.tmp").write_bytes(b"half")
    rows, found = given(Counted(), pictures, kept)
    assert (rows == image_descriptor(pictures)).all() and 0 < len(found) < 40


def test_processes_at_once(kept, tmp_path):
    """Each adds files of its own, and what they have made is read by the next."""
    code = ("import sys, numpy as np; from tfxmr.extraction import describing; "
            "from tfxmr.features.image.descriptor import Descriptor; rng = np.random.default_rng(int(sys.argv[1])); "
            "p = [rng.integers(0, 256, (30, 30, 3), np.uint8) for _ in range(30)]; "
            "describing.describe(Descriptor(), 'image', p, 30, lambda p: p, lambda _, h: h, sys.argv[2])")
    runs = [subprocess.Popen([sys.executable, "-c", code, str(n % 2), str(kept)]) for n in range(3)]
    assert [run.wait(60) for run in runs] == [0, 0, 0]
    pictures = [p for seed in (0, 1) for rng in [np.random.default_rng(seed)]
                for p in [rng.integers(0, 256, (30, 30, 3), np.uint8) for _ in range(30)]]
    described = describe(Descriptor(), pictures, kept)
    assert described.found == 60 and (described.rows == image_descriptor(pictures)).all()


def test_many_small_files_become_one(pictures, kept, monkeypatch):
    monkeypatch.setattr(cache, "MANY", 4)
    for n in range(0, 16, 4):
        describe(Counted(), pictures[n : n + 4], kept)
    assert len(list(kept.glob("features/*/*.keys.npy"))) == len(list(kept.glob("features/*/*.rows.npy"))) == 1
    rows, found = given(Counted(), pictures[:16], kept)
    assert (rows == image_descriptor(pictures[:16])).all() and not found


def test_what_was_not_used_for_longest_goes_first(pictures, kept):
    for n in range(0, 30, 10):
        describe(Counted(), pictures[n : n + 10], kept)
    paths = list(kept.glob("features/*/*.keys.npy"))
    for path in paths:
        os.utime(path, (1, 1))
    describe(Counted(), pictures[10:20], kept)  # is read, and so used
    left = kept.glob("features/*/x.rows.npy.tmp")
    (paths[0].parent / "x.rows.npy.tmp").write_bytes(b"half")
    os.utime(paths[0].parent / "x.rows.npy.tmp", (1, 1))
    cache.trim(kept, limit=100_000)
    assert not list(left)
    assert given(Counted(), pictures[10:20], kept)[1] == []
    assert given(Counted(), pictures[20:30], kept)[1] == list(range(40, 50))


# Own folders.


@pytest.fixture
def root(tmp_path):
    found, rng = tmp_path / "media", np.random.default_rng(0)
    for n in range(12):
        path = found / f"train/{'ab'[n % 2]}/{n}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (40, 40, 3), np.uint8)).save(path)
        path.with_suffix(".txt").write_text(f"word{'abcdefghijkl'[n]} the {'ab'[n % 2]}")
    return found


def load(root, kept, **asked):
    return tfxmr.extraction.load("folder", data_dir=root, cache_dir=kept, **asked)


RANDOM = SplitRule("random", seed=0, sizes=(0.5, 0.0, 0.5))


def same(a, b):
    return all((np.asarray(x) == np.asarray(b.splits[name].features[m])).all()
               for name, split in a.splits.items() for m, x in split.features.items())


def test_second_command_decodes_nothing(root, kept, monkeypatch, capsys):
    first = load(root, kept, split=RANDOM)
    assert "features of 12 images (descriptor): described" in capsys.readouterr().err
    monkeypatch.setattr("tfxmr.data.files.image_files.decode", None)
    assert same(first, load(root, kept, split=RANDOM))
    assert f"features of 12 images (descriptor): read from {kept}" in capsys.readouterr().err
    without = pytest.raises(TypeError)
    with without:
        load(root, "none", split=RANDOM)


def test_classes_that_nothing_trains_are_refused_before_images_are_read(root, kept, monkeypatch):
    """Guards against a refusal after an hour of describing, of what the table said at once."""
    (root / "train/b").rename(root / "b")
    (root / "test").mkdir()
    (root / "b").rename(root / "test/b")
    monkeypatch.setattr("tfxmr.data.files.media_files.image_bytes", None)
    with pytest.raises(InputError, match="no item trains class 'b'"):
        load(root, kept)


def test_same_name_other_content(root, kept, capsys):
    """Guards against rows by a file's name, size or time."""
    load(root, kept, split=RANDOM)
    path = root / "train/a/0.png"
    state, image = path.stat(), np.array(Image.open(path))
    Image.fromarray(image[::-1]).save(path)
    os.utime(path, ns=(state.st_atime_ns, state.st_mtime_ns))
    capsys.readouterr()
    found = load(root, kept, split=RANDOM)
    assert f"11 read from {kept}, 1 described" in capsys.readouterr().err
    assert same(found, load(root, "none", split=RANDOM))


def test_another_split_fits_another_vocabulary(root, kept):
    """Guards against a leak: words of test texts in the vocabulary, and one that is kept from another split."""
    for seed in (0, 1):
        data = load(root, kept, split=SplitRule("random", seed=seed, sizes=(0.5, 0.0, 0.5)))
        words = set(data.recipes["text"].state()[0]["words"])
        trained = {f"word{'abcdefghijkl'[int(i.split('/')[-1])]}" for i in data.splits["train"].ids["text"]}
        assert {w for w in words if w.startswith("word")} == trained and len(trained) == 6
        assert data.split_facts["features_fitted_on"].startswith("text: vocabulary")
        assert data.split_facts["fitted_anew"] == ["text"]


def test_threads_ask_at_once(pictures, kept):
    describe(Counted(), pictures, kept)
    with cache.Rows(kept, Counted(), "image") as rows:
        keys, found = [cache.key_of(p) for p in pictures], []
        threads = [threading.Thread(target=lambda: found.extend(rows.get(k) is not None for k in keys))
                   for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert found == [True] * 160


def test_unreadable_images_stay_refused(root, kept):
    """Guards against an image that is taken for readable since another command has passed over it."""
    (root / "train/a/0.png").write_bytes(b"no image")
    for _ in range(2):
        with pytest.raises(InputError, match="unreadable image: 1"):
            FOLDER.listed(FOLDER.chosen(Request(root, cache_dir=kept)))
    assert pathlib.Path(kept).exists()


# The command.


def test_command_lists_and_clears(pictures, kept, capsys):
    describe(Descriptor(), pictures, kept)
    assert main(["cache", f"--cache_dir={kept}"]) == 0
    told = capsys.readouterr().out
    assert told.startswith(f"{kept}: 0.3 MiB of at most 20 GiB") and "image" in told and "  40  " in told
    (kept / "mine.txt").write_text("stays")
    assert main(["cache", "--clear", f"--cache_dir={kept}"]) == 0
    assert [p.name for p in kept.iterdir()] == ["mine.txt"]
    assert main(["cache", "--clear", f"--cache_dir={kept}"]) == 0 and main(["cache", f"--cache_dir={kept}"]) == 0
    assert main(["cache", "--cache_dir=none"]) == 2
