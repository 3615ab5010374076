"""What every data set keeps to, whichever folder of datasets/ it is in: a new one is asked without an edit here.

Of a data set that needs official files the invented ones in its folder's dummy_data are loaded; the context manager
`small` in the test of its builder, where there is one, makes the official sizes those of these files.
"""
import contextlib
import dataclasses
import importlib
import importlib.util
import itertools
import pathlib
import pkgutil
import re
import socket
import subprocess
import sys
from unittest import mock

import numpy as np
import pytest
import tfxmr_datasets

from tfxmr.core.errors import InputError
from tfxmr.data.splits import SplitRule
from tfxmr.data.views import is_default
from tfxmr.extraction import Request, catalogue

FOLDERS = [name for name, dataset in catalogue.datasets().items() if dataset.package]


@contextlib.contextmanager
def without_network():
    """Fails where a host is looked up or connected to."""
    refuse = mock.Mock(side_effect=AssertionError("the network was asked"))
    with mock.patch.object(socket.socket, "connect", refuse), mock.patch.object(socket, "getaddrinfo", refuse):
        yield


def keeps_all(dataset, tmp_path):
    """Raises AssertionError with what a data set breaks."""
    folder = pathlib.Path(importlib.import_module(dataset.package).__path__[0])
    describes_itself(dataset, folder)
    tests = f"{dataset.package}.{folder.name}_dataset_builder_test"
    small = getattr(importlib.import_module(tests), "small", contextlib.nullcontext)
    places = {"data_dir": tmp_path, "manual_dir": folder / "dummy_data" if needs_files(dataset) else None}
    with small(), without_network():
        texts = itertools.cycle(dataset.text_items or [None])  # each kind with some split: all of both would take long
        for split, text_items in zip(dataset.splits or [None], texts, strict=False):
            asked = Request(**places, split=SplitRule(split), text_items=text_items, views=dataset.views)
            data = dataset.load(asked)
            holds_what_it_declares(dataset, data)
            lists_the_items_that_it_loads(dataset, data, asked)
            shows_what_ids_name(dataset, data, asked)
        refuses_what_it_has_not(dataset, Request(**places))


def needs_files(dataset):
    return bool(dataset.builder_class().MANUAL_DOWNLOAD_INSTRUCTIONS)


def describes_itself(dataset, folder):
    """A line, where it is from, whose it is, and what may be done with it."""
    assert re.fullmatch(r"[a-z][a-z0-9_]*", dataset.name) and dataset.describe().isprintable()
    assert len(dataset.description) > 20 and dataset.describe().startswith(dataset.description)
    assert dataset.builder_class().name == folder.name
    readme, citations, tags = ((folder / name).read_text() for name in ("README.md", "CITATIONS.bib", "TAGS.txt"))
    assert re.search(r"^Licence: .{10}", readme, re.M), "README.md says nothing on the licence"
    assert re.search(r"^@\w+\{.+,$", citations, re.M) and re.search(r"\bauthor\s*=", citations)
    assert "content.data-type.image" in tags
    assert (folder / "dummy_data").is_dir() == needs_files(dataset)
    assert all(SplitRule(name, seed=1) for name in dataset.resplits)  # which refuses what is no draw
    assert not {"official", "random", "pku462"} & set(dataset.splits)


def holds_what_it_declares(dataset, data):
    """Splits with items, each of one name and a class that there is; the views that are asked for; facts on each."""
    assert data.name == dataset.name and data.media == dataset.has_media and data.instances == dataset.instances
    assert {"train", "test"} <= set(data.splits) <= {"train", "validation", "test"}
    assert set(dataset.views) == {view for view in data.views if not is_default(view)}
    assert bool(data.class_names) != data.instances and (data.class_embeddings is not None) == dataset.class_vectors
    for split in data.splits.values():
        for m in split.modalities:
            labels, ids = split.labels[m], split.ids[m]
            assert len(ids) == len(labels) > 0 and labels.min() >= 0 and labels.max() < data.num_classes
            assert len(set(ids)) == (len(split.items_of(m)[0]) if m in data.repeated else len(ids))
        for view in split.views:
            assert len(split.features[view]) == len(split.labels[view.partition(".")[0]])
            assert np.isfinite(split.features[view][:]).all()
    assert all(data.features[view]["name"] and data.features[view]["source"] for view in data.views)
    assert dataset.fitted_on


def lists_the_items_that_it_loads(dataset, data, asked):
    """Items as they are extracted are those of the data set's own features: ids, classes and splits."""
    if not dataset.has_media:
        return
    listed = dataset.items(asked)
    assert list(listed.splits) == list(data.splits) and listed.class_names == data.class_names
    for name, split in data.splits.items():
        for m in split.modalities:
            pairs = [sorted(zip(s.ids[m], s.labels[m].tolist(), strict=True)) for s in (split, listed.splits[name])]
            assert pairs[0] == pairs[1]


