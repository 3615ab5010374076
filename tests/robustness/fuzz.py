"""Feeds damaged files to every parser and counts what comes of it: `make fuzz INPUTS=100000 SEED=0`.

A parser gives a value or raises its refusal (InputError; ValueError for functions of arrays). All else is a fault: another
exception, a crash of the process, more than 10 s, more than 1 GiB. Each parser runs in a forked child, so that a crash is
counted and the next child goes on behind it. Every input follows from (seed, parser, number). Of each kind of fault one
input is kept in --out, to be looked at with --replay=FOLDER.
"""
import argparse
import collections
import contextlib
import dataclasses
import faulthandler
import gc
import json
import mmap
import os
import pathlib
import random
import resource
import shutil
import signal
import sys
import tempfile
import time
import traceback
import warnings

import hypothesis
import mutations
import numpy as np
from hypothesis import strategies

ACCEPTED, REFUSED, OTHER, NUMBER = range(4)  # of what a child shares with its parent
MEMORY, MISREAD = 3, 4  # its exit statuses: an input took too much; a file that is not damaged is refused
GIVE_UP = 20  # crashes, hangs and floods of memory after which a parser is left
BATCH = 20  # examples that Hypothesis makes at once
FAULTS = ("other", "crashes", "hangs", "memory")


@dataclasses.dataclass(frozen=True)
class Limits:
    """What an input may take.

    Attributes:
      seconds: of the processor's time; of the clock six times as many, for a parser that waits.
      mib: of memory, the process's own included.
      address_mib: of addresses beyond those of the start: what a file only claims to need.
    """

    seconds: float = 10
    mib: int = 1024
    address_mib: int = 4096


