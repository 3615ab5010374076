"""Many runs in one table: means and deviations over repeats, marks where runs differ, exact tests between methods."""
import dataclasses
import functools
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np

from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.evaluation import checks
from tfxmr.evaluation.statistics import bonferroni_threshold, holm, mean_and_deviation, runs_needed, wilcoxon
from tfxmr.reports.tables import differences
from tfxmr.reports.tables.formats import Marked, Row
from tfxmr.reports.tables.rows import letters, sizes_of
from tfxmr.runs.results import Results, column_of

REPEATS = ("seed", "split_seed", "class_seed", "labels_seed")  # flags that tell the repeats of one configuration apart
CORRECTIONS = ("bonferroni", "holm")
LEVEL = 0.05  # of significance

Seeds = tuple[Any, ...]  # that tell a run from the repeats of its configuration
Runs = dict[Seeds, Results]
Value = tuple[float, dict[str, str]]  # of a column, and facts of it as texts


def repeats(results: Sequence[Results], ignore: Collection[str] = ()) -> dict[tuple[str, str], Runs]:
    """Groups runs that differ in nothing but their seeds: in the method, the flags, the data set and its features.

    Args:
      results: list of what results.json holds.
      ignore: names of flags that change no result.

    Returns:
      dict: (label, data set) -> {seeds -> result}, in the order of the first run of each group. A label is the method's
      name and what its groups on that data set differ in, "danzcr variant=single".

    Raises:
      ValueError: two runs of one configuration have the same seeds.
    """
    groups: dict[tuple, Runs] = {}
    for result, dataset in zip(results, differences.data_sets(results), strict=True):
        flags = {n: f for n, f in as_asked(result)["flags"].items() if n not in (*REPEATS, *ignore)}
        key = result["model"], dataset, tuple(sorted(flags.items())), _features(result)
        # a flag that decides nothing is none: older results lack it
        of_labels = REPEATS[1:] if "labels_per_class" in result["protocol"] else REPEATS[1:-1]
        seeds = tuple(result["flags"].get(n) or "" for n in of_labels) + (result["seed"],)
        known = groups.setdefault(key, {}).setdefault(seeds, result)
        if known is not result:
            raise ValueError(
                f"{result['model']} on {dataset}, seed {result['seed']}, is there twice: "
                f"{_place(known)} and {_place(result)}; give one of them"
            )
    labels = {}
    for (model, dataset, flags, features), runs in groups.items():
        peers = [other for other in groups if other[:2] == (model, dataset)]
        varying = [text.lstrip("-") for name, text in flags
                   if any(dict(other[2]).get(name) != text for other in peers) and text]
        if any(other[2] == flags and other[3] != features for other in peers):  # the flags do not tell them apart
            varying += [f"{m}={text}" for m, text in features if any((m, text) not in other[3] for other in peers)]
        labels[" ".join([model, *varying]), dataset] = runs
    return labels


def as_asked(result: Results) -> Results:
    """A result with the batch that was asked for: of a default that was cut to all training items, the default.

    Else repeats would be configurations of their own, whose drawn classes or labels give other numbers of items.
    """
    size = result["flags"].get("batch_size", "").partition("=")[2]
    items = result.get("training_items", {}).values()
    default = _default_batch(result["model"]) if size.isdecimal() and int(size) in items else 0
    if not default or default <= int(size):
        return result
    return result | {"flags": result["flags"] | {"batch_size": f"--batch_size={default}"}}


@functools.cache
def _default_batch(model: str) -> int:
    """The batch that a method declares; 0 of one without batches, or that is no longer there."""
    try:
        return getattr(registry.outline(model).Settings(), "batch_size", 0)
    except InputError:
        return 0


def _features(result: Results) -> tuple[tuple[str, str], ...]:
    """The features of a run, whatever its split, as ((modality, text), ...)."""
    found, rows = [], result.get("data", {})
    split = result.get("features", {}).get("split", {})
    for m, facts in sorted(result.get("features", {}).items()):
        # Results of older versions have the digest of the split features alone, which repeats of a drawn split change.
        whole = "" if "seed" in split else facts.get("sha256", "")
        digest = rows[m]["rows_sha256"][:8] if m in rows else whole[:8]
        if m != "split":
            found.append((m, f"{facts.get('name', m)}:{'own' if m in split.get('fitted_anew', ()) else digest}"))
    return tuple(found)


def _place(result: Results) -> str:
    return result.get("path") or result["flags"].get("run_dir", "").partition("=")[2] or "without --run_dir"


