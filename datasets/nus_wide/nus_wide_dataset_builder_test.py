"""Tests of the NUS-WIDE builder on invented files in the official layout."""
import contextlib
import pathlib
import shutil
import warnings
import zipfile
from unittest import mock

import numpy as np
import PIL.Image
import pytest
import tensorflow_datasets as tfds
from tfxmr_datasets.nus_wide import nus_wide_dataset_builder as builder_module
from tfxmr_datasets.nus_wide import official_files

from tfxmr.core.errors import InputError
from tfxmr.extraction import tfds_io

DUMMY = pathlib.Path(__file__).parent / "dummy_data"
# Twenty images: of each row of the list its concepts, and whether it trains.
LABELS = [
    "sky", "toy", "clouds", "sky clouds", "toy", "lake", "clouds", "toy", "", "sky",
    "toy", "clouds", "buildings", "sky", "toy lake", "clouds", "toy", "sky", "clouds", "toy",
]  # fmt: skip
TRAIN = "11110011110011001110"
NAMES = [f"{'actor' if n < 9 else 'zoo'}/{n:04}_{900 - n}.jpg" for n in range(20)]
CHOSEN = [n for n, label in enumerate(LABELS) if label in ("clouds", "sky", "toy")]
DIMS = {"CH": 2, "CORR": 1, "EDH": 2, "WT": 1, "CM55": 3}
SIZES = {part: [TRAIN[n] for n in CHOSEN].count(digit) for part, digit in (("train", "1"), ("test", "0"))}


@contextlib.contextmanager
def small():
    """Three classes of five concepts, matrices of few columns."""
    low = official_files.LOW_LEVEL.items()
    with (
        mock.patch.multiple(
            official_files,
            CLASSES=("clouds", "sky", "toy"),
            CONCEPTS=("buildings", "clouds", "lake", "sky", "toy"),
            LIST_SIZES={"all": 20, "train": TRAIN.count("1"), "test": TRAIN.count("0")},
            PUBLISHED=SIZES,
            TEN_THOUSAND={"train": 2, "validation": 1, "test": 1},
        ),
        mock.patch.dict(official_files.LOW_LEVEL, {name: (DIMS[name], *part[1:]) for name, part in low}),
        mock.patch.dict(official_files.BAG_OF_WORDS, {"BoW": (4, *official_files.BAG_OF_WORDS["BoW"][1:])}),
        mock.patch.dict(official_files.TAGS, {"tags": (6, *official_files.TAGS["tags"][1:])}),
    ):
        yield


def values(part, row):
    """The invented numbers of an image: 100 times the part's number, plus its row, plus tenths of the column."""
    return [100 * list(DIMS).index(part) + row + column / 10 for column in range(DIMS[part])]


def tags(row):
    return [row >> bit & 1 for bit in range(6)]


def write(root):
    """Writes the invented files: backslashes, carriage returns and separators at the ends of lines as published."""
    for folder in ("ImageList", "Groundtruth/AllLabels", "NUS_WID_Tags", "Low_Level_Features"):
        (root / folder).mkdir(parents=True, exist_ok=True)
    parts = {"": range(20), **{p: [n for n in range(20) if TRAIN[n] == d] for p, d in (("Train", "1"), ("Test", "0"))}}
    for part, rows in parts.items():
        lines = [NAMES[n].replace("/", "\\") + "\r\n" for n in rows]
        (root / f"ImageList/{part}Imagelist.txt").write_bytes("".join(lines).encode())
        for name in DIMS if part else ():
            text = "".join("".join(f"{v:.6f} " for v in values(name, n)) + "\n" for n in rows)
            (root / f"Low_Level_Features/{part}_Normalized_{name}.dat").write_text(text)
    for concept in ("buildings", "clouds", "lake", "sky", "toy"):
        text = "".join(f"{int(concept in label.split())}\n" for label in LABELS)
        (root / f"Groundtruth/AllLabels/Labels_{concept}.txt").write_text(text)
    text = "".join("".join(f"{tag}\t" for tag in tags(n)) + "\n" for n in range(20))
    (root / "NUS_WID_Tags/AllTags1k.txt").write_text(text)
    (root / "NUS_WID_Tags/TagList1k.txt").write_text("\n".join(f"tag{bit}" for bit in range(6)) + "\n")
    for n in CHOSEN:
        path = root / "Flickr" / NAMES[n]
        path.parent.mkdir(parents=True, exist_ok=True)
        PIL.Image.new("RGB", (5, 4), (10 * n, 100, 200)).save(path, "JPEG")


class NusWideTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, on the invented files."""

    DATASET_CLASS = builder_module.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["low634"]
    SPLITS = SIZES

    def setUp(self):
        self.enterContext(small())
        super().setUp()


@pytest.fixture
def files(tmp_path):
    """A writable copy of the invented files."""
    with small():
        yield shutil.copytree(DUMMY, tmp_path / "manual")


def build(files, config="low634"):
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        return tfds_io.build(builder_module.Builder, config, files.parent / "tfds", files)


def items(builder):
    """Row of the list of all images -> (split, example)."""
    return {
        NAMES.index(example["image_id"] + ".jpg"): (split, example)
        for split in builder.info.splits
        for example in tfds_io.examples(builder, split)
    }


def refusal(files, config="low634"):
    with pytest.raises(InputError) as error:
        build(files, config)
    return str(error.value)


def test_items(files):
    """Guards against items of several concepts or of a concept outside the ten, and rows of another image."""
    found = items(build(files))
    assert sorted(found) == CHOSEN
    for row, (split, example) in found.items():
        assert split == ("train" if TRAIN[row] == "1" else "test")
        assert ["clouds", "sky", "toy"][example["label"]] == LABELS[row]
        expected = sum((values(part, row) for part in ("CH", "CORR", "EDH", "WT", "CM55")), [])
        np.testing.assert_allclose(example["image"], expected, rtol=1e-6)
        assert example["text"].tolist() == tags(row)


def test_files_of_all_images_or_of_halves(files):
    """Guards against rows of the halves counted in the list of all, or the other way round."""
    expected = items(build(files))
    shutil.rmtree(files.parent / "tfds")
    low, tag = files / "Low_Level_Features", files / "NUS_WID_Tags"
    for name in DIMS:
        for part in ("Train", "Test"):
            (low / f"{part}_Normalized_{name}.dat").unlink()
        (low / f"Normalized_{name}.dat").write_text("".join(f"{' '.join(map(str, values(name, n)))}\n" for n in range(20)))
    (tag / "AllTags1k.txt").unlink()
    for part, digit in (("Train", "1"), ("Test", "0")):
        lines = [" ".join(map(str, tags(n))) + "\n" for n in range(20) if TRAIN[n] == digit]
        (tag / f"{part}_Tags1k.dat").write_text("".join(lines))
    found = items(build(files))
    assert found.keys() == expected.keys()
    for row, (split, example) in found.items():
        assert split == expected[row][0] and example["text"].tolist() == tags(row)
        np.testing.assert_allclose(example["image"], expected[row][1]["image"], rtol=1e-5)


def test_bag_of_words(files):
    for part, digit in (("Train", "1"), ("Test", "0")):
        lines = [f"{n} 1 2 3 \n" for n in range(20) if TRAIN[n] == digit]
        (files / f"Low_Level_Features/BoW_{part}_int.dat").write_text("".join(lines))
    found = items(build(files, "bow500"))
    assert all(example["image"].tolist() == [row, 1, 2, 3] for row, (_, example) in found.items())


@pytest.mark.parametrize("layout", ["folders", "flat", "archives"])
def test_images(files, layout):
    """Guards against the pictures of other items, and tags in the order of another list."""
    if layout == "flat":
        (files / "images").mkdir()
        for path in (files / "Flickr").rglob("*.jpg"):
            path.rename(files / "images" / path.name)
    if layout == "archives":
        for folder in ("Flickr", "ImageList", "Groundtruth", "NUS_WID_Tags"):
            with zipfile.ZipFile(files / f"{folder}.zip", "w") as archive:
                for path in (files / folder).rglob("*.*"):
                    archive.write(path, path.relative_to(files))
            shutil.rmtree(files / folder)
    found = items(build(files, "images"))
    assert sorted(found) == CHOSEN
    for row, (_, example) in found.items():
        assert abs(int(example["image"][0, 0, 0]) - 10 * row) < 9
        assert example["text"].split() == [f"tag{bit}" for bit in range(6) if row >> bit & 1]


def test_ten_thousand(files):
    """Guards against unequal classes, items in two splits, and other items for another representation."""
    vectors, images = items(build(files, "10k_low634")), items(build(files, "10k_images"))
    assert {row: split for row, (split, _) in vectors.items()} == {row: split for row, (split, _) in images.items()}
    counts = {}
    for row, (split, _) in vectors.items():
        counts[split, LABELS[row]] = counts.get((split, LABELS[row]), 0) + 1
    assert counts == {
        (split, label): size
        for split, size in (("train", 2), ("validation", 1), ("test", 1))
        for label in ("clouds", "sky", "toy")
    }


def test_missing(files):
    (files / "Groundtruth/AllLabels/Labels_lake.txt").unlink()
    assert refusal(files).splitlines()[1:] == ["  Groundtruth/AllLabels/Labels_lake.txt"]
    (files / "Low_Level_Features/Test_Normalized_WT.dat").unlink()
    (files / "NUS_WID_Tags/AllTags1k.txt").unlink()
    (files / "ImageList/TestImagelist.txt").unlink()
    assert refusal(files).splitlines()[1:] == [
        "  ImageList/TestImagelist.txt",
        "  Train_Tags1k.dat and Test_Tags1k.dat (or AllTags1k.txt)",
        "  Train_Normalized_WT.dat and Test_Normalized_WT.dat (or Normalized_WT.dat)",
        "  Groundtruth/AllLabels/Labels_lake.txt",
    ]


def replace(path, old, new):
    path.write_text(path.read_text().replace(old, new, 1))


@pytest.mark.parametrize("name, old, new, expected", [
    ("Groundtruth/AllLabels/Labels_lake.txt", "1", "-1130179", "Labels_lake.txt: line 6 is '-1130179', expected 20"),
    ("Groundtruth/AllLabels/Labels_lake.txt", "0\n", "", "Labels_lake.txt: found 19 lines, expected 20"),
    ("Groundtruth/AllLabels/Labels_lake.txt", "1", "é" * 10**6, "Labels_lake.txt: line 6 is 'éééééééééééééééééééé'"),
    ("ImageList/Imagelist.txt", "actor\\0003", "..\\0003", "leads out of the folder"),
    ("ImageList/Imagelist.txt", "actor\\0003", "actor\\0033", "are not those of TrainImagelist.txt and TestImagelist"),
    ("ImageList/TrainImagelist.txt", "actor\\0003_897", "actor\\0004_896", "stands twice, in split train and in test"),
    ("ImageList/TestImagelist.txt", "actor\\0004_896.jpg", "", "TestImagelist.txt: found 6 images, expected 7"),
    ("NUS_WID_Tags/AllTags1k.txt", "0\t0\t", "0\t", "AllTags1k.txt, line 1: expected 6 finite numbers, found: 5 numbers"),
    ("NUS_WID_Tags/AllTags1k.txt", "0\t0\t", "7\t0\t", "found: tags that are neither 0 nor 1"),
    ("Low_Level_Features/Train_Normalized_CH.dat", "0.000000", "nan", "Train_Normalized_CH.dat, line 1: expected 2"),
    ("Low_Level_Features/Train_Normalized_CH.dat", "0.000000", "x", "expected 2 finite numbers, found: string or file could"),
    ("Low_Level_Features/Test_Normalized_WT.dat", "304.000000 \n", "", "Test_Normalized_WT.dat: has 6 lines, expected 7"),
])  # fmt: skip
def test_damaged_file(files, name, old, new, expected):
    """Guards against rows that slip by one, and numbers that poison training later."""
    replace(files / name, old, new)
    assert expected in refusal(files)


def test_other_numbers_than_the_papers(files):
    """Guards against a silent departure from the published sizes."""
    with mock.patch.object(official_files, "PUBLISHED", {"train": 42941, "test": 28661}):
        with pytest.warns(UserWarning, match="the papers have {'train': 42941.* here are clouds, sky, toy"):
            tfds_io.build(builder_module.Builder, "low634", files.parent / "tfds", files)


def test_concepts():
    """Guards against a name forgotten: there are 81."""
    assert len(set(official_files.CONCEPTS)) == 81 and set(official_files.CLASSES) < set(official_files.CONCEPTS)
    assert sum(official_files.LIST_SIZES[part] for part in ("train", "test")) == official_files.LIST_SIZES["all"]
    assert sum(dim for dim, *_ in official_files.LOW_LEVEL.values()) == 634
