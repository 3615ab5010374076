"""Tests of the child process that parses MATLAB and HDF5 files: whatever happens to it, this process goes on."""
import os
import subprocess
import sys

import h5py
import numpy as np
import pytest
import scipy.io
import scipy.sparse

from tfxmr.core.errors import InputError
from tfxmr.data.files import archive, sandbox

MATRIX = np.arange(6.0).reshape(3, 2)


def matlab73(path, fill):
    """Writes a file as MATLAB 7.3 does; `fill` puts objects into it."""
    with h5py.File(path, "w", userblock_size=512) as file:
        fill(file)
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file".ljust(512))
    return path


def put_text(file, name, *rows):
    """A MATLAB matrix of characters: numbers of UTF-16, columns first; the rows are padded with blanks."""
    width = max(map(len, rows))
    numbers = [list(row.ljust(width).encode("utf-16-le")[::2]) for row in rows]
    file[name] = np.array(numbers, np.uint16).T
    file[name].attrs["MATLAB_class"] = np.bytes_("char")
    return file[name].ref


def put_cell(file, name, texts):
    """A MATLAB cell array of strings (n, 1): references to matrices of characters."""
    references = [put_text(file, f"#refs#/{name}{n}", text) for n, text in enumerate(texts)]
    file[name] = np.array([references], h5py.ref_dtype)
    file[name].attrs["MATLAB_class"] = np.bytes_("cell")


def put_sparse(file, name, matrix, indices=None):
    group = file.create_group(name)
    group.attrs["MATLAB_sparse"] = np.uint64(matrix.shape[0])
    group["data"], group["jc"] = matrix.data, matrix.indptr.astype(np.uint64)
    group["ir"] = matrix.indices.astype(np.uint64) if indices is None else indices


def test_what_matlab_7_3_holds(tmp_path):
    """Guards against arrays that are silently left out: sparse ones, cells of strings, characters, fields of structs."""
    def fill(file):
        put_sparse(file, "sparse", scipy.sparse.csc_array(MATRIX))
        put_cell(file, "names", ["a.jpg", "long name.jpg"])
        put_text(file, "padded", "x1", "x22 ")
        file["train/I"] = MATRIX.T
        file["complex"] = np.zeros((2, 2), [("real", "f8"), ("imag", "f8")])
        file["none"] = np.array([0, 3], np.uint64)
        file["none"].attrs["MATLAB_empty"] = np.uint8(1)

    found = sandbox.read(matlab73(tmp_path / "x.mat", fill))
    assert found["sparse"].tolist() == found["train/I"].tolist() == MATRIX.tolist()
    assert found["names"].tolist() == ["a.jpg", "long name.jpg"] and found["padded"].tolist() == ["x1", "x22"]
    assert found["complex"] == "complex numbers" and found["train"].endswith("MATLAB struct; it holds train/I")
    assert found["none"].size == 0 and not any(name.startswith("#refs#") for name in found)


def test_what_version_5_holds(tmp_path):
    cell, mixed = np.empty((2, 1), object), np.empty((2, 1), object)
    cell[:, 0], mixed[:, 0] = ["a.jpg", "b"], ["a.jpg", MATRIX]
    scipy.io.savemat(tmp_path / "x.mat", {
        "sparse": scipy.sparse.csc_array(MATRIX), "names": cell, "padded": np.array(["x1", "x22"]), "mixed": mixed,
        "train": {"I": MATRIX, "deep": {"T": MATRIX}}, "complex": MATRIX * 1j, "flag": np.array([[True]]),
    })  # fmt: skip
    found = sandbox.read(tmp_path / "x.mat")
    assert found["sparse"].tolist() == found["train/I"].tolist() == found["train/deep/T"].tolist() == MATRIX.tolist()
    assert found["names"].tolist() == ["a.jpg", "b"] and found["padded"].tolist() == ["x1", "x22"]
    assert found["train"] == "a MATLAB struct; its fields are train/I, train/deep" and found["complex"] == "complex numbers"
    assert found["mixed"] == "a MATLAB cell array of other things than strings" and found["flag"].tolist() == [[1]]
    assert list(sandbox.read(tmp_path / "x.mat", ["names", "nowhere"])) == ["names"]


