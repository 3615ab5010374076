"""Ill-treats the commands that write and checks what they leave: `make chaos MINUTES=5 SEED=0`.

A command is killed at random moments by random signals and started again until it ends; its disk fills up or becomes
read-only; files of its folder are lost or damaged between two starts; others read the folder while it is written. What it
leaves in the end must equal, bit for bit, what it leaves undisturbed; or it must have said in one line what is wrong, with
status 2. Commands run in forks of this process, which has imported TensorFlow but never used it: a start takes 2 s, not 7.
"""
import argparse
import collections
import contextlib
import csv
import ctypes
import dataclasses
import hashlib
import io
import json
import mmap
import os
import pathlib
import random
import resource
import shutil
import signal
import subprocess
import sys
import tempfile
import time
import zipfile
import zlib

import numpy as np
import scenarios

ENTERED, PLACE, STEP, FIRST_PLACE, FIRST = range(5)  # of what a command shares with this process
SIGNALS = (signal.SIGKILL, signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP)
PATIENCE = 300  # seconds after which a command hangs
COLUMNS = (
    "scenario", "treatment", "lives", "kills", "starts", "equal", "refused", "lost steps", "lost to signals", "differences",
    "tracebacks", "wrong status", "hangs", "seconds",
)
FAULTS = ("lost to signals", "differences", "tracebacks", "wrong status", "hangs")
TRACEBACK = "Traceback (most recent call last)"
UNLIKE = ("events.out.tfevents", ".")  # files that are never the same, or say nothing
TIMES = {"seconds", "modificationTime", "fileFormat"}  # entries that are never the same


@dataclasses.dataclass
class Command:
    """A command that was started.

    Attributes:
      pid: its process.
      log: pathlib.Path of all that it prints.
      shared: int64 array, see ENTERED.
    """

    pid: int
    log: pathlib.Path
    shared: np.ndarray
    begin: float = dataclasses.field(default_factory=time.monotonic)

    def wait_until_entered(self):
        """Waits until it is past its imports, where a real process would have spent its first seconds."""
        while not self.shared[ENTERED] and self.poll() is None:
            time.sleep(0.002)

    def poll(self):
        """Its exit status, -SIGNAL of one that was killed, or None while it runs."""
        if not hasattr(self, "status"):
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if not pid:
                return None
            self.status = os.waitstatus_to_exitcode(status)
        return self.status

    def wait(self, seconds=PATIENCE):
        """Its exit status; None if it has not ended after some seconds, and is killed."""
        end = time.monotonic() + seconds
        while self.poll() is None:
            if time.monotonic() > end:
                self.send(signal.SIGKILL)
                os.waitpid(self.pid, 0)
                self.status = None
                return None
            time.sleep(0.005)
        return self.status

    def send(self, number):
        """Sends a signal, unless it has ended."""
        if self.poll() is None:
            os.kill(self.pid, number)

    @property
    def output(self):
        """What it has printed."""
        return self.log.read_text(errors="replace")


def may_fail(arguments):
    """Rightful exit statuses where something is amiss; a search or a series of which a part failed ends with 1."""
    return {0, 1, 2} if arguments[0] == "tune" or any(a.startswith("--seeds") for a in arguments) else {0, 2}


def start(arguments, folder, log, limit=None):
    """Starts `tfxmr` with a list of arguments in a folder; no file that it writes may exceed `limit` bytes."""
    shared = np.frombuffer(mmap.mmap(-1, 8 * 5), np.int64)
    shared[FIRST] = -1
    pid = os.fork()
    if not pid:
        try:
            _be_command(arguments, folder, log, limit, shared)
        finally:
            os._exit(71)  # a signal fell into its last lines; no fork may go on as this program
    return Command(pid, log, shared)


