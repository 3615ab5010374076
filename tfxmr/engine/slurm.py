"""The processes of a Slurm job, for --strategy=multi_worker --workers=slurm, by what srun tells each of them.

TensorFlow's own SlurmClusterResolver asks nvidia-smi how many GPUs there are, and crashes where there is none.
"""
import re
import subprocess
from collections.abc import Mapping

from tfxmr.core.errors import InputError
from tfxmr.core.wording import agreeing, counted

NAME = "slurm"  # the value of --workers
FIRST_PORT, PORTS = 20_000, 20_000
PER_NODE = re.compile(r"(\d+)(?:\(x(\d+)\))?")  # "2(x3),1": two tasks on each of three nodes, and one on a fourth
START = "start it as `srun --ntasks=2 tfxmr train ...`, in a job or not"


def workers(environment: Mapping[str, str]) -> tuple[tuple[str, ...], int]:
    """The processes of the job step that this process is part of.

    A process' port is 20000 + the job's number modulo 20000 + its place among those of its node.

    Args:
      environment: of this process, as srun made it.

    Returns:
      (HOST:PORT of each in the order of their ranks, this one's rank).

    Raises:
      InputError: it was not started by srun, or tasks are not dealt out node by node.
    """
    if "SLURM_JOB_ID" not in environment:
        raise InputError(f"--workers=slurm: this is no job of Slurm (SLURM_JOB_ID is not set); {START}")
    count, rank = _number(environment, "SLURM_NTASKS"), _number(environment, "SLURM_PROCID")
    if "SLURM_STEP_ID" not in environment and count > 1:  # the script of a job: rank 0, and nobody is the others
        raise InputError(f"--workers=slurm: {counted(count, 'task is', 'tasks are')} asked for and srun has not "
                         f"started {agreeing(count, 'it', 'them')}; {START}")
    hosts = _hosts(environment.get("SLURM_STEP_NODELIST") or environment.get("SLURM_JOB_NODELIST", ""))
    told = environment.get("SLURM_STEP_TASKS_PER_NODE") or environment.get("SLURM_TASKS_PER_NODE", "")
    sizes = [int(size) for size, nodes in PER_NODE.findall(told) for _ in range(int(nodes or 1))]
    if len(sizes) != len(hosts) or sum(sizes) != count:
        raise InputError(
            f"--workers=slurm: SLURM_NTASKS={count} and SLURM_TASKS_PER_NODE={told or '(not set)'} do not fit the "
            f"{counted(len(hosts), 'node')} {','.join(hosts)}; {START}"
        )
    places = [(host, local) for host, size in zip(hosts, sizes, strict=True) for local in range(size)]
    if not rank < count:
        raise InputError(f"--workers=slurm: SLURM_PROCID={rank} is not among {counted(count, 'task')}; {START}")
    local = environment.get("SLURM_LOCALID", str(places[rank][1]))
    node = environment.get("SLURM_NODEID", str(hosts.index(places[rank][0])))
    if (node, local) != (str(hosts.index(places[rank][0])), str(places[rank][1])):
        raise InputError("--workers=slurm: tasks are not dealt out node by node; give srun --distribution=block")
    first = FIRST_PORT + _number(environment, "SLURM_JOB_ID") % PORTS
    return tuple(f"{host}:{first + local}" for host, local in places), rank


def _number(environment: Mapping[str, str], name: str) -> int:
    value = environment.get(name, "")
    if not (value.isdecimal() and value.isascii()):
        raise InputError(f"--workers=slurm: {name}={value or '(not set)'} is no number; {START}")
    return int(value)


def _hosts(nodes: str) -> list[str]:
    """The names of the hosts of a list of Slurm's such as "node[1-3,7]"."""
    try:
        answer = subprocess.run(
            ["scontrol", "show", "hostnames", nodes], capture_output=True, text=True, check=True, timeout=60
        )
    except (OSError, subprocess.SubprocessError) as error:
        told = " ".join((getattr(error, "stderr", "") or str(error)).split())
        raise InputError(
            f"--workers=slurm: `scontrol show hostnames {nodes}` fails ({told}); install Slurm's commands there, "
            "or give --workers=HOST:PORT,HOST:PORT --worker_index=N"
        ) from error
    return answer.stdout.split()
