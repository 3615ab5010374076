"""Evaluates a finished or stopped run again."""
import pathlib

import tfxmr_flags.data
import tfxmr_flags.model
import tfxmr_flags.training
from tfxmr_flags import parsing

from tfxmr.errors import InputError
from tfxmr.evaluation import tables
from tfxmr.training.run import evaluate


def main(arguments):
    """Runs `tfxmr evaluate` with a list of flags; --protocol, --gallery and --eval_znorm may differ from the run's."""
    if parsing.asks_help(arguments):
        parsing.parse_run("evaluate", arguments)  # prints it and exits
    run_dir = parsing.parse_common(arguments).run_dir
    if not run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the run to evaluate")
    flagfile = pathlib.Path(run_dir) / "flags.cfg"
    if not flagfile.exists():
        raise InputError(f"--run_dir={run_dir}: no run is there ({flagfile} is missing)")
    flags, method_class = parsing.parse_run("evaluate", [f"--flagfile={flagfile}", *arguments])
    settings = tfxmr_flags.model.make_settings(flags, method_class.Settings)
    data = tfxmr_flags.data.load(flags)
    protocol = tfxmr_flags.data.make_protocol(flags, data)
    own, _ = parsing.parse_run("evaluate", [f"--flagfile={flagfile}"])
    if protocol.unseen != tfxmr_flags.data.make_protocol(own, data).unseen:
        raise InputError(
            f"--protocol={flags.protocol}: this run was trained under --protocol={own.protocol}, on other classes; "
            "give a protocol of the same kind, or train another run"
        )
    print(tables.describe(data, protocol))
    options = tfxmr_flags.training.make_options(flags)
    metrics = evaluate(method_class, settings, data, protocol, run_dir, options, parsing.serialise(flags))
    print(tables.metrics_table(metrics))
