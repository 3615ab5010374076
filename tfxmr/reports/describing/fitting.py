"""Which protocols and methods fit a data set, by what a run itself would refuse, and what chance scores."""
import contextlib
import dataclasses
import re
import shlex
from collections.abc import Sequence
from typing import Any

from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData
from tfxmr.data.memmap import MappedMatrix
from tfxmr.evaluation import named
from tfxmr.evaluation.chance import chance_level
from tfxmr.evaluation.protocol import PRESETS, Protocol, ProtocolOptions, Task, UnseenOptions
from tfxmr.evaluation.retrieval import map_name
from tfxmr.runs import job

FIRST = ("danzcr", "sm", "cca", "dscmr", "acmr")  # that are shown as commands, of those that fit
WITHOUT_CLASSES = ("modality_invariant", "cca", "dcca", "corr_ae")
SHOWN = 3  # of them


def protocols(data: MultiModalData, unseen: UnseenOptions) -> list[tuple[list[str], Protocol | None, str]]:
    """The presets, those that ask the same of the data together, with the Protocol, or None and why there is none.

    Args:
      data: MultiModalData.
      unseen: which classes zero-shot protocols hold unseen.
    """
    found: dict[Any, tuple[list[str], Protocol | None, str]] = {}
    chosen = {field.name: getattr(unseen, field.name) for field in dataclasses.fields(unseen)}
    for name in PRESETS:
        protocol, why = None, ""
        if "test" not in data.splits:
            why = "there are no test items; draw some by --split=random --split_sizes=0.8,0,0.2, or name some"
        else:
            try:
                protocol = ProtocolOptions(protocol=name, **chosen).make(data)
                protocol.tasks(data)
            except InputError as error:
                protocol, why = None, _reason(error, f"protocol {name}")
        same = why or (protocol and (protocol.gallery, protocol.unseen, protocol.generalised, protocol.cut,
                                     protocol.denominator))
        found.setdefault(same, ([], protocol, why))[0].append(name)
    return list(found.values())


def chances(protocol: Protocol, data: MultiModalData) -> list[dict[str, Any]]:
    """What a random ranking scores in each task: rows of task, classes, queries, gallery and metrics, as expected."""
    return [_chance(protocol, task, data.instances) for task in protocol.tasks(data)]


def _chance(protocol: Protocol, task: Task, instances: bool) -> dict[str, Any]:
    labels, own = (task.query_labels, task.gallery_labels), task.query_ids is not None
    row: dict[str, Any] = {
        "task": task.name, "classes": task.classes, "queries": len(labels[0]), "gallery": len(labels[1]),
        map_name(protocol): chance_level(*labels, protocol.cut, protocol.denominator, own=own),
    }
    return row | ({name: named.chance_of(name, *labels, own=own) for name in named.INSTANCE} if instances else {})


def methods(data: MultiModalData, protocol: Protocol) -> list[dict[str, Any]]:
    """Each method by its default settings: name, whether it can be trained on the data, and if not, why.

    Of more than two modalities, one model a pair is trained by most, as a run does, and each pair has to fit. What a
    run does before it trains is done here without reading features where it does not look at them: the method's
    own refusals are what is told.

    Args:
      data: MultiModalData.
      protocol: says which classes are trained on.

    Returns:
      Rows of method, fits, classes ("seen" or "seen, unseen") and why, by name; those that fit first.
    """
    mapped = {
        name: dataclasses.replace(split, features={view: MappedMatrix([x]) if not isinstance(x, MappedMatrix) else x
                                                   for view, x in split.features.items()})
        for name, split in data.splits.items()
    }
    data = dataclasses.replace(data, splits=mapped)
    rows = [
        {"method": name, "fits": "no" if why else "yes", "classes": "seen, unseen" if method.zero_shot else "seen",
         "why": why}
        for name, method in registry.methods() for why in [_refusal(name, method, data, protocol)]
    ]
    return sorted(rows, key=lambda row: (row["fits"] == "no", row["method"]))


def _refusal(name: str, method: type[Any], data: MultiModalData, protocol: Protocol) -> str:
    """Why a method cannot be trained; "" if it can."""
    settings = method.Settings()
    if data.instances and getattr(method, "supervised", False):
        return "learns from classes, of which there are none"
    if data.multi_label and not method.multi_label:  # without the names of others, which stand in this table
        return "learns from one class an item"
    if job.one_a_pair(method, settings, data):
        chosen = job.pairs(method, settings, data)
        refused = [(pair, why) for pair in chosen if (why := _refusal(name, method, data.only(pair), protocol))]
        if chosen:
            return f"{'-'.join(refused[0][0])}: {refused[0][1]}" if refused else ""
    try:
        read = job.named(method, data, settings)
        training = protocol.training_data(read)
        settings, _ = job.fit_batch(settings, training)
        # Without its networks, which its own checks do not look at, and which take seconds and TensorFlow.
        probe = object.__new__(method)
        for attribute, value in (("settings", settings), ("_name", name), ("name", name)):
            with contextlib.suppress(AttributeError):  # of a property, which reads the one before
                object.__setattr__(probe, attribute, value)
        probe.check(training)
    except InputError as error:
        return _reason(error, name)
    return ""


def _reason(error: InputError, name: str) -> str:
    """A refusal without the name that stands before it already."""
    return re.sub(rf"^(--protocol={re.escape(name.removeprefix('protocol '))}|{re.escape(name)}):? ", "", str(error))


def commands(
    flags: Sequence[str], protocol: str, rows: Sequence[dict[str, Any]], instances: bool = False,
) -> list[str]:
    """Command lines that train methods which fit on these data, and put them into a table.

    Args:
      flags: that name the data.
      protocol: its name.
      rows: as `methods` gives them.
      instances: True if there are no classes.
    """
    fitting = [row["method"] for row in rows if row["fits"] == "yes"]
    first = WITHOUT_CLASSES if instances else FIRST
    chosen = ([name for name in first if name in fitting] or fitting)[:SHOWN]
    lines = [
        shlex.join(["tfxmr", "train", f"--model={name}", *flags, f"--protocol={protocol}",
                    f"--run_dir=runs/card/{name}"])
        for name in chosen
    ]
    return lines + (["tfxmr compare runs/card"] if lines else [])
