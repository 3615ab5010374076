"""The repeats of a run that --seeds asks for."""
from collections.abc import Iterator, Sequence

from absl import flags

from tfxmr.core.errors import InputError
from tfxmr.core.settings import MAX_SEED

MAX_SEEDS = 1000  # of one command; a larger number is a slip


def repeats(values: flags.FlagValues) -> Iterator[flags.FlagValues]:
    """Sets the flags of each repeat that --seeds asks for, in turn; without it, yields once and changes nothing.

    Raises InputError if --seeds is no list of seeds.
    """
    if not values.seeds:
        yield values
        return
    seeds, run_dir = _seeds(values.seeds), values.run_dir
    values["seeds"].value = None
    follow = [name for name, asked in (
        ("split_seed", values.split in ("random", "pku462") or values.protocol == "pku462"),
        ("class_seed", values.class_split == "random"),
        ("labels_seed", bool(values.labels_per_class)),
    ) if asked and not values[name].present]
    for seed in seeds:
        for name in ("seed", *follow):
            values[name].value = seed
        values["run_dir"].value = f"{run_dir}/seed_{seed}"
        yield values


def _seeds(text: str) -> Sequence[int]:
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
