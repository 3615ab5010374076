"""`tfxmr <command> --flags`: each command is a module of tfxmr/commands."""
import importlib
import pkgutil
import sys

from absl import flags

from tfxmr import commands
from tfxmr.errors import InputError


def names():
    """Names of the commands."""
    return sorted(module.name for module in pkgutil.iter_modules(commands.__path__))


def usage():
    """The text of `tfxmr --help`: a line for every command."""
    lines = ["tfxmr: cross-media retrieval, many methods on one protocol", "", "usage: tfxmr COMMAND [--flags]", ""]
    for name in names():
        module = importlib.import_module(f"tfxmr.commands.{name}")
        lines.append(f"  {name:10} {module.__doc__.splitlines()[0]}")
    return "\n".join([*lines, "", "tfxmr COMMAND --help lists a command's flags."])


def main(arguments):
    """Runs a command.

    Args:
      arguments: list of str, the command and its flags.

    Returns:
      Exit status: 0, 1 if a part of the work failed, or 2 for wrong input, which is explained on the standard error.
    """
    command = arguments[0] if arguments else "--help"
    if command in ("help", "-h", "--help", "--helpfull"):
        print(usage())
        return 0
    try:
        if command not in names():
            raise InputError(f"unknown command {command!r}; there are {', '.join(names())}")
        status = importlib.import_module(f"tfxmr.commands.{command}").main(arguments[1:])
    except (InputError, flags.Error) as error:
        print(f"tfxmr: error: {error}", file=sys.stderr)
        return 2
    except KeyboardInterrupt:
        print("tfxmr: stopped; the same command goes on from the last checkpoint", file=sys.stderr)
        return 130
    return status or 0


def run():
    """The console script."""
    sys.stdout.reconfigure(line_buffering=True)  # a log file shows progress as it is made
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
