"""Writes feature folders: one .npy file a modality and split, filled block by block, and a manifest at the end.

What stands in a folder that is being written:
  progress.json             the configuration, from the first moment to the last
  train/image.npy, ...      the matrices, at their full size from the start: a full disk shows before hours of work
  scratch/train.image.rows  a line for each block that is safely on the disk: the number of rows up to its end, the
                            chained digest of the media they were made of, and the digest of these rows
  manifest.json             written last; then progress.json and scratch/ go
"""
import errno
import fcntl
import hashlib
import importlib.metadata
import io
import json
import os
import pathlib
import shlex
import shutil
import warnings

import numpy as np

from tfxmr import __version__
from tfxmr.data import feature_folder
from tfxmr.errors import InputError
from tfxmr.files import read_json, to_json, write_bytes, write_text

SCRATCH = "scratch"  # folder in it of what is needed until it is finished
NO_ROOM = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
PACKAGES = ("gensim", "h5py", "keras", "numpy", "pillow", "scikit-learn", "scipy", "tensorflow")


class FeatureStore:
    """A feature folder that is being written. Killed at any moment, it goes on at the block that was not finished.

    Rows that are there are taken for what was written only if their digest says so; others are made again.

    Use it in a `with` statement: no second process may write the folder.

    Args:
      path: the folder; made if missing.
      configuration: JSON dict of all that decides what the matrices hold; a folder keeps the one it was begun with.

    Attributes:
      path: pathlib.Path of the folder.
      finished: True if the folder is complete already.

    Raises:
      InputError: the folder holds other features or other files, is damaged, or another process is writing it.
    """

    def __init__(self, path, configuration):
        self.path = pathlib.Path(path).expanduser()
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--out={path}: this is a file; give a folder")
        names = {p.name for p in self.path.glob("*")} if self.path.exists() else set()
        manifest, progress = self.path / feature_folder.MANIFEST, self.path / feature_folder.PROGRESS
        if names - {".lock", f"{progress.name}.tmp"} and not names & {manifest.name, progress.name}:
            raise InputError(f"--out={path}: holds other files ({', '.join(sorted(names)[:3])}); give a new folder")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = open(self.path / ".lock", "w")
        try:
            fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"--out={path}: another process is writing this folder") from None
        self._configuration = json.loads(to_json(configuration))
        self.finished = manifest.exists()
        self._matrices = {}  # "train/image" -> its digests, once it is full
        try:
            self._open(manifest, progress)
        except BaseException:
            self._lock.close()  # an exception that is kept keeps the file open
            raise

    def _open(self, manifest, progress):
        """Checks what stands in the folder, and begins one in which nothing does."""
        if self.finished:
            found = feature_folder.read_manifest(self.path)
            self._compare(manifest, found)
            feature_folder.check_files(self.path, found)
            self._clear()  # after a process that was killed between the two
        elif progress.exists():
            self._compare(progress, read_json(progress, f"start again with {feature_folder.ANEW}"))
        else:
            write_text(progress, to_json({"configuration": self._configuration}))

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._lock.close()

    def _compare(self, path, found):
        old, new = found.get("configuration"), self._configuration
        if not isinstance(old, dict):
            raise InputError(f"{path}: is damaged (it holds no configuration); start again with {feature_folder.ANEW}")
        differing = [f"{k}: {_short(old.get(k))} there, {_short(new.get(k))} here" for k in sorted(set(old) | set(new))
                     if old.get(k) != new.get(k)]
        if differing:
            raise InputError(
                f"--out={self.path} holds features of another configuration: {'; '.join(differing)}. Give another --out"
            )

    def put(self, name, array):
        """Writes a small array whole, as NAME.npy; `name` may begin with the split, "train/label"."""
        path = self.path / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        write_bytes(path, content.getvalue())

    def put_items(self, split, labels, ids, class_names):
        """Writes what is no matrix: labels, rows (name of array -> (n,)), ids (modality -> n names), class names."""
        for name, values in labels.items():
            self.put(f"{split}/{name}", np.asarray(values, np.int32))
        write_text(self.path / split / feature_folder.IDS, to_json(ids))
        if class_names:
            write_text(self.path / "classes.txt", "".join(f"{name}\n" for name in class_names))

    def allocate(self, shapes):
        """Takes the room of matrices on the disk, keeping what they hold.

        Args:
          shapes: "split/modality" -> (n, d).

        Raises:
          InputError: there is not enough.
        """
        for key, shape in shapes.items():
            path = self.path / f"{key}.npy"
            path.parent.mkdir(exist_ok=True)
            _allocate(path, shape)

    def fill(self, split, modality, shape, rows_from):
        """Writes the matrix of a modality and split, from the first row that is not yet there.

        Args:
          split, modality: names; a split SCRATCH is removed when the folder is finished.
          shape: (n, d).
          rows_from: function of the number of rows done that yields what follows: pairs of float32 (k, d) and the bytes
            that the rows were made of, whose digest stands in the manifest.

        Raises:
          InputError: the disk is full.
        """
        key = f"{split}/{modality}"
        self.allocate({key: shape})
        matrix = np.lib.format.open_memmap(self.path / f"{key}.npy", "r+")
        log = self.path / SCRATCH / f"{split}.{modality}.rows"
        log.parent.mkdir(exist_ok=True)
        done, source_sha256, digest = self._resume(key, matrix, log)
        if done < shape[0]:
            with open(log, "a", encoding="ascii") as file:
                for rows, source in rows_from(done):
                    rows = np.ascontiguousarray(rows, np.float32)
                    matrix[done : done + len(rows)] = rows
                    matrix.flush()  # before the line that says so
                    done += len(rows)
                    source_sha256 = hashlib.sha256(source_sha256.encode() + source).hexdigest()
                    digest.update(rows)
                    file.write(f"{done} {source_sha256} {digest.hexdigest()}\n")
                    file.flush()
                    os.fsync(file.fileno())
        self._matrices[key] = {"source_sha256": source_sha256, "sha256": digest.hexdigest()}

    def _resume(self, key, matrix, log):
        """(Number of rows that hold what was written, digest of their media, their hash object), by a log of blocks."""
        done, source_sha256, digest, kept = 0, "", hashlib.sha256(), []
        text = log.read_text(encoding="ascii", errors="replace") if log.exists() else ""
        lines = [line for line in text.splitlines(keepends=True) if line.endswith("\n")]  # a kill may cut off the last
        for line in lines:
            end, source, expected = (line.split() + [""] * 3)[:3]
            end = int(end) if end.isdecimal() and len(end) < 19 else 0
            trial = digest.copy()
            trial.update(matrix[done:end])
            if not done < end <= len(matrix) or trial.hexdigest() != expected:
                break
            done, source_sha256, digest = end, source, trial
            kept.append(line)
        if len(kept) < len(lines):
            warnings.warn(f"{self.path / key}.npy: row {done} and those after it are not what was written there; they "
                          "are made again", stacklevel=3)
        if "".join(kept) != text:
            write_text(log, "".join(kept))
        return done, source_sha256, digest

    def finish(self, dataset, modalities, **more):
        """Writes the manifest, which makes the folder complete.

        Args:
          dataset: name of the dataset.
          modalities: modality -> facts on how its features were made.
          **more: further entries of the manifest.

        Raises:
          InputError: a matrix is not what was written: the disk fails, or something else writes there.
        """
        found = {m: dict(facts) for m, facts in modalities.items()}
        for key, digests in sorted(self._matrices.items()):
            split, modality = key.split("/")
            if split == SCRATCH:
                continue
            path = self.path / f"{key}.npy"
            items, dim, sha256 = feature_folder.digest_matrix(path)
            if sha256 != digests["sha256"]:
                raise InputError(f"{path}: is not what was written there; the same command makes its rows again")
            found[modality].setdefault("splits", {})[split] = {"items": items, **digests}
            found[modality]["dim"] = dim
        manifest = {"dataset": dataset, "modalities": found, "configuration": self._configuration}
        more = {"files": feature_folder.digests(self.path)} | more
        versions = {"tfxmr": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES}
        write_text(self.path / feature_folder.MANIFEST, to_json(manifest | more | {"versions": versions}))
        self._clear()
        self.finished = True

    def _clear(self):
        """Removes what a finished folder does not hold; the note of progress last."""
        shutil.rmtree(self.path / SCRATCH, ignore_errors=True)
        (self.path / feature_folder.PROGRESS).unlink(missing_ok=True)


