"""Tests of the Flickr30k builder on invented files in the official layout."""
import json
import pathlib
import shutil
import zipfile
from unittest import mock

import pytest
import tensorflow_datasets as tfds
from tfxmr_datasets.flickr30k_xmr import flickr30k_xmr_dataset_builder as builder_module
from tfxmr_datasets.flickr30k_xmr import official_files

from tfxmr.core.errors import InputError
from tfxmr.extraction import tfds_io

DUMMY = pathlib.Path(__file__).parent / "dummy_data"
SMALL = {
    "karpathy": {"train": 2, "validation": 1, "test": 1},
    "entities": {"train": 3, "validation": 1, "test": 1},
}


def small():
    """A few images of each split: the sizes of the invented files in place of the official ones."""
    return mock.patch.object(official_files, "SIZES", SMALL)


class Flickr30kTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, on the invented files."""

    DATASET_CLASS = builder_module.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["karpathy"]
    SPLITS = SMALL["karpathy"]

    def setUp(self):
        self.enterContext(small())
        super().setUp()


@pytest.fixture
def files(tmp_path):
    """A writable copy of the invented files."""
    with small():
        yield shutil.copytree(DUMMY, tmp_path / "manual")


def build(files, config="karpathy"):
    return tfds_io.build(builder_module.Builder, config, files.parent / "tfds", files)


def items(builder):
    """image_id -> (split, label, text)."""
    return {
        e["image_id"]: (split, int(e["label"]), e["text"])
        for split in builder.info.splits
        for e in tfds_io.examples(builder, split)
    }


def refusal(files, config="karpathy"):
    with pytest.raises(InputError) as error:
        build(files, config)
    return str(error.value)


def test_karpathy(files):
    """Guards against splits by the order of the file, and numbers that two images share."""
    found = items(build(files))
    assert {name: split for name, (split, _, _) in found.items()} == {
        "1000092795": "train", "1000268201": "train", "10002456": "validation", "1000344755": "test",
    }  # fmt: skip
    assert sorted(number for _, number, _ in found.values()) == [0, 1, 2, 3]
    assert found["10002456"][2].split("\n")[3] == "Sentence 3 about picture 10002456 ."


def test_entities(files):
    """Guards against the sentences of another image: both files say the same."""
    karpathy, entities = items(build(files)), items(build(files, "entities"))
    assert set(entities) - set(karpathy) == {"2199200615"}
    assert all(entities[name][2] == text for name, (_, _, text) in karpathy.items())


def test_table_in_place_of_the_tokens(files):
    """Guards against the loss of the one row of results.csv that lacks a bar, and against its line of column names."""
    expected = official_files.read_tokens(files / "results_20130124.token")
    rows = [f"{image}| {n}| {text}" for image, texts in expected.items() for n, text in enumerate(texts)]
    rows[-1] = "2199200615.jpg| 4   A dog runs across the grass ."
    (files / "results.csv").write_text("image_name| comment_number| comment\n" + "\n".join(rows) + "\n")
    (files / "results_20130124.token").unlink()
    assert official_files.read_tokens(files / "results.csv") == expected
    assert len(items(build(files, "entities"))) == 5


@pytest.mark.parametrize("folder", ["flickr30k-images", "flickr30k_images/flickr30k_images", "zip", "."])
def test_places_of_the_images(files, folder):
    """Guards against a layout of a well-known copy that is taken for missing."""
    source = shutil.move(files / "flickr30k-images", files.parent / "images")
    if folder == "zip":
        with zipfile.ZipFile(files / "archive.zip", "w") as archive:
            for path in pathlib.Path(source).iterdir():
                archive.write(path, f"flickr30k-images/{path.name}")
    else:
        shutil.copytree(source, files / folder, dirs_exist_ok=True)
    assert len(items(build(files))) == 4


def test_missing(files):
    (files / "flickr30k-images/10002456.jpg").unlink()
    assert refusal(files).splitlines()[1:] == ["  10002456.jpg"]
    (files / "dataset_flickr30k.json").unlink()
    assert refusal(files).splitlines()[1:] == [
        "  dataset_flickr30k.json",
        "The files there are those of --split=entities (results_20130124.token, train.txt, val.txt, test.txt): give that flag.",
    ]
    for name in ("results_20130124.token", "val.txt"):
        (files / name).unlink()
    assert refusal(files, "entities").splitlines()[1:] == ["  results_20130124.token", "  val.txt"]


def change(path, edit):
    found = json.loads(path.read_text())
    edit(found["images"])
    path.write_text(json.dumps(found))


@pytest.mark.parametrize("edit, expected", [
    (lambda images: images.pop(), "found the splits train, validation, expected train, validation, test"),
    (lambda images: images.pop(0), "found 1 item of split train, expected 2"),
    (lambda images: images[1].update(images[2], split="val"), "'1000268201' stands twice, in split train and in valid"),
    (lambda images: images[0].update(filename="../secret.jpg"), "leads out of the folder"),
    (lambda images: images[0].update(sentences=[{"raw": " "}]), "1000092795 has no sentence"),
    (lambda images: images[0].pop("split"), "entry 0 of 'images' lacks 'split'"),
])  # fmt: skip
def test_damaged_json(files, edit, expected):
    change(files / "dataset_flickr30k.json", edit)
    assert expected in refusal(files)


@pytest.mark.parametrize("name, content, expected", [
    ("dataset_flickr30k.json", "<html>404</html>", "cannot be read as JSON"),
    ("dataset_flickr30k.json", "[" * 100_000, "cannot be read as JSON"),
    ("dataset_flickr30k.json", "[]", "holds no list 'images'"),
    ("results_20130124.token", "1.jpg#0\tA.\nhello\n", "results_20130124.token, line 2: found 'hello'"),
    ("results_20130124.token", f"1.jpg#{'9' * 5000}\tA.\nhello\n", "results_20130124.token, line 2: found 'hello'"),
    ("results_20130124.token", f"1.jpg#0\tA.\n1.jpg#{'9' * 5000}\tA.\n", "results_20130124.token, line 2: found '1.jpg#99"),
    ("results_20130124.token", "1.jpg#0\tA.\n", "3 images have no sentence in"),
])  # fmt: skip
def test_damaged_file(files, name, content, expected):
    (files / name).write_text(content)
    assert expected in refusal(files, "entities" if "token" in name else "karpathy")
