"""Tests of the reader of .npy and .npz files: nothing that a header claims is believed before it is compared."""
import ast
import pathlib
import time
import zipfile
from unittest import mock

import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.data.files import archive, image_files, matrix_files


def npy(header, content=b"", version=b"\x01\x00"):
    """The bytes of a .npy file with any header."""
    header = header.encode() + b"\n"
    return b"\x93NUMPY" + version + len(header).to_bytes(2 if version[0] == 1 else 4, "little") + header + content


HEADER = "{{'descr': {}, 'fortran_order': False, 'shape': {}, }}"


@pytest.mark.parametrize("content, message", [
    (npy(HEADER.format("[]", "(1000000000000, 64)")), "it is of type"),  # on which NumPy works for ever
    (npy(HEADER.format("'|V0'", "(1000000000000,)")), "it is of type"),
    (npy(HEADER.format("'<U0'", "(1000000000000,)")), "it is of type"),
    (npy(HEADER.format("'|O'", "(1,)"), b"cos\nsystem\n"), "it is of type object"),
    (npy(HEADER.format("'<f8'", "(1000000000000, 64)"), bytes(64)), "claims the shape"),
    (npy(HEADER.format("'<f8'", "(9,)"), bytes(71)), "claims the shape"),
    (npy(HEADER.format("'<f8'", "(True, 4)"), bytes(64)), "its shape is"),
    (npy(HEADER.format("'<f8'", "(-1, 4)"), bytes(64)), "its shape is"),
    (npy("{[]: 1}"), "unhashable"), (npy("'''"), "cannot be read"), (npy("{'a'"), "cannot be read"),
    (npy("-" * 9000), "cannot be read"), (npy("(" * 3000), "cannot be read"), (npy("0"), "cannot be read"),
    (npy(HEADER.format("'<f8'", "(1,)"), bytes(8), version=b"\x03\x00"), "version"),
    (npy(HEADER.format("'<U1'", "(1,)"), b"\xff\xff\xff\xff"), "no character"),
    (npy(HEADER.format("'<U1'", "(1,)"), b"\x00\xd8\x00\x00"), "no character"),
    (b"", "cannot be read"), (b"\x93NUMPY", "cannot be read"), (b"<html>", "cannot be read"),
])  # fmt: skip
def test_refuses(tmp_path, content, message):
    """Guards against headers that hang NumPy, end in another exception, or claim what is not there."""
    (tmp_path / "x.npy").write_bytes(content)
    with zipfile.ZipFile(tmp_path / "x.npz", "w") as file:
        file.writestr("image.npy", content)
    started = time.monotonic()
    for read, what in ((archive.read_npy, "x.npy:"), (archive.read_npz, "x.npz: array 'image'")):
        with pytest.raises(InputError) as error:
            read(tmp_path / what.partition(":")[0])
        assert what in str(error.value) and message in str(error.value) and "\n" not in str(error.value)
    with pytest.raises(InputError):
        archive.read_npy(tmp_path / "x.npy", mapped=True)
    assert time.monotonic() - started < 5


def test_reads(tmp_path):
    arrays = {
        "c": np.arange(6.0).reshape(2, 3), "f": np.asfortranarray(np.arange(6, dtype=">i4").reshape(2, 3)),
        "text": np.array(["é", "ab"]), "one": np.array(3), "none": np.zeros((0, 4), np.float32), "flag": np.array([True]),
        "bytes": np.array([b"csr"]),
    }  # fmt: skip
    for save in (np.savez, np.savez_compressed):
        save(tmp_path / "x.npz", **arrays)
        found = archive.read_npz(tmp_path / "x.npz")
        assert list(found) == list(arrays) and all(np.array_equal(found[name], arrays[name]) for name in arrays)
    assert list(archive.read_npz(tmp_path / "x.npz", ["one", "nowhere"])) == ["one"]
    for name, array in arrays.items():
        np.save(tmp_path / "x.npy", array)
        assert np.array_equal(archive.read_npy(tmp_path / "x.npy"), array)
        np.save(tmp_path / "x.npy", array.astype(np.float32) if name == "c" else array)
        assert isinstance(archive.read_npy(tmp_path / "x.npy", mapped=True), np.memmap) == (name in ("c", "none"))


