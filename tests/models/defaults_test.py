"""Defaults on raw features, of methods whose paper pre-trains what is not pre-trained here."""
import dataclasses

import numpy as np
import pytest

from tfxmr.core import registry
from tfxmr.data import MultiModalData, Split
from tfxmr.data.normalisation import normalise_features
from tfxmr.engine import sampling
from tfxmr.evaluation import mean_average_precision

CLASSES, BATCH = 10, 100
# CMDN's stages, with the authors' logistic units and rates, need more steps: see contract_test.py for these defaults
OWN = {"cmdn": {"variant": "together", "optimizer": "adam", "learning_rate": 3e-4}}


def raw_data():
    """400 and 100 pairs as networks and text models give them: far from mean 0, images long and texts short."""
    rng, splits = np.random.default_rng(0), {}
    shapes = {"image": (64, 5.0), "text": (32, 0.1)}  # width, scale
    means = {m: rng.normal(size=(CLASSES, 8)) @ rng.normal(size=(8, d)) for m, (d, _) in shapes.items()}
    offset = {m: 3 * rng.normal(size=d) for m, (d, _) in shapes.items()}
    for name, items in (("train", 400), ("test", 100)):
        labels = np.arange(items) % CLASSES
        features = {
            m: scale * (means[m][labels] + offset[m] + 1.2 * rng.normal(size=(items, d)))
            for m, (d, scale) in shapes.items()
        }
        splits[name] = Split.of_pairs(features, labels)
    return MultiModalData("raw", splits, [f"class {c}" for c in range(CLASSES)])


@pytest.mark.parametrize("name", ["ccl", "cmdn", "corr_ae", "dcca"])
def test_default_retrieves(name):
    """Guards against a default that is neither the paper's nor good: logistic units without their machines.

    100 steps of each stage at the default rate, depth and units, in narrow layers; chance is .1. CMDN's stages at once
    with logistic units have .13, with tanh .39.
    """
    method, data = registry.get(name), raw_data()
    settings = method.Settings(batch_size=BATCH, steps=100, **OWN.get(name, {}))
    narrow = {
        f.name: tuple(min(width, 64) for width in getattr(settings, f.name))
        for f in dataclasses.fields(settings) if f.name.endswith("units") and isinstance(f.default, tuple)
    }
    data = normalise_features(data, settings.feature_norm, data.splits["train"])
    model = method(data, dataclasses.replace(settings, **narrow), seed=0)
    model.compile()
    for number in range(len(model.stages)):
        model.enter(number, data)
        start = model.stage_start
        model.take_steps(sampling.stage_batches(model, data, 0, start, start + 100))
    test = data.splits["test"]
    retriever = model.retriever(data)
    codes = {m: retriever.represent(m, test.features[m]) for m in data.dims}
    for a, b in (("image", "text"), ("text", "image")):
        assert mean_average_precision(codes[a], codes[b], test.labels[a], test.labels[b]) > 0.2
