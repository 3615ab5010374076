"""Puts runs into one table: mean and deviation over seeds, exact tests of the first method against the others.

A flagfile (its name ends in .cfg) among the runs is trained first, in --run_dir, or resumes where it was stopped. One
that is named twice counts once, so that `compare flags/xmedia/ms2gan.cfg flags/*_xmedia.cfg` tests MS2GAN against all.
"""
import contextlib
import json
import pathlib
import sys
from collections.abc import Iterable, Sequence
from typing import Any

import tfxmr_flags.training
from absl.flags import FlagValues
from tfxmr_flags import declared, parsing, recipes

from tfxmr import jobs
from tfxmr.core import display, registry, settings
from tfxmr.core.errors import InputError
from tfxmr.core.names import meant
from tfxmr.jobs import JobsOptions
from tfxmr.reports.tables import comparison
from tfxmr.reports.tables.formats import Best
from tfxmr.reports.tables.options import CompareOptions, print_table
from tfxmr.runs import options
from tfxmr.runs.run_folder import read_results

IGNORED = (*options.affecting("nothing"), "metrics")  # a run with more metrics is the same run


def define(values: FlagValues) -> None:
    """Defines the command's flags in a FlagValues."""
    declared.define(values, CompareOptions, JobsOptions)


def main(arguments: Sequence[str]) -> int:
    """Runs `tfxmr compare RUN FILE.cfg --recipe=NAME ... [--format=F]`; a RUN is a run folder, or a folder of such.

    Returns 1 if some of the runs that --jobs makes failed, else 0.
    """
    arguments = _files(arguments)
    values, rest = parsing.parse_with_words("compare RUN FILE.cfg ...", arguments, define, known_only=True)
    words = [word for word in rest if not word.startswith("-")]
    flags = [word for word in rest if word.startswith("-")]
    if not words:
        raise InputError("tfxmr compare: name the folders of runs, or a folder that holds such, or flagfiles to train")
    folders, status = trained(words, flags, values.run_dir, declared.make(values, JobsOptions))
    if not folders:
        return status  # the rest is Slurm's
    results = completed(read(find(folders)))
    results = [result for result in results if result["metrics"]]  # the trials of a search have no test metrics
    if not results:
        raise InputError(f"{' '.join(folders)}: only trials of a search are there; train RUN/best.cfg first")
    try:
        rows, footnotes = comparison.summary(results, IGNORED)
        tests, threshold = comparison.tests(results, IGNORED, values.correction)
    except ValueError as error:
        raise InputError(f"tfxmr compare: {error}") from error
    if values.format == "json":
        print(json.dumps({"summary": rows, "tests": tests, "footnotes": footnotes, "threshold": threshold}, indent=1))
        return status
    print_table(values.format, rows, footnotes, _best(rows))
    if tests:
        print_table(values.format, tests, best=_best(tests))
        lines = "\n".join(f"{'% ' if values.format == 'latex' else ''}{line}" for line in threshold.splitlines())
        display.say(lines, 0) if values.format == "text" else print(lines)
    return status


def _files(arguments: Sequence[str]) -> list[str]:
    """The arguments with the flagfile of --recipe=NAME in its place: here these are words, and trained."""
    split = ((a, *a.partition("=")) for a in arguments)
    return [str(recipes.find(value)) if name == "--recipe" else argument for argument, name, _, value in split]


