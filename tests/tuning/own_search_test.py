"""The example of a search by Optuna that docs/tuning.md has, with a stand-in for Optuna, which is no dependency."""
import pathlib
import re
import sys
import types

import tfxmr

PAGE = pathlib.Path(__file__).parents[2] / "docs/tuning.md"


class Study:
    """As much of Optuna's as the example uses: asks for two trials, whatever their number is to be."""

    def optimize(self, objective, n_trials):
        self.values = [objective(Trial(number)) for number in range(2)]
        self.best_trial = max((Trial(number) for number in range(2)), key=lambda trial: self.values[trial.number])
        self.best_params = {"components": self.best_trial.suggest_int(), "ridge": self.best_trial.suggest_float()}


class Trial:
    def __init__(self, number):
        self.number = number

    def suggest_int(self, *bounds):
        return (10, 3)[self.number]

    def suggest_float(self, *bounds, log=True):
        return 1.0


def test_the_example_of_optuna(monkeypatch, tmp_path, make_data):
    """Guards against an example that the interface has left behind."""
    code = next(block for block in re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.S) if "optuna" in block)
    monkeypatch.setitem(sys.modules, "optuna", types.SimpleNamespace(create_study=lambda **options: Study()))
    data = make_data(classes=10, train=100, test=20, dims={"image": 12, "text": 12}, noise=1.0)
    monkeypatch.setattr(tfxmr, "load_data", lambda name: data)  # less of them
    monkeypatch.chdir(tmp_path)
    found = {}
    exec(code, found)  # of this project's own page
    assert len(set(found["study"].values)) == 2 and all(0.1 < value < 1 for value in found["study"].values)
    assert found["best"].path.name.startswith("best_000") and found["best"].results["metrics"]
