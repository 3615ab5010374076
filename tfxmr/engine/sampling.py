"""Batches as a function of (seed, step) alone."""
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.classes import several
from tfxmr.core.errors import InputError
from tfxmr.data.memmap import MappedMatrix
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.views import modality_of
from tfxmr.engine import randomness

Pick = Callable[[tf.Tensor, tf.Tensor], tf.Tensor]  # labels (B,) and a random state to rows (B,)
_BATCHES, _SOURCE = 0, 1  # what the seeds of the streams are derived for
SAMPLERS = ("items", "repaired", "classes", "contrasted")


def batches(
    split: Split, batch_size: int, seed: int, start: int | Callable[[], int], stop: int | Callable[[], int],
    sampler: str = "items", source: Split | None = None, numbers: NDArray | None = None,
) -> tf.data.Dataset:
    """Yields the batches of the steps `start` to `stop` - 1 of a training run.

    Each batch depends on nothing but the seed and the step: a resumed run sees what it would have seen. Samplers:

    * items: a batch is drawn without replacement from all items, independently of the other batches (as the
      successor code of DANZCR does, rather than by a permutation an epoch). Modalities that share no rows are joined by
      class, the largest first: its n items are drawn so, and each item gets, of every other modality, a random item of
      its class, with replacement. Modalities that share their rows keep doing so, also where they are the ones that are
      joined.
    * repaired: the same, as if no modality shared its rows with another, and of equally many the last leads: a text
      gets a random image of its class.
    * classes: for each place of the batch two different classes are drawn uniformly, and a random item of each, all
      with replacement; "wrong" holds the second one's (the released code of CM-GANs, Peng and Qi, TOMM 2019).
    * contrasted: as items, and "wrong" holds for each place an item of another class, drawn uniformly from all items of
      other classes, with replacement, so that large classes come more often (the released code of DADN, Chi and Peng,
      TCSVT 2019).

    Args:
      split: Split; n is the number of pairs, or of items of the largest modality.
      batch_size: items in a batch, at most n unless drawn by classes.
      seed: of the run.
      start: first step; or a function without arguments that gives it, asked at the begin of each pass.
      stop: one past the last step; a function if `start` is one.
      sampler: one of SAMPLERS.
      source: Split of a second domain, with labels of its own; its batch, at most as large, stands under "source".
      numbers: int (n,), which item each row of pairs is of: five sentences of an image are five rows of one. With them
        a batch has "item", int32 (B,).

    Returns:
      tf.data.Dataset of dicts: view -> (B, ...) of the view's type, and "label" -> int32 (B,), the class of each row
      in every modality, or of items of several classes float32 (B, C) of 0 and 1; perhaps "wrong" and "source", dicts
      of the same kind.

    Raises:
      InputError: a modality has no item of a class, or there is one class alone and two are to be drawn.
    """
    parts = [("", split, _BATCHES, sampler)] + ([("source", source, _SOURCE, "items")] if source is not None else [])
    draws = {
        name: _drawer(
            part, min(batch_size, len(part)) if name else batch_size, randomness.derive(seed, stream), how,
            None if name else numbers,
        )
        for name, part, stream, how in parts
    }

    def draw(step: tf.Tensor) -> dict[str, Any]:
        batch = draws[""](step)
        return batch | {name: own(step) for name, own in draws.items() if name}

    return _steps(start, stop).map(draw, num_parallel_calls=1).prefetch(2)


def stage_batches(
    method: Any, data: MultiModalData, seed: int, start: int | Callable[[], int], stop: int | Callable[[], int],
) -> tf.data.Dataset:
    """The batches of the present stage of a method from a step to another, as `batches`.

    Args:
      method: Method in a stage, with what it decided.
      data: the training data.
      seed, start, stop: as of `batches`.
    """
    stage, split = method.stage, data.splits["train"]
    if "classes" in method.decision:
        split = split.of_classes(method.decision["classes"])
    source = data.source.splits["train"] if data.source else None
    if source and "source_classes" in method.decision:
        source = source.of_classes(method.decision["source_classes"])
    size = stage.batch_size or method.settings.batch_size
    size = size if stage.sampler == "classes" else min(size, len(split))
    return batches(split, size, seed, start, stop, stage.sampler, source, item_numbers(method, data, split))


def item_numbers(method: Any, data: MultiModalData, split: Split) -> NDArray | None:
    """Which item each row of a split of pairs is of, int (n,), for a method that `takes_items`; else None.

    Args:
      method: Method.
      data: MultiModalData that the split is of.
      split: Split.
    """
    if not method.takes_items:
        return None
    return split.items_of(data.repeated[0])[1] if data.repeated else np.arange(len(split))


