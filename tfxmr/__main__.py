"""`tfxmr <command> --flags`: each command is a module of tfxmr/commands."""
import contextlib
import math
import os
import signal
import sys
import textwrap
import time
from collections.abc import Sequence
from typing import Any

from absl import flags

from tfxmr import __version__, commands
from tfxmr.core import display, quiet, stopping
from tfxmr.core.errors import InputError
from tfxmr.core.files import explain, system_error
from tfxmr.core.names import meant

PATIENCE = 60  # seconds in which a second signal is taken for the first one's repetition


def usage() -> str:
    """The text of `tfxmr --help`: a line for every command."""
    lines = ["tfxmr: cross-media retrieval, many methods on one protocol", "", "usage: tfxmr COMMAND [--flags]", ""]
    width = display.width()
    for name in commands.names():
        lines += textwrap.wrap(f"  {name:10} {commands.about(name)}", width, subsequent_indent=" " * 13)
    last = "tfxmr COMMAND --help lists a command's flags; tfxmr train --model=NAME --help those of a method, too."
    return "\n".join([*lines, "", *textwrap.wrap(last, width)])


def main(arguments: Sequence[str]) -> int:
    """Runs a command.

    Args:
      arguments: list of str, the command and its flags.

    Returns:
      Exit status: 0; 1 if a part of the work failed; 2 for wrong input, or a disk, file or memory that fails, which is
      explained on the standard error; 141 if nobody reads the output any more; 128 + the signal that stopped it.
    """
    command = arguments[0] if arguments else "--help"
    stopping.asked.clear()  # of a command before in the same process
    try:
        for argument in arguments:
            if not _is_utf8(argument):
                raise InputError(f"{argument!r}: holds bytes that are no UTF-8; rename that file or folder")
        if command in ("help", *commands.HELP):
            print(usage())
            return 0
        if command == "--version":
            print(f"tfxmr {__version__}")
            return 0
        if command not in commands.names():
            there = f"there are {', '.join(commands.names())}"
            raise InputError(f"unknown command {command!r}{meant(command, commands.names())}; {there}")
        status = commands.run(command, arguments[1:])
        _flush()
        return status
    except KeyboardInterrupt as error:
        return _say_stopped(getattr(error, "number", signal.SIGINT))
    except BrokenPipeError:  # `tfxmr models | head -1`
        with contextlib.suppress(OSError):
            _flush()
        return 128 + getattr(signal, "SIGPIPE", 13)  # which Windows does not know
    except Exception as error:
        if stopping.asked:  # in native code, a signal's exception becomes any other
            return _say_stopped(stopping.asked[0])
        message = _explain(error)
        if message is None:
            raise
        _say(f"error: {message}")
        return 2


def _is_utf8(argument: str) -> bool:
    try:
        os.fsencode(argument).decode()
    except UnicodeError:
        return False
    return True


def _explain(error: Exception) -> str | None:
    """One line on an error that is none of this program's, with the remedy; None for any other."""
    if isinstance(error, InputError | flags.Error):
        return f"{error}{_elsewhere(getattr(error, 'flag', ''))}"
    if isinstance(error, OSError):
        if error.filename is None:  # Python names no file whose write fails
            error.filename = "standard output, or a file that was being written"
            with contextlib.suppress(OSError):
                _flush()
        return explain(error)
    if isinstance(error, UnicodeEncodeError) and sys.getfilesystemencoding() != "utf-8":
        return f"{ascii(error.object)}: this locale lacks these letters; set LC_ALL=C.UTF-8 and give the command again"
    if type(error).__module__.startswith("tensorflow.") and (reason := system_error(error)):
        return explain(reason)
    if isinstance(error, MemoryError) or type(error).__name__ == "ResourceExhaustedError":  # TensorFlow's
        told = " ".join(str(error).split())[:200] or "Python tells no more"
        return (
            f"not enough memory ({told}); give smaller networks, --batch_size or --eval_memory, or take a machine "
            "with more, and give the same command again"
        )
    return None


def _elsewhere(flag: str) -> str:
    """The commands that have a flag which the one that was given has not, as the end of a message; "" if none has."""
    if not flag:
        return ""
    from tfxmr.commands import completion

    have = [f"`tfxmr {name}`" for name in commands.names() if flag in completion.flags_of(name)]
    return f"; {' and '.join(have)} {'have' if len(have) > 1 else 'has'} it" if have else ""


def _say_stopped(number: int) -> int:
    """Says which signal has ended the command. Returns the exit status."""
    _say(f"stopped by {signal.Signals(number).name}; the same command resumes there")
    return 128 + number


def _say(message: str) -> None:
    with contextlib.suppress(OSError):  # the standard error may be closed, too
        display.say(f"tfxmr: {message}", 2, sys.stderr)


def _flush() -> None:
    """Writes out what was printed. Raises OSError once: what follows goes nowhere, or Python would try it again."""
    try:
        if sys.stdout:
            sys.stdout.flush()
    except OSError as error:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        error.filename = "standard output"
        raise


def _take_signals() -> None:
    """Makes the signals that ask to stop do what Ctrl-C does: what trains saves its state first."""
    first = -math.inf

    def stop(number: int, _: object) -> None:
        nonlocal first
        stopping.asked.append(number)
        # A terminal that is closed, and many a batch system, send two: the second must not end the saving.
        if number == signal.SIGINT or time.monotonic() - first > PATIENCE:
            first = time.monotonic()
            raise stopping.Stopped(number)

    def ignored(unraisable: Any) -> None:
        if not isinstance(unraisable.exc_value, stopping.Stopped):  # of which stopping.check tells again
            sys.__unraisablehook__(unraisable)

    sys.unraisablehook = ignored
    for number in stopping.NUMBERS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # as nohup asks for
            signal.signal(number, stop)


def run() -> None:
    """The console script."""
    if sys.platform == "win32":
        _say("warning: Windows is not supported; under WSL 2 (wsl --install) it is as on Linux")  # nothing was tried
    _take_signals()
    quiet.install()
    display.show_warnings()
    for stream in filter(None, (sys.stdout, sys.stderr)):  # None: closed
        # A log file shows progress as it is made; a name that the terminal's encoding lacks is shown by its code.
        stream.reconfigure(line_buffering=True, errors="backslashreplace")
    sys.exit(main(sys.argv[1:]))


if __name__ == "__main__":
    run()
