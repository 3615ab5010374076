"""A step of TPCKT and of MHTN at the paper's widths: seconds, peak memory, and the share of the processor's products.

    python benchmarks/transfer_step.py [--methods=tpckt,mhtn] [--precisions=float32,bfloat16] [--batch=64]
        [--seconds=20] [--threads=0]

Each method and precision has a process of its own, on one batch that stays in memory: TPCKT's joint step (pool5 of
VGG19, 300-d texts, 200 and 10 classes), MHTN's of XMedia's five modalities (pool5 of AlexNet, 1,000 and 20 classes).
Prints parameters, the products' floating-point operations by hand (forward, and the gradients of weights and of inputs
that are layers), seconds a step, those of all threads' processor time, which other work changes little, also of the
update alone, the rate by processor time, its share of one 2,048-square product's and of products of the layers' own
shape (batch x 4,096 x 4,096), and the peak of resident memory.
"""
import argparse
import pathlib
import resource
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1]))  # a plain checkout will do

import tfxmr  # noqa: F401, I001  (before NumPy and TensorFlow)
import numpy as np
import tensorflow as tf

from tfxmr.models.mhtn import MHTN, MHTNSettings
from tfxmr.models.tpckt import TPCKT, TPCKTSettings
from tfxmr.engine.keras_model import Shapes

XMEDIA = {"image": 9216, "text": 3000, "audio": 78, "video": 4096, "model": 4700}
CASES = {  # method, settings, the target's widths and classes, the source's
    "tpckt": (TPCKT, TPCKTSettings, {"image": 25088, "text": 300}, 10, {"image": 25088, "text": 300}, 200),
    "mhtn": (MHTN, MHTNSettings, XMEDIA, 20, {"image": 9216}, 1000),
}


def made(name, precision, batch_size, **settings):
    """(the compiled method in its joint stage, a batch of random features and labels)."""
    method, settings_class, dims, classes, source_dims, source_classes = CASES[name]
    source = Shapes("source", source_dims, source_classes, 1000)
    settings = settings_class(precision=precision, batch_size=batch_size, steps=100, **settings)
    model = method(Shapes("target", dims, classes, 1000, source=source), settings)
    model.compile()
    joint = [stage.name for stage in model.stages]
    model.enter(joint.index("joint") if "joint" in joint else 0)
    rng = np.random.default_rng(0)

    def domain(dims, classes):
        found = {m: tf.constant(rng.standard_normal((batch_size, d)).astype(np.float32)) for m, d in dims.items()}
        return found | {"label": tf.range(batch_size) % classes}

    return model, domain(dims, classes) | {"source": domain(source_dims, source_classes)}


def operations(model, name, batch_size):
    """Floating-point operations of a step's products: 2 a weight and row, forward and for each gradient."""
    total = 0
    for network, layer in model.networks.items():
        kernels = [v for v in layer.trainable_variables if v.shape.rank == 2]
        if name == "tpckt":  # both media, or both domains, or all four
            many = {"judge": 8, "judge_common": 4}.get(network, 1 if network.endswith(("fc6", "fc7")) else 2)
        else:
            common = network in ("fc8", "fc9", "classes", "bottleneck", "discriminator")
            many = len(XMEDIA) if common else 1
        gradients = 1 if network.endswith("image_fc6") else 2  # nothing learns below an image's features
        total += sum(2 * many * batch_size * (1 + gradients) * int(np.prod(v.shape)) for v in kernels)
    return total


def seconds(step, least):
    """(seconds, processor seconds) a step, over `least` of the latter, after one that is not counted."""
    step()
    begin, busy, count = time.perf_counter(), time.process_time(), 0
    while time.process_time() - busy < least or count < 3:
        step()
        count += 1
    return (time.perf_counter() - begin) / count, (time.process_time() - busy) / count


def rate(rows, inner, columns, kind, least=2.0):
    """GFLOP a processor second of a product."""
    a, b = (tf.cast(tf.random.stateless_normal(shape, (0, 0)), kind) for shape in ((rows, inner), (inner, columns)))
    product = tf.function(lambda: tf.reduce_sum(tf.cast(tf.matmul(a, b)[:1, :1], tf.float32)))
    return 2e-9 * rows * inner * columns / seconds(lambda: float(product()), least)[1]


def measure(name, precision, options):
    """Prints the row of a method and precision."""
    model, batch = made(name, precision, options.batch)
    step = tf.function(lambda: next(iter(model.train_step(batch).values())))
    wall, whole = seconds(lambda: float(step()), options.seconds)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20
    pairs = [(model.player_optimizers[p], model.variables_of(p)) for p in model.players]
    gradients = [[tf.zeros(v.shape) for v in variables] for _, variables in pairs]

    @tf.function
    def update():
        for (optimizer, variables), zeros in zip(pairs, gradients, strict=True):
            optimizer.apply(zeros, variables)
        return tf.constant(0.0)

    _, alone = seconds(lambda: float(update()), options.seconds / 2)
    work = operations(model, name, options.batch) * 1e-9
    parameters = sum(int(np.prod(v.shape)) for net in model.networks.values() for v in net.trainable_variables)
    kind = tf.bfloat16 if precision == "bfloat16" else tf.float32
    square, own = rate(2048, 2048, 2048, kind), rate(options.batch, 4096, 4096, kind)
    done = work / whole
    print(f"{name:6s}  {precision:9s}  {parameters / 1e6:9.1f}  {work:5.1f}  {wall:6.2f}  {whole:9.2f}  {alone:6.2f}  "
          f"{done:7.1f}  {done / square:9.2f}  {done / own:10.2f}  {peak:8.1f}", flush=True)


def main():
    """Prints the table, a process a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--methods", default="tpckt,mhtn")
    parser.add_argument("--precisions", default="float32,bfloat16")
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--seconds", type=float, default=20.0)
    parser.add_argument("--threads", type=int, default=0, help="0: as the environment has it")
    parser.add_argument("--here", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    rows = [(name, precision) for name in options.methods.split(",") for precision in options.precisions.split(",")]
    if options.here:
        if options.threads:
            tf.config.threading.set_intra_op_parallelism_threads(options.threads)
        for name, precision in rows:
            measure(name, precision, options)
        return
    print("method  precision  weights/M  GFLOP  s/step  processor  update  GFLOP/s  of square  of layers'  peak GiB",
          flush=True)
    for name, precision in rows:
        flags = [f"--methods={name}", f"--precisions={precision}", f"--batch={options.batch}",
                 f"--seconds={options.seconds}", f"--threads={options.threads}", "--here"]
        subprocess.run([sys.executable, __file__, *flags], check=True)


if __name__ == "__main__":
    main()
