"""Time of `tfxmr encode` on feature rows against that of the network alone.

    python benchmarks/encode.py [--rows=100000] [--width=1024] [--repeats=3]

The network is MS2GAN's at its paper's widths, with z-scored features. "network" calls the method on normalised features
in memory, as evaluation does; "encode" maps the file, checks and normalises its rows, and writes vectors with a log.
Both take turns in one process, on one thread; medians and least values of their processor time are compared.
"""
import os

os.environ |= dict.fromkeys(
    ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "TF_NUM_INTEROP_THREADS"), "1"
)  # before NumPy and TensorFlow: processor time of several threads says little

import argparse  # noqa: E402
import pathlib  # noqa: E402
import statistics  # noqa: E402
import tempfile  # noqa: E402
import time  # noqa: E402

import numpy as np  # noqa: E402

import tfxmr  # noqa: E402
from tfxmr.data.multimodal import MultiModalData, Split  # noqa: E402
from tfxmr.encoding import stream  # noqa: E402
from tfxmr.evaluation import protocol  # noqa: E402
from tfxmr.models.ms2gan import MS2GAN, MS2GANSettings  # noqa: E402
from tfxmr.runs.options import RunOptions  # noqa: E402
from tfxmr.runs.run import run  # noqa: E402


def main() -> None:
    """Prints both times and their ratio."""
    parser = argparse.ArgumentParser(description=__doc__)
    for name, default in (("rows", 100_000), ("width", 1024), ("repeats", 3)):
        parser.add_argument(f"--{name}", type=int, default=default)
    args = parser.parse_args()
    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as place:
        folder = pathlib.Path(place)
        encoder = _trained(folder / "run", args.width, rng)
        rows = rng.standard_normal((args.rows, args.width), np.float32)
        np.save(folder / "rows.npy", rows)
        normalised = encoder.normalisations["image"](rows)
        network, whole = [], []
        for number in range(args.repeats):
            start = time.process_time()
            expected = encoder.method.represent("image", normalised)
            network.append(time.process_time() - start)
            start = time.process_time()
            source = stream.features([str(folder / "rows.npy")], encoder, "image")
            stream.encode(encoder, "image", source, folder / f"out{number}", lambda done, total: None)
            whole.append(time.process_time() - start)
        np.testing.assert_array_equal(np.load(folder / "out0/image.npy"), expected)
    print(f"{args.rows:,} x {args.width} -> {expected.shape[1]}; processor time of {args.repeats} turns")
    for name, of in (("median", statistics.median), ("least", min)):
        print(f"{name:6} network {of(network):.2f} s, encode {of(whole):.2f} s, ratio {of(whole) / of(network):.2f}")


def _trained(folder: pathlib.Path, width: int, rng: np.random.Generator) -> tfxmr.encoding.Encoder:
    """MS2GAN after one step."""
    labels = np.arange(80) % 4
    splits = {
        name: Split.of_pairs({m: rng.standard_normal((80, width), np.float32) for m in ("image", "text")}, labels)
        for name in ("train", "test")
    }
    data = MultiModalData("noise", splits, list("abcd"))
    settings = MS2GANSettings(feature_norm="zscore", batch_size=8, steps=1)
    run(MS2GAN, settings, data, protocol.make("standard", data), folder, RunOptions(keep_embeddings=False))
    return tfxmr.load(folder)


if __name__ == "__main__":
    main()
