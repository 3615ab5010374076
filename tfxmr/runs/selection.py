"""Selection on validation: what a run holds out, and by what its steps are compared. It never sees a test item."""
import dataclasses

import numpy as np

from tfxmr import evaluation
from tfxmr.core import classes
from tfxmr.core.settings import Settings
from tfxmr.data import MultiModalData, Split
from tfxmr.evaluation.protocol import Protocol, Task
from tfxmr.evaluation.retriever import Retriever
from tfxmr.runs import results
from tfxmr.runs.options import RunOptions

RECALLS = ("hit@1", "hit@5", "hit@10")  # that count on data without classes, as in VSE++ (Faghri et al., BMVC 2018)
SHARE = 0.1  # of the training items, held out where a run needs some and nothing else is said


def selects(settings: Settings) -> bool:
    """True if a method with these settings keeps the weights that are best on validation items, see `score`."""
    return getattr(settings, "select", "last") == "validation"


def held_out(protocol: Protocol, settings: Settings, data: MultiModalData, options: RunOptions) -> float:
    """The share of the training items that a run holds out for validation: what is asked for, or else what is needed.

    Where nothing is asked for and the data have no validation split, a run that selects on validation, or a trial of a
    search, holds out `SHARE`, of small data at least one item.

    Args:
      protocol: tfxmr.evaluation.protocol.Protocol.
      settings: the method's settings.
      data: MultiModalData.
      options: tfxmr.runs.run.RunOptions.

    Returns:
      float in [0, 1].
    """
    needed = selects(settings) or not options.test
    if options.validation_fraction or "validation" in data.splits or not needed:
        return options.validation_fraction
    labels = data.splits["train"].labels.values()
    smallest = min(len(of_modality) - classes.having(of_modality, protocol.unseen).sum() for of_modality in labels)
    return max(SHARE, 1 / max(1, int(smallest)))


def training_data(
    protocol: Protocol, settings: Settings, data: MultiModalData, options: RunOptions
) -> MultiModalData:
    """What a run trains on, as Protocol.training_data gives it, with the items that it holds out for validation.

    Args: as in `held_out`.
    """
    return protocol.training_data(data, held_out(protocol, settings, data, options), options.seed)


def describe(
    protocol: Protocol, settings: Settings, data: MultiModalData, options: RunOptions, training: MultiModalData
) -> str:
    """Says in a few lines what will be measured and what is trained on, as results.describe does, and what is held out.

    Args: as in `held_out`, the protocol as `declare` gives it; `training` as `training_data` gives it.
    """
    lines = [results.describe(data, protocol, training)]
    if protocol.held_out:
        why = "" if options.validation_fraction else (
            f", a share of {protocol.held_out:g}, as dataset {data.name} has no validation split and "
            + ("--select=validation needs one" if selects(settings) else "a search compares its trials on one")
        )
        lines.append(f"held out   {training.size('validation')} for validation{why}")
    return "\n".join(lines)


def declare(protocol: Protocol, settings: Settings, data: MultiModalData, options: RunOptions) -> Protocol:
    """The protocol, stating what a run chooses the training step on and the share that it holds out.

    Args: as in `held_out`.
    """
    selected_on = "validation" if selects(settings) else "none"
    return dataclasses.replace(
        protocol, selected_on=selected_on, held_out=held_out(protocol, settings, data, options)
    )


def validation_tasks(data: MultiModalData) -> list[Task]:
    """Retrieval within the validation split of training data, in every direction."""
    return Protocol("standard", "validation").tasks(data, "validation")


def measured(data: MultiModalData) -> str:
    """What results.json calls the metric by which steps and trials of training data are compared, see `score`."""
    return "validation_recalls" if data.instances else "validation_mAP"


def score(retriever: Retriever, tasks: list[Task], protocol: Protocol, data: MultiModalData) -> float:
    """The metric by which steps and trials are compared: mean mAP, or on data without classes the sum of recalls.

    Args:
      retriever: tfxmr.evaluation.Retriever.
      tasks: as `validation_tasks` gives them.
      protocol: tfxmr.evaluation.protocol.Protocol, whose similarity applies.
      data: the training data.

    Returns:
      `mean_map`, in [0, 1]; or the sum over all tasks of `RECALLS`, in [0, 6] for images and sentences.
    """
    training = data.splits["train"]
    if not data.instances:
        return mean_map(retriever, tasks, protocol, training)
    found = evaluation.evaluate(retriever, tasks, protocol, training, RECALLS)
    return float(sum(result["value"] for result in found if result["metric"] in RECALLS))


def mean_map(retriever: Retriever, tasks: list[Task], protocol: Protocol, training: Split) -> float:
    """The mean over all tasks of their mAP.

    Args:
      retriever: tfxmr.evaluation.Retriever.
      tasks: as `validation_tasks` gives them.
      protocol: tfxmr.evaluation.protocol.Protocol, whose similarity applies.
      training: Split of the training items, for protocols that normalise by them.
    """
    return float(np.mean([result["value"] for result in evaluation.evaluate(retriever, tasks, protocol, training)]))
