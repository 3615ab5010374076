"""Who makes calls of tfxmr at once: processes of this machine, or Slurm."""
import os
import pathlib
import sys
from collections.abc import Sequence

from tfxmr.jobs import processes, slurm
from tfxmr.jobs.calls import Call, Ended
from tfxmr.jobs.options import JobsOptions


def run(calls: Sequence[Call], options: JobsOptions, folder: str | os.PathLike) -> list[Ended] | None:
    """Makes calls of tfxmr at once. One that fails does not end the others.

    Args:
      calls: of different names.
      options: JobsOptions.
      folder: of the command, in which a Slurm job keeps its script and logs, FOLDER/slurm.

    Returns:
      How each ended, in the order of the calls; None if --nowait asks to leave them to Slurm.

    Raises:
      InputError: Slurm is not there, or refuses the job.
      KeyboardInterrupt: a signal that asks to stop, after all processes have saved and ended. A Slurm job continues.
    """
    if options.on_slurm:
        return slurm.run(calls, options, pathlib.Path(folder) / "slurm")
    return processes.run(calls, int(options.jobs), sys.stdout, sys.stderr)
