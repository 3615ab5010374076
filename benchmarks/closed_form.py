"""Time and memory of the closed-form methods' fits at the papers' sizes, beside scikit-learn's CCA on a small part.

    python benchmarks/closed_form.py [--items=2173,42941] [--image=4096] [--text=3000] [--methods=cca,...]

Generated pairs: class means and noise, float32, z-scored. Each fit runs in turn, once a size; defaults, but for what
--settings=jrl.neighbours=20,... changes. JRL at 42,941 pairs compares all of them with all: name
--methods without it for a short run. scikit-learn's CCA iterates, and gets --sklearn_width columns of each modality
and at most 2,000 pairs; tfxmr's is timed on the same, too.
"""
import argparse
import os
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: F401, I001  (before NumPy: it chooses NumPy's sort)
import numpy as np
import sklearn.cross_decomposition
from ranking import PeakMemory

from tfxmr.core import registry
from tfxmr.data.multimodal import MultiModalData, Split

METHODS = "cca,cfa,kcca,scm,lcfs,lgcfl,jrl"


def generate(items, widths, classes):
    """Pairs as MultiModalData, in blocks so that no float64 copy is made."""
    rng = np.random.default_rng(0)
    labels = rng.integers(classes, size=items)
    labels[:classes] = np.arange(classes)
    shared = rng.standard_normal((items, 50), np.float32)
    features = {}
    for m, width in widths.items():
        x = rng.standard_normal((items, width), np.float32)
        x += 0.3 * shared @ rng.standard_normal((50, width), np.float32)
        x += rng.standard_normal((classes, width), np.float32)[labels]
        x -= x.mean(axis=0)
        x /= x.std(axis=0)
        features[m] = x
    return MultiModalData("generated", {"train": Split.of_pairs(features, labels)}, [])


def timed(function):
    """(seconds, seconds of all processors, MiB above the start) of a call."""
    with PeakMemory() as memory:
        start, used = time.perf_counter(), time.process_time()
        function()
        taken = time.perf_counter() - start, time.process_time() - used
    return *taken, (memory.peak - memory.start) / 2**20


def report(what, data, seconds, processor, memory):
    """Prints a line of the table."""
    size = f"{len(data.splits['train'])} x {' / '.join(str(d) for d in data.dims.values())}"
    print(f"{what:24} {size:22} {seconds:9.2f} {processor:11.2f} {memory:8.0f}", flush=True)


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("items", "2173,42941"), ("methods", METHODS), ("settings", "")):
        parser.add_argument(f"--{name}", default=default)
    for name, default in (("image", 4096), ("text", 3000), ("classes", 10), ("sklearn_width", 200)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    widths = {"image": options.image, "text": options.text}
    changes = {}
    for part in filter(None, options.settings.split(",")):
        method, _, value = part.partition(".")
        changes.setdefault(method, {}).update([value.split("=")])
    print(f"{os.cpu_count()} processors, load {os.getloadavg()[0]:.1f}, NumPy {np.__version__}")
    print(f"{'':24} {'items x widths':22} {'seconds':>9} {'processor s':>11} {'MiB':>8}")
    for items in map(int, options.items.split(",")):
        data = generate(items, widths, options.classes)
        for name in options.methods.split(","):
            method_class = registry.get(name)
            kinds = {k: type(getattr(method_class.Settings(), k)) for k in changes.get(name, {})}
            settings = method_class.Settings(**{k: kinds[k](v) for k, v in changes.get(name, {}).items()})
            method = method_class(settings)
            report(name, data, *timed(lambda method=method, data=data: method.learn(data)))
    if options.sklearn_width:
        data = generate(min(2000, items), dict.fromkeys(widths, options.sklearn_width), options.classes)
        x, y = (data.splits["train"].features[m] for m in widths)
        theirs = sklearn.cross_decomposition.CCA(n_components=10, max_iter=500)
        report("scikit-learn's CCA", data, *timed(lambda: theirs.fit(x, y)))
        report("cca, the same", data, *timed(lambda: registry.get("cca")().learn(data)))


if __name__ == "__main__":
    main()
