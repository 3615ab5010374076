"""Checkpoints of a running training: weights, optimizer slots, step; everything else follows from seed and step."""
import contextlib
import errno
import logging
import os
import pathlib
import re
import shutil
import time
import warnings
from collections.abc import Callable, Iterator
from typing import Any

import keras
import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.files import system_error
from tfxmr.data import MultiModalData
from tfxmr.models.base import Method
from tfxmr.runs.best import Best
from tfxmr.runs.run_folder import BACKUP
from tfxmr.runs.selection import selects

INDEX_END = bytes.fromhex("57fb808b247547db")  # of a whole index, whatever it holds
# It is the way to tell TensorFlow which checkpoint is there; to be told so at each resumption helps nobody.
logging.getLogger("tensorflow").addFilter(lambda record: "update_checkpoint_state" not in record.getMessage())

ATTEMPTS = 100  # to read a checkpoint of a run that is training and deletes each one when it has the next


class Checkpoints:
    """Saves and restores a Method's whole state.

    TensorFlow writes a checkpoint under a temporary name, renames it, and only then points the file
    `checkpoint` to it, so a kill at any moment leaves the newest whole one in place.

    Args:
      folder: pathlib.Path; made if missing.
      method: a compiled tfxmr.models.base.Method.

    Attributes:
      best: tfxmr.runs.best.Best, part of the state; None if the method keeps its last step.
      selected_value: the validation score of the finished networks, if they were selected by it; else -1.
    """

    def __init__(self, folder: pathlib.Path, method: Method) -> None:
        self.folder = folder / "training"
        self.final = folder / "final"
        self.method = method
        self.best = Best(method) if selects(method.settings) else None
        self.seconds = tf.Variable(0.0, dtype=tf.float64, trainable=False)
        # Not `best.value` itself: that one says that `best` holds weights, which finished networks do without.
        self.selected_value = tf.Variable(-1.0, dtype=tf.float64, trainable=False)
        self._state = tf.train.Checkpoint(
            method=method.state(), seconds=self.seconds, **({"best": self.best.state()} if self.best else {})
        )
        self._networks = tf.train.Checkpoint(
            step=method.step, seconds=self.seconds, networks=method.network_state(),
            **({"selected_step": self.best.step, "selected_value": self.selected_value} if self.best else {}),
        )

    @property
    def finished(self) -> bool:
        """True if the training has ended and its networks are kept."""
        return _finished(self.final)

    def restore(self) -> bool:
        """Loads the finished networks, or else the newest checkpoint, to resume the training.

        Returns:
          True if there was either; False if nothing is there.

        Raises:
          InputError: what is there is damaged, incomplete, or of another configuration.
          OSError: the folder cannot be written.
        """
        if self.finished:
            _load(lambda path: self._networks.read(path).expect_partial().assert_consumed(), self.final / "networks")
            return True
        self.folder.mkdir(parents=True, exist_ok=True)
        for leftover in self.folder.glob("*_temp*"):  # of a save that was killed; only who trains may remove it
            shutil.rmtree(leftover, ignore_errors=True)
        newest = _load_newest(
            # Whatever is expected, it is asserted here; TensorFlow's log of the same would be printed beside the error.
            lambda path: self._state.restore(path).expect_partial().assert_consumed(), self.folder, self.final
        )
        if newest:
            named = _named(self.folder)
            if newest.name != named:
                self._warn(f"its file `checkpoint` names {named or 'nothing'}; resumes from {newest.name}")
            # TensorFlow's manager deletes what the state file names: let that be nothing but this.
            tf.compat.v1.train.update_checkpoint_state(
                str(self.folder), str(newest), [str(newest)], all_model_checkpoint_timestamps=[time.time()],
                last_preserved_timestamp=0.0,  # before the other, or the next save would not delete this one
            )
        elif any(self.folder.glob("*.data*")):  # a kill in the first save leaves such
            self._warn("holds a part of a checkpoint and no complete one; starts at step 0")
        return bool(newest)

    def _warn(self, message: str) -> None:
        warnings.warn(f"{self.folder}: {message}", stacklevel=3)

    def save(self) -> None:
        """Saves the state and deletes the one before.

        Raises:
          OSError: it cannot be written, or the folder was removed since `restore`; the one before is whole.
        """
        if not self.folder.is_dir():  # TensorFlow would make it again, without what else belongs to a run
            raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), str(self.folder))
        with _system_errors(self.folder):
            manager = tf.train.CheckpointManager(self._state, str(self.folder), max_to_keep=1)
            # Numbered by steps, but never by a number again: TensorFlow would write over the one that is whole.
            number = max([self.method.steps_done, *(1 + _number(path) for path in _found(self.folder))])
            manager.save(checkpoint_number=number)

    def finish(self, data: MultiModalData) -> None:
        """Keeps the networks alone, the best ones if some were selected, and frees what only training needs.

        Args:
          data: the training data, to which Method.finish fits what comes on top of the networks.
        """
        if not self.finished:
            if self.best:
                self.best.use()
                self.selected_value.assign(self.best.value)
            self.method.finish(data)
            # TensorFlow opens the index under its own name before it is whole: only the folder's name says that it is.
            unfinished = self.final.with_name("final_unfinished")
            shutil.rmtree(unfinished, ignore_errors=True)  # of a run that was killed here
            with _system_errors(unfinished):
                self._networks.write(str(unfinished / "networks"))
            shutil.rmtree(self.final, ignore_errors=True)  # holds no index, else the run were finished
            os.replace(unfinished, self.final)
        shutil.rmtree(self.folder, ignore_errors=True)


