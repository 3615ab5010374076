"""Tests of the XMedia builder on invented files in the official layout, and on the real test lists where present."""
import dataclasses
import pathlib
import shutil
import zipfile
from unittest import mock

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse
import tensorflow_datasets as tfds
from tfxmr_datasets.xmedia import official_files
from tfxmr_datasets.xmedia import xmedia_dataset_builder as builder_module

from tfxmr.core.errors import InputError
from tfxmr.extraction import tfds_io

DUMMY = pathlib.Path(__file__).parent / "dummy_data"
REAL = pathlib.Path(__file__).parents[3] / "shared/data/xmedia"
DIMS = {"image": 5, "text": 4, "video": 5, "audio": 3, "shape3d": 6}
SMALL = {
    name: dataclasses.replace(
        modality, dim=DIMS[name], sizes={"train": None if name == "video" else 20, "test": None if name == "video" else 40}
    )
    for name, modality in official_files.MODALITIES.items()
}


def invented():
    """Arrays in the official layout: entry (n, d) of a matrix says its modality, split, row and column."""
    arrays = {}
    for m, (name, modality) in enumerate(SMALL.items()):
        for s, (split, size) in enumerate((("train", 20), ("test", 40))):
            rows = np.arange(size)[:, None] + np.arange(DIMS[name]) / 10
            arrays[modality.arrays[split]] = 1000 * (m + 1) + 100 * s + rows
            # Image and text agree row by row, and are in another order than the rest.
            order = np.arange(size) if name in ("image", "text") else np.arange(size)[::-1]
            arrays[modality.labels[split]] = (order[:, None] % 20 + 1).astype(np.uint8)
    return arrays


def small():
    """Matrices of few rows and columns: the sizes of the invented files in place of the official ones."""
    return mock.patch.object(official_files, "MODALITIES", SMALL)


class XMediaTest(tfds.testing.DatasetBuilderTestCase):
    """TFDS's own checks, on the invented files."""

    DATASET_CLASS = builder_module.Builder
    BUILDER_CONFIG_NAMES_TO_TEST = ["image", "shape3d"]
    SPLITS = {"train": 20, "validation": 20, "test": 20}

    def setUp(self):
        self.enterContext(small())
        super().setUp()


@pytest.fixture
def files(tmp_path):
    """A writable copy of the invented files."""
    with small():
        yield shutil.copytree(DUMMY, tmp_path / "manual")


def build(files, modality):
    return tfds_io.build(builder_module.Builder, modality, files.parent / "tfds", files)


def refusal(files, modality):
    with pytest.raises(InputError) as error:
        build(files, modality)
    return str(error.value)


def write_hdf5(path, arrays):
    """Writes a file as MATLAB 7.3 does: HDF5 after 512 bytes, columns first, sparse matrices in groups."""
    with h5py.File(path, "w", userblock_size=512) as stored:
        for name, array in arrays.items():
            if scipy.sparse.issparse(array):
                columns = array.tocsc()
                group = stored.create_group(name)
                group.attrs["MATLAB_sparse"] = np.uint64(columns.shape[0])
                group["data"], group["ir"], group["jc"] = columns.data, columns.indices, columns.indptr
            else:
                stored[name] = array.T
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))


def test_dummy_data_are_as_invented():
    stored = scipy.io.loadmat(DUMMY / "XMediaFeatures.mat")
    assert all(np.array_equal(stored[name], array) for name, array in invented().items())


