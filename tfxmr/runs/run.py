"""One run, from data to results.json.

The order of what happens: the job is made ready (job.py: views, held-out items, normalisation), a finished run is read
back, else the method is made, trained in its folder (fitting.py: resumes, selects, saves) and scored, what can be used
without the data set is kept (tfxmr.encoding), and results.json is written last.
"""
import contextlib
import dataclasses
import importlib.metadata
import math
import os
import pathlib
from collections.abc import Iterator
from typing import Any

from tfxmr import __version__, encoding, evaluation
from tfxmr.core import display, registry
from tfxmr.core.errors import InputError
from tfxmr.core.files import to_json
from tfxmr.core.settings import options as options_of
from tfxmr.core.wording import counted
from tfxmr.data import MultiModalData
from tfxmr.evaluation import named
from tfxmr.evaluation.protocol import Protocol
from tfxmr.evaluation.retriever import Retriever
from tfxmr.runs import fitting, projector, selection, trackers, tracking, workers
from tfxmr.runs.board import TensorBoard, plain
from tfxmr.runs.job import Job, MethodClass, RunSettings, make_job, training_items
from tfxmr.runs.options import RunOptions


def run(
    method_class: MethodClass, settings: RunSettings, data: MultiModalData, protocol: Protocol,
    run_dir: str | os.PathLike, options: RunOptions | None = None, flags: dict[str, str] | None = None,
) -> dict[str, Any] | None:
    """Trains and evaluates a method in a run folder; resumes a killed run.

    Args:
      method_class: from tfxmr.models or tfxmr.baselines.
      settings: an instance of its Settings.
      data: MultiModalData.
      protocol: tfxmr.evaluation.protocol.Protocol.
      run_dir: the run's folder.
      options: RunOptions.
      flags: flag name -> serialised flag, for flags.cfg; None writes settings alone.

    Returns:
      The results, as results.json holds them; None for a worker that is not the chief, which writes nothing.

    Raises:
      InputError: the method cannot work on this data or under this strategy, or the folder holds another run.
    """
    options = options or RunOptions()
    if options.strategy != "none" and not method_class.strategies:
        raise InputError(
            f"--strategy={options.strategy}: closed-form methods, {registry.name_of(method_class)} among them, do not "
            "support --strategy; omit it"
        )
    others = trackers.of(options)
    taking_part = workers.of(method_class, options)
    chief = taking_part.chief
    job = make_job(method_class, settings, data, protocol, run_dir, options, flags)
    if job.note and chief:
        display.say(f"batch      {job.note}")
    taking_part.require_same(job)
    finished = job.folder.results() if chief else None
    if taking_part.agreed(finished is not None):
        return None if finished is None else checked(finished, job)
    with taking_part.scope():
        method = job.make()
    if not chief:
        fitting.learn(method, job, tracking.Tracker())
        return None
    with job.open(), following(job, *others) as tracker:
        return _trained(method, job, tracker)


def _trained(method: Any, job: Job, tracker: tracking.Tracker) -> dict[str, Any]:
    """Trains and measures a method, and leaves in the run's folder what it keeps, the results last. Returns these."""
    training = fitting.learn(method, job, tracker)
    retriever = method.retriever(job.training)
    results = {
        "model": registry.name_of(job.method_class),
        "dataset": job.data.shown,
        "seed": job.options.seed,
        **training,
        "training_items": training_items(job.training),
        "protocol": job.protocol.facts(job.data),
        **measured(method, retriever, job),
        "flags": job.flags,
        "versions": versions(),
        "features": job.manifest,
        "data": job.digests,
    }
    if job.options.test:  # a trial of a search keeps nothing of the kind
        places = {name: job.flags.get(name, "").partition("=")[2] or None for name in ("data_dir", "manual_dir")}
        projector.write(
            job.folder.path, retriever, job.data, job.protocol.unseen, job.options.seed, places,
            records=job.method_class.strategies,  # a closed form runs without TensorFlow, and in seconds
        )
        if job.options.keep_encoder:
            target = job.folder.path / encoding.folder.NAME
            encoding.write(
                target, method, job.data, job.training, job.protocol, results, job.options.keep_embeddings
            )
    step = results.get("selected_step", results["steps"])
    for path in ("flags.cfg", "features_manifest.json", f"{encoding.folder.NAME}/README.md"):
        if (job.folder.path / path).exists():
            tracker.artefact(job.folder.path / path)
    tracker.end(step, final(retriever, job, results), results)
    job.folder.write_results(results)
    return results


