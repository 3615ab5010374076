"""Flags that say where a run is kept and how it is carried out."""
from absl import flags
from tfxmr_flags.data import MAX_SEED

from tfxmr.core.errors import InputError
from tfxmr.engine import distribution
from tfxmr.evaluation import named
from tfxmr.runs.run import RunOptions

MAX_SEEDS = 1000  # of one command; a larger number is a slip


def define(values):
    """Defines the run flags in a FlagValues."""
    flags.DEFINE_string(
        "run_dir", None, "Folder of the run; started again in the same folder, a run goes on where it stopped.",
        flag_values=values,
    )
    flags.DEFINE_integer("seed", 0, "Seed of weights, batches and dropout.", lower_bound=0,
                         upper_bound=MAX_SEED, flag_values=values)
    flags.DEFINE_string(
        "seeds", None,
        "Repeats the run with each of these seeds, such as 0..9 or 0,2,5, in the folders RUN_DIR/seed_N; each is the "
        "seed of --split=random, --split=pku462, --class_split=random and --labels_per_class, too, unless those are "
        "given.",
        flag_values=values,
    )
    flags.DEFINE_boolean(
        "joint", False,
        "Trains one model of all modalities, where a method takes more than two; by default one for each pair of "
        "modalities, in the folders RUN_DIR/image-text and so on, as Wu et al. 2020; mhtn makes one in any case.",
        flag_values=values,
    )
    flags.DEFINE_float(
        "validation_fraction", 0.0,
        "Share of the training pairs held out for validation, in [0, 1). 0: none, or .1 where --select=validation or a "
        "search needs some and the dataset has no validation split; one of its own is used as it is.",
        lower_bound=0.0, upper_bound=0.99, flag_values=values,
    )
    flags.DEFINE_float(
        "checkpoint_seconds", 300.0, "Seconds between two checkpoints; 0: after every --steps_per_execution steps.",
        lower_bound=0.0, flag_values=values,
    )
    flags.DEFINE_integer(
        "log_every", 10, "Steps between two TensorBoard points.", lower_bound=1, flag_values=values
    )
    flags.DEFINE_integer(
        "eval_every", 0, "Steps between two measurements of mAP while training, for TensorBoard; 0: none.",
        lower_bound=0, flag_values=values,
    )
    flags.DEFINE_enum(
        "strategy", "none", distribution.STRATEGIES,
        "Devices that train together; --batch_size is the batch of all of them, and the result that of one, but for "
        "rounding. none: one device; mirrored: all GPUs of this machine; multi_worker: several processes or machines, "
        "by --workers or TF_CONFIG, of which the first alone evaluates and writes --run_dir.", flag_values=values,
    )
    flags.DEFINE_integer(
        "logical_devices", 0, "Devices that the CPU is divided into under --strategy=mirrored, to try it without GPUs; "
        "0: the real devices.", lower_bound=0, flag_values=values,
    )
    flags.DEFINE_list(
        "workers", [], "HOST:PORT of every process of --strategy=multi_worker, the same list for each.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "worker_index", None, "Place of this process in --workers, from 0, the one that writes.", lower_bound=0,
        flag_values=values,
    )
    flags.DEFINE_integer(
        "steps_per_execution", 1, "Steps that TensorFlow takes in one call, at most: a call ends at every multiple of "
        "--log_every and --eval_every, at epochs with --select=validation, and every tenth of the way. It changes no "
        "result.", lower_bound=1, flag_values=values,
    )
    flags.DEFINE_list(
        "metrics", [], f"Measures beside mAP: {named.NAMES}, such as P@10,R@10,nDCG.", flag_values=values
    )
    flags.DEFINE_integer(
        "eval_memory", 512, "MiB for the similarities that are ranked at once.", lower_bound=1, flag_values=values
    )


def repeats(values):
    """Sets the flags of each repeat that --seeds asks for, in turn; without it, yields once and changes nothing.

    Raises InputError if --seeds is no list of seeds.
    """
    if not values.seeds:
        yield values
        return
    seeds, run_dir = _seeds(values.seeds), values.run_dir
    values.seeds = None
    follow = [name for name, asked in (
        ("split_seed", values.split in ("random", "pku462") or values.protocol == "pku462"),
        ("class_seed", values.class_split == "random"),
        ("labels_seed", bool(values.labels_per_class)),
    ) if asked and not values[name].present]
    for seed in seeds:
        for name in ("seed", *follow):
            values[name].value = seed
        values.run_dir = f"{run_dir}/seed_{seed}"
        yield values


def _seeds(text):
    """The seeds of "0..9" or "0,2,5"."""
    first, dots, last = text.partition("..")
    try:
        found = range(int(first), int(last) + 1) if dots else [int(part) for part in text.split(",")]
    except ValueError:
        found = []
    # The number first, as 0..1000000000 must not be looked at seed by seed.
    if not found or found[MAX_SEEDS:] or len(set(found)) < len(found) or min(found) < 0 or max(found) > MAX_SEED:
        raise InputError(
            f"--seeds={text}: give different seeds from 0 on, {MAX_SEEDS} at most and none above {MAX_SEED}, such as "
            "0..9 or 0,2,5"
        )
    return found


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
        strategy=values.strategy,
        logical_devices=values.logical_devices,
        workers=tuple(values.workers),
        worker_index=values.worker_index,
        steps_per_execution=values.steps_per_execution,
    )
