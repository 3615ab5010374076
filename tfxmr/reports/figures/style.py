"""What all figures share: print sizes, fonts, colours, titles, and files that come out the same byte for byte."""
import functools
import io
import math
import pathlib
import textwrap
import warnings
from collections.abc import Callable, Iterable, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib.colors
import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfxmr.core.files import write_bytes
from tfxmr.evaluation.protocol import Protocol
from tfxmr.reports.figures import fonts

Given = ParamSpec("Given")
Drawn = TypeVar("Drawn")

WIDTH = 7.16  # inches, both columns of a two-column page
COLUMN = 3.5  # inches, one column
DPI = 300
LETTERS = 12.5  # of a title in an inch
RC: dict[str, Any] = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "legend.fontsize": 7.5,
    "xtick.labelsize": 7.5,
    "ytick.labelsize": 7.5,
    "figure.titlesize": 9,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "lines.linewidth": 1.3,
    "lines.markersize": 4,
    "legend.frameon": False,
    "text.parse_math": False,  # a dollar in a text or a name is a dollar
    "svg.hashsalt": "tfxmr",  # else the ids inside are random
}
# Okabe and Ito, Color Universal Design (2008): told apart with any colour vision; their yellow is too pale for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
CHANCE: dict[str, Any] = {"color": "0.45", "linestyle": ":", "linewidth": 1.2}
LINES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
NOTE_LINE = 0.12  # inches
# Format -> metadata that would tell versions or times.
FORMATS: dict[str, dict[str, None]] = {"png": {"Software": None}, "svg": {"Date": None}}


def styled(draw: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
    """Decorates a drawing function: it draws in this style, whatever the user's matplotlibrc says."""

    @functools.wraps(draw)
    def wrapper(*args: Given.args, **kwargs: Given.kwargs) -> Drawn:
        with matplotlib.style.context(["default", RC]):
            return draw(*args, **kwargs)

    return wrapper


def panels(
    count: int, title: str, columns: int = 2, height: float = 2.1, wide_last: bool = False
) -> tuple[Figure, list[Axes]]:
    """A figure with `count` panels in rows of `columns`, of which one alone in its row takes the whole row.

    Args:
      count: number of panels, from 1 on; a single one is as wide as a column of the page.
      title: text above them, lines separated by newlines.
      columns: panels in a row at most.
      height: inches of a panel.
      wide_last: True gives the last panel a row of its own.

    Returns:
      (Figure, list of `count` Axes).
    """
    others = count - wide_last
    rows = math.ceil(others / columns)
    figure = Figure(figsize=(COLUMN if count == 1 else WIDTH, (rows + wide_last) * height + 0.4), layout="constrained")
    grid = figure.add_gridspec(rows + wide_last, min(columns, max(others, 1)))
    places = [grid[divmod(i, columns)] for i in range(others)]
    if others % columns == 1:
        places[-1] = grid[rows - 1, :]
    if wide_last:
        places.append(grid[-1, :])
    set_title(figure, title)
    return figure, [figure.add_subplot(place) for place in places]


def set_title(figure: Figure, title: str) -> None:
    """Sets a figure's title, broken into lines that fit its width."""
    letters = int(figure.get_figwidth() * LETTERS)
    figure.suptitle("\n".join(textwrap.fill(line, letters) for line in title.splitlines()))


def set_notes(figure: Figure, lines: Sequence[str]) -> None:
    """Sets lines of text below a figure, broken to its width; the figure grows by them, its panels keep their size."""
    if lines:
        letters = int(figure.get_figwidth() * LETTERS * 1.25)  # of smaller letters more fit
        text = "\n".join(textwrap.fill(line, letters, subsequent_indent="    ") for line in lines)
        figure.set_figheight(figure.get_figheight() + NOTE_LINE * (text.count("\n") + 1))
        figure.supxlabel(text, x=0.01, ha="left", fontsize=7)


def legend_above(axes: Axes, columns: int, heading: str | None = None) -> None:
    """Sets the legend of a panel above it, where it covers no data.

    Args:
      axes: the panel.
      columns: of the legend.
      heading: text over it; None: none.
    """
    legend = axes.legend(
        loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2, columnspacing=1, handlelength=2.2,
        title=heading, alignment="left",
    )
    legend.get_title().set_fontweight("bold")


def legend_below(figure: Figure, handles: Iterable[Artist], columns: int) -> None:
    """Sets one legend for all panels of a figure below them.

    Args:
      figure: with the panels.
      handles: lines or the like, with labels.
      columns: of the legend.
    """
    figure.legend(handles=handles, loc="outside lower center", ncols=columns, columnspacing=1.2, handletextpad=0.5)


def line_style(index: int) -> dict[str, Any]:
    """Colour and dashes of the index-th line: both differ, so that it is told apart in grey too."""
    return {"color": PALETTE[index % len(PALETTE)], "linestyle": LINES[index % len(LINES)]}


def class_colours(count: int) -> list[str | tuple[float, ...]]:
    """`count` colours, as matplotlib takes them, up to 21 distinct ones: the palette, its dark and its light shades."""
    shades: list[Sequence[Any]] = [PALETTE]
    for target, share in (("black", 0.5), ("white", 0.55)):
        goal = matplotlib.colors.to_rgb(target)
        shades.append([
            tuple((1 - share) * c + share * g for c, g in zip(matplotlib.colors.to_rgb(colour), goal, strict=True))
            for colour in PALETTE
        ])
    every = [colour for shade in shades for colour in shade]
    return [every[i % len(every)] for i in range(count)]


def arrow(task: str) -> str:
    """A task's name as figures show it: "image → text"."""
    return task.replace("->", " → ")


def title(dataset: str, model: str, protocol: Protocol | str) -> str:
    """The title of a figure: what was measured, by what, and how.

    Args:
      dataset, model: names.
      protocol: tfxmr.evaluation.protocol.Protocol, or its name.
    """
    if isinstance(protocol, str):
        return f"{dataset}, {model}, protocol {protocol}"
    normalised = "" if protocol.normalisation == "none" else f", {protocol.normalisation}"
    return (
        f"{dataset}, {model}, protocol {protocol.name} (gallery: {protocol.gallery} split, {protocol.similarity} "
        f"similarity{normalised})"
    )


@styled
def save(figure: Figure, folder: pathlib.Path, name: str) -> list[pathlib.Path]:
    """Writes a figure as PNG and SVG, whole or not at all; the same figure gives the same bytes.

    Args:
      figure: matplotlib Figure.
      folder: pathlib.Path; made if missing.
      name: of the files, without extension.

    Returns:
      list of their paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fonts.fit([figure])
    paths = []
    for kind, metadata in FORMATS.items():
        buffer = io.BytesIO()
        with warnings.catch_warnings():
            fonts.quiet()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=metadata)
        paths.append(folder / f"{name}.{kind}")
        write_bytes(paths[-1], buffer.getvalue())
    return paths
