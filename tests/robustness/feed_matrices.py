"""Parsers of matrices: files of others, feature files, word vectors; each with good files to be damaged."""
import gzip
import json
import os
import signal
import subprocess
import traceback
import types

import numpy as np
from feed import CLASSES, LABELS, RNG, Parser, matrices, write


class _Fork:
    """Stands in for the subprocess.Popen of tfxmr.data.files.sandbox: a fork is there in 5 ms, a new interpreter in 300."""

    def __init__(self, arguments, stdout, stderr, **more):
        from tfxmr.data.files import sandbox_child

        read, write = os.pipe()
        self.pid, self.status = os.fork(), None
        if not self.pid:
            status = 1
            try:
                os.dup2(write, 1)
                os.dup2(stderr.fileno(), 2)
                status = sandbox_child.main(arguments[-2], json.loads(arguments[-1]))
            except BaseException:
                traceback.print_exc()
            finally:
                os._exit(status)
        os.close(write)
        self.stdout = os.fdopen(read, "rb")

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.stdout.close()
        self.wait()

    def kill(self):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)

    def wait(self):
        if self.status is None:
            self.status = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])
        return self.status


def fork_sandbox():
    """Lets the processes in which MATLAB and HDF5 files are parsed be forks."""
    import h5py  # noqa: F401
    import scipy.io  # noqa: F401
    import scipy.sparse  # noqa: F401

    from tfxmr.data.files import sandbox

    sandbox.subprocess = types.SimpleNamespace(Popen=_Fork, DEVNULL=subprocess.DEVNULL, PIPE=subprocess.PIPE)


def _mat5(folder):
    import scipy.io
    import scipy.sparse

    arrays = {"I_tr": matrices()["image"], "L": LABELS[:, None], "names": np.array(["a", "bb"], object), "c": "a text"}
    sparse = {"T_tr": scipy.sparse.random(12, 6, 0.4, random_state=0), "L": LABELS}
    struct = {"s": {"x": np.eye(3), "y": "t"}, "b": np.array([True, False]), "e": np.zeros((0, 3))}
    for name, held in (("plain", arrays), ("sparse", sparse), ("struct", struct)):
        scipy.io.savemat(folder / f"{name}.mat", held)
        scipy.io.savemat(folder / f"{name}_compressed.mat", held, do_compression=True)
    scipy.io.savemat(folder / "four.mat", {"x": np.eye(4)}, format="4")


def mat73(folder, sparse=True, **arrays):
    import h5py

    path = folder / "v73.mat"
    with h5py.File(path, "w", userblock_size=512) as file:
        for name, array in (arrays or {"I_tr": matrices()["image"], "L_tr": LABELS[None].astype(float)}).items():
            file.create_dataset(name, data=array.T).attrs["MATLAB_class"] = np.bytes_(b"double")
        if sparse:
            group = file.create_group("T_tr")
            group.attrs["MATLAB_sparse"] = np.uint64(4)
            group["data"], group["ir"], group["jc"] = np.ones(3), np.array([0, 2, 3]), np.array([0, 1, 3, 3])
        file["c"] = np.array([[ord(c)] for c in "names"], np.uint16)
        file["c"].attrs["MATLAB_class"] = np.bytes_(b"char")
    with open(path, "r+b") as file:
        file.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(116) + b" " * 8 + b"\0\2IM")


def _hdf5(folder):
    import h5py

    with h5py.File(folder / "x.h5", "w") as file:
        file["a/b"] = np.eye(3)
        file.create_dataset("chunked", data=matrices(64)["image"], chunks=(8, 5), compression="gzip", shuffle=True)
        file["strings"] = ["a", "bb"]
        file["link"] = h5py.SoftLink("/a/b")
        file["out"] = h5py.ExternalLink("other.h5", "/x")
    with h5py.File(folder / "y.h5", "w", libver="latest") as file:
        file["x"], file["y"] = np.arange(5), np.array([("a", 1)], [("n", "S2"), ("k", "<i4")])


