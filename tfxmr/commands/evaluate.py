"""Evaluates a finished or stopped run again, perhaps by another protocol, and prints the metrics as a table.

Of the folder of a series (`tfxmr train --seeds=0..9`) all runs are evaluated, and their means and deviations follow.
With --out the metrics are kept, too, for `tfxmr compare`: another protocol, or another way to compare what was learnt.
With --transfer a run is evaluated on another data set than its own.
"""
import dataclasses
import json
import os
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import tfxmr_flags.data
from absl.flags import FlagValues
from tfxmr_flags import declared, parsing, runs
from tfxmr_flags.runs import StoredRun

from tfxmr import encoding
from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData
from tfxmr.data.views import is_default
from tfxmr.encoding import transfer
from tfxmr.evaluation.protocol import Protocol, ProtocolOptions
from tfxmr.extraction import catalogue, identity
from tfxmr.extraction.options import DataOptions, place_name
from tfxmr.reports.tables import comparison
from tfxmr.reports.tables.options import EvaluateOptions, print_table
from tfxmr.reports.tables.rows import by_class_rows, metrics_rows, show
from tfxmr.runs import results
from tfxmr.runs.options import RunOptions, affecting
from tfxmr.runs.run_folder import RunFolder


def define(values: FlagValues) -> None:
    """Defines the command's own flags in a FlagValues."""
    declared.define(values, EvaluateOptions)