@contextlib.contextmanager
def following(job: Job, *others: tracking.Tracker) -> Iterator[tracking.Tracker]:
    """Tells TensorBoard and others that a run begins, and what it ended by. Yields what is told the rest."""
    tracker = trackers.Several(TensorBoard(), *others)
    tracker.begin(facts(job))
    try:
        yield tracker
    except BaseException as error:
        tracker.close(error)
        raise
    tracker.close()


def facts(job: Job) -> tracking.RunFacts:
    """What trackers are told of a run when it begins."""
    known, names = job.protocol.facts(job.data), getattr(job.method_class, "loss_names", {})  # a closed form has none
    told = {
        "model": registry.name_of(job.method_class), "dataset": job.data.shown, "protocol": known["name"],
        "split": known["split"], "similarity": known["similarity"], "seed": job.options.seed,
        **{name: getattr(job.settings, field.name) for name, field in options_of(type(job.settings)).items()},
    }
    return tracking.RunFacts(
        job.folder.path,
        {name: plain(value) for name, value in told.items()},
        selection.describe(job.protocol, job.settings, job.data, job.options, job.training),
        f"tfxmr train --flagfile={job.folder.path / 'flags.cfg'}",
        tuple(filter(None, job.flags.values())),
        {
            "protocol": to_json(dataclasses.asdict(job.protocol)),
            "losses": to_json(dict(names)) if names else "",
        },
        not job.options.test,
    )


def final(retriever: Retriever, job: Job, results: dict[str, Any]) -> dict[str, float]:
    """The final metrics of a run by the names that trackers are told, of test and of validation items.

    Args:
      retriever: what the method became.
      job: what it was trained on.
      results: what results.json will hold.
    """
    found = tracking.final_metrics(results["metrics"])
    name, training = selection.measured(job.training), job.training
    value = results.get(name)
    if value is None and "validation" in training.splits:
        value = selection.score(retriever, selection.validation_tasks(training), job.protocol, training)
    return found if value is None else found | {tracking.VALIDATION[name]: value}


def checked(finished: dict[str, Any], job: Job) -> dict[str, Any]:
    """The results of a finished run. Raises InputError if it is another run, or a trial of a search, or none."""
    if job.options.test and not finished["metrics"]:
        raise InputError(
            f"--run_dir={job.folder.path}: holds a trial of a search, without test metrics; give another folder"
        )
    if not job.options.test and finished["metrics"]:
        raise InputError(
            f"--run_dir={job.folder.path}: holds a run with test metrics, no trial of a search; give another folder"
        )
    job.compare("nothing")
    return finished


def measured(method: Any, retriever: Retriever, job: Job) -> dict[str, Any]:
    """What results.json says of a trained method: test metrics, or of a trial of a search its validation score.

    Args:
      method: trained.
      retriever: what it became.
      job: what it was trained on.

    Returns:
      "metrics", a list as `score` gives it, empty in a trial, and "validation_mAP" or the like there; "measured" where
      the method tells more of the test items.
    """
    if not job.options.test:
        tasks = selection.validation_tasks(job.training)
        value = selection.score(retriever, tasks, job.protocol, job.training)
        return {selection.measured(job.training): value, "metrics": []}
    found = {"metrics": score(retriever, job.data, job.training, job.protocol, job.options)}
    own = method.measure(job.data.splits["test"])
    return found | ({"measured": own} if own else {})


def score(
    retriever: Retriever, data: MultiModalData, training_data: MultiModalData, protocol: Protocol, options: RunOptions
) -> list[dict[str, Any]]:
    """Measures every task of the protocol, as `tfxmr.evaluation.evaluate` does, with names for the classes.

    Of data without classes also the metrics named.INSTANCE, and no values by class.
    """
    names = dict.fromkeys((*options.metrics, *(named.INSTANCE if data.instances else ())))
    tasks, training, memory = protocol.tasks(data), training_data.splits["train"], options.eval_memory * 2**20
    metrics = evaluation.evaluate(retriever, tasks, protocol, training, tuple(names), memory)
    for m in metrics:
        if data.instances:
            m.pop("by_class", None)  # one for each item
        elif "by_class" in m and data.class_names:
            m["by_class"] = {data.class_names[c]: value for c, value in m["by_class"].items()}
    return metrics


