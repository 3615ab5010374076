"""The machine's matrix products: how many a second each library computes, by shape and form.

    python benchmarks/steps/products.py numpy|tensorflow|xla|torch     (started by training_step.py)

Forms: xw of a forward pass, gw' of the gradient of the inputs, x'g of the gradient of the weights.
"""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))

import cases  # noqa: E402
import numpy as np  # noqa: E402

FORMS = {"xw": (False, False), "gw'": (False, True), "x'g": (True, False)}  # which factor is transposed


def with_numpy():
    """(how to place an array, how to multiply with either factor transposed)."""
    return lambda a: a, lambda a, b, ta, tb: (a.T if ta else a) @ (b.T if tb else b)


def with_torch():
    """As with_numpy."""
    import torch

    return torch.from_numpy, lambda a, b, ta, tb: (a.T if ta else a) @ (b.T if tb else b)


def with_tensorflow(jit_compile=False):
    """As with_numpy."""
    import tensorflow as tf

    @tf.function(jit_compile=jit_compile)
    def multiply(a, b, ta, tb):
        return tf.matmul(a, b, transpose_a=ta, transpose_b=tb)

    return tf.constant, multiply


LIBRARIES = {
    "numpy": with_numpy, "tensorflow": with_tensorflow, "xla": lambda: with_tensorflow(True), "torch": with_torch,
}


def main(library):
    """Serves the orders of training_step.py."""
    place, multiply = LIBRARIES[library]()
    numbers, others = np.random.default_rng(0).standard_normal((2, 4096, 4096), np.float32)
    square = place(others)

    def run(size, form, seconds):
        """Measures products of (size, 4096) and (4096, 4096) or, in form x'g, of (size, 4096) twice."""
        ta, tb = FORMS[form]
        rows = place(numbers[:size])
        # Of two different arrays: of one, NumPy computes half of the symmetric product.
        other = place(others[:size]) if ta else square

        def take(steps):
            for _ in range(steps):
                product = multiply(rows, other, ta, tb)
            float(product[0, 0])

        take(1)
        return cases.measured(take, seconds)

    cases.serve({"run": run})


if __name__ == "__main__":
    main(*sys.argv[1:])
