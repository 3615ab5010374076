"""The options of a search over a method's settings."""
import dataclasses
import math
from collections.abc import Mapping
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting
from tfxmr.core.wording import counted
from tfxmr.tuning import grid
from tfxmr.tuning.grid import Grid

KINDS = ("grid", "random", "bayesian", "one_factor")  # an oracle each, in tfxmr.tuning.oracles
SAMPLES = 30  # trials of a random or bayesian search, if nobody says how many


@dataclasses.dataclass(frozen=True)
class Search:
    """What a search tries.

    Attributes:
      grid: name of a setting -> tuple of its values; of a one-factor search as `round_defaults` gives it.
      kind: one of KINDS.
      max_trials: a bound on the trials; 0: none for a grid and one factor at a time, else SAMPLES.
    """

    grid: Grid
    kind: str = "grid"
    max_trials: int = 0

    @property
    def count(self) -> int:
        """Trials at most."""
        return num_trials(self.kind, self.grid, self.max_trials)

    def describe(self) -> str:
        """What is searched, and how many trials there are, in a line."""
        sizes = " x ".join(f"{name} {len(values)}" for name, values in self.grid.items())
        full = num_trials("grid", self.grid)
        return f"{self.kind}, {counted(self.count, 'trial')}; the full grid has {full} ({sizes})"


@dataclasses.dataclass(frozen=True)
class SearchOptions(Settings):
    """What is searched; `make` reads the grid."""

    grid: tuple[str, ...] = setting(
        (), "Values of a setting, such as --grid=tau=1,2,4; given again for each further setting (or with ; between "
        "them). A value that is a list has spaces within. Default: the grid that the method declares.", repeated=True,
    )
    grid_file: str | None = setting(
        None, "File with a line a setting, such as tau = 1, 2, 4; # begins a comment."
    )
    search: str = setting(
        "grid",
        "Order of the trials. grid: every combination; random and bayesian: combinations that are drawn by --seed, or "
        "guessed from the trials before; one_factor: each setting by itself, the others at their defaults.",
        choices=KINDS,
    )
    max_trials: int = setting(
        0, f"Trials at most; 0: all of grid and one_factor, {SAMPLES} of random and bayesian.", minimum=0,
        affects="nothing",
    )

    trial: str | None = setting(
        None, "Trains this one of the trials that a search with --jobs has proposed, such as 0001, as each of its "
        "processes does.", affects="nothing",
    )

    def make(self, settings: Settings, model: str) -> Search:
        """The search that is asked for.

        Args:
          settings: the method's.
          model: its name.

        Raises:
          InputError: a wrong grid, or none.
        """
        found = grid.parse([(f"--grid={text}", text) for text in self.grid], type(settings))
        if self.grid_file:
            from_file = grid.read_file(self.grid_file, type(settings))
            twice = sorted(set(found) & set(from_file))
            if twice:
                raise InputError(f"--grid_file={self.grid_file}: {', '.join(twice)} is in --grid, too; give it once")
            found = from_file | found
        found = found or grid.declared(type(settings))
        if not found:
            raise InputError(f"--model={model} declares no grid; give one, such as --grid=feature_norm=l2,zscore")
        if self.search == "one_factor":
            found = round_defaults(found, settings)
        return Search(found, self.search, self.max_trials)


def centre(grid: Mapping[str, tuple[Any, ...]], settings: Settings) -> dict[str, int]:
    """The index of each setting's default in its values: that of its present value, or else of the first."""
    present = {name: getattr(settings, name) for name in grid}
    return {name: values.index(present[name]) if present[name] in values else 0 for name, values in grid.items()}


def round_defaults(grid: Grid, settings: Settings) -> Grid:
    """The grid of a one-factor search: each setting's present value, round which it sweeps, is among its values."""
    return {
        name: values if getattr(settings, name) in values else (getattr(settings, name), *values)
        for name, values in grid.items()
    }


def num_trials(kind: str, grid: Grid, max_trials: int = 0) -> int:
    """How many trials a search makes at most.

    Args:
      kind: one of KINDS.
      grid: name -> tuple of values; of a one-factor search as `round_defaults` gives it.
      max_trials: a bound; 0 takes all trials of a grid or one-factor search, SAMPLES of the others.
    """
    if kind == "one_factor":
        count = 1 + sum(len(values) - 1 for values in grid.values())
    else:
        count = math.prod(len(values) for values in grid.values())
    return min(count, max_trials or (count if kind in ("grid", "one_factor") else SAMPLES))
