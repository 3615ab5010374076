"""How many images a network takes at once: 16, or as many as an amount of memory holds (`tfxmr extract --memory`)."""
from collections import Counter
from collections.abc import Mapping
from typing import Any

from tfxmr.core.errors import InputError

BATCH = 16  # always that many, so that a row never depends on how many there are
MOST = 1024
MIB = 2**20
COPIES = 1.7  # of what is alive, for kernels that copy their inputs: five networks took 1.15 to 1.6, of 64 images


def within(network: Any, memory: int, name: str) -> int:
    """The largest power of two of images, at most MOST, whose activations an amount of memory holds.

    Args:
      network: keras.Model, whose inputs have known sizes.
      memory: MiB, beside the weights.
      name: of the feature, for the message.

    Raises:
      InputError: it does not hold one image.
    """
    needed = COPIES * bytes_alive(network)
    if needed > memory * MIB:
        raise InputError(f"--memory={memory}: {name} takes {-(-needed // MIB):.0f} MiB for one image, beside its "
                         "weights; give that or more")
    return 1 << int(min(memory * MIB // needed, MOST)).bit_length() - 1


def padded(batch: int, count: int) -> int:
    """How many images at once, of so many: `batch`, or where they are fewer the next multiple of 16, if that is less.

    >>> padded(16, 1), padded(4, 100), padded(512, 1), padded(512, 20)
    (16, 4, 16, 32)
    """
    return min(batch, max(1, -(-count // BATCH)) * BATCH)


def of_rule(rule: Mapping[str, Any]) -> int:
    """The batch of a feature's rule; raises ValueError if it is none."""
    batch = rule.get("batch", BATCH)
    if type(batch) is not int or not 0 < batch <= MOST:
        raise ValueError(f"its batch is {batch!r}")
    return batch


def bytes_alive(network: Any) -> int:
    """Bytes of the tensors that are alive at once, at most, while a network (keras.Model) maps one item.

    Its graph is gone through operation by operation; a tensor lives from the one that makes it to the last that takes
    it. Weights do not count.
    """
    import keras
    import tensorflow as tf  # here, so that what is refused does not wait for it

    item = keras.tree.map_structure(lambda x: tf.TensorSpec([1, *x.shape[1:]], x.dtype), network.input)
    graph = tf.function(lambda x: network(x, training=False)).get_concrete_function(item).graph
    operations = [op for op in graph.get_operations() if op.type not in ("Const", "ReadVariableOp", "NoOp")]
    uses = Counter(tensor.ref() for op in operations for tensor in op.inputs)
    made: set[Any] = set()
    alive = most = 0
    for op in operations:
        outputs = [tensor for tensor in op.outputs if uses[tensor.ref()]]
        made.update(tensor.ref() for tensor in outputs)
        alive += sum(map(_bytes, outputs))
        most = max(most, alive)
        for tensor in op.inputs:
            uses[tensor.ref()] -= 1
            if not uses[tensor.ref()] and tensor.ref() in made:
                alive -= _bytes(tensor)
    return most


def _bytes(tensor: Any) -> int:
    count = tensor.shape.num_elements()
    return count * tensor.dtype.size if count and tensor.dtype.size else 0
