"""Tests of --workers=slurm: what srun tells a process, and a stand-in for scontrol."""
import stat

import pytest

from tfxmr.core.errors import InputError
from tfxmr.engine import slurm

STEP = {
    "SLURM_JOB_ID": "40012", "SLURM_STEP_ID": "0", "SLURM_NTASKS": "4", "SLURM_PROCID": "2", "SLURM_LOCALID": "0",
    "SLURM_NODEID": "1", "SLURM_JOB_NODELIST": "node[1-3]", "SLURM_TASKS_PER_NODE": "2,1(x2)",
}


@pytest.fixture(autouse=True)
def scontrol(tmp_path, monkeypatch):
    """A scontrol that knows three nodes; a job that runs where the tests do is none of theirs."""
    path = tmp_path / "scontrol"
    path.write_text('#!/bin/bash\n[ "$*" = "show hostnames node[1-3]" ] || { echo "Invalid hostlist" >&2; exit 1; }\n'
                    "printf 'node%s\\n' 1 2 3\n")
    path.chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")


def test_the_processes_of_a_step():
    """By hand: 40012 modulo 20000 is 12; two tasks on the first node, one on each other."""
    assert slurm.workers(STEP) == (("node1:20012", "node1:20013", "node2:20012", "node3:20012"), 2)
    assert slurm.workers(STEP | {"SLURM_PROCID": "1", "SLURM_LOCALID": "1", "SLURM_NODEID": "0"})[1] == 1


@pytest.mark.parametrize(("changes", "told"), [
    ({"SLURM_JOB_ID": None}, "this is no job of Slurm"),
    ({"SLURM_STEP_ID": None}, "4 tasks are asked for and srun has not started them; start it as `srun"),
    ({"SLURM_PROCID": None}, "SLURM_PROCID=(not set) is no number"),
    ({"SLURM_PROCID": "4"}, "SLURM_PROCID=4 is not among 4 tasks"),
    ({"SLURM_NTASKS": "x"}, "SLURM_NTASKS=x is no number"),
    ({"SLURM_TASKS_PER_NODE": "2,2"}, "do not fit the 3 nodes node1,node2,node3"),
    ({"SLURM_NODEID": "2"}, "not dealt out node by node; give srun --distribution=block"),
    ({"SLURM_JOB_NODELIST": "x["}, "`scontrol show hostnames x[` fails (Invalid hostlist)"),
])
def test_refusals(changes, told):
    """Guards against waiting for processes that nobody has started, or at ports where nobody listens."""
    environment = {name: value for name, value in (STEP | changes).items() if value is not None}
    with pytest.raises(InputError) as error:
        slurm.workers(environment)
    assert str(error.value).startswith("--workers=slurm: ") and told in str(error.value)


def test_without_scontrol(monkeypatch, tmp_path):
    monkeypatch.setenv("PATH", str(tmp_path / "none"))
    with pytest.raises(InputError, match="fails .*scontrol.*install Slurm's commands"):
        slurm.workers(STEP)
