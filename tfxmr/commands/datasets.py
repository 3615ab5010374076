"""Lists the data sets, or tells of those that are named: items, features, splits, word vectors, files."""
import importlib
import pathlib
from collections.abc import Sequence

import tfxmr.extraction
from tfxmr.commands import models
from tfxmr.core import display
from tfxmr.extraction.dataset import Dataset

KINDS = {"image_features": "image", "text_features": "text", "text_items": "texts"}  # flag -> label


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr datasets [NAME ...]`."""
    words = models.names(arguments, "datasets")
    found = {name: tfxmr.extraction.get(name) for name in words}
    for place, (name, dataset) in enumerate(found.items()):
        print(end="\n" * (place > 0))
        models.show(details(name, dataset))
    if words:
        return
    known = tfxmr.extraction.datasets()
    if display.is_terminal():
        display.table(["name", "what it is"], [[name, dataset.description] for name, dataset in known.items()])
        display.say("\n`tfxmr datasets NAME` tells all of a data set.", 0)
        return
    for name, dataset in known.items():
        print(f"{name:15} {dataset.describe()}")


def details(name: str, dataset: Dataset) -> dict[str, str]:
    """Label -> text of all that is said of a data set, its name and description first."""
    facts = {name: dataset.description}
    for flag, label in KINDS.items():
        offered = getattr(dataset, flag)
        default = f", by default {offered[0]}" if len(offered) > 1 else ""
        facts[label] = f"--{flag}={'|'.join(offered)}{default}" if offered else ""
    splits = [f"--split={'|'.join(dataset.splits)}, by default {dataset.splits[0]}"] if dataset.splits else []
    splits += [f"re-split by --split={'|'.join(dataset.resplits)}"] if dataset.resplits else []
    vectors = "brings word vectors of their names" if dataset.class_vectors else "--word_vectors=FILE for zero-shot"
    page = _page(dataset)
    return facts | {
        "views": f"also {', '.join(dataset.views)}" if dataset.views else "",
        "splits": "; ".join(splits),
        "classes": "none: an item is found by its counterpart" if dataset.instances else vectors,
        "fitted on": dataset.fitted_on,
        "media": f"`tfxmr extract --dataset={name}` reads its images and texts" if dataset.has_media else "",
        "files": f"`tfxmr prepare --dataset={name}` says which are missing, and where they belong",
        "page": page,
    }


def _page(dataset: Dataset) -> str:
    """Where its page is; "" of one's own data."""
    if not dataset.package:
        return ""
    path = pathlib.Path(str(importlib.import_module(dataset.package).__file__)).resolve().with_name("README.md")
    here = pathlib.Path.cwd()
    return str(path.relative_to(here) if path.is_relative_to(here) else path) if path.is_file() else ""
