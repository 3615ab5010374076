"""Calls of tfxmr as tasks of a Slurm array job.

What stands in the folder of such a job:
  array.sh      what sbatch is given: task N makes the N-th call
  job.json      the job's id and its calls, so that the same command given again finds the job
  N.log         what task N printed
  N.status      the exit status of task N, once it has ended
"""
import pathlib
import shlex
import subprocess
import time
from collections.abc import Sequence

from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.core.files import read_json, to_json, write_text
from tfxmr.core.wording import counted
from tfxmr.jobs.calls import THREADS, Call, Ended, environment, message
from tfxmr.jobs.options import JobsOptions

# By hand: submitit pickles functions, where a command line is enough, and would not find a job again by its command.
PAUSE = 5.0  # seconds between two looks at a job
WARNING = "B:TERM@60"  # a minute before the time limit a task is asked to save and end
GONE = "Invalid job id"  # what squeue says of a job that ended a while ago
# A run that gets SIGTERM saves, so the shell passes it on and waits; `wait` itself ends at a signal. The trap asks $!,
# which is there before `child` is.
SCRIPT = """#!/bin/bash
# Written by tfxmr: task N of this array job makes the N-th run.
case $SLURM_ARRAY_TASK_ID in
{cases}
esac
{threads}
trap 'kill -TERM $!' TERM
"$@" &
child=$!
wait "$child"; status=$?
while kill -0 "$child" 2>/dev/null; do wait "$child"; status=$?; done
echo "$status" > {folder}/"$SLURM_ARRAY_TASK_ID.status"
exit "$status"
"""


def run(calls: Sequence[Call], options: JobsOptions, folder: pathlib.Path) -> list[Ended] | None:
    """Submits an array job of all calls that have not ended well, or finds the one that is running, and waits for it.

    Args:
      calls: of different names.
      options: JobsOptions.
      folder: of the job.

    Returns:
      How each call ended, in their order; None with --nowait, as long as the job runs.

    Raises:
      InputError: Slurm is not there or refuses the job, or another job runs in this folder.
      KeyboardInterrupt: a signal asked to stop waiting; the job continues.
    """
    known = [list(call.arguments) for call in calls]
    before = _before(folder)
    active = before is not None and _active(before["id"])
    if before is not None and before["calls"] != known:
        if active:
            raise InputError(
                f"{folder}: job {before['id']} of another command runs there; wait for it, end it by "
                f"`scancel {before['id']}`, or give another --run_dir"
            )
        before = None
    folder.mkdir(parents=True, exist_ok=True)
    if before is None:
        for path in folder.glob("*.status"):
            path.unlink()
    tasks = [task for task in range(1, len(calls) + 1) if _status(folder, task) != 0]
    if tasks and not active:
        before = {"id": _submit(calls, tasks, options, folder), "calls": known}
        write_text(folder / "job.json", to_json(before))
        active = True
    if before is not None and active:
        if options.nowait:
            display.say(f"slurm job {before['id']}: {len(tasks):,} of {counted(len(calls), 'run')} to be made, logs in "
                        f"{folder}; the same command without --nowait waits for it, `scancel {before['id']}` ends it",
                        2)
            return None
        _wait(before["id"], len(calls), folder)
    return [_ended(call, folder, task) for task, call in enumerate(calls, 1)]


def _before(folder: pathlib.Path) -> dict | None:
    """The job that was submitted in a folder before, if there is one."""
    path = folder / "job.json"
    if not path.exists():
        return None
    remedy = "move it elsewhere, and the same command submits a new job"
    found = read_json(path, remedy)
    if not {"id", "calls"} <= found.keys():
        raise InputError(f"{path}: is damaged (it lacks id or calls); {remedy}")
    return found


def _submit(calls: Sequence[Call], tasks: Sequence[int], options: JobsOptions, folder: pathlib.Path) -> str:
    """Submits a job of some of the calls, numbers from 1. Returns its id."""
    place = folder.resolve()
    for task in tasks:
        (folder / f"{task}.status").unlink(missing_ok=True)
    cases = "\n".join(f"{task}) set -- {shlex.join(calls[task - 1].command)} ;;" for task in tasks)
    # Without confinement a process sees all cores of a node, though fewer are its own.
    threads = "\n".join(f'export {name}="${{{name}:-${{SLURM_CPUS_ON_NODE:-1}}}}"' for name in THREADS)
    script = folder / "array.sh"
    write_text(script, SCRIPT.format(cases=cases, threads=threads, folder=shlex.quote(str(place))))
    answer = _ask(
        "sbatch", "--parsable", "--job-name=tfxmr", f"--array={','.join(map(str, tasks))}",
        f"--output={place}/%a.log", f"--chdir={pathlib.Path.cwd()}", f"--signal={WARNING}",
        *shlex.split(options.slurm_options), str(script),
    )
    if answer.returncode:
        raise InputError(f"--jobs=slurm: sbatch refuses the job ({' '.join(answer.stderr.split())}); see "
                         "--slurm_options")
    number = answer.stdout.strip().partition(";")[0]  # a cluster's name may follow
    print(f"slurm job {number}: {counted(len(tasks), 'run')}, logs in {folder}")
    return number


def _wait(job: str, count: int, folder: pathlib.Path) -> None:
    """Waits until a job has left the queue; says how many of its runs have ended."""
    told, active = -1, True
    while active:
        active = _active(job)  # before the statuses, which are there when the job is gone
        done = sum(_status(folder, task) is not None for task in range(1, count + 1))
        if done != told:
            print(f"slurm job {job}: {done:,} of {counted(count, 'run')} ended", flush=True)
            told = done
        if active and done < count:
            time.sleep(PAUSE)
        elif done == count:
            return


def _active(job: str) -> bool:
    """True if a job waits or runs, or if Slurm cannot be asked just now."""
    answer = _ask("squeue", f"--jobs={job}", "--noheader", "--format=%i")
    return GONE not in answer.stderr if answer.returncode else bool(answer.stdout.strip())


def _ask(*command: str) -> subprocess.CompletedProcess[str]:
    """Runs a command of Slurm. Raises InputError if there is none."""
    try:
        return subprocess.run(command, capture_output=True, text=True, env=environment(), check=False)
    except FileNotFoundError:
        raise InputError(
            f"--jobs=slurm: there is no {command[0]} here; give the command on a machine of a Slurm cluster, or take "
            "--jobs=N"
        ) from None


def _status(folder: pathlib.Path, task: int) -> int | None:
    """The exit status of a task; None if it has not ended."""
    path = folder / f"{task}.status"
    text = path.read_text(encoding="ascii", errors="replace").strip() if path.exists() else ""
    return int(text) if text.isdecimal() else None


def _ended(call: Call, folder: pathlib.Path, task: int) -> Ended:
    status, log = _status(folder, task), folder / f"{task}.log"
    if status == 0:
        return Ended(call.name, 0)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines() if log.exists() else []
    last = next((message(line) for line in reversed(lines) if line.strip()), "it printed nothing")
    if status is None:
        last = f"Slurm ended it: {last}"
    return Ended(call.name, 1 if status is None else status, f"{last} ({log})")
