"""mAP against one flag of the runs, such as the share of unseen classes or the labels a class: a line a method."""
import collections
from collections.abc import Collection, Iterable, Sequence

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.reports.figures import style
from tfxmr.reports.tables import comparison, differences, factors
from tfxmr.reports.tables.rows import letters
from tfxmr.runs.results import Results

Lines = dict[tuple[str, str], dict[str, list[Results]]]  # (name, data set) -> {value of the flag: its runs}
Points = dict[int, list[tuple[float, float]]]  # place on the axis -> (mAP, chance) of each run
Panel = tuple[str, str, str]  # data set, metric, classes

MOST = 8  # lines in a legend above each panel
APART, ALL_APART = 0.05, 0.6  # between two lines at the same value, and all of them, of the way to the next value


@style.styled
def draw(
    results: Sequence[Results], x: str, ignore: Collection[str] = (), labels: Sequence[str] = ()
) -> dict[str, Figure]:
    """Draws mAP, averaged over the directions, against a flag: a panel a data set and class group, a line a method.

    Repeats are averaged, with bars of their sample standard deviation. Values stand at equal distances, so that 5, 10
    and 20 labels a class are as easily told apart as 20 and all. Chance is the mean over the runs of each value.

    Args:
      results: list of what results.json holds.
      x: name of the flag.
      ignore: names of flags that change no result.
      labels: names of the lines in the legend, in the order of their first runs; none: what tells them apart.

    Returns:
      {"curve": Figure}; the legend marks a line whose runs differ from those of the first line on its data set in more
      than the method.

    Raises:
      InputError: no run has the flag, it is a seed, all have one value of it or no mAP, or labels do not fit.
    """
    lines = _lines(results, x, ignore)
    names = list(dict.fromkeys(name for name, _ in lines))
    given = labels or names
    if len(given) != len(names) or len(set(given)) < len(given):
        raise InputError(f"--labels={','.join(given)}: give {counted(len(names), 'different name')}, of "
                         f"{'; '.join(names)}")
    values = _values(lines, x)
    notes: dict[str, str] = {}  # note -> letter
    shown = {name: label + _mark(lines, name, x, notes) for name, label in zip(names, given, strict=True)}
    panels: dict[Panel, dict[str, Points]] = collections.defaultdict(dict)  # panel -> {name: points}
    for (name, dataset), points in lines.items():
        for value, runs in points.items():
            for (metric, classes), found in _averages(runs).items():
                panels[dataset, metric, classes].setdefault(name, {})[values.index(value)] = found
    if not panels:
        raise InputError("--run_dir: these runs have no mAP to draw; give runs on data with classes")
    figure, axes = style.panels(len(panels), _title(results), panel=1.8)
    apart = min(APART, ALL_APART / len(names))  # bars must not cover each other
    for axis, (panel, drawn) in zip(axes, panels.items(), strict=True):
        for number, name in enumerate(names):
            if name in drawn:
                _line(axis, drawn[name], shown[name], number, apart * (number - (len(names) - 1) / 2))
        _chance(axis, drawn.values())
        axis.set(xlabel=x, ylabel=f"{panel[1]} (0 to 1)", ymargin=0.1, xlim=(-0.4, len(values) - 0.6))
        axis.set_xticks(range(len(values)), [factors.choice(x, value) or value for value in values])
        axis.set_ylim(bottom=0)
        style.fit_ticks(axis, names=True)
        if len(names) <= MOST:
            style.legend_above(axis, _heading(panel, list(panels)))
        else:
            axis.set_title(_heading(panel, list(panels)), loc="left", fontweight="bold")
    told = [f"({letter}) {note}" for note, letter in notes.items()]
    if len(names) > MOST:  # once for all panels, as wide as the figure
        drawn_by = [axis.get_legend_handles_labels() for axis in axes]
        entries = {label: handle for found in drawn_by for handle, label in zip(*found, strict=True)}
        style.legend_below(figure, entries.values(), notes=told)
    else:
        style.set_notes(figure, told)
    return {"curve": figure}


