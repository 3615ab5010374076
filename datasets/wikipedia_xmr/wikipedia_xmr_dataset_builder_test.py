"""Tests of the Wikipedia builder on invented files in the official layout, and on the real ones where present."""
import collections
import pathlib
import shutil
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import scipy.io
import tensorflow_datasets as tfds
from tfxmr_datasets.wikipedia_xmr import official_files
from tfxmr_datasets.wikipedia_xmr import wikipedia_xmr_dataset_builder as builder_module

from tfxmr.core.errors import InputError
from tfxmr.extraction import tfds_io

DUMMY = pathlib.Path(__file__).parent / "dummy_data"
REAL = pathlib.Path(__file__).parents[3] / "shared/data/wikipedia"
DUMMY_SIZES = {"train": 4, "test": 2}
real_files = pytest.mark.skipif(not REAL.is_dir(), reason=f"the real Wikipedia files are not in {REAL}")


def small():
    """Six articles: the sizes of the invented files in place of the official ones."""
    return mock.patch.object(official_files, "SPLIT_SIZES", DUMMY_SIZES)


class WikipediaXmrTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks of all configs, on the invented files."""

    DATASET_CLASS = builder_module.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = [config.name for config in builder_module.Builder.BUILDER_CONFIGS]
    SPLITS = DUMMY_SIZES
    SKIP_CHECKSUMS = True  # the archive is published without one

    def setUp(self):
        self.enterContext(small())
        super().setUp()


@pytest.fixture
def files(tmp_path):
    """A writable copy of the invented files."""
    with small():
        yield shutil.copytree(DUMMY, tmp_path / "manual")


def build(config, files):
    return tfds_io.build(builder_module.Builder, config, files.parent / "tfds", files)


def refusal(config, files):
    with pytest.raises(InputError) as error:
        build(config, files)
    return str(error.value)


def test_name_is_free():
    """Guards against a name of one of TFDS's own datasets, which breaks as soon as that one is imported."""
    assert builder_module.Builder.name == "wikipedia_xmr"
    own = "import tensorflow_datasets as tfds; print(*tfds.list_builders(with_community_datasets=False))"
    names = subprocess.run([sys.executable, "-c", own], capture_output=True, text=True, check=True).stdout.split()
    assert "wikipedia" in names and "wikipedia_xmr" not in names


def test_articles(files):
    """Guards against splitext on text ids, XML parsing, entities left in, and grey or CMYK images kept as such."""
    train = tfds_io.read(build("articles", files), "train")
    assert train["text_id"] == ["aaaa-1", "bbbb-3.11", "cccc-1.6.13", "dddd-2"]
    assert train["text"][1] == "Salt & light: mosses <1 cm> grow on AT&T's old masts."
    assert train["label"].tolist() == [2, 0, 9, 8]
    assert [image.shape for image in train["image"]] == [(12, 16, 3)] * 4
    assert np.ptp(train["image"][1], axis=2).max() == 0 < np.ptp(train["image"][0], axis=2).max()
    test = tfds_io.read(build("articles", files), "test")
    assert test["text"][1] == "Caf\N{REPLACEMENT CHARACTER}s of the harbour."  # Latin-1 bytes in a UTF-8 file
    assert test["image"][0].shape == (12, 16, 3)  # CMYK


def test_lists_exactly_the_missing_files(files):
    """Guards against an error that names the first missing file only, or files that are there."""
    (files / "wikipedia_dataset/raw_features.mat").unlink()
    (files / "wikipedia_dataset/testset_txt_img_cat.list").unlink()
    message = refusal("sift128_lda10", files)
    assert message.splitlines()[1:] == ["  testset_txt_img_cat.list", "  raw_features.mat"]
    assert str(files) in message and "--manual_dir" in message
    (files / "image_cnn_pca128.mat").unlink()
    assert refusal("cnn128_lda10", files).splitlines()[1:] == ["  image_cnn_pca128.mat"]


def test_lists_missing_articles(files):
    (files / "wikipedia_dataset/texts/bbbb-3.11.xml").unlink()
    (files / "wikipedia_dataset/images/sport/i3.jpg").unlink()
    assert refusal("articles", files).splitlines()[1:] == ["  texts/bbbb-3.11.xml", "  images/sport/i3.jpg"]


def test_needs_only_its_own_files(files):
    """Guards against asking for the official matrices, images or texts where a config does not use them."""
    for name in ("raw_features.mat", "categories.list"):
        (files / "wikipedia_dataset" / name).unlink()
    for name in ("images", "texts"):
        shutil.rmtree(files / "wikipedia_dataset" / name)
    assert tfds_io.read(build("cnn128_tfidf1000", files), "test")["text"].shape == (2, 1000)


def test_failed_download(files):
    """Guards against minutes of retries, and then a stack trace, where there is no network."""
    shutil.rmtree(files / "wikipedia_dataset")
    with (mock.patch("urllib.request.urlopen", side_effect=OSError("no route")),
          mock.patch.object(tfds.download.DownloadManager, "download_and_extract", side_effect=AssertionError)):
        message = refusal("sift128_lda10", files)
    assert "no route" in message and builder_module.ARCHIVE in message and str(files) in message


