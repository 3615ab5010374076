"""Flags that say where a run is kept and how it is carried out."""
from absl import flags

from tfxmr.errors import InputError
from tfxmr.evaluation import named
from tfxmr.training.run import RunOptions


def define(values):
    """Defines the run flags in a FlagValues."""
    flags.DEFINE_string(
        "run_dir", None, "Folder of the run; started again in the same folder, a run goes on where it stopped.",
        flag_values=values,
    )
    flags.DEFINE_integer("seed", 0, "Seed of weights, batches and dropout.", lower_bound=0, flag_values=values)
    flags.DEFINE_float(
        "validation_fraction", 0.0, "Share of the training pairs held out for validation, in [0, 1).",
        lower_bound=0.0, upper_bound=0.99, flag_values=values,
    )
    flags.DEFINE_float(
        "checkpoint_seconds", 300.0, "Seconds between two checkpoints; 0: after every step.", lower_bound=0.0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "log_every", 10, "Steps between two TensorBoard points.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer(
        "eval_every", 0, "Steps between two measurements of mAP while training, for TensorBoard; 0: none.",
        lower_bound=0, flag_values=values,
    )


    flags.DEFINE_list(
        "metrics", [], f"Measures beside mAP: {named.NAMES}, such as P@10,R@10,nDCG.", flag_values=values
    )
    flags.DEFINE_integer(
        "eval_memory", 512, "MiB for the similarities that are ranked at once.", lower_bound=1, flag_values=values
    )


def make_options(values):
    """Reads the run options back from parsed flags. Raises InputError for an unknown measure."""
    for name in values.metrics:
        try:
            named.check(name)
        except ValueError as error:
            raise InputError(f"--metrics={name}: {error}") from error
    return RunOptions(
        seed=values.seed,
        validation_fraction=values.validation_fraction,
        checkpoint_seconds=values.checkpoint_seconds,
        log_every=values.log_every,
        eval_every=values.eval_every,
        metrics=tuple(values.metrics),
        eval_memory=values.eval_memory,
    )
