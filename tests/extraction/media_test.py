"""Tests of what items are made of: the right picture and text of each id, and names where there is no more."""
import dataclasses
import shutil
from unittest import mock

import numpy as np
import PIL.Image
import pytest
from tfxmr_datasets import wikipedia_xmr
from tfxmr_datasets.scenes import generator
from tfxmr_datasets.wikipedia_xmr import official_files
from tfxmr_datasets.wikipedia_xmr.wikipedia_xmr_dataset_builder import Builder

from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.extraction import catalogue, tfds_io
from tfxmr.extraction.media import media, names, places

OFFICIAL = "wikipedia_dataset"


def data_of(name, ids):
    pairs = Split.of_pairs({m: np.zeros((len(ids), 1)) for m in ("image", "text")}, np.zeros(len(ids)), ids)
    return MultiModalData(name=name, splits={"train": pairs, "test": pairs}, class_names=[])


@pytest.fixture
def files(tmp_path):
    """The invented Wikipedia files, of which articles can be built."""
    with mock.patch.object(official_files, "SPLIT_SIZES", {"train": 4, "test": 2}):
        yield shutil.copytree(f"{wikipedia_xmr.__path__[0]}/dummy_data", tmp_path / "manual")


def test_scenes_of_every_class():
    """Guards against another item than the id names, and against a class name that does not fit the ids."""
    for split in generator.STREAMS.keys() - {"corpus"}:
        for item in generator.examples(split, 1):
            found = generator.by_id(item["id"])
            assert found["text"] == item["text"] and np.array_equal(found["image"], item["image"])


def test_rows_are_found_by_their_ids():
    """Guards against row n of the dataset's own split: --split=random has other rows."""
    data = data_of("scenes", ["test_castle_007", "train_boat_003"])
    assert media(data, "test", "text", [1, 0]) == [
        generator.example("train", 0, 3)["text"], generator.example("test", 19, 7)["text"]
    ]
    (picture,) = media(data, "test", "image", [0])
    assert np.array_equal(picture, generator.example("test", 19, 7)["image"])


def test_names_where_there_are_no_media():
    data = data_of("npz", ["a", "b"])
    assert names(data, "test", "image", [1, 0]) == ["b", "a"]
    assert media(data, "test", "image", [1, 0]) == ["image b", "image a"]
    without = data_of("my own", ["a", "b"])
    without.splits["test"].ids.clear()
    assert media(without, "test", "text", [1]) == ["text 1"]


def test_wikipedia_from_the_official_files(files):
    data = data_of("wikipedia", ["i1", "i4"])
    picture, _ = media(data, "test", "image", [0, 1], data_dir=files.parent / "tfds", manual_dir=files)
    assert picture.dtype == np.uint8 and picture.shape[2] == 3
    expected = PIL.Image.open(files / OFFICIAL / "images/art/i1.jpg").convert("RGB")
    assert np.array_equal(picture, np.asarray(expected))
    data = data_of("wikipedia", ["bbbb-3.11"])
    (text,) = media(data, "test", "text", [0], data_dir=files.parent / "tfds", manual_dir=files)
    assert text == official_files.read_text(files / OFFICIAL / "texts/bbbb-3.11.xml")
    assert places(data, "test", "text", [0], manual_dir=files) == [files / OFFICIAL / "texts/bbbb-3.11.xml"]
    assert places(data_of("wikipedia", ["i1", "no"]), "test", "image", [0, 1], manual_dir=files) == [
        files / OFFICIAL / "images/art/i1.jpg", None]
    assert places(data, "test", "text", [0]) == [None]


def test_wikipedia_from_the_built_articles(files):
    """Guards against ids alone where the files are gone but the dataset was built from them."""
    data, data_dir = data_of("wikipedia", ["dddd-2", "unknown"]), files.parent / "tfds"
    assert media(data, "test", "text", [0], data_dir=data_dir) == ["text dddd-2"]  # and nothing is downloaded
    assert media(data, "test", "text", [0], data_dir=data_dir, manual_dir=files.parent / "gone") == ["text dddd-2"]
    tfds_io.build(Builder, "articles", data_dir, files)
    expected = official_files.read_text(files / OFFICIAL / "texts/dddd-2.xml")
    assert media(data, "test", "text", [0, 1], data_dir=data_dir) == [expected, "text unknown"]
    (picture,) = media(data_of("wikipedia", ["i5"]), "test", "image", [0], data_dir=data_dir)
    assert isinstance(picture, np.ndarray) and picture.ndim == 3


@pytest.fixture
def extracted(tmp_path):
    """Own pictures and texts, and a feature folder that was made of them, in a folder of both."""
    home = tmp_path / "home"
    for split in ("train", "test"):
        for label, name in enumerate(("cat", "dog")):
            (home / "data" / split / name).mkdir(parents=True)
            for i in range(2):
                place = home / "data" / split / name / f"{split}{label}{i}"
                PIL.Image.new("RGB", (9, 9), (100 * label, 50 * i, 0)).save(place.with_suffix(".png"))
                place.with_suffix(".txt").write_text(f"a {name} number {i}")
    flags = [f"--data_dir={home}/data", f"--out={home}/features", "--image_features=descriptor", "--text_features=words"]
    assert main(["extract", "--dataset=folder", *flags, "--min_words=1"]) == 0
    return home


@pytest.mark.filterwarnings("error")
def test_extracted_items_are_found_where_they_lay(extracted):
    """Guards against names in the cells of a figure while the images are there; a home may move as a whole."""
    moved = extracted.rename(extracted.parent / "moved")
    for home, own in ((moved, {}), (moved, {"data_dir": moved / "data"})):
        data = catalogue.load("features", features=home / "features")
        image, text = (media(data, "test", m, [3], **own)[0] for m in ("image", "text"))
        assert image.shape == (9, 9, 3) and text == "a dog number 1"
    data = catalogue.load("features", features=(moved.rename(extracted)) / "features")
    assert data.media_places == {"data_dir": str(extracted / "data")}


def test_extracted_items_that_are_gone(extracted):
    """Guards against boxes without a word on why, or an end of the command where names would do."""
    data = catalogue.load("features", features=extracted / "features")
    (extracted / "data").rename(extracted / "elsewhere")
    with pytest.warns(UserWarning, match=r"names stand in .*: --data_dir=.*/data.*; name where they are by --data_dir=DIR$"):
        assert media(data, "test", "text", [3]) == ["text test/dog/test11"]
    with pytest.raises(InputError, match="--data_dir=nowhere"):
        media(data, "test", "text", [3], data_dir="nowhere")
    without = dataclasses.replace(data, media_places={})  # of an older version
    with pytest.warns(UserWarning, match="nothing says where they are; name where they are by --data_dir=DIR"):
        media(without, "test", "text", [3])
