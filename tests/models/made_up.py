"""Small random data for tests of neural methods, and what they look at in a model."""
import functools
import itertools
import types

import numpy as np

from tfxmr.data import MultiModalData, Split
from tfxmr.engine import sampling
from tfxmr.evaluation import mean_average_precision

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


def scores(model, split):
    """mAP of a split's items by direction, (query modality, gallery modality) -> float."""
    codes = {m: model.encode(m, split.features[m]) for m in split.features}
    return {
        (a, b): mean_average_precision(codes[a], codes[b], split.labels[a], split.labels[b])
        for a, b in itertools.permutations(codes, 2)
    }


def products(method, shapes, settings):
    """The parameters of every product of the networks that MHTN or TPCKT makes, without gigabytes of weights."""
    me = types.SimpleNamespace(settings=settings, adversarial=True)
    me.block = lambda name, inputs, sources=("",): inputs * settings.units + settings.units

    def tower(name, inputs, units, **arguments):
        return sum(a * b + b for a, b in zip((inputs, *units), units, strict=False))

    me.tower, me.branch, me.head = tower, functools.partial(method.branch, me), functools.partial(method.head, me)
    return method.make_networks(me, shapes)


def sigmoid(x):
    """In NumPy."""
    return 1 / (1 + np.exp(-x))


UNITS = {"sigmoid": sigmoid, "tanh": np.tanh}


def layers_by_hand(network, x, unit, last):
    """A tower in NumPy, of units after each layer, after the last one if `last`."""
    found = [v.numpy() for v in network.trainable_variables]
    for i in range(0, len(found), 2):
        x = x @ found[i] + found[i + 1]
        x = unit(x) if i + 2 < len(found) or last else x
    return x


def weights(model, name):
    """The trainable weights of a network, as NumPy arrays."""
    return [v.numpy() for v in model.networks[name].trainable_variables]


def reached(tape, target, model):
    """Names of the networks to which a loss's gradient comes."""
    found = tape.gradient(target, {n: net.trainable_variables for n, net in model.networks.items()})
    return {n for n, gs in found.items() if any(g is not None and np.any(g) for g in gs)}
