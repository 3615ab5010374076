"""How wide texts come out, and texts broken to fit: by measure, since a W is five times as wide as an i."""
import warnings
from collections.abc import Sequence

import numpy as np
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tfxmr.reports.figures import fonts

POINTS = 72  # in an inch
# Of a legend, in letters' sizes: a handle that shows a line, the gap after it, between columns, at both edges.
HANDLE, AFTER, GAP, EDGES = 2.2, 0.6, 1.0, 1.0


def width(text: str, size: float) -> float:
    """The width in points of one line of text in letters of a size (points), in the fonts that have its characters."""
    if not text:
        return 0.0
    font = FontProperties(family=fonts.families(text)[0], size=size)
    with warnings.catch_warnings():
        fonts.quiet()
        return text_to_path.get_text_width_height_descent(text, font, ismath=False)[0]


def wrap(text: str, size: float, points: float, lines: int | None = None, indent: str = "") -> list[str]:
    """Breaks a text where it has spaces, and a word that is wider than a line within.

    Args:
      text: whose line breaks count as spaces.
      size: of the letters, points.
      points: of a line at most; one letter stands in it in any case.
      lines: at most, "…" standing for the rest; None: as many as it takes.
      indent: begins each line but the first.

    Returns:
      list of lines; [] of an empty text.
    """
    wrapped: list[str] = []
    rest = " ".join(text.split())
    while rest and (lines is None or len(wrapped) < lines):
        start = indent if wrapped else ""
        end = longest = _fitting(rest, size, points - width(start, size))
        space = rest.rfind(" ", 1, longest + 1)
        if longest < len(rest) and space > 0:
            end = space
        wrapped.append(start + rest[:end])
        rest = rest[end:].lstrip()
    if rest:
        last = wrapped[-1]
        while len(last) > 1 and width(f"{last.rstrip()}…", size) > points:
            last = last[:-1]
        wrapped[-1] = f"{last.rstrip()}…"
    return wrapped


def _fitting(text: str, size: float, points: float) -> int:
    """How many letters of a text fit into a line, 1 at least."""
    low, high = 1, min(len(text), 1 + int(8 * points / size))  # the narrowest letters are wider than an eighth
    while low < high:  # widths ascend with letters
        middle = (low + high + 1) // 2
        low, high = (middle, high) if width(text[:middle], size) <= points else (low, middle - 1)
    return low


def columns(labels: Sequence[str], size: float, inches: float, handle: float = HANDLE) -> tuple[int, list[str]]:
    """How the entries of a legend fit into a width.

    Args:
      labels: of the entries, in their order, which runs down the columns.
      size: of the letters, points.
      inches: of the legend at most.
      handle: width of what stands before a label, in letters' sizes.

    Returns:
      (most columns that fit, 1 at least; the labels, broken into lines where one is wider than the legend).
    """
    room = POINTS * inches - EDGES * size
    before = (handle + AFTER) * size
    widths = [before + max(width(line, size) for line in label.split("\n")) for label in labels]
    for count in range(len(labels), 1, -1):
        parts = [part for part in np.array_split(widths, count) if len(part)]  # as matplotlib fills them
        if sum(max(part) for part in parts) + GAP * size * (len(parts) - 1) <= room:
            return count, list(labels)
    return 1, ["\n".join(wrap(label, size, room - before)) for label in labels]
