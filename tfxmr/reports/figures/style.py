"""What all figures share: print sizes, fonts, colours, titles, and files that come out the same byte for byte."""
import dataclasses
import functools
import io
import math
import pathlib
import warnings
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, ParamSpec, TypeVar

import matplotlib.colors
import matplotlib.style
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxmr.core.files import write_bytes
from tfxmr.evaluation.protocol import Protocol
from tfxmr.reports.figures import fonts, texts
from tfxmr.reports.figures.options import FORMATS

Given = ParamSpec("Given")
Drawn = TypeVar("Drawn")

WIDTH = 7.16  # inches, both columns of a two-column page
COLUMN = 3.5  # inches, one column
DPI = 300
PANEL = 1.4  # inches, the height of what is drawn in a panel, without its legend and the labels of its axes
BESIDE = 0.75  # inches of a panel's place that the labels of its y axis and the gap to the next panel take
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
    "pdf.fonttype": 42,  # TrueType, which publishers ask for, and text that can be searched
}
# Okabe and Ito, Color Universal Design (2008): told apart with any colour vision; their yellow is too pale for lines.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#444444")
CHANCE: dict[str, Any] = {"color": "0.45", "linestyle": ":", "linewidth": 1.2}
LINES = ("-", "--", "-.", (0, (1, 1)), (0, (5, 1, 1, 1, 1, 1)))
MARKERS = ("o", "s", "^", "D", "v", "P", "X")
NOTE_SIZE = HEADING_SIZE = 7
BOLD = 0.87  # of a line's letters that there is room for if they are bold
CELL_GAP = 8  # points between two cells
TICK_GAP, LONGEST_TICK = 4, 90  # points between two labels of an axis, and of a label that is set aslant
# Format -> metadata that would tell versions or times.
METADATA: dict[str, dict[str, None]] = {
    "png": {"Software": None}, "svg": {"Date": None}, "pdf": {"CreationDate": None, "Creator": None, "Producer": None},
}


class Sheet(Figure):
    """A figure that takes the height its panels need: titles, legends and notes are added to them, not taken off.

    Args:
      width, height: inches; the height is a start, near enough for a first layout.
      panel: inches that a panel is high without its labels; None: as it is wide.
    """

    def __init__(self, width: float, height: float, panel: float | None = PANEL) -> None:
        super().__init__(figsize=(width, height), layout="constrained")
        self.panel = panel

    def settle(self) -> None:
        """Sets the height at which the lowest panel is as high as it is to be, and keeps this layout in all formats."""
        for _ in range(3):  # the layout is linear but for the breaking of ticks
            self.draw_without_rendering()
            sizes = [axes.get_position(original=True).size * self.get_size_inches() for axes in self.axes]
            short = max((self.panel or width) - height for width, height in sizes)
            if abs(short) < 0.005:
                break
            grid = self.axes[0].get_gridspec()
            self.set_figheight(self.get_figheight() + short * (grid.nrows if grid else 1))
        else:
            self.draw_without_rendering()
        self.set_layout_engine("none")


def styled(draw: Callable[Given, Drawn]) -> Callable[Given, Drawn]:
    """Decorates a drawing function: it draws in this style, whatever the user's matplotlibrc says."""

    @functools.wraps(draw)
    def wrapper(*args: Given.args, **kwargs: Given.kwargs) -> Drawn:
        with matplotlib.style.context(["default", RC]):
            return draw(*args, **kwargs)

    return wrapper


def panels(
    count: int, title: str, columns: int = 2, panel: float = PANEL, wide_last: bool = False
) -> tuple[Sheet, list[Axes]]:
    """A figure with `count` panels in rows of `columns`, of which one alone in its row takes the whole row.

    Args:
      count: number of panels, from 1 on; a single one is as wide as a column of the page.
      title: text above them, lines separated by newlines.
      columns: panels in a row at most.
      panel: inches of what is drawn in a panel, without legend and labels.
      wide_last: True gives the last panel a row of its own.

    Returns:
      (Sheet, list of `count` Axes).
    """
    others = count - wide_last
    rows = math.ceil(others / columns)
    figure = Sheet(COLUMN if count == 1 else WIDTH, (rows + wide_last) * (panel + 0.7) + 0.4, panel)
    grid = figure.add_gridspec(rows + wide_last, min(columns, max(others, 1)))
    places = [grid[divmod(i, columns)] for i in range(others)]
    if others % columns == 1:
        places[-1] = grid[rows - 1, :]
    if wide_last:
        places.append(grid[-1, :])
    set_title(figure, title)
    return figure, [figure.add_subplot(place) for place in places]


