"""What tests of whole runs share: a small dataset in a folder."""
import numpy as np
import pytest


@pytest.fixture(scope="module")
def data_dir(tmp_path_factory):
    """A folder of random matrices with four classes and word vectors of their names."""
    folder = tmp_path_factory.mktemp("npz")
    rng = np.random.default_rng(0)
    for split, n in (("train", 80), ("test", 40)):
        np.savez(
            folder / f"{split}.npz", image=rng.normal(size=(n, 30)), text=rng.normal(size=(n, 20)),
            label=np.arange(n) % 4,
        )
    names = ["one", "two", "three", "four"]
    (folder / "classes.txt").write_text("\n".join(names) + "\n")
    lines = [f"{name} {' '.join(f'{v:.4f}' for v in rng.normal(size=8))}" for name in names]
    (folder / "words.txt").write_text("\n".join(["4 8", *lines]) + "\n")
    return folder
