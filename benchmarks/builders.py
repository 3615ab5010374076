"""Builds every dataset from generated files of the official layout: time, peak memory, size.

    python benchmarks/builders.py [--datasets=pascal_sentence,xmedia,...] [--fraction=1] [--folder=DIR]

The files are random: JPEGs of 500 x 375 pixels, sentences, matrices. pascal_sentence, xmedia, wikipedia's articles and
scenes, which needs no files, are always of the official size; of the others --fraction of the official items is made.
Each build runs in a process of its own, and its memory is counted above that of the bare imports.
"""
import argparse
import contextlib
import importlib.util
import io
import json
import os
import pathlib
import resource
import subprocess
import sys
import tempfile
import time
from unittest import mock

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: F401, I001  (before NumPy and TensorFlow)
import numpy as np
import PIL.Image
import scipy.io

from tfxmr.extraction import catalogue

# Of which data sets other configs of the builder are built than its first; None: all of them.
CONFIGS = {"wikipedia": ["articles"], "xmedia": None, "mscoco": ["2017"], "nus_wide images": ["images"]}
FRACTIONS = {"flickr30k": 0.1, "mscoco": 0.05, "nus_wide images": 0.05}  # of the others all items are made
POOL = 50  # different images and lines, written again and again
SENTENCE = "A dog with a red ball runs across the wet grass of a park ."


def jpegs():
    """POOL smooth JPEGs, about 30 KB each."""
    rng, found = np.random.default_rng(0), []
    for _ in range(POOL):
        image = PIL.Image.fromarray(rng.integers(0, 256, (75, 100, 3), np.uint8)).resize((500, 375))
        stream = io.BytesIO()
        image.save(stream, "JPEG")
        found.append(stream.getvalue())
    return found


def write_images(paths):
    """Writes an image at each path."""
    pool = jpegs()
    for n, path in enumerate(paths):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(pool[n % POOL])


def scenes(folder, official, fraction):
    """Nothing: the builder draws its images."""
    return {}


def wikipedia(folder, official, fraction):
    """The lists, 2,866 images, and as many articles of 200 words."""
    for split, size in official.SPLIT_SIZES.items():
        items = [official.Item(f"{split}{n:032}-3.{n % 9}", f"{split}_{n}", n % 10) for n in range(size)]
        lines = (f"{item.text_id}\t{item.image_id}\t{item.label + 1}\n" for item in items)
        (folder / official.LIST_FILES[split]).write_text("".join(lines))
        write_images(folder / item.image_file for item in items)
        for item in items:
            path = folder / item.text_file
            path.parent.mkdir(exist_ok=True)
            path.write_text(f"<article><text>{' '.join([SENTENCE] * 14)}</text></article>")
    return {}


def pascal_sentence(folder, official, fraction):
    """1,000 images and the page."""
    names = [f"{c}/2008_{n:06}" for c in official.CLASSES for n in range(official.CLASS_SIZE)]
    write_images(folder / "dataset" / f"{name}.jpg" for name in names)
    cells = f"<tr><td> {SENTENCE}</td></tr>\n" * 5
    rows = (f'<tr>\n<td><img src="{name}.jpg"></td>\n<td><table>\n{cells}</table></td>\n</tr>\n' for name in names)
    (folder / "pascal-sentences.html").write_text(f"<html><body><table>{''.join(rows)}</table></body></html>")
    return {}


def xmedia(folder, official, fraction):
    """All five modalities, float64."""
    rng, arrays = np.random.default_rng(0), {}
    for modality in official.MODALITIES.values():
        for split, size in (("train", modality.sizes["train"] or 400), ("test", modality.sizes["test"] or 100)):
            arrays[modality.arrays[split]] = rng.random((size, modality.dim))
            arrays[modality.labels[split]] = np.arange(size)[:, None] % 20 + 1.0
    scipy.io.savemat(folder / official.FILE, arrays)
    return {}


def flickr30k(folder, official, fraction):
    """Karpathy's file and the images."""
    sizes = {split: int(size * fraction) for split, size in official.SIZES["karpathy"].items()}
    entries = [
        {"filename": f"{n}.jpg", "split": split[:3] if split == "validation" else split,
         "sentences": [{"raw": SENTENCE, "tokens": SENTENCE.split()}] * 5}
        for n, split in enumerate(split for split, size in sizes.items() for _ in range(size))
    ]  # fmt: skip
    (folder / official.KARPATHY).write_text(json.dumps({"images": entries}))
    write_images(folder / "flickr30k-images" / entry["filename"] for entry in entries)
    return {"SIZES": {"karpathy": sizes, "entities": {}}}


def mscoco(folder, official, fraction):
    """The annotation files of 2017 and the images."""
    sizes, first = {split: int(size * fraction) for split, size in official.SIZES["2017"].items()}, 0
    for part, size in zip(("train", "val"), sizes.values(), strict=True):
        numbers, first = range(first, first + size), first + size
        images = [{"id": n, "file_name": f"{n:012}.jpg", "height": 375, "width": 500} for n in numbers]
        annotations = [{"image_id": n, "id": 5 * n + k, "caption": SENTENCE} for n in numbers for k in range(5)]
        (folder / f"captions_{part}2017.json").write_text(json.dumps({"images": images, "annotations": annotations}))
        write_images(folder / f"{part}2017" / image["file_name"] for image in images)
    return {"SIZES": {"2017": sizes}}


