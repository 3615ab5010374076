"""Trains a method on a dataset, evaluates it and writes a run folder; goes on where a stopped run was."""
import tfxmr_flags.data
import tfxmr_flags.model
import tfxmr_flags.training
from tfxmr_flags import parsing

from tfxmr.errors import InputError
from tfxmr.evaluation import comparison
from tfxmr.evaluation.results import metrics_rows, to_text
from tfxmr.training import distribution, memory, selection
from tfxmr.training.run import runner
from tfxmr.training.run_folder import HARMLESS


def main(arguments):
    """Runs `tfxmr train` with a list of flags; with --seeds once a seed, and then sums up."""
    flags, method_class = parsing.parse_run("train", arguments)
    if not flags.run_dir:
        raise InputError("--run_dir is missing: give the folder for checkpoints and results, such as runs/first")
    distribution.start(tfxmr_flags.training.make_options(flags))  # before anything uses TensorFlow
    results = [train(repeat, method_class) for repeat in tfxmr_flags.training.repeats(flags)]
    if len(results) > 1 and all(results):
        rows, footnotes = comparison.summary(results, HARMLESS)
        print(to_text(rows, footnotes))


def train(flags, method_class):
    """Trains one run, or one for each pair of many modalities, and prints its figures. Returns the results, if any."""
    memory.free()  # of the repeats before
    settings = tfxmr_flags.model.make_settings(flags, method_class.Settings)
    options = tfxmr_flags.training.make_options(flags)
    data = tfxmr_flags.data.load(flags)
    protocol = selection.declare(tfxmr_flags.data.make_protocol(flags, data), settings, data, options)
    print(f"method     {flags.model}: {method_class.paper}")
    training = selection.training_data(protocol, settings, data, options)
    tfxmr_flags.model.refuse_batch(flags, training)
    print(selection.describe(protocol, settings, data, options, training))
    if options.strategy != "none":
        print(distribution.describe(distribution.start(options)))
    del training  # a copy of the features
    run = runner(method_class, data, flags.joint)
    with distribution.loss_explained():
        results = run(method_class, settings, data, protocol, flags.run_dir, options, parsing.serialise(flags))
    if results is None:
        return None
    print(to_text(metrics_rows(results["metrics"])))
    kept = f", weights of step {results['selected_step']}" if "selected_step" in results else ""
    print(
        f"{results['steps']} steps{kept}, {results['seconds']:.0f} s of training; results in "
        f"{flags.run_dir}/results.json"
    )
    return results
