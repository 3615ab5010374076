"""What --seeds, the seeds of what is drawn, and --batch_size ask of a training."""
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence

from absl import flags
from tfxmr_flags import declared, parsing

from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.core.settings import MAX_SEED
from tfxmr.core.wording import counted
from tfxmr.data.multimodal import MultiModalData
from tfxmr.jobs import Call, Ended, JobsOptions

MAX_SEEDS = 1000  # of one command; a larger number is a slip
DRAWS: dict[str, Callable[[flags.FlagValues], bool]] = {  # seed of its own -> whether the flags ask for what it draws
    "split_seed": lambda v: v.split in ("random", "pku462") or v.protocol == "pku462",
    "class_seed": lambda v: v.class_split == "random",
    "labels_seed": lambda v: bool(v.labels_per_class),
}
REMEDIES = {"class_seed": "--class_split=random", "labels_seed": "--labels_per_class=N"}  # --split refuses its own


def define_jobs(values: flags.FlagValues) -> None:
    """Defines the flags of a command that makes many runs in a FlagValues."""
    declared.define(values, JobsOptions)


def repeats(values: flags.FlagValues) -> Iterator[flags.FlagValues]:
    """Sets the flags of each repeat that --seeds asks for, in turn; without it, yields once and changes nothing.

    Raises InputError if --seeds is no list of seeds.
    """
    if not values.seeds:
        yield values
        return
    found, run_dir = seeds(values.seeds), values.run_dir
    values["seeds"].value = None
    follow = [name for name, asked in DRAWS.items() if asked(values) and not values[name].present]
    for seed in found:
        for name in ("seed", *follow):
            values[name].value = seed
        values["run_dir"].value = f"{run_dir}/seed_{seed}"
        yield values


def seeds(text: str) -> Sequence[int]:
    """The seeds of "0..9" or "0,2,5". Raises InputError if it is no list of seeds."""
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


def calls(values: flags.FlagValues, typed: Sequence[str], name: str = "") -> list[Call]:
    """The calls of `tfxmr train` that make a training, each by a process of its own: one a seed of --seeds.

    Args:
      values: parsed FlagValues.
      typed: the arguments as they were typed.
      name: of the training; precedes that of the seed.
    """
    if values.strategy == "multi_worker":
        raise InputError("--strategy=multi_worker: its processes wait for each other; omit --jobs")
    alone = ("train", *parsing.without(typed, JobsOptions))
    if not values.seeds:
        return [Call(name, alone)]
    # A series of one seed: with --seed and --run_dir it would not be known which other seeds follow it.
    return [Call(f"{name}{'/' * bool(name)}seed_{seed}", (*alone, f"--seeds={seed}")) for seed in seeds(values.seeds)]


def tell(ended: Iterable[Ended], what: str) -> list[Ended]:
    """Says on the standard error which calls failed, if any did, and why. Returns these.

    Args:
      ended: how calls ended.
      what: they are, "seeds".
    """
    ended = list(ended)
    failed = [call for call in ended if call.status]
    if failed:
        print(f"tfxmr: {len(failed)} of {len(ended)} {what} failed:", file=sys.stderr)
        display.say("\n".join(f"  {call.name}: {call.message}" for call in failed), 4, sys.stderr)
    return failed


def refuse_idle_seeds(values: flags.FlagValues, typed: Sequence[str]) -> None:
    """Raises InputError for a seed that was typed though nothing is drawn by it.

    One in a flagfile or in a run's flags.cfg, which names every seed, is passed over.

    Args:
      values: parsed FlagValues.
      typed: the arguments as they were typed, flagfiles unread.
    """
    names = {argument.lstrip("-").partition("=")[0] for argument in typed if argument.startswith("-")}
    for name, remedy in REMEDIES.items():
        if name in names and not DRAWS[name](values):
            raise InputError(
                f"--{name}={values[name].value}: draws nothing without {remedy}; add that, or omit it"
            )


def refuse_batch(values: flags.FlagValues, data: MultiModalData) -> None:
    """Raises InputError if a --batch_size that was given, be it the default's value, is more than all training items.

    A default that nobody gave shrinks, see tfxmr.runs.job.fit_batch.

    Args:
      values: parsed FlagValues.
      data: the training data.
    """
    items = len(data.splits["train"])
    if "batch_size" in values and values["batch_size"].present and values.batch_size > items:
        raise InputError(
            f"--batch_size={values.batch_size}: the training set has {counted(items, 'item')}; take at most that many, "
            "or omit the flag, which takes all"
        )
