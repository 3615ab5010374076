"""Tests of extraction: resumed after a kill it is the straight one, and the manifest says all that decides it."""
import json
import re
import shlex
import shutil
import signal
import subprocess
import sys
import warnings
from unittest import mock

import numpy as np
import pytest
from making import write_media

from tfxmr.__main__ import main
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import splits
from tfxmr.data.files import feature_folder
from tfxmr.extraction import extract
from tfxmr.features.image import descriptor
from tfxmr.features.text import base

FLAGS = ["--dataset=folder", "--image_features=descriptor", "--text_features=bow20", "--min_documents=1"]
KILLED = """
import os, signal, sys
fsync, calls = os.fsync, []
def killing(file):
    calls.append(file)
    if len(calls) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    fsync(file)
os.fsync = killing
from tfxmr.__main__ import main
sys.exit(main({arguments!r}))
"""


@pytest.fixture
def media(tmp_path):
    """40 training and 20 test pairs of two classes."""
    return write_media(tmp_path / "media", train=20, test=10)


def run(media, out, *more):
    return main(["extract", *FLAGS, f"--data_dir={media}", f"--out={out}", *more])


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_extracted_features_train(media, tmp_path, capsys):
    out = tmp_path / "features"
    words = tmp_path / "words.txt"
    words.write_text("1 3\ncat 1 2 3\n")
    with pytest.warns(UserWarning, match="no word vector for dog"):
        assert run(media, out, f"--word_vectors={words}") == 0
    manifest = json.loads((out / "manifest.json").read_text())
    assert manifest["modalities"]["text"]["fitted_on"] == ["train"] and manifest["modalities"]["image"]["fitted_on"] == []
    assert [d["how"] for d in manifest["class_embeddings"]["decisions"]] == ["exact", "hash"]
    assert manifest["versions"]["gensim"] and manifest["modalities"]["image"]["splits"]["train"]["items"] == 40
    data = feature_folder.load(out, splits.OFFICIAL)
    assert data.name == "folder" and data.class_names == ["cat", "dog"] and data.class_embeddings.shape == (2, 3)
    assert data.splits["test"].ids["text"][10] == "test/dog/0"
    assert data.splits["train"].features["text"][:].sum(axis=1).max() <= 3
    assert run(media, out, f"--word_vectors={words}") == 0  # again: nothing to do
    assert run(media, out) == 2 and "another configuration: word_vectors" in capsys.readouterr().err
    train = ["train", "--model=sm", "--dataset=features", f"--features={out}", "--protocol=standard"]
    assert main([*train, f"--run_dir={tmp_path / 'run'}"]) == 0
    facts = json.loads((tmp_path / "run/features_manifest.json").read_text())
    assert facts["text"]["vocabulary_sha256"] == manifest["modalities"]["text"]["vocabulary_sha256"]
    plot = ["plot", "--figure=examples", f"--run_dir={tmp_path / 'run'}", f"--data_dir={media}", "--queries=1"]
    assert main(plot) == 0 and list((tmp_path / "run/figures").glob("*.png"))


@pytest.mark.parametrize("after", [4, 7])
def test_killed_extraction_goes_on(after, media, tmp_path):
    """Guards against rows lost or written twice: the folder is that of a straight extraction, byte for byte."""
    assert run(media, tmp_path / "straight") == 0
    arguments = ["extract", *FLAGS, f"--data_dir={media}", f"--out={tmp_path / 'killed'}"]
    code = KILLED.format(after=after, arguments=arguments)
    assert subprocess.run([sys.executable, "-c", code], capture_output=True).returncode == -signal.SIGKILL
    with pytest.raises(InputError, match="not finished"):
        feature_folder.load(tmp_path / "killed", splits.OFFICIAL)
    assert main(arguments) == 0
    assert content(tmp_path / "killed") == content(tmp_path / "straight")


VIEWS = ["--image_features=descriptor,descriptor_regions", "--text_features=bow20,words", "--min_words=1"]