def load_networks(folder: pathlib.Path, method: Method) -> bool:
    """Loads the trained networks of a run for use, the best so far of a stopped run that selects; changes no file.

    They are found by their names; optimizer slots, whose number depends on how the optimizers were made, are left
    alone, and the method need not be compiled. A run that trains meanwhile may delete a checkpoint while it is read:
    then its next one is read.

    Args:
      folder: pathlib.Path of the run's checkpoints.
      method: tfxmr.models.base.Method of the run's configuration.

    Returns:
      True; False if nothing is there.

    Raises:
      InputError: what is there is damaged, incomplete, or of another configuration.
    """
    for _ in range(ATTEMPTS):
        before = _listing(folder)
        try:
            return _load_networks(folder / "training", folder / "final", method)
        except InputError:
            if _listing(folder) == before:  # nobody is at work there
                raise
    return _load_networks(folder / "training", folder / "final", method)


def _load_networks(training: pathlib.Path, final: pathlib.Path, method: Method) -> bool:
    networks, best = method.network_state(), Best(method) if selects(method.settings) else None
    if _finished(final):
        kept = tf.train.Checkpoint(networks=networks)
        _load(lambda path: _matched(kept.read(path)), final / "networks")
        return True
    kept = tf.train.Checkpoint(
        method=tf.train.Checkpoint(networks=networks), **({"best": best.weights()} if best else {})
    )
    newest = _load_newest(lambda path: _matched(kept.read(path)), training, final)
    if newest and best:
        best.use()
    return bool(newest)


def _matched(status: Any) -> None:
    """Every variable was found, with its shape; what else the checkpoint holds is nobody's concern here."""
    status.expect_partial().assert_existing_objects_matched()


def _finished(final: pathlib.Path) -> bool:
    return (final / "networks.index").exists()


def _listing(folder: pathlib.Path) -> set[tuple[str, int]]:
    """What tells whether somebody writes checkpoints into a folder."""
    found = set()
    for path in folder.glob("*/*"):
        with contextlib.suppress(FileNotFoundError):
            found.add((path.name, path.stat().st_mtime_ns))
    return found


