"""The training of a neural method in its run folder, step by step."""
from typing import Any

from tfxmr.core import stopping
from tfxmr.core.errors import InputError, NotFinite
from tfxmr.core.files import to_json
from tfxmr.engine import distribution, sampling
from tfxmr.models.base import Method
from tfxmr.runs import callbacks, selection
from tfxmr.runs.best import SelectBest
from tfxmr.runs.checkpoints import Checkpoints, SaveCheckpoints, load_networks
from tfxmr.runs.job import Job
from tfxmr.runs.run_folder import BACKUP
from tfxmr.runs.tracking import Tracker


def train(method: Method, job: Job, tracker: Tracker) -> dict[str, Any]:
    """As tfxmr.runs.fitting.learn."""
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
        select = SelectBest(best, watched["validation"], protocol, data, tracker, epoch, total)
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


def load(method: Method, job: Job) -> None:
    """As tfxmr.runs.fitting.load."""
    folder = job.folder
    if not load_networks(folder.checkpoints, method):
        if folder.results():
            raise InputError(f"{folder.checkpoints}: the trained networks are gone; {BACKUP}")
        raise InputError(f"{folder.checkpoints} holds no checkpoint; run `tfxmr train` there first")