def trained(
    words: Sequence[str], flags: Sequence[str], run_dir: str | None, options: JobsOptions
) -> tuple[Sequence[str], int]:
    """Trains the flagfiles among the words.

    Args:
      words: run folders and flagfiles.
      flags: of `tfxmr train`.
      run_dir: folder of the flagfiles' runs.
      options: JobsOptions; with --jobs=1 this process trains, and a run that fails ends the command.

    Returns:
      (The words with each flagfile's run folder in its place, without those that have no finished run; [] if Slurm
      makes them and nobody waits; the exit status).

    Raises:
      InputError: flags without a flagfile, no --run_dir, two flagfiles of one name, a wrong flag, or every run failed.
    """
    files = list(dict.fromkeys(word for word in words if word.endswith(".cfg")))
    if not files:
        if flags:
            wrong = meant(flags[0].lstrip("-").partition("=")[0], settings.options(CompareOptions, JobsOptions), "--")
            raise InputError(
                f"{flags[0]}: no flag of this command{wrong}, and there is no flagfile to train"
            )
        if options.several:
            raise InputError(f"--jobs={options.jobs}: there is no flagfile to train; omit it")
        return words, 0
    if not run_dir:
        raise InputError(f"--run_dir is missing: give the folder in which {files[0]} is trained, such as runs/table")
    places = {file: f"{run_dir}/{pathlib.Path(file).stem}" for file in files}
    if len(set(places.values())) < len(files):  # one method on several data sets, whose folders they are in
        places = {file: f"{run_dir}/{pathlib.Path(file).parent.name}_{pathlib.Path(file).stem}" for file in files}
    if len(set(places.values())) < len(files):
        raise InputError(f"tfxmr compare: {' '.join(files)}: two flagfiles of one name; rename one")
    lines = [[f"--flagfile={file}", *flags, f"--run_dir={places[file]}"] for file in files]
    calls = []
    for line in lines:
        # So that the last one's mistake is found before any is trained.
        values, _ = parsing.parse_run("train", line, tfxmr_flags.training.define_jobs)
        tfxmr_flags.training.refuse_idle_seeds(values, line)
        if options.several:
            calls += tfxmr_flags.training.calls(values, line, pathlib.Path(values.run_dir).name)
    from tfxmr.commands import train

    with contextlib.redirect_stdout(sys.stderr):  # the table alone is what this command prints
        if options.several:
            ended = jobs.run(calls, options, run_dir)
            if ended is None:
                return [], 0
            failed = tfxmr_flags.training.tell(ended, "runs")
            if len(failed) == len(ended):
                raise InputError(f"tfxmr compare: no run of {' '.join(files)} ended; see above")
            lost = {place for place in places.values() if not any(pathlib.Path(place).rglob("results.json"))}
            return [place for word in words if (place := places.get(word, word)) not in lost], int(bool(failed))
        for line in lines:
            train.main(line)
    return [places.get(word, word) for word in words], 0


def find(folders: Iterable[str]) -> list[pathlib.Path]:
    """Paths of the results.json in folders and below them. Raises InputError for a folder without any."""
    found = []
    for folder in map(pathlib.Path, folders):
        here = [p for p in sorted(folder.rglob("results.json")) if not _inside(p.parent, folder)]
        if not here:
            raise InputError(f"{folder}: no finished run is there (no results.json); run `tfxmr train` first")
        found.extend(here)
    return list(dict.fromkeys(found))


def read(paths: Iterable[pathlib.Path]) -> list[dict[str, Any]]:
    """What the results.json at these paths hold; a damaged one is named on the standard error and skipped.

    Raises InputError, the first one's, if all are damaged.
    """
    results: list[dict[str, Any]] = []
    errors: list[InputError] = []
    for path in paths:
        try:
            results.append(read_results(path) | {"path": str(path.parent)})  # which is for messages
        except InputError as error:
            errors.append(error)
    if not results:
        raise errors[0]
    for damaged in errors:
        display.say(f"tfxmr: warning: skipped in the table: {damaged}", 2, sys.stderr)
    return results


def completed(results: Sequence[dict[str, Any]]) -> list[dict[str, Any]]:
    """The results with the flags that their versions lacked at their defaults: such a run is no other run for that.

    Args:
      results: as `read` gives them.
    """
    # No code of other people is imported for a table.
    known = {model: registry.outline(model) for model in {r["model"] for r in results} & {*registry.names()}}
    return [r | {"flags": options.completed(r["flags"], known.get(r["model"]))} for r in results]


def _inside(run: pathlib.Path, folder: pathlib.Path) -> bool:
    """True if a run is part of another one below `folder`, as those of pairs of modalities are."""
    return any((p / "results.json").exists() for p in run.parents if p == folder or folder in p.parents)


def _best(rows: list[dict[str, Any]]) -> Best:
    """The columns whose best value is bold: all metrics, of rows of one data set."""
    if len({row["dataset"] for row in rows}) > 1:
        return {}
    return {c: max for c in rows[0] if not c.startswith("p ") and ("->" in c or " average " in c)}
