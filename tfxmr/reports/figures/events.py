"""What a run wrote for TensorBoard."""
import dataclasses
import json
import os
import pathlib
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.runs import board

LOSSES, PROTOCOL = "losses", "protocol"  # tags of texts: what losses are called, and how the run is measured
Curve = tuple[NDArray[np.int_], NDArray[np.float64]]  # steps (n,), ascending; values (n,)


@dataclasses.dataclass(frozen=True)
class Events:
    """What a run wrote for TensorBoard.

    Attributes:
      curves: tag -> (steps int (n,), ascending; values float64 (n,)), in the order in which the tags first occur.
      names: loss -> what its paper calls it, of those that have such a name.
      protocol: the fields of tfxmr.evaluation.protocol.Protocol; {} of a run without.
    """

    curves: dict[str, Curve]
    names: dict[str, str]
    protocol: dict[str, Any]


def scalars(run_dir: str | os.PathLike) -> dict[str, Curve]:
    """The curves of `read`."""
    return read(run_dir).curves


def read(run_dir: str | os.PathLike) -> Events:
    """Reads a run's event files; of a step that a resumed run wrote again, the later value counts.

    Args:
      run_dir: the run's folder.

    Raises:
      InputError: there are no event files, or no scalars in them.
    """
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
    from tensorboard.util.tensor_util import make_ndarray

    files = sorted(pathlib.Path(run_dir).glob("events.out.tfevents.*"))
    points: dict[str, list[tuple[float, int, float]]] = {}
    texts: dict[str, dict[str, Any]] = {LOSSES: {}, PROTOCOL: {}}
    for file in files:
        events = EventAccumulator(str(file), size_guidance={"tensors": 0})
        events.Reload()
        for tag in events.Tags()["tensors"]:
            if tag in texts:
                texts[tag] = _facts(make_ndarray(events.Tensors(tag)[-1].tensor_proto).item())
            elif events.SummaryMetadata(tag).plugin_data.plugin_name == "scalars":
                found = ((e.wall_time, e.step, float(make_ndarray(e.tensor_proto))) for e in events.Tensors(tag))
                points.setdefault(tag, []).extend(found)
    if not points:
        curves = {path.name for path in files} - {board.START}
        what = "no scalars in its event files yet" if curves else "no TensorBoard event files (events.out.tfevents.*)"
        raise InputError(
            f"--run_dir={run_dir}: holds {what}. A neural method writes them while it trains, every --log_every steps; "
            "a closed-form method has no steps and writes none"
        )
    return Events({tag: _merge(found) for tag, found in points.items()}, texts[LOSSES], texts[PROTOCOL])


def _facts(text: bytes) -> dict[str, Any]:
    """The JSON object that a text is; {} of another text, as it is there of other versions."""
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def _merge(points: Iterable[tuple[float, int, float]]) -> Curve:
    """Sorts (time, step, value) by step; the latest of each step."""
    latest = {step: value for _, step, value in sorted(points)}
    steps = sorted(latest)
    return np.array(steps), np.array([latest[step] for step in steps])
