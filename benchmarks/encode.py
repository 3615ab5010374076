"""Time of `tfxmr encode` on feature rows against that of the network alone.

    python benchmarks/encode.py [--rows=100000] [--width=1024] [--repeats=3]

The network is MS2GAN's at its paper's widths, with z-scored features. "network" calls the method on normalised features
in memory, as evaluation does; "encode" maps the file, checks and normalises its rows, and writes vectors with a log.
Both take turns in one process; the fastest of each is compared, which the machine's load disturbs least.
"""
import argparse
import pathlib
import tempfile
import time

import numpy as np

import tfxmr
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.encoding import stream
from tfxmr.evaluation import protocol
from tfxmr.models.ms2gan import MS2GAN, MS2GANSettings
from tfxmr.runs.options import RunOptions
from tfxmr.runs.run import run


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
            start = time.perf_counter()
            expected = encoder.method.represent("image", normalised)
            network.append(time.perf_counter() - start)
            start = time.perf_counter()
            source = stream.features([str(folder / "rows.npy")], encoder, "image")
            stream.encode(encoder, "image", source, folder / f"out{number}", lambda done, total: None)
            whole.append(time.perf_counter() - start)
        np.testing.assert_array_equal(np.load(folder / "out0/image.npy"), expected)
    print(f"{args.rows:,} x {args.width} -> {expected.shape[1]}; fastest of {args.repeats}")
    print(f"network {min(network):.2f} s, encode {min(whole):.2f} s, ratio {min(whole) / min(network):.2f}")


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
