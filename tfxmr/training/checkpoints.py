"""Checkpoints of a running training: weights, optimiser slots, step; everything else follows from seed and step."""
import shutil
import time

import keras
import tensorflow as tf

from tfxmr.errors import InputError
from tfxmr.training.selection import Best, selects


class Checkpoints:
    """Saves and restores a Method's whole state.

    TensorFlow writes a checkpoint under a temporary name, renames it, and only then points the file
    `checkpoint` to it, so a kill at any moment leaves the newest whole one in place.

    Args:
      folder: pathlib.Path; made if missing.
      method: a compiled tfxmr.models.base.Method.

    Attributes:
      best: tfxmr.training.selection.Best, part of the state; None if the method keeps its last step.
      selected_value: the validation mAP of the finished networks, if they were selected by it; else -1.
    """

    def __init__(self, folder, method):
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
    def finished(self):
        """True if the training has ended and its networks are kept."""
        return (self.final / "networks.index").exists()  # TensorFlow writes the index last

    def restore(self):
        """Loads the finished networks, or else the newest checkpoint. Returns True if there was either.

        Raises:
          InputError: the checkpoint does not fit this method or is damaged.
        """
        if self.finished:
            self._load(self._networks.read, str(self.final / "networks"))
            return True
        for leftover in self.folder.glob("*_temp*"):  # of a save that was killed
            shutil.rmtree(leftover, ignore_errors=True)
        newest = tf.train.latest_checkpoint(str(self.folder))
        if newest:
            self._load(self._state.restore, newest)
        return bool(newest)

    def save(self):
        """Saves the state and deletes the one before."""
        manager = tf.train.CheckpointManager(self._state, str(self.folder), max_to_keep=1)
        manager.save(checkpoint_number=self.method.steps_done)

    def finish(self):
        """Keeps the networks alone, the best ones if some were selected, and frees what only training needs."""
        if not self.finished:
            if self.best:
                self.best.use()
                self.selected_value.assign(self.best.value)
            self._networks.write(str(self.final / "networks"))
        shutil.rmtree(self.folder, ignore_errors=True)

    @staticmethod
    def _load(load, path):
        try:
            load(path).assert_consumed()
        except (AssertionError, ValueError, tf.errors.OpError) as error:
            raise InputError(
                f"checkpoint {path} does not fit this configuration or is damaged ({error}); "
                "remove it to start again"
            ) from error


class SaveCheckpoints(keras.callbacks.Callback):
    """Saves a checkpoint every `interval` seconds of training, and at the end.

    Args:
      checkpoints: Checkpoints.
      interval: seconds; 0 saves after every step.
    """

    def __init__(self, checkpoints, interval):
        super().__init__()
        self.checkpoints = checkpoints
        self.interval = interval

    def on_train_begin(self, logs=None):
        """Starts the clock."""
        self.last_saved = self.last_counted = time.monotonic()

    def on_train_batch_end(self, batch, logs=None):
        """Saves if the interval has passed."""
        if time.monotonic() - self.last_saved >= self.interval:
            self.save()

    def on_train_end(self, logs=None):
        """Saves the last step."""
        self.save()

    def save(self):
        """Saves now, with the training time up to now."""
        now = time.monotonic()
        self.checkpoints.seconds.assign_add(now - self.last_counted)
        self.last_counted = now
        self.checkpoints.save()
        self.last_saved = time.monotonic()
