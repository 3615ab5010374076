"""A step of CBT at paper widths, beside a plain Keras step of the same mathematics.

    python benchmarks/cbt_step.py [--encoders=global,rcbt] [--batch=200] [--words=40] [--rounds=3] [--seconds=3]

Both take the policy's step (two samples, both directions, Adam) on one batch that stays in memory, in turn. Plain Keras
is Dense, Conv1D and LSTM layers without masks or dropout, GradientTape and keras.optimizers.Adam in a tf.function.
Prints a table of the best steps a second, and the share that the class losses alone (--mode=none) take.
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

from tfxmr.models.cbt import CBT, CBTSettings
from tfxmr.engine.parts.reinforce import cosine_reward, reinforce
from tfxmr.engine.keras_model import Shapes

DIMS = {"image": 4096, "image.regions": (49, 512), "text": 300}
CLASSES, VOCABULARY, SIGMA = 10, 8000, 0.1


def shapes(encoder, options):
    """Shapes of the views that an encoder reads."""
    dims = DIMS | {"text.words": (options.words,)}
    dims = {view: dims[view] for view in CBT.reads(CBTSettings(encoder=encoder)) or ("image", "text")}
    table = np.random.default_rng(1).normal(size=(VOCABULARY + 1, 300)).astype(np.float32)
    return Shapes("bench", dims, CLASSES, options.batch, tables={"text.words": table} if encoder != "global" else {})


def batch_of(data, size):
    """Random features and words without padding."""
    rng, batch = np.random.default_rng(0), {}
    for view, shape in data.dims.items():
        shape = (size, *(shape if isinstance(shape, tuple) else (shape,)))
        words = rng.integers(1, VOCABULARY + 1, shape).astype(np.int32) if view == "text.words" else None
        batch[view] = tf.constant(rng.random(shape).astype(np.float32) if words is None else words)
    return batch | {"label": tf.range(size) % CLASSES}


def ours(encoder, options, mode="policy"):
    """A function of one step, of tfxmr."""
    data = shapes(encoder, options)
    model = CBT(data, CBTSettings(encoder=encoder, mode=mode, dropout_keep=1.0, steps=10, batch_size=options.batch))
    model.compile()
    batch = batch_of(data, options.batch)
    step = tf.function(lambda: model.train_step(batch)["joint/class_image"])
    return lambda: float(step())


def plain(encoder, options):
    """A function of one step, of Keras' layers and optimizer."""
    data = shapes(encoder, options)
    batch, dense = batch_of(data, options.batch), keras.layers.Dense
    widths = {"image": 4096, "text": 300} if encoder == "global" else {"image": 4608, "text": 600}
    outer = {"image": 3000, "text": 1000}
    middle, classifier = dense(2000, "tanh"), dense(CLASSES)
    into = {m: keras.Sequential([dense(n, "tanh"), dense(2000, "tanh")]) for m, n in outer.items()}
    out = {m: keras.Sequential([dense(n, "tanh"), dense(widths[m])]) for m, n in outer.items()}
    readers = {
        "image": keras.Sequential([keras.layers.LSTM(512, return_sequences=True) for _ in range(2)]),
        "text": keras.Sequential([
            keras.layers.Conv1D(300, 5, activation="relu"), keras.layers.MaxPool1D(3, 1),
            *(keras.layers.LSTM(300, return_sequences=True) for _ in range(2)),
        ]),
    }
    attention = {m: dense(1, use_bias=False) for m in readers}
    table = tf.constant(data.tables.get("text.words", np.zeros((1, 1), np.float32)))
    optimizer = keras.optimizers.Adam(3e-4)

    def item(m):
        if encoder == "global":
            return batch[m]
        states = readers[m](batch["image.regions"] if m == "image" else tf.gather(table, batch["text.words"]))
        weights = tf.nn.softmax(attention[m](tf.tanh(states)), axis=1)
        return tf.concat((batch[m], tf.reduce_sum(weights * states, 1) + tf.reduce_mean(states, 1)), -1)

    def loss():
        items, total = {m: item(m) for m in outer}, 0.0
        constant = {m: tf.stop_gradient(x) for m, x in items.items()}
        for a, b in (("image", "text"), ("text", "image")):
            common = middle(into[a](items[a]))
            cost = tf.nn.sparse_softmax_cross_entropy_with_logits(batch["label"], classifier(common))
            mean = out[b](common)
            made = tf.stop_gradient(mean) + SIGMA * tf.random.normal((2, *mean.shape))
            flat = tf.reshape(made, (-1, widths[b]))
            back = tf.reshape(tf.nn.relu(out[a](middle(into[b](flat)))), (2, -1, widths[a]))
            inter = cosine_reward(tf.sigmoid(made), constant[b], (0.1, 0.1))
            intra = cosine_reward(constant[a], back, (0.1, 0.0))
            log_prob = -tf.reduce_sum((made - mean) ** 2, -1) / (2 * SIGMA**2)
            total += tf.reduce_mean(cost) - tf.reduce_mean(intra) / 2
            total += tf.reduce_mean(reinforce(log_prob, (inter + intra) / 2))
        return total

    loss()
    layers = [middle, classifier, *into.values(), *out.values()]
    layers += [*readers.values(), *attention.values()] if encoder != "global" else []
    weights = [v for layer in layers for v in layer.trainable_variables]

    @tf.function
    def step():
        with tf.GradientTape() as tape:
            value = loss()
        optimizer.apply(tape.gradient(value, weights), weights)
        return value

    return lambda: float(step())


def seconds(step, least):
    """Seconds a step, over `least` seconds."""
    step()
    begin, count = time.perf_counter(), 0
    while time.perf_counter() - begin < least or count < 2:
        step()
        count += 1
    return (time.perf_counter() - begin) / count


def main():
    """Prints the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--encoders", default="global,rcbt")
    parser.add_argument("--batch", type=int, default=200)
    parser.add_argument("--words", type=int, default=40)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3.0)
    options = parser.parse_args()
    print("encoder  steps a second: tfxmr  plain Keras  ratio  share of the classes and encoders")
    for encoder in options.encoders.split(","):
        made = [ours(encoder, options), plain(encoder, options), ours(encoder, options, "none")]
        best = np.min([[seconds(step, options.seconds) for step in made] for _ in range(options.rounds)], axis=0)
        ratio, share = best[1] / best[0], best[2] / best[0]
        print(f"{encoder:7s}  {1 / best[0]:21.3f}  {1 / best[1]:11.3f}  {ratio:5.2f}  {share:8.2f}", flush=True)


if __name__ == "__main__":
    main()