def _drawer(
    split: Split, batch_size: int, seed: int, sampler: str, item_of: NDArray | None = None,
) -> Callable[[tf.Tensor], dict[str, Any]]:
    """Prepares to draw batches of one domain: a function of the step, giving a dict as `batches` yields."""
    split.require_classes()
    groups = [[m] for m in reversed(split.modalities)] if sampler == "repaired" else split.groups
    groups = sorted(groups, key=lambda group: -len(split.labels[group[0]]))  # stable: the first of equals leads
    gather = {view: _gather(split.features[view]) for view in split.views}
    labels = split.labels[groups[0][0]]
    if several(labels) and (len(groups) > 1 or sampler != "items"):
        raise InputError("items of several classes are drawn in pairs, and not joined or told apart by class")
    same_class = [] if several(labels) else [_same_class(split.labels[group[0]]) for group in groups]

    def items(rows: list[tf.Tensor], label: tf.Tensor) -> dict[str, Any]:
        rows_of = {m: r for group, r in zip(groups, rows, strict=True) for m in group}
        found = {view: read(rows_of[modality_of(view)]) for view, read in gather.items()} | {"label": label}
        return found if item_of is None else found | {"item": tf.gather(tf.constant(item_of, tf.int32), rows[0])}

    if sampler == "classes":
        return _by_classes(split, batch_size, seed, same_class, items)
    known = tf.constant(labels.astype(np.float32) if several(labels) else labels)
    numbers = tf.range(len(split))
    other_class = _other_class(labels) if sampler == "contrasted" else None

    def joined(row: tf.Tensor, state: tf.Tensor) -> dict[str, Any]:
        label = tf.gather(known, row)
        others = [pick(label, randomness.fold_in(state, i)) for i, pick in enumerate(same_class[1:])]
        return items([row, *others], label)

    def draw(step: tf.Tensor) -> dict[str, Any]:
        state = randomness.step_seed(seed, step)
        row = tf.random.experimental.stateless_shuffle(numbers, state)[:batch_size]
        batch = joined(row, state)
        if other_class:
            state = randomness.fold_in(state, len(groups))  # a stream of its own
            batch["wrong"] = joined(other_class(batch["label"], state), state)
        return batch

    return draw


def _by_classes(
    split: Split, batch_size: int, seed: int, same_class: list[Pick],
    items: Callable[[list[tf.Tensor], tf.Tensor], dict[str, Any]],
) -> Callable[[tf.Tensor], dict[str, Any]]:
    """As `_drawer`, of pairs of items of two classes."""
    classes = np.unique(split.labels[split.modalities[0]]).astype(np.int32)
    if len(classes) < 2:
        raise InputError("the training items are of one class, and items of two are to be drawn; add another class")

    def draw(step: tf.Tensor) -> dict[str, Any]:
        state = randomness.step_seed(seed, step)

        def uniform(low: int, high: int, number: int) -> tf.Tensor:
            return tf.random.stateless_uniform((batch_size,), randomness.fold_in(state, number), low, high, tf.int32)

        right = uniform(0, len(classes), 0)
        wrong = (right + uniform(1, len(classes), 1)) % len(classes)
        found = []
        for side, chosen in enumerate((right, wrong)):
            label = tf.gather(tf.constant(classes), chosen)
            seeds = (randomness.fold_in(state, 2 + side + 2 * i) for i in range(len(same_class)))
            found.append(items([pick(label, own) for pick, own in zip(same_class, seeds, strict=True)], label))
        return found[0] | {"wrong": found[1]}

    return draw


def _steps(start: int | Callable[[], int], stop: Any) -> tf.data.Dataset:
    """The numbers of the steps, int64, as a tf.data.Dataset."""
    if not callable(start):
        return tf.data.Dataset.range(start, stop)
    return tf.data.Dataset.from_generator(lambda: range(start(), stop()), output_signature=tf.TensorSpec((), tf.int64))


def _gather(matrix: NDArray | MappedMatrix) -> Callable[[tf.Tensor], tf.Tensor]:
    """Prepares to read rows of a view (n, ...): a function of row numbers (B,), giving (B, ...)."""
    if not isinstance(matrix, MappedMatrix):
        array = tf.constant(matrix)
        return lambda rows: tf.gather(array, rows)

    def read(rows: tf.Tensor) -> tf.Tensor:
        batch = tf.numpy_function(matrix.__getitem__, [rows], matrix.dtype, stateful=False)
        return tf.ensure_shape(batch, (rows.shape[0], *matrix.shape[1:]))

    return read


def _by_class(labels: NDArray) -> tuple[tf.Tensor, tf.Tensor, tf.Tensor]:
    """Rows (n,) sorted by class, and of each class the place of its first in them and their number, as tensors."""
    counts = np.bincount(labels).astype(np.int32)
    rows = np.argsort(labels, kind="stable")
    return tf.constant(rows, tf.int32), tf.constant(np.cumsum(counts) - counts, tf.int32), tf.constant(counts)


def _any_number(shape: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
    """Random int32 of a shape."""
    return tf.random.stateless_uniform(shape, state, minval=None, maxval=None, dtype=tf.int32)


def _same_class(labels: NDArray) -> Pick:
    """Prepares draws from items with labels (n,): a function of labels (B,) and a random state, giving rows (B,)."""
    rows, firsts, counts = _by_class(labels)

    def pick(label: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        number = tf.math.floormod(_any_number(tf.shape(label), state), tf.gather(counts, label))
        return tf.gather(rows, tf.gather(firsts, label) + number)

    return pick


def _other_class(labels: NDArray) -> Pick:
    """As `_same_class`, of the items of all other classes, each as likely as any other."""
    if labels.min() == labels.max():
        raise InputError("the training items are of one class, and items of another are to be drawn; add another class")
    rows, firsts, counts = _by_class(labels)

    def pick(label: tf.Tensor, state: tf.Tensor) -> tf.Tensor:
        first, own = tf.gather(firsts, label), tf.gather(counts, label)
        number = tf.math.floormod(_any_number(tf.shape(label), state), len(labels) - own)
        return tf.gather(rows, tf.where(number < first, number, number + own))  # past the own class's place

    return pick
