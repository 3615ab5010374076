"""Tables of runs that differ in one setting at a time: rows (dicts) of settings and metrics, a run each."""
import collections
import csv
import math
import os
import pathlib
from collections.abc import Collection, Sequence
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.reports.tables.comparison import REPEATS, as_asked
from tfxmr.reports.tables.formats import Row
from tfxmr.reports.tables.rows import results_rows
from tfxmr.runs.results import Results

# Settings whose 0 is no quantity but a choice -> what figures call it; "METHOD.SETTING" where methods differ.
ZERO = {
    "autoencoder_steps": "auto", "class_outputs": "auto", "clip_norm": "none", "codes_steps": "auto",
    "components": "auto", "corr_ae.alpha": "auto", "cut": "none", "decay_epochs": "never", "epochs": "auto",
    "half_life": "constant", "init_stddev": "auto", "labels_per_class": "all", "patience": "never",
    "rbm_count_units": "auto", "semantic_steps": "auto", "steps": "auto", "validation_fraction": "auto",
}
TRIAL = ("trial", "varied", "selected_step", "seconds", "status", "message")  # a search's notes in trials.csv


def rows_of(results: Sequence[Results], ignore: Collection[str] = ()) -> list[Row]:
    """Makes rows of what results.json files hold: the flags as settings, one column a metric and its chance level.

    Args:
      results: list of results.
      ignore: names of flags that change no result.

    Raises:
      InputError: results of unlike protocols, which do not compare.
    """
    results = [as_asked(result) for result in results]
    measured, footnotes = results_rows(results)
    if footnotes:
        notes = "; ".join(line.split(maxsplit=1)[1] for line in footnotes.splitlines())
        raise InputError(f"--run_dir: these runs were not measured alike: {notes}. Give runs of one protocol")
    names = [name for name in dict.fromkeys(n for result in results for n in result["flags"]) if name not in ignore]
    rows = []
    for result, row in zip(results, measured, strict=True):
        settings = {name: flag_value(name, result["flags"].get(name)) for name in names}
        chance = {f"chance {m['task']} {m['classes']}": m["chance"] for m in result["metrics"]
                  if m["metric"].startswith("mAP")}
        rows.append(settings | {"protocol": result["protocol"]["name"]} | row | chance)
    return rows


def read_table(path: str | os.PathLike) -> list[Row]:
    """Reads rows from a CSV file as tfxmr.reports.tables.formats.to_csv writes it, with a column for each setting.

    A line a run; columns whose names begin with "mAP" or "chance" hold values from 0 to 1, "seed" and "split_seed"
    tell repetitions, "dataset" lines; every other column is a setting. Of a search's trials.csv only the finished
    trials count, and what it notes on a trial beside its settings is dropped.

    Raises:
      InputError: the file is missing or malformed.
    """
    try:
        text = pathlib.Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--table={path}: cannot be read as UTF-8 text ({error})") from error
    rows: list[Row] = list(csv.DictReader(text.splitlines(), restkey="", restval=""))
    if not rows or not any(name.startswith("mAP") for name in rows[0]):
        raise InputError(f"--table={path}: expected a header with a column mAP..., and a line for each run below")
    marked = [name for name in rows[0] if is_result(name) and name.endswith(" mark")]
    if marked:
        raise InputError(f"--table={path}: column {marked[0]!r} marks values of other protocols; drop those runs")
    kept = []
    for line, row in enumerate(rows, 2):
        if row.get("status", "finished") != "finished":
            continue
        if "trial" in row:
            row = {name: value for name, value in row.items() if name not in TRIAL}
        kept.append(row)
        if "" in row:
            raise InputError(f"--table={path}, line {line}: has more cells than the header")
        for name in filter(is_result, row):
            row[name] = number(row[name])
            if not 0 <= row[name] <= 1:
                raise InputError(f"--table={path}, line {line}: {name} must be a number from 0 to 1")
    if not kept:
        raise InputError(f"--table={path}: no trial has finished")
    return kept


def one_factor(rows: Sequence[Row]) -> dict[str, list[Row]]:
    """Groups runs of one dataset by the setting in which they differ from the base, the most common value of each.

    Args:
      rows: list of dicts with the same keys.

    Returns:
      {setting: its rows, all of which have the other settings at the base}.

    Raises:
      InputError: nothing varies, or a run differs from the base in several settings at once.
    """
    names = [name for name in rows[0] if not is_result(name) and name not in ("dataset", *REPEATS)]
    counts = {name: collections.Counter(row[name] for row in rows) for name in names}
    base = {name: count.most_common(1)[0][0] for name, count in counts.items() if len(count) > 1}
    if not base:
        raise InputError("--run_dir, --table: all runs have the same settings; give runs that differ in one")
    curves: dict[str, list[Row]] = {name: [] for name in base}
    for row in rows:
        changed = [name for name, value in base.items() if row[name] != value]
        if len(changed) > 1:
            said = ", ".join(f"{name}={row[name]} instead of {base[name]}" for name in changed[:4])
            raise InputError(f"--run_dir, --table: one run differs in several settings at once: {said}. Give runs that "
                             "change one setting of a common base at a time")
        for name in changed or base:
            curves[name].append(row)
    return curves


def flag_value(name: str, line: str | None) -> str:
    """ "0.1" of "--alpha=0.1"; "yes" or "no" of a boolean; "default" of a flag without a value."""
    if not line:
        return "default"
    return line.partition("=")[2] if "=" in line else "no" if line == f"--no{name}" else "yes"


def choice(setting: str, value: str, models: Collection[str] = ()) -> str | None:
    """What a value is called that is no point on a setting's axis but a choice, such as "auto"; None of a point.

    Args:
      setting: name.
      value: as in a row.
      models: names of the methods whose setting it is, where they are known.
    """
    if number(value) != 0:
        return None
    return next(filter(None, (ZERO.get(name) for name in (setting, *(f"{m}.{setting}" for m in models)))), None)


def is_result(name: str) -> bool:
    """True if a column holds values of a metric, False if it holds a setting."""
    return name.startswith(("mAP", "chance"))


def number(text: Any) -> float:
    """The float that a text says, or NaN."""
    try:
        return float(text)
    except ValueError:
        return math.nan
