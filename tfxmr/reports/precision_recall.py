"""Precision-recall curves of one run or several, a panel a task."""
from tfxmr.errors import InputError
from tfxmr.evaluation import curves
from tfxmr.evaluation.chance import chance_level
from tfxmr.evaluation.ranking import mean_average_precision
from tfxmr.reports import style


@style.styled
def draw(runs, title, kind="11-point"):
    """Draws precision against recall, as figure 2 of Wu et al., Pattern Recognition 2020, with the chance level.

    The chance level is the same curve of random rankings: interpolation raises it, too, most of all at recall 0.

    Args:
      runs: name -> (tfxmr.data.protocol.Protocol, list of tfxmr.reports.rankings.Ranking); all of the same tasks on
        the same items, compared alike.
      title: of the figure.
      kind: "11-point" or "uninterpolated", see tfxmr.evaluation.curves.mean_curve.

    Returns:
      {"precision_recall": Figure}; the legend gives each run's mAP over the full ranking.

    Raises:
      InputError: the runs' tasks or protocols differ.
    """
    first, *others = runs
    for name in others:
        if _identity(*runs[name]) != _identity(*runs[first]):
            raise InputError(
                f"--run_dir={first},{name}: these runs have other queries, galleries or similarities, so their curves "
                "do not compare; give runs of one dataset, split and protocol"
            )
    protocol, tasks_of_first = runs[first]
    columns = 1 if max(map(len, runs)) > 7 else 2
    figure, axes = style.panels(len(tasks_of_first), title, height=2.1 + 0.14 * (len(runs) + 1) / columns)
    for panel, *tasks in zip(axes, *(tasks for _, tasks in runs.values()), strict=True):
        task = tasks[0]
        labels = task.query_labels, task.gallery_labels
        chance = f"chance, mAP {chance_level(*labels):.3f}"
        panel.plot(*curves.chance_curve(kind, *labels), label=chance, **style.CHANCE)
        for i, (name, found) in enumerate(zip(runs, tasks, strict=True)):
            items = found.query, found.gallery, *labels
            options = {"similarity": protocol.similarity, "ties": protocol.ties}
            value = mean_average_precision(*items, **options)
            marker = style.MARKERS[i % len(style.MARKERS)] if kind == "11-point" else None
            label = f"{name}, mAP {value:.3f}"
            panel.plot(*curves.mean_curve(kind, *items, **options), label=label, marker=marker, **style.line_style(i))
        panel.set_xlabel("recall (0 to 1)")
        panel.set_ylabel("interpolated precision (0 to 1)" if kind == "11-point" else "precision (0 to 1)")
        panel.set(xlim=(-0.02, 1.02), ylim=(0, 1))
        group = "" if task.classes == "all" else f", {task.classes} classes"
        style.legend_above(panel, columns, style.arrow(task.task) + group)
    return {"precision_recall": figure}


def _identity(protocol, tasks):
    """All that two runs must share to be compared."""
    compared = protocol.similarity, protocol.ties, protocol.normalisation
    return compared, [
        (t.task, t.classes, t.query_items, t.gallery_items, t.query_labels.tolist(), t.gallery_labels.tolist())
        for t in tasks
    ]
