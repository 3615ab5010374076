"""Results as text: what is measured, and tables for the terminal, Markdown, LaTeX and CSV.

The last three take rows (a list of dicts) and columns (names, in order; None takes all as they occur). A number may be
a `Marked` one; `results_rows` marks those that were measured by another protocol than the first. `best` names the
columns whose best value is bold, with max or min: {"mAP image->text all": max}. Marked values stay out of that contest;
give it rows of one dataset.
"""
import csv
import io
import numbers
import re
import typing

import numpy as np

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "*": "{*}", "->": r"$\rightarrow$", "\n": " ", "\r": " ",
}  # [ and * would be read as an argument of the \\ before them


class Marked(typing.NamedTuple):
    """A value that a footnote qualifies.

    Attributes:
      value: number.
      mark: "a", "b", ...
    """

    value: float
    mark: str


def describe(data, protocol):
    """Says in a few lines what will be measured: data, features, classes, protocol.

    Args:
      data: MultiModalData.
      protocol: tfxmr.data.protocol.Protocol.
    """
    features = ", ".join(
        f"{m} {data.features.get(m, {}).get('name', 'features')} ({data.dims[m]})" for m in data.modalities
    )
    sizes = ", ".join(f"{name} {len(split)}" for name, split in data.splits.items())
    lines = [f"dataset    {data.name}: {features}; {sizes}"]
    facts = protocol.facts(data)
    unseen = facts.pop("unseen")
    lines.append("protocol   " + ", ".join(f"{name} {value}" for name, value in facts.items()))
    if unseen:
        lines.append(f"unseen     {', '.join(map(str, unseen))}")
    return "\n".join(lines)


def metrics_table(metrics):
    """A plain text table of metrics, with the average of the two directions of each class group.

    Args:
      metrics: list of dicts as `tfxmr.evaluation.evaluate` gives them.
    """
    lines = [f"{'task':16} {'classes':8} {'metric':7} {'value':>6} {'chance':>7} {'queries':>8} {'gallery':>8}"]
    groups = {}
    for m in metrics:
        groups.setdefault((m["classes"], m["metric"]), []).append(m)
        lines.append(
            f"{m['task']:16} {m['classes']:8} {m['metric']:7} {m['value']:6.3f} {m['chance']:7.3f} "
            f"{m['num_queries']:8} {m['gallery_size']:8}"
        )
    for (classes, metric), group in groups.items():
        value, chance = (float(np.mean([m[key] for m in group])) for key in ("value", "chance"))
        lines.append(f"{'average':16} {classes:8} {metric:7} {value:6.3f} {chance:7.3f}")
    return "\n".join(lines)


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
    rows, marks, unseen, sizes = [], {}, {}, {}
    for result in results:
        row = {name: result[name] for name in ("model", "dataset", "seed")}
        protocol, dataset = result["protocol"], result["dataset"]
        first = results[0]["protocol"] | {"unseen": unseen.setdefault(dataset, protocol.get("unseen", ()))}
        for m in result["metrics"]:
            column = f"{m['metric']} {m['task']} {m['classes']}"
            if column in row:
                raise ValueError(f"{dataset}, {row['model']}, seed {row['seed']}: {column!r} is there twice")
            found = {"queries": m["num_queries"], "gallery items": m["gallery_size"]}
            expected = sizes.setdefault((dataset, m["task"], m["classes"]), found)
            note = _differences({"unseen": ()} | protocol | found, first | expected)
            mark = marks.setdefault(note, _letters(len(marks))) if note else ""
            row[column] = Marked(m["value"], mark) if mark else m["value"]
        rows.append(row)
    return rows, "\n".join(f"{mark}  {note}" for note, mark in marks.items())


def to_markdown(rows, columns=None, best=None, digits=3, footnotes=""):
    """A GitHub Markdown table.

    Args:
      rows, columns, best: see the module.
      digits: decimals of a float, from 0 on.
      footnotes: text of the marks as `results_rows` gives it; set under the table, a line each.

    Raises:
      ValueError: no rows, or a column that none of them has.
    """
    columns = _columns(rows, columns)
    cells = _cells(rows, columns, best, digits, _escape_markdown, "**{}**", "<sup>{}</sup>")
    lines = [[_escape_markdown(c) for c in columns], ["--:" if _numeric(rows, c) else ":--" for c in columns], *cells]
    notes = [f"\n<sup>{mark}</sup> {_escape_markdown(note)}" for mark, note in _notes(footnotes)]
    return "\n".join([f"| {' | '.join(line)} |" for line in lines] + notes) + "\n"


