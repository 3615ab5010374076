"""The training of one method in its run folder: a neural one by steps, a closed-form one by one fit."""
import time
from typing import Any

import numpy as np

from tfxmr.baselines.base import Baseline
from tfxmr.core.errors import InputError, NotFinite
from tfxmr.core.files import replacing
from tfxmr.data import MultiModalData
from tfxmr.data.files import archive
from tfxmr.runs import selection
from tfxmr.runs.job import Job
from tfxmr.runs.run_folder import BACKUP
from tfxmr.runs.tracking import Tracker


def learn(method: Any, job: Job, tracker: Tracker) -> dict[str, Any]:
    """Trains a method in its run folder, or resumes its training.

    A neural method resumes from the newest checkpoint, and keeps the weights that its settings select. A closed-form
    one is fitted once, and its arrays are saved; a transductive one sees the features, without labels, of the
    items that are searched: of the test split, or in a search of settings of the validation split.

    Args:
      method: of tfxmr.models or tfxmr.baselines.
      job: Job; its training data are learned from, its tasks watched, and to its folder the chief alone writes.
      tracker: told what happens meanwhile.

    Returns:
      Facts for results.json: the steps trained and those of the whole training, the seconds they took; the steps of
      several stages, and what stages decided when they began; if selected, the step kept; and if a number was not
      finite and there were weights to keep, the step at which the training stopped, and by what.

    Raises:
      InputError: transductive, and some of the classes are to be unseen.
      NotFinite: a number was not finite, and there were no weights to keep. It is so each time: RUN/stopped.json.
    """
    if isinstance(method, Baseline):
        return fit(method, job)
    from tfxmr.runs import steps  # which imports TensorFlow; so below

    return steps.train(method, job, tracker)


def load(method: Any, job: Job) -> None:
    """Gives a method what its run has trained, the best so far of a stopped run that selects; changes no file.

    Args:
      method, job: as `learn` takes them; fitted arrays are tried on the training data.

    Raises:
      InputError: nothing is there, or it is damaged or does not fit together.
    """
    if isinstance(method, Baseline):
        _load_arrays(method, job)
        return
    from tfxmr.runs import steps

    steps.load(method, job)


def _load_arrays(method: Baseline, job: Job) -> None:
    folder, data = job.folder, job.training
    path = folder.checkpoints / "arrays.npz"
    if not path.exists():
        remedy = BACKUP if folder.results() else "run `tfxmr train` there first"
        raise InputError(f"{path} is missing; {remedy}")
    try:
        method.set_arrays(archive.read_npz(path))
        for m in data.modalities:
            if not np.isfinite(method.represent(m, data.splits["train"].of(m, np.arange(1)))).all():
                raise ValueError("it holds NaN or infinite values")
    except (ValueError, AttributeError, TypeError, IndexError) as error:  # InputError, which is a ValueError, too
        raise InputError(f"{path}: is damaged ({error}); {BACKUP}") from error


def fit(method: Baseline, job: Job) -> dict[str, Any]:
    """As `learn`, of a closed-form method."""
    data, protocol, folder = job.training, job.protocol, job.folder
    stopped = folder.stopped()
    if stopped:
        raise NotFinite(stopped["reason"])
    seen = {}
    if method.transductive:
        if protocol.unseen:
            raise InputError(
                f"--transductive: under --protocol={protocol.name} nothing of the unseen classes may be seen; take "
                "--notransductive, or --protocol=standard"
            )
        searched = job.tasks or selection.validation_tasks(data)
        seen["unlabelled"] = {task.query_modality: task.query for task in searched}
    start = time.monotonic()
    try:
        fit_finite(method, data, seen)
    except NotFinite as failure:
        folder.write_stopped({"step": 0, "reason": str(failure), "kept": False})
        raise
    seconds = time.monotonic() - start
    folder.checkpoints.mkdir(exist_ok=True)
    with replacing(folder.checkpoints / "arrays.npz") as file:
        np.savez(file, **method.arrays())
    return {"steps": 0, "seconds": round(seconds, 1)}


def fit_finite(method: Baseline, data: MultiModalData, seen: dict[str, Any]) -> None:
    """Fits a closed-form method.

    Args:
      method: not fitted yet.
      data: the training data, normalised.
      seen: further arguments of its `learn`, by name.

    Raises:
      NotFinite: what comes of it is not finite.
    """
    name = type(method).__name__.lower()
    try:
        method.learn(data, **seen)
    except InputError:
        raise
    except ValueError as error:  # numpy.linalg.LinAlgError, and SciPy's on a matrix with infs or NaNs
        if not isinstance(error, np.linalg.LinAlgError) and "infs or NaNs" not in str(error):
            raise
        raise NotFinite(f"{name}: the fit fails ({error}){method.settings.advice()}") from error
    broken = [n for n, a in method.arrays().items() if np.asarray(a).dtype.kind == "f" and not np.isfinite(a).all()]
    if broken:
        raise NotFinite(f"{name}: {broken[0]} is not finite after the fit{method.settings.advice()}")
