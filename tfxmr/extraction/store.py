"""Writes feature folders: one .npy file a view and split, filled block by block, and a manifest at the end.

What stands in a folder that is being written:
  progress.json             the configuration, from the first moment to the last
  train/image.npy, train/text.words.npy, ...
                            the arrays, at their full size from the start: a full disk shows before hours of work
  scratch/train.image.rows  a line for each block that is safely on the disk: the number of rows up to its end, the
                            chained digest of the media they were made of, and the digest of these rows
  manifest.json             written last; then progress.json and scratch/ go
"""
import importlib.metadata
import io
import json
import os
import pathlib
import shlex
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from typing import Any, Self

import numpy as np

from tfxmr import __version__
from tfxmr.core import classes, locks, registry
from tfxmr.core.errors import InputError
from tfxmr.core.files import read_json, to_json, write_bytes, write_text
from tfxmr.data.files import feature_folder, filling
from tfxmr.data.views import is_default, modality_of

SCRATCH = "scratch"  # folder in it of what is needed until it is finished
PACKAGES = ("gensim", "h5py", "keras", "numpy", "pillow", "scikit-learn", "scipy", "tensorflow")


class FeatureStore:
    """A feature folder that is being written. Killed at any moment, it resumes at the block that was not finished.

    Rows that are there are taken for what was written only if their digest says so; others are made again.

    Use it in a `with` statement: no second process may write the folder.

    Args:
      path: the folder; made if missing.
      configuration: JSON dict of all that decides what the arrays hold; a folder keeps the one it was begun with.

    Attributes:
      path: pathlib.Path of the folder.
      finished: True if the folder is complete already.

    Raises:
      InputError: the folder holds other features or other files, is damaged, or another process is writing it.
    """

    def __init__(self, path: str | os.PathLike, configuration: dict) -> None:
        self.path = pathlib.Path(path).expanduser()
        if self.path.exists() and not self.path.is_dir():
            raise InputError(f"--out={path}: this is a file; give a folder")
        names = {p.name for p in self.path.glob("*")} if self.path.exists() else set()
        manifest, progress = self.path / feature_folder.MANIFEST, self.path / feature_folder.PROGRESS
        if names - {".lock", f"{progress.name}.tmp"} and not names & {manifest.name, progress.name}:
            raise InputError(f"--out={path}: holds other files ({', '.join(sorted(names)[:3])}); give a new folder")
        self.path.mkdir(parents=True, exist_ok=True)
        self._lock = locks.take(self.path / ".lock", f"--out={path}: another process is writing this folder")
        self._configuration = json.loads(to_json(configuration))
        self.finished = manifest.exists()
        self._arrays: dict[str, dict] = {}  # "train/image" -> its digests, once it is full
        try:
            self._open(manifest, progress)
        except BaseException:
            self._lock.release()  # an exception that is kept keeps the lock
            raise

    def _open(self, manifest: pathlib.Path, progress: pathlib.Path) -> None:
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

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self._lock.release()

    def _compare(self, path: pathlib.Path, found: dict[str, Any]) -> None:
        old, new = found.get("configuration"), self._configuration
        if not isinstance(old, dict):
            raise InputError(f"{path}: is damaged (it holds no configuration); start again with {feature_folder.ANEW}")
        differing = [f"{k}: {_short(old.get(k))} there, {_short(new.get(k))} here" for k in sorted(set(old) | set(new))
                     if old.get(k) != new.get(k)]
        if differing:
            raise InputError(
                f"--out={self.path} holds features of another configuration: {'; '.join(differing)}. Give another --out"
            )

    def put(self, name: str, array: np.ndarray) -> None:
        """Writes a small array whole, as NAME.npy; `name` may begin with the split, "train/label"."""
        path = self.path / f"{name}.npy"
        path.parent.mkdir(exist_ok=True)
        content = io.BytesIO()
        np.save(content, array, allow_pickle=False)
        write_bytes(path, content.getvalue())

    def put_items(
        self, split: str, labels: Mapping[str, Any], ids: Mapping[str, Sequence[str]], class_names: Sequence[str]
    ) -> None:
        """Writes what is no matrix of features: labels, rows, ids and class names.

        Args:
          split: its name.
          labels: name of an array of labels or rows -> (n,), or of several classes an item bool (n, C).
          ids: modality -> n names.
          class_names: of all classes.
        """
        for name, values in labels.items():
            self.put(f"{split}/{name}", classes.as_labels(values))
        write_text(self.path / split / feature_folder.IDS, to_json(ids))
        self.name_classes(class_names)

    def name_classes(self, names: Sequence[str]) -> None:
        """Writes classes.txt where it is not there, or cut short; a whole one may be the user's.

        Args:
          names: of the classes in the order of their labels; none of data without.
        """
        path, text = self.path / "classes.txt", "".join(f"{name}\n" for name in names)
        if names and (not path.exists() or text.encode().startswith(path.read_bytes())):
            write_text(path, text)

    def allocate(self, arrays: Mapping[str, tuple[tuple[int, ...], Any]]) -> None:
        """Takes the room of arrays on the disk, keeping what they hold.

        Args:
          arrays: "split/view" -> (shape (n, ...), type).

        Raises:
          InputError: there is not enough.
        """
        for key, (shape, dtype) in arrays.items():
            path = self.path / f"{key}.npy"
            path.parent.mkdir(exist_ok=True)
            filling.allocate(path, shape, np.dtype(dtype))

    def fill(
        self, split: str, view: str, shape: tuple[int, ...], dtype: Any,
        rows_from: Callable[[int], Iterable[tuple[np.ndarray, bytes]]],
    ) -> None:
        """Writes the array of a view and split, from the first row that is not yet there.

        Args:
          split, view: names; a split SCRATCH is removed when the folder is finished.
          shape, dtype: (n, ...) and type of the array: float32 (n, d) of vectors, float32 (n, places, channels) of
            maps, int32 (n, T) of word numbers.
          rows_from: function of the number of rows done that yields what follows: pairs of rows (k, ...) and the bytes
            that they were made of, whose digest stands in the manifest.

        Raises:
          InputError: the disk is full.
        """
        key = f"{split}/{view}"
        self.allocate({key: (shape, dtype)})
        log = self.path / SCRATCH / f"{split}.{view}.rows"
        source_sha256, sha256 = filling.fill(self.path / f"{key}.npy", log, rows_from)
        self._arrays[key] = {"source_sha256": source_sha256, "sha256": sha256}

    def finish(self, dataset: str, views: Mapping[str, dict], **more: Any) -> None:
        """Writes the manifest, which makes the folder complete.

        Args:
          dataset: name of the dataset.
          views: view -> facts on how its features were made.
          **more: further entries of the manifest.

        Raises:
          InputError: an array is not what was written: the disk fails, or something else writes there.
        """
        found = {view: dict(facts) for view, facts in views.items()}
        for key, digests in sorted(self._arrays.items()):
            split, view = key.split("/")
            if split == SCRATCH:
                continue
            path = self.path / f"{key}.npy"
            items, dim, sha256 = feature_folder.digest_matrix(path)
            if sha256 != digests["sha256"]:
                raise InputError(f"{path}: is not what was written there; the same command makes its rows again")
            found[view].setdefault("splits", {})[split] = {"items": items, **digests}
            found[view]["dim"] = dim
        modalities: dict[str, dict] = {modality_of(view): {} for view in found}
        for view, facts in found.items():
            of_modality = modalities[modality_of(view)]
            if is_default(view):
                of_modality |= facts
            else:
                of_modality.setdefault("views", {})[view] = facts
        manifest = {"dataset": dataset, "modalities": modalities, "configuration": self._configuration}
        more = {"files": feature_folder.digests(self.path)} | more
        versions = {"tfxmr": __version__} | {name: importlib.metadata.version(name) for name in PACKAGES}
        write_text(self.path / feature_folder.MANIFEST, to_json(manifest | more | {"versions": versions}))
        self._clear()
        self.finished = True

    def _clear(self) -> None:
        """Removes what a finished folder does not hold; the note of progress last."""
        shutil.rmtree(self.path / SCRATCH, ignore_errors=True)
        (self.path / feature_folder.PROGRESS).unlink(missing_ok=True)


def _short(value: object) -> str:
    """A value for a message."""
    text = ascii(value)
    return text if len(text) <= 100 else f"{text[:100]}..."


def hint(folder: str | os.PathLike, views: Collection[str], *needed: str, remedy: str) -> str:
    """What can be done with a feature folder: the command that trains on it, as it can be typed into a shell.

    By the defaults for its data, or, where a modality has no vectors, by a method that declares to read its views.

    Args:
      folder: its path.
      views: names of the views that it holds.
      *needed: further flags, as they are typed.
      remedy: what reads it or makes it readable where there is no such method, in words.
    """
    if not {modality_of(view) for view in views} <= set(views):
        readers = registry.readers(list(views))
        if not readers:
            return f"no method of tfxmr reads {', '.join(views)} alone; {remedy}"
        needed = (*readers[0], *needed)
    command = ["tfxmr", "train", "--dataset=features", f"--features={folder}", f"--run_dir={folder}_run"]
    return shlex.join([*command, *needed])
