"""Many runs in one table: means and deviations over repeats, and exact tests between methods."""
import numpy as np

from tfxmr.evaluation.results import results_rows
from tfxmr.evaluation.statistics import bonferroni_threshold, mean_and_deviation, wilcoxon
from tfxmr.evaluation.tables import Marked

REPEATS = ("seed", "split_seed", "class_seed")  # flags that tell the repeats of one configuration apart


def repeats(results, harmless=()):
    """Groups runs that differ in nothing but their seeds.

    Args:
      results: list of what results.json holds.
      harmless: names of flags that change no result.

    Returns:
      dict: label -> {seeds -> result}, in the order of the first run of each group. A label is the method's name and
      the flags in which its groups on that dataset differ, "danzcr variant=single".

    Raises:
      ValueError: two runs of one configuration have the same seeds.
    """
    groups = {}
    for result in results:
        flags = {n: f for n, f in result["flags"].items() if n not in (*REPEATS, *harmless)}
        key = result["model"], result["dataset"], tuple(sorted(flags.items()))
        seeds = tuple(result["flags"].get(n) or "" for n in REPEATS[1:]) + (result["seed"],)
        if seeds in groups.setdefault(key, {}):
            raise ValueError(f"{result['model']} on {result['dataset']}, seed {result['seed']}, is there twice")
        groups[key][seeds] = result
    labels = {}
    for key, runs in groups.items():
        model, dataset, flags = key
        peers = [dict(f) for m, d, f in groups if (m, d) == (model, dataset)]
        varying = [text.lstrip("-") for name, text in flags if any(p.get(name) != text for p in peers) and text]
        labels[" ".join([model, *varying]), dataset] = runs
    return labels


def summary(results, harmless=()):
    """One row a configuration: mean and deviation over its repeats of every figure, and of the tasks' average.

    Args:
      results: list of what results.json holds.
      harmless: names of flags that change no result.

    Returns:
      (rows, footnotes) as `results_rows` gives them: method, dataset, runs and one column a metric, task and class
      group, its values `Marked` with their deviation, and with a mark if they were measured by another protocol than
      those of the first configuration with the same seeds.

    Raises:
      ValueError: as `repeats` and `results_rows`.
    """
    groups = repeats(results, harmless)
    notes, values = {}, {label: {} for label in groups}
    for seeds in dict.fromkeys(s for runs in groups.values() for s in runs):
        present = [label for label, runs in groups.items() if seeds in runs]
        rows, footnotes = results_rows([groups[label][seeds] for label in present])
        explained = dict(line.split("  ", 1) for line in footnotes.splitlines())
        for label, row in zip(present, rows, strict=True):
            for column, figure in _with_averages(row).items():
                note = explained[figure.mark] if figure.mark else ""
                values[label].setdefault(column, []).append((figure.value, note))
    table = []
    for (label, dataset), columns in values.items():
        row = {"method": label, "dataset": dataset, "runs": len(groups[label, dataset])}
        for column, found in columns.items():
            note = next((n for _, n in found if n), "")
            mark = notes.setdefault(note, chr(ord("a") + len(notes))) if note else ""
            mean, deviation = mean_and_deviation([v for v, _ in found])
            row[column] = Marked(mean, mark, deviation if len(found) > 1 else None)
        table.append(row)
    return table, "\n".join(f"{mark}  {note}" for note, mark in notes.items())


def tests(results, harmless=()):
    """Tests the first configuration against each other one on its dataset, run by run with equal seeds.

    Args:
      results: list of what results.json holds.
      harmless: names of flags that change no result.

    Returns:
      (rows, footnotes): method, dataset, pairs and the exact two-sided p of the Wilcoxon signed-rank test for every
      column of `summary`; what p must not exceed at the level .05 after Bonferroni. No rows if nothing can be paired.
    """
    groups = repeats(results, harmless)
    firsts, rows = {}, []
    for (label, dataset), runs in groups.items():
        first = firsts.setdefault(dataset, (label, runs))
        shared = [s for s in first[1] if s in runs]
        if runs is first[1] or len(shared) < 2:
            continue
        row = {"method": f"{first[0]} - {label}", "dataset": dataset, "pairs": len(shared)}
        pairs = [[_with_averages(results_rows([r[s]])[0][0]) for s in shared] for r in (first[1], runs)]
        for column in pairs[0][0]:
            if all(column in found for side in pairs for found in side):
                row[f"p {column}"] = wilcoxon(*([found[column].value for found in side] for side in pairs))[1]
        rows.append(row)
    if not rows:
        return [], ""
    comparisons = len(rows) * max(sum(c.startswith("p ") for c in row) for row in rows)
    level = bonferroni_threshold(comparisons)
    return rows, f"significant at .05 after Bonferroni, {comparisons} tests: p <= {level:.4f}"


def _with_averages(row):
    """The figures of a row of `results_rows`, as Marked, and each measure's mean over its pairs of modalities."""
    figures = {c: v if isinstance(v, Marked) else Marked(v, "") for c, v in row.items() if "->" in c}
    groups = {}
    for column, figure in figures.items():
        metric, task, classes = column.split(" ", 2)
        if not task.endswith("->all"):
            groups.setdefault(f"{metric} average {classes}", []).append(figure)
    return figures | {
        name: Marked(float(np.mean([f.value for f in found])), next((f.mark for f in found if f.mark), ""))
        for name, found in groups.items()
    }