@pytest.mark.parametrize("version", ["5", "7.3", "5 sparse", "7.3 sparse"])
def test_rows(files, version):
    """Guards against transposed HDF5 matrices, sparse ones, one-based labels and halves swapped."""
    arrays = invented()
    if "sparse" in version:
        arrays["T_tr_BOW"], arrays["T_te_BOW"] = map(scipy.sparse.csc_matrix, (arrays["T_tr_BOW"], arrays["T_te_BOW"]))
    path = files / "XMediaFeatures.mat"
    write_hdf5(path, arrays) if "7.3" in version else scipy.io.savemat(path, arrays)
    builder = build(files, "text")
    columns = {split: tfds_io.read(builder, split) for split in ("train", "validation", "test")}
    np.testing.assert_allclose(columns["train"]["features"][3], [2003, 2003.1, 2003.2, 2003.3], rtol=1e-6)
    np.testing.assert_allclose(columns["test"]["features"][:, 0], np.arange(2100, 2120))
    np.testing.assert_allclose(columns["validation"]["features"][:, 0], np.arange(2120, 2140))
    assert columns["test"]["label"].tolist() == list(range(20))
    assert columns["validation"]["id"][0] == "text_test_20"


def test_zero_based_labels(files):
    """Guards against labels that are shifted whatever they start from."""
    arrays = invented()
    for split in ("tr", "te"):
        arrays[f"{split}ImgCat"] -= 1
    scipy.io.savemat(files / "XMediaFeatures.mat", arrays)
    assert tfds_io.read(build(files, "image"), "train")["label"].tolist() == list(range(20))


def test_shots_of_videos(files):
    """Guards against refusing the copies that hold videos shot by shot: half of their test rows test."""
    arrays = invented()
    arrays["V_tr_CNN"] = np.tile(arrays["V_tr_CNN"], (3, 1))
    arrays["trVidCat"] = np.tile(arrays["trVidCat"], (3, 1))
    scipy.io.savemat(files / "XMediaFeatures.mat", arrays)
    assert {name: split.num_examples for name, split in build(files, "video").info.splits.items()} == {
        "train": 60, "validation": 20, "test": 20,
    }  # fmt: skip


def test_list(files):
    """Guards against names given to other rows than theirs."""
    names = [f"{n % 20 + 1}_{official_files.CLASSES[n % 20]}\\{n}.jpg {n % 20}" for n in range(40)]
    (files / "test_img.txt").write_text("\n".join(names))  # the official lists have no line end at their end
    assert tfds_io.read(build(files, "image"), "test")["id"][:2] == ["1_insect/0.jpg", "2_bird/1.jpg"]
    shutil.rmtree(files.parent / "tfds")
    (files / "test_img.txt").write_text("\n".join(names[::-1]))
    assert "test_img.txt, line 1: is of class violin, and test row 1 of XMediaFeatures.mat of class insect" in refusal(
        files, "image"
    )
    (files / "test_img.txt").write_text("\n".join(names[:-1]))
    assert "has 39 lines, expected 40" in refusal(files, "image")


@pytest.mark.parametrize("line", ["1_insect\\1.jpg 1", "1_bird\\1.jpg 0", "1_insect\\..\\..\\x 0", "1_insect\\1.jpg", "0",
                                  f"1_insect\\1.jpg {'9' * 5000}", f"{'9' * 5000}_insect\\1.jpg 0"])
def test_malformed_list(files, line):
    """Guards against labels that are one-based in other copies, and paths that lead out of the folder."""
    (files / "test_img.txt").write_text(line)
    assert "test_img.txt, line 1: found" in refusal(files, "image")


@pytest.mark.parametrize("arrays, expected", [
    ({"I_tr_CNN": np.ones((20, 4))}, "'I_tr_CNN' has shape (20, 4) and 'trImgCat' 20 entries, expected (20, 5) and 20"),
    ({"I_te_CNN": np.ones((39, 5))}, "'I_te_CNN' has shape (39, 5)"),
    ({"teImgCat": np.ones((39, 1))}, "'teImgCat' 39 entries"),
    ({"I_te_CNN": np.full((40, 5), np.nan)}, "'I_te_CNN' is no matrix of finite real numbers"),
    ({"I_te_CNN": np.array([[{"a": 1}]], object)}, "'I_te_CNN' is no matrix of finite real numbers"),
    ({"trImgCat": np.ones((20, 1)), "teImgCat": np.ones((40, 1))}, "hold the classes [1.0], expected all of 1 to 20"),
    ({"I_tr_CNN": None}, "holds no array 'I_tr_CNN'"),
])  # fmt: skip
def test_wrong_arrays(files, arrays, expected):
    found = {name: array for name, array in (invented() | arrays).items() if array is not None}
    scipy.io.savemat(files / "XMediaFeatures.mat", found)
    message = refusal(files, "image")
    assert expected in message and str(files / "XMediaFeatures.mat") in message


