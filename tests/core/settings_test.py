"""Tests of the checks of settings."""
import dataclasses

import pytest

from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    steps: int = setting(5, "Steps.", minimum=1)
    rate: float = setting(0.5, "Rate.", minimum=0.0, maximum=1.0)
    kind: str = setting("a", "Kind.", choices=("a", "b"))
    units: tuple = setting((4, 2), "Widths.", minimum=1)
    parts: tuple = setting((), "Parts.", choices=("x", "y"))


def test_limits_belong_to_the_range():
    assert Example(steps=1, rate=0.0, units=()).rate == 0
    assert Example(rate=1.0, kind="b").kind == "b"
    assert Example(parts=("y", "x")).parts == ("y", "x")


@pytest.mark.parametrize("change, message", [
    ({"steps": 0}, r"--steps=0: must be >= 1"),
    ({"rate": 1.5}, r"--rate=1\.5: must be <= 1\.0"),
    ({"rate": float("nan")}, r"--rate=nan: give a finite number"),
    ({"rate": float("inf")}, r"--rate=inf: give a finite number"),
    ({"kind": "c"}, r"--kind=c: choose one of a, b"),
    ({"parts": ("x", "z")}, r"--parts=z: choose one of x, y"),
    ({"units": (4, 0)}, r"--units=\(4, 0\): must be >= 1"),
])
def test_refuses(change, message):
    """Guards against a value outside its range that is found only hours later; the message names flag and remedy."""
    with pytest.raises(InputError, match=message):
        Example(**change)


def test_frozen():
    """Guards against settings that change after they were checked and written down."""
    with pytest.raises(dataclasses.FrozenInstanceError):
        Example().steps = 0
