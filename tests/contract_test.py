"""What every method in tfxmr/models and tfxmr/baselines keeps: a new one is held to it without a line here."""
import dataclasses

import numpy as np
import pytest

from tfxmr import registry
from tfxmr.data import protocol
from tfxmr.errors import InputError
from tfxmr.models.base import Method
from tfxmr.training.run import RunOptions, evaluate, run

NARROW = {"batch_size": 8, "steps": 2, "epochs": 0}  # and every tuple of widths
OPTIONS = RunOptions(validation_fraction=0.2)  # for the methods that select on validation


def quick(method):
    """A method's settings, made small."""
    small = {}
    for field in dataclasses.fields(method.Settings):
        if field.name in NARROW:
            small[field.name] = NARROW[field.name]
        elif isinstance(field.default, tuple):
            small[field.name] = tuple(min(v, 12) for v in field.default)
    return method.Settings(**small)


@pytest.fixture
def data(make_data):
    return make_data(classes=6, train=60, test=24)


@pytest.mark.parametrize("name", registry.names())
def test_contract(name, data, tmp_path):
    """Trains, saves, loads, encodes, evaluates, repeats itself, and refuses features of the wrong width."""
    method = registry.get(name)
    assert method.paper and method.certainty and method.__doc__
    for field in dataclasses.fields(method.Settings):
        assert field.metadata["help"], f"--{field.name} has no help"
    rule = protocol.make("zero_shot" if method.zero_shot else "standard", data)
    settings = quick(method)
    results = run(method, settings, data, rule, tmp_path / "one", OPTIONS)
    for m in results["metrics"]:
        assert 0 < m["value"] <= 1 and 0 < m["chance"] < 1
        assert m["num_queries"] > 0 and m["gallery_size"] > 0
    assert evaluate(method, settings, data, rule, tmp_path / "one", OPTIONS) == results["metrics"]
    assert run(method, settings, data, rule, tmp_path / "two", OPTIONS)["metrics"] == results["metrics"]


@pytest.mark.parametrize("name", registry.names())
def test_encoding(name, data):
    """One row an item, in every modality the same width; another width is refused, both widths named."""
    method_class = registry.get(name)
    training = protocol.make("standard", data).training_data(data)
    if issubclass(method_class, Method):
        encode = method_class(training, quick(method_class)).encode
    else:
        encode = method_class(quick(method_class)).fit(training).transform
    widths = set()
    for m in method_class.modalities or data.modalities:
        made = encode(m, training.splits["train"].features[m][:5])
        assert made.shape[0] == 5 and np.isfinite(made).all()
        widths.add(made.shape[1])
        with pytest.raises(InputError, match=rf"{data.dims[m] + 1}.*{data.dims[m]}"):
            encode(m, np.zeros((2, data.dims[m] + 1)))
    assert len(widths) == 1


@pytest.mark.parametrize("name", registry.names())
def test_missing_modality(name, make_data):
    method_class = registry.get(name)
    data = make_data(dims={"image": 4, "sound": 3}) if "text" in method_class.modalities else None
    if data is None:
        pytest.skip("the method takes any modalities")
    training = protocol.make("standard", data).training_data(data)
    with pytest.raises(InputError, match="text"):
        if issubclass(method_class, Method):
            method_class(training, quick(method_class))
        else:
            method_class(quick(method_class)).check(training)