def test_several_features_become_views(media, tmp_path, capsys):
    """Guards against maps and word numbers that are written flat or as floats, and a vector in another place than alone."""
    out = tmp_path / "out"
    assert run(media, out, *VIEWS) == 0
    printed = capsys.readouterr().out
    assert "test: 20 items, image descriptor (1956), image.regions descriptor_regions (49 x 39), text bow20 (4), text.words words (5)" in printed
    assert run(media, tmp_path / "alone") == 0
    for name in ("train/image.npy", "test/image.npy", "train/text.npy", "test/text.npy", "train/ids.json", "test/label.npy"):
        assert (out / name).read_bytes() == (tmp_path / "alone" / name).read_bytes()
    regions, words = np.load(out / "train/image.regions.npy"), np.load(out / "train/text.words.npy")
    assert (regions.dtype, regions.shape) == (np.float32, (40, 49, 39)) and (words.dtype, words.shape) == (np.int32, (40, 5))
    assert np.array_equal(regions[:, 7, :36], np.load(out / "train/image.npy")[:, 7 * 36 : 8 * 36])
    vocabulary = (out / "text.words.vocabulary.txt").read_text().splitlines()
    assert [vocabulary[v - 1] for v in words[0]] == ["<start>", "cat", "number", "even", "<end>"]
    facts = json.loads((out / "manifest.json").read_text())["modalities"]
    assert list(facts) == ["image", "text"] and facts["image"]["dim"] == 1956
    assert facts["image"]["views"]["image.regions"]["dim"] == [49, 39]
    found = facts["text"]["views"]["text.words"]
    assert found["dim"] == [5] and found["fitted_on"] == ["train"] and found["zero_rows"] == {"train": 0, "test": 0}
    assert found["splits"]["test"]["items"] == 20 and len(found["splits"]["test"]["sha256"]) == 64
    assert run(media, out, *VIEWS) == 0  # again: nothing to do
    assert run(media, out) == 2 and "another configuration: features" in capsys.readouterr().err


def test_a_killed_extraction_of_views_goes_on(media, tmp_path):
    """Guards against maps and word numbers that are resumed as if they were vectors."""
    assert run(media, tmp_path / "straight", *VIEWS) == 0
    out, made = tmp_path / "killed", []

    def transform(pictures):
        if len(made) == 35:  # in the third block, whichever thread is first
            raise KeyboardInterrupt
        made.extend(pictures)
        return plain(pictures)

    plain = descriptor.DescriptorRegions.transform
    with mock.patch.object(descriptor.DescriptorRegions, "transform", staticmethod(transform)):
        assert run(media, out, *VIEWS) == 130
    path = out / "train/image.regions.npy"
    assert path.stat().st_size == 128 + 40 * 49 * 39 * 4  # from the start
    path.write_bytes(path.read_bytes()[: 128 + 24 * 49 * 39 * 4])
    with pytest.warns(UserWarning, match="train/image.regions.npy: row 16 and those after it are not what was written"):
        assert run(media, out, *VIEWS) == 0
    assert content(out) == content(tmp_path / "straight")


@pytest.mark.parametrize("features, message", [
    (["--text_features=bow20,bow10"], "--text_features=bow20,bow10: each is the vector of text items, of which a folder"),
    (["--text_features=sequence,words"], "--text_features=sequence,words: each is the view text.words, of which a"),
    (["--image_features=descriptor,descriptor"], "--image_features=descriptor,descriptor: each is the vector of image items"),
    (["--image_features=descriptor,descriptor_regions", "--image_layer=fc2"],
     "--image_layer=fc2: goes with one network, not --image_features=descriptor,descriptor_regions"),
    (["--text_features=words", "--min_words=99"], "--min_words=99: no word occurs 99 times in 40 texts"),
])
def test_two_features_of_one_view_are_refused(features, message, media, tmp_path, capsys):
    """Guards against one of two features that is left out, or written over, without a word."""
    assert run(media, tmp_path / "out", *features) == 2
    assert message in capsys.readouterr().err and not (tmp_path / "out").exists()


@pytest.mark.parametrize("features, hint", [
    (["--text_features=words"], "out_run --model=c3l"),
    (["--image_features=descriptor_regions", "--text_features=words"], "out_run --model=cbt --encoder=cbt"),
    (["--image_features=pixels", "--text_features=words"], "out_run --model=c3l --pixels"),
    (["--image_features=descriptor_regions"], "no method of tfxmr reads image.regions, text alone; those of vectors read what "
     "--image_features=descriptor,descriptor_regions makes in another --out"),
])
def test_a_folder_without_vectors_says_what_reads_it(features, hint, media, tmp_path, capsys, monkeypatch):
    """Guards against the hint to train a method of vectors on word numbers; a method that declares the views is named."""
    features = [*features, "--min_words=1"]
    assert run(media, tmp_path / "out", *features) == 0
    assert capsys.readouterr().out.splitlines()[-1].endswith(hint)
    train = ["train", "--model=cca", "--dataset=features", f"--features={tmp_path / 'out'}", "--protocol=standard"]
    assert main([*train, f"--run_dir={tmp_path / 'run'}"]) == 2
    error = capsys.readouterr().err.splitlines()[-1]
    assert "cca reads the view " in error and "`tfxmr extract --dataset=folder" in error
    first = "text.words" if "--text_features=words" in features else "text"
    monkeypatch.setattr(registry.get("acmr"), "inputs", (first,), raising=False)  # the first of all methods
    assert run(media, tmp_path / "out", *features) == 0
    assert " --model=acmr" in capsys.readouterr().out.splitlines()[-1]


