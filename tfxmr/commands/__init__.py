"""The commands, one thin file each: parse flags, call the library, print."""
import ast
import importlib
import pathlib
import pkgutil
from collections.abc import Callable
from typing import Any


def names() -> list[str]:
    """Names of the commands."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def load(name: str) -> Callable[[Any], int | None]:
    """The function `main` of a command, which takes its arguments and returns the exit status, or None for 0."""
    return importlib.import_module(f"{__name__}.{name}").main


def about(name: str) -> str:
    """What a command does, a line. It is read, not imported: nobody waits for the modules of all commands."""
    source = pathlib.Path(*__path__, f"{name}.py").read_text(encoding="utf-8")
    return str(ast.get_docstring(ast.parse(source))).splitlines()[0]