def test_hdf5_of_other_files(files):
    """Guards against a file that makes us read other files of the machine."""
    secret, path = files / "secret.h5", files / "XMediaFeatures.mat"
    write_hdf5(secret, {"I_tr_CNN": np.ones((20, 5))})
    arrays = invented()
    del arrays["I_tr_CNN"]
    write_hdf5(path, arrays)
    with h5py.File(path, "r+") as stored:
        stored["I_tr_CNN"] = h5py.ExternalLink(str(secret), "I_tr_CNN")
    assert "'I_tr_CNN' is no matrix of finite real numbers but a link to elsewhere" in refusal(files, "image")
    with h5py.File(path, "r+") as stored:
        del stored["I_tr_CNN"]
        stored.create_dataset("I_tr_CNN", (5, 20), "f8", external=[(str(secret), 0, 800)])
    assert "'I_tr_CNN' is no matrix of finite real numbers but stored in other files" in refusal(files, "image")


@pytest.mark.parametrize("content", [b"<html>404</html>", b"\x89HDF\r\n\x1a\n" + bytes(600)])
def test_damaged_file(files, content):
    (files / "XMediaFeatures.mat").write_bytes(content)
    assert "XMediaFeatures.mat: cannot be read" in refusal(files, "image")


def test_sparse_indices_outside(files):
    """Guards against a crash of the process: SciPy writes a sparse matrix wherever its indices say."""
    matrix = scipy.sparse.csc_matrix(invented()["I_tr_CNN"])
    matrix.indices = matrix.indices + 10**6
    write_hdf5(files / "XMediaFeatures.mat", invented() | {"I_tr_CNN": matrix})
    assert "'I_tr_CNN' is no matrix of finite real numbers but damaged (indices must be < 20)" in refusal(files, "image")


def test_inside_an_archive(files):
    """Guards against a matrix file that is found in an archive, and cannot be read there."""
    archive = files / "XMedia.zip"
    with zipfile.ZipFile(archive, "w") as stored:
        stored.write(files / "XMediaFeatures.mat", "XMediaFeatures.mat")
    (files / "XMediaFeatures.mat").unlink()
    assert len(tfds_io.read(build(files, "image"), "train")["label"]) == 20
    content = bytearray(archive.read_bytes())
    content[200] ^= 255
    archive.write_bytes(content)
    assert "XMedia.zip: XMediaFeatures.mat: cannot be unpacked" in refusal(files, "text")


def test_missing(files):
    (files / "XMediaFeatures.mat").unlink()
    (files / "other.txt").write_text("")
    assert refusal(files, "image").splitlines()[1:] == ["  XMediaFeatures.mat"]


@pytest.mark.skipif(not REAL.is_dir(), reason=f"the real XMedia lists are not in {REAL}")
def test_real_lists():
    """Guards against names or labels that the real lists have and the reader does not know."""
    for modality in official_files.MODALITIES.values():
        lines = (REAL / modality.list_file).read_text().split("\n")
        labels = [int(line.split(" ")[1]) for line in lines if line]
        names = official_files.read_list(REAL / modality.list_file, labels)
        assert len(set(names)) == len(labels) == (modality.sizes["test"] or 100)
        assert np.bincount(labels).tolist() == [len(labels) // 20] * 20
