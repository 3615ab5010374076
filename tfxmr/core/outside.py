"""Classes and functions of a user's own, named on the command line as MODULE:CLASS."""
import importlib
import os
import sys
import types

from tfxmr.core.errors import InputError


def module_of(flag: str, name: str, example: str) -> tuple[types.ModuleType, str]:
    """Imports the module of MODULE:CLASS, where the current folder is importable as for `python -m`.

    Args:
      flag: that the name was given to, without dashes.
      name: MODULE:CLASS.
      example: such a name, for the message.

    Returns:
      (The module, the class's name, which need not be there.)

    Raises:
      InputError: it is no such name, or the module is missing or cannot be imported.
    """
    module_name, _, class_name = name.partition(":")
    if not all(part.isidentifier() for part in [*module_name.split("."), class_name]):
        raise InputError(
            f"--{flag}={name}: write a module's name, with dots and without .py, a colon and a class, such as {example}"
        )
    if (here := os.getcwd()) not in sys.path:
        sys.path.insert(0, here)  # where `python -m` looks first, too
    try:
        return importlib.import_module(module_name), class_name
    except Exception as error:  # the module is its author's, and may raise whatever it likes
        if isinstance(error, ModuleNotFoundError) and f"{module_name}.".startswith(f"{error.name}."):
            raise InputError(
                f"--{flag}={name}: there is no module {error.name}; it is looked for in {here}, PYTHONPATH and what is "
                "installed"
            ) from error
        what = f"{type(error).__name__}: {error}".splitlines()[0]
        raise InputError(
            f"--{flag}={name}: importing the module fails ({what}); `python -c 'import {module_name}'` shows where"
        ) from error
