"""The rules that every method keeps, one function each, for the tests of a method inside or outside of this package.

    from tfxmr import testing

    def test_my_method():
        testing.keeps_all(MyMethod)

A function raises AssertionError that says which rule is broken, by what, and what to do. It takes the method's class,
data (None: `easy_data`) and settings by name, which replace those of `quick`. pytest is not needed.
"""
import dataclasses
import tempfile
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr import evaluation
from tfxmr.baselines.base import Baseline
from tfxmr.core.classes import vectors
from tfxmr.core.errors import InputError, NotFinite
from tfxmr.data import MultiModalData, Split
from tfxmr.data.views import modality_of, ordered
from tfxmr.engine import sampling
from tfxmr.evaluation import protocol
from tfxmr.models.base import Method
from tfxmr.runs import job, run
from tfxmr.runs.checkpoints import Checkpoints
from tfxmr.runs.job import MethodClass, RunSettings

WIDTH = 12  # of every layer, where nothing is to be learned
LEARNING = {"width": 64, "steps": 300, "batch_size": 32}  # enough for every method of this package, in seconds
LEAST = 0.6  # of the way from chance to 1; methods that ascend their loss stay below .3 on `easy_data`
PLACES, LENGTH, WORDS = 4, 6, 4  # of a map; of a sentence; words of a class
Weights = dict[str, list[NDArray]]  # network name -> its arrays
Make = Callable[[NDArray], NDArray]  # one view (n, ...) of items with labels (n,)


def easy_data(
    method_class: MethodClass, train: int = 120, test: int = 60, classes: int = 6, noise: float = 0.3, seed: int = 0,
    settings: RunSettings | None = None,
) -> MultiModalData:
    """Data on which every method should do well: pairs, each view scattered around the mean of its class.

    Args:
      method_class: whose modalities, views and second domain they have, and each modality's vector. A view is a map if
        its name is "regions", tokens if it is "words", else vectors; make others yourself.
      train, test: items.
      classes: number of classes.
      noise: standard deviation of vectors, whose means are drawn with 1.
      seed: of all draws.
      settings: the method's, if they decide which views it reads; None: its defaults.

    Returns:
      MultiModalData with the splits "train" and "test", and a second domain for a method that takes one. Vectors of a
      method of `one_space` are scattered around the same means in every modality.
    """
    rng = np.random.default_rng(seed)
    wanted = method_class.reads(settings or method_class.Settings()) or method_class.modalities or ("image", "text")
    views = ordered({*wanted, *map(modality_of, wanted)})
    facts = classes, noise, rng, views, method_class.one_space
    data = _domain("easy", {"train": train, "test": test}, *facts)
    source = _domain("easy source", {"train": train}, *facts) if method_class.takes_source else None
    return dataclasses.replace(data, source=source)


def _domain(
    name: str, sizes: Mapping[str, int], classes: int, noise: float, rng: np.random.Generator, views: Sequence[str],
    one_space: bool = False,
) -> MultiModalData:
    makers: dict[str, Make] = {}
    tables = {}
    for i, view in enumerate(views):
        kind = view.partition(".")[2]
        if kind == "words":
            makers[view], tables[view] = _sentences(classes, rng)
        elif kind == "regions":
            makers[view] = _regions(classes, noise, rng)
        elif one_space and makers:
            makers[view] = next(iter(makers.values()))
        else:
            makers[view] = _vectors(classes, noise, rng, 16 + 4 * i)
    splits = {}
    for split, size in sizes.items():
        labels = np.arange(size) % classes
        features = {view: make(labels) for view, make in makers.items()}
        splits[split] = Split.of_pairs(features, labels, [f"{split} {n}" for n in range(size)])
    return MultiModalData(
        name, splits, [f"class {c}" for c in range(classes)], rng.normal(size=(classes, 8)).astype(np.float32),
        tables=tables, vocabularies={view: ["", *map(str, range(1, len(table)))] for view, table in tables.items()},
    )


def _vectors(classes: int, noise: float, rng: np.random.Generator, width: int) -> Make:
    means = rng.normal(size=(classes, width))
    return lambda labels: means[labels] + noise * rng.normal(size=(len(labels), width))


