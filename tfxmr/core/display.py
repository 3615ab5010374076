"""What a command prints: folded lines and tables that fit a terminal; whole lines elsewhere.

A pipe or a file has no width, and what reads it (grep, a log, a script) wants a fact a line: it gets lines of any
length, columns that stand apart by two spaces or more, no escape codes, and nothing is cut. A terminal's lines are no
longer than it is wide, and figures are whole there, too.
"""
import contextlib
import math
import os
import shlex
import sys
import textwrap
import warnings
from collections.abc import Collection, Mapping, Sequence
from typing import Any, TextIO

from tfxmr.core.wording import printable

USUAL = 80  # columns of a terminal that tells of none
LABEL = 11  # columns of the word before a header's line, "dataset    "
GAP = 2  # spaces between the columns of a table
BETWEEN = "\n\t"  # what stands between lines and words of what is printed
LONGEST = 24  # columns that a word of text keeps in a table that is too wide; figures keep all


def is_terminal(stream: TextIO | None = None) -> bool:
    """True if somebody looks at what is written to a stream (the standard output) on a terminal."""
    stream = stream or sys.stdout
    try:
        return stream.isatty()
    except (AttributeError, ValueError):  # none at all, or closed
        return False


def width(stream: TextIO | None = None) -> int:
    """The columns of the terminal that a stream (the standard output) goes to, or what COLUMNS says."""
    with contextlib.suppress(KeyError, ValueError):
        if (asked := int(os.environ["COLUMNS"])) > 0:
            return asked
    with contextlib.suppress(AttributeError, OSError, ValueError):
        return os.get_terminal_size((stream or sys.stdout).fileno()).columns or USUAL
    return USUAL


def say(text: str, indent: int = LABEL, stream: TextIO | None = None) -> None:
    """Prints lines, folded where they go to a terminal.

    Args:
      text: one line or more.
      indent: columns by which what is folded is moved to the right.
      stream: None: the standard output.
    """
    stream, text = stream or sys.stdout, printable(text, BETWEEN)
    shown = fold(text, width(stream), indent) if is_terminal(stream) else text
    print(f"{shown}\n", end="", file=stream)  # in one piece, as threads may print


def say_next(text: str, command: str, between: str = "; ") -> None:
    """Prints what there is, and the command that comes next: in one line, on a terminal in some that can be pasted.

    Args:
      text: what there is.
      command: as it can be typed into a shell; or a sentence, if there is none.
      between: the two in one line.
    """
    if not is_terminal() or not command.startswith("tfxmr "):
        say(f"{text}{between}{command}", 2)
        return
    say(f"{text}{between.rstrip()}", 2)
    say_command(command)


def say_command(command: str) -> None:
    """Prints a command, as it can be typed into a shell, in one line; on a terminal in some that can be pasted."""
    if not is_terminal():
        print(f"  {printable(command)}")
        return
    lines = [" "]
    for word in shlex.split(command):
        word = printable(shlex.quote(word))
        if len(lines[-1]) + len(word) + 3 > width() and lines[-1].strip():
            lines.append("   ")
        lines[-1] += f" {word}"
    print(" \\\n".join(lines))


def fold(text: str, columns: int, indent: int = 0) -> str:
    """Breaks lines between words; a command in backquotes and a word that is longer than a line stay in one piece.

    Args:
      text: one line or more, each folded by itself.
      columns: of a line, at most.
      indent: columns before a line's second and later parts.
    """
    lines = []
    for line in text.split("\n"):
        if len(line) <= columns:
            lines.append(line)
            continue
        # Halves of a command cannot be pasted; what does not fit into a line is left to the terminal.
        parts = line.split("`")
        parts[1::2] = [part.replace(" ", "\0") if len(part) < columns - indent - 2 else part for part in parts[1::2]]
        folded = textwrap.wrap(
            "`".join(parts), columns, subsequent_indent=" " * indent, break_long_words=False, break_on_hyphens=False,
        )
        lines += [part.replace("\0", " ") for part in folded] or [""]
    return "\n".join(lines)


