"""Tables in Markdown, LaTeX and CSV.

They take rows (a list of dicts) and columns (names, in order; None takes all as they occur). A number may be a `Marked`
one, as `tfxmr.reports.tables.comparison.summary` marks those that differ in more than the method from the first.
`best` names the columns whose best value is bold, with max or min: {"mAP image->text all": max}. Marked values stay out
of that contest; give it rows of one dataset.
"""
import csv
import io
import numbers
import re
import typing
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from tfxmr.evaluation import checks

LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_", "{": r"\{", "}": r"\}",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "<": r"\textless{}", ">": r"\textgreater{}",
    "|": r"\textbar{}", "[": "{[}", "*": "{*}", "->": r"$\rightarrow$", "\n": " ", "\r": " ",
}  # [ and * would be read as an argument of the \\ before them


Row = dict[str, Any]  # column -> cell: a text, a number, a Marked one, or None
Best = Mapping[str, Callable[[list], Any]]  # column -> max or min


class Marked(typing.NamedTuple):
    """A value with what belongs to it.

    Attributes:
      value: number.
      mark: of the footnote that qualifies it, "a", "b", ...; "" without one.
      deviation: standard deviation over runs; None without one.
    """

    value: float
    mark: str
    deviation: float | None = None


# By hand: pandas and tabulate, which are no dependencies, know neither marks with footnotes, nor values that are bold
# because they show the digits of the best one.


def to_markdown(
    rows: Sequence[Row], columns: Sequence[str] | None = None, best: Best | None = None, digits: int = 3,
    footnotes: str = "",
) -> str:
    """A GitHub Markdown table.

    Args:
      rows, columns, best: see the module.
      digits: decimals of a float, from 0 on.
      footnotes: text of the marks as `summary` gives it; set under the table, a line each.

    Raises:
      ValueError: no rows, or a column that none of them has.
    """
    columns, digits = _columns(rows, columns), checks.whole("digits", digits, 0)
    cells = _cells(rows, columns, best, digits, _escape_markdown, "**{}**", "<sup>{}</sup>", "±")
    lines = [[_escape_markdown(c) for c in columns], ["--:" if _numeric(rows, c) else ":--" for c in columns], *cells]
    notes = [f"\n<sup>{mark}</sup> {_escape_markdown(note)}" for mark, note in _notes(footnotes)]
    return "\n".join([f"| {' | '.join(line)} |" for line in lines] + notes) + "\n"


def to_latex(
    rows: Sequence[Row], columns: Sequence[str] | None = None, best: Best | None = None, digits: int = 3,
    footnotes: str = "",
) -> str:
    """A LaTeX tabular; needs \\usepackage{booktabs}. Arguments and errors as in `to_markdown`."""
    columns, digits = _columns(rows, columns), checks.whole("digits", digits, 0)
    cells = _cells(rows, columns, best, digits, _escape_latex, r"\textbf{{{}}}", r"\textsuperscript{{{}}}",
                   r"$\pm$")
    body = [" & ".join(line) + r" \\" for line in ([_escape_latex(c) for c in columns], *cells)]
    align = "".join("r" if _numeric(rows, c) else "l" for c in columns)
    notes = [rf"\par\textsuperscript{{{mark}}} {_escape_latex(note)}" for mark, note in _notes(footnotes)]
    lines = [rf"\begin{{tabular}}{{{align}}}", r"\toprule", body[0], r"\midrule", *body[1:], r"\bottomrule"]
    return "\n".join([*lines, r"\end{tabular}", *notes]) + "\n"


def to_csv(rows: Sequence[Row], columns: Sequence[str] | None = None) -> str:
    """Comma-separated values with all digits.

    A column with deviations is followed by one of them, "NAME deviation", and one with marks by one of them,
    "NAME mark".

    Args:
      rows, columns: see the module.

    Raises:
      ValueError: no rows, or a column that none of them has.
    """
    names: list[str] = []
    lines: list[list[Any]] = [[] for _ in rows]
    for column in _columns(rows, columns):
        values = [row.get(column) for row in rows]
        names.append(column)
        for line, value in zip(lines, values, strict=True):
            line.append(_value(value))
        for part, empty in (("deviation", None), ("mark", "")):
            found = [getattr(v, part, empty) for v in values]
            if any(f != empty for f in found):
                names.append(f"{column} {part}")
                for line, f in zip(lines, found, strict=True):
                    line.append("" if f is None else f)
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([names, *lines])
    return text.getvalue()


def _columns(rows: Sequence[Row], columns: Sequence[str] | None) -> list[str]:
    if not rows:
        raise ValueError("rows is empty; there is nothing to set in a table")
    known = list(dict.fromkeys(name for row in rows for name in row))
    for column in known if columns is None else columns:
        if column not in known:
            raise ValueError(f"no row has a column {column!r}; there are {', '.join(map(repr, known))}")
    return known if columns is None else list(columns)


def _cells(
    rows: Sequence[Row], columns: Sequence[str], best: Best | None, digits: int, escape: Callable[[str], str],
    bold: str, mark: str, plus_minus: str,
) -> list[list[str]]:
    """The cells as text, one list a row; what shows the same digits as the best value is as bold as it."""
    texts = {}
    for column in columns:
        values = [row.get(column) for row in rows]
        texts[column] = [_text(_value(v), digits, escape) for v in values]
        contest = [_value(v) for v in values if _is_number(v) and not _mark(v) and _value(v) == _value(v)]
        choose = (best or {}).get(column)
        winner = _text(choose(contest), digits, escape) if choose and contest else None
        for i, v in enumerate(values):
            if _is_number(v) and not _mark(v) and texts[column][i] == winner:
                texts[column][i] = bold.format(winner)
            if isinstance(v, Marked) and v.deviation is not None:
                texts[column][i] += f" {plus_minus} {v.deviation:.{digits}f}"
            if _mark(v):
                texts[column][i] += mark.format(_mark(v))
    return [[texts[column][i] for column in columns] for i in range(len(rows))]


def _text(value: Any, digits: int, escape: Callable[[str], str]) -> str:
    if _is_number(value) and not isinstance(value, numbers.Integral):
        return f"{value:.{digits}f}"
    return "" if value is None else escape(str(value))


def _value(value: Any) -> Any:
    return value.value if isinstance(value, Marked) else value


def _mark(value: Any) -> str:
    return value.mark if isinstance(value, Marked) else ""


def _is_number(value: Any) -> bool:
    return isinstance(_value(value), numbers.Real) and not isinstance(_value(value), bool)


def _numeric(rows: Sequence[Row], column: str) -> bool:
    return any(_is_number(row.get(column)) for row in rows)


def _notes(footnotes: str) -> list[tuple[str, str]]:
    parts = (line.partition(" ") for line in footnotes.splitlines())
    return [(mark, note.strip()) for mark, _, note in parts]


def _escape_markdown(text: str) -> str:
    return re.sub(r"([\\|*`<])", r"\\\1", text).replace("\n", " ").replace("\r", " ")


def _escape_latex(text: str) -> str:
    return re.sub("|".join(re.escape(key) for key in sorted(LATEX, key=len, reverse=True)),
                  lambda found: LATEX[found[0]], text)