@dataclasses.dataclass
class _Configuration:
    """The repeats of one configuration.

    Attributes:
      label, dataset: of its row.
      runs: seeds -> result.
      columns: seeds -> what `_columns` gives of that result.
    """

    label: str
    dataset: str
    runs: Runs
    columns: dict[Seeds, dict[str, Value]]

    def values(self, column: str) -> list[float]:
        """The values of a column, of the runs that have it."""
        return [columns[column][0] for columns in self.columns.values() if column in columns]

    def facts(self, column: str) -> list[dict[str, str]]:
        """The facts of a column, likewise."""
        return [columns[column][1] for columns in self.columns.values() if column in columns]


def _configurations(results: Sequence[Results], ignore: Collection[str]) -> list[_Configuration]:
    return [
        _Configuration(label, dataset, runs, {seeds: _columns(result) for seeds, result in runs.items()})
        for (label, dataset), runs in repeats(results, ignore).items()
    ]


def _columns(result: Results) -> dict[str, Value]:
    """Column -> (value, facts of it as texts) of one run, and each metric's mean over its pairs of modalities."""
    found: dict[str, Value] = {}
    groups: dict[str, list[dict[str, Any]]] = {}
    for m in result["metrics"]:
        if column_of(m) in found:
            raise ValueError(f"{_place(result)}: {column_of(m)!r} is there twice")
        found[column_of(m)] = m["value"], sizes_of(m)
        if not m["task"].endswith("->all"):
            groups.setdefault(f"{m['metric']} average {m['classes']}", []).append(m)
    for column, metrics in groups.items():
        sizes = [sizes_of(m) for m in metrics]
        # The mean over two tasks is no match for that over twenty.
        facts = {"tasks": ", ".join(m["task"] for m in metrics)}
        facts |= {name: ", ".join(dict.fromkeys(size[name] for size in sizes)) for name in sizes[0]}
        found[column] = float(np.mean([m["value"] for m in metrics])), facts
    return found


class _Marks:
    """The footnotes of a table.

    A value is marked with all in which it differs from the first value of its column and, in what belongs to a data
    set, from the first one of its data set there.
    """

    def __init__(self, configurations: Sequence[_Configuration]) -> None:
        self._configurations = configurations
        self._letters: dict[str, str] = {}  # note -> letter
        self._legend: dict[str, None] = {}

    def mark(self, own: _Configuration, column: str) -> str:
        """The letter of the note on a configuration's value; "" if it differs in nothing."""
        having = [c for c in self._configurations if c.values(column)]
        first, first_here = having[0], next(c for c in having if c.dataset == own.dataset)
        here, there, of_data_set = (list(c.runs.values()) for c in (own, first, first_here))
        count = len(own.values(column))
        note = "; ".join(filter(None, (
            f"{count} of {counted(len(own.runs), 'run')}" if count < len(own.runs) else "",
            differences.of_protocols(here, there),
            differences.of_data(here, of_data_set),
            differences.between(own.facts(column), first_here.facts(column)),
        )))
        for other in (own, first):
            self._explain(other, first if other is own else own)
        return self._letters.setdefault(note, letters(len(self._letters))) if note else ""

    def _explain(self, own: _Configuration, other: _Configuration) -> None:
        """Names a similarity that is a method's own, beside others that are not: it makes no other protocol."""
        similarities = {next(iter(c.runs.values()))["protocol"].get("similarity") for c in (own, other)}
        run = next(iter(own.runs.values()))
        similarity = run["protocol"].get("similarity", "cosine")
        if len(similarities) > 1 and similarity != "cosine" and differences.by_method(run):
            self._legend[f"*  {own.label}: {similarity} similarity, its own"] = None

    def footnotes(self) -> str:
        """A line each: "a  cut 50 instead of none"; "" without any."""
        return "\n".join([*(f"{letter}  {note}" for note, letter in self._letters.items()), *self._legend])


