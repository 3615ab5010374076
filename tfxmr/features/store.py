"""Writes feature folders: one .npy file a modality and split, filled block by block, and a manifest at the end."""
import fcntl
import hashlib
import importlib.metadata
import json
import pathlib
import shutil

import numpy as np

from tfxmr import __version__
from tfxmr.data import feature_folder
from tfxmr.data.mapped import blocks
from tfxmr.errors import InputError
from tfxmr.files import to_json, write_text

SCRATCH = "scratch"  # folder in it of what is needed until it is finished
PACKAGES = ("gensim", "h5py", "keras", "numpy", "pillow", "scikit-learn", "scipy", "tensorflow")


class FeatureStore:
    """A feature folder that is being written. Killed at any moment, it goes on at the block that was not finished.

    Use it in a `with` statement: no second process may write the folder.

    Args:
      path: the folder; made if missing.
      configuration: JSON dict of all that decides what the matrices hold; a folder keeps the one it was begun with.

    Attributes:
      path: pathlib.Path of the folder.
      finished: True if the folder is complete already.

    Raises:
      InputError: the folder holds other features or other files, or another process is writing it.
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
        configuration = json.loads(to_json(configuration))
        self.finished = manifest.exists()
        self._progress = {"configuration": configuration, "matrices": {}}
        source = manifest if self.finished else progress
        if source.exists():
            self._progress |= json.loads(source.read_text())
            self._compare(self._progress["configuration"], configuration)
        if self.finished:
            self._clear()  # after a process that was killed between the two
        else:
            self._save()

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self._lock.close()

    def _compare(self, old, new):
        differing = [f"{k}: {old.get(k)} there, {new.get(k)} here" for k in sorted(set(old) | set(new))
                     if old.get(k) != new.get(k)]
        if differing:
            raise InputError(
                f"--out={self.path} holds features of another configuration: {'; '.join(differing)}. Give another --out"
            )

    def _save(self):
        write_text(self.path / feature_folder.PROGRESS, to_json(self._progress))

    def put(self, name, array):
        """Writes a small array whole, as NAME.npy; `name` may begin with the split, "train/label"."""
        path = self.path / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        np.save(path, array, allow_pickle=False)

    def put_items(self, split, labels, ids, class_names):
        """Writes what is no matrix: labels, rows (name of array -> (n,)), ids (modality -> n names), class names."""
        for name, values in labels.items():
            self.put(f"{split}/{name}", np.asarray(values, np.int32))
        write_text(self.path / split / feature_folder.IDS, to_json(ids))
        if class_names:
            write_text(self.path / "classes.txt", "".join(f"{name}\n" for name in class_names))

    def fill(self, split, modality, shape, rows_from):
        """Writes the matrix of a modality and split, from the first row that is not yet there.

        Args:
          split, modality: names; a split SCRATCH is removed when the folder is finished.
          shape: (n, d).
          rows_from: function of the number of rows done that yields what follows: pairs of float32 (k, d) and the bytes
            that the rows were made of, whose digest stands in the manifest.
        """
        key = f"{split}/{modality}"
        state = self._progress["matrices"].setdefault(key, {"rows": 0, "source_sha256": ""})
        if state["rows"] == shape[0]:
            return
        path = self.path / f"{key}.npy"
        path.parent.mkdir(exist_ok=True)
        if state["rows"]:
            matrix = np.lib.format.open_memmap(path, "r+")
        else:
            matrix = np.lib.format.open_memmap(path, "w+", np.float32, shape)
        for rows, source in rows_from(state["rows"]):
            done = state["rows"] + len(rows)
            matrix[state["rows"] : done] = rows
            matrix.flush()
            chain = hashlib.sha256(state["source_sha256"].encode() + source)
            state |= {"rows": done, "source_sha256": chain.hexdigest()}
            self._save()

    def finish(self, dataset, modalities, **more):
        """Writes the manifest, which makes the folder complete.

        Args:
          dataset: name of the dataset.
          modalities: modality -> facts on how its features were made.
          **more: further entries of the manifest.
        """
        found = {m: dict(facts) for m, facts in modalities.items()}
        for key, state in sorted(self._progress["matrices"].items()):
            split, modality = key.split("/")
            if split == SCRATCH:
                continue
            matrix = np.load(self.path / f"{key}.npy", mmap_mode="r")
            facts = {"items": len(matrix), "source_sha256": state["source_sha256"], "sha256": _sha256(matrix)}
            found[modality].setdefault("splits", {})[split] = facts
            found[modality]["dim"] = matrix.shape[1]
        manifest = {"dataset": dataset, "modalities": found, "configuration": self._progress["configuration"]}
        versions = {"tfxmr": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES}
        write_text(self.path / feature_folder.MANIFEST, to_json(manifest | more | {"versions": versions}))
        self._clear()
        self.finished = True

    def _clear(self):
        """Removes what a finished folder does not hold; the note of progress last."""
        shutil.rmtree(self.path / SCRATCH, ignore_errors=True)
        (self.path / feature_folder.PROGRESS).unlink(missing_ok=True)


def _sha256(matrix):
    digest = hashlib.sha256()
    for block in blocks(matrix):
        digest.update(block)
    return digest.hexdigest()


def file_sha256(path):
    """SHA-256 of a file's content, as hexadecimal digits."""
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
