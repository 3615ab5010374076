"""The scalars that a run wrote for TensorBoard."""
import os
import pathlib
from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError

Curve = tuple[NDArray[np.int_], NDArray[np.float64]]  # steps (n,), ascending; values (n,)


def scalars(run_dir: str | os.PathLike) -> dict[str, Curve]:
    """Reads the scalars of a run's event files; of a step that a resumed run wrote again, the later value counts.

    Args:
      run_dir: the run's folder.

    Returns:
      {tag: (steps int (n,), ascending; values float64 (n,))}, in the order in which the tags first occur.

    Raises:
      InputError: there are no event files, or no scalars in them.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    files = sorted(pathlib.Path(run_dir).glob("events.out.tfevents.*"))
    points: dict[str, list[tuple[float, int, float]]] = {}
    for file in files:
        events = EventAccumulator(str(file), size_guidance={"tensors": 0})
        events.Reload()
        for tag in events.Tags()["tensors"]:
            if events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                found = ((e.wall_time, e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(tag))
                points.setdefault(tag, []).extend(found)
    if not points:
        what = "no scalars in its event files yet" if files else "no TensorBoard event files (events.out.tfevents.*)"
        raise InputError(
            f"--run_dir={run_dir}: holds {what}. A neural method writes them while it trains, every --log_every steps; "
            "a closed-form method has no steps and writes none"
        )
    return {tag: _merge(found) for tag, found in points.items()}


def _merge(points: Iterable[tuple[float, int, float]]) -> Curve:
    """Sorts (time, step, value) by step; the latest of each step."""
    latest = {step: value for _, step, value in sorted(points)}
    steps = sorted(latest)
    return np.array(steps), np.array([latest[step] for step in steps])