def _short(value):
    """A value for a message."""
    text = ascii(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def _allocate(path, shape):
    """Makes a file that holds a float32 matrix of a shape, as long as it is to be; keeps the rows that are there.

    A write to a mapped file on a full disk kills the process without a word (SIGBUS), so the room is taken before.
    """
    header = io.BytesIO()
    descr = np.lib.format.dtype_to_descr(np.dtype(np.float32))
    np.lib.format.write_array_header_1_0(header, {"descr": descr, "fortran_order": False, "shape": tuple(shape)})
    size = len(header.getvalue()) + 4 * int(np.prod(shape))
    old = path.stat().st_size if path.exists() else 0
    try:
        with open(path, "r+b" if path.exists() else "xb") as file:
            # Only truncated, a file has holes. macOS has no such call.
            getattr(os, "posix_fallocate", lambda *_: None)(file.fileno(), 0, size)
            file.truncate(size)
            file.write(header.getvalue())
    except OSError as error:
        if error.errno not in NO_ROOM:
            raise
        free = shutil.disk_usage(path.parent).free
        raise InputError(
            f"--out={path.parents[1]}: {path.parent.name}/{path.name} needs {max(size - old, 0):,} bytes more, and "
            f"{free:,} are free ({error.strerror}); make room and start the same command again, or give an --out on "
            "another disk"
        ) from error


def train_command(folder, *needed):
    """The command that trains on a feature folder by the defaults for its data, as it can be typed into a shell.

    Args:
      folder: its path.
      *needed: further flags, as they are typed.
    """
    command = ["tfxmr", "train", "--dataset=features", f"--features={folder}", f"--run_dir={folder}_run"]
    return shlex.join([*command, *needed])


def file_sha256(path):
    """SHA-256 of a file's content, as hexadecimal digits."""
    return feature_folder.digest_file(path)
