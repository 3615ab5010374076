"""Random numbers that depend on (seed, step, purpose) alone, so that a resumed run draws what it would have drawn."""
import contextlib
import random
from collections.abc import Iterator

import numpy as np
import tensorflow as tf


def derive(seed: int, *path: int) -> int:
    """Derives an independent 31-bit seed from `seed` and whole numbers that say what it is for."""
    return int(np.random.SeedSequence((seed, *path)).generate_state(1)[0] >> 1)


def step_seed(seed: int, step: int | tf.Tensor) -> tf.Tensor:
    """The random state of one training step: int32 (2,). `seed` is an int, `step` an int or integer tensor."""
    return fold_in(tf.constant((seed & 0x7FFFFFFF, seed >> 31), tf.int32), step)


def fold_in(state: tf.Tensor, number: int | tf.Tensor) -> tf.Tensor:
    """Derives a new state, int32 (2,), from a state and a number (int or integer tensor)."""
    return tf.random.experimental.stateless_fold_in(state, number)


@contextlib.contextmanager
def seeded_layers(seed: int, name: str = "") -> Iterator[None]:
    """Within it, Keras layers whose initialisers have no seed of their own take seeds that depend on seed and name.

    Keras draws such seeds from Python's global generator, whose state is put back afterwards.
    """
    before = random.getstate()
    random.seed(derive(seed, *name.encode()))
    try:
        yield
    finally:
        random.setstate(before)
