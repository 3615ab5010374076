"""The base of the neural methods: what it builds by name, and what a method says by an attribute alone."""
import dataclasses

import pytest
from made_up import random_data

from tfxmr import testing
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.models.base import Method, MethodSettings

NEURAL = {name: method for name, method in registry.methods() if issubclass(method, Method)}
WIDTHS = [
    (name, field.name) for name, method in NEURAL.items() for field in dataclasses.fields(method.Settings)
    if isinstance(field.default, tuple) and field.default and isinstance(field.default[0], int)
]


class Linear(Method):
    """One linear layer a modality."""

    def make_networks(self, data):
        return self.towers({m: (d, (3,)) for m, d in data.dims.items()} | {"head": (3, (2, 1), {"stddev": 0.5})}, init="torch")


def test_towers_are_those_of_tower():
    """Guards against towers whose weights depend on their order, or whose own arguments are lost."""
    model = Linear(random_data(), MethodSettings(batch_size=8), seed=3)
    alone = {"image": model.tower("image", 7, (3,), init="torch"), "head": model.tower("head", 3, (2, 1), stddev=0.5)}
    assert list(model.networks) == ["image", "text", "head"]
    for name, tower in alone.items():
        for one, other in zip(tower.variables, model.networks[name].variables, strict=True):
            assert (one.numpy() == other.numpy()).all(), name


@pytest.mark.parametrize("corrected, sampler", [(False, "items"), (True, "contrasted")])
def test_a_method_names_its_sampler_and_epsilon(corrected, sampler):
    """Guards against attributes that no batch and no optimizer look at."""
    method = type("Named", (Linear,), {"torch_epsilon": corrected, "sampler": sampler})
    model = method(random_data(), MethodSettings(batch_size=8, steps=5))
    model.compile()
    assert model.player_optimizers["joint"].epsilon_corrected == corrected
    assert [(stage.steps, stage.sampler) for stage in model.stages] == [(5, sampler)]


@pytest.mark.parametrize("name, setting", WIDTHS)
def test_no_widths(name, setting):
    """Guards against widths that are missing and found so only when a layer is made: --adversary_units= of tpckt crashed.

    Either the setting refuses to be empty, by its flag, or the method trains without these layers.
    """
    try:
        model, training = testing._made(NEURAL[name], None, {setting: ()})
    except InputError as error:
        assert f"--{setting}=" in str(error)
        return
    assert all(outcome for _, outcome in testing._outcomes(model, training))
