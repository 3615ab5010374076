"""Finds methods by the name of their file: one method, one module of tfxmr/models or tfxmr/baselines."""
import importlib
import pkgutil

from tfxmr.errors import InputError

PACKAGES = ("tfxmr.models", "tfxmr.baselines")


def names(package=None):
    """Names of the methods of one package, or of all: every module but `base`."""
    found = []
    for name in (package,) if package else PACKAGES:
        modules = pkgutil.iter_modules(importlib.import_module(name).__path__)
        found += [m.name for m in modules if m.name != "base" and not m.name.startswith("_")]
    return sorted(found)


def readers(views):
    """Names of the methods that declare which views they read, all of them among `views`; see Method.inputs."""
    declared = {name: getattr(get(name), "inputs", ()) for name in names()}
    return [name for name, inputs in declared.items() if inputs and set(inputs) <= set(views)]


def get(name, package=None):
    """The class of a method: the one subclass of the package's base that its module defines.

    Args:
      name: module name, "danzcr".
      package: "tfxmr.models" or "tfxmr.baselines"; None looks in both.

    Raises:
      InputError: no such method; the message lists those there are.
    """
    for folder in (package,) if package else PACKAGES:
        if name in names(folder):
            module = importlib.import_module(f"{folder}.{name}")
            base = importlib.import_module(f"{folder}.base")
            kind = base.Method if folder == "tfxmr.models" else base.Baseline
            return next(
                value
                for value in vars(module).values()
                if isinstance(value, type) and issubclass(value, kind) and value.__module__ == module.__name__
            )
    raise InputError(f"--model={name}: no such method; there are {', '.join(names(package))}")