class Inputs:
    """The inputs of a parser: most of them damaged, an eighth of JSON documents made by Hypothesis.

    Args:
      parser: feed.Parser.
      tree: name -> bytes of its good files.
      seed: int.
    """

    def __init__(self, parser, tree, seed):
        self.parser, self.tree, self.seed = parser, tree, seed
        self.names = sorted(parser.files or tree)
        self.documents = [name for name in self.names if name.endswith(".json")]
        self._batch = None, ()

    def __getitem__(self, number):
        """(Name, bytes) of an input."""
        if self.documents and number % 8 == 7:
            return self._document(number // 8)
        rng = random.Random(f"{self.seed} {self.parser.name} {number}")
        name = rng.choice(self.names)
        alike = [n for n in self.names if pathlib.PurePath(n).suffix == pathlib.PurePath(name).suffix]
        return name, mutations.damage(name, self.tree[name], self.tree[rng.choice(alike)], rng)

    def _document(self, number):
        name, batch = self.documents[number % len(self.documents)], number // BATCH
        if self._batch[0] != (name, batch):
            kind = self.parser.documents() if self.parser.documents else like(json.loads(self.tree[name]))
            self._batch = (name, batch), examples(kind, BATCH, self.seed + batch)
        found = self._batch[1]
        return name, found[number % len(found)]


def like(value):
    """Strategy of JSON documents that resemble one: entries are missing, more, or of another type."""
    odd = strategies.sampled_from([v for v in mutations.VALUES if v != mutations.DEEP] + list(mutations.SPELLINGS)) | strategies.integers()
    if isinstance(value, dict):
        same = strategies.fixed_dictionaries({}, optional={name: like(entry) for name, entry in value.items()})
        whole = strategies.fixed_dictionaries({name: like(entry) for name, entry in value.items()})
        return strategies.one_of(whole, whole, whole, same, odd)
    if isinstance(value, list):
        return strategies.one_of(strategies.lists(like(value[0]), max_size=4), odd) if value else odd
    return strategies.one_of(*[strategies.just(value)] * 8, odd)


def examples(kind, count, seed):
    """Examples of a strategy of JSON documents, as bytes."""
    found = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=count, database=None, phases=[hypothesis.Phase.generate], deadline=None,
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(kind)
    def collect(value):
        found.append(json.dumps(value).encode())

    collect()
    return found


def sample(parser):
    """Name -> bytes of a parser's good files, made in a child of its own."""
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place) / "sample"
        folder.mkdir()
        pid = os.fork()
        if not pid:
            _in_child(lambda: (parser.setup(), parser.make(folder)) and 0, folder.with_name("log"))
        if os.waitpid(pid, 0)[1]:
            raise RuntimeError(f"{parser.name}: its good files cannot be made\n{folder.with_name('log').read_text()}")
        return {str(p.relative_to(folder)): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def write(folder, tree):
    """Makes a folder that holds a tree of files and nothing else."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, content in tree.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    folder.mkdir(exist_ok=True)


def fuzz(parser, count, seed, out, limits=Limits()):  # noqa: B008 (frozen)
    """Feeds a parser. Returns its row of the table; keeps an input of each kind of fault in a folder."""
    start, tree = time.monotonic(), sample(parser)
    shared = np.frombuffer(mmap.mmap(-1, 8 * 4), np.int64)
    found, peak, first = collections.Counter(), 0, 0
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        inputs = Inputs(parser, tree, seed)
        while first < count:
            shared[NUMBER] = -1
            pid = os.fork()
            if not pid:
                _in_child(lambda first=first: _feed(parser, inputs, range(first, count), folder, shared, out, limits), folder / "log")
            _, status, usage = os.wait4(pid, 0)
            peak, log, first = max(peak, usage.ru_maxrss // 1024), (folder / "log").read_text(errors="replace"), count
            if not status:
                break
            code = os.waitstatus_to_exitcode(status)
            if shared[NUMBER] < 0 or code == MISREAD:
                raise RuntimeError(f"{parser.name}: its good files are not read (status {code})\n{log}")
            kind = {-signal.SIGPROF: "hangs", -signal.SIGALRM: "hangs", MEMORY: "memory"}.get(code, "crashes")
            found[kind] += 1
            keep(out / parser.name / f"{kind}_{found[kind]}", *inputs[int(shared[NUMBER])], f"status {code}\n{log}")
            first = int(shared[NUMBER]) + 1 if found.total() < GIVE_UP else count
    return {
        "parser": parser.name, "inputs": int(shared[:OTHER + 1].sum()) + sum(found.values()), "accepted": int(shared[ACCEPTED]),
        "refused": int(shared[REFUSED]), "other": int(shared[OTHER]), **{name: found[name] for name in FAULTS[1:]},
        "peak MiB": peak, "seconds": round(time.monotonic() - start),
    }


def _in_child(work, log):
    """What a forked child does and then ends; its output goes into a file."""
    gc.freeze()  # what the parent holds, TensorFlow's graphs among it, must not be torn down in a fork: it crashes
    status = 1
    try:
        file = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(file, 1)
        os.dup2(file, 2)
        faulthandler.enable()
        sys.stdout, sys.stderr = (open(n, "w", buffering=1, errors="backslashreplace", closefd=False) for n in (1, 2))
        status = work() or 0
    except BaseException:
        traceback.print_exc()
    finally:
        os._exit(status)


def _feed(parser, inputs, numbers, folder, shared, out, limits):
    warnings.simplefilter("ignore")
    parser.setup()
    with open("/proc/self/statm") as file:
        pages = int(file.read().split()[0])
    space = pages * resource.getpagesize() + limits.address_mib * 2**20
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    tree, place = inputs.tree, folder / "files"
    for name in inputs.names if not numbers.start else ():
        write(place, tree)
        try:
            parser.read(place, name)
        except Exception:
            traceback.print_exc()
            return MISREAD
    write(place, tree)
    for number in numbers:
        name, content = inputs[number]
        shared[NUMBER] = number
        (place / name).write_bytes(content)
        signal.setitimer(signal.ITIMER_PROF, limits.seconds)
        signal.setitimer(signal.ITIMER_REAL, 6 * limits.seconds)
        outcome, error = attempt(parser, place, name)
        signal.setitimer(signal.ITIMER_PROF, 0)
        signal.setitimer(signal.ITIMER_REAL, 0)
        used = max(resource.getrusage(who).ru_maxrss for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)) // 1024
        if used > limits.mib:
            print(f"{used} MiB")
            return MEMORY
        shared[outcome] += 1
        if outcome == OTHER:
            keep(out / parser.name / signature(error), name, content, "".join(traceback.format_exception(error)))
        os.ftruncate(1, 0)
        if parser.rewrites:
            write(place, tree)
        else:
            (place / name).write_bytes(tree[name])
    return 0


def attempt(parser, folder, name):
    """Reads once. Returns (ACCEPTED, REFUSED or OTHER; the exception or None)."""
    try:
        parser.read(folder, name)
    except parser.refusals as error:
        return REFUSED, error
    except (Exception, SystemExit) as error:
        return OTHER, error
    return ACCEPTED, None


def signature(error):
    """Type and place of an exception: the innermost line of this project's."""
    frames = traceback.extract_tb(error.__traceback__)
    own = [f for f in frames if "/tfxmr" in f.filename or "/datasets/" in f.filename or "/flags/" in f.filename] or frames
    last = own[-1]
    return f"{type(error).__name__}_{pathlib.PurePath(last.filename).stem}_{last.name}".replace("<", "").replace(">", "")


def keep(folder, name, content, what):
    """Keeps an input, unless there is one of its kind already."""
    if folder.exists():
        return
    path = folder / name
    path.parent.mkdir(parents=True)
    path.write_bytes(content)
    (folder / "WHAT").write_text(what[-20000:], errors="backslashreplace")


def replay(folder, parsers):
    """Reads a kept input again, in this process, and shows what comes of it."""
    folder = pathlib.Path(folder)
    parser = next(p for p in parsers if p.name == folder.parent.name)
    (name,) = (str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file() and p.name != "WHAT")
    with tempfile.TemporaryDirectory() as place:
        place = pathlib.Path(place) / "files"
        write(place, sample(parser) | {name: (folder / name).read_bytes()})
        parser.setup()
        outcome, error = attempt(parser, place, name)
        if error:
            traceback.print_exception(error)
        print(("accepted", "refused", "another exception")[outcome])
    return outcome == OTHER


def report(rows):
    """The table, with its sums. Returns True if there is no fault."""
    total = {"parser": "all"} | {name: sum(row[name] for row in rows) for name in rows[0] if name != "parser"}
    rows = [*rows, total | {"peak MiB": max(row["peak MiB"] for row in rows)}]
    widths = {name: max(len(str(row[name])) for row in [*rows, {name: name}]) for name in total}
    for row in [{name: name for name in total}, *rows]:
        print("  ".join(str(row[n]).ljust(w) if n == "parser" else str(row[n]).rjust(w) for n, w in widths.items()))
    return not any(total[name] for name in FAULTS)


def main(parsers, arguments=None):
    """Fuzzes parsers. Returns the exit status: 1 if there was a fault."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    options.add_argument("--inputs", type=int, default=100_000, help="damaged files in all")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--only", default="", help="parts of names of parsers, the ones to take")
    options.add_argument("--out", type=pathlib.Path, default=pathlib.Path("runs/fuzz"), help="folder of inputs that find faults")
    options.add_argument("--replay", help="folder below --out, whose input is read once more")
    options = options.parse_args(arguments)
    if options.replay:
        return int(replay(options.replay, parsers))
    parsers = [p for p in parsers if any(part in p.name for part in options.only.split(","))]
    parsers.sort(key=lambda p: p.heavy)
    shutil.rmtree(options.out, ignore_errors=True)
    per_share = options.inputs / sum(parser.share for parser in parsers)
    rows = []
    for parser in parsers:
        if parser.heavy and "tensorflow" not in sys.modules:
            with contextlib.suppress(ImportError):
                __import__("tfxmr.runs.fitting")  # once, before children are forked; nothing of TensorFlow runs here
            gc.freeze()  # or every collection of a child would go through, and copy, all that was imported
        rows.append(fuzz(parser, max(1, round(per_share * parser.share)), options.seed, options.out, Limits()))
        print("  ".join(f"{name} {value}" for name, value in rows[-1].items()), file=sys.stderr, flush=True)
    good = report(rows)
    for path in sorted(options.out.glob("*/*/WHAT")):
        print(f"{path.parent}: {path.read_text().strip().splitlines()[-1][:200]}")
    return 0 if good else 1


if __name__ == "__main__":
    import parsers

    sys.exit(main(parsers.PARSERS))
