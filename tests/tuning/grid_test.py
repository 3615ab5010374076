"""Grids as text: what is read, what is refused, and what the methods declare."""
import dataclasses

import pytest

from tfxmr.core import registry, settings
from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, setting
from tfxmr.tuning import grid


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    steps: int = setting(5, "Steps.", minimum=1)
    rate: float = setting(0.5, "Rate.", minimum=0.0, maximum=1.0, grid=(0.1, 0.5))
    kind: str = setting("a", "Kind.", choices=("a", "b"))
    fast: bool = setting(False, "Fast.")
    units: tuple = setting((4, 2), "Widths.", minimum=1)
    parts: tuple = setting((), "Parts.", choices=("x", "y"))


TEXT = "rate=0.1,1e-05,1.0;steps=3,1;kind=b,a;fast=true,false;units=8 4,6;parts=,x y,y"
GRID = {
    "rate": (0.1, 1e-5, 1.0), "steps": (3, 1), "kind": ("b", "a"), "fast": (True, False), "units": ((8, 4), (6,)),
    "parts": ((), ("x", "y"), ("y",)),
}


def parse(*lines):
    return grid.parse([(f"line {i}", line) for i, line in enumerate(lines, 1)], Example)


def test_text_and_back():
    assert parse(TEXT) == GRID
    assert grid.to_text(GRID) == TEXT
    assert list(parse("steps=1", "rate=1")) == ["steps", "rate"]
    assert [type(v) for v in parse("rate=0,1")["rate"]] == [float, float]


def test_file(tmp_path):
    path = tmp_path / "grid.txt"
    path.write_text("# thresholds\n\n rate = 0.1, 1e-5, 1  # of the loss\nsteps=3,1\nunits = 8  4, 6\n")
    assert grid.read_file(path, Example) == {name: GRID[name] for name in ("rate", "steps", "units")}
    path.write_text("steps=3\nrate=2\n")
    with pytest.raises(InputError, match=r"grid\.txt, line 2: --rate=2\.0: must be <= 1\.0"):
        grid.read_file(path, Example)
    with pytest.raises(InputError, match=r"--grid_file=.*none\.txt: cannot be read"):
        grid.read_file(tmp_path / "none.txt", Example)


@pytest.mark.parametrize("lines, message", [
    (["setps=1"], "line 1: no setting 'setps'; this method has steps, rate, kind"),
    (["steps"], "line 1: 'steps': write NAME=VALUE,VALUE"),
    (["steps=1,two"], "line 1: steps has 'two'; write a whole number"),
    (["steps=1.5"], "line 1: steps has '1.5'; write a whole number"),
    (["steps=1,,2"], "line 1: steps has ''; write a whole number"),
    (["rate="], "line 1: rate has ''; write a number"),
    (["rate=nan"], "line 1: --rate=nan: give a finite number"),
    (["steps=2", "rate=0.1,-1"], r"line 2: --rate=-1\.0: must be >= 0"),
    (["kind=a,c"], "line 1: --kind=c: choose one of a, b"),
    (["fast=yes"], "line 1: fast has 'yes'; write true or false"),
    (["units=4 x"], "line 1: units has '4 x'; write whole numbers with spaces"),
    (["parts=z"], "line 1: --parts=z: choose one of x, y"),
    (["steps=1", "rate=1;steps=2"], "line 2: steps is there twice"),
    (["rate=1,0.5,1.0"], "line 1: rate has a value twice"),
])
def test_refuses(lines, message):
    """Guards against a grid with a slip that is found hours later, or never: the place and the remedy are named."""
    with pytest.raises(InputError, match=message):
        parse(*lines)


@pytest.mark.parametrize("name", registry.names())
def test_declared_grids(name):
    """Guards against a declared value out of its setting's range, and a grid that leaves out the paper's value."""
    declared = grid.declared(registry.get(name).Settings)
    fields = {f.name: f for f in dataclasses.fields(registry.get(name).Settings)}
    for setting_name, values in declared.items():
        assert fields[setting_name].default in values and len(set(values)) == len(values) > 1
        for value in values:
            settings.check(fields[setting_name], value)
            assert type(value) is type(fields[setting_name].default)


def test_the_papers_grid():
    """MS2GAN's is that of section 4.3, and a range of learning rates."""
    found = grid.declared(registry.get("ms2gan").Settings)
    assert found["tau"] == found["zeta"] == tuple(range(1, 11))
    assert found["alpha"] == found["beta"] == (0.01, 0.1, 1, 10, 100)
    assert set(found) == {"tau", "zeta", "alpha", "beta", "learning_rate"}
    assert min(found["learning_rate"]) == 1e-4 and max(found["learning_rate"]) == 1e-3


def test_flag_lines():
    assert [settings.line("a", v) for v in (1e-5, True, False, (8, 4), ())] == ["--a=1e-05", "--a", "--noa", "--a=8,4", "--a="]
