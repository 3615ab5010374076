"""Small random data for tests of neural methods, and what they look at in a model."""
import numpy as np

from tfxmr.data import MultiModalData, Split
from tfxmr.engine import sampling

DIMS = {"image": 7, "text": 5}
THREE = {"image": 7, "text": 5, "audio": 4}
BATCH = 8


def random_data(dims=DIMS, classes=3, items=24, shift=0.0):
    """Paired normal features (items, d) around `shift`, labels 0, 1 ... in turn."""
    rng = np.random.default_rng(0)
    features = {m: shift + rng.normal(size=(items, d)) for m, d in dims.items()}
    split = Split.of_pairs(features, np.arange(items) % classes)
    return MultiModalData("random", {"train": split}, [f"class {c}" for c in range(classes)])


def first_batch(dims=DIMS):
    """The first 8 items that a run with seed 0 would see of such data."""
    return next(iter(sampling.batches(random_data(dims).splits["train"], BATCH, 0, 0, 1)))


def weights(model, name):
    """The trainable weights of a network, as NumPy arrays."""
    return [v.numpy() for v in model.networks[name].trainable_variables]


def reached(tape, target, model):
    """Names of the networks to which a loss's gradient comes."""
    found = tape.gradient(target, {n: net.trainable_variables for n, net in model.networks.items()})
    return {n for n, gs in found.items() if any(g is not None and np.any(g) for g in gs)}