def cells(rows: int, columns: int, title: str, notes: Sequence[str] = ()) -> tuple[Sheet, NDArray[Any]]:
    """A figure of square cells under headings, as wide as a page.

    Args:
      rows, columns: of cells.
      title: text above them, lines separated by newlines.
      notes: lines below them.

    Returns:
      (Sheet, its Axes (rows, columns)).
    """
    figure = Sheet(WIDTH, rows * (WIDTH / columns + 0.4) + 0.3, None)
    set_title(figure, title)
    set_notes(figure, notes)
    return figure, figure.subplots(rows, columns, squeeze=False)


def frame(axes: Axes, heading: str, colour: str) -> None:
    """Makes a panel a cell: no ticks, a frame, and a heading that is broken to its width.

    Args:
      axes: one of `cells`.
      heading: a line or several, of each of which two lines are shown.
      colour: of the heading and the frame.
    """
    figure, place = axes.get_figure(), axes.get_subplotspec()
    assert isinstance(figure, Figure) and place
    points = texts.POINTS * figure.get_figwidth() / place.get_gridspec().ncols - CELL_GAP
    lines = [line for part in heading.split("\n") for line in texts.wrap(part, HEADING_SIZE, points, lines=2)]
    axes.set(xticks=[], yticks=[], box_aspect=1)
    axes.grid(False)
    axes.set_title("\n".join(lines), fontsize=HEADING_SIZE, color=colour, pad=3)
    axes.spines[:].set(visible=True, color=colour, linewidth=1.5)


def set_title(figure: Figure, title: str) -> None:
    """Sets a figure's title, broken into lines that fit its width."""
    lines = _broken(figure, title, RC["figure.titlesize"])
    _room(figure, lines, RC["figure.titlesize"])
    figure.suptitle("\n".join(lines))


def set_notes(figure: Figure, lines: Sequence[str]) -> None:
    """Sets lines of text below a figure, broken to its width."""
    if lines:
        found = [line for note in lines for line in _broken(figure, note, NOTE_SIZE, "    ")]
        _room(figure, found, NOTE_SIZE)
        figure.supxlabel("\n".join(found), x=0.01, ha="left", fontsize=NOTE_SIZE)


def _broken(figure: Figure, text: str, size: float, indent: str = "") -> list[str]:
    """The lines of a text, broken to the width of a figure."""
    points = texts.POINTS * (figure.get_figwidth() - 0.15)
    return [line for part in text.splitlines() for line in texts.wrap(part, size, points, indent=indent)]


def _room(figure: Figure, lines: Sequence[str], size: float) -> None:
    """Grows a figure by some lines of text: of one without room for its panels, matplotlib makes no layout at all."""
    figure.set_figheight(figure.get_figheight() + len(lines) * 1.3 * size / texts.POINTS)


def fit_ticks(axes: Axes, names: bool) -> None:
    """Makes the labels of x keep apart, once all is drawn: names are set aslant, of numbers those that have room stay.

    Args:
      axes: the panel.
      names: True of names, each of which is needed; False of numbers.
    """
    inches, size = _inches(axes), RC["xtick.labelsize"]
    labels = [label.get_text() for label in axes.get_xticklabels()]
    lines = (axes.transScale + axes.transLimits).transform([(x, 0) for x in axes.get_xticks()])[:, 0] * inches
    ends = [(x - half, x + half) for x, half in
            zip(lines * texts.POINTS, (texts.width(text, size) / 2 for text in labels), strict=True)]
    kept, left = [], math.inf
    for (low, high), place, text in sorted(zip(ends, axes.get_xticks(), labels, strict=True), reverse=True):
        if high + TICK_GAP <= left:
            kept.append((place, text))
            left = low
    if names and len(kept) < len(labels):
        short = [texts.wrap(text, size, LONGEST_TICK, lines=1)[0] if text else "" for text in labels]
        axes.set_xticks(axes.get_xticks(), short, rotation=35, ha="right", rotation_mode="anchor")
    elif not names:
        axes.set_xticks(*zip(*reversed(kept), strict=True))


