"""Evaluates a finished or stopped run again, perhaps by another protocol, and prints the figures as a table."""
import json
import pathlib
import sys

import tfxmr_flags.data
import tfxmr_flags.model
import tfxmr_flags.training
from absl import flags as absl_flags
from tfxmr_flags import parsing

from tfxmr.errors import InputError
from tfxmr.evaluation.results import by_class_rows, describe, metrics_rows, to_text
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
    flagfile = pathlib.Path(run_dir) / "flags.cfg"
    if not flagfile.exists():
        raise InputError(f"--run_dir={run_dir}: no run is there ({flagfile} is missing)")
    flags, method_class = parsing.parse_run("evaluate", [f"--flagfile={flagfile}", *arguments], define)
    settings = tfxmr_flags.model.make_settings(flags, method_class.Settings)
    data = tfxmr_flags.data.load(flags)
    protocol = selection.declare(tfxmr_flags.data.make_protocol(flags, data), settings)
    own, _ = parsing.parse_run("evaluate", [f"--flagfile={flagfile}"])
    if protocol.unseen != tfxmr_flags.data.make_protocol(own, data).unseen:
        raise InputError(
            f"--protocol={flags.protocol}: this run was trained under --protocol={own.protocol}, on other classes; "
            "give a protocol of the same kind, or train another run"
        )
    print(describe(data, protocol), file=sys.stdout if flags.format == "text" else sys.stderr)
    options = tfxmr_flags.training.make_options(flags)
    metrics = evaluate(method_class, settings, data, protocol, run_dir, options, serialise(flags))
    if flags.format == "json":
        print(json.dumps({"protocol": protocol.facts(data), "metrics": metrics}, indent=1))
        return
    write = FORMATS[flags.format]
    print(write(metrics_rows(metrics)))
    if flags.by_class:
        print(write(by_class_rows(metrics)))


def serialise(flags):
    """The run's flags, without the command's own."""
    return {name: text for name, text in parsing.serialise(flags).items() if name not in ("format", "by_class")}
