"""Trains methods on `scenes` with several classes an item: its kind, its place, and what stands beside it, 37 in all.

    python benchmarks/several_classes.py runs/several_classes

writes the images with `metadata.jsonl`, makes features of them, trains each method that takes several classes with its
defaults (neural ones for --steps steps) and prints the table.
"""
import argparse
import json
import pathlib

import numpy as np
from PIL import Image
from tfxmr_datasets.scenes import generator

from tfxmr.__main__ import main

METHODS = ("cca", "sm", "scm", "lcfs", "lgcfl", "jrl", "sdml", "dscmr", "acmr")
SIZES = {"train": 80, "test": 20}  # items of each kind, as of `scenes`


def write(folder: pathlib.Path) -> None:
    """Writes the scenes as Hugging Face's imagefolder, whose classes are lists."""
    for split, count in SIZES.items():
        (folder / split).mkdir(parents=True)
        rows = []
        for label, thing in enumerate(generator.world.THINGS):
            for number in range(count):
                # The first draws of an item are those of what it shows.
                scene = generator.sample_scene(
                    label, np.random.default_rng([generator.SEED, generator.STREAMS[split], label, number])
                )
                item = generator.example(split, label, number)
                Image.fromarray(item["image"]).save(folder / split / f"{item['id']}.png")
                rows.append({
                    "file_name": f"{item['id']}.png", "text": item["text"],
                    "class": [thing.name, f"at {scene.place}", *(f"with {extra}" for extra in scene.extras)],
                })
        (folder / split / "metadata.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))


def run() -> None:
    """Writes, extracts, trains and compares."""
    parser = argparse.ArgumentParser()
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--methods", default=",".join(METHODS))
    parser.add_argument("--steps", default="1000")
    asked = parser.parse_args()
    media, features, runs = (asked.out / name for name in ("media", "features", "runs"))
    if not media.exists():
        write(media)
    if not features.exists():
        assert main(["extract", "--dataset=folder", f"--data_dir={media}", f"--out={features}",
                     "--image_features=descriptor", "--text_features=tfidf300"]) == 0
    main(["describe", "--dataset=features", f"--features={features}"])
    for name in asked.methods.split(","):
        steps = [f"--steps={asked.steps}"] if name in ("sdml", "dscmr", "acmr") else []
        command = ["train", f"--model={name}", "--dataset=features", f"--features={features}", "--protocol=standard"]
        assert main([*command, *steps, "--feature_norm=zscore", f"--run_dir={runs}/{name}"]) == 0
    main(["compare", *(f"{runs}/{name}" for name in asked.methods.split(","))])


if __name__ == "__main__":
    run()
