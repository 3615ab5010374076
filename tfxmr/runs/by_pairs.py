"""Runs of many modalities: one model of all, or one a pair of modalities."""
import itertools
import os
from collections.abc import Callable
from typing import Any

import numpy as np

from tfxmr.core import display, registry
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData
from tfxmr.engine import memory
from tfxmr.evaluation.protocol import Protocol
from tfxmr.runs.job import MethodClass, RunSettings, one_a_pair, pairs
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import ending, run
from tfxmr.runs.run_folder import RunFolder


def runner(
    method_class: MethodClass, settings: RunSettings, data: MultiModalData, joint: bool = False
) -> Callable[..., dict[str, Any] | None]:
    """The function that trains a method on data: `run`, or `run_pairs` for many modalities.

    Args:
      method_class: from tfxmr.models or tfxmr.baselines.
      settings: an instance of its Settings.
      data: whose modalities decide.
      joint: asks for one model of many modalities; a method that is `joint` makes no other.

    Returns:
      A function with the arguments of `run`, which gives what results.json holds.

    Raises:
      InputError: one model of many modalities is asked for, and the method takes two.
    """
    if not one_a_pair(method_class, settings, data):
        return run
    if joint and len(data.modalities) > method_class.most_modalities:
        raise InputError(
            f"--joint: {registry.name_of(method_class)} takes two modalities, one model a pair; omit the flag"
        )
    return run if joint else run_pairs


def run_pairs(
    method_class: MethodClass, settings: RunSettings, data: MultiModalData, protocol: Protocol,
    run_dir: str | os.PathLike, options: RunOptions | None = None, flags: dict[str, str] | None = None,
) -> dict[str, Any] | None:
    """Runs a method once for each pair of modalities, each in a folder of its own such as RUN_DIR/image-text.

    Arguments, errors and resumption as in `run`, for each pair. RUN_DIR/results.json, written last, holds the tasks of
    all pairs, the sum of their steps and seconds, the mean of their validation score, and no single selected step.
    """
    folder = RunFolder(run_dir)
    found: list[dict[str, Any]] = []
    if (folder.path / "flags.cfg").exists():
        raise InputError(f"--run_dir={run_dir}: holds one run of all modalities, not one a pair; give another folder")
    chosen = pairs(method_class, settings, data)
    for pair in itertools.combinations(data.modalities, 2):
        if pair not in chosen:
            display.say(f"{'-'.join(pair)}: skipped, since {registry.name_of(method_class)} learns from pairs", 2)
    for pair in chosen:
        memory.free()  # of the pair before
        own_flags = flags and flags | {"modalities": f"--modalities={','.join(pair)}"}
        own_dir = folder.path / "-".join(pair)
        results = run(method_class, settings, data.only(pair), protocol, own_dir, options, own_flags)
        if results:
            found.append(results)
            display.say(f"{'-'.join(pair)}: {ending(results)}", 2)
    if len(found) < len(chosen):  # of a worker that is not the chief
        return None
    results = found[0] | {
        "steps": sum(r["steps"] for r in found),
        "total_steps": sum(r.get("total_steps", 0) for r in found),
        "seconds": round(sum(r["seconds"] for r in found), 1),
        "metrics": [m for r in found for m in r["metrics"]],
        "flags": flags or found[0]["flags"],
        **{key: {name: facts for r in found for name, facts in r.get(key, {}).items()}
           for key in ("features", "data", "training_items")},
    }
    for name in ("selected_step", "steps_per_epoch", "stopped_at", "stopped_by"):
        results.pop(name, None)
    stopped = [r for r in found if "stopped_by" in r]
    if stopped:
        results |= {"stopped_at": stopped[0]["stopped_at"], "stopped_by": " | ".join(r["stopped_by"] for r in stopped)}
    for name in ("validation_mAP", "validation_recalls"):
        if name in results:
            results[name] = float(np.mean([r[name] for r in found]))
    folder.write_results(results)
    return results
