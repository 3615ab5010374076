"""Sensitivity curves: mAP against one setting after the other, the others kept."""
import collections
import math
import re
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfxmr.reports.figures import style
from tfxmr.reports.tables import factors
from tfxmr.reports.tables.formats import Row

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
        values = {row[setting] for found in curves.values() for row in found.get(setting, ())}
        place, joined = _axis(panel, setting, values)
        drawn = set()
        for number, (dataset, label, columns) in enumerate(lines):
            points = collections.defaultdict(list)
            for row in curves[dataset].get(setting, ()):
                points[place[row[setting]]].append(np.mean([row[column] for column in columns]))
            if points:
                barred |= _line(panel, points, label, number, joined, thick=len(columns) > 1)
            if points and dataset not in drawn:
                drawn.add(dataset)
                _chance(panel, curves[dataset][setting], dataset if len(datasets) > 1 else "", number)
    if barred:
        style.set_title(figure, f"{_title(rows)}\nbars: standard deviation over repeated runs")
    handles = {handle.get_label(): handle for panel in axes for handle in panel.get_legend_handles_labels()[0]}
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


def _axis(panel: Axes, setting: str, values: Collection[Any]) -> tuple[Mapping[Any, float], bool]:
    """Sets up the axes of a setting; returns (value -> its place on x, whether there is something between two)."""
    panel.set(xlabel=setting, ylabel="mAP (0 to 1)", ymargin=0.1)
    numbers = {value: factors.number(value) for value in values}
    if not all(map(math.isfinite, numbers.values())):
        ordered = sorted(values)
        panel.set_xticks(range(len(ordered)), ordered)
        panel.margins(x=0.2)
        return {value: i for i, value in enumerate(ordered)}, False
    positive = [x for x in numbers.values() if x > 0]
    if min(numbers.values()) >= 0 and positive and max(positive) / min(positive) >= DECADES:
        if len(positive) < len(numbers):
            panel.set_xscale("symlog", linthresh=min(positive))  # a logarithmic axis with a place for 0
        else:
            panel.set_xscale("log")
    if len(numbers) <= 10:
        ticks = sorted(numbers.values())
        panel.set_xticks(ticks, [f"{tick:g}" for tick in ticks])
        panel.minorticks_off()
    return numbers, True


def _line(
    panel: Axes, points: Mapping[float, Sequence[float]], label: str, number: int, joined: bool, thick: bool
) -> bool:
    """Draws one line of points, x -> its repetitions; returns True if it has bars."""
    x = sorted(points)
    spread = [float(np.std(points[value], ddof=1)) if len(points[value]) > 1 else 0.0 for value in x]
    look = style.line_style(number) | {"linewidth": 2 if thick else 1.3} | ({} if joined else {"linestyle": ""})
    panel.errorbar(
        x, [np.mean(points[value]) for value in x], spread if any(spread) else None, label=label, capsize=2,
        marker=style.MARKERS[number % len(style.MARKERS)], **look,
    )
    return any(spread)


def _chance(panel: Axes, rows: Sequence[Row], dataset: str, number: int) -> None:
    """Draws each chance level that a dataset's rows tell, as their mean; one of several in its first line's colour."""
    look = style.CHANCE | ({"color": style.line_style(number)["color"]} if dataset else {})
    columns = [name for name in rows[0] if name.startswith("chance")]
    for level in sorted({round(float(np.mean([row[name] for row in rows])), 4) for name in columns}):
        panel.axhline(level, label=f"{dataset}, chance" if dataset else "chance", **look)
