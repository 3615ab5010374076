"""Precision-recall curves of one run or several, a panel a task."""
import dataclasses
from collections.abc import Mapping, Sequence

from matplotlib.figure import Figure

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.evaluation import curves
from tfxmr.evaluation.chance import chance_level
from tfxmr.evaluation.protocol import Protocol
from tfxmr.evaluation.ranking import mean_average_precision
from tfxmr.reports.figures import style
from tfxmr.reports.figures.rankings import Ranking
from tfxmr.reports.tables import differences
from tfxmr.reports.tables.rows import letters
from tfxmr.runs.results import Results


@style.styled
def draw(
    runs: Mapping[str, tuple[Protocol, list[Ranking]]], title: str, kind: str = "11-point",
    facts: Mapping[str, Results] | None = None,
) -> dict[str, Figure]:
    """Draws precision against recall, as figure 2 of Wu et al., Pattern Recognition 2020, with the chance level.

    The chance level is the same curve of random rankings: interpolation raises it, too, most of all at recall 0.

    Args:
      runs: name -> (tfxmr.evaluation.protocol.Protocol, list of tfxmr.reports.figures.rankings.Ranking); all of the
        same tasks on the same items.
      title: of the figure.
      kind: "11-point" or "uninterpolated", see tfxmr.evaluation.curves.mean_curve.
      facts: name -> what results.json says of the run, but for its metrics; None knows the protocols alone.

    Returns:
      {"precision_recall": Figure}; the legend gives each run's mAP over the full ranking, and a mark to a run that
      differs from the first in more than the method, explained below.

    Raises:
      InputError: the runs' data sets or tasks differ.
    """
    facts = facts or {name: {"protocol": dataclasses.asdict(protocol)} for name, (protocol, _) in runs.items()}
    first, *others = runs
    own_data = "dataset" in facts[first]
    data_sets = dict(zip(runs, differences.data_sets(list(facts.values())), strict=True)) if own_data else {}
    for name in others:
        if _items(runs[name][1]) != _items(runs[first][1]) or data_sets.get(name) != data_sets.get(first):
            raise InputError(
                f"--run_dir={first},{name}: these runs have other queries or galleries, so their curves do not "
                "compare; give runs of one dataset, split and protocol"
            )
    tasks_of_first = runs[first][1]
    notes: dict[str, str] = {}  # note -> letter
    labels = {name: _label(name, facts[name], facts[first], notes) for name in runs}
    figure, axes = style.panels(len(tasks_of_first), title, panel=1.5)
    for panel, *tasks in zip(axes, *(tasks for _, tasks in runs.values()), strict=True):
        task = tasks[0]
        truth = task.query_labels, task.gallery_labels
        chance = f"chance, mAP {chance_level(*truth):.3f}"
        panel.plot(*curves.chance_curve(kind, *truth), label=chance, **style.CHANCE)
        for i, (name, found) in enumerate(zip(runs, tasks, strict=True)):
            items, protocol = (found.query, found.gallery, *truth), runs[name][0]
            options = {"similarity": found.similarity, "ties": protocol.ties}
            value = mean_average_precision(*items, **options)
            marker = style.MARKERS[i % len(style.MARKERS)] if kind == "11-point" else None
            label = labels[name].format(value=value)
            panel.plot(*curves.mean_curve(kind, *items, **options), label=label, marker=marker, **style.line_style(i))
        panel.set_xlabel(f"recall (0 to 1), {counted(len(task.query_labels), 'query')} in "
                         f"{counted(len(task.gallery_labels), 'item')}")
        panel.set_ylabel("interpolated precision (0 to 1)" if kind == "11-point" else "precision (0 to 1)")
        panel.set(xlim=(-0.02, 1.02), ylim=(0, 1))
        group = "" if task.classes == "all" else f", {task.classes} classes"
        style.legend_above(panel, style.arrow(task.task) + group)
    style.set_notes(figure, [f"({letter}) {note}" for note, letter in notes.items()])
    return {"precision_recall": figure}


def _label(name: str, own: Results, first: Results, notes: dict[str, str]) -> str:
    """A run's entry in the legend, with a place for its mAP; `notes` takes what is to be said of it."""
    note = differences.of_runs(own, first)
    mark = f" ({notes.setdefault(note, letters(len(notes)))})" if note else ""
    similarity = own["protocol"]["similarity"]
    named = f", {similarity} similarity" if not note and similarity != first["protocol"]["similarity"] else ""
    escaped = name.replace("{", "{{").replace("}", "}}")
    return f"{escaped}, mAP {{value:.3f}}{named}{mark}"


def _items(tasks: Sequence[Ranking]) -> list[tuple]:
    """All that two runs must share to stand in one panel."""
    return [
        (t.task, t.classes, t.query_items, t.gallery_items, t.query_labels.tolist(), t.gallery_labels.tolist())
        for t in tasks
    ]
