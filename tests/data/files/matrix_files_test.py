"""Tests of foreign matrices: every container gives the same array, and nothing is ever unpickled."""
import pickle

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from tfxmr.core.errors import InputError
from tfxmr.data.files import matrix_files
from tfxmr.data.files.sandbox import Unusable

MATRIX = np.arange(6.0).reshape(3, 2)


def test_every_container_gives_the_same(tmp_path):
    scipy.io.savemat(tmp_path / "five.mat", {"x": MATRIX})
    scipy.io.savemat(tmp_path / "sparse.mat", {"x": scipy.sparse.csr_array(MATRIX)})
    np.save(tmp_path / "x.npy", MATRIX)
    np.savez(tmp_path / "many.npz", x=MATRIX)
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = MATRIX
    for name in ("five.mat", "sparse.mat", "x.npy", "many.npz", "plain.h5"):
        assert np.array_equal(matrix_files.read(tmp_path / name)["x"], MATRIX), name


def test_matlab_7_3_is_turned_back(tmp_path):
    """Guards against features by items: MATLAB writes HDF5 with its axes reversed, after a text of 128 bytes."""
    with h5py.File(tmp_path / "seven.mat", "w", userblock_size=512) as file:
        file["x"] = MATRIX.T
    with open(tmp_path / "seven.mat", "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file")
    assert np.array_equal(matrix_files.read(tmp_path / "seven.mat")["x"], MATRIX)


def test_links_to_other_files_are_not_followed(tmp_path):
    with h5py.File(tmp_path / "secret.h5", "w") as file:
        file["x"] = MATRIX
    with h5py.File(tmp_path / "linked.h5", "w") as file:
        file["linked"] = h5py.ExternalLink(str(tmp_path / "secret.h5"), "x")
    assert matrix_files.read(tmp_path / "linked.h5") == {"linked": "a link to elsewhere, which is not followed"}


def test_refuses_pickles_and_damage(tmp_path):
    """Guards against unpickling, which runs whatever the file says."""
    (tmp_path / "a.pkl").write_bytes(pickle.dumps({"x": MATRIX}))
    np.save(tmp_path / "b.npy", np.array([{"x": 1}]), allow_pickle=True)
    scipy.io.savemat(tmp_path / "c.mat", {"x": MATRIX})
    (tmp_path / "c.mat").write_bytes((tmp_path / "c.mat").read_bytes()[:150])
    for name in ("a.pkl", "b.npy", "c.mat", "none.mat"):
        with pytest.raises(InputError, match=name):
            matrix_files.read(tmp_path / name)


def test_sparse_matrices_of_scipy(tmp_path):
    """Guards against matrices that are left out because they are stored as their parts, and indices that lie outside."""
    for kind in ("csr", "csc", "coo", "bsr"):
        scipy.sparse.save_npz(tmp_path / f"{kind}.npz", scipy.sparse.csr_array(MATRIX).asformat(kind))
        found = matrix_files.read(tmp_path / f"{kind}.npz")[kind]
        assert "a sparse matrix of format bsr" in found if kind == "bsr" else np.array_equal(found, MATRIX)
    for kind, change in (
        ("csr", {"indices": np.array([0, 1, 0, 1, 10**6])}), ("csr", {"indptr": np.array([0, 9, 3, 5])}),
        ("csr", {"indptr": np.array([0, 2, 65545, 0])}),  # SciPy's own check passes a matrix that ends with 0
        ("csr", {"shape": np.array([2**40, 2])}), ("csr", {"shape": np.array([3])}), ("csr", {"data": np.ones(2)}),
        ("coo", {"row": np.array([0, 0, 1, 1, -1])}), ("coo", {"col": np.array([0.5, 0, 0, 0, 0])}),
        ("csr", {"shape": np.array(["a", "b"])}), ("csr", {"indptr": np.array(3)}),
    ):  # fmt: skip
        with np.load(tmp_path / f"{kind}.npz") as stored:
            np.savez(tmp_path / "x.npz", **dict(stored) | change)
        with pytest.raises(InputError, match="x.npz"):
            matrix_files.read(tmp_path / "x.npz")