def nus_wide(folder, official, fraction, images=False):
    """Lists, labels (a quarter of the items are of one concept of the ten), matrices and perhaps images."""
    rng = np.random.default_rng(0)
    sizes = {part: int(size * fraction) for part, size in official.LIST_SIZES.items()}
    sizes["all"] = sizes["train"] + sizes["test"]
    names = [f"actor\\{n:06}_{n}.jpg" for n in range(sizes["all"])]
    concept = np.where(rng.random(sizes["all"]) < 0.2655, rng.integers(0, 10, sizes["all"]), -1)
    splits = {"all": names, "train": names[: sizes["train"]], "test": names[sizes["train"] :]}
    for part, own in splits.items():
        (folder / official.LISTS[part]).write_text("\r\n".join(own) + "\r\n")
    for c in official.CONCEPTS:
        label = official.CLASSES.index(c) if c in official.CLASSES else -2
        (folder / f"Labels_{c}.txt").write_text("\n".join(map(str, (concept == label).astype(int))) + "\n")
    matrices = [(folder / official.TAGS["tags"][1], official.TAGS["tags"][0], "{:.0f}\t", sizes["all"])]
    if not images:
        for dim, _, *halves in official.LOW_LEVEL.values():
            parts = zip(halves, ("train", "test"), strict=True)
            matrices += [(folder / name, dim, "{:.6f} ", sizes[part]) for name, part in parts]
    for path, dim, form, size in matrices:
        rows = rng.random((POOL, dim))
        pool = ["".join(map(form.format, row < 0.01 if "\t" in form else row)) for row in rows]
        with open(path, "w") as file:
            file.writelines(pool[n % POOL] + "\n" for n in range(size))
    (folder / official.TAG_NAMES).write_text("\n".join(f"tag{n}" for n in range(1000)))
    if images:
        write_images(folder / "Flickr" / names[n].replace("\\", "/") for n in np.flatnonzero(concept >= 0))
    chosen = {part: int((concept[rows] >= 0).sum()) for part, rows in
              (("train", slice(sizes["train"])), ("test", slice(sizes["train"], None)))}  # fmt: skip
    return {"LIST_SIZES": sizes, "PUBLISHED": chosen}


def names():
    """What is built: every data set of the catalogue whose official files are written here, and NUS-WIDE's images."""
    written = [name for name, dataset in catalogue.datasets().items() if dataset.package and name in globals()]
    return [*written, "nus_wide images"]


def dataset_of(name):
    """The data set of one of `names`."""
    return catalogue.get(name.partition(" ")[0])


def official_files(dataset):
    """The module of a data set's official files; None of one that is generated."""
    name = f"{dataset.package}.official_files"
    return importlib.import_module(name) if importlib.util.find_spec(name) else None


def build(name, folder, changes):
    """Builds one dataset in this process; prints seconds, peak MiB above the imports, items."""
    dataset = dataset_of(name)
    import tensorflow  # noqa: F401  (TFDS imports it at its first use)

    from tfxmr.extraction import tfds_io

    builder_class, official = dataset.builder_class(), official_files(dataset)
    configs = CONFIGS.get(name, dataset.configs[:1]) or dataset.configs
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    start = time.perf_counter()
    with contextlib.ExitStack() as stack:
        for constant, value in changes.items():
            stack.enter_context(mock.patch.object(official, constant, value))
        builders = [tfds_io.build(builder_class, c, folder / "tfds", folder / "manual") for c in configs]
    seconds = time.perf_counter() - start
    peak = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 2**10
    items = sum(split.num_examples for builder in builders for split in builder.info.splits.values())
    print(json.dumps([seconds, peak, items]))


def size(folder):
    """MiB of the files of a folder."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file()) / 2**20


def main():
    """Prints a line for each dataset."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--datasets", default=",".join(names()))
    parser.add_argument("--fraction", type=float, help="in (0, 1]; default: 1 for vectors, .05 to .1 for images")
    parser.add_argument("--folder", help="where the files are written and removed again; default: the temporary folder")
    parser.add_argument("--build", nargs=3, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.build:
        build(options.build[0], pathlib.Path(options.build[1]), json.loads(options.build[2]))
        return
    print(f"{os.cpu_count()} processors")
    print(f"{'dataset':18} {'items':>7} {'files MiB':>10} {'built MiB':>10} {'seconds':>8} {'peak MiB':>9}")
    for name in options.datasets.split(","):
        official, fraction = official_files(dataset_of(name)), options.fraction or FRACTIONS.get(name, 1)
        with tempfile.TemporaryDirectory(dir=options.folder) as place:
            folder = pathlib.Path(place)
            (folder / "manual").mkdir()
            more = {"images": True} if name.endswith("images") else {}
            write = globals()[name.partition(" ")[0]]
            changes = write(folder / "manual", official, fraction, **more)
            command = [sys.executable, __file__, "--build", name, place, json.dumps(changes)]
            process = subprocess.run(command, check=True, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True)
            seconds, peak, items = json.loads(process.stdout.splitlines()[-1])
            print(f"{name:18} {items:7} {size(folder / 'manual'):10.0f} {size(folder / 'tfds'):10.0f} "
                  f"{seconds:8.1f} {peak:9.0f}", flush=True)


if __name__ == "__main__":
    main()
