"""Results as rows of tables: what was measured, of one run and of many."""
import collections
import math

import numpy as np

from tfxmr.evaluation import checks, differences
from tfxmr.evaluation.tables import Marked

NUMBER = (int, float)
# What tables are made of, and the types that JSON gives it; what else results.json holds is not looked at here.
HELD = {
    "model": (str,), "dataset": (str,), "seed": (int,), "steps": (int,), "seconds": NUMBER, "protocol": (dict,),
    "metrics": (list,), "flags": (dict,), "features": (dict,),
}
HELD_BY_METRIC = {
    "task": (str,), "classes": (str,), "metric": (str,), "value": NUMBER, "chance": (*NUMBER, type(None)),
    "num_queries": (int,), "gallery_size": (int,),
}


def check(results: dict) -> None:
    """Checks what a results.json holds, so that whoever makes tables of it need not.

    Args:
      results: the decoded JSON.

    Raises:
      ValueError: an entry is missing, of another type, or no finite number; the message says which.
    """
    _check_entries("", results, HELD)
    _check_entries("protocol ", results["protocol"], {"name": (str,)})
    _check_entries("protocol ", {"similarity": "cosine"} | results["protocol"], {"similarity": (str,)})
    for name, line in results["flags"].items():
        _check_entries("flag ", {name: line}, {name: (str,)})
    for name, facts in results["features"].items():
        _check_entries("features ", {name: facts}, {name: (dict,)})
        digest = {key: facts[key] for key in ("sha256",) if key in facts}
        _check_entries(f"features {name} ", digest, dict.fromkeys(digest, (str,)))
    optional = {name: results[name] for name in ("data", "training_items") if name in results}  # of newer versions
    _check_entries("", optional, dict.fromkeys(optional, (dict,)))
    for name, digests in optional.get("data", {}).items():
        _check_entries("data ", {name: digests}, {name: (dict,)})
        _check_entries(f"data {name} ", digests, {"rows_sha256": (str,)} | dict.fromkeys(digests, (str,)))
    for place, found in enumerate(results["metrics"], 1):
        where = f"metric {place} "
        if not isinstance(found, dict):
            raise ValueError(f"{where}is {checks.short(found)}")
        _check_entries(where, found, HELD_BY_METRIC)
        if "interval" in found:
            _check_entries(where, found, {"interval": (list,)})
            low_high = dict(enumerate(found["interval"]))
            _check_entries(f"{where}interval ", low_high, {0: NUMBER, 1: NUMBER})
    for column, count in collections.Counter(map(column_of, results["metrics"])).items():
        if count > 1:
            raise ValueError(f"{column!r} is there twice")


def _check_entries(where, holder, kinds):
    for name, allowed in kinds.items():
        if name not in holder:
            raise ValueError(f"{where}{name} is missing")
        value = holder[name]
        # The exact type, as JSON's true and false are whole numbers to Python.
        if type(value) not in allowed or (isinstance(value, float) and not math.isfinite(value)):
            raise ValueError(f"{where}{name} is {checks.short(value)}")
        if isinstance(value, str) and not value.isprintable():
            raise ValueError(f"{where}{name} is {checks.short(value)}")


def describe(data, protocol, training=None):
    """Says in a few lines what will be measured: data, features, classes, protocol.

    Args:
      data: MultiModalData.
      protocol: tfxmr.data.protocol.Protocol.
      training: MultiModalData, what is trained on; its splits are counted in place of those of `data`.
    """
    features = ", ".join(
        f"{view} {data.features.get(view, {}).get('name', 'features')} ({'x'.join(map(str, np.atleast_1d(dim)))})"
        for view, dim in data.dims.items()
    )
    holders = dict.fromkeys(training.splits if training else (), training)
    holders |= {name: data for name in data.splits if name not in holders}
    sizes = ", ".join(f"{name} {holder.size(name).removesuffix(' items')}" for name, holder in holders.items())
    lines = [f"dataset    {data.shown}: {features}; {sizes}"]
    if data.source:
        lines.append(
            f"source     {data.source.shown}: {', '.join(data.source.views)}; {data.source.size('train')} of "
            f"{data.source.num_classes} classes"
        )
    facts = protocol.facts(data)
    unseen = facts.pop("unseen")
    lines.append("protocol   " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    if unseen:
        lines.append(f"unseen     {', '.join(map(str, unseen))}")
    if data.instances:
        lines.append("measures   hit@k: a counterpart is among the first k, R@k of papers on images and sentences")
    return "\n".join(lines)


def metrics_rows(metrics):
    """Metrics as the rows of a table, after each group of classes the mean of its tasks.

    Tasks that search all modalities together have a mean of their own. The interval is empty where there is none.

    Args:
      metrics: list of dicts as `tfxmr.evaluation.evaluate` gives them.

    Returns:
      list of dicts: task, classes, metric, value, low, high, chance, queries, gallery.
    """
    rows, groups = [], {}
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


def by_class_rows(metrics):
    """mAP a class as the rows of a table: class, and one column a task.

    Args:
      metrics: as in `metrics_rows`; those without by_class are left out.
    """
    rows = {}
    for m in metrics:
        for name, value in m.get("by_class", {}).items():
            row = rows.setdefault((m["classes"], name), {"class": str(name), "classes": m["classes"]})
            row[f"{m['metric']} {m['task']}"] = value
    return list(rows.values())


def to_text(rows, footnotes=""):
    """A plain table for the terminal, with three decimals.

    Args:
      rows: list of dicts.
      footnotes: text below the table.
    """
    columns = list(dict.fromkeys(name for row in rows for name in row))
    cells = [columns] + [[_cell(row.get(c)) for c in columns] for row in rows]
    widths = [max(len(line[i]) for line in cells) for i in range(len(columns))]
    left = [isinstance(rows[0].get(c), str) for c in columns]
    lines = [
        "  ".join(c.ljust(w) if text else c.rjust(w) for c, w, text in zip(line, widths, left, strict=True)).rstrip()
        for line in cells
    ]
    return "\n".join([*lines, *([footnotes] if footnotes else [])])


def _cell(value):
    if value is None:
        return ""
    if isinstance(value, Marked):
        spread = "" if value.deviation is None else f" ± {value.deviation:.3f}"
        return f"{value.value:.3f}{spread}{' ' if value.mark else ''}{value.mark}"
    return f"{value:.3f}" if isinstance(value, float) else str(value)


def results_rows(results):
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
    rows, marks, firsts, sizes = [], {}, {}, {}
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


def column_of(metric: dict) -> str:
    """The name of a metric's column: "mAP image->text all"."""
    return f"{metric['metric']} {metric['task']} {metric['classes']}"


def sizes_of(metric: dict) -> dict:
    """The numbers of queries and gallery items of a metric, as texts."""
    return {"queries": str(metric["num_queries"]), "gallery items": str(metric["gallery_size"])}


def letters(index: int) -> str:
    """a, b, ..., z, aa, ab, ... for 0, 1, ..."""
    return (letters(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)
