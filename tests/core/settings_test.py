"""Tests of the checks of settings."""
import dataclasses

import pytest

from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, changed, options, setting


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    steps: int = setting(5, "Steps.", minimum=1)
    rate: float = setting(0.5, "Rate.", minimum=0.0, maximum=1.0)
    kind: str = setting("a", "Kind.", choices=("a", "b"))
    units: tuple = setting((4, 2), "Widths.", minimum=1)
    parts: tuple = setting((), "Parts.", choices=("x", "y"))
    layers: tuple = setting((8,), "Widths of layers that must be there.", minimum=1, parts=1)
    three: tuple = setting((1, 2, 3), "Three or more.", parts=3)


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
    ({"layers": ()}, r"--layers=: give at least 1 number, such as --layers=8"),
    ({"three": (1, 2)}, r"--three=1,2: give at least 3 numbers, such as --three=1,2,3"),
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


@dataclasses.dataclass(frozen=True)
class Other(Example):
    steps: int = changed(7, "A choice.")
    rate: float = changed(grid=(0.1, 0.2))
    kind: str = changed("c", help_text="Other kind.", choices=("b", "c"))
    own: int = setting(1, "Own.", affects="scoring")


def test_a_subclass_says_only_what_it_changes():
    """Guards against a range, choices or an order of options that are lost where a subclass changes a default."""
    base, found = options(Example), options(Other)
    assert list(found) == [*base, "own"]
    assert (Other().steps, Other().rate, Other().kind, Other().units) == (7, 0.5, "c", (4, 2))
    assert found["steps"].metadata == base["steps"].metadata | {"help": "Steps. A choice."}
    assert found["rate"].metadata == base["rate"].metadata | {"grid": (0.1, 0.2)}
    assert found["kind"].metadata == base["kind"].metadata | {"help": "Other kind.", "choices": ("b", "c")}
    assert base["steps"].metadata["help"] == "Steps." and Example().steps == 5  # the base is as it was
    with pytest.raises(InputError, match="--steps=0: must be >= 1"):
        Other(steps=0)


def test_what_no_base_declares_is_not_changed():
    with pytest.raises(TypeError, match=r"Wrong\.stpes: no base declares it"):
        class Wrong(Example):
            stpes: int = changed(3)


def test_affects_is_one_of_three():
    """Guards against a kind that no comparison of runs knows, by which an option would be passed over."""
    with pytest.raises(AssertionError, match="score"):
        setting(1, "One.", affects="score")
