"""Evaluates a finished or stopped run again, perhaps by another protocol, and prints the figures as a table."""
import json
import sys

from absl import flags as absl_flags
from tfxmr_flags import parsing, runs

from tfxmr.errors import InputError
from tfxmr.evaluation.results import by_class_rows, metrics_rows, to_text
from tfxmr.evaluation.tables import to_csv, to_latex, to_markdown
from tfxmr.training import selection
from tfxmr.training.run import evaluate

FORMATS = {"text": to_text, "markdown": to_markdown, "latex": to_latex, "csv": to_csv}


def define(values):
    """Defines the command's own flags in a FlagValues."""
    absl_flags.DEFINE_enum("format", "text", [*FORMATS, "json"], "How the figures are printed.", flag_values=values)
    absl_flags.DEFINE_boolean("by_class", False, "Prints mAP a class, too.", flag_values=values)


def main(arguments):
    """Runs `tfxmr evaluate` with a list of flags; those of the protocol and the measures may differ from the run's."""
    if parsing.asks_help(arguments):
        parsing.parse_run("evaluate", arguments, define)  # prints it and exits
    run_dir = parsing.parse_common(arguments).run_dir
    if not run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the run to evaluate")
    run = runs.read(run_dir, arguments, define=define)
    output = run.flags.format
    asked = run.protocol, run.settings, run.data, run.options
    header = selection.describe(*asked, selection.training_data(*asked))
    print(header, file=sys.stdout if output == "text" else sys.stderr)
    metrics = evaluate(*run.arguments())
    if output == "json":
        print(json.dumps({"protocol": run.protocol.facts(run.data), "metrics": metrics}, indent=1))
        return
    write = FORMATS[output]
    print(write(metrics_rows(metrics)))
    if run.flags.by_class:
        print(write(by_class_rows(metrics)))
