"""Processor time of whole commands that must be quick: lists, help, refusals, and small runs of closed-form methods.

    python benchmarks/startup.py [--repeats=5] [--out=benchmarks/results]

Each is a process of its own, user and system time of it and its children, one thread; of its repeats the median counts.
What imports TensorFlow is marked: three to four seconds of it.
"""
import argparse
import json
import os
import pathlib
import platform
import resource
import statistics
import subprocess
import sys
import tempfile

import numpy as np

ROOT = pathlib.Path(__file__).resolve().parents[1]
LIMIT = 0.5  # seconds, of what needs no data
QUICK = (
    "", "--help", "--version", "trian", "models", "models dscmr", "datasets", "recipes", "completion bash",
    "train --help", "train --model=dscmr --help", "train --model=dscmr --helpfull", "tune --help", "evaluate --help",
    "compare --help", "plot --help", "extract --help", "search --help", "encode --help", "index --help",
    "train --model=dscm", "train --dataset=wiki", "train --model=dscmr --stepz=3", "train --model=sm --steps=3",
    "train --model=dscmr --select=best", "train --model=dscmr", "train --recipe=danzcr_scene", "train --web",
    "train --recipe=danzcr_scenes --print_config", "evaluate --run_dir=none",
    "tune --model=dscmr --run_dir=r --grid=a=1", "compare cca sm", "compare none",
)
RUNS = (  # of 200 items
    "train --model=cca --dataset=npz --data_dir=data --protocol=standard --run_dir=cca",
    "train --model=sm --dataset=npz --data_dir=data --protocol=standard --run_dir=sm",
    "evaluate --run_dir=cca", "plot --figure=precision_recall --run_dir=cca",
    "index --run_dir=cca", "tune --model=cca --dataset=npz --data_dir=data --protocol=standard --run_dir=search",
)
CODE = (
    "import sys; from tfxmr.__main__ import main\n"
    "try: main(sys.argv[1:])\n"
    "finally: print('TENSORFLOW' if 'tensorflow' in sys.modules else '', file=sys.stderr)"
)


def seconds(arguments, folder):
    """(Processor seconds of a command and its children, whether it imported TensorFlow.)"""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    done = subprocess.run([sys.executable, "-c", CODE, *arguments], cwd=folder, capture_output=True, text=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    took = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return took, "TENSORFLOW" in done.stderr


def measure(repeats):
    """[{"command", "seconds", "tensorflow"}] of every command, runs first: `compare` reads them."""
    rng, rows = np.random.default_rng(0), []
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        (folder / "data").mkdir()
        for split in ("train", "test"):
            label = np.arange(100) % 4
            views = {m: rng.normal(size=(100, d)) + label[:, None] for m, d in (("image", 30), ("text", 20))}
            np.savez(folder / "data" / f"{split}.npz", label=label, **views)
        for command in (*RUNS, *QUICK):
            count = 1 if command in RUNS else repeats  # a second time a run is only read back
            found = [seconds(command.split(), folder) for _ in range(count)]
            took = statistics.median(took for took, _ in found)
            rows.append({"command": f"tfxmr {command}".strip(), "seconds": round(took, 2), "tensorflow": found[0][1],
                         "quick": command in QUICK})
            print(f"{took:6.2f} s  {'TensorFlow' * found[0][1]:10}  tfxmr {command}", flush=True)
    return rows


def markdown(rows):
    """The rows as a table."""
    lines = ["Processor seconds of whole commands, by `python benchmarks/startup.py`.", "",
             "| command | seconds | imports TensorFlow |", "|---|---|---|"]
    lines += [f"| `{r['command']}` | {r['seconds']:.2f} | {'yes' if r['tensorflow'] else 'no'} |" for r in rows]
    return "\n".join([*lines, ""])


def main():
    """Prints a line a command and writes startup.json and startup.md; status 1 if one is not quick."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--out", default=str(ROOT / "benchmarks/results"))
    options = parser.parse_args()
    os.environ.update({name: "1" for name in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")}, COLUMNS="80")
    rows = measure(options.repeats)
    slow = [r["command"] for r in rows if r["quick"] and (r["seconds"] > LIMIT or r["tensorflow"])]
    out = pathlib.Path(options.out)
    facts = {"machine": platform.processor() or platform.machine(), "python": platform.python_version(), "rows": rows}
    (out / "startup.json").write_text(json.dumps(facts, indent=1) + "\n", encoding="utf-8")
    (out / "startup.md").write_text(markdown(rows), encoding="utf-8")
    print(f"over {LIMIT} s, or with TensorFlow: {', '.join(slow)}" if slow else f"all quick ones below {LIMIT} s")
    return int(bool(slow))


if __name__ == "__main__":
    sys.exit(main())
