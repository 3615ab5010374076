"""Flags of `tfxmr plot`."""
import pathlib
from collections.abc import Iterable

from absl import flags
from tfxmr_flags import declared

from tfxmr.core.errors import InputError
from tfxmr.reports.figures.options import KINDS, FigureOptions, MovedOptions


def define(values: flags.FlagValues) -> None:
    """Defines the flags of all figures in a FlagValues."""
    declared.define(values, FigureOptions, MovedOptions)


def folders(texts: Iterable[str]) -> list[str]:
    """The folders that --run_dir names.

    Args:
      texts: list of str, each a folder, or several with commas between them. A comma belongs to a folder's name where
        a folder of that name exists.

    Returns:
      list of str.
    """
    found = []
    for text in texts:
        parts = text.split(",")
        while parts:
            lengths = range(len(parts), 1, -1)
            length = next((n for n in lengths if pathlib.Path(",".join(parts[:n])).is_dir()), 1)
            found.append(",".join(parts[:length]))
            parts = parts[length:]
    return [folder for folder in found if folder]


def check(values: flags.FlagValues) -> None:
    """Raises InputError if --figure is missing, or --run_dir and --table do not fit it."""
    if not values.figure:
        raise InputError(f"--figure is missing; there are {', '.join(KINDS)}")
    if values.table and values.figure != "sensitivity":
        raise InputError(f"--table={values.table} goes with --figure=sensitivity, not with {values.figure}")
    if bool(values.x) != (values.figure == "curve"):
        raise InputError(
            f"--x={values.x} goes with --figure=curve, not with {values.figure}" if values.x
            else "--x is missing: name the flag in which the runs differ, such as --x=unseen_share"
        )
    if values.table and values.run_dir:
        raise InputError(f"--table={values.table}: takes the place of runs; omit --run_dir or --table")
    if not values.table and not values.run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the run to draw")
    if len(values.run_dir) > (KINDS[values.figure] or len(values.run_dir)):
        raise InputError(f"--run_dir={','.join(values.run_dir)}: --figure={values.figure} shows one run; name one")
