"""Writes what a finished run is used by without its data set, RUN/encoder, and forms of it for other programs.

The encoder is written where RUN/encoder is not whole, or with --out; --formats adds a SavedModel or ONNX to it. Of the
folder of a series (`tfxmr train --seeds=0..9`), or of a run of pairs of modalities, that of each run. Where RUN/encoder
is whole the data set is not read.
"""
import pathlib
from collections.abc import Sequence

from absl.flags import FlagValues
from tfxmr_flags import declared, parsing, runs

from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.encoding import export, folder
from tfxmr.encoding.options import ExportOptions


def define(values: FlagValues) -> None:
    """Defines the command's own flags in a FlagValues."""
    declared.define(values, ExportOptions)


def define_all(values: FlagValues) -> None:
    """Defines the flags that `--help` lists; the settings of the run's method stay as they are."""
    parsing.define_common(values)
    define(values)


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr export` with a list of flags; those that tell where the run's data are may differ from the run's."""
    flags = parsing.parse("export", arguments, define_all)
    if not flags.run_dir:
        raise InputError("--run_dir=RUN is missing: name the folder of the run to export")
    run_dir = pathlib.Path(flags.run_dir).expanduser()
    folders = [run_dir] if (run_dir / folder.FACTS).exists() else runs.below(run_dir)
    for run in folders:
        target = pathlib.Path(flags.out).expanduser() / run.relative_to(run_dir) if flags.out else None
        place, done = _encoder(run, target, arguments)
        display.say(f"encoder    {place}: {done}")
        for line in export.write(place, flags.formats):
            display.say(line)


def _encoder(run: pathlib.Path, target: pathlib.Path | None, arguments: Sequence[str]) -> tuple[pathlib.Path, str]:
    """Sees to the encoder of a run, in RUN/encoder or `target`. Returns (where it is, what was done in words)."""
    own = run if (run / folder.FACTS).exists() else run / folder.NAME  # an encoder may be given in place of its run
    if target:
        export.require_place(target)
    reason = export.lacking(own)
    if not reason:
        if target is None or target.resolve() == own.resolve():
            return own, "was there, whole"
        export.copy(own, target)
        return target, f"copied from {own}"
    if own == run:
        raise InputError(reason)
    from tfxmr.engine import memory
    from tfxmr.runs.run import keep

    memory.free()  # of the run before
    stored = runs.read(run, [*arguments, f"--run_dir={run}"], "export", define)
    return keep(*stored.arguments(), target=target or own), "written"