class Rows:
    """A feature whose row says which picture it was made of; `stop_at` pictures later it is killed."""

    name, fitted, labels_used, dim, dtype, rule = "rows", False, False, 3, np.float32, {}

    def __init__(self, stop_at=None):
        self.seen, self.stop_at = 0, stop_at

    def transform(self, pictures):
        self.seen += len(pictures)
        if self.stop_at and self.seen >= self.stop_at:
            raise KeyboardInterrupt
        return np.stack([picture.mean((0, 1)) for picture in pictures]).astype(np.float32)


def extracted(media, out, stop_at=None):
    """(Folder, number of pictures that were described) of an extraction of the image rows alone."""
    data, read = extract.items("folder", data_dir=media)
    feature = Rows(stop_at)
    if stop_at:
        with pytest.raises(KeyboardInterrupt):
            extract.extract(data, read, {"image": feature}, out)
        return out, feature.seen
    return extract.extract(data, read, {"image": feature}, out), feature.seen


@pytest.mark.parametrize("damage, again", [
    (lambda x: x[:200], 60),  # 128 of header, 6 rows of 12 bytes: the first block is gone
    (lambda x: x[: 128 + 20 * 12], 44),  # within the second block
    (lambda x: x[:128], 60),
    (lambda x: b"", 60),
    (lambda x: b"x" * 50 + x[50:], 28),  # the header alone, which is known
    (lambda x: x + b"more", 28),
    (lambda x: x[:-240] + bytes(240), 44),  # zeros from row 20 on, as after a power failure
    (None, 60),
])
def test_rows_that_are_not_what_was_written_are_made_again(damage, again, media, tmp_path):
    """Guards against zeros in the place of rows that a truncated file has lost: resumed, status 0, and trained on."""
    straight, _ = extracted(media, tmp_path / "straight")
    out, _ = extracted(media, tmp_path / "out", stop_at=40)
    path = out / "train/image.npy"
    assert path.stat().st_size == 128 + 40 * 12  # from the start
    whole = path.read_bytes()
    if damage:
        path.write_bytes(damage(whole))
    else:
        path.unlink()
    if again > 28:
        with pytest.warns(UserWarning, match="train/image.npy: row .* not what was written there; they are made again"):
            assert extracted(media, out)[1] == again
    else:
        assert extracted(media, out)[1] == again
    assert content(out) == content(straight)


@pytest.mark.parametrize("log", [b"", b"16 a b\n", b"\xff\n", b"99999999999999 a b\n", b"-3 x y\n16"])
def test_a_damaged_log_of_rows_costs_rows_alone(log, media, tmp_path):
    straight, _ = extracted(media, tmp_path / "straight")
    out, _ = extracted(media, tmp_path / "out", stop_at=40)
    (out / "scratch/train.image.rows").write_bytes(log)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert extracted(media, out)[1] == 60
    assert content(out) == content(straight)


FULL = """
import resource, sys
from tfxmr.__main__ import main
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
sys.exit(main({arguments!r}))
"""


def test_a_full_disk_is_told_before_the_work(media, tmp_path):
    """Guards against SIGBUS: a mapped file is written to only where its room is taken. 40 x 1,956 x 4 bytes do not fit."""
    arguments = ["extract", *FLAGS, f"--data_dir={media}", f"--out={tmp_path / 'out'}"]
    found = subprocess.run([sys.executable, "-c", FULL.format(arguments=arguments)], capture_output=True, text=True)
    assert found.returncode == 2 and "Traceback" not in found.stderr
    assert re.search(r"error: --out=\S+/out: train/image.npy needs 313,088 bytes more, and [\d,]+ are free \(File too large\); "
                     "make room and start the same command again", found.stderr.splitlines()[-1])  # fmt: skip
    assert main(arguments) == 0


