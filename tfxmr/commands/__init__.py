"""The commands, one thin file each: parse flags, call the library, print."""
import ast
import contextlib
import importlib
import pathlib
import pkgutil
from collections.abc import Sequence

from tfxmr.core import standins

HELP = ("--help", "-h", "--helpfull")


def names() -> list[str]:
    """Names of the commands."""
    return sorted(module.name for module in pkgutil.iter_modules(__path__))


def run(name: str, arguments: Sequence[str]) -> int:
    """Runs a command. Returns its exit status.

    Its help needs none of the libraries that its work needs, so it is asked with stand-ins for them.
    """
    if {*arguments} & {*HELP}:
        # SystemExit ends it. Whatever else happens shows itself again, by the libraries themselves.
        with contextlib.suppress(Exception), standins.imported():
            _main(name, arguments)
    return _main(name, arguments)


def _main(name: str, arguments: Sequence[str]) -> int:
    return importlib.import_module(f"{__name__}.{name}").main(arguments) or 0


def about(name: str) -> str:
    """What a command does, a line. It is read, not imported: nobody waits for the modules of all commands."""
    source = pathlib.Path(*__path__, f"{name}.py").read_text(encoding="utf-8")
    return str(ast.get_docstring(ast.parse(source))).splitlines()[0]