def _regions(classes: int, noise: float, rng: np.random.Generator, width: int = 10) -> Make:
    """Maps of which half of the places, at random, show the class, and the others nothing."""
    means = rng.normal(size=(classes, width))

    def make(labels: NDArray) -> NDArray:
        shown = rng.permuted(np.tile(np.arange(PLACES) % 2, (len(labels), 1)), axis=1)
        return shown[..., None] * means[labels][:, None] + noise * rng.normal(size=(*shown.shape, width))

    return make


def _sentences(classes: int, rng: np.random.Generator, width: int = 10) -> tuple[Make, NDArray[np.float32]]:
    """Sentences of different lengths, a word in five of any class, and the table of the words' vectors."""
    table = rng.normal(size=(1 + WORDS * classes, width)).astype(np.float32)
    table[0] = 0

    def make(labels: NDArray) -> NDArray:
        shape = len(labels), LENGTH
        own = 1 + WORDS * labels[:, None] + rng.integers(WORDS, size=shape)
        words = np.where(rng.random(shape) < 0.2, rng.integers(1, len(table), size=shape), own)
        lengths = rng.integers(LENGTH // 2, LENGTH + 1, size=(len(labels), 1))
        return np.where(np.arange(LENGTH) < lengths, words, 0).astype(np.int32)

    return make, table


def narrow(method_class: MethodClass, width: int) -> dict[str, Any]:
    """A method's settings that are widths of layers, by name, at most `width`.

    These are tuples of whole numbers, and whole numbers whose names say so.
    """
    found: dict[str, Any] = {}
    for field in dataclasses.fields(method_class.Settings):
        value: Any = field.default
        if isinstance(value, tuple) and value and all(isinstance(v, int) for v in value):
            found[field.name] = tuple(min(v, width) for v in value)
        elif type(value) is int and value > 0 and any(w in field.name for w in ("width", "units", "filters", "dim")):
            found[field.name] = min(value, width)
    return found


def quick(
    method_class: MethodClass, width: int = WIDTH, steps: int = 2, batch_size: int = 8, **changes: Any
) -> RunSettings:
    """A method's settings, made small.

    Args:
      method_class: of a method.
      width: of layers, at most.
      steps: of every stage, at most.
      batch_size: at most.
      **changes: settings by name, that stay as they are given.
    """
    small = narrow(method_class, width)
    for field in dataclasses.fields(method_class.Settings):
        default: Any = field.default
        if field.name.endswith("_steps") and field.name != "patience_steps":
            small[field.name] = min(default, steps)
        elif field.name.endswith("batch_size"):
            small[field.name] = min(default, batch_size)
    if issubclass(method_class, Method):
        small |= {"steps": steps, "epochs": 0}
    return method_class.Settings(**small | changes)


def keeps_all(
    method_class: MethodClass, data: MultiModalData | None = None, without: Collection[str] = (), **settings: Any
) -> None:
    """Raises AssertionError unless a method keeps every rule below, the quickest first.

    Args:
      method_class: of a method.
      data: None: `easy_data`.
      without: names of rules that it breaks on purpose.
      **settings: by name, for every rule.
    """
    for rule in rules_of(method_class):
        if rule.__name__ not in without:
            rule(method_class, data, **settings)


def rules_of(method_class: MethodClass) -> tuple[Callable[..., None], ...]:
    """The rules, functions of this module, that a method is held to; a closed-form one has no steps to check."""
    closed_form = (reads_only_its_views, is_seeded, drops_out_in_training_alone, learns, knows_its_labels)
    return RULES if issubclass(method_class, Method) else closed_form


def learns(
    method_class: MethodClass, data: MultiModalData | None = None, least: float = LEAST, **settings: Any
) -> None:
    """Raises AssertionError unless a method learns easy data: a loss with the wrong sign does not.

    Args:
      method_class: of a method.
      data: None: `easy_data`.
      least: share of the way from chance to an mAP of 1 that each task goes, and that the untrained method does not.
      **settings: by name; by default of width 64, and 300 steps with 32 items.
    """
    name = method_class.__name__
    made = quick(method_class, **LEARNING | settings)
    data = _read(method_class, data, made)
    rule = protocol.make("standard", data, method_similarity=method_class.similarity_name())
    data, training = job.prepare(data, rule, made, run.RunOptions())
    method = method_class.of(training, made, 0)
    before = {}
    if isinstance(method, Method):
        before = _scores(method, data, training, rule)
        try:
            _train(method, training)
        except NotFinite as error:
            raise AssertionError(f"{name} does not learn: {error}. Is a loss ascended?") from error
    else:
        method.learn(training)
    for task, value in _scores(method, data, training, rule).items():
        untrained = f" (untrained {before[task]:.2f})" if before else ""
        assert value >= max(least, before.get(task, 0.0)), (
            f"{name} does not learn: {task} goes {value:.2f} of the way from chance to an mAP of 1{untrained}, and "
            f"must go {least:.2f} on easy data. Is a loss ascended, or its sign or a label mistaken? If it "
            "only needs more, give settings: steps=..., learning_rate=..."
        )


def several_classes(data: MultiModalData, seed: int = 0) -> MultiModalData:
    """Items of one or two classes: each with another one of its split, as the sum of vectors, and sentences joined.

    Args:
      data: of one class an item, such as `easy_data`.
      seed: of the draw of the others.
    """
    rng, splits = np.random.default_rng(seed), {}
    for name, split in data.splits.items():
        other = split.take(rng.integers(len(split), size=len(split)))
        features = {view: _together(split.features[view], other.features[view]) for view in data.views}
        labels = {m: vectors(split.labels[m], data.num_classes) + vectors(other.labels[m], data.num_classes) > 0
                  for m in data.modalities}
        splits[name] = dataclasses.replace(split, features=features, labels=labels)
    return dataclasses.replace(data, splits=splits)


def _together(a: NDArray, b: NDArray) -> NDArray:
    if a.dtype != np.int32:
        return a + b
    words = np.concatenate([a, b], axis=1)  # the zeros of the padding go to the end
    return np.take_along_axis(words, np.argsort(words == 0, axis=1, kind="stable"), axis=1)


def knows_its_labels(
    method_class: MethodClass, data: MultiModalData | None = None, least: float = 0.3, **settings: Any
) -> None:
    """Raises AssertionError unless a method that is `multi_label` learns items of several classes, and another refuses.

    Items match that share a class; see docs/metrics.md.

    Args:
      method_class: of a method.
      data: of several classes an item; None: `several_classes` of `easy_data`.
      least: share of the way from chance to an mAP of 1 that each task goes.
      **settings: as of `learns`.
    """
    name, made = method_class.__name__, quick(method_class, **LEARNING | settings)
    data = data or several_classes(easy_data(method_class, 240, 90, 12, settings=made))
    if not method_class.multi_label:
        try:
            job.needed(method_class, data, made)
        except InputError as error:
            assert "several" in str(error), f"{name} refuses items of several classes for another reason: {error}"
            return
        raise AssertionError(f"{name} takes items of several classes, and says multi_label = False")
    rule = protocol.make("standard", data, method_similarity=method_class.similarity_name())
    data, training = job.prepare(job.needed(method_class, data, made), rule, made, run.RunOptions())
    try:
        method = method_class.of(training, made, 0)
        _train(method, training) if isinstance(method, Method) else method.learn(training)
    except Exception as error:
        raise AssertionError(
            f"{name} says multi_label = True, and cannot train on items of several classes: {error}. Labels are (B, C) "
            "of 0 and 1 then: see label_vectors and share_class of tfxmr.engine.losses, vectors of tfxmr.core.classes"
        ) from error
    for task, value in _scores(method, data, training, rule).items():
        assert value >= least, (
            f"{name} does not learn items of several classes: {task} goes {value:.2f} of the way from chance to an mAP "
            f"of 1, and must go {least:.2f}. Does it take one of an item's classes for all of them?"
        )


def _scores(
    method: Method | Baseline, data: MultiModalData, training: MultiModalData, rule: protocol.Protocol
) -> dict[str, float]:
    """Task -> mAP, scaled so that chance is 0 and the best 1."""
    found = evaluation.evaluate(method.retriever(training), rule.tasks(data), rule, training.splits["train"])
    return {m["task"]: (m["value"] - m["chance"]) / (1 - m["chance"]) for m in found if m["metric"] == "mAP"}


def is_seeded(method_class: MethodClass, data: MultiModalData | None = None, **settings: Any) -> None:
    """Raises AssertionError unless initial weights, losses and gradients are functions of the seed and the step.

    Arguments as of `keeps_all`.
    """
    name = method_class.__name__
    if not issubclass(method_class, Method):
        first, second = (_fitted(method_class, data, settings).arrays() for _ in range(2))
        other = [key for key in first if not np.array_equal(first[key], second[key])]
        assert not other, f"{name} is not seeded: fitted twice on the same data, {other[0]} differs"
        return
    (first, training), (second, _), (other, _) = (_made(method_class, data, settings, seed) for seed in (0, 0, 1))
    network = _first_change(_weights(first), _weights(second))
    assert network is None, (
        f"{name} is not seeded: network {network!r} has other initial weights in a second model of the same seed. Make "
        "it by self.tower or self.network, or seed its initialisers by tfxmr.engine.randomness.derive(self.seed, ...)"
    )
    assert _first_change(_weights(first), _weights(other)), (
        f"{name} is not seeded: no network's initial weights depend on the seed. Derive seeds from self.seed"
    )
    for (stage, one), (_, two) in zip(_outcomes(first, training), _outcomes(second, training), strict=True):
        wrong = next((n for n in one if not np.allclose(one[n], two[n], rtol=1e-3, atol=1e-6, equal_nan=True)), None)
        assert wrong is None, (
            f"{name} is not seeded: {wrong} of stage {stage} differs in a second model of the same weights, batch and "
            "step. Draw by tf.random.stateless_... with seeds from tfxmr.engine.randomness.fold_in(step.seed, ...)"
        )


def drops_out_in_training_alone(method_class: MethodClass, data: MultiModalData | None = None, **settings: Any) -> None:
    """Raises AssertionError unless what represents an item is a function of it alone, and dropout acts in training.

    The settings of dropout are those whose name has "dropout" or "keep": they are set to .5, and to none, to compare.

    Arguments as of `keeps_all`.
    """
    name, switches = method_class.__name__, _dropout(method_class)
    on = {key: 0.5 for key in switches} | settings
    if not issubclass(method_class, Method):
        method = _fitted(method_class, data, settings)
        _encodes_items(name, method.represent, _read(method_class, data, quick(method_class, **settings)))
        return
    model, training = _made(method_class, data, on)
    _encodes_items(name, model.encode, training)
    layers = [n for n, network in model.networks.items() if any(map(_drops, network._flatten_layers()))]
    if not switches and not layers:
        return
    where = ", ".join(switches) or f"network {layers[0]}"
    idle = (
        f"{name} does not drop out in training: its losses are the same with and without ({where}). Give the networks "
        "seed=step.masks(number) in compute_losses or updates"
    )
    if not switches:
        found = [_losses(model, training, seed) for seed in (0, 1)]
        assert _differ(*found), idle
        return
    without, _ = _made(method_class, data, switches | settings)
    # First of all, since moving statistics follow what drops out in training.
    assert not _differ(*(_losses(m, training, training=False) for m in (model, without))), (
        f"{name} drops out in evaluation: with step.training False its losses still depend on {where}. Give the "
        "networks seeds of dropout by step.masks(number), which is None then"
    )
    assert set(switches) & set(settings) or _differ(*(_losses(m, training) for m in (model, without))), idle


def _encodes_items(name: str, encode: Callable, data: MultiModalData) -> None:
    """Raises AssertionError if an item is represented otherwise in the company of others, or at another place."""
    for m in data.modalities:
        views = {v: np.asarray(data.splits["train"].features[v][:20]) for v in data.views_of(m)}
        plain = views[m] if set(views) == {m} else views
        some = tf.nest.map_structure(lambda x: x[15:3:-2], plain)
        whole, part = (tf.nest.flatten(encode(m, given)) for given in (plain, some))
        for one, other in zip(whole, part, strict=True):
            assert np.allclose(one[15:3:-2], other, rtol=1e-3, atol=1e-5), (
                f"{name} does not encode an item by itself: what represents {m} items depends on their place or on "
                "other items. In embed give no seed of dropout, and no training=True to a batch normalisation"
            )


def _dropout(method_class: MethodClass) -> dict[str, float]:
    """The settings of dropout, and their values that switch it off."""
    names = {f.name for f in dataclasses.fields(method_class.Settings) if isinstance(f.default, float)}
    kept = {n: 1.0 for n in names if n == "keep" or n.endswith("_keep") or n.startswith("keep_")}
    return kept | {n: 0.0 for n in names if "dropout" in n and n not in kept}


def _drops(layer: keras.Layer) -> bool:
    rates = [getattr(layer, n, 0.0) for n in ("rate", "dropout", "recurrent_dropout")]
    return any(isinstance(rate, float) and rate > 0 for rate in rates)


def changes_only_its_networks(method_class: MethodClass, data: MultiModalData | None = None, **settings: Any) -> None:
    """Raises AssertionError if a player's update changes trainable weights that `players` does not give it.

    Arguments as of `keeps_all`.
    """
    if not issubclass(method_class, Method):
        return
    model, training = _made(method_class, data, settings)

    def check(before: Weights, player: str | None, owned: Collection[str], how: str) -> None:
        network = _first_change(before, _weights(model, trainable=True), apart=owned)
        assert network is None, (
            f"{method_class.__name__}: player {player} changes network {network!r}, which is not its own ({how}). Let "
            f"players name {network!r} for it, or yield the change as an update of the player that has it"
        )

    for stage, batch in _first_batches(model, training):
        last: tuple[str, ...] = ()
        player, before = None, _weights(model, trainable=True)
        for player, _, gradients, *_ in model.updates(batch, model.present_step()):
            owned = model.players[player]
            check(before, player, {*last, *owned}, f"by an assignment in updates, stage {stage}")
            before = _weights(model, trainable=True)
            model.player_optimizers[player].apply(gradients, model.variables_of(player))
            check(before, player, owned, f"by its gradients, see variables_of, stage {stage}")
            last, before = owned, _weights(model, trainable=True)
        check(before, player, last, f"by an assignment in updates, stage {stage}")


def descends(method_class: MethodClass, data: MultiModalData | None = None, **settings: Any) -> None:
    """Raises AssertionError if a small step along a player's gradients makes the sum of its losses larger.

    Gradients that are reversed for a part of a loss must count less than those of the rest. A player whose losses are
    to grow breaks this rule: `keeps_all(..., without=["descends"])`.

    Arguments as of `keeps_all`.
    """
    if not issubclass(method_class, Method):
        return
    model, training = _made(method_class, data, settings)
    for stage, batch in _first_batches(model, training):
        state = [v for variables in model.network_state().values() for v in variables]
        kept = [v.numpy() for v in state]

        def updates(
            batch: Any = batch, state: list = state, kept: list = kept
        ) -> list[tuple[str, float, list]]:
            """The updates at the weights kept, of which none is applied."""
            every = model.updates(batch, model.present_step())
            made = [(player, float(sum(losses.values())), g) for player, losses, g, *_ in every]
            for variable, value in zip(state, kept, strict=True):
                variable.assign(value)
            return made

        for i, (player, loss, gradients) in enumerate(updates()):
            pairs = [(v, g) for v, g in zip(model.variables_of(player), gradients, strict=True) if g is not None]
            size = float(tf.linalg.global_norm([g for _, g in pairs])) if pairs else 0.0
            assert size, (
                f"{method_class.__name__} does not descend: in stage {stage} no loss of player {player} reaches its "
                f"networks {', '.join(model.players[player])}. Compute the losses from their outputs, in the tape"
            )
            length = 1e-3 * float(tf.linalg.global_norm([tf.convert_to_tensor(v) for v, _ in pairs])) / size
            for variable, gradient in pairs:
                variable.assign_sub(length * gradient)
            change, expected = updates()[i][1] - loss, length * size**2
            assert change < 0.5 * expected, (
                f"{method_class.__name__} ascends its loss: a small step along the gradients of player {player} in "
                f"stage {stage} makes its losses larger ({loss:.6g} to {loss + change:.6g}). Look for a wrong sign; if "
                "they are to grow, keeps_all(..., without=['descends'])"
            )


def stays_where_it_does_not_train(
    method_class: MethodClass, data: MultiModalData | None = None, **settings: Any
) -> None:
    """Raises AssertionError if a stage changes a network, its moving statistics too, that no player of it has.

    Arguments as of `keeps_all`.
    """
    if not issubclass(method_class, Method):
        return
    name = method_class.__name__
    model, training = _made(method_class, data, settings)
    for stage, batch in _first_batches(model, training):
        chosen = model.players if model.stage.players is None else model.stage.players
        unknown = [player for player in chosen if player not in model.players]
        assert not unknown, f"{name}: stage {stage} names player {unknown and unknown[0]!r}, and players has none such"
        before = _weights(model)
        model.train_step(batch)
        network = _first_change(before, _weights(model), apart={n for player in chosen for n in model.players[player]})
        assert network is None, (
            f"{name}: network {network!r} changes in stage {stage}, in which none of its players has a turn. Name its "
            "player in the stage, or call it with training=False there"
        )


def resumes(method_class: MethodClass, data: MultiModalData | None = None, **settings: Any) -> None:
    """Raises AssertionError unless a training that is stopped in and between its stages ends as one that is not.

    Weights and optimizer slots are equal to the last bit, and what changes in training is held by checkpoints.

    Arguments as of `keeps_all`.
    """
    if not issubclass(method_class, Method):
        return
    name, changes = method_class.__name__, {"steps": 4} | settings
    straight, training = _made(method_class, data, changes)
    _train(straight, training)
    ends = np.cumsum([0, *(stage.steps for stage in straight.stages)]).tolist()
    stops = sorted({*((a + b + 1) // 2 for a, b in zip(ends, ends[1:], strict=False)), *ends[1:]})
    with tempfile.TemporaryDirectory() as folder:
        for stop in stops:
            resumed, _ = _made(method_class, data, changes)
            checkpoints = Checkpoints(Path(folder), resumed)
            checkpoints.restore()
            _train(resumed, training, stop)
            checkpoints.save()
    remedy = (
        "Keep what changes in training in a network's weights (trainable=False), decide for a stage in begin and "
        "return it, and compute the rest from step.progress and step.seed"
    )
    for model in (straight, resumed):
        model.finish(training)
    network = _first_change(_weights(straight), _weights(resumed))
    assert network is None, (
        f"{name} does not resume: stopped and started again it ends with other weights of network {network!r}. {remedy}"
    )
    slots = ([np.asarray(v) for v in m.state_variables()] for m in (straight, resumed))
    assert all(map(np.array_equal, *slots)), f"{name} does not resume: slots of an optimizer differ. {remedy}"
    here, there = _attributes(straight), _attributes(resumed)
    lost = [n for n in here if n not in there or not all(map(np.array_equal, here[n], there[n]))]
    assert not lost, (
        f"{name} does not resume: self.{lost and lost[0]} changes in training, and no checkpoint holds it. {remedy}"
    )


def reads_only_its_views(method_class: MethodClass, data: MultiModalData | None = None, **settings: Any) -> None:
    """Raises AssertionError if a method reads a view that its `inputs` do not declare.

    Arguments as of `keeps_all`.
    """
    name = method_class.__name__
    made = quick(method_class, **settings)
    data = data or easy_data(method_class, settings=made)
    given = _read(method_class, data, made).views
    try:
        if issubclass(method_class, Method):
            model, training = _made(method_class, data, settings)
            for _ in _outcomes(model, training):
                pass
            model.retriever(training)
            _encodes(model.encode, training)
        else:
            fitted = _fitted(method_class, data, settings)
            _encodes(fitted.represent, _read(method_class, data, made))
    except KeyError as error:
        view = error.args[0] if error.args else None
        known = isinstance(view, str) and view not in given and modality_of(view) in map(modality_of, data.views)
        if not known:
            raise
        raise AssertionError(
            f"{name} reads the view {view!r}, which it does not declare: it has {', '.join(given)}. Name it in inputs"
        ) from error


def _encodes(encode: Callable, data: MultiModalData) -> None:
    for m in data.modalities:
        views = {v: data.splits["train"].features[v][:4] for v in data.views_of(m)}
        encode(m, views[m] if set(views) == {m} else views)


RULES = (
    reads_only_its_views, is_seeded, descends, changes_only_its_networks, stays_where_it_does_not_train,
    drops_out_in_training_alone, resumes, learns, knows_its_labels,
)


def _read(
    method_class: MethodClass, data: MultiModalData | None, settings: RunSettings, **sizes: int
) -> MultiModalData:
    """What the method reads of the data, as a run gives it; of `easy_data` of these sizes if they are None."""
    return job.needed(method_class, data or easy_data(method_class, settings=settings, **sizes), settings)


def _fitted(method_class: MethodClass, data: MultiModalData | None, settings: Mapping[str, Any]) -> Baseline:
    made = quick(method_class, **settings)
    data = _read(method_class, data, made)
    return method_class.of(data, made, 0).learn(data)


def _made(
    method_class: MethodClass, data: MultiModalData | None, settings: Mapping[str, Any], seed: int = 0
) -> tuple[Method, MultiModalData]:
    """A compiled model whose steps run one by one in Python, and its training data."""
    made = quick(method_class, **settings)
    data = _read(method_class, data, made, train=30, test=12)
    training = protocol.make("standard", data).training_data(data)
    model = method_class.of(training, made, seed)
    model.compile(run_eagerly=True)
    return model, training


def _train(model: Method, training: MultiModalData, stop: int | None = None) -> None:
    """Takes the steps up to `stop`, or all, through the stages, as a run does, without its files."""
    if not model.player_optimizers:
        model.compile()
    for number in range(model.stage_number, len(model.stages)):
        model.enter(number, training)
        end = min(model.length if stop is None else stop, model.stage_start + model.stage.steps)
        if model.steps_done < end:
            model.take_steps(sampling.stage_batches(model, training, model.seed, model.steps_done, end))
        if stop is not None and end == stop:
            return


def _first_batches(model: Method, training: MultiModalData) -> Iterator[tuple[str, dict[str, Any]]]:
    """Enters each stage, and yields its name and first batch."""
    for number in range(len(model.stages)):
        model.enter(number, training)
        start = model.stage_start
        model.step.assign(start)
        yield model.stage.name, next(iter(sampling.stage_batches(model, training, model.seed, start, start + 1)))


def _outcomes(
    model: Method, data: MultiModalData, seed: int = 0, training: bool = True
) -> Iterator[tuple[str, dict[str, NDArray]]]:
    """Yields for each stage its name and what its first step gives: player/loss or gradient -> array."""
    for stage, batch in _first_batches(model, data):
        step = model.present_step()
        step = dataclasses.replace(step, seed=step.seed + seed, training=training)
        found: dict[str, NDArray] = {}
        for player, losses, gradients, *_ in model.updates(batch, step):
            found |= {f"loss {player}/{name}": np.asarray(value) for name, value in losses.items()}
            found |= {f"gradient {i} of {player}": np.asarray(g) for i, g in enumerate(gradients) if g is not None}
        yield stage, found


def _losses(model: Method, data: MultiModalData, seed: int = 0, training: bool = True) -> list[float]:
    outcomes = _outcomes(model, data, seed, training)
    return [float(value) for _, found in outcomes for name, value in found.items() if name.startswith("loss")]


def _differ(one: Sequence[float], other: Sequence[float]) -> bool:
    return not np.allclose(one, other, rtol=1e-5, atol=1e-7)


def _weights(model: Method, trainable: bool = False) -> Weights:
    """The weights of a model's networks, or the trainable ones."""
    return {
        name: [np.asarray(v) for v in (network.trainable_variables if trainable else network.variables)]
        for name, network in model.networks.items()
    }


def _first_change(before: Weights, after: Weights, apart: Collection[str] = ()) -> str | None:
    """The name of the first network whose arrays differ, but for those in `apart`; None if none does."""
    for name, arrays in before.items():
        same = all(np.array_equal(a, b, equal_nan=True) for a, b in zip(arrays, after[name], strict=True))
        if not same and name not in apart:
            return name
    return None


def _attributes(model: Method) -> dict[str, list[NDArray]]:
    """The attributes of a model that are numbers, texts, arrays and variables, or made of such: name -> list."""
    # TensorFlow keeps books of its own in _self_..., Keras in _tracked: of every dict that was a stage's decision
    own = (name for name in vars(model) if not name.startswith("_self_") and name != "_tracked")
    found = {name: list(_leaves(getattr(model, name))) for name in own}
    kinds = (bool, int, float, str, np.ndarray, tf.Variable, tf.Tensor)
    return {name: [np.asarray(v) for v in leaves if isinstance(v, kinds)] for name, leaves in found.items()}


def _leaves(value: Any) -> Iterator[Any]:
    if isinstance(value, dict):
        value = [part for key in sorted(value, key=str) for part in (key, value[key])]
    if isinstance(value, (list, tuple, set)):
        for part in value:
            yield from _leaves(part)
    else:
        yield value