@pytest.mark.parametrize("name", [
    "train/image.npy", "test/text.npy", "train/label.npy", "test/ids.json", "class_embeddings.npy", "manifest.json",
])
def test_a_finished_folder_is_what_was_written(name, media, tmp_path, capsys):
    """Guards against training on matrices, labels or names that were cut off or changed; every file is told by name."""
    out, words = tmp_path / "features", tmp_path / "words.txt"
    words.write_text("2 3\ncat 1 2 3\ndog 3 2 1\n")
    assert run(media, out, f"--word_vectors={words}") == 0
    path = out / name
    whole = path.read_bytes()
    for damaged in (None, b"", whole[: len(whole) // 2], whole[:-1] + bytes([whole[-1] ^ 64]), b"[" * 10**5):
        path.unlink() if damaged is None else path.write_bytes(damaged)
        with pytest.raises(InputError) as error:
            feature_folder.load(out, splits.OFFICIAL)
        message = str(error.value)
        assert str(out) in message and path.name in message and len(message) < 500 and "\n" not in message
        if damaged is not None:
            assert run(media, out, f"--word_vectors={words}") == 2  # not "nothing to do"
            assert str(path) in capsys.readouterr().err
    path.write_bytes(whole)
    assert feature_folder.load(out, splits.OFFICIAL)  # nothing that was good is lost


def test_class_names_that_are_lost_are_written_again(media, tmp_path):
    """Guards against a finished folder whose names are gone for good; those that the user has changed stay."""
    out = tmp_path / "features"
    assert run(media, out) == 0
    path = out / "classes.txt"
    whole = path.read_bytes()
    for content, then in ((None, whole), (b"", whole), (whole[:5], whole), (b"Katze\nHund\n", b"Katze\nHund\n")):
        path.unlink() if content is None else path.write_bytes(content)
        assert run(media, out) == 0
        assert path.read_bytes() == then


@pytest.mark.parametrize("text", [
    '"c', "0", "[]", "{}", '{"configuration": [1, "a"], "matrices": {}}', '{"configuration": []}', "[" * 10**5, "\xff",
])
def test_a_damaged_note_of_progress_is_refused(text, media, tmp_path, capsys):
    out, _ = extracted(media, tmp_path / "out", stop_at=40)
    (out / "progress.json").write_text(text, encoding="latin-1")
    before = content(out)
    assert run(media, out) == 2
    assert re.search(r"out/progress.json: is damaged \(.*\); start again with .* a new --out\n", capsys.readouterr().err)
    assert content(out) == before


@pytest.mark.parametrize("changed", [
    {"dataset": 3}, {"modalities": []}, {"modalities": {"image": 3}}, {"class_embeddings": "../../etc/passwd"},
    {"instances": 1.5}, {"split": "x"}, {"files": ["x"]}, {"files": {"train/label.npy": None}},
    {"modalities": {"image": {"dim": 3, "fitted_on": [3]}}}, {"modalities": {"image": {"fitted_labels": [[]]}}},
    {"modalities": {"image": {"dim": 3, "splits": {"train": {}}}}},
])
def test_a_malformed_manifest_is_refused(changed, media, tmp_path):
    assert run(media, tmp_path / "out") == 0
    path = tmp_path / "out/manifest.json"
    manifest = json.loads(path.read_text())
    path.write_text(json.dumps(manifest | changed))
    with pytest.raises(InputError, match="manifest.json: is damaged|label.npy: is cut off or changed"):
        feature_folder.load(tmp_path / "out", splits.OFFICIAL)


def test_fitted_on_test_texts_is_told_and_refused(media, tmp_path):
    """Guards against a vocabulary taken from test texts without a word."""
    assert run(media, tmp_path / "out", "--fit_on=train,test") == 0
    with pytest.raises(InputError, match="were fitted on the test split.*--allow_leaks"):
        feature_folder.load(tmp_path / "out", splits.OFFICIAL)
    assert feature_folder.load(tmp_path / "out", splits.OFFICIAL, allow_leaks=True)


def test_a_divided_split_is_fitted_on_its_own_training_part(media, tmp_path):
    arguments = ["--split=random", "--split_sizes=30,10,20", "--split_seed=3"]
    assert run(media, tmp_path / "out", *arguments) == 0
    manifest = json.loads((tmp_path / "out/manifest.json").read_text())
    data = feature_folder.load(tmp_path / "out", splits.OFFICIAL)
    assert [len(split) for split in data.splits.values()] == [30, 10, 20]
    texts = [(media / f"{i}.txt").read_text() for i in data.splits["train"].ids["text"]]
    assert manifest["modalities"]["text"]["fitted_texts_sha256"] == base.sha256_of_texts(texts)


def test_texts_that_say_nothing_are_told(media, tmp_path):
    """Guards against zero vectors and whole phrases that nobody hears of."""
    for path in (media / "test/cat").glob("*.txt"):
        path.write_text("喵喵喵喵喵喵喵喵")
    with pytest.warns(UserWarning, match=r"folder test, bow20: 10 of 20 texts \(50%\) have no word that their features know"):
        assert run(media, tmp_path / "out") == 0
    facts = json.loads((tmp_path / "out/manifest.json").read_text())["modalities"]["text"]
    assert facts["zero_rows"] == {"train": 0, "test": 10}
    assert facts["fitted_on_note"] == "texts of all classes, also of those that a zero-shot protocol holds unseen"
    with pytest.warns(UserWarning, match="folder, the texts that --text_features=bow20 is fitted on: 10 of 60 texts have no"):
        assert run(media, tmp_path / "both", "--fit_on=train,test") == 0


@pytest.mark.parametrize("flag", ["--word_vectors", "--text_corpus"])
@pytest.mark.parametrize("content", [None, b"\xff\xfe nothing"])
def test_unreadable_files_are_told_before_the_work(flag, content, media, tmp_path, capsys):
    """Guards against hours of extraction that end at a file that is none."""
    path = tmp_path / "file.txt"
    if content:
        path.write_bytes(content)
    with mock.patch.object(descriptor.Descriptor, "transform", side_effect=AssertionError):
        assert run(media, tmp_path / "out", f"{flag}={path}") == 2
    layout, message = capsys.readouterr().err.splitlines()
    assert str(media) in layout and str(path) in message


# With word vectors the default is DANZCR, as wide as in the paper.
@pytest.mark.parametrize("flags", [
    [], ["--fit_on=train,test"],
    pytest.param(["--word_vectors=WORDS"], marks=pytest.mark.slow),
    pytest.param(["--text_features=sentence_cnn", "--text_epochs=1", "--word_vectors=WORDS"], marks=pytest.mark.slow),
    ["--text_features=sentence_cnn", "--text_epochs=1", "--unseen_classes=emu,ant"],
])
def test_the_command_that_is_printed_runs(flags, media, tmp_path, capsys):
    """Guards against hints that fail when typed: paths with spaces, no run folder, a protocol that the data refuse."""
    words = tmp_path / "words.txt"
    words.write_text("".join(f"{w} {n} 1\n" for n, w in enumerate(("cat", "dog", "ant", "emu", "number", "odd", "even"))))
    if any("emu" in flag for flag in flags):
        for split in ("train", "test"):
            for old, new in (("cat", "ant"), ("dog", "emu")):
                shutil.copytree(media / split / old, media / split / new)
    given, flags = flags, [flag.replace("WORDS", str(words)) for flag in flags]
    assert run(media, tmp_path / "a b'c", *flags) == 0
    command = shlex.split(capsys.readouterr().out.splitlines()[-1].partition("; ")[2])
    short = ["--steps=2"] if any("WORDS" in flag for flag in given) else []
    assert command[:2] == ["tfxmr", "train"] and main([*command[1:], *short]) == 0
    assert (tmp_path / "a b'c_run/results.json").exists()


def test_refusals(media, tmp_path, capsys):
    for arguments, message in (
        (["--image_features=resnet"], "--image_features=resnet: there is no such feature"),
        (["--text_features=bert"], "--text_features=bert: there is no such feature"),
        (["--fit_on=validation"], "there is no split validation"),
        (["--image_features=descriptor", "--memory=9"], "--image_features=descriptor takes images one by one: omit it"),
    ):
        assert run(media, tmp_path / "out", *arguments) == 2
        assert message in capsys.readouterr().err
    assert main(["extract", *FLAGS, f"--data_dir={media}"]) == 2
    (tmp_path / "used").mkdir()
    (tmp_path / "used/thesis.txt").touch()
    assert run(media, tmp_path / "used") == 2 and "holds other files" in capsys.readouterr().err
    data, _ = extract.items("folder", data_dir=media)
    with pytest.raises(InputError, match="there is no image of item 'train/cat/0'"):
        extract.extract(data, lambda modality, ids: [None] * len(ids), {"image": descriptor.Descriptor()}, tmp_path / "o")