def duration(seconds: float) -> str:
    """A time in words, in its two largest units: "0.4 s", "12 s", "3 min 20 s", "1 h 5 min", "2 d 3 h"."""
    if seconds < 0.95:
        return f"{seconds:.1f} s" if seconds >= 0.05 else "< 0.1 s"
    whole = round(seconds)
    for size, name, small, part in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // small
            return f"{whole // size} {name}" + (f" {rest} {part}" if rest else "")
    return f"{whole} s"


def table(
    header: Sequence[str], rows: Sequence[Sequence[str]], figures: Collection[int] = (), keys: int = 1,
    columns: int | None = None,
) -> None:
    """Prints a table on a terminal, by rich. Columns for which there is no room follow below, in a table of their own.

    Args:
      header: names of the columns.
      rows: one or more, a cell a column.
      figures: numbers of the columns that hold figures, which are never folded.
      keys: how many columns, the first ones, tell the rows apart and stand in every part of the table.
      columns: of the terminal; None: as many as it has.
    """
    from rich.cells import cell_len  # here and below: most commands print no table on a terminal

    columns, natural, least = columns or width(), [], []
    for number, (name, *cells) in enumerate(zip(header, *rows, strict=True)):
        whole = max(cell_len(line) for cell in cells for line in cell.splitlines() or [""])
        natural.append(max(whole, cell_len(name)))
        words = [cell_len(word) for cell in (name, *cells) for word in cell.split()]
        least.append(max(whole, *map(cell_len, name.split())) if number in figures else min(max([1, *words]), LONGEST))
    gap = 1 if sum(least) + len(least) - 1 <= columns < sum(least) + GAP * (len(least) - 1) else GAP
    for place, part in enumerate(_parts(least, keys, gap, columns)):
        print(end="\n" * (place > 0))
        widths = _narrowed([natural[c] for c in part], [least[c] for c in part], columns - gap * (len(part) - 1))
        _print({header[c]: own for c, own in zip(part, widths, strict=True)}, [[row[c] for c in part] for row in rows],
               [number for number, c in enumerate(part) if c in figures], gap, columns)


def _parts(least: Sequence[int], keys: int, gap: int, columns: int) -> list[list[int]]:
    """Which columns of a table stand side by side: the keys, and as many of the others as have room."""
    first, rest = [*range(keys)], [*range(keys, len(least))]

    def fits(part: Sequence[int]) -> bool:
        return sum(least[c] for c in part) + gap * (len(part) - 1) <= columns

    parts = [first]
    for column in rest:
        if len(parts[-1]) > keys and not fits([*parts[-1], column]):
            parts.append(first)
        parts[-1] = [*parts[-1], column]
    each = math.ceil(len(rest) / len(parts))
    even = [[*first, *rest[start : start + each]] for start in range(0, len(rest), each)] if each else parts
    return even if all(map(fits, even)) else parts  # rather than a last column alone


def _narrowed(natural: Sequence[int], least: Sequence[int], room: int) -> list[int]:
    """Widths of columns: the widest gives way until all fit, none below its least one."""
    widths = list(natural)
    while sum(widths) > room and (wide := [i for i, own in enumerate(widths) if own > least[i]]):
        widths[max(wide, key=widths.__getitem__)] -= 1
    return widths


def _print(
    header: Mapping[str, int], rows: Sequence[Sequence[str]], figures: Collection[int], gap: int,
    columns: int,
) -> None:
    """Prints one part of a table; `header` says how wide a column is."""
    from rich.console import Console
    from rich.table import Table
    from rich.text import Text

    shown = Table(box=None, pad_edge=False, padding=(0, gap, 0, 0), header_style="bold")
    for number, (name, own) in enumerate(header.items()):
        shown.add_column(
            Text(name), justify="right" if number in figures else "left", width=own, overflow="fold",
        )
    for row in rows:
        shown.add_row(*(Text(printable(cell, BETWEEN)) for cell in row))  # Text: what is in brackets is no markup
    Console(file=sys.stdout, width=columns, highlight=False).print(shown)


def show_warnings() -> None:
    """Makes Python's warnings lines of this program, for the console script alone."""
    def line(message: Warning | str, category: type[Warning], *_: Any) -> str:
        text = printable(f"tfxmr: warning: {message}", BETWEEN)
        return f"{fold(text, width(sys.stderr), 2) if is_terminal(sys.stderr) else text}\n"

    warnings.formatwarning = line  # type: ignore[assignment]