def test_strings_of_bytes_and_complex_numbers(tmp_path):
    np.savez(tmp_path / "x.npz", names=np.array(["é".encode(), b"b\xff"]), x=MATRIX * 1j)
    assert {k: v if isinstance(v, str) else v.tolist() for k, v in matrix_files.read(tmp_path / "x.npz").items()} == {
        "names": ["é", "b\ufffd"], "x": "complex numbers"}


@pytest.mark.parametrize("content", [
    b"", b"a\tb\n", b"a\tb\t1\nx\n", b"a\tb\tc\n", b"a\tb\t1.5\n", b"a\tb\t" + b"9" * 5000, b"a\tb\t1\tc\n", b"\xff\n",
])  # fmt: skip
def test_damaged_lists(tmp_path, content):
    """Guards against columns of different lengths and numbers that int cannot take."""
    (tmp_path / "x.list").write_bytes(content)
    with pytest.raises(InputError, match="x.list.*expected"):
        matrix_files.read(tmp_path / "x.list")


def test_labels_become_zero_based():
    one_based = {"train": {"label": np.array([[1.0], [3.0]])}, "test": {"label": np.array([[2, 3]])}}
    assert matrix_files.tidy_labels(one_based) == (1, ())
    assert one_based["train"]["label"].tolist() == [0, 2] and one_based["test"]["label"].tolist() == [1, 2]
    assert matrix_files.tidy_labels({"train": {"label": np.array([1, 2])}}, base=0) == (0, ())


@pytest.mark.parametrize("stored", [
    np.eye(3)[[1, 2]], np.eye(3, dtype=bool)[[1, 2]], 2 * np.eye(3)[[1, 2]] - 1, np.eye(3)[[1, 2]].T,
])  # fmt: skip
def test_one_hot_labels(stored):
    """Guards against classes of one-hot labels that are shifted by the base of other labels, or read as many labels."""
    found = {"train": {"label_image": stored, "label_text": np.array([2, 1])}}
    assert matrix_files.tidy_labels(found)[0] == 1
    assert found["train"]["label_image"].tolist() == [1, 2] and found["train"]["label_text"].tolist() == [1, 0]


def test_class_names_as_labels():
    """Guards against class numbers that differ between splits, and against a TypeError of the arithmetic on numbers."""
    def made():
        return {"train": {"label": np.array([["dog"], ["cat"]])}, "test": {"label": np.array(["owl", "cat"])}}

    splits = made()
    assert matrix_files.tidy_labels(splits) == (0, ["cat", "dog", "owl"])
    assert splits["train"]["label"].tolist() == [1, 0] and splits["test"]["label"].tolist() == [2, 0]
    splits = made()
    assert matrix_files.tidy_labels(splits, names=["owl", "dog", "cat"])[1] == ["owl", "dog", "cat"]
    assert splits["test"]["label"].tolist() == [0, 2]
    with pytest.raises(InputError, match="holds 'owl', which is none of the classes cat, dog"):
        matrix_files.tidy_labels(made(), names=["cat", "dog"])
    with pytest.raises(InputError, match="array test/label: holds numbers, and that for train/label class names such as 'cat'"):
        matrix_files.tidy_labels(made() | {"test": {"label": np.array([0, 1])}})


@pytest.mark.parametrize("stored, message", [
    (np.array([1.5]), "holds 1.5"), (np.array([0.0, np.nan]), "holds nan"), (np.array([1e300]), "holds 1e"),
    (np.array([2**63], np.uint64), "holds 9223372036854775808"), (np.array([np.inf]), "holds inf"),
    (np.array([[0, 0, 0], [0, 1, 1]]), "train/label has 1 item without a class, first in row 0. Drop"),
    (np.array([[1, 2], [3, 4]]), "Store each item's class number, counted from 0; or of items of several classes"),
    (np.array(1), "has type int64 and shape"), (np.array([1j]), "Store one class number an item"),
])  # fmt: skip
def test_refuses_labels(stored, message):
    """Guards against classes made of what is no class number: of NaN, of 1e300, of items without a class."""
    with pytest.raises(InputError, match=message):
        matrix_files.tidy_labels({"train": {"label": stored}})


