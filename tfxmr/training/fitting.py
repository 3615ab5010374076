"""The training of one method in its run folder: a neural one by steps, a closed-form one in one piece."""
import dataclasses
import shutil
import time

import numpy as np
import tensorflow as tf

from tfxmr import stopping
from tfxmr.errors import InputError, NotFinite
from tfxmr.files import replacing, to_json
from tfxmr.training import callbacks, distribution, sampling, selection
from tfxmr.training.checkpoints import Checkpoints, SaveCheckpoints
from tfxmr.training.run_folder import RunFolder


def train(method, data, tasks, protocol, folder, options):
    """Trains a neural method, going on from the newest checkpoint, and keeps the weights that its settings select.

    Args:
      method: tfxmr.models.base.Method.
      data: the training data.
      tasks: the protocol's tasks, to be watched while training.
      protocol: tfxmr.data.protocol.Protocol.
      folder: RunFolder, to which the chief alone writes.
      options: RunOptions.

    Returns:
      (facts for results.json, encode): the steps trained and those of the whole training, the seconds they took; if
      selected, the step kept; and if a number was not finite and there were weights to keep, the step at which the
      training stopped, and by what.

    Raises:
      NotFinite: a number was not finite, and there were no weights to keep. It is so each time: RUN/stopped.json.
    """
    items = len(data.splits["train"])
    strategy = method.distribute_strategy
    chief = distribution.is_chief(strategy)
    stopped = folder.stopped() if chief else None
    if distribution.from_chief(strategy, bool(stopped and not stopped["kept"])):
        raise NotFinite(stopped["reason"] if chief else f"{method.name}: stopped; the first worker says by what")
    method.compile(steps_per_epoch=method.steps_per_epoch(items))
    checkpoints = Checkpoints(folder.checkpoints, method)
    found = checkpoints.restore() if chief else False
    if not distribution.from_chief(strategy, found):
        checkpoints.seconds.assign(pretrain(method, data, protocol, folder, options))
    distribution.synchronise(strategy, method.state_variables())
    best = checkpoints.best
    ended = method.steps_done >= method.total_steps(items) or checkpoints.finished or best and best.exhausted
    if not distribution.from_chief(strategy, bool(ended)):
        stopped = failure = None
        try:
            take_steps(method, data, tasks, protocol, folder, options, checkpoints)
        except NotFinite as error:
            failure = error
            stopped = {"step": method.steps_done, "reason": str(error), "kept": bool(best and best.value >= 0)}
        if chief:
            folder.write_stopped(stopped)
        # The chief may have found it alone, in a measurement.
        if distribution.from_chief(strategy, bool(stopped and not stopped["kept"])):
            raise failure or NotFinite(f"{method.name}: stopped; the first worker says by what")
    if chief:
        checkpoints.finish()
        for leftover in folder.path.glob("pretraining/*/checkpoints"):
            shutil.rmtree(leftover, ignore_errors=True)
    facts = {
        "steps": method.steps_done, "total_steps": method.total_steps(items),
        "seconds": round(float(checkpoints.seconds), 1),
    }
    if best:
        facts |= {"selected_step": int(best.step), "validation_mAP": float(checkpoints.selected_value)}
    if stopped:
        facts |= {"stopped_at": stopped["step"], "stopped_by": stopped["reason"]}
    return facts, method.encode


def take_steps(method, data, tasks, protocol, folder, options, checkpoints):
    """Takes the steps of a training that are left, with all that is shown, measured, logged and saved on the way.

    Arguments as in `train`; `checkpoints` are the method's, restored.
    """
    split, best = data.splits["train"], checkpoints.best
    chief = distribution.is_chief(method.distribute_strategy)
    start, total, epoch = method.steps_done, method.total_steps(len(split)), method.steps_per_epoch(len(split))
    writer = tf.summary.create_file_writer(str(folder.path)) if chief else tf.summary.create_noop_writer()
    with writer.as_default(start):
        tf.summary.text("protocol", to_json(dataclasses.asdict(protocol)))
    watched = {"test": tasks}
    if "validation" in data.splits:
        watched["validation"] = selection.validation_tasks(data)
    saver = SaveCheckpoints(checkpoints, options.checkpoint_seconds)
    progress = callbacks.Progress(total, f"{method.name} seed {options.seed}")
    parts = [callbacks.Summaries(writer, options.log_every), progress, saver] if chief else []
    if options.eval_every and chief:
        parts.insert(0, callbacks.RetrievalMetrics(watched, protocol, split, writer, options.eval_every))
    if best:
        select = selection.SelectBest(best, watched["validation"], protocol, split, writer, epoch, total)
        parts.insert(0, select)  # before the saver: the state of a step holds that step's measurement
    stops = {options.log_every, options.eval_every, progress.every, epoch if best else 0} - {0}
    batches = sampling.batches(split, method.settings.batch_size, options.seed, start, total)
    try:
        method.fit(batches, parts, options.steps_per_execution, stops)
        method.require_finite()  # the last step's update, of which no step's loss tells
    except (KeyboardInterrupt, BrokenPipeError):  # the latter if nobody reads the progress any more
        if chief:
            with stopping.held():
                if best:
                    select.measure()  # if the interrupt came before it or in it
                saver.save()  # an execution runs in one piece, so the state is that of a whole step
        raise
    finally:
        writer.close()
        if chief:
            progress.on_train_end()  # else an error leaves the terminal without a cursor


def pretrain(method, data, protocol, folder, options):
    """Carries out the trainings that a method asks for before its own, each resumed like any other.

    Each has a folder of its own, RUN_DIR/pretraining/NAME, in which its events stay. Arguments as in `train`; returns
    the seconds they took.
    """
    seconds = 0.0
    for name, part, part_data in method.pretraining(data):
        own = dataclasses.replace(options, eval_every=0)
        facts, _ = train(part, part_data, [], protocol, RunFolder(folder.path / "pretraining" / name), own)
        seconds += facts["seconds"]
    return seconds


def fit(method, data, tasks, protocol, folder, options):
    """Fits a closed-form method and saves its arrays. Arguments and results as in `train`.

    A transductive method sees the features, without labels, of the items that are searched: of the test split, or in a
    search of settings of the validation split.

    Raises:
      InputError: transductive, and some of the classes are to be unseen.
      NotFinite: the fit came to numbers that are not.
    """
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
        searched = tasks or selection.validation_tasks(data)
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
    return {"steps": 0, "seconds": round(seconds, 1)}, method.transform


def fit_finite(method, data, seen):
    """Fits a closed-form method; `seen` are further arguments. Raises NotFinite if what comes of it is not finite."""
    name = type(method).__name__.lower()
    try:
        method.fit(data, **seen)
    except InputError:
        raise
    except ValueError as error:  # numpy.linalg.LinAlgError, and SciPy's on a matrix with infs or NaNs
        if not isinstance(error, np.linalg.LinAlgError) and "infs or NaNs" not in str(error):
            raise
        raise NotFinite(f"{name}: the fit fails ({error}){method.settings.advice()}") from error
    broken = [n for n, a in method.arrays().items() if np.asarray(a).dtype.kind == "f" and not np.isfinite(a).all()]
    if broken:
        raise NotFinite(f"{name}: {broken[0]} is not finite after the fit{method.settings.advice()}")
