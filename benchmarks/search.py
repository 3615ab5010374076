"""Search of a folder index: beside NumPy's product + argpartition in memory, and faiss-cpu's flat index where it is.

    python benchmarks/search.py [--items=100000] [--width=300] [--k=10] [--repeats=15] [--only=tfxmr]

Unit vectors of random directions. All take turns in every repetition; medians of processor time are compared, one
thread each. NumPy and faiss hold the vectors in memory and give row numbers; tfxmr reads a folder through a memory map
and gives ids, 64-bit scores and columns. --only leaves the others out, to see tfxmr's memory alone at a million items.
"""
import os

THREADS = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS")
os.environ.update(dict.fromkeys(THREADS, "1"))  # before NumPy: processor time of several threads says little

import argparse  # noqa: E402
import pathlib  # noqa: E402
import re  # noqa: E402
import statistics  # noqa: E402
import sys  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402
import types  # noqa: E402

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: E402, F401, I001  (before NumPy: it chooses NumPy's sort)
import numpy as np  # noqa: E402
import threadpoolctl  # noqa: E402

from tfxmr.search import Index  # noqa: E402

BLOCK = 50_000  # items that are made and added at once
BATCHES = (1, 256)


def unit_rows(seed, size, width):
    """Random directions, float32 (size, width)."""
    rows = np.random.default_rng(seed).standard_normal((size, width), np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def blocks(items, width):
    """Yields (ids, vectors, columns) of all items, the same each time."""
    for start in range(0, items, BLOCK):
        size = min(BLOCK, items - start)
        columns = {"class": [f"class{i % 10}" for i in range(size)], "media": [f"{i}.jpg" for i in range(size)]}
        yield [f"{start + i:08d}" for i in range(size)], unit_rows(start + 1, size, width), columns


def resident():
    """(bytes of this process alone, bytes of mapped files that the system may drop), where /proc tells."""
    path = pathlib.Path("/proc/self/status")
    text = path.read_text() if path.exists() else ""
    return tuple(1024 * int((re.search(rf"{name}:\s+(\d+)", text) or [0, 0])[1]) for name in ("RssAnon", "RssFile"))


def numpy_search(vectors, k):
    """A function of queries: the product, argpartition, and the order of the k."""
    def search(queries):
        scores = queries @ vectors.T
        best = np.argpartition(scores, -k, axis=1)[:, -k:]
        order = np.argsort(-np.take_along_axis(scores, best, axis=1), axis=1)
        return np.take_along_axis(best, order, axis=1)
    return search


def rivals(items, width, k):
    """Name -> function of queries to row numbers."""
    vectors = np.concatenate([rows for _, rows, _ in blocks(items, width)])
    found = {"NumPy": numpy_search(vectors, k)}
    try:
        import faiss
    except ImportError:
        print("faiss-cpu is not installed (the extra `bench`)")
        return found
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(width)
    flat.add(vectors)
    return {**found, "faiss": lambda queries: flat.search(queries, k)[1]}


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    for name, default in (("items", 100_000), ("width", 300), ("k", 10), ("repeats", 15)):
        parser.add_argument(f"--{name}", type=int, default=default)
    parser.add_argument("--only", choices=["tfxmr"])
    options = parser.parse_args()
    encoder = types.SimpleNamespace(digest="made up", dimensions=options.width, similarity="cosine")
    with tempfile.TemporaryDirectory() as folder:
        start = time.process_time()
        with Index.open(folder, encoder) as index:
            for block in blocks(options.items, options.width):
                index.add("image", *block)
        print(f"made and added in {time.process_time() - start:.1f} s of processor time")
        del index, block
        before, start = resident(), time.process_time()
        index = Index.open(folder)
        print(f"opened in {1000 * (time.process_time() - start):.1f} ms")
        report(index, options, before)


def report(index, options, before):
    """Times all searches in turns."""
    searches = {
        "tfxmr": lambda queries: index.search(queries, options.k).ids.astype(int),
        "tfxmr, 1 class of 10": lambda queries: index.search(queries, options.k, {"class": ["class3"]}).ids.astype(int),
    }
    queries = unit_rows(0, max(BATCHES), options.width)
    index.search(queries, options.k)
    after = resident()
    searches |= {} if options.only else rivals(options.items, options.width, options.k)
    seconds = {(name, batch): [] for name in searches for batch in BATCHES}
    for repeat in range(options.repeats + 1):
        for name, search in searches.items():
            for batch in BATCHES:
                start = time.process_time()
                found = search(queries[:batch])
                if repeat:  # the first one warms up
                    seconds[name, batch].append(time.process_time() - start)
                elif name in ("NumPy", "faiss") and batch == max(BATCHES):
                    same = np.mean(found == searches["tfxmr"](queries))
                    assert same > 0.999, f"{name} finds others: {same}"
    kernels = {f"{info['internal_api']} {info.get('architecture')}" for info in threadpoolctl.threadpool_info()}
    print(f"{options.items} items x {options.width}, k {options.k}, NumPy {np.__version__}, "
          f"{', '.join(sorted(kernels))}, medians of {options.repeats}, ms of processor time")
    print(f"{'':22}" + "".join(f"{f'batch {batch}':>12}{'x tfxmr':>9}" for batch in BATCHES))
    median = {key: statistics.median(taken) for key, taken in seconds.items()}
    for name in searches:
        cells = [f"{1000 * median[name, b]:12.2f}{median[name, b] / median['tfxmr', b]:9.2f}" for b in BATCHES]
        print(f"{name:22}{''.join(cells)}")
    own, mapped = ((a - b) / 2**20 for a, b in zip(after, before, strict=True))
    print(f"tfxmr's memory after a batch of {max(BATCHES)}: {own:.0f} MiB of its own, {mapped:.0f} MiB of mapped files")


if __name__ == "__main__":
    main()