def test_arranges_by_name():
    mapping = {"train/image": ("a", "b"), "test/image": ("c",), "train/text": ("d",)}
    splits, sources = matrix_files.arrange({"f": {"b": MATRIX}, "g": {"c": MATRIX}}, mapping)
    assert list(splits["train"]) == ["image"] and sources == {"train/image": ("f", "b"), "test/image": ("g", "c")}
    with pytest.raises(InputError, match="'c' stands in f and in g"):
        matrix_files.arrange({"f": {"b": MATRIX, "c": MATRIX}, "g": {"c": MATRIX}}, mapping)
    with pytest.raises(InputError, match="no test arrays: found b; expected some of a, b, c, d"):
        matrix_files.arrange({"f": {"b": MATRIX}}, mapping)


def test_what_is_named_is_found_or_refused():
    """Guards against --array=... that changes nothing, for want of an array of that name or because of its kind."""
    files = {"a.mat": {"I": MATRIX, "T": Unusable("a MATLAB struct; its fields are T/x")}}
    mapping = {"train/image": ("I",), "test/image": ("I_te",), "train/id": ("Nmaes",)}
    with pytest.raises(InputError, match="no Nmaes .--array=train/id=Nmaes.; found I, T .a MATLAB struct; its fields"):
        matrix_files.arrange(files, mapping, ["train/id"])
    with pytest.raises(InputError, match="a.mat: 'T', for train/text, is no array of real numbers or strings but a MATLAB"):
        matrix_files.arrange(files, {"train/image": ("I",), "train/text": ("T",)}, ["train/text"])
    splits, _ = matrix_files.arrange(files | {"b": {"J": MATRIX}}, {"train/image": ("T", "I"), "test/image": ("J",)})
    assert list(splits["train"]) == ["image"]  # of a layout's names the first that can be used


def test_arrays_of_one_name_in_two_files():
    files = {"x/train.mat": {"image": MATRIX}, "x/test.mat": {"image": MATRIX + 1}, "y/test.mat": {"image": MATRIX + 2}}
    with pytest.raises(InputError, match="'image' stands in .*; name one, such as --array=train/image=train.mat:image"):
        matrix_files.arrange(files, {"train/image": ("image",)})
    with pytest.raises(InputError, match="'test.mat:image' stands in x/test.mat and in y/test.mat"):
        matrix_files.arrange(files, {"train/image": ("train.mat:image",), "test/image": ("test.mat:image",)})
    splits, sources = matrix_files.arrange(files, {"train/image": ("train.mat:image",), "test/image": ("y/test.mat:image",)})
    assert np.array_equal(splits["test"]["image"], MATRIX + 2) and sources["test/image"] == ("y/test.mat", "image")
    files = {"a.h5": {"b:c": MATRIX, "d": MATRIX}}  # a name that holds a colon is a name first
    assert matrix_files.arrange(files, {"train/image": ("b:c",), "test/image": ("a.h5:d",)})[1]["train/image"] == ("a.h5", "b:c")


def test_labels_and_names_may_be_shared():
    """Guards against a refusal of what is no leak: one list of labels for the images and texts of a split."""
    files = {"a": {"I": MATRIX, "T": MATRIX + 1, "L": np.arange(3), "J": MATRIX, "M": np.arange(3)}}
    mapping = {"train/image": ("I",), "train/text": ("T",), "train/label_image": ("L",), "train/label_text": ("L",),
               "test/image": ("J",), "test/label_image": ("M",), "test/label_text": ("M",), "test/text": ("T",)}
    with pytest.raises(InputError, match="a:T stands for train/text and test/text: what trains may not test"):
        matrix_files.arrange(files, mapping)
    files["a"]["U"] = MATRIX
    assert matrix_files.arrange(files, mapping | {"test/text": ("U",)})[1]["train/label_text"] == ("a", "L")
    with pytest.raises(InputError, match="a:I stands for train/image and train/text; name one array each"):
        matrix_files.arrange(files, {"train/image": ("I",), "train/text": ("I",)})


def test_what_is_missing_is_named():
    """Guards against a message that leaves open which array is missing, and against items that train and test."""
    files = {"a.mat": {"test_img": MATRIX, "test_txt": MATRIX, "test_img_lab": MATRIX[:, :1], "train_txt": MATRIX}}
    with pytest.raises(InputError, match="no array for train/image: expected train_img, found test_img"):
        matrix_files.arrange(files, matrix_files.LAYOUTS["pascal_sentence"])
    with pytest.raises(InputError, match="array a.mat:test_img stands for train/image and test/image: what trains may"):
        matrix_files.arrange(files, {"train/image": ("test_img",), "test/image": ("test_img",)})
