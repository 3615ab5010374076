"""Tests of the Pascal Sentence builder on invented files in the official layout, and on the real page where present."""
import collections
import pathlib
import shutil
import zipfile
from unittest import mock

import pytest
import tensorflow_datasets as tfds
from tfxmr_datasets import files as files_module
from tfxmr_datasets.pascal_sentence import official_files
from tfxmr_datasets.pascal_sentence import pascal_sentence_dataset_builder as builder_module

from tfxmr.core.errors import InputError
from tfxmr.extraction import tfds_io

DUMMY = pathlib.Path(__file__).parent / "dummy_data"
REAL = pathlib.Path(__file__).parents[3] / "shared/data/pascal_sentence"
SMALL = {
    "CLASSES": ("bird", "cat"),
    "CLASS_SIZE": 5,
    "SPLITS": {"800_200": {"train": 3, "test": 2}, "800_100_100": {"train": 3, "validation": 1, "test": 1}},
}


def small():
    """Two classes of five images: the sizes of the invented files in place of the official ones."""
    return mock.patch.multiple(official_files, **SMALL)


class PascalSentenceTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, on the invented files."""

    DATASET_CLASS = builder_module.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["800_100_100"]
    SPLITS = {"train": 6, "validation": 2, "test": 2}

    def setUp(self):
        self.enterContext(small())
        super().setUp()


@pytest.fixture
def files(tmp_path):
    """A writable copy of the invented files."""
    with small():
        yield shutil.copytree(DUMMY, tmp_path / "manual")


def build(files, config="800_200"):
    return tfds_io.build(builder_module.Builder, config, files.parent / "tfds", files)


def items(builder):
    """image_id -> (split, example)."""
    return {e["image_id"]: (split, e) for split in builder.info.splits for e in tfds_io.examples(builder, split)}


def refusal(files):
    with pytest.raises(InputError) as error:
        build(files)
    return str(error.value)


def test_sentences(files):
    """Guards against four, six or empty sentences in place of five, bare ampersands, line breaks and spaces kept."""
    found = {name: example["text"].split("\n") for name, (_, example) in items(build(files)).items()}
    assert found["bird/2008_000000"][1:3] == ["Black & white: a bird on a wire", "Salt & pepper"]
    assert found["bird/2008_000000"][0] == "A bird seen from side 0 of picture 0."
    assert sorted(collections.Counter(map(len, found.values())).items()) == [(4, 1), (5, 8), (6, 1)]


def test_images(files):
    """Guards against grey pictures of one channel and PNG files that are called .jpg."""
    found = items(build(files))
    assert {example["image"].shape for _, example in found.values()} == {(8, 10, 3)}
    assert all(example["label"] == ["bird", "cat"].index(name.split("/")[0]) for name, (_, example) in found.items())


def test_configs_share_their_training_images(files):
    two, three = items(build(files)), items(build(files, "800_100_100"))
    assert {n for n, (split, _) in two.items() if split == "train"} == {
        n for n, (split, _) in three.items() if split == "train"
    }
    assert len(two) == len(three) == 10


def test_folders_give_what_the_page_gives(files):
    """Guards against the copies without a dot before txt, and against another draw for another layout."""
    expected = items(build(files))
    sentences = official_files.read_page(files / "pascal-sentences.html")
    (files / "pascal-sentences.html").unlink()
    for n, (name, own) in enumerate(sentences.items()):
        path = files / "sentence" / f"{name}{'.' if n % 2 else ''}txt"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("\r\n".join(own) + "\n\n")
    shutil.rmtree(files.parent / "tfds")
    found = items(build(files))
    assert {n: (s, e["text"]) for n, (s, e) in found.items()} == {n: (s, e["text"]) for n, (s, e) in expected.items()}


def test_images_in_an_archive(files):
    with zipfile.ZipFile(files / "images.zip", "w") as archive:
        for path in (files / "dataset").rglob("*.jpg"):
            archive.write(path, f"dataset/{path.parent.name}/{path.name}")
    shutil.rmtree(files / "dataset")
    assert len(items(build(files))) == 10


def test_missing(files):
    (files / "dataset/cat/2008_000003.jpg").unlink()
    message = refusal(files)
    assert message.splitlines()[1:] == ["  cat/2008_000003.jpg"] and f"{files} (flag --manual_dir)" in message
    (files / "pascal-sentences.html").unlink()
    assert "the sentences are missing. Put pascal-sentences.html or the files <class>/<id>.txt" in refusal(files)


@pytest.mark.parametrize("old, new, expected", [
    ('"cat/2008_000004', '"cat/2008_000003', "cat/2008_000003.jpg stands twice"),
    ('"cat/2008_000004', '"../2008_000004', "no <class>/<id>"),
    ('"cat/2008_000004', '"bird/2008_000009', "6 images are of class bird, expected 5"),
    ("</html>", '<img src="cat/1.jpg">', "cat/1 has no sentence"),
    ("</html>", "<![x]>", "Copy the official page again"),
    ("</html>", f"<td>&#{'9' * 5000};", "Copy the official page again"),
])  # fmt: skip
def test_damaged_page(files, old, new, expected):
    """Guards against a page cut off or changed, and paths in it that lead out of the folder."""
    page = files / "pascal-sentences.html"
    page.write_text(page.read_text().replace(old, new))
    message = refusal(files)
    assert expected in message and str(page) in message


def test_damaged_image(files):
    (files / "dataset/cat/2008_000003.jpg").write_bytes(b"<html>404</html>")
    assert "cat/2008_000003.jpg: is no readable image" in refusal(files)


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real Pascal Sentence files are not in {REAL}")
def test_real_page():
    """Guards against sentences lost or added: the odd counts that the official page has."""
    sentences = official_files.read_page(REAL / "pascal-sentences.html")
    assert sum(map(len, sentences.values())) == 4998
    assert {name: len(own) for name, own in sentences.items() if len(own) != 5} == {
        "boat/2008_003858": 4, "bus/2008_008748": 4, "cow/2008_006210": 4, "chair/2008_007742": 6,
    }  # fmt: skip
    assert sum("&" in sentence for own in sentences.values() for sentence in own) == 4
    splits = official_files.divide(sentences, "800_100_100")
    for split, size in official_files.SPLITS["800_100_100"].items():
        counts = collections.Counter(name.partition("/")[0] for name in splits[split])
        assert counts == dict.fromkeys(official_files.CLASSES, size)
    where = files_module.Files("pascal_sentence", REAL, REAL)
    with pytest.raises(InputError, match="996 file"):  # four of the images are there
        where.require(*(f"{name}.jpg" for name in sentences))
