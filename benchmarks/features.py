"""Image features: `tfxmr extract`'s way against a plain `model.predict`, and against the arithmetic limit.

    python benchmarks/features.py DIR [--features=vgg19_fc7] [--items=32] [--repeats=3]

DIR holds .jpg files, in folders or not. Weights are random, since no time depends on them. "extract" reads and decodes
files, resizes, runs the network, and writes the matrix, block by block; "predict" gets its pictures resized and
preprocessed already. The limit is the products with the network's kernels alone, 2 floating point operations each, at
the speed of the best of several matrix products (2,048 x 2,048) that are measured in the same turn. "others" is the
share of the processors that other processes took meanwhile: near 0, or the figures say little.
"""
import argparse
import functools
import os
import pathlib
import shutil
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: F401, I001  (before NumPy and TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from tfxmr.extraction import extract
from tfxmr.features.image import by_name
from tfxmr.features.image.network import BATCH

SIDE = 2048  # of the products


def products(network):
    """Multiplications of one picture with the network's kernels."""
    layers = [found for found in network.layers if isinstance(found, (keras.layers.Conv2D, keras.layers.Dense))]
    return sum(np.prod(found.kernel.shape) * np.prod(found.output.shape[1:-1]) for found in layers)


def peak():
    """Floating point operations per second of the best of 8 matrix products."""
    matrix, best = tf.random.stateless_normal((SIDE, SIDE), (0, 0)), np.inf
    for _ in range(8):
        start = time.perf_counter()
        tf.matmul(matrix, matrix)[0, 0].numpy()
        best = min(best, time.perf_counter() - start)
    return 2 * SIDE**3 / best


def copies(source, folder, count):
    """Copies .jpg files into the layout of --dataset=folder; if they are too few, the same ones again."""
    found = sorted(pathlib.Path(source).rglob("*.jpg"))
    if not found:
        sys.exit(f"{source}: holds no .jpg files")
    place = folder / "train/all"
    place.mkdir(parents=True)
    for n in range(count):
        shutil.copy(found[n % len(found)], place / f"{n:05}.jpg")
        (place / f"{n:05}.txt").write_text("none")


def busy():
    """Processor seconds of all processes up to now; 0 where /proc does not tell."""
    stat = pathlib.Path("/proc/stat")
    ticks = [int(field) for field in stat.read_text().split()[1:4]] if stat.exists() else [0]
    return sum(ticks) / os.sysconf("SC_CLK_TCK")


def measure(work):
    """(Seconds of a function, processor seconds, share of the processors that others took)."""
    start, own, total = time.perf_counter(), time.process_time(), busy()
    work()
    taken, own, total = time.perf_counter() - start, time.process_time() - own, busy() - total
    return taken, own, max(0.0, total - own) / taken / os.cpu_count()


def main():
    """Prints the comparison."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--features", default="vgg19_fc7")
    parser.add_argument("--items", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    options = parser.parse_args()
    feature = by_name.make(options.features, weights="none")
    with tempfile.TemporaryDirectory() as temporary:
        root = pathlib.Path(temporary)
        copies(options.folder, root / "media", options.items)
        data, read = extract.items("folder", data_dir=root / "media")
        ids = data.splits["train"].ids["image"]
        ready = feature.inputs(list(read("image", ids)))
        outputs = {}

        def extracted(turn):
            place = extract.extract(data, read, {"image": feature}, root / f"features{turn}")
            outputs["extract"] = np.load(place / "train/image.npy", mmap_mode="r")

        def predicted(turn):
            outputs["predict"] = feature.network.predict(ready, batch_size=BATCH, verbose=0)

        feature.network.predict(ready[:BATCH], batch_size=BATCH, verbose=0)  # warms both up
        feature.transform(list(read("image", ids[:BATCH])))
        figures, speed = {"extract": [], "predict": []}, []
        for turn in range(options.repeats):
            speed.append(peak())
            for name, work in (("extract", extracted), ("predict", predicted)):
                figures[name].append(measure(functools.partial(work, turn)))
        difference = float(np.max(np.abs(outputs["extract"] - outputs["predict"])) / np.max(outputs["predict"]))
    limit = statistics.median(speed) / (2 * products(feature.network))
    print(f"{options.features}, {options.items} pictures, batches of {BATCH}, {os.cpu_count()} processors, TensorFlow "
          f"{tf.__version__}, median of {options.repeats}; both ways differ by {difference:.0e} of the largest entry")
    print(f"{products(feature.network) / 1e9:.1f} thousand million products a picture at "
          f"{statistics.median(speed) / 1e9:.0f} GFLOP/s: {limit:.2f} pictures/s at most")
    print(f"{'':8} {'pictures/s':>10} {'range':>12} {'of the limit':>13} {'processor s/picture':>20} {'others':>7}")
    for name, turns in figures.items():
        rates = [options.items / taken for taken, _, _ in turns]
        rate, own, others = (statistics.median(v) for v in (rates, [t[1] for t in turns], [t[2] for t in turns]))
        print(f"{name:8} {rate:10.2f} {min(rates):5.2f}..{max(rates):<5.2f} {rate / limit:13.2f} "
              f"{own / options.items:20.3f} {others:7.2f}")


if __name__ == "__main__":
    main()