def test_bombs(tmp_path, monkeypatch):
    """Guards against 800 kB that unpack to 800 MB: they are refused by what the archive claims, before any is unpacked."""
    monkeypatch.setattr(archive, "ALWAYS", 2**16)
    np.savez_compressed(tmp_path / "x.npz", zeros=np.zeros(10**6), few=np.zeros(9))
    with pytest.raises(InputError, match="unpack to 8,000,.* more than"):
        archive.read_npz(tmp_path / "x.npz")
    assert archive.read_npz(tmp_path / "x.npz", ["few"])["few"].size == 9
    rng, tags = np.random.default_rng(0), np.zeros((3000, 1000))
    tags[np.arange(3000)[:, None], rng.integers(0, 1000, (3000, 6))] = 1  # as users pack them: six tags of a thousand
    monkeypatch.setattr(archive, "ALWAYS", 0)
    np.savez_compressed(tmp_path / "x.npz", tags=tags)
    assert np.array_equal(archive.read_npz(tmp_path / "x.npz")["tags"], tags)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_other_compression(tmp_path, method):
    """Guards against decoders that take a whole block at once, and memory as the file says."""
    np.save(tmp_path / "x.npy", np.zeros(9))
    with zipfile.ZipFile(tmp_path / "x.npz", "w", method) as file:
        file.write(tmp_path / "x.npy", "x.npy")
    with pytest.raises(InputError, match="another method than numpy.savez_compressed"):
        archive.read_npz(tmp_path / "x.npz")


def test_damaged_archives(tmp_path):
    """Guards against a traceback from whatever zipfile and zlib raise."""
    np.savez_compressed(tmp_path / "good.npz", x=np.arange(999.0), y=np.arange(9))
    whole, rng = (tmp_path / "good.npz").read_bytes(), np.random.default_rng(0)
    refused = 0
    for _ in range(300):
        damaged = np.frombuffer(whole, np.uint8).copy()
        damaged[rng.integers(0, len(whole), 4)] = rng.integers(0, 256, 4)
        (tmp_path / "x.npz").write_bytes(damaged.tobytes())
        try:
            archive.read_npz(tmp_path / "x.npz")
        except InputError as error:
            refused += "x.npz" in str(error)
    assert refused > 100


def test_an_unreadable_file_is_not_called_damaged(tmp_path):
    with pytest.raises(InputError, match="x.npz: cannot be read .No such file.*make it readable"):
        archive.read_npz(tmp_path / "x.npz")
    (tmp_path / "x.npy").mkdir()
    with pytest.raises(InputError, match="x.npy: cannot be read .Is a directory"):
        archive.read_npy(tmp_path / "x.npy")


SOURCES = pathlib.Path(archive.__file__).parents[2]
CAUGHT = [
    (path, node) for folder in ("data", "features") for path in sorted((SOURCES / folder).glob("*.py"))
    for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Try)
    and any(isinstance(handler.type, ast.Name) and handler.type.id == "Exception" for handler in node.handlers)
]


@pytest.mark.parametrize("path, node", CAUGHT, ids=lambda value: getattr(value, "name", ""))
def test_memory_that_fails_is_no_damaged_file(path, node):
    """Guards against a whole file that is called damaged since the memory was full: whoever reads that throws it away.

    Whatever is done with any exception of a parser, MemoryError is raised before, or everything is raised in the end.
    """
    first = next(n for n, handler in enumerate(node.handlers) if getattr(handler.type, "id", "") == "Exception")
    passed = [ast.unparse(handler) for handler in node.handlers[:first]]
    raised = isinstance(node.handlers[first].body[-1], ast.Raise) and node.handlers[first].body[-1].exc is None
    assert raised or any("MemoryError" in text.partition(":")[0] for text in passed), f"{path}:{node.lineno}"


def test_memory_that_fails_is_told_as_such(tmp_path):
    """The same where the memory fails for an array, a sparse matrix and an image."""
    np.save(tmp_path / "a.npy", np.ones((2, 2)))
    np.savez(tmp_path / "b.npz", format=b"csr", shape=[1, 1], data=[1.0], indices=[0], indptr=[0, 1])
    for patched, read in (
        ("numpy.lib.format.read_array", lambda: archive.read_npy(tmp_path / "a.npy")),
        ("numpy.lib.format.read_array", lambda: archive.read_npz(tmp_path / "b.npz")),
        ("scipy.sparse.csr_array", lambda: matrix_files.read(tmp_path / "b.npz")),
        ("PIL.Image.open", lambda: image_files.decode(b"", "x.png")),
    ):
        with mock.patch(patched, side_effect=MemoryError), pytest.raises(MemoryError):
            read()