def shows_what_ids_name(dataset, data, asked):
    """Images and texts by their ids, in the order of these; nothing of an id that there is not."""
    if not dataset.has_media:
        with pytest.raises(InputError, match=f"--dataset={dataset.name}: has no images and texts"):
            dataset.reader(asked)
        return
    read = dataset.reader(asked)
    for m in data.modalities:
        ids = list(dict.fromkeys(data.splits["test"].ids[m]))[:2]
        found = list(read(m, ids))
        for item in found:
            # A text may be empty: an image of nus_wide without any of the tags.
            assert item.dtype == np.uint8 and item.shape[2:] == (3,) if m == "image" else isinstance(item, str)
        for item, other in zip(found, reversed(list(read(m, ids[::-1]))), strict=True):
            np.testing.assert_array_equal(item, other)


def refuses_what_it_has_not(dataset, asked):
    """An error that names the flag, before anything is read."""
    for change, message in (
        ({"split": SplitRule("nonesuch")}, f"--split=nonesuch: dataset {dataset.name} has official, "),
        ({"image_features": "nonesuch"}, f"--image_features=nonesuch: dataset {dataset.name} has "),
        ({"features": "DIR"}, f"--dataset={dataset.name} --features=DIR: "),
    ):
        with pytest.raises(InputError, match=message):
            dataset.load(Request(**{**vars(asked), **change}))


@pytest.mark.parametrize("name", FOLDERS)
def test_contract(name, tmp_path):
    keeps_all(catalogue.get(name), tmp_path)


class ByRow(type(catalogue.get("scenes"))):
    """Shows the first item for any first id: what a module does that goes by rows."""

    def reader(self, request):
        read = super().reader(request)
        return lambda modality, ids: read(modality, sorted(ids))


class OtherItems(type(catalogue.get("scenes"))):
    """Lists items of other classes than it loads."""

    def listed(self, request):
        data = self.arrays(request)
        splits = {
            name: dataclasses.replace(split, labels={m: labels[::-1] for m, labels in split.labels.items()})
            for name, split in data.splits.items()
        }
        return dataclasses.replace(data, splits=splits)


SCENES = type(catalogue.get("scenes"))
MUTANTS = {  # what is broken -> the values that change, the class, and the rule that finds it
    "a view that it does not make": ({"views": ("image.regions", "image.others")}, SCENES, holds_what_it_declares),
    "no word on what features are fitted on": ({"fitted_on": ""}, SCENES, holds_what_it_declares),
    "other items": ({}, OtherItems, lists_the_items_that_it_loads),
    "media by row": ({}, ByRow, shows_what_ids_name),
    "a name with a space": ({"name": "some scenes"}, SCENES, describes_itself),
}


@pytest.mark.parametrize("mutant", MUTANTS)
def test_broken_data_sets_are_found(mutant, tmp_path):
    """Guards against a contract that holds of anything."""
    change, made, rule = MUTANTS[mutant]
    with pytest.raises(AssertionError) as error:
        keeps_all(made(**{**vars(catalogue.get("scenes")), **change}), tmp_path)
    assert rule.__name__ in [entry.name for entry in error.traceback]


def test_every_folder_holds_a_data_set():
    """Guards against a builder that no --dataset reaches, and against two data sets of one name."""
    folders = {m.name for m in pkgutil.iter_modules(tfxmr_datasets.__path__) if m.ispkg}
    assert {dataset.package.rpartition(".")[2] for dataset in catalogue.datasets().values()} == folders | {""}
    modules = [importlib.import_module(f"tfxmr_datasets.{folder}.dataset") for folder in folders]
    held = [v.name for module in modules for v in vars(module).values() if isinstance(v, catalogue.Dataset)]
    assert sorted([*held, "npz", "folder", "features"]) == sorted(catalogue.names())


def test_own_data_are_described():
    for name in ("npz", "folder", "features"):
        assert catalogue.get(name).describe().startswith("your own" if name != "features" else "what `tfxmr extract`")


LIGHT = """
import contextlib, sys
from tfxmr.__main__ import main
for command in (["datasets"], ["--help"], ["prepare", "--help"], ["extract", "--help"], ["import", "--help"]):
    with contextlib.suppress(SystemExit):
        main(command)
    heavy = [name for name in ("tensorflow", "keras", "tensorflow_datasets") if name in sys.modules]
    assert not heavy, (command, heavy)
"""


def test_lists_import_no_tensorflow():
    """Guards against seconds of imports for the names of data sets and commands, and for the choices of flags."""
    done = subprocess.run([sys.executable, "-c", LIGHT], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert all(f"\n{name} " in f"\n{done.stdout}" for name in FOLDERS) and "\n  train " in done.stdout
    assert f"(one of {', '.join(name for name, d in catalogue.datasets().items() if d.has_media)})" in " ".join(done.stdout.split())