def _be_command(arguments, folder, log, limit, shared):
    status = 70
    try:
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: none outlives this program
        os.chdir(folder)
        tempfile.tempdir = str(folder.parent / "tmp")  # what a killed command leaves there goes with the rest
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(file, 1)
        os.dup2(file, 2)
        sys.stdin, sys.stdout, sys.stderr = (open(n, mode, closefd=False) for n, mode in ((0, "r"), (1, "w"), (2, "w")))
        sys.argv = ["tfxmr", *arguments]
        if limit:
            resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
        _count_steps(shared)
        from tfxmr.__main__ import run

        shared[ENTERED] = 1
        run()
    except SystemExit as stop:
        status = stop.code if isinstance(stop.code, int) else int(stop.code is not None)
    except BaseException:
        import traceback

        traceback.print_exc()
        status = 1
    finally:
        with contextlib.suppress(OSError, ValueError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(status)


def _count_steps(shared):
    """Lets every training note the steps that it has taken, and after how many it began."""
    from tfxmr.runs.checkpoints import SaveCheckpoints

    begin, end = SaveCheckpoints.on_train_begin, SaveCheckpoints.on_train_batch_end

    def on_train_begin(self, logs=None):
        if shared[FIRST] < 0:
            shared[FIRST_PLACE], shared[FIRST] = zlib.crc32(str(self.checkpoints.folder).encode()), self.checkpoints.method.steps_done
        begin(self, logs)

    def on_train_batch_end(self, batch, logs=None):
        shared[PLACE], shared[STEP] = zlib.crc32(str(self.checkpoints.folder).encode()), self.checkpoints.method.steps_done
        end(self, batch, logs)

    SaveCheckpoints.on_train_begin, SaveCheckpoints.on_train_batch_end = on_train_begin, on_train_batch_end


def outcome(folder):
    """Path -> digest of all that a folder holds, but for times and for what no result follows from."""
    with tempfile.NamedTemporaryFile() as file:
        pid = os.fork()
        if not pid:  # TensorFlow reads checkpoints here
            try:
                pathlib.Path(file.name).write_text(json.dumps(_digests(folder)))
            finally:
                os._exit(0)
        os.waitpid(pid, 0)
        return json.loads(pathlib.Path(file.name).read_text() or "{}")


def _digests(folder):
    found = {}
    for path in sorted(folder.rglob("*")):
        if path.is_dir() or path.name.startswith(UNLIKE):
            continue
        name, content = str(path.relative_to(folder)), path.read_bytes()
        if path.suffix == ".index":
            content = _networks(path.with_suffix(""))
        elif ".data-" in path.name or path.suffix in (".vectors", ".items", ".dead"):
            continue
        elif path.with_name("1.vectors").exists() and path.name == "manifest.json":
            content = _items(path.parent)
        elif path.suffix == ".npz":
            with contextlib.suppress(ValueError, EOFError, OSError, zipfile.BadZipFile):  # a damaged one counts as it is
                with np.load(io.BytesIO(content)) as arrays:
                    content = b"".join(n.encode() + arrays[n].tobytes() for n in sorted(arrays))
        elif path.suffix == ".json":
            with contextlib.suppress(ValueError):
                content = json.dumps(_timeless(json.loads(content)), sort_keys=True).encode()
        elif path.name == "trials.csv":
            rows = csv.DictReader(content.decode().splitlines())
            content = repr([{k: v for k, v in row.items() if k not in TIMES} for row in rows]).encode()
        found[name] = hashlib.sha256(content).hexdigest()[:16]
    return found


def _networks(path):
    import tensorflow as tf

    try:
        reader = tf.train.load_checkpoint(str(path))
        names = sorted(n for n in reader.get_variable_to_shape_map() if "/.ATTRIBUTES/VARIABLE_VALUE" in n and "seconds" not in n)
        return b"".join(n.encode() + np.asarray(reader.get_tensor(n)).tobytes() for n in names)
    except (tf.errors.OpError, ValueError, RuntimeError, IndexError) as error:
        return f"unreadable: {error}".encode()


def _items(folder):
    """What an index holds: a damaged row is replaced by the same, and stands elsewhere then."""
    from tfxmr.core.errors import InputError
    from tfxmr.search import Index

    try:
        found = Index.open(folder).items()
    except InputError as error:
        return f"unreadable: {error}".encode()
    rows = zip(found.ids, found.vectors.tolist(), *(found.columns[name] for name in sorted(found.columns)), strict=True)
    return repr(sorted(rows, key=repr)).encode()


def _timeless(value):
    if isinstance(value, dict):
        return {name: _timeless(entry) for name, entry in value.items() if name not in TIMES}
    return [_timeless(entry) for entry in value] if isinstance(value, list) else value


class Chaos:
    """What is known of all scenarios: their undisturbed outcomes, and what came of each treatment.

    Args:
      place: pathlib.Path of a folder for everything; its folder `inputs` is made.
      out: pathlib.Path of the folder in which the output of what went wrong is kept.
    """

    def __init__(self, place, out):
        self.place, self.out = place, out
        self.rows, self.faults, self._undisturbed, self._stopped = {}, [], {}, {}
        scenarios.make_inputs(place / "inputs")
        (place / "tmp").mkdir()

    def row(self, scenario, treatment):
        """The counts of a scenario under a treatment."""
        return self.rows.setdefault((scenario.name, treatment), collections.Counter())

    @contextlib.contextmanager
    def life(self, scenario, name="life"):
        """A folder for one life of a scenario, beside `inputs`."""
        folder = self.place / f"{scenario.name}_{name}"
        shutil.rmtree(folder, ignore_errors=True)
        folder.mkdir()
        yield folder
        shutil.rmtree(folder, ignore_errors=True)

    def undisturbed(self, scenario):
        """(Outcome, seconds, folder kept) of a scenario that nothing disturbs."""
        if scenario.name not in self._undisturbed:
            folder = self.place / f"{scenario.name}_undisturbed"
            folder.mkdir()
            command = start(scenario.arguments, folder, folder.with_suffix(".log"))
            if command.wait() != 0:
                raise RuntimeError(f"{scenario.name}: fails undisturbed\n{command.output}")
            seconds = time.monotonic() - command.begin
            self._undisturbed[scenario.name] = outcome(folder), seconds, folder
        return self._undisturbed[scenario.name]

    def judge(self, row, command, allowed, what, quiet=True):
        """Counts what one start of a command came to: `allowed` are its rightful exit statuses.

        Unless it must be quiet: a second Ctrl-C ends at once, and native code that it falls into prints what it likes.
        """
        row["starts"] += 1
        status, output, wrong = command.poll(), command.output, []
        if not hasattr(command, "status") or status is None:
            wrong.append("hangs")
        elif status not in allowed:
            wrong.append("wrong status")
        if TRACEBACK in output and quiet:
            wrong.append("tracebacks")
        if status == 2 and "tfxmr: error: " not in output:
            wrong.append("wrong status")
        row["refused"] += status == 2 and not wrong
        for kind in wrong:
            row[kind] += 1
        if wrong:
            self.note(f"{what}: {' and '.join(wrong)}, status {status}", output)
        return not wrong

    def compare(self, row, scenario, folder, what, log=""):
        """Counts whether a folder is that of the undisturbed run."""
        expected, found = self.undisturbed(scenario)[0], outcome(folder)
        differing = sorted(n for n in expected.keys() | found.keys() if expected.get(n) != found.get(n))
        row["differences" if differing else "equal"] += 1
        if differing:
            self.note(f"{what}: differs in {', '.join(differing[:6])}", log)

    def note(self, what, output):
        """Keeps what went wrong."""
        self.out.mkdir(parents=True, exist_ok=True)
        number = len(list(self.out.glob("*.log")))
        (self.out / f"{number:03d}.log").write_text(f"{what}\n\n{output}")
        self.faults.append(f"FAULT {what} ({self.out / f'{number:03d}.log'})")
        print(self.faults[-1], file=sys.stderr, flush=True)


def kill(chaos, scenario, rng):
    """Kills a command some times at random moments, and then lets it end."""
    row, (_, seconds, _) = chaos.row(scenario, "kills"), chaos.undisturbed(scenario)
    with chaos.life(scenario) as folder:
        before = None  # as `_count_lost` gives it
        for number in range(rng.randint(1, 4)):
            command = start(scenario.arguments, folder, folder.with_suffix(".log"))
            command.wait_until_entered()
            moment = time.monotonic() + rng.uniform(0, seconds)
            while command.poll() is None and time.monotonic() < moment:
                time.sleep(0.003)
            if command.poll() is not None:
                break
            sent = [rng.choice(SIGNALS)]
            command.send(sent[0])
            if sent[0] != signal.SIGKILL and rng.random() < 0.3:  # an impatient user; a batch system's second signal
                time.sleep(rng.uniform(0, 0.3))
                sent.append(rng.choice(SIGNALS))
                command.send(sent[1])
            command.wait(60)
            row["kills"] += 1
            what = f"{scenario.name}, start {number + 1}, killed by {' and '.join(s.name for s in sent)}"
            before = _count_lost(chaos, row, before, command, len(sent) == 1 and sent[0] != signal.SIGKILL, what)
            allowed = {0, *(-s for s in sent), *(128 + s for s in sent)}
            chaos.judge(row, command, allowed, what, quiet=sent.count(signal.SIGINT) < 2)
        else:
            command = start(scenario.arguments, folder, folder.with_suffix(".log"))
        command.wait()
        _count_lost(chaos, row, before, command, False, scenario.name)
        if chaos.judge(row, command, {0}, f"{scenario.name}, after its kills"):
            chaos.compare(row, scenario, folder, f"{scenario.name}, killed", command.output)


def _count_lost(chaos, row, before, command, saves, what):
    """Counts the steps that the kill before this start has cost.

    Args:
      before: what this function gave for the start before, or None.
      saves: True if the signal that has ended this start lets it save.

    Returns:
      (The training's place, the steps that it had taken, `saves`), or None if none was taken.
    """
    shared = command.shared
    if before and shared[FIRST] >= 0 and before[0] == shared[FIRST_PLACE]:
        lost = max(0, before[1] - int(shared[FIRST]))
        row["lost steps"] += lost
        if before[2] and lost:
            row["lost to signals"] += lost
            chaos.note(f"{what}: {lost} steps were lost, though the signal before lets it save", command.output)
    if shared[STEP]:
        return int(shared[PLACE]), int(shared[STEP]), saves
    return before and (*before[:2], before[2] and shared[FIRST] < 0)


def damage_files(chaos, scenario, rng):
    """Loses or damages a file of a folder that a stopped or ended command has left, and starts it, or a reader, again."""
    row = chaos.row(scenario, "damaged files")
    source = rng.choice((chaos.undisturbed(scenario)[2], stopped(chaos, scenario, rng)))
    with chaos.life(scenario) as folder:
        shutil.copytree(source, folder, dirs_exist_ok=True, symlinks=True)
        files = [p for p in sorted(folder.rglob("*")) if p.is_file() and not p.name.startswith(UNLIKE)]
        if not files:
            return
        path = rng.choice(files)
        # Of a run that has ended, alone or in a series, networks that only `evaluate` asks for.
        idle = {"checkpoints"} if any((place / "results.json").exists() for place in path.parents) else set()
        treatment = rng.choice(DAMAGE if path.suffix not in (".json", ".cfg", ".txt", ".csv", ".tsv") else DAMAGE[:3])
        treatment(path)
        state = "ended" if source == chaos.undisturbed(scenario)[2] else "stopped"
        for arguments in (*scenario.readers, scenario.arguments):
            what = f"tfxmr {arguments[0]}, {scenario.name} {state}, {treatment.__name__.strip('_')} {path.relative_to(folder)}"
            command = start(arguments, folder, folder.with_suffix(".log"))
            command.wait()
            good = chaos.judge(row, command, may_fail(arguments), what)
            if good and arguments == scenario.arguments and command.status == 0:
                if not set(path.parts) & (set(scenario.outputs) | idle):  # from which nothing follows
                    chaos.compare(row, scenario, folder, what, command.output)


def _lost(path):
    path.unlink()


def _emptied(path):
    path.write_bytes(b"")


def _halved(path):
    path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def _flipped(path):
    content = bytearray(path.read_bytes())
    if content:
        content[len(content) * 2 // 3] ^= 16
    path.write_bytes(content)


DAMAGE = (_lost, _emptied, _halved, _flipped)


def stopped(chaos, scenario, rng):
    """The folder of a scenario that was killed on its way."""
    if scenario.name not in chaos._stopped:
        folder, seconds = chaos.place / f"{scenario.name}_stopped", chaos.undisturbed(scenario)[1]
        for share in (0.7, 0.8, 0.6, 0.5):
            shutil.rmtree(folder, ignore_errors=True)
            folder.mkdir()
            command = start(scenario.arguments, folder, folder.with_suffix(".log"))
            time.sleep(share * seconds)
            command.send(signal.SIGKILL)
            if command.wait() == -signal.SIGKILL and any(p.is_file() for p in folder.rglob("*")):
                break
        chaos._stopped[scenario.name] = folder
    return chaos._stopped[scenario.name]


def fill_disk(chaos, scenario, rng):
    """Lets the disk be full at a random size; with more room the command goes on."""
    row, (_, _, kept) = chaos.row(scenario, "disk full"), chaos.undisturbed(scenario)
    with chaos.life(scenario) as folder, disk(folder) as resize:
        files = [p.stat().st_size for p in kept.rglob("*") if p.is_file()]
        need = sum(-(-size // 4096) * 4096 for size in files) if resize else max(files)
        limit = rng.randrange(4096, max(need, 8192))
        if resize:
            resize(f"size={limit}")
        command = start(scenario.arguments, folder, folder.with_suffix(".log"), limit=None if resize else limit)
        command.wait()
        if not chaos.judge(row, command, may_fail(scenario.arguments), f"{scenario.name}, {limit} bytes of disk"):
            return
        if resize:
            resize("size=1g")
        command = start(scenario.arguments, folder, folder.with_suffix(".log"))
        command.wait()
        what = f"{scenario.name}, after {limit} bytes of disk"
        if scenario.arguments[0] != "tune" and chaos.judge(row, command, {0}, what):  # a failed trial stays one
            chaos.compare(row, scenario, folder, what, command.output)


def protect_disk(chaos, scenario, rng):
    """Makes the disk read-only, at first or where a killed command left it; once it may write, the command goes on."""
    row, (_, seconds, _) = chaos.row(scenario, "read-only"), chaos.undisturbed(scenario)
    with chaos.life(scenario) as folder, disk(folder) as remount:
        if not remount:
            return
        if begun := rng.random() < 0.7:
            command = start(scenario.arguments, folder, folder.with_suffix(".log"))
            command.wait_until_entered()
            time.sleep(rng.uniform(0, seconds))
            command.send(signal.SIGKILL)
            command.wait()
        remount("ro")
        what = f"{scenario.name}, read-only {'after a kill' if begun else 'from the first'}"
        command = start(scenario.arguments, folder, folder.with_suffix(".log"))
        command.wait()
        good = chaos.judge(row, command, may_fail(scenario.arguments), what)
        remount("rw")
        command = start(scenario.arguments, folder, folder.with_suffix(".log"))
        command.wait()
        if good and scenario.arguments[0] != "tune" and chaos.judge(row, command, {0}, f"{what}, then writable"):
            chaos.compare(row, scenario, folder, what, command.output)


@contextlib.contextmanager
def disk(folder):
    """Makes a folder a disk of its own, of memory. Gives a function (option) that changes it; None where nobody may."""
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1g", "tmpfs", folder], capture_output=True).returncode:
        yield None
        return

    def remount(option):
        subprocess.run(["mount", "-o", f"remount,{option}", folder], check=True, capture_output=True)

    try:
        yield remount
    finally:
        subprocess.run(["umount", "-l", folder], capture_output=True)


def remove_folder(chaos, scenario, rng):
    """Removes the folder while the command writes it; started again, it begins anew."""
    row, (_, seconds, _) = chaos.row(scenario, "folder removed"), chaos.undisturbed(scenario)
    with chaos.life(scenario) as folder:
        command = start(scenario.arguments, folder, folder.with_suffix(".log"))
        command.wait_until_entered()
        time.sleep(rng.uniform(0, seconds))
        for path in folder.iterdir():
            shutil.rmtree(path, ignore_errors=True)
        command.wait()
        if not chaos.judge(row, command, may_fail(scenario.arguments), f"{scenario.name}, folder removed"):
            return
        for path in folder.iterdir():  # what was written afterwards
            shutil.rmtree(path, ignore_errors=True)
        command = start(scenario.arguments, folder, folder.with_suffix(".log"))
        command.wait()
        if chaos.judge(row, command, {0}, f"{scenario.name}, folder removed, again"):
            chaos.compare(row, scenario, folder, f"{scenario.name}, folder removed", command.output)


def read_meanwhile(chaos, scenario, rng):
    """Lets readers read the folder while the command writes it."""
    row, (_, seconds, _) = chaos.row(scenario, "readers beside"), chaos.undisturbed(scenario)
    with chaos.life(scenario) as folder:
        command = start(scenario.arguments, folder, folder.with_suffix(".log"))
        number = 0
        while command.poll() is None and number < 6:
            time.sleep(rng.uniform(0, seconds / 4))
            number += 1
            reader = start(rng.choice(scenario.readers), folder, folder.with_suffix(f".reader{number}.log"))
            reader.wait()
            chaos.judge(row, reader, {0, 2}, f"{scenario.name}, read while it is written")
        command.wait()
        if chaos.judge(row, command, {0}, f"{scenario.name}, with readers beside it"):
            chaos.compare(row, scenario, folder, f"{scenario.name}, with readers beside it", command.output)


TREATMENTS = (kill, kill, kill, damage_files, fill_disk, protect_disk, remove_folder, read_meanwhile)


def jobs(table, rng):
    """Pairs (treatment, scenario) of a round, in a random order."""
    pairs = [(t, s) for t in TREATMENTS for s in table if t is not read_meanwhile or s.readers]
    rng.shuffle(pairs)
    return pairs


def report(chaos):
    """Prints the table. Returns True if nothing went wrong."""
    rows = [dict.fromkeys(COLUMNS, 0) | {"scenario": s, "treatment": t} | counts for (s, t), counts in sorted(chaos.rows.items())]
    total = {"scenario": "all", "treatment": ""} | {c: sum(row[c] for row in rows) for c in COLUMNS[2:]}
    rows = [{c: c for c in COLUMNS}, *rows, total]
    for row in rows:
        row["seconds"] = row["seconds"] if isinstance(row["seconds"], str) else round(row["seconds"])
    widths = {c: max(len(str(row[c])) for row in rows) for c in COLUMNS}
    for row in rows:
        print("  ".join(str(row[c]).ljust(w) if c in COLUMNS[:2] else str(row[c]).rjust(w) for c, w in widths.items()))
    print(*chaos.faults, sep="\n")  # again: a long table's end is what is read
    return not any(total[name] for name in FAULTS)


def main(table, arguments=None):
    """Treats scenarios for some minutes. Returns the exit status: 1 if anything went wrong."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--minutes", type=float, default=30)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default="", help="parts of names of scenarios, the ones to take")
    options.add_argument("--treatment", default="", help="parts of names of treatments, likewise")
    options.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/chaos"), help="folder for the output of what went wrong")
    options = options.parse_args(arguments)
    end = time.monotonic() + 60 * options.minutes
    shutil.rmtree(options.out, ignore_errors=True)
    rng = random.Random(options.seed)
    table = [scenario for scenario in table if any(part in scenario.name for part in options.only.split(","))]
    with tempfile.TemporaryDirectory() as place:
        chaos = Chaos(pathlib.Path(place), options.out)
        todo, made = [], 0
        while time.monotonic() < end:
            todo = todo or [job for job in jobs(table, rng) if any(part in job[0].__name__ for part in options.treatment.split(","))]
            treatment, scenario = todo.pop()
            begin, made = time.monotonic(), made + 1
            before = {key: sum(row.values()) for key, row in chaos.rows.items()}
            treatment(chaos, scenario, random.Random(f"{options.seed} {made}"))
            for key, row in chaos.rows.items():
                if sum(row.values()) != before.get(key):
                    row["lives"] += 1
                    row["seconds"] += time.monotonic() - begin
        good = report(chaos)
    print(f"{made} lives of {len(table)} scenarios, seed {options.seed}")
    return 0 if good else 1


if __name__ == "__main__":
    scenarios.preload()
    sys.exit(main(scenarios.SCENARIOS))
