"""Batches as a function of (seed, step) alone."""
import tensorflow as tf

from tfxmr import randomness

_BATCHES = 0  # what the seed is derived for


def batches(split, batch_size, seed, start, stop):
    """Yields the batches of the steps `start` to `stop` - 1 of a training run on paired items.

    Each batch is drawn without replacement from all items, independently of the other batches (as the
    successor code of DANZCR does, rather than by a permutation an epoch), and depends on nothing but the seed
    and the step: a resumed run sees what it would have seen.

    Args:
      split: Split of paired items, n in all.
      batch_size: items in a batch, at most n.
      seed: of the run.
      start: first step.
      stop: one past the last step.

    Returns:
      tf.data.Dataset of dicts: modality -> float32 (B, d), and "label" -> int32 (B,).
    """
    arrays = {m: tf.constant(split.features[m]) for m in split.modalities}
    arrays["label"] = tf.constant(split.labels[split.modalities[0]])
    items = tf.range(len(split))
    sampling_seed = randomness.derive(seed, _BATCHES)

    def draw(step):
        rows = tf.random.experimental.stateless_shuffle(items, randomness.step_seed(sampling_seed, step))
        return {name: tf.gather(array, rows[:batch_size]) for name, array in arrays.items()}

    return tf.data.Dataset.range(start, stop).map(draw, num_parallel_calls=1).prefetch(2)
