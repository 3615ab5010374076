"""Which trials a search makes: all, in which order, and the same again."""
import dataclasses
import itertools
import pathlib
import re

import pytest

from tfxmr.core.settings import Settings, setting
from tfxmr.tuning import grid, options, oracles, tuner
from tfxmr.tuning.options import KINDS, centre, num_trials, round_defaults


@dataclasses.dataclass(frozen=True)
class Example(Settings):
    a: int = setting(2, "A.")
    b: float = setting(0.5, "B.")
    c: str = setting("x", "C.")


GRID = {"a": (1, 2, 3), "b": (0.1, 0.5), "c": ("x", "y")}
ALL = set(itertools.product(*GRID.values()))


@pytest.fixture
def ask(tmp_path):
    """A function that lists the combinations that an oracle proposes in turn, told `value` of each; None: it failed."""
    def all_of(kind, count=0, seed=0, grid=GRID, value=lambda a, b, c: a + b):
        oracle = oracles.make(kind, grid, Example(), num_trials(kind, grid, count), seed, tmp_path / "scratch")
        found = []
        while trial := oracles.propose(oracle):
            found.append(tuple(grid[name][i] for name, i in trial.hyperparameters.values.items()))
            oracles.tell(oracle, trial, value(*found[-1]))
        return found

    return all_of


def test_grid(ask):
    """Guards against combinations left out or repeated, and a bounded search that begins anywhere but the defaults."""
    found = ask("grid")
    assert len(found) == 12 and set(found) == ALL
    assert found[:3] == [(2, 0.5, "x"), (2, 0.5, "y"), (2, 0.1, "x")]
    assert ask("grid", 5) == found[:5]
    assert len(ask("grid", 100)) == 12


def test_random(ask):
    """Guards against trials made twice, a small grid not seen whole, and a seed 0 that Keras Tuner takes for none."""
    found = ask("random")
    assert len(found) == 12 and set(found) == ALL
    assert found == ask("random") != ask("random", seed=1)
    assert ask("random", 4) == found[:4]
    assert num_trials("random", {"a": range(100)}) == 30


def test_bayesian(ask):
    """Three random trials and two guessed ones; guards against trials made twice, as Keras Tuner makes them on a grid."""
    grid, value = {"a": (1, 2, 3, 4, 5)}, {"value": lambda a: a}
    found = ask("bayesian", grid=grid, **value)
    assert sorted(found) == [(1,), (2,), (3,), (4,), (5,)]
    assert ask("bayesian", grid=grid, **value) == found


@pytest.mark.parametrize("sign", [1, -1])
def test_bayesian_climbs(sign, ask):
    """Guards against a search for the worst: after six random trials the next lies up a plain slope."""
    grid = {"a": tuple(range(20)), "b": tuple(range(20))}
    a, b = ask("bayesian", 7, 0, grid, lambda a, b: sign * (a + b))[-1]
    assert (a + b > 25) if sign == 1 else (a + b < 13)


def test_one_factor(ask):
    """Round the defaults (2, .5, x); by hand."""
    assert ask("one_factor") == [(2, 0.5, "x"), (1, 0.5, "x"), (3, 0.5, "x"), (2, 0.1, "x"), (2, 0.5, "y")]
    assert num_trials("one_factor", GRID) == 5
    assert ask("one_factor", 2) == [(2, 0.5, "x"), (1, 0.5, "x")]


def test_one_factor_round_a_value_that_the_grid_lacks():
    """Guards against sweeps round another point than the user's settings."""
    settings = Example(a=7)
    grid = round_defaults(GRID, settings)
    assert grid == GRID | {"a": (7, 1, 2, 3)} and round_defaults(grid, settings) == grid
    assert centre(grid, settings) == {"a": 0, "b": 1, "c": 0}


@pytest.mark.parametrize("kind", oracles.KINDS)
def test_failures_do_not_end_a_search(kind, ask):
    """Guards against Keras Tuner's end after three failures in a row."""
    found = ask(kind, 8, value=lambda *_: None)
    assert len(set(found)) == len(found) == num_trials(kind, GRID, 8) > 4


def test_no_files(tmp_path, monkeypatch, ask):
    """Guards against Keras Tuner's own state, which no kill leaves whole, beside the run folders, and one that grows."""
    monkeypatch.chdir(tmp_path)
    assert tuple(oracles.KINDS) == KINDS  # the flag's choices
    for kind in oracles.KINDS:
        ask(kind, 3)
    assert {path.name for path in tmp_path.iterdir()} == {"scratch"}
    assert {path.name for path in (tmp_path / "scratch").rglob("*.json")} == {"trial.json"}


def test_public_interface(tmp_path):
    """Guards against private parts of Keras Tuner, which any version of it may change."""
    made = [oracles.make(kind, GRID, Example(), 1, 0, tmp_path) for kind in oracles.KINDS]
    private = "|".join({name for oracle in made for name in dir(oracle) if re.fullmatch("_[a-z].*", name)})
    for path in pathlib.Path(oracles.__file__).parent.glob("*.py"):
        text = path.read_text(encoding="utf-8")
        assert not re.search(rf"\.({private})\b|def ({private})\(|keras_tuner\.src", text), path


def test_no_keras_tuner_before_it_is_asked():
    """Guards against the seconds that its import takes, in refusals and in the processes of single trials."""
    for module in (tuner, options, grid):
        assert not {"oracles", "keras_tuner"} & set(vars(module))
