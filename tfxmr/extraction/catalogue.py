"""The data sets by name: those of the folders of tfxmr_datasets, and the kinds of one's own data."""
import importlib
import importlib.util
import pkgutil
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.names import meant
from tfxmr.data.multimodal import MultiModalData
from tfxmr.extraction.dataset import Dataset, Request

PACKAGE = "tfxmr_datasets"  # of whose folders each that has a module `dataset` holds a data set, or several
OWN = ("tfxmr.extraction.matrices", "tfxmr.extraction.folder")
OWN_NAMES = ("npz", "folder", "imported")  # of data whose name does not say what they are; see MultiModalData.title


def datasets() -> dict[str, Dataset]:
    """The data sets by their --dataset names, in the order in which they are listed; imports no TensorFlow."""
    # Imported by name: the folders stand above this module, and a new one is found without an edit.
    folders = sorted(m.name for m in pkgutil.iter_modules(importlib.import_module(PACKAGE).__path__) if m.ispkg)
    modules = [f"{PACKAGE}.{folder}.dataset" for folder in folders]
    modules = [*filter(importlib.util.find_spec, modules), *OWN]
    found = (value for name in modules for value in vars(importlib.import_module(name)).values())
    return {value.name: value for value in found if isinstance(value, Dataset)}


def names() -> tuple[str, ...]:
    """The names that --dataset takes."""
    return tuple(datasets())


def find(name: str) -> Dataset | None:
    """The data set of a name, which may be that of one's own data; None if there is none."""
    return datasets().get(name)


def get(name: str) -> Dataset:
    """As `find`. Raises InputError, which lists those there are, if there is none."""
    found = datasets()
    if name not in found:
        raise InputError(f"--dataset={name}: no such dataset{meant(name, found)}; there are {', '.join(found)}")
    return found[name]


def load(name: str, **asked: Any) -> MultiModalData:
    """Loads a data set as arrays; builds it first where it is not built yet.

    Args:
      name: one of `names`.
      **asked: fields of tfxmr.extraction.Request, such as data_dir and split.

    Raises:
      InputError: unknown names, missing or malformed files, or a split that the data set does not allow.
    """
    return get(name).load(Request(**asked))
