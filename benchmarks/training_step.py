"""Training steps at paper sizes: tfxmr, naive TensorFlow and PyTorch beside the machine's peak of matrix products.

    python benchmarks/training_step.py [--quick] [--methods=danzcr,ms2gan] [--batches=64,128,256,512]
        [--torch_python=PYTHON] [--contestants=NAME,...] [--rounds=3] [--seconds=2] [--results=DIR]

Every contestant is a process of its own, and they take turns: a round gives each a few seconds. Before that each takes
two steps at small widths from tfxmr's initial weights, on its batches, and must get its losses and weights. Memory
may not hold all at once; then there are several groups, each with tfxmr in it, and ratios are taken within a group.
PyTorch may live in another environment: --torch_python=/path/to/its/python. Writes training_step.json, .md and .png.
"""
import argparse
import contextlib
import itertools
import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile
import time

STEPS = pathlib.Path(__file__).resolve().parent / "steps"
sys.path.insert(0, str(STEPS))

import arithmetic  # noqa: E402
import report  # noqa: E402

OURS = "tfxmr"
ONEDNN = "TF_ENABLE_ONEDNN_OPTS"
# Name -> (script, its arguments, environment). A further variant of tfxmr is a line with other arguments of compile.
CONTESTANTS = {
    OURS: ("ours", {}, {}),
    "tfxmr_jit": ("ours", {"jit_compile": True}, {}),
    "tf_naive": ("naive_tf", {}, {ONEDNN: "0"}),
    "tf_naive_onednn": ("naive_tf", {}, {ONEDNN: "1"}),
    "tf_naive_xla": ("naive_tf", {"jit_compile": True}, {ONEDNN: "1"}),
    "torch_naive": ("pytorch", {}, {}),
    "torch_fused": ("pytorch", {"fused": True}, {}),
    "torch_compiled": ("pytorch", {"fused": True, "compiled": True}, {}),
}
NOT_BY_DEFAULT = ("tfxmr_jit", "tf_naive_xla")
ONLY = {"tf_naive": (64, 256), "torch_compiled": (64, 256)}  # batch sizes of the slow: to step, and to compile
LIBRARIES = {"tensorflow": {ONEDNN: "1"}, "xla": {ONEDNN: "1"}, "numpy": {}, "torch": {}}
FORMS = ("xw", "gw'", "x'g")
LOSSES, WEIGHTS = 1e-4, 0.01  # of the check: relative, and in units of the learning rate
BYTES_PER_WEIGHT = 24  # of a DANZCR process: weights, two slots (and two more of G_F), gradients, and what they pass


class Child:
    """A contestant's process, which takes one order at a time."""

    def __init__(self, python, script, arguments, environment):
        self.process = subprocess.Popen(
            [python, str(STEPS / f"{script}.py"), *arguments], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
            env=os.environ | {"TF_CPP_MIN_LOG_LEVEL": "2"} | environment,
        )

    def ask(self, order, **entries):
        """Sends an order and waits for its answer."""
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.write(json.dumps({"order": order} | entries) + "\n")
            self.process.stdin.flush()
        answer = self.process.stdout.readline()
        if not answer:
            raise SystemExit(f"{' '.join(self.process.args[1:])} ended during {order!r}; its message is above")
        return json.loads(answer)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        with contextlib.suppress(BrokenPipeError):
            self.process.stdin.close()
        if error[0]:
            self.process.kill()
        self.process.wait()


def say(text):
    """Prints progress to standard error."""
    print(f"{time.strftime('%H:%M:%S')} {text}", file=sys.stderr, flush=True)


def start(name, method, options):
    """Starts a contestant on a method."""
    script, arguments, environment = CONTESTANTS[name]
    python = options.torch_python if script == "pytorch" else sys.executable
    return Child(python, script, (method, json.dumps(arguments)), environment)


def grouped(names, weights):
    """Splits contestants into groups whose processes fit into the free memory together; the first is in every one."""
    info = pathlib.Path("/proc/meminfo")
    lines = info.read_text().splitlines() if info.exists() else []
    free = sum(1024 * int(line.split()[1]) for line in lines if line.startswith("MemAvailable")) or 2**60
    others = [name for name in names if name != OURS]
    room = max(1, math.floor(0.9 * free / (BYTES_PER_WEIGHT * weights + 2**29)) - 1)
    parts = math.ceil(len(others) / room) or 1
    return [[OURS, *others[i::parts]] for i in range(parts)]


def peak(options, sizes):
    """GFLOP/s of products (size, 4096) x (4096, 4096): library, size and form -> {"wall": .., "processor": ..}."""
    found = {}
    for library, environment in LIBRARIES.items():
        if library == "torch" and not options.torch:
            continue
        say(f"products: {library}")
        python = options.torch_python if library == "torch" else sys.executable
        with Child(python, "products", (library,), environment) as child:
            for size, form in itertools.product(sizes, FORMS):
                run = child.ask("run", size=size, form=form, seconds=0.25)
                flops = 2e-9 * size * 4096**2 * run["steps"]
                found[f"{library} {size} {form}"] = {
                    "wall": flops / run["wall"], "processor": flops * os.cpu_count() / run["processor"]
                }
    return found


