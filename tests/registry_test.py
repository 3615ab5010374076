"""Tests of the registry: every module of the two folders is a method."""
import pathlib

import pytest

import tfxmr
from tfxmr import registry
from tfxmr.baselines.base import Baseline
from tfxmr.errors import InputError
from tfxmr.models.base import Method

FOLDERS = {"models": Method, "baselines": Baseline}


def files(folder):
    names = {p.stem for p in (pathlib.Path(tfxmr.__file__).parent / folder).glob("*.py")}
    return {name for name in names if not name.startswith("_") and name != "base"}


def test_names_are_files():
    assert set(registry.names()) == files("models") | files("baselines")
    assert {"cca", "danzcr"} <= set(registry.names())
    assert registry.names() == sorted(registry.names())


@pytest.mark.parametrize("folder", FOLDERS)
def test_every_method(folder):
    """Guards against a module whose method is not found, or another method's imported class found instead."""
    package = getattr(tfxmr, folder)
    assert set(package.names()) == files(folder)
    for name in package.names():
        method = package.get(name)
        assert issubclass(method, FOLDERS[folder]) and method.__module__ == f"tfxmr.{folder}.{name}"
        assert method is registry.get(name)
        assert method.paper and isinstance(method.modalities, tuple)  # () takes any
        assert method.Settings().feature_norm in ("none", "l2", "zscore", "minmax")


def test_unknown():
    with pytest.raises(InputError, match="--model=svm: no such method; there are .*cca.*danzcr"):
        registry.get("svm")
    with pytest.raises(InputError, match="--model=danzcr: no such method; there are .*cca"):
        tfxmr.baselines.get("danzcr")
    with pytest.raises(InputError, match="--model=base: no such method"):
        registry.get("base")
