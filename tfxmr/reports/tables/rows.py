"""Results as rows of tables: what was measured, of one run and of many."""
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from tfxmr.core import display
from tfxmr.core.wording import printable
from tfxmr.reports.tables import differences
from tfxmr.reports.tables.formats import Marked, Row
from tfxmr.runs.results import Results, column_of

MARK = 3  # columns of a footnote's letter

def metrics_rows(metrics: Iterable[dict[str, Any]]) -> list[Row]:
    """Metrics as the rows of a table, after each group of classes the mean of its tasks.

    Tasks that search all modalities together have a mean of their own. The interval is empty where there is none.

    Args:
      metrics: list of dicts as `tfxmr.evaluation.evaluate` gives them.

    Returns:
      list of dicts: task, classes, metric, value, low, high, chance, queries, gallery.
    """
    rows: list[Row] = []
    groups: dict[tuple[str, str, bool], list[dict[str, Any]]] = {}
    for m in metrics:
        low, high = m.get("interval", (None, None))
        rows.append({"task": m["task"], "classes": m["classes"], "metric": m["metric"], "value": m["value"], "low": low,
                     "high": high, "chance": m["chance"], "queries": m["num_queries"], "gallery": m["gallery_size"]})
        groups.setdefault((m["classes"], m["metric"], m["task"].endswith("->all")), []).append(m)
    for (classes, metric, joint), group in groups.items():
        value, chance = (
            None if group[0][key] is None else float(np.mean([m[key] for m in group])) for key in ("value", "chance")
        )
        rows.append(dict.fromkeys(rows[0]) | {"task": "average->all" if joint else "average", "classes": classes,
                                              "metric": metric, "value": value, "chance": chance})
    return rows


def by_class_rows(metrics: Iterable[dict[str, Any]]) -> list[Row]:
    """mAP a class as the rows of a table: class, and one column a task.

    Args:
      metrics: as in `metrics_rows`; those without by_class are skipped.
    """
    rows: dict[tuple[str, Any], Row] = {}
    for m in metrics:
        for name, value in m.get("by_class", {}).items():
            row = rows.setdefault((m["classes"], name), {"class": str(name), "classes": m["classes"]})
            row[f"{m['metric']} {m['task']}"] = value
    return list(rows.values())


def to_text(rows: Sequence[Row], footnotes: str = "") -> str:
    """A plain table with three decimals, a line a row of any length.

    Args:
      rows: list of dicts.
      footnotes: text below the table.
    """
    columns, cells, left = _cells(rows)
    widths = [max(len(line[i]) for line in (columns, *cells)) for i in range(len(columns))]
    lines = [
        "  ".join(c.ljust(w) if text else c.rjust(w) for c, w, text in zip(line, widths, left, strict=True)).rstrip()
        for line in (columns, *cells)
    ]
    return "\n".join([*lines, *([footnotes] if footnotes else [])])


def show(rows: Sequence[Row], footnotes: str = "", keys: int | None = None) -> None:
    """Prints rows: a table that fits the terminal, or elsewhere what `to_text` makes.

    Args:
      rows, footnotes: as in `to_text`.
      keys: how many columns tell the rows apart, see tfxmr.core.display.table; None: those of text before the first
        figures.
    """
    if not display.is_terminal():
        print(to_text(rows, footnotes))
        return
    filled = {name for row in rows for name, value in row.items() if value is not None}  # in a pipe all columns stay
    columns, cells, left = _cells([{name: value for name, value in row.items() if name in filled} for row in rows])
    figures = [number for number, text in enumerate(left) if not text]
    display.table(columns, cells, figures, keys or max(1, min([len(columns), *figures])))
    if footnotes:
        display.say(footnotes, MARK)


def _cells(rows: Sequence[Row]) -> tuple[list[str], list[list[str]], list[bool]]:
    """The names of the columns, the cells as texts, and of each column whether it holds texts."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [[_cell(row.get(c)) for c in columns] for row in rows]
    return columns, cells, [isinstance(rows[0].get(c), str) for c in columns]


def _cell(value: Any) -> str:
    if value is None:
        return ""
    if isinstance(value, Marked):
        spread = "" if value.deviation is None else f" ± {value.deviation:.3f}"
        return f"{value.value:.3f}{spread}{' ' if value.mark else ''}{value.mark}"
    return f"{value:.3f}" if isinstance(value, float) else printable(str(value))


def results_rows(results: Sequence[Results]) -> tuple[list[Row], str]:
    """Makes one row a run, so that no two protocols share a column without a mark.

    A value is marked when its protocol differs in any entry from the first run's. Runs on different datasets may
    differ in the unseen classes; runs on one dataset may not, nor in the numbers of queries and gallery items.

    Args:
      results: list of what results.json holds.

    Returns:
      (rows, footnotes): dicts of model, dataset, seed and one column a metric, task and class group; and one line a
      mark, "a  cut 50 instead of none", "" without marks.

    Raises:
      ValueError: a run that has one metric of one task and class group twice.
    """
    rows: list[Row] = []
    marks: dict[str, str] = {}  # note -> letter
    firsts: dict[str, dict[str, str]] = {}  # data set -> facts of its first run
    sizes: dict[tuple[str, str, str], dict[str, str]] = {}  # (data set, task, classes) -> sizes of the first
    for result, dataset in zip(results, differences.data_sets(results), strict=True):
        row = {"model": result["model"], "dataset": dataset, "seed": result["seed"]}
        protocol = differences.of_protocols([result], results[:1])
        unseen = {"unseen": differences.say(result["protocol"].get("unseen", ()))}
        classes = differences.between([unseen], [firsts.setdefault(dataset, unseen)])
        for m in result["metrics"]:
            column = column_of(m)
            if column in row:
                raise ValueError(f"{dataset}, {row['model']}, seed {row['seed']}: {column!r} is there twice")
            found = sizes_of(m)
            expected = sizes.setdefault((dataset, m["task"], m["classes"]), found)
            note = "; ".join(filter(None, (protocol, classes, differences.between([found], [expected]))))
            mark = marks.setdefault(note, letters(len(marks))) if note else ""
            row[column] = Marked(m["value"], mark) if mark else m["value"]
        rows.append(row)
    return rows, "\n".join(f"{mark}  {note}" for note, mark in marks.items())


def sizes_of(metric: dict[str, Any]) -> dict[str, str]:
    """The numbers of queries and gallery items of a metric, as texts."""
    return {"queries": str(metric["num_queries"]), "gallery items": str(metric["gallery_size"])}


def letters(index: int) -> str:
    """a, b, ..., z, aa, ab, ... for 0, 1, ..."""
    return (letters(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)