def _lines(results: Sequence[Results], x: str, ignore: Collection[str]) -> Lines:
    """{(name, data set): {value of the flag: its runs}}, the repeats of everything but the flag."""
    results = [comparison.as_asked(result) for result in results]
    known = dict.fromkeys(name for result in results for name in result["flags"])
    axes = [name for name in known if name not in (*ignore, *comparison.REPEATS)]
    if x not in axes:
        varied = [n for n in axes if len({factors.flag_value(n, r["flags"].get(n)) for r in results}) > 1]
        what = "tells repeats apart or changes no result" if x in known else "no run has such a flag"
        raise InputError(f"--x={x}: {what}; the runs differ in {', '.join(varied) or 'no flag'}")
    try:
        groups = comparison.repeats(results, ignore)
    except ValueError as error:
        raise InputError(f"--run_dir: {error}") from error
    lines: Lines = collections.defaultdict(dict)
    for (label, dataset), runs in groups.items():
        text = next(iter(runs.values()))["flags"].get(x)
        name = label.replace(f" {text.lstrip('-')}", "") if text else label  # what the axis says
        lines[name, dataset][factors.flag_value(x, text)] = list(runs.values())
    return lines


def _values(lines: Lines, x: str) -> list[str]:
    """The values of the axis, in order."""
    found = list(dict.fromkeys(value for points in lines.values() for value in points))
    if len(found) < 2:
        raise InputError(f"--x={x}: all runs have {found[0]}; give runs that differ in it")
    if any(np.isnan(factors.number(value)) for value in found):
        return found
    return sorted(found, key=lambda value: (factors.choice(x, value) is not None, factors.number(value)))


def _averages(runs: Iterable[Results]) -> dict[tuple[str, str], list[tuple[float, float]]]:
    """(metric, classes) -> [(mAP, chance) of each run], averaged over the pairs of modalities; chance may be NaN."""
    found = collections.defaultdict(list)
    for run in runs:
        groups = collections.defaultdict(list)
        for m in run["metrics"]:
            if m["metric"].startswith("mAP") and not m["task"].endswith("->all"):
                groups[m["metric"], m["classes"]].append((m["value"], np.nan if m["chance"] is None else m["chance"]))
        for panel, pairs in groups.items():
            found[panel].append(np.mean(pairs, axis=0))
    return found


def _mark(lines: Lines, name: str, x: str, notes: dict[str, str]) -> str:
    """" (a)" of a line whose runs differ from the first line's, the first value where they do; `notes` takes it."""
    for (own, dataset), points in lines.items():
        first = next(other for (_, there), other in lines.items() if there == dataset)
        for value, runs in points.items() if own == name else ():
            there = first.get(value, runs)
            note = "; ".join(filter(None, (differences.of_protocols(runs, there), differences.of_data(runs, there))))
            if note:
                return f" ({notes.setdefault(f'{note} (at {x} {value})', letters(len(notes)))})"
    return ""


def _line(axis: Axes, points: Points, label: str, number: int, shift: float) -> None:
    """Draws one line of points, place -> [(mAP, chance)] of the repeats, a little beside its place."""
    places = sorted(points)
    values = [[value for value, _ in points[place]] for place in places]
    spread = [float(np.std(own, ddof=1)) if len(own) > 1 else 0.0 for own in values]
    axis.errorbar(
        np.add(places, shift), [np.mean(own) for own in values], spread if any(spread) else None, label=label,
        capsize=2, marker=style.MARKERS[number % len(style.MARKERS)], **style.line_style(number),
    )


def _chance(axis: Axes, lines: Iterable[Points]) -> None:
    """Draws the chance level of each place, where it is known."""
    levels: dict[int, list[float]] = collections.defaultdict(list)
    for points in lines:
        for place, found in points.items():
            levels[place] += [chance for _, chance in found if not np.isnan(chance)]
    places = sorted(place for place, known in levels.items() if known)
    if places:
        axis.plot(places, [np.mean(levels[place]) for place in places], label="chance", **style.CHANCE)


def _heading(panel: Panel, panels: Sequence[Panel]) -> str:
    """What tells a panel from the others."""
    dataset, metric, classes = panel
    several = [len(set(kind)) > 1 for kind in zip(*panels, strict=True)]
    return ", ".join(text for text, told in zip((dataset, metric, f"{classes} classes"), several, strict=True) if told)


def _title(results: Sequence[Results]) -> str:
    datasets, protocols = (dict.fromkeys(facts) for facts in zip(
        *((r["dataset"], r["protocol"]["name"]) for r in results), strict=True))
    return (f"{', '.join(datasets)}, protocol {', '.join(protocols)}\naverage over the directions\n"
            "bars: standard deviation over repeated runs")
