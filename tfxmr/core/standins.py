"""Imports of tfxmr's modules without the libraries that they import, for what can be known without these."""
import contextlib
import importlib.abc
import importlib.machinery
import sys
from collections.abc import Iterator, Sequence
from types import ModuleType
from typing import Any

# Imported as they are: Python's own, tfxmr's, and NumPy, of which every module takes constants.
REAL = {*sys.stdlib_module_names, "tfxmr", "tfxmr_flags", "tfxmr_datasets", "numpy"}
OWN = ("tfxmr.", "tfxmr_flags.", "tfxmr_datasets.")


class Standin:
    """Stands for whatever a library holds: has every attribute, can be called, annotates, decorates, is a base class.

    As a decorator it gives back what it decorates; as a base class it adds nothing.

    >>> tf = Standin()
    >>> class Layer(tf.keras.layers.Layer):
    ...     units = 3
    >>> Layer.__mro__ == (Layer, object), tf.function(len) is len, isinstance(tf.Tensor | None, Standin)
    (True, True, True)
    """

    __iter__ = None  # else Python would count through __getitem__ without an end

    def __getattr__(self, name: str) -> "Standin":
        if name.startswith("__"):
            raise AttributeError(name)
        return Standin()

    def __call__(self, *arguments: Any, **named: Any) -> Any:
        """What it is given, if that is one function or class alone; else a stand-in."""
        decorates = len(arguments) == 1 and not named and callable(arguments[0]) and not _is_standin(arguments[0])
        return arguments[0] if decorates else Standin()

    def __mro_entries__(self, bases: tuple) -> tuple:
        return ()

    def __getitem__(self, key: Any) -> "Standin":
        return self

    def __or__(self, other: Any) -> "Standin":
        return self

    __ror__ = __or__


class StandinModule(ModuleType):
    """A module, and package, whose attributes are stand-ins."""

    __path__: list[str] = []

    def __getattr__(self, name: str) -> Standin:
        if name.startswith("__"):
            raise AttributeError(name)
        return Standin()


class _Finder(importlib.abc.MetaPathFinder, importlib.abc.Loader):
    """Finds a stand-in for every module of a library that is not imported yet."""

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> importlib.machinery.ModuleSpec | None:
        """The spec of a stand-in; None of modules that are imported as they are."""
        known = name.partition(".")[0] in REAL
        return None if known else importlib.machinery.ModuleSpec(name, self, is_package=True)

    def create_module(self, spec: importlib.machinery.ModuleSpec) -> ModuleType:
        """A stand-in."""
        return StandinModule(spec.name)

    def exec_module(self, module: ModuleType) -> None:
        """Nothing."""


_kept: dict[str, ModuleType] = {}  # what was imported with stand-ins, and the stand-ins


@contextlib.contextmanager
def imported() -> Iterator[None]:
    """Within it, modules of tfxmr that are not imported yet are imported with stand-ins for libraries.

    Afterwards sys.modules has none of them, so that the next import is the real one; what holds such a module, or a
    class of it, keeps it. Modules that were imported for real before are taken as they are. Not for several threads.
    """
    before = {*sys.modules}
    finder = _Finder()
    for name, module in _kept.items():
        if name not in before:
            _put(name, module)
    sys.meta_path.insert(0, finder)
    try:
        yield
    finally:
        sys.meta_path.remove(finder)
        for name in {*sys.modules} - before:
            if name.startswith(OWN) or _is_standin(sys.modules[name]):
                _kept[name] = _take(name)


def _put(name: str, module: ModuleType) -> None:
    """Makes a module that was imported before importable as it is."""
    sys.modules[name] = module
    package, _, last = name.rpartition(".")
    if package in sys.modules:
        setattr(sys.modules[package], last, module)


def _take(name: str) -> ModuleType:
    """Takes a module out of sys.modules, and out of its package, where `from package import name` looks first."""
    module = sys.modules.pop(name)
    package, _, last = name.rpartition(".")
    if vars(sys.modules.get(package, module)).get(last) is module:
        delattr(sys.modules[package], last)
    return module


def _is_standin(value: Any) -> bool:
    return isinstance(value, Standin | StandinModule)
