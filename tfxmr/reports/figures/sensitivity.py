"""Sensitivity curves: mAP against one setting after the other, the others kept."""
import collections
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from tfxmr.reports.figures import style
from tfxmr.reports.tables import factors
from tfxmr.reports.tables.formats import Row

APART = 0.2  # of the axis' length, from its end to a choice that is no number, such as "auto"
MOST_TICKS = 10  # a value; of more values there are round numbers
DECADES = 100  # the largest value over the smallest one from which on the axis is logarithmic


@style.styled
def draw(rows: Sequence[Row]) -> dict[str, Figure]:
    """Draws mAP against each setting that varies, a panel each, as figure 6 of Wu et al., Pattern Recognition 2020.

    Repetitions are averaged, with bars of their sample standard deviation. Of several datasets only the average over
    the directions is drawn, a line each. Values that are no numbers stand side by side, not joined by lines.

    Args:
      rows: list of dicts as `tfxmr.reports.tables.factors` makes them.

    Returns:
      {"sensitivity": Figure}.

    Raises:
      InputError: nothing varies, or a run differs from the others in several settings at once.
    """
    datasets = collections.defaultdict(list)
    for row in rows:
        datasets[row.get("dataset", "")].append(row)
    curves = {name: factors.one_factor(own) for name, own in datasets.items()}
    lines = [
        (dataset, f"{dataset}, {label}" if len(datasets) > 1 else label, columns)
        for dataset, own in datasets.items() for label, columns in _lines(own[0], len(datasets) > 1).items()
    ]
    settings = list(dict.fromkeys(setting for found in curves.values() for setting in found))
    figure, axes = style.panels(len(settings), _title(rows), panel=1.8)
    barred = False
    for panel, setting in zip(axes, settings, strict=True):
        own = [row for found in curves.values() for row in found.get(setting, ())]
        choices = {row[setting]: factors.choice(setting, row[setting], {row.get("model", "")}) for row in own}
        place, joined = _axis(panel, setting, choices)
        apart = {place[value] for value, word in choices.items() if word}
        drawn = set()
        for number, (dataset, label, columns) in enumerate(lines):
            points = collections.defaultdict(list)
            for row in curves[dataset].get(setting, ()):
                points[place[row[setting]]].append(np.mean([row[column] for column in columns]))
            if points:
                barred |= _line(panel, points, apart, label, number, joined, thick=len(columns) > 1)
            if points and dataset not in drawn:
                drawn.add(dataset)
                _chance(panel, curves[dataset][setting], dataset if len(datasets) > 1 else "", number)
        style.fit_ticks(panel, names=not joined)
    if barred:
        style.set_title(figure, f"{_title(rows)}\nbars: standard deviation over repeated runs")
    handles: dict[str, Artist] = {}
    for panel in axes:
        panel.set_ylim(bottom=0)
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            handles.setdefault(label, handle)  # the first panel with lines between its points, if there is one
    style.legend_below(figure, handles.values())
    return {"sensitivity": figure}


def _title(rows: Sequence[Row]) -> str:
    """What the rows tell of dataset, model and protocol."""
    told = [name for name in ("dataset", "model", "protocol") if name in rows[0]]
    facts = [", ".join(dict.fromkeys(str(row[name]) for row in rows)) for name in told]
    facts = [f"protocol {fact}" if name == "protocol" else fact for name, fact in zip(told, facts, strict=True)]
    return ", ".join(facts)


def _lines(row: Row, averages: bool) -> dict[str, list[str]]:
    """The lines to draw, label -> the columns that are averaged: each column, and each class group's average."""
    groups, lines = collections.defaultdict(list), {}
    for column in row:
        if column.startswith("mAP"):
            matched: Any = re.fullmatch(r"(mAP\S*)(?: (\S+->\S+))?(?: (.+))?", column)  # as the column starts so
            metric, task, classes = matched.groups()
            rest = [classes if classes != "all" else None, metric if metric != "mAP" else None]
            label, average = (", ".join(filter(None, [what, *rest])) for what in (task, "average"))
            lines[style.arrow(label) or metric] = [column]
            groups[average if task else label or metric].append(column)
    averaged = {label: columns for label, columns in groups.items() if averages or len(columns) > 1}
    return averaged if averages else lines | averaged


