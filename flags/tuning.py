"""Flags of a search over a method's settings."""
from absl import flags
from tfxmr_flags import declared

from tfxmr.jobs import JobsOptions
from tfxmr.tuning.options import SearchOptions


def define(values: flags.FlagValues) -> None:
    """Defines the search's flags in a FlagValues."""
    declared.define(values, SearchOptions, JobsOptions)
