"""Batches as a function of (seed, step) alone."""
import numpy as np
import tensorflow as tf

from tfxmr import randomness
from tfxmr.data.mapped import MappedMatrix
from tfxmr.data.views import modality_of

_BATCHES = 0  # what the seed is derived for


def batches(split, batch_size, seed, start, stop):
    """Yields the batches of the steps `start` to `stop` - 1 of a training run.

    Each batch is drawn without replacement from all items, independently of the other batches (as the
    successor code of DANZCR does, rather than by a permutation an epoch), and depends on nothing but the seed
    and the step: a resumed run sees what it would have seen.

    Modalities that share no rows are joined by class, the largest first: its n items are drawn as above, and each
    item gets, of every other modality, a random item of its class, with replacement. Modalities that share their
    rows keep doing so, also where they are the ones that are joined.

    Args:
      split: Split; n is the number of pairs, or of items of the largest modality.
      batch_size: items in a batch, at most n.
      seed: of the run.
      start: first step; or a function without arguments that gives it, asked at the begin of each pass.
      stop: one past the last step; a function if `start` is one.

    Returns:
      tf.data.Dataset of dicts: view -> (B, ...) of the view's type, and "label" -> int32 (B,), the class of each row
      in every modality.

    Raises:
      InputError: a modality has no item of a class.
    """
    split.require_classes()
    groups = sorted(split.groups, key=lambda group: -len(split.labels[group[0]]))  # stable: the first of equals leads
    gather = {view: _gather(split.features[view]) for view in split.views}
    labels = tf.constant(split.labels[groups[0][0]])
    same_class = [_same_class(split.labels[group[0]]) for group in groups[1:]]
    items = tf.range(len(split))
    sampling_seed = randomness.derive(seed, _BATCHES)

    def draw(step):
        state = randomness.step_seed(sampling_seed, step)
        rows = [tf.random.experimental.stateless_shuffle(items, state)[:batch_size]]
        label = tf.gather(labels, rows[0])
        rows += [pick(label, randomness.fold_in(state, i)) for i, pick in enumerate(same_class)]
        rows_of = {m: r for group, r in zip(groups, rows, strict=True) for m in group}
        return {view: read(rows_of[modality_of(view)]) for view, read in gather.items()} | {"label": label}

    return _steps(start, stop).map(draw, num_parallel_calls=1).prefetch(2)


def _steps(start, stop):
    """The numbers of the steps, int64, as a tf.data.Dataset."""
    if not callable(start):
        return tf.data.Dataset.range(start, stop)
    return tf.data.Dataset.from_generator(lambda: range(start(), stop()), output_signature=tf.TensorSpec((), tf.int64))


def _gather(matrix):
    """Prepares to read rows of a view (n, ...): a function of row numbers (B,), giving (B, ...)."""
    if not isinstance(matrix, MappedMatrix):
        array = tf.constant(matrix)
        return lambda rows: tf.gather(array, rows)

    def read(rows):
        batch = tf.numpy_function(matrix.__getitem__, [rows], matrix.dtype, stateful=False)
        return tf.ensure_shape(batch, (rows.shape[0], *matrix.shape[1:]))

    return read


def _same_class(labels):
    """Prepares draws from items with labels (n,): a function of labels (B,) and a random state, giving rows (B,)."""
    counts = np.bincount(labels).astype(np.int32)
    firsts = tf.constant(np.cumsum(counts) - counts, tf.int32)
    rows, counts = tf.constant(np.argsort(labels, kind="stable"), tf.int32), tf.constant(counts)

    def pick(label, state):
        number = tf.random.stateless_uniform(tf.shape(label), state, minval=None, maxval=None, dtype=tf.int32)
        return tf.gather(rows, tf.gather(firsts, label) + tf.math.floormod(number, tf.gather(counts, label)))

    return pick