def _npy(folder):
    for name, array in (("a", np.eye(3)), ("b", LABELS), ("c", np.array(["x", "yy"])), ("d", np.zeros((0, 2))), ("e", np.asfortranarray(np.eye(4)))):
        np.save(folder / f"{name}.npy", array)


def _npz(folder):
    import scipy.sparse

    np.savez(folder / "a.npz", **matrices(), label=LABELS, id=np.array([f"i{n}" for n in range(12)]))
    np.savez_compressed(folder / "b.npz", **matrices())
    scipy.sparse.save_npz(folder / "c.npz", scipy.sparse.random(5, 6, 0.4, "csr", random_state=0))


def wikipedia_list(folder):
    lines = [f"text{n}.{n}\timage{n}\t{n % 3 + 1}" for n in range(12)]
    write(folder, "trainset_txt_img_cat.list", "\n".join(lines) + "\n")


def _foreign(folder, name):
    from tfxmr.data.files import matrix_files

    matrix_files.read(folder / name)


def own_matrices(folder):
    for split in ("train", "test"):
        np.savez(folder / f"{split}.npz", **matrices(), label=LABELS, id=np.array([f"{split}{n}" for n in range(12)]))
    write(folder, "classes.txt", "\n".join(CLASSES) + "\n")


def _own_rows(folder):
    for split in ("train", "test"):
        rows = {"image": matrices(4)["image"], "text": matrices()["text"], "row_image": np.repeat(np.arange(4), 3)}
        np.savez(folder / f"{split}.npz", **rows, video=matrices(6)["image"], label_video=np.arange(6) % 3, label=LABELS)


def _npy_folder(folder):
    for split in ("train", "test"):
        (folder / split).mkdir()
        for name, array in {**matrices(), "label": LABELS}.items():
            np.save(folder / split / f"{name}.npy", array)
    write(folder, "classes.txt", "\n".join(CLASSES) + "\n")


def _own_views(folder):
    for split in ("train", "test"):
        views = {"image.regions": np.stack([matrices()["image"]] * 2, axis=1), "text.words": LABELS[:, None] + [1, 0]}
        np.savez(folder / f"{split}.npz", **views, label=LABELS)
    np.save(folder / "text.words.table.npy", np.concatenate([np.zeros((1, 3)), RNG.normal(size=(9, 3))]))
    write(folder, "text.words.vocabulary.txt", "".join(f"word{n}\n" for n in range(9)))


def _load_npz(folder, name):
    from tfxmr.data.files import npz

    npz.load(folder)


def some_word_vectors(folder):
    vectors = RNG.normal(size=(4, 5)).astype("<f4")
    words = (*CLASSES, "é")
    lines = [f"{w} {' '.join(f'{v:.4f}' for v in row)}" for w, row in zip(words, vectors, strict=True)]
    write(folder, "v.txt", "\n".join(["4 5", *lines]) + "\n")
    write(folder, "v.txt.gz", gzip.compress("\n".join(["4 5", *lines]).encode()))
    write(folder, "v.bin", b"4 5\n" + b"".join(w.encode() + b" " + row.tobytes() + b"\n" for w, row in zip(words, vectors, strict=True)))


def _load_vectors(folder, name):
    from tfxmr.features import word_vectors

    word_vectors.class_embeddings(list(CLASSES), word_vectors.load(folder / name))


PARSERS = (
    Parser("foreign .mat 5", _mat5, _foreign, 5, setup=fork_sandbox),
    Parser("foreign .mat 7.3", mat73, _foreign, 5, setup=fork_sandbox),
    Parser("foreign .h5", _hdf5, _foreign, 4, setup=fork_sandbox),
    Parser("foreign .npy", _npy, _foreign, 4),
    Parser("foreign .npz", _npz, _foreign, 4),
    Parser("foreign .list", wikipedia_list, _foreign, 2),
    Parser("npz", own_matrices, _load_npz, 6),
    Parser("npz rows", _own_rows, _load_npz, 4),
    Parser("npz views", _own_views, _load_npz, 4),
    Parser("npy folder", _npy_folder, _load_npz, 4),
    Parser("word vectors", some_word_vectors, _load_vectors, 8),
)
