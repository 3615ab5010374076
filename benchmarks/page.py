"""Processor time of the page of `tfxmr search --web` for each kind of query.

    tfxmr train --model=cca --dataset=scenes --protocol=standard --run_dir=runs/page
    python benchmarks/page.py --run_dir=runs/page [--repeats=20]

Each query is asked of a page in this process, the first apart: it imports, and makes the images that later ones show
again.
"""
import argparse
import io
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: F401, I001  (before NumPy: it chooses NumPy's sort)
import numpy as np
from PIL import Image

from tfxmr.encoding.media import Media
from tfxmr.search.page.app import make_app
from tfxmr.search.query import Searcher


def queries(searcher, client, rng):
    """Name -> a function that asks one, drawn by rng."""
    items = {m: searcher.index.items({"modality": [m]}).ids for m in searcher.modalities}
    photo = io.BytesIO()
    Image.fromarray(rng.integers(256, size=(1200, 1600, 3), dtype=np.uint8)).save(photo, "JPEG")
    words = "a red boat on the sea", "a green tree", "two cows in a field", "a large ship at night"

    def upload():
        return client.post("/", data={"by": "image", "image": (io.BytesIO(photo.getvalue()), "photo.jpg")})

    found = {f"by an item, {m}": lambda m=m: client.get("/", query_string={"item": rng.choice(items[m]), "of": m})
             for m in items}
    return {"sentence": lambda: client.get("/", query_string={"text": rng.choice(words)}),
            "image, 2 megapixels": upload,
            "start": lambda: client.get("/", query_string={"draw": rng.integers(1000)}), **found}


def main():
    """Prints a line a query."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--run_dir", required=True)
    parser.add_argument("--repeats", type=int, default=20)
    options = parser.parse_args()
    searcher = Searcher.of(options.run_dir)
    client = make_app([searcher], Media(searcher.encoder), ["run"]).test_client()
    print(searcher.index.info()["items"])
    for name, ask in queries(searcher, client, np.random.default_rng(0)).items():
        took = []
        for _ in range(1 + options.repeats):
            start = time.process_time()
            assert ask().status_code == 200, name
            took.append(1000 * (time.process_time() - start))
        print(f"{name:20} first {took[0]:4.0f} ms, then median {np.median(took[1:]):4.0f}, most {max(took[1:]):4.0f}")


if __name__ == "__main__":
    main()
