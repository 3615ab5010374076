"""Five generated modalities of XMedia's sizes and widths: time, memory, and all 20 tasks against chance.

    python benchmarks/five_modalities.py DIR [--joint] [--shrink=1] [--model=mhtn] [flags of tfxmr train]

Writes train.npz, validation.npz and test.npz (8 : 1 : 1 of every class) into DIR/data, unless they are there, and
trains MS2GAN in DIR/pairs or DIR/joint, another model in DIR/MODEL: images and texts share their rows, the other
modalities have items of their own. --shrink=2 makes half of the items. Each item is a random nonlinear view of a point
near its class, in part noise, so that classes overlap and every task lies between chance and 1. A run resumes when it
is started again.
"""
import argparse
import json
import pathlib
import resource
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import numpy as np

CLASSES = 20
LATENT = 16
MODALITIES = {  # width, items
    "image": (4096, 5000), "text": (3000, 5000), "video": (4096, 500), "audio": (78, 1000), "shape3d": (4700, 500),
}
SHARES = {"train": 0.8, "validation": 0.1, "test": 0.1}


def views(rng, points, width):
    """Half of each view (n, width) is a random nonlinear function of the points (n, k), half is noise. float32."""
    hidden = np.tanh(points @ rng.normal(size=(points.shape[1], 64)) / 2)
    signal = hidden @ rng.normal(size=(64, width)) / 8
    return (signal + rng.normal(size=signal.shape)).astype(np.float32)


def generate(folder, shrink, seed=0):
    """Writes the three files into a folder (pathlib.Path)."""
    rng = np.random.default_rng(seed)
    centres = 0.7 * rng.normal(size=(CLASSES, LATENT))
    arrays = {split: {} for split in SHARES}
    points = {}
    for modality, (width, items) in MODALITIES.items():
        size = items // shrink
        labels = np.arange(size) % CLASSES
        group = "paired" if modality in ("image", "text") else modality
        if group not in points:
            points[group] = centres[labels] + rng.normal(size=(size, LATENT))
        matrix = views(rng, points[group], width)
        bounds = np.cumsum([round(size * share / CLASSES) * CLASSES for share in SHARES.values()])[:-1]
        for split, rows in zip(SHARES, np.split(np.arange(size), bounds), strict=True):
            arrays[split][modality] = matrix[rows]
            arrays[split]["label" if group == "paired" else f"label_{modality}"] = labels[rows]
    folder.mkdir(parents=True, exist_ok=True)
    for split, found in arrays.items():
        np.savez(folder / f"{split}.npz", **found)


def main():
    """Generates, trains and prints."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--joint", action="store_true")
    parser.add_argument("--shrink", type=int, default=1)
    parser.add_argument("--model", default="ms2gan")
    own, flags = parser.parse_known_args()
    if not (own.folder / "data/test.npz").exists():
        generate(own.folder / "data", own.shrink)
    from tfxmr.__main__ import main as tfxmr

    run = own.folder / (own.model if own.model != "ms2gan" else "joint" if own.joint else "pairs")
    status = tfxmr([
        "train", f"--model={own.model}", "--dataset=npz", f"--data_dir={own.folder}/data", "--protocol=standard",
        f"--run_dir={run}", *(["--joint"] if own.joint else []), *flags,
    ])
    if status:
        return status
    metrics = json.loads((run / "results.json").read_text())["metrics"]
    gains = [m["value"] - m["chance"] for m in metrics if m["task"] != "average"]
    print(f"{sum(gain > 0 for gain in gains)} of {len(gains)} tasks beat chance, the least by {min(gains):.3f}")
    print(f"peak resident memory {resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024:.0f} MiB")
    return 0


if __name__ == "__main__":
    sys.exit(main())
