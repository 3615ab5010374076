"""Trains a method on a dataset, evaluates it and writes a run folder; resumes a stopped run."""
import sys
from collections.abc import Sequence
from typing import Any

import tfxmr_flags.data
import tfxmr_flags.training
from absl.flags import FlagValues
from tfxmr_flags import declared, parsing

from tfxmr import jobs
from tfxmr.core import display, registry
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.jobs import JobsOptions
from tfxmr.reports.tables import comparison
from tfxmr.reports.tables.formats import Marked
from tfxmr.reports.tables.rows import metrics_rows, show
from tfxmr.runs.options import RunOptions, affecting
from tfxmr.runs.run_folder import read_results


def main(arguments: Sequence[str]) -> int:
    """Runs `tfxmr train` with a list of flags; with --seeds once a seed, and then sums up.

    A seed that fails does not end the others. Returns 1 if some failed, 2 if all did, else 0.
    """
    flags, _ = parsing.parse_run("train", arguments, tfxmr_flags.training.define_jobs)
    tfxmr_flags.training.refuse_idle_seeds(flags, arguments)
    if not flags.run_dir:
        raise InputError("--run_dir is missing: give the folder for checkpoints and results, such as runs/first")
    options = declared.make(flags, JobsOptions)
    if options.several:
        return at_once(flags, arguments, options)
    method_class = registry.get(flags.model)
    from tfxmr.runs import workers

    workers.of(method_class, declared.make(flags, RunOptions))  # before anything uses TensorFlow
    # With several workers, one that lacks another would wait for it at the next seed.
    alone = not flags.seeds or len(tfxmr_flags.training.seeds(flags.seeds)) == 1 or flags.strategy == "multi_worker"
    results, failed = [], {}
    for repeat in tfxmr_flags.training.repeats(flags):
        try:
            results.append(train(repeat, method_class))
        except InputError as error:
            if alone:
                raise
            failed[repeat.seed] = error
            display.say(f"tfxmr: seed {repeat.seed} failed: {error}", 2, sys.stderr)
    scored = [found for found in results if found]  # only the first of several workers has any
    if len(results) == len(scored):
        sum_up(scored)
    if failed:
        print(f"tfxmr: {len(failed)} of {counted(len(failed) + len(results), 'seed')} failed:", file=sys.stderr)
        display.say("\n".join(f"  seed {seed}: {error}" for seed, error in failed.items()), 4, sys.stderr)
    return (1 if results else 2) if failed else 0


def at_once(flags: FlagValues, arguments: Sequence[str], options: JobsOptions) -> int:
    """Trains the seeds of --seeds as --jobs says, each by a call of its own. Returns the exit status, as `main`."""
    if not flags.seeds:
        raise InputError(f"--jobs={options.jobs}: this is one run; add --seeds=0..9, or omit --jobs")
    ended = jobs.run(tfxmr_flags.training.calls(flags, arguments), options, flags.run_dir)
    if ended is None:
        return 0
    sum_up([read_results(f"{flags.run_dir}/{call.name}/results.json") for call in ended if not call.status])
    failed = tfxmr_flags.training.tell(ended, "seeds")
    return (1 if len(failed) < len(ended) else 2) if failed else 0


def sum_up(results: Sequence[dict[str, Any]]) -> None:
    """Prints the mean and deviation of the results of several seeds; nothing of one."""
    if len(results) > 1:
        show(*comparison.summary(results, affecting("nothing")))


def train(flags: FlagValues, method_class: type[Any]) -> dict[str, Any] | None:
    """Trains one run, or one for each pair of many modalities, and prints its metrics. Returns the results, if any."""
    from tfxmr.engine import memory
    from tfxmr.runs import selection, trackers, workers
    from tfxmr.runs.by_pairs import runner
    from tfxmr.runs.run import ending

    memory.free()  # of the repeats before
    settings = declared.make(flags, method_class.Settings)
    options = declared.make(flags, RunOptions)
    trackers.of(options)  # one that is not there is refused before the data are read
    data = tfxmr_flags.data.load(flags)
    protocol = selection.declare(tfxmr_flags.data.make_protocol(flags, data), settings, data, options)
    display.say(f"method     {flags.model}: {method_class.paper}")
    training = selection.training_data(protocol, settings, data, options)
    tfxmr_flags.training.refuse_batch(flags, training)
    display.say(selection.describe(protocol, settings, data, options, training))
    taking_part = workers.of(method_class, options)
    if options.strategy != "none" and isinstance(taking_part, workers.Workers):
        display.say(taking_part.describe())
    del training  # a copy of the features
    run = runner(method_class, settings, data, flags.joint)
    with taking_part.loss_explained():
        serialised = parsing.serialise(flags, JobsOptions)
        results = run(method_class, settings, data, protocol, flags.run_dir, options, serialised)
    if results is None:
        return None
    rows, footnote = metrics_rows(results["metrics"]), ""
    if "stopped_by" in results:
        rows = [row | {"value": row["value"] and Marked(row["value"], "*")} for row in rows]
        footnote = f"*  with the best weights before this: {results['stopped_by']}"
    show(rows, footnote)
    display.say(f"{ending(results)}; results in {flags.run_dir}/results.json", 2)
    return results
