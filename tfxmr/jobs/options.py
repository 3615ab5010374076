"""The options of commands that make many runs."""
import dataclasses
import shlex

from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting

SLURM = "slurm"


@dataclasses.dataclass(frozen=True)
class JobsOptions(Settings):
    """How many of a command's runs are made at once, and where."""

    jobs: str = setting(
        "1", "Runs that are made at once, each by a process of its own with its share of the processor's cores; slurm: "
        "an array job of a task each, from a machine of a Slurm cluster.", affects="nothing",
    )
    slurm_options: str = setting(
        "", 'What sbatch takes beside, such as --slurm_options="--mem=8G --time=4:00:00".', affects="nothing"
    )
    nowait: bool = setting(
        False, "--jobs=slurm: submits the job and ends; the same command without it waits for that job.",
        affects="nothing",
    )

    def __post_init__(self) -> None:
        """Raises InputError for a --jobs that is no number, or options of Slurm without it."""
        super().__post_init__()
        if self.jobs != SLURM and not (self.jobs.isdecimal() and self.jobs.isascii() and 0 < int(self.jobs) <= 1000):
            raise InputError(f"--jobs={self.jobs}: give a number of processes, 1 to 1000, or slurm")
        for name, value in (("slurm_options", self.slurm_options), ("nowait", self.nowait)):
            if value and not self.on_slurm:
                raise InputError(f"--{name}: goes with --jobs=slurm; add that, or omit it")
        try:
            shlex.split(self.slurm_options)
        except ValueError as error:
            raise InputError(f"--slurm_options={self.slurm_options}: {error}") from error

    @property
    def on_slurm(self) -> bool:
        """True if a Slurm cluster makes the runs."""
        return self.jobs == SLURM

    @property
    def several(self) -> bool:
        """True if runs are made by processes of their own, False if by this one, one after another."""
        return self.jobs != "1"
