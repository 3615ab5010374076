"""Tests of array jobs, with stand-ins for sbatch and squeue that run the script's tasks at once, or later."""
import pathlib
import re
import stat

import pytest

from tfxmr.core.errors import InputError
from tfxmr.jobs import Call, JobsOptions, run, slurm
from tfxmr.jobs.calls import Call as Called

SBATCH = """#!/bin/bash
echo "$*" >> "$FAKE/submitted"
for word; do
    case $word in --array=*) tasks=${word#--array=} ;; --output=*) log=${word#--output=} ;; esac
    script=$word
done
if [ -e "$FAKE/refuses" ]; then echo "sbatch: error: invalid partition" >&2; exit 1; fi
if [ ! -e "$FAKE/full" ]; then
    for task in ${tasks//,/ }; do
        SLURM_ARRAY_TASK_ID=$task SLURM_CPUS_ON_NODE=3 bash "$script" > "${log/\\%a/$task}" 2>&1
    done
fi
echo "$(wc -l < "$FAKE/submitted");cluster"
"""
SQUEUE = """#!/bin/bash
if [ -e "$FAKE/full" ]; then echo 1; else echo "slurm_load_jobs error: Invalid job id specified" >&2; exit 1; fi
"""


class Script(Call):
    """A call that runs a line of Bash in place of tfxmr."""

    @property
    def command(self):
        """The shell with the line."""
        return ["bash", "-c", self.arguments[0]]


@pytest.fixture
def cluster(tmp_path, monkeypatch):
    """A folder with the stand-ins on the PATH; a file `full` in it keeps jobs in the queue, `refuses` refuses them."""
    folder = tmp_path / "cluster"
    folder.mkdir()
    for name, text in (("sbatch", SBATCH), ("squeue", SQUEUE)):
        (folder / name).write_text(text)
        (folder / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("FAKE", str(folder))
    monkeypatch.setenv("PATH", f"{folder}:/usr/bin:/bin")
    monkeypatch.setattr(slurm, "PAUSE", 0.01)
    for name in slurm.THREADS:
        monkeypatch.delenv(name, raising=False)
    return folder


OPTIONS = JobsOptions(jobs="slurm", slurm_options="--mem=8G --comment='two words'")
CALLS = [Script("a", ("echo fine $OMP_NUM_THREADS",)), Script("b", ("echo 'tfxmr: error: --x=1: no' >&2; exit 2",))]


def submitted(cluster):
    path = cluster / "submitted"
    return path.read_text().splitlines() if path.exists() else []


def test_an_array_job_of_a_task_each(cluster, tmp_path, capsys):
    ended = run(CALLS, OPTIONS, tmp_path)
    assert [(e.name, e.status) for e in ended] == [("a", 0), ("b", 2)]
    assert ended[1].message == f"--x=1: no ({tmp_path}/slurm/2.log)"
    line, = submitted(cluster)
    assert "--array=1,2 " in line and line.endswith(f"--mem=8G --comment=two words {tmp_path}/slurm/array.sh")
    assert (tmp_path / "slurm/1.log").read_text() == "fine 3\n"  # its share of the node
    assert capsys.readouterr().out.splitlines()[-1] == "slurm job 1: 2 of 2 runs ended"


def test_the_same_command_makes_what_failed(cluster, tmp_path):
    """Guards against runs that ended well being made again, and against an old failure that counts for the new job."""
    run(CALLS, OPTIONS, tmp_path)
    ended = run(CALLS, OPTIONS, tmp_path)
    assert [e.status for e in ended] == [0, 2] and "--array=2 " in submitted(cluster)[1]
    assert [e.status for e in run(CALLS[:1], OPTIONS, tmp_path)] == [0] and "--array=1 " in submitted(cluster)[2]


def test_nowait_leaves_the_job_and_the_same_command_finds_it(cluster, tmp_path, capsys):
    (cluster / "full").touch()
    nowait = JobsOptions(jobs="slurm", nowait=True)
    assert run(CALLS, nowait, tmp_path) is None and run(CALLS, nowait, tmp_path) is None
    assert len(submitted(cluster)) == 1 and "slurm job 1: 2 of 2 runs to be made" in capsys.readouterr().out
    with pytest.raises(InputError, match="job 1 of another command runs there; wait for it, end it by `scancel 1`"):
        run(CALLS[:1], nowait, tmp_path)
    for task in (1, 2):
        (tmp_path / f"slurm/{task}.status").write_text("0\n")
    assert [e.status for e in run(CALLS, OPTIONS, tmp_path)] == [0, 0] and len(submitted(cluster)) == 1


def test_a_task_that_slurm_ended_is_told(cluster, tmp_path):
    """Guards against waiting for ever for a task that was killed with its shell."""
    (cluster / "full").touch()
    run(CALLS, JobsOptions(jobs="slurm", nowait=True), tmp_path)
    (cluster / "full").unlink()
    (tmp_path / "slurm/1.status").write_text("0\n")
    (tmp_path / "slurm/2.log").write_text("step 5\nslurmstepd: error: Exceeded memory limit\n")
    slurm._wait("1", 2, tmp_path / "slurm")
    ended = slurm._ended(CALLS[1], tmp_path / "slurm", 2)
    assert (ended.status, ended.message) == (
        1, f"Slurm ended it: slurmstepd: error: Exceeded memory limit ({tmp_path}/slurm/2.log)"
    )


def test_sigterm_reaches_the_run_which_saves(cluster, tmp_path):
    """Slurm signals the shell of a task before the time limit; the run must get it, and its end must be waited for."""
    code = "trap 'sleep .2; echo saved; exit 143' TERM; kill -TERM $PPID; for i in {1..50}; do sleep .1; done"
    ended, = run([Script("a", (code,))], OPTIONS, tmp_path)
    assert ended.status == 143 and "saved" in (tmp_path / "slurm/1.log").read_text()


def test_refusals(cluster, tmp_path, monkeypatch):
    (cluster / "refuses").touch()
    with pytest.raises(InputError, match=re.escape("sbatch refuses the job (sbatch: error: invalid partition); see")):
        run(CALLS, OPTIONS, tmp_path)
    monkeypatch.setenv("PATH", str(pathlib.Path(tmp_path)))
    with pytest.raises(InputError, match="there is no sbatch here"):
        run(CALLS, OPTIONS, tmp_path)


def test_the_command_of_a_call():
    """Guards against modules of the user's folder in the place of the project's: it is not searched."""
    assert Called("a", ("train", "--x=1")).command[1:] == ["-P", "-m", "tfxmr", "train", "--x=1"]
