"""Ranking at NUS-WIDE's size: tfxmr against a loop of argsort, scikit-learn, and product + sort alone.

    python benchmarks/ranking.py [--items=28661] [--width=300] [--repeats=5] [--sample=0]

Both directions of a test split against itself: float32 unit vectors of random directions, 10 classes of very unequal
sizes. They take turns in every repetition, and medians are compared. The slow ones rank a sample of the queries, and
their time is scaled. --sample=N ranks N queries, against the whole gallery, for sizes at
which a full ranking takes minutes.
"""
import argparse
import concurrent.futures
import functools
import os
import pathlib
import statistics
import sys
import threading
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: F401, I001  (before NumPy: it chooses NumPy's sort)
import numpy as np
from sklearn.metrics import average_precision_score

from tfxmr.evaluation import average_precisions

SHARES = (0.40, 0.22, 0.12, 0.08, 0.06, 0.04, 0.03, 0.02, 0.02, 0.01)  # of the classes
BLOCK = 1024
ROWS = 16
SAMPLES = {"stable argsort loop": 256, "argsort loop": 512, "scikit-learn": 128}


def unit_rows(rng, size, width):
    """Random directions, float32 (size, width)."""
    rows = rng.standard_normal((size, width), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def similarities(query, gallery):
    """Yields (first query, block of cosines)."""
    for start in range(0, len(query), BLOCK):
        yield start, query[start : start + BLOCK] @ gallery.T


def argsort_loop(query, gallery, query_labels, gallery_labels, kind=None):
    """Average precision as most releases compute it: one argsort a query, then cumulative sums."""
    values = []
    for start, scores in similarities(query, gallery):
        for row, label in zip(scores, query_labels[start : start + BLOCK], strict=True):
            relevant = (gallery_labels == label)[np.argsort(-row, kind=kind)]
            precision = np.cumsum(relevant) / np.arange(1, len(relevant) + 1)
            values.append(np.sum(precision * relevant) / np.sum(relevant))
    return np.array(values)


def scikit_learn(query, gallery, query_labels, gallery_labels):
    """Average precision of scikit-learn, a query at a time."""
    return np.array([
        average_precision_score(gallery_labels == label, row)
        for start, scores in similarities(query, gallery)
        for row, label in zip(scores, query_labels[start : start + BLOCK], strict=True)
    ])


def product_and_sort(query, gallery, query_labels, gallery_labels):
    """What no exact ranking can go below: the product, and one in-place sort of 32-bit numbers a query."""
    scores = np.empty((BLOCK, len(gallery)), np.float32)
    with concurrent.futures.ThreadPoolExecutor(os.cpu_count()) as pool:
        for start in range(0, len(query), BLOCK):
            block = query[start : start + BLOCK]
            rows = np.matmul(block, gallery.T, out=scores[: len(block)])
            parts = (rows[i : i + ROWS].view(np.int32) for i in range(0, len(rows), ROWS))
            list(pool.map(lambda part: part.sort(axis=1), parts))


METHODS = {
    "tfxmr": average_precisions,
    "product + sort": product_and_sort,
    "stable argsort loop": functools.partial(argsort_loop, kind="stable"),
    "argsort loop": argsort_loop,
    "scikit-learn": scikit_learn,
}


class PeakMemory:
    """Resident memory above what was resident at the start, sampled every 5 ms."""

    def __enter__(self):
        self.start = self.peak = self.resident()
        self.over = threading.Event()
        self.thread = threading.Thread(target=self.watch)
        self.thread.start()
        return self

    def watch(self):
        """Samples until the end."""
        while not self.over.wait(0.005):
            self.peak = max(self.peak, self.resident())

    def __exit__(self, *error):
        self.over.set()
        self.thread.join()

    @staticmethod
    def resident():
        """Bytes, or 0 where /proc does not tell."""
        statm = pathlib.Path("/proc/self/statm")
        return int(statm.read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE") if statm.exists() else 0


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("items", 28661), ("width", 300), ("repeats", 5), ("sample", 0)):
        parser.add_argument(f"--{name}", type=int, default=default)
    options = parser.parse_args()
    queries = min(options.items, options.sample or options.items)
    rng = np.random.default_rng(0)
    image, text = (unit_rows(rng, options.items, options.width) for _ in range(2))
    labels = rng.choice(len(SHARES), options.items, p=SHARES)
    seconds, values = {name: [] for name in METHODS}, {}
    with PeakMemory() as memory:  # also warms up
        average_precisions(image[: 4 * BLOCK], text, labels[: 4 * BLOCK], labels)
    for repeat in range(options.repeats):
        for name, method in METHODS.items():
            used = min(queries, SAMPLES.get(name, queries))
            start = time.perf_counter()
            for query, gallery in ((image, text), (text, image)):
                values.setdefault(name, []).append(method(query[:used], gallery, labels[:used], labels))
            seconds[name].append((time.perf_counter() - start) * queries / used)
            print(f"\r{repeat + 1}/{options.repeats} {name:20}", end="", file=sys.stderr, flush=True)
    print(file=sys.stderr)
    for name in SAMPLES:
        for theirs, ours in zip(values[name], values["tfxmr"], strict=True):
            # Blocks of other sizes round otherwise, and a pair of scores that changes places moves its query's AP.
            np.testing.assert_allclose(ours[: len(theirs)], theirs, atol=1 / options.items)
            np.testing.assert_allclose(np.mean(ours[: len(theirs)]), np.mean(theirs), atol=1e-6)
    median = {name: statistics.median(taken) for name, taken in seconds.items()}
    print(f"{queries} queries x {options.items} items x {options.width}, both directions, {os.cpu_count()} processors, "
          f"NumPy {np.__version__}, median of {options.repeats}")
    print(f"{'':20} {'seconds':>8} {'range':>15} {'ratio to tfxmr':>15}")
    for name, taken in seconds.items():
        spread = f"{min(taken):.2f}..{max(taken):.2f}"
        print(f"{name:20} {median[name]:8.2f} {spread:>15} {median[name] / median['tfxmr']:15.2f}")
    print(f"tfxmr's resident memory above its inputs: at most {(memory.peak - memory.start) / 2**20:.0f} MiB")


if __name__ == "__main__":
    main()
