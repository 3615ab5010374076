"""Draws the figures of the papers from run folders, as PNG, SVG and PDF."""
import pathlib
from collections.abc import Sequence
from typing import Any

import numpy as np
import tfxmr_flags.figures
from absl.flags import FlagValues
from matplotlib.figure import Figure
from tfxmr_flags import parsing, runs
from tfxmr_flags.runs import StoredRun

from tfxmr.commands import compare
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.extraction.options import PLACES
from tfxmr.reports.figures import (
    attention,
    convergence,
    curve,
    events,
    examples,
    fonts,
    generation,
    precision_recall,
    rankings,
    sensitivity,
    style,
    tsne,
)
from tfxmr.reports.tables import factors
from tfxmr.runs.options import affecting
from tfxmr.runs.run_folder import RunFolder, read_flags

Figures = dict[str, Figure]  # name of a file, without its ending -> what is in it


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr plot` with a list of flags; prints the paths of the files."""
    flags = parsing.parse("plot", arguments, tfxmr_flags.figures.define)
    flags["run_dir"].value = tfxmr_flags.figures.folders(flags.run_dir)
    tfxmr_flags.figures.check(flags)
    for run_dir in flags.run_dir if flags.figure != "curve" else ():  # which takes folders of runs
        runs.flagfile(run_dir)
    beside = pathlib.Path(flags.run_dir[0]) if flags.run_dir else pathlib.Path(flags.table).parent
    folder = pathlib.Path(flags.out or beside / "figures")
    figures = DRAW[flags.figure](flags)
    fonts.fit([*figures.values()])  # of all at once, so that one warning speaks of all
    for name, figure in figures.items():
        print(*style.save(figure, folder, name, flags.figure_formats), sep="\n")


def _convergence(flags: FlagValues) -> Figures:
    (run_dir,) = flags.run_dir
    facts: dict[str, Any] = {name: line.partition("=")[2] for name, line in read_flags(runs.flagfile(run_dir)).items()}
    results: dict[str, Any] = RunFolder(run_dir).results() or {"metrics": []}  # of a run that has not ended
    metrics = results["metrics"]
    facts |= {name: results[name] for name in ("dataset",) if name in results}  # own data's own name
    groups = dict.fromkeys(m["classes"] for m in metrics if m["metric"].startswith("mAP"))
    chance = {group: np.mean([m["chance"] for m in metrics if m["classes"] == group]) for group in groups}
    dataset, model = (facts.get(name, f"{name} not stated") for name in ("dataset", "model"))
    protocol = results.get("protocol") or events.read(run_dir).protocol or facts.get("protocol", "not stated")
    title = style.title(dataset, model, protocol)
    step_label = f"training step (batches of {facts.get('batch_size', '?')})"
    return convergence.draw(run_dir, title, chance, step_label, flags.show_test, results.get("selected_step"))


def _tsne(flags: FlagValues) -> Figures:
    run, title = _read(flags, flags.run_dir[0])
    retriever, prepared, _ = run.restore()
    return tsne.draw(run.data, prepared, retriever, run.protocol, title, flags.items, flags.perplexity, flags.seed)


def _precision_recall(flags: FlagValues) -> Figures:
    labels = flags.labels or _ends([pathlib.Path(run_dir).absolute() for run_dir in flags.run_dir])
    if len(set(labels)) != len(flags.run_dir):
        raise InputError(f"--labels={','.join(labels)}: give {counted(len(flags.run_dir), 'different name')}, one a "
                         "run")
    found, facts, models = {}, {}, {}
    for label, run_dir in zip(labels, flags.run_dir, strict=True):
        run, _ = _read(flags, run_dir)
        retriever, data, training_data = run.restore()
        found[label] = run.protocol, rankings.rankings(retriever, data, training_data, run.protocol)
        facts[label] = run.facts(training_data)
        models[run.flags.model] = label
    title = style.title(run.data.shown, ", ".join(models), next(iter(found.values()))[0])
    return precision_recall.draw(found, title, flags.curve, facts)


def _examples(flags: FlagValues) -> Figures:
    run, title = _read(flags, flags.run_dir[0])
    places = {name: run.flags[name].value for name in ("data_dir", "manual_dir")}
    found = rankings.rankings(*run.restore(), run.protocol)
    return examples.draw(found, run.data, run.protocol, title, flags.queries, flags.query_ids, flags.seed, **places)


def _attention(flags: FlagValues) -> Figures:
    run, title = _read(flags, flags.run_dir[0])
    places = {name: run.flags[name].value for name in ("data_dir", "manual_dir")}
    retriever, prepared, training_data = run.restore()
    found = rankings.rankings(retriever, prepared, training_data, run.protocol)
    return attention.draw(
        found, run.data, prepared, retriever, title, flags.queries, flags.query_ids, flags.seed, **places
    )


def _generation(flags: FlagValues) -> Figures:
    run, title = _read(flags, flags.run_dir[0])
    places = {name: run.flags[name].value for name in ("data_dir", "manual_dir")}
    retriever, prepared, _ = run.restore()
    return generation.draw(
        flags.figure, run.data, prepared, retriever, run.flags.model, title, flags.queries, flags.query_ids, flags.seed,
        **places,
    )


def _sensitivity(flags: FlagValues) -> Figures:
    if flags.table:
        return sensitivity.draw(factors.read_table(flags.table))
    results = [RunFolder(run_dir).require_results() for run_dir in flags.run_dir]
    return sensitivity.draw(factors.rows_of(results, affecting("nothing")))


def _curve(flags: FlagValues) -> Figures:
    found = compare.completed(compare.read(compare.find(flags.run_dir)))
    results = [result for result in found if result["metrics"]]
    return curve.draw(results, flags.x, compare.IGNORED, flags.labels)


def _ends(paths: Sequence[pathlib.Path]) -> list[str]:
    """As much of the ends of some paths as tells them apart: their names, or PARENT/NAME and so on."""
    for count in range(1, max(len(path.parts) for path in paths)):
        found = ["/".join(path.parts[-count:]) for path in paths]
        if len(set(found)) == len(set(paths)):
            return found
    return [str(path) for path in paths]


def _read(flags: FlagValues, run_dir: str) -> tuple[StoredRun, str]:
    """(The StoredRun of a folder, the title of its figures.)"""
    moved = [f"--{name}={flags[name].value}" for name in PLACES if flags[name].value]
    run = runs.read(run_dir, moved, command="plot")
    return run, style.title(run.data.shown, run.flags.model, run.protocol)


DRAW = {
    "convergence": _convergence, "tsne": _tsne, "precision_recall": _precision_recall, "examples": _examples,
    "attention": _attention, "sensitivity": _sensitivity, "curve": _curve, "captions": _generation,
    "generated": _generation,
}
