"""The training of one method in its run folder: a neural one by steps, a closed-form one by one fit."""
import functools
import time
from typing import Any

import numpy as np

from tfxmr.baselines.base import Baseline
from tfxmr.core import stopping
from tfxmr.core.errors import InputError, NotFinite
from tfxmr.core.files import replacing, to_json
from tfxmr.data import MultiModalData
from tfxmr.data.files import archive
from tfxmr.engine import distribution, sampling
from tfxmr.models.base import Method
from tfxmr.runs import callbacks, selection
from tfxmr.runs.checkpoints import Checkpoints, SaveCheckpoints, load_networks
from tfxmr.runs.job import Job
from tfxmr.runs.run_folder import BACKUP
from tfxmr.runs.tracking import Tracker


@functools.singledispatch
def learn(method: Method | Baseline, job: Job, tracker: Tracker) -> dict[str, Any]:
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
    raise TypeError(f"{type(method).__name__} is no method of tfxmr.models or tfxmr.baselines")


@functools.singledispatch
def load(method: Method | Baseline, job: Job) -> None:
    """Gives a method what its run has trained, the best so far of a stopped run that selects; changes no file.

    Args:
      method, job: as `learn` takes them; fitted arrays are tried on the training data.

    Raises:
      InputError: nothing is there, or it is damaged or does not fit together.
    """
    raise TypeError(f"{type(method).__name__} is no method of tfxmr.models or tfxmr.baselines")


@load.register
def _(method: Method, job: Job) -> None:
    folder = job.folder
    if not load_networks(folder.checkpoints, method):
        if folder.results():
            raise InputError(f"{folder.checkpoints}: the trained networks are gone; {BACKUP}")
        raise InputError(f"{folder.checkpoints} holds no checkpoint; run `tfxmr train` there first")


@load.register
def _(method: Baseline, job: Job) -> None:
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


@learn.register
def train(method: Method, job: Job, tracker: Tracker) -> dict[str, Any]:
    """As `learn`, of a neural method."""
    data, folder = job.training, job.folder
    strategy = method.distribute_strategy
    chief = distribution.is_chief(strategy)
    stopped = folder.stopped() if chief else None
    if distribution.from_chief(strategy, bool(stopped and not stopped["kept"])):
        raise NotFinite(stopped["reason"] if stopped else f"{method.name}: stopped; the first worker says by what")
    method.compile(steps_per_epoch=method.steps_per_epoch(len(data.splits["train"])))
    checkpoints = Checkpoints(folder.checkpoints, method)
    if chief:
        checkpoints.restore()
    distribution.synchronise(strategy, method.state_variables())
    method.decisions.deserialize(distribution.text_from_chief(strategy, method.decisions.serialize()))
    best = checkpoints.best
    ended = method.steps_done >= method.length or checkpoints.finished or best and best.exhausted
    if not distribution.from_chief(strategy, bool(ended)):
        stopped = failure = None
        try:
            for number in range(method.stage_number, len(method.stages)):
                method.enter(number, data)
                take_steps(method, job, checkpoints, tracker)
        except NotFinite as error:
            failure = error
            stopped = {"step": method.steps_done, "reason": str(error), "kept": bool(best and best.value >= 0)}
        if chief:
            folder.write_stopped(stopped)
        # The chief may have found it alone, in a measurement.
        if distribution.from_chief(strategy, bool(stopped and not stopped["kept"])):
            raise failure or NotFinite(f"{method.name}: stopped; the first worker says by what")
    if chief:
        checkpoints.finish(data)
    facts: dict[str, Any] = {
        "steps": method.steps_done, "total_steps": method.length,
        "steps_per_epoch": method.steps_per_epoch(len(data.splits["train"])),
        "seconds": round(float(checkpoints.seconds), 1),
    }
    if len(method.stages) > 1:
        facts["stages"] = {stage.name: stage.steps for stage in method.stages}
    if any(method.decisions.by_stage.values()):
        facts["decisions"] = {name: decided for name, decided in method.decisions.by_stage.items() if decided}
    if best:
        facts |= {"selected_step": int(best.step), selection.measured(data): float(checkpoints.selected_value)}
    if stopped:
        facts |= {"stopped_at": stopped["step"], "stopped_by": stopped["reason"]}
    return facts


def take_steps(method: Method, job: Job, checkpoints: Checkpoints, tracker: Tracker) -> None:
    """Takes the steps of the present stage that are left, with all that is shown, measured, logged and saved.

    Arguments as in `train`; `checkpoints` are the method's, restored. The best weights are chosen in the last stage.
    """
    data, protocol, options = job.training, job.protocol, job.options
    chief, stage, last = distribution.is_chief(method.distribute_strategy), method.stage, method.stages[-1]
    split, best = data.splits["train"], checkpoints.best if stage is last else None
    start, total, epoch = method.steps_done, method.length, method.steps_per_epoch(len(split))
    if method.decision and start == method.stage_start:
        tracker.text(start, f"decision/{stage.name}", to_json(method.decision))
    watched = {"test": job.tasks}
    if "validation" in data.splits:
        watched["validation"] = selection.validation_tasks(data)
    saver = SaveCheckpoints(checkpoints, options.checkpoint_seconds)
    label = f"{method.name} seed {options.seed}" + (f" {stage.name}" if len(method.stages) > 1 else "")
    progress = callbacks.Progress(total, label)
    parts = [callbacks.Summaries(tracker, options.log_every), progress, *method.watchers(), saver] if chief else []
    if options.eval_every and chief:
        parts.insert(0, callbacks.RetrievalMetrics(watched, protocol, data, tracker, options.eval_every))
    if best:
        select = selection.SelectBest(best, watched["validation"], protocol, data, tracker, epoch, total)
        progress.validation = select.told
        parts.insert(0, select)  # before the saver: the state of a step holds that step's measurement
    stops = {options.log_every, options.eval_every, progress.every, epoch if best else 0} - {0}
    batches = sampling.stage_batches(method, data, options.seed, start, method.stage_start + stage.steps)
    try:
        method.take_steps(batches, parts, options.steps_per_execution, stops)
        method.require_finite()  # the last step's update, of which no step's loss tells
    except (KeyboardInterrupt, BrokenPipeError):  # the latter if nobody reads the progress any more
        if chief:
            with stopping.held():
                if best:
                    select.measure()  # if the interrupt came before it or in it
                saver.save()  # an execution is not interrupted, so the state is that of a whole step
        raise
    finally:
        if chief:
            progress.on_train_end()  # else an error leaves the terminal without a cursor


@learn.register
def fit(method: Baseline, job: Job, tracker: Tracker) -> dict[str, Any]:
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
