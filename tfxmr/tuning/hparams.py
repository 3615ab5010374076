"""A search's settings and metric for TensorBoard's HParams page."""
import contextlib
import pathlib
from collections.abc import Iterator, Mapping
from typing import Any

import tensorflow as tf
from tensorboard.plugins.hparams import api, api_pb2, summary

from tfxmr.tuning.grid import Grid, value_text
from tfxmr.tuning.oracles import OBJECTIVE

SUFFIX = ".hparams"


def clear(folder: pathlib.Path) -> None:
    """Removes what was written into a folder before."""
    for path in folder.glob(f"*{SUFFIX}"):
        path.unlink()


def write_space(folder: pathlib.Path, grid: Grid) -> None:
    """Writes which settings a search varies, name -> tuple of values, and by what it compares."""
    with _replace(folder):
        varied = [api.HParam(name, api.Discrete(_plain(v) for v in values)) for name, values in grid.items()]
        api.hparams_config(varied, [api.Metric(OBJECTIVE, display_name="validation mAP")])


def write_trial(
    folder: pathlib.Path, name: str, values: Mapping[str, Any], measured: float | None, step: int
) -> None:
    """Writes what a trial tried and came to.

    Args:
      folder: of the trial.
      name: of the trial, "0001".
      values: name of a setting -> its value.
      measured: validation mAP; None: the trial failed.
      step: after which it was measured.
    """
    status = api_pb2.STATUS_FAILURE if measured is None else api_pb2.STATUS_SUCCESS
    with _replace(folder):
        api.hparams({setting: _plain(value) for setting, value in values.items()}, trial_id=name)
        if measured is not None:
            tf.summary.scalar(OBJECTIVE, measured, step=step)
        tf.summary.experimental.write_raw_pb(summary.session_end_pb(status).SerializeToString(), step=0)


@contextlib.contextmanager
def _replace(folder: pathlib.Path) -> Iterator[None]:
    clear(folder)
    writer = tf.summary.create_file_writer(str(folder), filename_suffix=SUFFIX)
    with writer.as_default():
        yield
    writer.close()


def _plain(value: Any) -> Any:
    return value_text(value) if isinstance(value, tuple) else value
