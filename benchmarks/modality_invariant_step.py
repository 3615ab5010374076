"""A step of the modality-invariant embedding at paper widths, beside a plain Keras step of the same mathematics.

    python benchmarks/modality_invariant_step.py [--lengths=32,80] [--batch=128] [--units=1024] [--words=8000]
        [--rounds=3]

Sentences have 5 to 30 words and two marks, and are padded to a length, as all sentences of a data set are to its
longest. Both take the step of the first stage (triplet loss of all negatives, Adam) on one batch that stays in memory,
in turn; plain Keras is Embedding, GRU with masks, Dense, GradientTape and keras.optimizers.Adam in a tf.function.
Prints a table of the best steps a second, and the share of the text encoder.
"""
import argparse
import pathlib
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: F401, I001  (before NumPy and TensorFlow)
import keras
import numpy as np
import tensorflow as tf

from tfxmr.models.modality_invariant import ModalityInvariant, ModalityInvariantSettings
from tfxmr.engine.parts.triplet import different, triplet
from tfxmr.engine.keras_model import Shapes

IMAGE, WIDTH = 4096, 300


def batch_of(size, length, words):
    """Random features, and sentences of 5 to 30 words with marks, padded to a length."""
    rng = np.random.default_rng(0)
    numbers = rng.integers(4, words + 1, (size, length)).astype(np.int32)
    last = rng.integers(7, min(33, length + 1), size)[:, None]
    numbers[np.arange(length) == last - 1] = 2
    numbers[:, 0] = 1
    numbers[np.arange(length) >= last] = 0
    image = rng.random((size, IMAGE)).astype(np.float32)
    return {"image": tf.constant(image), "text.words": tf.constant(numbers), "item": tf.range(size)}


def ours(options, length):
    """A function of one step, of tfxmr."""
    words = ["", "<start>", "<end>", "<unknown>", *map(str, range(options.words - 3))]
    dims = {"image": IMAGE, "text.words": (length,)}
    settings = ModalityInvariantSettings(units=options.units, batch_size=options.batch, steps=10, stages=(1, 0, 0))
    model = ModalityInvariant(Shapes("bench", dims, 2, options.batch, vocabularies={"text.words": words}), settings)
    model.compile()
    batch = batch_of(options.batch, length, options.words)
    step = tf.function(lambda: model.train_step(batch)["embedding/triplet"])
    return lambda: float(step())


def plain(options, length):
    """A function of one step, of Keras' layers and optimizer."""
    image = keras.layers.Dense(options.units)
    table = keras.layers.Embedding(options.words + 1, WIDTH, mask_zero=True)
    gru = keras.layers.GRU(options.units)
    optimizer = keras.optimizers.Adam(2e-4, global_clipnorm=2.0)
    batch = batch_of(options.batch, length, options.words)

    def forward():
        v = tf.math.l2_normalize(image(tf.math.l2_normalize(batch["image"], -1)), -1)
        return v, tf.math.l2_normalize(gru(table(batch["text.words"])), -1)

    forward()
    weights = [*image.trainable_variables, *table.trainable_variables, *gru.trainable_variables]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            similarities = tf.matmul(*forward(), transpose_b=True)
            allowed = different(batch["item"])
            loss = sum(tf.reduce_mean(triplet(s, allowed, 0.2)) for s in (similarities, tf.transpose(similarities)))
        optimizer.apply(tape.gradient(loss, weights), weights)
        return loss

    return lambda: float(step())


def recurrence(options, length):
    """A function of the GRU's forward and backward pass alone."""
    words = ["", "<start>", "<end>", *map(str, range(options.words - 2))]
    dims = {"image": IMAGE, "text.words": (length,)}
    settings = ModalityInvariantSettings(units=options.units, batch_size=options.batch, steps=10)
    model = ModalityInvariant(Shapes("bench", dims, 2, options.batch, vocabularies={"text.words": words}), settings)
    batch, text = batch_of(options.batch, length, options.words), model.networks["text"]

    @tf.function
    def passes():
        with tf.GradientTape() as tape:
            loss = tf.reduce_sum(text(batch["text.words"]))
        return loss, *(tf.reduce_sum(g) for g in tape.gradient(loss, text.trainable_variables))

    return lambda: float(passes()[0])


def seconds(step, least=3.0):
    """Seconds a step, over `least` seconds."""
    step()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < least or count < 3:
        step()
        count += 1
    return (time.perf_counter() - begin) / count


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--lengths", default="32,80")
    parser.add_argument("--batch", type=int, default=128)
    parser.add_argument("--units", type=int, default=1024)
    parser.add_argument("--words", type=int, default=8000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    print("length  steps a second: tfxmr  plain Keras  ratio  the text encoder's share of tfxmr's step")
    for length in map(int, options.lengths.split(",")):
        made = [maker(options, length) for maker in (ours, plain, recurrence)]
        best = np.min([[seconds(step) for step in made] for _ in range(options.rounds)], axis=0)
        own, keras_own, share = 1 / best[0], 1 / best[1], best[2] / best[0]
        print(f"{length:6d}  {own:21.2f}  {keras_own:11.2f}  {own / keras_own:5.2f}  {share:8.2f}")


if __name__ == "__main__":
    main()