def _inches(axes: Axes) -> float:
    """The width of what is drawn in a panel, about."""
    figure, place = axes.get_figure(), axes.get_subplotspec()
    assert isinstance(figure, Figure)
    share = len(place.colspan) / place.get_gridspec().ncols if place else 1.0
    return figure.get_figwidth() * share - BESIDE


def legend_above(axes: Axes, heading: str | None = None) -> None:
    """Sets the legend of a panel above it, where it covers no data, in as many columns as its width has room for.

    Args:
      axes: the panel.
      heading: text over it; None: none.
    """
    handles, labels = axes.get_legend_handles_labels()
    figure, size, inches = axes.get_figure(), RC["legend.fontsize"], _inches(axes)
    assert isinstance(figure, Figure)
    columns, shown = texts.columns(labels, size, inches)
    title = "\n".join(texts.wrap(heading or "", size, texts.POINTS * inches * BOLD))
    legend = axes.legend(
        handles, shown, loc="lower left", bbox_to_anchor=(0, 1), ncols=columns, borderaxespad=0.2,
        columnspacing=texts.GAP, handlelength=texts.HANDLE, handletextpad=texts.AFTER, title=title or None,
        alignment="left",
    )
    legend.get_title().set_fontweight("bold")
    _room(figure, "\n".join([title, *shown[::columns]]).split("\n"), size)


def legend_below(
    figure: Figure, handles: Iterable[Artist], handle: float = texts.HANDLE, notes: Sequence[str] = (),
) -> None:
    """Sets one legend for all panels of a figure below them, in as many columns as its width has room for.

    Args:
      figure: with the panels.
      handles: lines or the like, with labels.
      handle: width of each, in letters' sizes.
      notes: lines above the entries, in place of those of `set_notes`, which would stand in the same place.
    """
    handles, size = list(handles), RC["legend.fontsize"]
    columns, shown = texts.columns([str(h.get_label()) for h in handles], size, figure.get_figwidth() - 0.2, handle)
    told = [line for note in notes for line in _broken(figure, note, NOTE_SIZE, "    ")]
    figure.legend(
        handles, shown, loc="outside lower center", ncols=columns, columnspacing=texts.GAP, handlelength=handle,
        handletextpad=texts.AFTER, title="\n".join(told) or None, title_fontsize=NOTE_SIZE, alignment="left",
    )
    _room(figure, [*told, *"\n".join(shown[::columns]).split("\n")], size)


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


def title(dataset: str, model: str, protocol: Protocol | Mapping[str, Any] | str) -> str:
    """The title of a figure: what was measured, by what, and how.

    Args:
      dataset, model: names.
      protocol: tfxmr.evaluation.protocol.Protocol, or its fields as results.json has them; or its name, where no more
        is known.
    """
    if isinstance(protocol, str):
        return f"{dataset}, {model}, protocol {protocol}"
    facts = dataclasses.asdict(protocol) if isinstance(protocol, Protocol) else protocol
    normalised = "" if facts["normalisation"] == "none" else f", {facts['normalisation']}"
    return (
        f"{dataset}, {model}, protocol {facts['name']} (gallery: {facts['gallery']} split, {facts['similarity']} "
        f"similarity{normalised})"
    )


@styled
def save(figure: Figure, folder: pathlib.Path, name: str, formats: Iterable[str] = FORMATS) -> list[pathlib.Path]:
    """Writes a figure in some formats, each file whole or not at all; the same figure gives the same bytes.

    Args:
      figure: matplotlib Figure.
      folder: pathlib.Path; made if missing.
      name: of the files, without extension.
      formats: of tfxmr.reports.figures.options.FORMATS.

    Returns:
      list of their paths.
    """
    folder.mkdir(parents=True, exist_ok=True)
    fonts.fit([figure])
    paths = []
    with warnings.catch_warnings():
        fonts.quiet()
        if isinstance(figure, Sheet):
            figure.settle()
        for kind in formats:
            buffer = io.BytesIO()
            figure.savefig(buffer, format=kind, dpi=DPI, metadata=METADATA[kind])
            paths.append(folder / f"{name}.{kind}")
            write_bytes(paths[-1], buffer.getvalue())
    return paths