def _load_newest(
    load: Callable[[str], object], training: pathlib.Path, final: pathlib.Path
) -> pathlib.Path | None:
    """Loads the newest checkpoint of a training that can be read.

    Args:
      load: function of a checkpoint's path.
      training: pathlib.Path of the folder of checkpoints.
      final: pathlib.Path of the folder of finished networks, which are not whole.

    Returns:
      pathlib.Path of what was loaded, or None: no checkpoint was ever completed there.

    Raises:
      InputError: there was one, and it is damaged, incomplete, or of another configuration.
    """
    named, errors = _named(training), []
    found = _found(training)
    if named is None:  # of the first save, an index that a kill or a full disk has cut short is no checkpoint yet
        found = [path for path in found if path.with_suffix(".index").read_bytes().endswith(INDEX_END)]
    # TensorFlow points the state file to a checkpoint once it is whole; without the file, the newest that is.
    for path in sorted(found, key=lambda path: (path.name == named, _number(path)), reverse=True):
        try:
            _load(load, path)
        except InputError as error:
            errors.append(error)
        else:
            return path
    if errors:
        raise errors[0]
    if (training / "checkpoint").exists():
        raise InputError(f"{training}: there was a checkpoint, but {named or 'ckpt-*'}.index is missing; {BACKUP}")
    if any(final.glob("networks.data*")) and not any(training.glob("*")):  # a kill in `finish` leaves the training
        raise InputError(f"{final / 'networks'}.index: is missing; {BACKUP}")
    return None


def _found(folder: pathlib.Path) -> list[pathlib.Path]:
    """The checkpoints in a folder, whole or not, without their files' suffix."""
    return [path.with_suffix("") for path in folder.glob("ckpt-*.index") if path.stem[5:].isdigit()]


def _number(path: pathlib.Path) -> int:
    return int(path.name[5:])


def _named(folder: pathlib.Path) -> str | None:
    """The name of the checkpoint in TensorFlow's state file, without the folder, which may have been moved; or None."""
    try:
        text = (folder / "checkpoint").read_text(encoding="utf-8", errors="replace")
    except FileNotFoundError:
        return None
    found = re.search(r'^model_checkpoint_path: "(?:.*/)?([^"/]+)"', text, re.MULTILINE)
    return found and found[1]


def _load(load: Callable[[str], object], path: pathlib.Path) -> None:
    """Loads a checkpoint by `load`, a function of its path as a string. Raises InputError if it cannot be."""
    try:
        load(str(path))
    except (MemoryError, tf.errors.ResourceExhaustedError):
        raise  # says nothing on the checkpoint
    except Exception as error:  # TensorFlow raises a dozen types on damaged files, IndexError among them
        if isinstance(error, tf.errors.PermissionDeniedError):
            raise InputError(f"{path}: cannot be read (no permission); make its files readable") from error
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: the checkpoint is damaged or does not fit this configuration ({reason[:200]}); {BACKUP}"
        ) from error


@contextlib.contextmanager
def _system_errors(folder: pathlib.Path) -> Iterator[None]:
    """Turns TensorFlow's error on a disk that is full or the like into an OSError that names the folder."""
    try:
        yield
    except tf.errors.OpError as error:
        for leftover in folder.glob("*_temp*"):
            shutil.rmtree(leftover, ignore_errors=True)  # of a full disk every byte is wanted
        reason = system_error(error, folder)
        if reason:
            raise reason from error
        raise


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves a checkpoint every `interval` seconds of training, and at the end.

    Args:
      checkpoints: Checkpoints.
      interval: seconds; 0 saves after every step.
    """

    def __init__(self, checkpoints: Checkpoints, interval: float) -> None:
        super().__init__()
        self.checkpoints = checkpoints
        self.interval = interval

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Starts the clock."""
        self.last_saved = self.last_counted = time.monotonic()

    def on_train_batch_end(self, batch: int, logs: dict[str, Any] | None = None) -> None:
        """Saves if the interval has passed."""
        if time.monotonic() - self.last_saved >= self.interval:
            self.save()

    def on_train_end(self, logs: dict[str, Any] | None = None) -> None:
        """Saves the last step."""
        self.save()

    def save(self) -> None:
        """Saves now, with the training time up to now."""
        if not self.checkpoints.method.finite():
            return  # a step, or the end of the training, says so to all workers; what can be trained on stays
        now = time.monotonic()
        self.checkpoints.seconds.assign_add(now - self.last_counted)
        self.last_counted = now
        self.checkpoints.save()
        self.last_saved = time.monotonic()
