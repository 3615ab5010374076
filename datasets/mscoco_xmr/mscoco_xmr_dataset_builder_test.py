"""Tests of the MSCOCO builder on invented files in the official layout, and on real ones where present."""
import collections
import json
import pathlib
import shutil
import zipfile
from unittest import mock

import pytest
import tensorflow_datasets as tfds
from tfxmr_datasets import captions
from tfxmr_datasets.mscoco_xmr import mscoco_xmr_dataset_builder as builder_module
from tfxmr_datasets.mscoco_xmr import official_files

from tfxmr.core.errors import InputError
from tfxmr.extraction import tfds_io

DUMMY = pathlib.Path(__file__).parent / "dummy_data"
REAL = pathlib.Path(__file__).parents[3] / "shared/data/coco"
real_files = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real MSCOCO files are not in {REAL}")
SMALL = {
    "karpathy": {"train": 3, "restval": 1, "validation": 1, "test": 1},
    "2014": {"train": 3, "validation": 3},
    "2017": {"train": 5, "validation": 1},
}


def small():
    """A few images of each split: the sizes of the invented files in place of the official ones."""
    return mock.patch.object(official_files, "SIZES", SMALL)


class MscocoTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, on the invented files."""

    DATASET_CLASS = builder_module.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["2014"]
    SPLITS = SMALL["2014"]

    def setUp(self):
        self.enterContext(small())
        super().setUp()


@pytest.fixture
def files(tmp_path):
    """A writable copy of the invented files."""
    with small():
        yield shutil.copytree(DUMMY, tmp_path / "manual")


def build(files, config):
    return tfds_io.build(builder_module.Builder, config, files.parent / "tfds", files)


def items(builder):
    """image_id -> (split, number, sentences, colour)."""
    return {
        e["image_id"]: (split, int(e["label"]), e["text"].split("\n"), tuple(e["image"][0, 0]))
        for split in builder.info.splits
        for e in tfds_io.examples(builder, split)
    }


def test_all_configs_tell_of_the_same_images(files):
    """Guards against the sentences or the picture of another image in one of the three formats."""
    found = {config: items(build(files, config)) for config in SMALL}
    for config in SMALL:
        assert {name: item[2:] for name, item in found[config].items()} == {
            name: item[2:] for name, item in found["2014"].items()
        }
        counts = collections.Counter(split for split, *_ in found[config].values())
        assert counts == SMALL[config]
        assert sorted(number for _, number, *_ in found[config].values()) == list(range(6))
    assert found["karpathy"]["42"][0] == "restval" and found["2017"]["73"][0] == "validation"


def test_sentences(files):
    """Guards against six or seven sentences, line breaks in them, and the order of annotation ids."""
    found = {name: sentences for name, (_, _, sentences, _) in items(build(files, "2014")).items()}
    assert {len(sentences) for sentences in found.values()} == {5}
    assert found["42"] == [f"Caption {k} of image 42." for k in range(5)]
    assert found["73"][1] == "Two pizza pies get ready to be cut ." and found["30"][0] == "A zebra."


def test_images_of_the_other_year_in_archives(files):
    """Guards against Karpathy's splits being of use only with the images of 2014."""
    expected = items(build(files, "karpathy"))
    shutil.rmtree(files.parent / "tfds")
    with zipfile.ZipFile(files / "train2017.zip", "w") as archive:
        for part in ("train", "val"):
            for path in (files / f"{part}2014").iterdir():
                archive.write(path, f"train2017/{path.name[-16:]}")
            shutil.rmtree(files / f"{part}2014")
    with zipfile.ZipFile(files / "annotations_trainval2017.zip", "w") as archive:
        for path in (files / "annotations").iterdir():
            archive.write(path, f"annotations/{path.name}")
    shutil.rmtree(files / "annotations")
    assert items(build(files, "karpathy")) == expected
    assert len(items(build(files, "2017"))) == 6


def test_missing_files_tell_which_split_fits_those_that_are_there(files):
    """Guards against users with the files of 2017 who are asked for those of Karpathy alone."""
    (files / "dataset_coco.json").unlink()
    for path in (files / "annotations").glob("*2014.json"):
        path.unlink()
    with pytest.raises(InputError) as error:
        build(files, "karpathy")
    assert str(error.value).splitlines()[1:] == [
        "  dataset_coco.json",
        "The files there are those of --split=2017 (captions_train2017.json, captions_val2017.json): give that flag.",
    ]
    (files / "annotations/captions_train2017.json").unlink()
    with pytest.raises(InputError) as error:
        build(files, "karpathy")
    assert str(error.value).splitlines()[2] == (
        "captions_val2017.json: of --split=2017, which needs annotations/captions_train2017.json, too."
    )


def test_other_numbers_tell_of_the_folder(files):
    """Guards against a sample of the captions that no option takes."""
    path = files / "annotations/captions_val2017.json"
    found = json.loads(path.read_text())
    found["images"] = []
    path.write_text(json.dumps(found))
    with pytest.raises(InputError, match=f"--dataset=folder --data_dir={files}"):
        build(files, "2017")


def test_missing(files):
    (files / "val2014/COCO_val2014_000000000042.jpg").unlink()
    with pytest.raises(InputError) as error:
        build(files, "karpathy")
    assert str(error.value).splitlines()[1:] == ["  train2017/000000000042.jpg"]
    (files / "annotations/captions_val2017.json").unlink()
    with pytest.raises(InputError) as error:
        build(files, "2017")
    assert str(error.value).splitlines()[1] == "  annotations/captions_val2017.json"


def test_other_annotations(files):
    """Guards against instances_*.json under the name of the captions."""
    path = files / "annotations/captions_val2014.json"
    path.write_text(json.dumps({"images": [{"id": 1}], "annotations": [{"image_id": 1, "category_id": 2}]}))
    with pytest.raises(InputError, match="lacks 'caption'. Is it a file of captions"):
        build(files, "2014")


@real_files
def test_real_captions():
    """Guards against what is in the official file and in no invented one: 13 images of six or seven sentences."""
    found = captions.read_coco(REAL / "annotations/captions_val2017.json", lambda e: official_files._names(e["id"]))
    assert len(found) == 5000 and {len(item.sentences) for item in found} == {5}
    assert found[0].name == "397133" and "val2017/000000397133.jpg" in found[0].paths
    assert not any("\n" in s or s != s.strip() for item in found for s in item.sentences)


@real_files
def test_real_images(tmp_path):
    """Guards against pictures that Pillow reads and TensorFlow does not, and grey ones of one channel."""
    counts = {}
    for part in ("train", "val"):
        found = json.loads((REAL / f"annotations/captions_{part}2017.json").read_text())
        there = {int(path.stem) for path in (REAL / f"{part}2017").iterdir()}
        images = [image for image in found["images"] if image["id"] in there][:30]
        (tmp_path / f"captions_{part}2017.json").write_text(
            json.dumps({"images": images, "annotations": found["annotations"]})
        )
        (tmp_path / f"{part}2017").symlink_to(REAL / f"{part}2017")
        counts[{"val": "validation"}.get(part, part)] = len(images)
    with mock.patch.object(official_files, "SIZES", {"2017": counts}):
        builder = tfds_io.build(builder_module.Builder, "2017", tmp_path / "tfds", tmp_path)
    for split, size in counts.items():
        found = list(tfds_io.examples(builder, split))
        assert len(found) == size and all(example["image"].shape[2] == 3 for example in found)
