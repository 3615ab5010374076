"""What results.json holds, checked before tables are made of it; and what a run says before it begins."""
import collections
import dataclasses
import math
import re
from collections.abc import Mapping
from typing import Any

import numpy as np

from tfxmr.core.wording import counted
from tfxmr.data import MultiModalData
from tfxmr.evaluation import checks
from tfxmr.evaluation.protocol import Protocol

Results = dict[str, Any]  # what a results.json holds

NUMBER: tuple[type, ...] = (int, float)
# What tables are made of, and the types that JSON gives it; what else results.json holds is not looked at here.
HELD: dict[str, tuple[type, ...]] = {
    "model": (str,), "dataset": (str,), "seed": (int,), "steps": (int,), "seconds": NUMBER, "protocol": (dict,),
    "metrics": (list,), "flags": (dict,), "features": (dict,),
}
HELD_BY_METRIC: dict[str, tuple[type, ...]] = {
    "task": (str,), "classes": (str,), "metric": (str,), "value": NUMBER, "chance": (*NUMBER, type(None)),
    "num_queries": (int,), "gallery_size": (int,),
}


def check(results: Results) -> None:
    """Checks what a results.json holds, so that whoever makes tables of it need not.

    Args:
      results: the decoded JSON.

    Raises:
      ValueError: an entry is missing, of another type, or no finite number; the message says which.
    """
    _check_entries("", results, HELD)
    _check_entries("protocol ", results["protocol"], {"name": (str,)})
    _check_entries("protocol ", {"similarity": "cosine"} | results["protocol"], {"similarity": (str,)})
    for name, line in results["flags"].items():
        _check_entries("flag ", {name: line}, {name: (str,)})
    for name, facts in results["features"].items():
        _check_entries("features ", {name: facts}, {name: (dict,)})
        digest = {key: facts[key] for key in ("sha256",) if key in facts}
        _check_entries(f"features {name} ", digest, dict.fromkeys(digest, (str,)))
    optional = {name: results[name] for name in ("data", "training_items") if name in results}  # of newer versions
    _check_entries("", optional, dict.fromkeys(optional, (dict,)))
    for name, digests in optional.get("data", {}).items():
        _check_entries("data ", {name: digests}, {name: (dict,)})
        _check_entries(f"data {name} ", digests, {"rows_sha256": (str,)} | dict.fromkeys(digests, (str,)))
    for place, found in enumerate(results["metrics"], 1):
        where = f"metric {place} "
        if not isinstance(found, dict):
            raise ValueError(f"{where}is {checks.short(found)}")
        _check_entries(where, found, HELD_BY_METRIC)
        if "interval" in found:
            _check_entries(where, found, {"interval": (list,)})
            low_high = dict(enumerate(found["interval"]))
            _check_entries(f"{where}interval ", low_high, {0: NUMBER, 1: NUMBER})
    for column, count in collections.Counter(map(column_of, results["metrics"])).items():
        if count > 1:
            raise ValueError(f"{column!r} is there twice")


def _check_entries(where: str, holder: Mapping[Any, Any], kinds: Mapping[Any, tuple[type, ...]]) -> None:
    # By hand: jsonschema would be a dependency for eight lines, takes 3.0 for a whole number and NaN for a number.
    for name, allowed in kinds.items():
        if name not in holder:
            raise ValueError(f"{where}{name} is missing")
        value = holder[name]
        # The exact type, as JSON's true and false are whole numbers to Python.
        if type(value) not in allowed or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{where}{name} is {checks.short(value)}")
        if isinstance(value, str) and not value.isprintable():
            raise ValueError(f"{where}{name} is {checks.short(value)}")


def describe(data: MultiModalData, protocol: Protocol, training: MultiModalData | None = None) -> str:
    """Says in a few lines what will be measured: data, features, classes, protocol.

    Args:
      data: MultiModalData.
      protocol: tfxmr.evaluation.protocol.Protocol.
      training: MultiModalData, what is trained on; its splits are counted in place of those of `data`.

    Returns:
      Text of several lines.
    """
    features = ", ".join(
        f"{view} {data.features.get(view, {}).get('name', 'features')} ({'x'.join(map(str, np.atleast_1d(dim)))})"
        for view, dim in data.dims.items()
    )
    holders = {name: training for name in training.splits} if training else {}
    holders |= {name: data for name in data.splits if name not in holders}
    sizes = ", ".join(f"{name} {re.sub(' items?$', '', holder.size(name))}" for name, holder in holders.items())
    lines = [f"dataset    {data.shown}: {features}; {sizes}"]
    if data.source:
        lines.append(
            f"source     {data.source.shown}: {', '.join(data.source.views)}; {data.source.size('train')} of "
            f"{counted(data.source.num_classes, 'class')}"
        )
    facts = protocol.facts(data)
    lines.append(f"protocol   {', '.join([protocol.name, *_unusual(protocol, facts)])}")
    if protocol.unseen:
        lines.append(f"unseen     {', '.join(map(str, facts['unseen']))}")
    if data.multi_label:
        lines.append("metrics    an item is relevant if it shares a class with the query: items have several")
    if data.instances:
        lines.append("metrics    hit@k: a counterpart is among the first k, R@k of papers on images and sentences")
    return "\n".join(lines)


def _unusual(protocol: Protocol, facts: Mapping[str, Any]) -> list[str]:
    """The facts of a protocol that are not what one takes for granted, in words; results.json holds all."""
    granted = {f.name: f.default for f in dataclasses.fields(Protocol)} | {
        "name": protocol.name, "gallery": "train" if protocol.unseen else "test", "split": "official",
        "unseen": facts["unseen"], "held_out": protocol.held_out,  # these two have lines of their own
    }
    granted |= {"class_split": "parity"} if protocol.unseen else {}
    return [f"{name} {value}" for name, value in facts.items() if value != granted[name]]


def column_of(metric: dict[str, Any]) -> str:
    """The name of a metric's column: "mAP image->text all"."""
    return f"{metric['metric']} {metric['task']} {metric['classes']}"
