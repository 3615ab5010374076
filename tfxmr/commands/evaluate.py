"""Evaluates a finished or stopped run again, perhaps by another protocol, and prints the metrics as a table.

Of the folder of a series (`tfxmr train --seeds=0..9`) all runs are evaluated, and their means and deviations follow.
With --out the metrics are kept, too, for `tfxmr compare`: another protocol, or another way to compare what was learnt.
"""
import json
import os
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from absl.flags import FlagValues
from tfxmr_flags import declared, parsing, runs
from tfxmr_flags.runs import StoredRun

from tfxmr.core.errors import InputError
from tfxmr.reports.tables import comparison
from tfxmr.reports.tables.options import FORMATS, EvaluateOptions
from tfxmr.reports.tables.rows import by_class_rows, metrics_rows, to_text
from tfxmr.runs.options import affecting
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
    series = runs.series(run_dir)
    if series:
        _evaluate_series(series, arguments)
        return
    run, metrics = _evaluate(run_dir, arguments)
    _keep(run, metrics, run.flags.out)
    output = run.flags.format
    if output == "json":
        print(json.dumps({"protocol": run.protocol.facts(run.data), "metrics": metrics}, indent=1))
        return
    write = FORMATS[output]
    print(write(metrics_rows(metrics)))
    if run.flags.by_class:
        print(write(by_class_rows(metrics)))


def _evaluate(run_dir: str | os.PathLike, arguments: Sequence[str]) -> tuple[StoredRun, list[dict[str, Any]]]:
    """Says what will be measured, and measures it. Returns (the StoredRun of a folder, its metrics)."""
    run = runs.read(run_dir, arguments, define=define)
    from tfxmr.runs import selection
    from tfxmr.runs.run import evaluate

    asked = run.protocol, run.settings, run.data, run.options
    header = selection.describe(*asked, selection.training_data(*asked))
    beside = sys.stdout if run.flags.format == "text" else sys.stderr
    print(header, file=beside)
    stopped = RunFolder(run.path).stopped()
    if stopped:
        print(f"stopped    {stopped['reason']}", file=beside)
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

    results = []
    for folder in folders:
        memory.free()  # of the run before
        run, metrics = _evaluate(folder, [*arguments, f"--run_dir={folder}"])
        _keep(run, metrics, run.flags.out and f"{run.flags.out}/{folder.name}")
        output = run.flags.format
        if run.flags.by_class:
            raise InputError(f"--by_class: shows one run; name one, --run_dir={folder}")
        if output == "text":
            print(to_text(metrics_rows(metrics)))
        results.append({
            "model": run.flags.model, "dataset": run.data.shown, "seed": run.flags.seed,
            "protocol": run.protocol.facts(run.data), "flags": parsing.serialise(run.flags), "metrics": metrics,
        })
    rows, footnotes = comparison.summary(results, affecting("nothing"))
    if output == "json":
        kept = [{name: result[name] for name in ("seed", "protocol", "metrics")} for result in results]
        print(json.dumps({"summary": rows, "footnotes": footnotes, "runs": kept}, indent=1))
    else:
        print(FORMATS[output](rows, **({} if output == "csv" else {"footnotes": footnotes})))