def checked(children, path):
    """Raises SystemExit if a contestant's losses or weights differ from tfxmr's. Returns the differences."""
    children[OURS].ask("reference", path=path)
    found = {}
    for name, child in children.items():
        if CONTESTANTS[name][0] == "ours":
            continue
        say(f"check: {name}")
        found[name] = child.ask("check", path=path)
        if not (found[name]["losses"] <= LOSSES and found[name]["weights"] <= WEIGHTS):
            raise SystemExit(f"{name} computes something else than tfxmr: {found[name]}")
    return found


def turns(name, batch, with_fit):
    """The modes in which a contestant runs in a round: "fit" reads batches as training does, "resident" repeats one."""
    if batch not in ONLY.get(name, (batch,)):
        return ()
    return ("fit", "resident") if with_fit and CONTESTANTS[name][0] == "ours" else ("resident",)


def compete(method, names, options, folder, first):
    """Runs one group. Returns (runs, differences, input, profile): runs are dicts, one a contestant, mode and round.

    The input pipeline and the parts of the step are measured in the first group alone.
    """
    runs, reads = [], {}
    seconds = options.seconds if method == "danzcr" else options.seconds / 2
    children = {}
    try:
        for name in names:
            children[name] = start(name, method, options)
        differences = checked(children, str(folder / f"{method}.npz"))
        for batch in options.batches:
            rounds = options.rounds if batch in options.batches[::2] else min(2, options.rounds)
            for number, (name, child) in itertools.product(range(rounds), children.items()):
                for mode in turns(name, batch, first):
                    say(f"{method} batch {batch} round {number + 1}/{rounds}: {name}, {mode}")
                    run = child.ask("run", size=batch, seconds=seconds, mode=mode)
                    runs.append(run | {"contestant": name, "mode": mode, "batch": batch, "round": number})
            if first:
                reads[batch] = children[OURS].ask("read", size=batch, seconds=0.3)
        profile = {}
        if first and method == "danzcr":
            profile = {b: children[OURS].ask("profile", size=b) for b in options.batches[:1]}
    finally:
        for child in children.values():
            child.__exit__(*sys.exc_info())
    return runs, differences, reads, profile


def torch_version(python):
    """PyTorch's version in another Python, or None with a line that says so."""
    try:
        return subprocess.run(
            [python, "-c", "import torch; print(torch.__version__)"], capture_output=True, text=True, check=True
        ).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        print(f"PyTorch is not in {python}; its rows are left out: pip install -e '.[bench]', or --torch_python=PYTHON")
        return None


def parse(arguments=None):
    """The options."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--quick", action="store_true", help="batch 64 alone, one round")
    parser.add_argument("--methods", default="danzcr,ms2gan")
    parser.add_argument("--batches", default="64,128,256,512")
    parser.add_argument("--contestants", default=",".join(n for n in CONTESTANTS if n not in NOT_BY_DEFAULT))
    parser.add_argument("--torch_python", default=sys.executable)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=2.0, help="a turn's length; a step may take longer")
    parser.add_argument("--results", type=pathlib.Path, default=STEPS.parent / "results")
    options = parser.parse_args(arguments)
    options.batches = [int(b) for b in options.batches.split(",")]
    if options.quick:
        options.batches, options.rounds, options.seconds = options.batches[:1], 1, 1.0
    options.torch = torch_version(options.torch_python)
    names = dict.fromkeys((OURS, *options.contestants.split(",")))
    if unknown := [name for name in names if name not in CONTESTANTS]:
        raise SystemExit(f"--contestants={','.join(unknown)}: there are {', '.join(CONTESTANTS)}")
    names = [n for n in names if options.torch or CONTESTANTS[n][0] != "pytorch"]
    options.names = [n for n in names if set(ONLY.get(n, options.batches)) & set(options.batches)]
    return options


def main():
    """Runs all, prints the tables and writes them."""
    options, began = parse(), time.time()
    sizes = options.batches if options.quick else [*options.batches, 4096]
    facts = {"machine": report.machine(options.torch), "peak": peak(options, sizes), "methods": {}}
    for method in options.methods.split(","):
        groups = grouped(options.names, arithmetic.weights(method))
        found = {"groups": [], "differences": {}, "input": {}, "profile": {}}
        with tempfile.TemporaryDirectory() as folder:
            for names in groups:
                first = names is groups[0]
                runs, differences, reads, profile = compete(method, names, options, pathlib.Path(folder), first)
                found["groups"].append(runs)
                for entry, facts_of_group in (("differences", differences), ("input", reads), ("profile", profile)):
                    found[entry] |= facts_of_group
        facts["methods"][method] = found
    with start(OURS, "danzcr", options) as child:
        facts["memory"] = child.ask("peak_memory", size=64)
    for name, rate in peak(options, sizes[-1:]).items():  # again, as the machine may have been disturbed before
        facts["peak"][name] = {clock: max(rate[clock], facts["peak"][name][clock]) for clock in rate}
    facts["seconds"] = round(time.time() - began)
    print(report.write(facts, options.results))


if __name__ == "__main__":
    main()
