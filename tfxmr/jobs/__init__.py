"""Many runs at once: as processes of this machine, or as tasks of a Slurm array job."""
from tfxmr.jobs.options import JobsOptions
from tfxmr.jobs.running import Call, Ended, run

__all__ = ["Call", "Ended", "JobsOptions", "run"]
