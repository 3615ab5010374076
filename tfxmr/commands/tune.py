"""Searches for the settings with the best mAP on validation items; resumes a stopped search."""
import dataclasses
from collections.abc import Sequence
from typing import Any

import tfxmr_flags.data
import tfxmr_flags.training
import tfxmr_flags.tuning
from absl.flags import FlagValues
from tfxmr_flags import declared, parsing

from tfxmr import jobs
from tfxmr.core import display, registry
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.jobs import Call, Ended, JobsOptions
from tfxmr.reports.tables.rows import show
from tfxmr.runs.options import RunOptions
from tfxmr.tuning.options import SearchOptions

SHOWN = 20  # rows of the table at the end


def main(arguments: Sequence[str]) -> int:
    """Runs `tfxmr tune` with a list of flags. Returns 1 if a trial failed, else 0."""
    flags, outline = parsing.parse_run("tune", arguments, tfxmr_flags.tuning.define)
    tfxmr_flags.training.refuse_idle_seeds(flags, arguments)
    _refuse(flags)
    jobs_options = declared.make(flags, JobsOptions)
    if "select" in flags and not flags["select"].present:
        flags["select"].value = "validation"
    search = declared.make(flags, SearchOptions).make(declared.make(flags, outline.Settings), flags.model)
    method_class = registry.get(flags.model)
    from tfxmr.runs import selection, trackers, workers

    workers.of(method_class, declared.make(flags, RunOptions))  # before anything uses TensorFlow
    from tfxmr.runs.by_pairs import runner
    from tfxmr.runs.job import fit_batch
    from tfxmr.tuning import tuner

    settings = declared.make(flags, method_class.Settings)
    options = declared.make(flags, RunOptions)
    trackers.of(options)  # one that is not there is refused before the data are read
    data = tfxmr_flags.data.load(flags)
    options = dataclasses.replace(options, test=False)
    protocol = selection.declare(tfxmr_flags.data.make_protocol(flags, data), settings, data, options)
    training = selection.training_data(protocol, settings, data, options)
    tfxmr_flags.training.refuse_batch(flags, training)
    if fit_batch(settings, training)[1]:
        # In best.cfg, too, where the default would count as given.
        flags["batch_size"].value = len(training.splits["train"])
    display.say(selection.describe(protocol, settings, data, options, training))
    del training  # a copy of the features
    display.say(f"search     {search.describe()}")
    metric = "the sum of recalls at 1, 5 and 10" if data.instances else "mean mAP"
    of_classes = " of the seen classes" if protocol.unseen else ""
    display.say(f"validation by {metric} within the validation items{of_classes}")
    ended: list[Ended] | None = []

    def at_once(names: Sequence[str]) -> None:
        nonlocal ended
        alone = ("tune", *parsing.without(arguments, JobsOptions))
        ended = jobs.run([Call(name, (*alone, f"--trial={name}")) for name in names], jobs_options, flags.run_dir)

    trials = tuner.tune(
        method_class, settings, search, data, protocol, flags.run_dir, options,
        parsing.serialise(flags, SearchOptions, JobsOptions), runner(method_class, settings, data, flags.joint),
        flags.trial, at_once if jobs_options.several else None,
    )
    if flags.trial or ended is None:  # the process that asked for the trial sums up; or Slurm has not made them yet
        return 0
    if any(trial["status"] == "running" for trial in trials):
        tfxmr_flags.training.tell(ended, "trials")
        raise InputError(f"--run_dir={flags.run_dir}: trials have not ended; the same command resumes them")
    return summarise(trials, search, flags.run_dir)


def _refuse(flags: FlagValues) -> None:
    """Raises InputError for flags that a search cannot follow."""
    if not flags.run_dir:
        raise InputError("--run_dir is missing: give the folder of the search, such as runs/search")
    if flags.seeds:
        raise InputError(f"--seeds={flags.seeds}: a search has one --seed, of its trials and of what it draws")
    if flags.strategy == "multi_worker":
        raise InputError("--strategy=multi_worker: a search runs in one process; take mirrored, or none")


def summarise(trials: list[dict[str, Any]], search: Any, run_dir: str) -> int:
    """Prints the best trials, and those that failed. Returns the exit status."""
    from tfxmr.tuning import tuner

    ranked = sorted(trials, key=lambda t: -1 if t["validation_mAP"] is None else t["validation_mAP"], reverse=True)
    shown = [{name: v for name, v in row.items() if name != "message"} for row in tuner.rows(ranked[:SHOWN])]
    show(shown, keys=1)
    if len(trials) < search.count:
        display.say(f"{len(trials):,} of {counted(search.count, 'trial')}: there are no others left to draw", 2)
    print(f"all {counted(len(trials), 'trial')} in {run_dir}/trials.csv")
    if tuner.best(trials):
        display.say_next("the best again, with its test metrics", f"tfxmr train --flagfile={run_dir}/best.cfg", ": ")
    failed = [t for t in trials if t["status"] == "failed"]
    for trial in failed:
        display.say(f"trial {trial['trial']} failed: {trial['message']}", 2)
    if failed:
        display.say(f"{len(failed):,} of {counted(len(trials), 'trial')} failed; "
                    f"to try one again, move its trial.json in {run_dir}/trials elsewhere", 2)
    return 1 if failed else 0