def summary(results: Sequence[Results], ignore: Collection[str] = ()) -> tuple[list[Row], str]:
    """One row a configuration: mean and deviation over its repeats of every value, and of the tasks' average.

    Args:
      results: list of what results.json holds.
      ignore: names of flags that change no result.

    Returns:
      (rows, footnotes): method, dataset, runs and one column a metric, task and class group, its values `Marked` with
      their deviation, and with a mark if anything but the method and its settings differs from the first value of the
      column (see `tfxmr.reports.tables.differences`); a line a mark, "a  cut 50 instead of none", and one for a
      similarity that is a method's own, "*  jrl: dot similarity, its own".

    Raises:
      ValueError: as `repeats`, or a run that has one metric of one task and class group twice.
    """
    configurations = _configurations(results, ignore)
    marks = _Marks(configurations)
    table: list[Row] = []
    for own in configurations:
        row: Row = {"method": own.label, "dataset": own.dataset, "runs": len(own.runs)}
        for column in dict.fromkeys(column for columns in own.columns.values() for column in columns):
            mean, deviation = mean_and_deviation(own.values(column))
            spread = deviation if len(own.values(column)) > 1 else None
            row[column] = Marked(mean, marks.mark(own, column), spread)
        table.append(row)
    return table, marks.footnotes()


def tests(
    results: Sequence[Results], ignore: Collection[str] = (), correction: str = "bonferroni"
) -> tuple[list[Row], str]:
    """Tests the first configuration against each other one on its dataset, run by run with equal seeds.

    Comparisons are corrected for within a column: the average of two directions follows from them, so it makes no
    further question.

    Args:
      results: list of what results.json holds.
      ignore: names of flags that change no result.
      correction: one of CORRECTIONS. "bonferroni": p is as it is, to be held against .05 / the number of p in its
        column. "holm": p is adjusted by Holm's step-down method, to be held against .05.

    Returns:
      (rows, notes): method, dataset, pairs and the exact two-sided p of the Wilcoxon signed-rank test for every column
      of `summary`, `Marked` as the other configuration's value is there; a line on what p must not exceed, and lines on
      numbers of pairs that no p can be small enough for. No rows if nothing can be paired.

    Raises:
      ValueError: as `summary`, or an unknown correction.
    """
    checks.choice("correction", correction, CORRECTIONS)
    configurations = _configurations(results, ignore)
    marks = {(row["method"], row["dataset"]): row for row in summary(results, ignore)[0]}
    firsts: dict[str, _Configuration] = {}
    rows: list[Row] = []
    found: dict[str, list[tuple[Row, float, str]]] = {}  # column -> the tests in it
    for own in configurations:
        first = firsts.setdefault(own.dataset, own)
        shared = [seeds for seeds in first.runs if seeds in own.runs]
        if own is first or len(shared) < 2:
            continue
        row: Row = {"method": f"{first.label} - {own.label}", "dataset": own.dataset, "pairs": len(shared)}
        for column in first.columns[shared[0]]:
            pairs = [(first.columns[seeds].get(column), own.columns[seeds].get(column)) for seeds in shared]
            known = [(one[0], other[0]) for one, other in pairs if one and other]
            if len(known) == len(shared):
                p = wilcoxon(*zip(*known, strict=True))[1]
                found.setdefault(f"p {column}", []).append((row, p, marks[own.label, own.dataset][column].mark))
        rows.append(row)
    for column, tested in found.items():
        adjusted = holm([p for _, p, _ in tested]) if correction == "holm" else [p for _, p, _ in tested]
        for (row, _, mark), p in zip(tested, adjusted, strict=True):
            row[column] = Marked(float(p), mark) if mark else float(p)
    return rows, "\n".join(_verdict(rows, found, correction)) if found else ""


def _verdict(rows: Iterable[Row], found: Mapping[str, Sequence[Any]], correction: str) -> Iterator[str]:
    """What p must not exceed, and which numbers of pairs are too small for it."""
    counts = sorted({len(tested) for tested in found.values()})
    thresholds = [f"{bonferroni_threshold(m, LEVEL):.4f}" for m in counts]
    tests_said = f"{' or '.join(map(str, counts))} test{'s' if counts[-1] > 1 else ''} in a column"
    if correction == "holm":
        yield f"p adjusted by Holm, {tests_said}; significant at .05: p <= .05"
    else:
        yield f"significant at .05 after Bonferroni, {tests_said}: p <= {' or '.join(thresholds)}"
    # Holm's first step asks for no more than Bonferroni's.
    threshold = bonferroni_threshold(counts[0], LEVEL)
    needed = runs_needed(threshold)
    for pairs in sorted({row["pairs"] for row in rows}):
        if pairs < needed:
            yield (f"{counted(pairs, 'pair')} cannot give p below 2^(1-{pairs}) = {2.0 ** (1 - pairs):.4f}: "
                   f"{counted(needed, 'run')} of both methods are needed for {threshold:.4f}")