def test_downloaded_archive(files):
    """Guards against forgetting the manual folder's matrices when the official files are downloaded."""
    archive = shutil.move(files / "wikipedia_dataset", files.parent / "extracted/wikipedia_dataset")
    extracted = tfds.core.Path(archive).parent
    with (mock.patch("urllib.request.urlopen"),
          mock.patch.object(tfds.download.DownloadManager, "download_and_extract", return_value=extracted)):
        assert len(tfds_io.read(build("cnn128_lda10", files), "train")["image"]) == 4


def test_two_runs_build_at_once(files):
    """Guards against the failure of all but one of several runs that are started together on a new machine."""
    prepare = builder_module.Builder.download_and_prepare

    def prepare_second(builder, **kwargs):
        if not builder.data_path.exists():
            prepare(builder, **kwargs)
            raise FileExistsError("the other run was faster")

    with mock.patch.object(builder_module.Builder, "download_and_prepare", prepare_second):
        assert len(tfds_io.read(build("sift128_lda10", files), "train")["image"]) == 4


def test_no_network_is_used(files):
    """Guards against TFDS asking its cloud bucket for every new dataset."""
    with (mock.patch("socket.getaddrinfo", side_effect=AssertionError("a host name was looked up")),
          mock.patch("socket.socket.connect", side_effect=AssertionError("a connection was opened"))):
        assert len(tfds_io.read(build("sift128_lda10", files), "train")["image"]) == 4


@pytest.mark.parametrize("arrays, expected", [
    ({"I_tr": np.ones((3, 128))}, "'I_tr' has shape (3, 128), expected (4, 128)"),
    ({"I_tr": np.ones((4, 64))}, "'I_tr' has shape (4, 64), expected (4, 128)"),
    ({"I_te": np.full((2, 128), np.nan)}, "'I_te' holds NaN"),
    ({"T_tr": np.array([[{"a": 1}]], object)}, "'T_tr' is no matrix of real numbers"),
    ({"T_tr": None}, "holds no array 'T_tr'"),
])
def test_wrong_matrix(files, arrays, expected):
    """Guards against rows that belong to other items, and against features that poison training later."""
    path = files / "wikipedia_dataset/raw_features.mat"
    good = {name: array for name, array in scipy.io.loadmat(path).items() if name[0] != "_"}
    scipy.io.savemat(path, {name: array for name, array in (good | arrays).items() if array is not None})
    message = refusal("sift128_lda10", files)
    assert expected in message and str(path) in message


@pytest.mark.parametrize("name, content, expected", [
    ("raw_features.mat", b"<html>404</html>", "raw_features.mat: cannot be read ("),
    ("trainset_txt_img_cat.list", b"aaaa-1\ti0\t3\n", "found 1 line, expected the 4"),
    ("testset_txt_img_cat.list", b"eeee-4.5\ti4\t7\nffff-7\ti5\t0\n", "line 2: found 'ffff-7\\ti5\\t0'"),
    ("testset_txt_img_cat.list", b"eeee-4.5 i4 7\n", "line 1: found 'eeee-4.5 i4 7'"),
    ("testset_txt_img_cat.list", b"eeee-4.5\t../../secret\t7\n", "line 1: found"),
    ("categories.list", b"art\nmusic\n", "found the classes art, music"),
])
def test_damaged_file(files, name, content, expected):
    """Guards against a cut-off download, labels that are already zero-based, and ids that lead out of the folder."""
    (files / "wikipedia_dataset" / name).write_bytes(content)
    message = refusal("sift128_lda10", files)
    assert expected in message and name in message


@pytest.mark.parametrize("name, content, expected", [
    ("texts/bbbb-3.11.xml", b"<html>404</html>", "holds no <text>"),
    ("texts/bbbb-3.11.xml", b"<text>&#" + b"9" * 5000 + b";</text>", "Copy it again"),
    ("texts/bbbb-3.11.xml", b"<text>" * 300_000, "holds no <text>"),  # read in no time, and not in hours
    ("texts/bbbb-3.11.xml", b"</text><text>", "holds no <text>"),
    ("images/art/i1.jpg", b"<html>404</html>", "is no readable image"),
])
def test_damaged_article(files, name, content, expected):
    """Guards against an error that does not say which of the 5,732 files is damaged."""
    (files / "wikipedia_dataset" / name).write_bytes(content)
    message = refusal("articles", files)
    assert expected in message and name in message


@real_files
def test_real_lists():
    """Guards against mixed-up columns and one-based labels: the class counts of the paper's Table 1."""
    counts = {}
    for split, name in official_files.LIST_FILES.items():
        items = official_files.read_list(REAL / name, split)
        counts[split] = [n for _, n in sorted(collections.Counter(item.label for item in items).items())]
    assert counts["train"] == [138, 272, 244, 248, 202, 178, 186, 144, 214, 347]
    assert counts["test"] == [34, 88, 96, 85, 65, 58, 51, 41, 71, 104]
    assert items[-1].text_file == "texts/92aec0ba411203aa3a57aec94b108ed6-5.8.xml"


@real_files
def test_real_folder_without_articles(tmp_path):
    """Guards against thousands of lines of file names."""
    with pytest.raises(InputError, match="5,732 files"):
        tfds_io.build(builder_module.Builder, "articles", tmp_path, REAL)