def to_latex(rows, columns=None, best=None, digits=3, footnotes=""):
    """A LaTeX tabular; needs \\usepackage{booktabs}. Arguments and errors as in `to_markdown`."""
    columns = _columns(rows, columns)
    cells = _cells(rows, columns, best, digits, _escape_latex, r"\textbf{{{}}}", r"\textsuperscript{{{}}}")
    body = [" & ".join(line) + r" \\" for line in ([_escape_latex(c) for c in columns], *cells)]
    align = "".join("r" if _numeric(rows, c) else "l" for c in columns)
    notes = [rf"\par\textsuperscript{{{mark}}} {_escape_latex(note)}" for mark, note in _notes(footnotes)]
    lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", body[0], r"\midrule", *body[1:], r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", *notes]) + "\n"


def to_csv(rows, columns=None):
    """Comma-separated values with all digits. A column with marks is followed by one of its marks, "NAME mark".

    Args:
      rows, columns: see the module.

    Raises:
      ValueError: no rows, or a column that none of them has.
    """
    names, lines = [], [[] for _ in rows]
    for column in _columns(rows, columns):
        values = [row.get(column) for row in rows]
        names.append(column)
        for line, value in zip(lines, values, strict=True):
            line.append(_value(value))
        if any(isinstance(v, Marked) for v in values):
            names.append(f"{column} mark")
            for line, value in zip(lines, values, strict=True):
                line.append(value.mark if isinstance(value, Marked) else "")
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *lines])
    return text.getvalue()


def _differences(protocol, first):
    """Says where two protocols differ, in words; "" if nowhere."""
    notes = []
    for name in [*first, *(n for n in protocol if n not in first)]:
        here, there = (_say(p.get(name, "not stated")) for p in (protocol, first))
        if here != there:
            notes.append(f"{name} {here} instead of {there}")
    return "; ".join(notes)


def _say(value):
    if isinstance(value, (list, tuple)):
        return ", ".join(map(str, value)) or "none"
    return "none" if value is None else str(value)


def _letters(index):
    """a, b, ..., z, aa, ab, ... for 0, 1, ..."""
    return (_letters(index // 26 - 1) if index >= 26 else "") + chr(ord("a") + index % 26)


def _columns(rows, columns):
    if not rows:
        raise ValueError("rows is empty; there is nothing to set in a table")
    known = list(dict.fromkeys(name for row in rows for name in row))
    for column in known if columns is None else columns:
        if column not in known:
            raise ValueError(f"no row has a column {column!r}; there are {', '.join(map(repr, known))}")
    return known if columns is None else list(columns)


def _cells(rows, columns, best, digits, escape, bold, mark):
    """The cells as text, one list a row; what shows the same digits as the best value is as bold as it."""
    texts = {}
    for column in columns:
        values = [row.get(column) for row in rows]
        texts[column] = [_text(_value(v), digits, escape) for v in values]
        contest = [v for v in values if _is_number(v) and not isinstance(v, Marked) and v == v]
        choose = (best or {}).get(column)
        winner = _text(choose(contest), digits, escape) if choose and contest else None
        for i, v in enumerate(values):
            if isinstance(v, Marked):
                texts[column][i] += mark.format(v.mark)
            elif _is_number(v) and texts[column][i] == winner:
                texts[column][i] = bold.format(winner)
    return [[texts[column][i] for column in columns] for i in range(len(rows))]


def _text(value, digits, escape):
    if _is_number(value) and not isinstance(value, numbers.Integral):
        return f"{value:.{digits}f}"
    return "" if value is None else escape(str(value))


def _value(value):
    return value.value if isinstance(value, Marked) else value


def _is_number(value):
    return isinstance(_value(value), numbers.Real) and not isinstance(_value(value), bool)


def _numeric(rows, column):
    return any(_is_number(row.get(column)) for row in rows)


def _notes(footnotes):
    parts = (line.partition(" ") for line in footnotes.splitlines())
    return [(mark, note.strip()) for mark, _, note in parts]


def _escape_markdown(text):
    return re.sub(r"([\\|*`<])", r"\\\1", text).replace("\n", " ").replace("\r", " ")


def _escape_latex(text):
    return re.sub("|".join(re.escape(key) for key in sorted(LATEX, key=len, reverse=True)),
                  lambda found: LATEX[found[0]], text)
