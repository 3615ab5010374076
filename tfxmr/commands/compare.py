"""Puts runs into one table: mean and deviation over seeds, exact tests of the first method against the others."""
import json
import pathlib

from absl import flags as absl_flags
from tfxmr_flags import parsing

from tfxmr.commands.evaluate import FORMATS
from tfxmr.errors import InputError
from tfxmr.evaluation import comparison
from tfxmr.training.run_folder import HARMLESS

IGNORED = (*HARMLESS, "metrics")


def define(values):
    """Defines the command's flags in a FlagValues."""
    absl_flags.DEFINE_enum("format", "text", [*FORMATS, "json"], "How the table is printed.", flag_values=values)


def main(arguments):
    """Runs `tfxmr compare RUN RUN ... [--format=F]`; a RUN is a run folder, or a folder of such."""
    values, folders = parsing.parse_with_words("compare RUN RUN ...", arguments, define)
    if not folders:
        raise InputError("tfxmr compare: name the folders of runs, or a folder that holds such")
    results = [json.loads(path.read_text()) for path in find(folders)]
    results = [result for result in results if result["metrics"]]  # the trials of a search have no test figures
    if not results:
        raise InputError(f"{' '.join(folders)}: only trials of a search are there; train RUN/best.cfg first")
    try:
        rows, footnotes = comparison.summary(results, IGNORED)
        tests, threshold = comparison.tests(results, IGNORED)
    except ValueError as error:
        raise InputError(f"tfxmr compare: {error}") from error
    if values.format == "json":
        print(json.dumps({"summary": rows, "tests": tests, "footnotes": footnotes, "threshold": threshold}, indent=1))
        return
    print_table(values.format, rows, footnotes)
    if tests:
        print_table(values.format, tests, "")
        print(f"{'% ' if values.format == 'latex' else ''}{threshold}")


def find(folders):
    """Paths of the results.json in folders and below them. Raises InputError for a folder without any."""
    found = []
    for folder in map(pathlib.Path, folders):
        here = [p for p in sorted(folder.rglob("results.json")) if not _inside(p.parent, folder)]
        if not here:
            raise InputError(f"{folder}: no finished run is there (no results.json); run `tfxmr train` first")
        found.extend(here)
    return list(dict.fromkeys(found))


def _inside(run, folder):
    """True if a run is part of another one below `folder`, as those of pairs of modalities are."""
    return any((p / "results.json").exists() for p in run.parents if p == folder or folder in p.parents)


def print_table(name, rows, footnotes):
    """Prints rows in one of the formats."""
    options = {} if name == "csv" else {"footnotes": footnotes}
    if name in ("markdown", "latex") and len({row["dataset"] for row in rows}) == 1:
        options["best"] = {c: max for c in rows[0] if not c.startswith("p ") and ("->" in c or " average " in c)}
    print(FORMATS[name](rows, **options))