def test_a_group_of_many_members(tmp_path):
    """Guards against a list of names that is longer than the line of an answer may be."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for number in range(12):
            file[f"{'group' * 9}/{number}"] = 1
    found = sandbox.read(tmp_path / "x.h5")
    assert found["group" * 9].endswith("/7, more") and len(found) == 13


def test_plain_hdf5(tmp_path):
    """Guards against strings that are left out, and against groups that hold themselves."""
    with h5py.File(tmp_path / "x.h5", "w") as file:
        file["names"] = ["a", "bé"]
        file["bytes"] = np.array([b"a", b"b\xff"])
        file["group/x"] = MATRIX
        file["group/round"] = file["group"]
        file["reference"] = np.array([file["group/x"].ref], h5py.ref_dtype)
        file["one"] = 3
    found = sandbox.read(tmp_path / "x.h5")
    assert found["names"].tolist() == ["a", "bé"] and found["bytes"].tolist() == ["a", "b\ufffd"]
    assert found["group/x"].tolist() == MATRIX.tolist() and found["one"] == 3 and "group/round/x" not in found
    assert found["reference"] == "a cell array, or references, to other things than strings"


@pytest.mark.parametrize("indices", [[0, 1, 2, 0, 10**9], [0, 1, 2, 0, 2**64 - 1], [0, 1, 2]])
def test_sparse_indices_outside(tmp_path, indices):
    """Guards against SciPy's conversion, which writes wherever the indices say and so ends the process."""
    matrix = scipy.sparse.csc_array(MATRIX)
    found = sandbox.read(matlab73(tmp_path / "x.mat", lambda file: put_sparse(
        file, "x", matrix, np.array(indices, np.uint64))))
    assert found["x"].startswith("damaged (") and isinstance(found["x"], sandbox.Unusable)


def test_sparse_columns_that_end_before_they_begin(tmp_path):
    """Guards against SciPy's check, which looks at nothing where the last column ends at 0."""
    matrix = scipy.sparse.csc_array(MATRIX)
    matrix.indptr[:] = 0, 65545, 0
    found = sandbox.read(matlab73(tmp_path / "x.mat", lambda file: put_sparse(file, "x", matrix)))
    assert found["x"].startswith("damaged (a sparse matrix has a row or column that ends before")


def test_sparse_indices_outside_version_5(tmp_path):
    matrix = scipy.sparse.csc_array(MATRIX)
    matrix.indices[-1] = 10**6
    scipy.io.savemat(tmp_path / "x.mat", {"x": matrix, "y": MATRIX})
    found = sandbox.read(tmp_path / "x.mat")
    assert found["x"] == "damaged (indices must be < 3)" and found["y"].tolist() == MATRIX.tolist()


def test_damaged_files_crash_no_process(tmp_path):
    """Guards against a crash of SciPy or HDF5 that takes this process along: a damaged file must end in an answer."""
    scipy.io.savemat(tmp_path / "x.mat", {"x": MATRIX, "s": scipy.sparse.csc_array(MATRIX), "c": np.array(["a", "b"])})
    whole, rng = (tmp_path / "x.mat").read_bytes(), np.random.default_rng(0)
    for _ in range(6):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(128, len(whole), 6)] = rng.integers(0, 256, 6)
        (tmp_path / "x.mat").write_bytes(damaged.tobytes())
        try:
            sandbox.read(tmp_path / "x.mat")
        except InputError as error:
            assert "x.mat" in str(error) and "\n" not in str(error)


def child_that(monkeypatch, tmp_path, code):
    """Makes the child a program of one's own, run on a small HDF5 file."""
    (tmp_path / "child.py").write_text(f"import os, signal, sys, time\n{code}\n")
    monkeypatch.setattr(sandbox, "CHILD", tmp_path / "child.py")
    (tmp_path / "x.mat").write_bytes(b"")
    with pytest.raises(InputError) as error:
        sandbox.read(tmp_path / "x.mat", remedy="Copy it again")
    assert str(error.value).startswith(f"{tmp_path / 'x.mat'}: ") and str(error.value).endswith("Copy it again.")
    return str(error.value)


@pytest.mark.parametrize("code, message", [
    ("os.kill(os.getpid(), signal.SIGSEGV)", "is damaged: its reader crashed on it (SIGSEGV)"),
    ("sys.exit('no such module')", "ended with status 1 (no such module)"),
    ("print('nonsense')", "ended with status 0"),
    ("print('[1]')", "ended with status 0"),
    ("""print('{"name": "x", "dtype": "|O8", "shape": [1]}')""", "ended with status 0"),
    ("""print('{"name": "x", "dtype": "<f8", "shape": [9]}')""", "ended with status 0"),
    ("""print('{"name": "x", "dtype": "<f8", "shape": [-9]}')""", "ended with status 0"),
    ("""print('{"name": "x", "dtype": "<f8", "shape": [9999999999]}')""", "ended with status 0"),
])  # fmt: skip
def test_a_child_that_fails(monkeypatch, tmp_path, code, message):
    """Guards against trust in a process that a file may have taken over."""
    assert message in child_that(monkeypatch, tmp_path, code)


