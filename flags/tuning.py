"""Flags of a search over a method's settings."""
from absl import flags

from tfxmr.core.errors import InputError
from tfxmr.tuning import grid, oracles
from tfxmr.tuning.tuner import Search

NAMES = ("grid", "grid_file", "search", "max_trials")


def define(values):
    """Defines the search's flags in a FlagValues."""
    flags.DEFINE_multi_string(
        "grid", [],
        "Values of a setting, such as --grid=tau=1,2,4; given again for each further setting (or with ; between them). "
        "A value that is a list has spaces within. Default: the grid that the method declares.", flag_values=values,
    )
    flags.DEFINE_string(
        "grid_file", None, "File with a line a setting, such as tau = 1, 2, 4; # begins a comment.", flag_values=values
    )
    flags.DEFINE_enum(
        "search", "grid", list(oracles.KINDS),
        "Order of the trials. grid: every combination; random and bayesian: combinations that are drawn by --seed, or "
        "guessed from the trials before; one_factor: each setting by itself, the others at their defaults.",
        flag_values=values,
    )
    flags.DEFINE_integer(
        "max_trials", 0, f"Trials at most; 0: all of grid and one_factor, {oracles.SAMPLES} of random and bayesian.",
        lower_bound=0, flag_values=values,
    )


def make_search(values, settings):
    """Reads the search back from parsed flags.

    Args:
      values: parsed FlagValues.
      settings: the method's settings.

    Raises:
      InputError: a wrong grid, or none.
    """
    found = grid.parse([(f"--grid={text}", text) for text in values.grid], type(settings))
    if values.grid_file:
        from_file = grid.read_file(values.grid_file, type(settings))
        twice = sorted(set(found) & set(from_file))
        if twice:
            raise InputError(f"--grid_file={values.grid_file}: {', '.join(twice)} is in --grid, too; leave one out")
        found = from_file | found
    found = found or grid.declared(type(settings))
    if not found:
        raise InputError(f"--model={values.model} declares no grid; give one, such as --grid=feature_norm=l2,zscore")
    if values.search == "one_factor":
        found = oracles.round_defaults(found, settings)
    return Search(found, values.search, values.max_trials)