def evaluate(
    method_class: MethodClass, settings: RunSettings, data: MultiModalData, protocol: Protocol,
    run_dir: str | os.PathLike, options: RunOptions | None = None, flags: dict[str, str] | None = None,
) -> list[dict[str, Any]]:
    """Evaluates a finished or stopped run again, without training; of selected weights, takes the best so far.

    Args: as in `run`; the flags may differ from the run's in what affects nothing, or the scoring alone.

    Returns:
      The list of metrics, as `tfxmr.evaluation.evaluate` gives it.

    Raises:
      InputError: the folder holds no run, or flags or features are others than the run's.
    """
    retriever, data, training_data = restore(method_class, settings, data, protocol, run_dir, options, flags)
    return score(retriever, data, training_data, protocol, options or RunOptions())


def restore(
    method_class: MethodClass, settings: RunSettings, data: MultiModalData, protocol: Protocol,
    run_dir: str | os.PathLike, options: RunOptions | None = None, flags: dict[str, str] | None = None,
) -> tuple[Retriever, MultiModalData, MultiModalData]:
    """Makes the trained method of a run folder again. Arguments and errors as in `evaluate`.

    Returns:
      (Retriever, the data with features normalised as in training, their training part).
    """
    options = options or RunOptions()
    job = make_job(method_class, settings, data, protocol, run_dir, options, flags, free=("nothing", "scoring"))
    method = job.make()
    fitting.load(method, job)
    return method.retriever(job.training), job.data, job.training


def keep(
    method_class: MethodClass, settings: RunSettings, data: MultiModalData, protocol: Protocol,
    run_dir: str | os.PathLike, options: RunOptions | None, flags: dict[str, str] | None, *, target: pathlib.Path,
) -> pathlib.Path:
    """Writes the encoder of a finished run as `run` does, with the vectors of all items, for one that has none.

    Args:
      method_class, settings, data, protocol, run_dir, options, flags: as of `run`; the run's own.
      target: folder of the encoder.

    Returns:
      `target`.

    Raises:
      InputError: the run is not finished, or is another one.
    """
    options = options or RunOptions()
    job = make_job(method_class, settings, data, protocol, run_dir, options, flags, free=("nothing",))
    found = checked(job.folder.require_results(), job)
    method = job.make()
    fitting.load(method, job)
    method.retriever(job.training)  # which finishes it
    with job.open():
        # What a version before the encoders did not write is known of the job.
        results = {"versions": {}, **found, "protocol": job.protocol.facts(job.data)}
        target.parent.mkdir(parents=True, exist_ok=True)
        encoding.write(target, method, job.data, job.training, job.protocol, results)
    return target


def ending(results: dict[str, Any]) -> str:
    """How, when and why a training ended, in words: "600 steps in 45 s, kept epoch 8 (validation mAP 0.431)".

    Or "stopped at epoch 12 of 100 in 45 s: validation mAP has not risen for 4 epochs (best 0.431 at epoch 8)"; or
    "closed form, 3 s".

    Args:
      results: what results.json holds; one of an older version does not say how many steps are an epoch, nor how long
        the whole training is.
    """
    steps, total, kept = results["steps"], results.get("total_steps"), results.get("selected_step")
    time = display.duration(results["seconds"])
    if not steps and not total:
        return f"closed form, {time}"
    # Steps of a training in stages are of several kinds, and no epochs.
    epoch = None if "stages" in results else results.get("steps_per_epoch")

    def at(step: int) -> str:
        return f"epoch {math.ceil(step / epoch)}" if epoch else f"step {step}"

    names = {"validation_mAP": "validation mAP", "validation_recalls": "the sum of validation recalls"}
    metric, value = next(((names[n], results[n]) for n in names if n in results), ("validation mAP", None))
    best = "" if value is None else f" {value:.3f}"
    held = "" if kept is None else f", kept {at(kept)} ({metric}{best})"
    if not total or steps >= total:
        return f"{counted(steps, 'step')} in {time}{held}"
    if "stopped_by" in results:  # which is long, and stands below the metrics
        return f"stopped at step {steps} of {total} in {time}: a number is not finite{held}"
    text = f"stopped at {at(steps)} of {at(total).partition(' ')[2]} in {time}"
    if kept is None:  # of pairs of modalities, each of which says why
        return text
    stale = math.ceil((steps - kept) / epoch) if epoch else steps - kept
    of = "epoch" if epoch else "step"
    return f"{text}: {metric} has not risen for {counted(stale, of)} (best{best} at {at(kept)})"


def versions() -> dict[str, str]:
    """Versions of what computes a result."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "gensim", "scikit-learn")
    return {"tfxmr": __version__} | {name: importlib.metadata.version(name) for name in packages}
