"""Features of image files: decoded while the network is at work, against one after the other, and against the limits.

    python benchmarks/decoding.py [--features=descriptor] [--items=256] [--repeats=3] [--side=500]

Generates JPEGs of noise and shapes, --side x 3/4 --side, and takes turns in one process:

    decode   all images are read and decoded, by the threads of tfxmr.extraction.ahead
    network  the feature makes its rows of images that are decoded already; 0 of one that threads make
    plain    a block is decoded, then described, then the next one: as it was before
    ahead    as `tfxmr extract` and `tfxmr train --dataset=folder` do it

"limit" is what the processors must do, the processor time of plain over their number, or the longer one of decode and
network if that is more. Medians; rows of plain and ahead are compared to the bit. Networks have random weights.
"""
import argparse
import io
import pathlib
import statistics
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: F401, I001  (before NumPy and TensorFlow)
import numpy as np
from PIL import Image

from tfxmr.data.files import image_files
from tfxmr.extraction import ahead
from tfxmr.extraction.reading import OneByOne
from tfxmr.features.image import by_name

BLOCK = 16  # as of `tfxmr extract`


def write(folder, count, side):
    """Writes JPEGs of about the size of photographs. Returns their mean number of bytes."""
    rng, sizes = np.random.default_rng(0), []
    for number in range(count):
        shapes = Image.fromarray(rng.integers(0, 256, (24, 32, 3), np.uint8)).resize((side, side * 3 // 4))
        noisy = np.asarray(shapes, np.int16) + rng.integers(-12, 13, (side * 3 // 4, side, 3))
        content = io.BytesIO()
        Image.fromarray(noisy.clip(0, 255).astype(np.uint8)).save(content, "JPEG", quality=88)
        sizes.append((folder / f"{number}.jpg").write_bytes(content.getvalue()))
    return statistics.mean(sizes)


def contestants(feature, folder, ids):
    """Name -> function that does the work, and returns the rows or None."""
    def decoded(modality, id_, held):
        return image_files.decode(held, id_)

    read = OneByOne(lambda modality, id_: (folder / id_).read_bytes(), decoded)
    images = list(read("image", ids))
    parts = [slice(start, start + BLOCK) for start in range(0, len(ids), BLOCK)]

    def plain():
        return np.concatenate([feature.transform(list(read("image", ids[part]))) for part in parts])

    def at_once():
        found = ahead.rows(feature, read, "image", ids, BLOCK, sys.exit)
        return np.concatenate([rows for rows, _ in found])

    def decode():
        for _ in ahead.media(read, "image", ids, BLOCK):
            pass

    def network():
        for part in parts if not getattr(feature, "alone", False) else ():
            feature.transform(images[part])

    return {"decode": decode, "network": network, "plain": plain, "ahead": at_once}


def main():
    """Prints images a second of each, and the ratio of ahead to the limit."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--features", default="descriptor")
    for name, default in (("items", 256), ("repeats", 3), ("side", 500)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    feature, cores = by_name.make(args.features, weights="none"), ahead.cores()
    with tempfile.TemporaryDirectory() as place:
        size = write(pathlib.Path(place), args.items, args.side)
        works = contestants(feature, pathlib.Path(place), [f"{n}.jpg" for n in range(args.items)])
        if not (works["plain"]() == works["ahead"]()).all():  # also warms up
            sys.exit("the rows differ")
        wall, busy = {name: [] for name in works}, {name: [] for name in works}
        for _ in range(args.repeats):
            for name, work in works.items():
                start, began = time.perf_counter(), time.process_time()
                work()
                wall[name].append(time.perf_counter() - start)
                busy[name].append(time.process_time() - began)
    taken = {name: statistics.median(seconds) for name, seconds in wall.items()}
    worked = statistics.median(busy["plain"]) / cores
    limit = max(taken["decode"], taken["network"], worked)
    print(f"{args.features}, {args.items} images of {args.side} x {args.side * 3 // 4}, {size / 1024:.0f} KiB; {cores} "
          f"cores, medians of {args.repeats} turns")
    for name, seconds in taken.items():
        rate = f"{args.items / seconds:8.1f} images/s" if seconds > 1e-3 else "by the threads"
        print(f"{name:8} {seconds:7.2f} s  {rate}  processor {statistics.median(busy[name]):6.2f} s")
    print(f"limit    {limit:7.2f} s  plain / ahead {taken['plain'] / taken['ahead']:.2f}, limit / ahead "
          f"{limit / taken['ahead']:.2f}")


if __name__ == "__main__":
    main()