def test_a_child_that_hangs(monkeypatch, tmp_path):
    real = sandbox._run
    monkeypatch.setattr(sandbox, "_run", lambda path, options: real(path, options | {"seconds": 0.1}))
    assert "its reader was not done after 0.1 s" in child_that(monkeypatch, tmp_path, "time.sleep(60)")


def test_a_loop_of_the_processor_ends(monkeypatch, tmp_path):
    """Guards against limits that the child does not set for itself."""
    program = f"import sys; sys.argv[0] = ''; exec(open({str(sandbox.CHILD)!r}).read().split('if __name__')[0])\n"
    ended = subprocess.run([sys.executable, "-c", program + "limit(2**26, 1)\nwhile True: pass"], check=False)
    assert ended.returncode == -24  # SIGXCPU
    ended = subprocess.run([sys.executable, "-c", program + "limit(2**26, 9)\nbytearray(2**28)"], check=False,
                           capture_output=True)  # fmt: skip
    assert b"MemoryError" in ended.stderr


def test_limits_of_the_surroundings_stay(tmp_path):
    """Guards against a refusal of every file where `ulimit -v` or a batch system bounds the memory."""
    scipy.io.savemat(tmp_path / "x.mat", {"x": MATRIX})
    program = f"from tfxmr.data.files import sandbox; print(sandbox.read({str(tmp_path / 'x.mat')!r})['x'].tolist())"
    limits = "import resource; [resource.setrlimit(k, (v, v)) for k, v in ((resource.RLIMIT_AS, 2**30), (resource.RLIMIT_CPU, 9))]"
    ended = subprocess.run([sys.executable, "-c", f"{limits}\n{program}"], capture_output=True, text=True, check=False)
    assert ended.stdout.strip() == str(MATRIX.tolist()), ended.stderr


def test_bombs(tmp_path, monkeypatch):
    """Guards against a small file that fills the memory; what is wanted is compared, not what else the file holds."""
    monkeypatch.setattr(archive, "ALWAYS", 2**16)
    zeros = np.zeros((1000, 1000))
    scipy.io.savemat(tmp_path / "five.mat", {"x": zeros, "y": MATRIX}, do_compression=True)
    scipy.io.savemat(tmp_path / "sparse.mat", {"x": scipy.sparse.csc_array(zeros)})
    matlab73(tmp_path / "seven.mat", lambda file: file.create_dataset("x", (10**4, 10**4), "f8", chunks=(10, 10)))
    for name in ("five", "sparse", "seven"):
        with pytest.raises(InputError, match=f"{name}.mat: unpacks to more than"):
            sandbox.read(tmp_path / f"{name}.mat")
    assert sandbox.read(tmp_path / "five.mat", ["y"])["y"].tolist() == MATRIX.tolist()


def test_the_child_imports_neither_this_package_nor_tensorflow(tmp_path):
    """Guards against seconds of start; tfxmr's own modules would bring TensorFlow along one day."""
    scipy.io.savemat(tmp_path / "x.mat", {"x": MATRIX})
    program = (f"import sys, runpy; sys.argv = ['', {str(tmp_path / 'x.mat')!r}, '{{\"names\": null, \"largest\": 9999, "
               f"\"memory\": 1000000000, \"seconds\": 9}}']\ntry: runpy.run_path({str(sandbox.CHILD)!r}, run_name='__main__')\n"
               "finally: print(sorted({m.split('.')[0] for m in sys.modules}), file=sys.stderr)")
    ended = subprocess.run([sys.executable, "-P", "-c", program], capture_output=True, check=False)
    assert b"'scipy'" in ended.stderr and b"'tensorflow'" not in ended.stderr and b"'tfxmr'" not in ended.stderr


def test_no_file(tmp_path):
    with pytest.raises(InputError, match="cannot be read .No such file"):
        sandbox.read(tmp_path / "none.mat")
    if os.geteuid():
        (tmp_path / "x.mat").touch(mode=0)
        with pytest.raises(InputError, match="cannot be read .Permission denied"):
            sandbox.read(tmp_path / "x.mat")
