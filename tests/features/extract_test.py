"""Tests of extraction: resumed after a kill it is the straight one, and the manifest says all that decides it."""
import json
import signal
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from tfxmr.__main__ import main
from tfxmr.data import feature_folder, splits
from tfxmr.errors import InputError
from tfxmr.features import extract, text_features

FLAGS = ["--dataset=folder", "--image_features=descriptor", "--text_features=bow20", "--min_documents=1"]
KILLED = """
import os, signal, sys
from tfxmr.features import store
write, calls = store.write_text, []
def killing(path, text):
    calls.append(path)
    if len(calls) == {after}:
        os.kill(os.getpid(), signal.SIGKILL)
    write(path, text)
store.write_text = killing
from tfxmr.__main__ import main
sys.exit(main({arguments!r}))
"""


@pytest.fixture
def media(tmp_path):
    """40 training and 20 test pairs of two classes."""
    root = tmp_path / "media"
    rng = np.random.default_rng(0)
    for split, count in (("train", 20), ("test", 10)):
        for name in ("cat", "dog"):
            (root / split / name).mkdir(parents=True)
            for n in range(count):
                Image.fromarray(rng.integers(0, 256, (20, 30, 3), np.uint8)).save(root / split / name / f"{n}.png")
                (root / split / name / f"{n}.txt").write_text(f"{name} number {'odd' if n % 2 else 'even'}")
    return root


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
    assert manifest["modalities"]["text"]["fitted_texts_sha256"] == text_features.sha256_of_texts(texts)


def test_refusals(media, tmp_path, capsys):
    for arguments, message in (
        (["--image_features=resnet"], "--image_features=resnet: there is no such feature"),
        (["--text_features=bert"], "--text_features=bert: there is no such feature"),
        (["--fit_on=validation"], "there is no split validation"),
    ):
        assert run(media, tmp_path / "out", *arguments) == 2
        assert message in capsys.readouterr().err
    assert main(["extract", *FLAGS, f"--data_dir={media}"]) == 2
    (tmp_path / "used").mkdir()
    (tmp_path / "used/thesis.txt").touch()
    assert run(media, tmp_path / "used") == 2 and "holds other files" in capsys.readouterr().err
    data, _ = extract.items("folder", media)
    with pytest.raises(InputError, match="there is no image of item 'train/cat/0'"):
        extract.extract(data, lambda modality, ids: [None] * len(ids), {"image": extract.Descriptor()}, tmp_path / "o")
