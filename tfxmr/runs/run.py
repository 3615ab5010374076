"""One run, from data to results.json: train (or go on), evaluate, write."""
import contextlib
import dataclasses
import hashlib
import importlib.metadata
import itertools

import numpy as np

from tfxmr import __version__, evaluation
from tfxmr.core import registry
from tfxmr.core.errors import InputError
from tfxmr.data import domains, memmap
from tfxmr.data.normalisation import normalise_features
from tfxmr.data.views import modality_of
from tfxmr.engine import distribution
from tfxmr.evaluation import named
from tfxmr.extraction import identity
from tfxmr.runs import fitting, projector, selection
from tfxmr.runs.options import RunOptions, affecting, defaults
from tfxmr.runs.run_folder import RunFolder, content


def run(method_class, settings, data, protocol, run_dir, options=None, flags=None):
    """Trains and evaluates a method in a run folder; goes on where a killed run stopped.

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
        raise InputError(f"--strategy={options.strategy}: {method_class.__name__} is fitted in one piece; leave it out")
    strategy = distribution.start(options)
    chief = distribution.is_chief(strategy)
    data = needed(method_class, data, settings)
    protocol = selection.declare(protocol, settings, data, options)
    if flags is None:
        flags = {f.name: f"--{f.name}={getattr(settings, f.name)}" for f in dataclasses.fields(settings)}
    facts, digests = manifest(data), identity.digests(data)
    data, training_data = prepare(data, protocol, settings, options)
    settings, shrunk = fit_batch(settings, training_data)
    # What data decide stands in flags.cfg, so that a later version's rule does not change a run that is there.
    if protocol.held_out != options.validation_fraction:
        flags = flags | {"validation_fraction": f"--validation_fraction={protocol.held_out}"}
    if shrunk:
        flags = flags | {"batch_size": f"--batch_size={settings.batch_size}"}
        if chief:
            print(f"batch      {shrunk}")
    tasks = protocol.tasks(data) if options.test else []
    folder, told = RunFolder(run_dir), (affecting("nothing", method_class=method_class), defaults(method_class))
    same = settings, dataclasses.replace(options, worker_index=None), {m: content(f) for m, f in facts.items()}
    distribution.require_same(strategy, same)
    finished = folder.results() if chief else None
    if distribution.from_chief(strategy, finished is not None):
        if not chief:
            return None
        if options.test and not finished["metrics"]:
            raise InputError(
                f"--run_dir={run_dir}: holds a trial of a search, without test figures; give another folder"
            )
        folder.compare(flags, facts, *told)
        return finished
    with strategy.scope():
        method = method_class.of(training_data, settings, options.seed)
    with folder.open(flags, facts, *told) if chief else contextlib.nullcontext():
        training = fitting.learn(method, training_data, tasks, protocol, folder, options)
        if not chief:
            return None
        retriever = method.retriever(training_data)
        if options.test:
            measured = {"metrics": score(retriever, data, training_data, protocol, options)}
            if own := method.measure(data.splits["test"]):
                measured["measured"] = own
        else:
            own_tasks = selection.validation_tasks(training_data)
            value = selection.score(retriever, own_tasks, protocol, training_data)
            measured = {selection.measured(training_data): value, "metrics": []}
        results = {
            "model": registry.name_of(method_class),
            "dataset": data.shown,
            "seed": options.seed,
            **training,
            "training_items": training_items(training_data),
            "protocol": protocol.facts(data),
            **measured,
            "flags": flags,
            "versions": versions(),
            "features": facts,
            "data": digests,
        }
        if options.test:
            projector.write(folder.path, retriever, data, protocol.unseen, options.seed)
        folder.write_results(results)
    return results


def run_pairs(method_class, settings, data, protocol, run_dir, options=None, flags=None):
    """Runs a method once for each pair of modalities, each in a folder of its own such as RUN_DIR/image-text.

    Arguments, errors and resumption as in `run`, for each pair. RUN_DIR/results.json, written last, holds the tasks of
    all pairs, the sum of their steps and seconds, the mean of their validation score, and no single selected step.
    """
    folder, found = RunFolder(run_dir), []
    if (folder.path / "flags.cfg").exists():
        raise InputError(f"--run_dir={run_dir}: holds one run of all modalities, not one a pair; give another folder")
    chosen = pairs(method_class, settings, data)
    for pair in itertools.combinations(data.modalities, 2):
        if pair not in chosen:
            print(f"{'-'.join(pair)}: left out, since {registry.name_of(method_class)} learns from pairs")
    for pair in chosen:
        own_flags = flags and flags | {"modalities": f"--modalities={','.join(pair)}"}
        found.append(
            run(method_class, settings, data.only(pair), protocol, folder.path / "-".join(pair), options, own_flags)
        )
        if found[-1]:
            print(f"{'-'.join(pair)}: {ending(found[-1])}")
    if not all(found):  # of a worker that is not the chief
        return None
    results = found[0] | {
        "steps": sum(r["steps"] for r in found),
        "total_steps": sum(r.get("total_steps", 0) for r in found),
        "seconds": round(sum(r["seconds"] for r in found), 1),
        "metrics": [m for r in found for m in r["metrics"]],
        "flags": flags or found[0]["flags"],
        **{key: {name: facts for r in found for name, facts in r.get(key, {}).items()}
           for key in ("features", "data", "training_items")},
    }
    for name in ("selected_step", "stopped_at", "stopped_by"):
        results.pop(name, None)
    stopped = [r for r in found if "stopped_by" in r]
    if stopped:
        results |= {"stopped_at": stopped[0]["stopped_at"], "stopped_by": " | ".join(r["stopped_by"] for r in stopped)}
    for name in ("validation_mAP", "validation_recalls"):
        if name in results:
            results[name] = float(np.mean([r[name] for r in found]))
    folder.write_results(results)
    return results


def ending(results):
    """How a training ended, in words: "stopped at step 66 of 600, kept step 6".

    Args:
      results: what results.json holds; one of an older version does not say the length of the whole training.
    """
    steps, kept = results["steps"], results.get("selected_step")
    early = steps < results.get("total_steps", steps)
    text = f"stopped at step {steps} of {results['total_steps']}" if early else f"{steps} steps"
    return text if kept is None else f"{text}, kept step {kept}"


def runner(method_class, settings, data, joint=False):
    """The function that trains a method on data: `run`, or `run_pairs` for many modalities.

    `joint` asks for one model of them; a method that is `joint` makes no other.

    Raises InputError if they are, and the method takes two.
    """
    if method_class.modalities or len(data.modalities) <= 2:
        return run
    if len(data.modalities) <= method_class.most_modalities:
        return run if joint or method_class.joint else run_pairs
    several = len(pairs(method_class, settings, data)) > 1
    if joint and several:
        raise InputError(
            f"--joint: {registry.name_of(method_class)} takes two modalities, one model a pair; leave the flag out"
        )
    return run_pairs if several else run


def pairs(method_class, settings, data):
    """The pairs of modalities on which a method can be trained, in order; those that share their rows if it needs that.

    With views that the method reads by name, the pair is of their modalities.

    Returns:
      list of tuples of two names.
    """
    named = {modality_of(view) for view in method_class.reads(settings)}
    every = [pair for pair in itertools.combinations(data.modalities, 2) if named <= set(pair)]
    if not method_class.needs_pairs(settings):
        return every
    return [pair for pair in every if data.splits["train"].only(pair).paired]


def needed(method_class, data, settings=None):
    """What of the data a method reads: its modalities, all if it takes any, and their views; in memory where it must.

    Of more modalities than it takes the first pair, which is that of versions that took images and texts alone.

    Raises InputError if the data lack one of its views, vectors unless it has `inputs`, or for a second domain that it
    does not take or cannot do without.
    """
    wanted, name = method_class.modalities, registry.name_of(method_class)
    if len(data.modalities) > method_class.most_modalities:
        wanted = next(iter(pairs(method_class, settings or method_class.Settings(), data)), ())
    data = data.only(wanted) if wanted and set(wanted) < set(data.modalities) else data
    data = data.reading(method_class.reads(settings or method_class.Settings()), name)
    data = dataclasses.replace(data, source=domains.needed(method_class, name, data))
    return memmap.in_memory(data) if method_class.in_memory else data


def prepare(data, protocol, settings, options):
    """Normalises the features by the training items' statistics, each domain's by its own.

    Returns:
      (data, its training part).
    """
    reference = selection.training_data(protocol, settings, data, options).splits["train"]
    data = normalise_features(data, settings.feature_norm, reference)
    if data.source:
        source = normalise_features(data.source, settings.feature_norm, data.source.splits["train"])
        data = dataclasses.replace(data, source=source)
    return data, selection.training_data(protocol, settings, data, options)


def fit_batch(settings, data):
    """A batch of all training items in place of the method's default, if that is larger; others are kept, or refused.

    Args:
      settings: an instance of a method's Settings.
      data: the training data.

    Returns:
      (settings, what was changed, in words; "" if nothing was).
    """
    size, items = getattr(settings, "batch_size", 0), len(data.splits["train"])
    fields = {f.name: f.default for f in dataclasses.fields(settings)}
    if size <= items or size != fields["batch_size"] or items < 2:
        return settings, ""
    text = f"{items}, all training items: the default of {size} is more than there are"
    return dataclasses.replace(settings, batch_size=items), text


def score(retriever, data, training_data, protocol, options):
    """Measures every task of the protocol, as `tfxmr.evaluation.evaluate` does, with names for the classes.

    Of data without classes also the measures named.INSTANCE, and no figures by class.
    """
    names = dict.fromkeys((*options.metrics, *(named.INSTANCE if data.instances else ())))
    tasks, training, memory = protocol.tasks(data), training_data.splits["train"], options.eval_memory * 2**20
    metrics = evaluation.evaluate(retriever, tasks, protocol, training, tuple(names), memory)
    for m in metrics:
        if data.instances:
            m.pop("by_class", None)  # a figure for each item
        elif "by_class" in m and data.class_names:
            m["by_class"] = {data.class_names[c]: value for c, value in m["by_class"].items()}
    return metrics


def evaluate(method_class, settings, data, protocol, run_dir, options=None, flags=None):
    """Evaluates a finished or stopped run again, without training; of selected weights, takes the best so far.

    Args: as in `run`; the flags may differ from the run's in what affects nothing, or the scoring alone.

    Returns:
      The list of metrics, as `tfxmr.evaluation.evaluate` gives it.

    Raises:
      InputError: the folder holds no run, or flags or features are others than the run's.
    """
    retriever, data, training_data = restore(method_class, settings, data, protocol, run_dir, options, flags)
    return score(retriever, data, training_data, protocol, options or RunOptions())


def restore(method_class, settings, data, protocol, run_dir, options=None, flags=None):
    """Makes the trained method of a run folder again. Arguments and errors as in `evaluate`.

    Returns:
      (Retriever, the data with features normalised as in training, their training part).
    """
    options, data = options or RunOptions(), needed(method_class, data, settings)
    folder = RunFolder(run_dir)
    if flags:
        free = affecting("nothing", "scoring", method_class=method_class)
        folder.compare(flags, manifest(data), free, defaults(method_class))
    data, training_data = prepare(data, protocol, settings, options)
    settings, _ = fit_batch(settings, training_data)
    method = method_class.of(training_data, settings, options.seed)
    fitting.load(method, folder, training_data)
    return method.retriever(training_data), data, training_data


def manifest(data):
    """Facts on each view, with a digest of every array, by which a resumed run knows its data."""
    facts = {view: dict(data.features.get(view, {})) for view in data.views}
    for view, dim in data.dims.items():
        digest = hashlib.sha256()
        for name in sorted(data.splits):
            for block in memmap.blocks(data.splits[name].features[view]):
                digest.update(block)
            digest.update(np.ascontiguousarray(data.splits[name].labels[modality_of(view)]))
        facts[view] |= {"dim": dim, "sha256": digest.hexdigest(), **identity.words(data, view)}
    if data.split_facts:
        facts["split"] = data.split_facts
    if data.class_embeddings is not None:
        facts["class_embeddings"] = dict(data.features.get("class_embeddings", {})) | {
            "dim": data.class_embeddings.shape[1],
            "sha256": hashlib.sha256(np.ascontiguousarray(data.class_embeddings)).hexdigest(),
        }
    if data.source:
        facts["source"] = {"dataset": data.source.shown} | manifest(data.source)
    return facts


def training_items(data):
    """View -> number of items that train; of a second domain "source image" and so on."""
    found = {view: len(data.splits["train"].labels[modality_of(view)]) for view in data.views}
    if data.source:
        found |= {f"source {view}": count for view, count in training_items(data.source).items()}
    return found


def versions():
    """Versions of what computes a result."""
    packages = ("tensorflow", "keras", "numpy", "scipy", "gensim", "scikit-learn")
    return {"tfxmr": __version__} | {name: importlib.metadata.version(name) for name in packages}
