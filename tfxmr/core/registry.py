"""Finds methods by the name of their file in tfxmr/models or tfxmr/baselines, one method a file, or by MODULE:CLASS.

`get` gives a method to work with. `outline` gives the same class for its settings, facts and refusals, without the
seconds that its libraries take.
"""
import dataclasses
import importlib
import pkgutil
import sys
from collections.abc import Iterator
from typing import Any

from tfxmr.core import display, outside, settings, standins
from tfxmr.core.errors import InputError
from tfxmr.core.names import meant

PACKAGES = {"tfxmr.models": "Method", "tfxmr.baselines": "Baseline"}  # and the base class of each, in its module `base`


def names(package: str | None = None) -> list[str]:
    """Names of the methods of one package, or of all: every module but `base` and those whose names start with `_`."""
    found = []
    for name in (package,) if package else PACKAGES:
        modules = pkgutil.iter_modules(importlib.import_module(name).__path__)
        found += [m.name for m in modules if m.name != "base" and not m.name.startswith("_")]
    return sorted(found)


def methods() -> Iterator[tuple[str, type[Any]]]:
    """Yields the name and `outline` of each method, and warns of a module that holds none."""
    for name in names():
        try:
            yield name, outline(name)
        except InputError as error:
            display.say(f"tfxmr: warning: skipped: {error}", 2, sys.stderr)


def readers(views: list[str]) -> list[list[str]]:
    """The flags of methods that read views by their names, all of them among `views`; see Trained.reads.

    By a method's defaults, or with one setting changed.

    Returns:
      list of lists of flags, such as ["--model=cbt", "--encoder=cbt"].
    """
    found = []
    for name, method in methods():
        default = method.Settings()
        changes: list[tuple[list[str], dict[str, Any]]] = [([], {})]
        changes += [([f"--{f.name}={c}"], {f.name: c}) for f in dataclasses.fields(default)
                    if isinstance(f.default, str) for c in settings.choices_of(f) or ()]
        changes += [([f"--{f.name}"], {f.name: True}) for f in dataclasses.fields(default) if f.default is False]
        for flags, change in changes:
            try:
                inputs = method.reads(dataclasses.replace(default, **change))
            except InputError:  # settings that do not go with the other defaults
                continue
            if inputs and set(inputs) <= set(views):
                found.append([f"--model={name}", *flags])
                break
    return found


def get(name: str, package: str | None = None) -> type[Any]:
    """The class of a method: the one subclass of the package's base that its module defines.

    Args:
      name: module name, "danzcr"; or, of a method outside the packages, MODULE:CLASS, "my_package.my_module:MyMethod",
        where the current folder is importable as for `python -m`.
      package: "tfxmr.models" or "tfxmr.baselines"; None looks in both.

    Raises:
      InputError: no such method, the message lists those there are; or no such module or class.
    """
    if ":" in name and package is None:
        return _outside(name)
    for folder in (package,) if package else PACKAGES:
        if name in names(folder):
            return _of_file(folder, name)
    own = "" if package else "; a class of your own is written MODULE:CLASS, such as my_package.my_module:MyMethod"
    known = names(package)
    raise InputError(f"--model={name}: no such method{meant(name, known)}; there are {', '.join(known)}{own}")


def outline(name: str) -> type[Any]:
    """The class of a method for what it says of itself: Settings, reads, paper and the like; it makes no networks.

    Its file is imported with stand-ins for the libraries that it imports, TensorFlow first of all. A method outside the
    packages, one that is imported already, and one whose file asks more of a library than a stand-in has, is as `get`
    gives it.

    Args:
      name: as for `get`.

    Raises:
      InputError: as `get`.
    """
    folder = next((folder for folder in PACKAGES if name in names(folder)), None)
    if folder is None or "tensorflow" in sys.modules or f"{folder}.{name}" in sys.modules:
        return get(name)
    try:
        with standins.imported():
            return _of_file(folder, name)
    # Whatever an author's code does with a stand-in, or wrong by itself: then `get` shows it. And a method whose shared
    # parts were imported with stand-ins before their base was imported for real: it seems to derive from another base.
    except Exception:
        return get(name)


def name_of(method_class: type) -> str:
    """The name by which `get` finds a method's class: that of its file, or outside the packages MODULE:CLASS."""
    package, _, module = method_class.__module__.rpartition(".")
    return module if package in PACKAGES else f"{method_class.__module__}:{method_class.__qualname__}"


def _of_file(folder: str, name: str) -> type[Any]:
    """The class of the method in a file of a package. Raises InputError if it defines none."""
    module = importlib.import_module(f"{folder}.{name}")
    for value in vars(module).values():
        if _is_method(value, _base(folder)) and value.__module__ == module.__name__:
            return value
    raise InputError(
        f"--model={name}: {folder}.{name} defines no {PACKAGES[folder]}; call a file of shared parts _{name}.py"
    )


def _base(package: str) -> type[Any]:
    """The base class of a package's methods."""
    return getattr(importlib.import_module(f"{package}.base"), PACKAGES[package])


def _is_method(value: object, *bases: type) -> bool:
    """True for a class that is derived from one of the bases, and none of them."""
    return isinstance(value, type) and issubclass(value, bases) and value not in bases


def _outside(name: str) -> type[Any]:
    """The class MODULE:CLASS. Raises InputError if it cannot be imported, or is no method."""
    module, class_name = outside.module_of("model", name, "my_package.my_module:MyMethod")
    bases = [_base(package) for package in PACKAGES]
    value: Any = getattr(module, class_name, None)
    if not _is_method(value, *bases):
        there = [n for n, v in vars(module).items() if _is_method(v, *bases)]
        what = "is not there" if value is None else f"is no subclass of {' or '.join(PACKAGES.values())}"
        raise InputError(
            f"--model={name}: {class_name} {what}; the methods of {module.__name__}: {', '.join(there) or 'none'}"
        )
    plain = [field.name for field in dataclasses.fields(value.Settings) if "help" not in field.metadata]
    if plain:
        raise InputError(f"--model={name}: the setting {plain[0]} is made without tfxmr.core.settings.setting(...)")
    return value