def define_all(values: FlagValues) -> None:
    """Defines the flags that `--help` lists; the settings of the run's method stay as they are."""
    parsing.define_common(values)
    define(values)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr evaluate` with a list of flags; those of the protocol and the metrics may differ from the run's."""
    if parsing.asks_help(arguments):
        parsing.parse("evaluate", arguments, define_all)  # prints it and exits
    run_dir = parsing.parse_common(arguments).run_dir
    if not run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the run to evaluate")
    if any(argument in ("--transfer", "--transfer=true") for argument in parsing.expand(arguments)):
        _transfer(arguments)
        return
    series = runs.series(run_dir)
    if series:
        _evaluate_series(series, arguments)
        return
    run, metrics = _evaluate(run_dir, arguments)
    _keep(run, metrics, run.flags.out)
    _print(run.flags, run.protocol.facts(run.data), metrics)


def _print(flags: FlagValues, protocol: dict[str, Any], metrics: list[dict[str, Any]]) -> None:
    """Prints metrics as --format and --by_class say; `protocol` are its facts."""
    if flags.format == "json":
        print(json.dumps({"protocol": protocol, "metrics": metrics}, indent=1))
        return
    print_table(flags.format, metrics_rows(metrics))
    if flags.by_class:
        print_table(flags.format, by_class_rows(metrics))


def _transfer(arguments: Sequence[str]) -> None:
    """Evaluates the encoder of a run on another data set, and prints or keeps its metrics."""
    values = parsing.parse("evaluate", arguments, define_all)
    if not values["dataset"].present:
        raise InputError("--transfer: name the data set that the run is evaluated on, --dataset=NAME")
    encoder = encoding.load(values.run_dir)
    if encoder.facts["kind"] == "neural":
        from tfxmr.engine import memory

        memory.free()
    rule, dataset = tfxmr_flags.data.split_rule(values), catalogue.get(values.dataset)
    views = tuple(view for view in encoder.views if not is_default(view))
    asked = declared.make(values, DataOptions, split=rule, views=views)
    if dataset.has_media and transfer.made_of_media(encoder):
        called = place_name(asked.dataset, asked.features or asked.data_dir)
        data = dataclasses.replace(dataset.items(asked), title=asked.dataset_name or called)
        data = transfer.described(encoder, data, dataset.reader(asked), asked.cache_dir)
    else:
        data = transfer.taken(encoder, asked.load_data())
    if not values["protocol"].present:
        values["protocol"].value = "standard"
    own = encoder.similarity
    protocol = declared.make(values, ProtocolOptions).make(data, own)
    run = f"run        {values.run_dir}: {encoder.model} trained on {encoder.dataset}"
    display.say(f"{run}\n{results.describe(data, protocol)}", stream=_beside(values))
    from tfxmr.runs.run import score

    options = declared.make(values, RunOptions)
    metrics = score(encoder.retriever, data, protocol.training_data(data), protocol, options)
    _print(values, protocol.facts(data), metrics)
    if values.out:
        _keep_transferred(values, data, protocol, metrics)


def _keep_transferred(
    values: FlagValues, data: MultiModalData, protocol: Protocol, metrics: list[dict[str, Any]]
) -> None:
    """Writes what results.json of the run says, of the other data set."""
    if (pathlib.Path(values.out) / "flags.cfg").exists():
        raise InputError(f"--out={values.out}: holds a run, whose own metrics stay; give another folder")
    stored, folder = RunFolder(values.run_dir).require_results(), RunFolder(values.out)
    folder.path.mkdir(parents=True, exist_ok=True)
    changed = {
        "dataset": data.shown, "trained_on": stored["dataset"], "protocol": protocol.facts(data), "metrics": metrics,
        "features": data.features, "data": identity.digests(data),
    }
    folder.write_results(stored | changed)


def _beside(flags: FlagValues) -> Any:
    """Where what belongs to no table is printed."""
    return sys.stdout if flags.format == "text" else sys.stderr


def _evaluate(run_dir: str | os.PathLike, arguments: Sequence[str]) -> tuple[StoredRun, list[dict[str, Any]]]:
    """Says what will be measured, and measures it. Returns (the StoredRun of a folder, its metrics)."""
    run = runs.read(run_dir, arguments, define=define)
    from tfxmr.runs import selection
    from tfxmr.runs.run import evaluate

    asked = run.protocol, run.settings, run.data, run.options
    header = selection.describe(*asked, selection.training_data(*asked))
    display.say(header, stream=_beside(run.flags))
    stopped = RunFolder(run.path).stopped()
    if stopped:
        display.say(f"stopped    {stopped['reason']}", stream=_beside(run.flags))
    if run.flags.out:
        _require_place(run)
    return run, evaluate(*run.arguments())


def _require_place(run: StoredRun) -> None:
    """Raises InputError, before anything is measured, if --out is a run's folder or the run is not finished."""
    if (pathlib.Path(run.flags.out) / "flags.cfg").exists():
        raise InputError(f"--out={run.flags.out}: holds a run, whose own metrics stay; give another folder")
    RunFolder(run.path).require_results()


def _keep(run: StoredRun, metrics: list[dict[str, Any]], out: str | None) -> None:
    """Writes what results.json of a finished run says, with other metrics, into the folder `out`; None: nowhere."""
    if out:
        folder = RunFolder(out)
        folder.path.mkdir(parents=True, exist_ok=True)
        stored = RunFolder(run.path).require_results()
        changed = {"protocol": run.protocol.facts(run.data), "metrics": metrics}
        folder.write_results(stored | changed | {"flags": stored["flags"] | run.arguments()[-1]})


def _evaluate_series(folders: Iterable[pathlib.Path], arguments: Sequence[str]) -> None:
    """Evaluates the runs of a series, and prints their metrics and what `tfxmr train --seeds` prints at its end."""
    from tfxmr.engine import memory

    found = []
    for folder in folders:
        memory.free()  # of the run before
        run, metrics = _evaluate(folder, [*arguments, f"--run_dir={folder}"])
        _keep(run, metrics, run.flags.out and f"{run.flags.out}/{folder.name}")
        output = run.flags.format
        if run.flags.by_class:
            raise InputError(f"--by_class: shows one run; name one, --run_dir={folder}")
        if output == "text":
            show(metrics_rows(metrics))
        found.append({
            "model": run.flags.model, "dataset": run.data.shown, "seed": run.flags.seed,
            "protocol": run.protocol.facts(run.data), "flags": parsing.serialise(run.flags), "metrics": metrics,
        })
    rows, footnotes = comparison.summary(found, affecting("nothing"))
    if output == "json":
        kept = [{name: result[name] for name in ("seed", "protocol", "metrics")} for result in found]
        print(json.dumps({"summary": rows, "footnotes": footnotes, "runs": kept}, indent=1))
    else:
        print_table(output, rows, footnotes)
