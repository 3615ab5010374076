"""Which trials a search makes, in which order: Keras Tuner's oracles, and sweeps of one factor at a time."""
import math
import os
from collections.abc import Mapping
from typing import Any

import keras_tuner

from tfxmr.core.settings import Settings
from tfxmr.engine import randomness
from tfxmr.tuning.options import centre

OBJECTIVE = "validation_mAP"


class _Unsaved:
    """An oracle without a file of its state, which would be written twice a trial and grow with each."""

    def save(self) -> None:
        """Does nothing; see `make` on how a search resumes."""


class Grid(_Unsaved, keras_tuner.oracles.GridSearchOracle):
    """Every combination, the defaults first, the last setting's values running fastest."""


class Random(_Unsaved, keras_tuner.oracles.RandomSearchOracle):
    """Random combinations, none of them twice."""

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the next combination; Keras Tuner gives up after 20 that were there before, and is asked again."""
        response = super().populate_space(trial_id)
        for _ in range(50):  # otherwise a search of a small grid ends before it has seen all
            if response["values"]:
                break
            response = super().populate_space(trial_id)
        return response


class Bayesian(_Unsaved, keras_tuner.oracles.BayesianOptimizationOracle):
    """Upper confidence bound of a Gaussian process, after three random combinations a setting.

    Attributes:
      recorded: name -> index of the combination that was proposed before, if it was, which saves guessing it again.
    """

    recorded: dict[str, int] | None = None

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the next combination; a random one where the process would repeat itself, as it does on a grid.

        An oracle with the state of this one and a seed of the trial's own is asked. A resumed search, which does not
        guess again what was proposed, continues so as it would have.
        """
        if self.recorded:
            return {"status": "RUNNING", "values": self.recorded}
        seed = randomness.derive(self.seed, len(self.start_order))
        made = [trial.hyperparameters.values for trial in self.trials.values()]
        for kind in (keras_tuner.oracles.BayesianOptimizationOracle, Random):
            oracle = kind(objective=self.objective, seed=seed)
            oracle.trials = self.trials
            oracle.set_state(self.get_state() | {"seed_state": seed})
            response = oracle.populate_space(trial_id)
            if response["values"] and response["values"] not in made:
                break
        return response


class OneFactor(_Unsaved, keras_tuner.Oracle):
    """The defaults, then each setting's other values in turn, all other settings at their defaults.

    The sensitivity analysis of Wu et al. 2020 (figure 6), for which Keras Tuner has no oracle.
    """

    def populate_space(self, trial_id: str) -> dict[str, Any]:
        """Proposes the next combination."""
        space = self.get_space().space
        base = {hp.name: hp.default for hp in space}
        combinations = [base]
        combinations += [base | {hp.name: v} for hp in space for v in hp.values if v != hp.default]
        number = len(self.start_order)
        if number == len(combinations):
            return {"status": "STOPPED", "values": None}
        return {"status": "RUNNING", "values": combinations[number]}


KINDS = {"grid": Grid, "random": Random, "bayesian": Bayesian, "one_factor": OneFactor}


def make(
    kind: str, grid: Mapping[str, tuple[Any, ...]], settings: Settings, count: int, seed: int,
    scratch: str | os.PathLike,
) -> keras_tuner.Oracle:
    """Makes the oracle of a search. Its hyper-parameters are indices of a setting's values, so that any type will do.

    What it proposes depends on its seed and on what it was told alone, so a new one that is told the ended trials in
    their order continues as the old one would have. That is how a search resumes: the files of Keras Tuner 1.4.8 are
    several, none of them written atomically, and a trial that ran when it was killed is sent to a retry that its
    GridSearchOracle cannot do (keras-tuner issue 1055).

    Args:
      kind: one of KINDS, which are tfxmr.tuning.options.KINDS.
      grid: name -> tuple of values.
      settings: the method's settings; their values are the defaults where the grid has them.
      count: trials to make.
      seed: of the search.
      scratch: folder for what Keras Tuner writes and nobody reads.

    Returns:
      Oracle, which `propose` asks and `tell` tells.
    """
    space, defaults = keras_tuner.HyperParameters(), centre(grid, settings)
    for name, values in grid.items():
        space.Choice(name, list(range(len(values))), default=defaults[name])
    oracle: Any = KINDS[kind](
        objective=keras_tuner.Objective(OBJECTIVE, "max"),
        max_trials=count,
        hyperparameters=space,
        seed=1 + randomness.derive(seed, *b"search"),  # Keras Tuner takes 0 for none
        max_consecutive_failed_trials=math.inf,
    )
    oracle.verbose = 0
    keras_tuner.engine.base_tuner.BaseTuner(oracle, directory=scratch)  # which tells the oracle its folder
    return oracle


def propose(oracle: keras_tuner.Oracle, recorded: Mapping[str, int] | None = None) -> Any:
    """Asks for the next trial.

    Args:
      oracle: as `make` gives it.
      recorded: name -> index of the combination that was proposed in its place before, or None.

    Returns:
      A Keras Tuner Trial, whose hyperparameters.values are name -> index; None at the end of the search.
    """
    oracle.recorded = recorded
    trial = oracle.create_trial("search")
    if recorded:
        trial.hyperparameters.values = dict(recorded)
    return trial if trial.status == "RUNNING" else None


def tell(oracle: keras_tuner.Oracle, trial: Any, value: float | None) -> None:
    """Tells the oracle how a trial ended.

    Args:
      oracle: as `make` gives it.
      trial: as `propose` gives it.
      value: its validation mAP; None: it failed.
    """
    trial.status = "FAILED" if value is None else "COMPLETED"
    if value is not None:
        oracle.update_trial(trial.trial_id, {OBJECTIVE: value})
    oracle.end_trial(trial)