def _axis(panel: Axes, setting: str, values: Mapping[str, str | None]) -> tuple[Mapping[Any, float], bool]:
    """Sets up the axes of a setting.

    Args:
      panel: the Axes.
      setting: name.
      values: value -> what it is called if it is a choice, such as "auto", and no point between the others; else None.

    Returns:
      (value -> its place on x, whether there is something between two values).
    """
    panel.set(xlabel=setting, ylabel="mAP (0 to 1)", ymargin=0.1)
    numbers = {value: factors.number(value) for value, word in values.items() if not word}
    if not numbers or not all(map(math.isfinite, numbers.values())):
        ordered = sorted(values)
        panel.set_xticks(range(len(ordered)), [values[value] or value for value in ordered])
        panel.margins(x=0.2)
        return {value: i for i, value in enumerate(ordered)}, False
    positive = [x for x in numbers.values() if x > 0]
    low, high = min(numbers.values()), max(numbers.values())
    logarithmic = low >= 0 and bool(positive) and high / min(positive) >= DECADES
    if logarithmic and len(positive) < len(numbers):
        panel.set_xscale("symlog", linthresh=min(positive))  # a logarithmic axis with a place for 0
    elif logarithmic:
        panel.set_xscale("log")
    places = sorted(numbers.values())
    if len(places) > MOST_TICKS and not logarithmic:
        places = [x for x in MaxNLocator(MOST_TICKS - 2).tick_values(low, high) if low <= x <= high]
    ticks = {x: f"{x:g}" for x in places}
    for value, word in values.items():
        if word:  # beyond the end, behind a line
            beyond = [(high / min(positive)) ** part for part in (APART / 2, APART)] if logarithmic else [
                (high - low or abs(high) or 1) * part for part in (APART / 2, APART)]
            between, numbers[value] = [high * x if logarithmic else high + x for x in beyond]
            ticks[numbers[value]] = word
            panel.axvline(between, color="0.7", linewidth=0.8)
    panel.set_xticks(list(ticks), list(ticks.values()))
    panel.minorticks_off()
    return numbers, True


def _line(
    panel: Axes, points: Mapping[float, Sequence[float]], apart: Collection[float], label: str, number: int,
    joined: bool, thick: bool,
) -> bool:
    """Draws one line of points, x -> its repetitions, those `apart` beside it; returns True if it has bars."""
    spread = {x: float(np.std(own, ddof=1)) if len(own) > 1 else 0.0 for x, own in points.items()}
    look = style.line_style(number) | {"linewidth": 2 if thick else 1.3}
    parts = [(sorted(points.keys() - apart), {} if joined else {"linestyle": ""})]
    parts += [([x], {"linestyle": ""}) for x in sorted(points.keys() & apart)]
    for x, more in filter(lambda part: part[0], parts):
        bars = [spread[value] for value in x]
        panel.errorbar(
            x, [np.mean(points[value]) for value in x], bars if any(bars) else None, label=label, capsize=2,
            marker=style.MARKERS[number % len(style.MARKERS)], **look | more,
        )
        label = "_"  # once in the legend
    return any(spread.values())


def _chance(panel: Axes, rows: Sequence[Row], dataset: str, number: int) -> None:
    """Draws each chance level that a dataset's rows tell, as their mean; one of several in its first line's colour."""
    look = style.CHANCE | ({"color": style.line_style(number)["color"]} if dataset else {})
    columns = [name for name in rows[0] if name.startswith("chance")]
    for level in sorted({round(float(np.mean([row[name] for row in rows])), 4) for name in columns}):
        panel.axhline(level, label=f"{dataset}, chance" if dataset else "chance", **look)
