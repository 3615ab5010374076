"""Training on several devices or machines, with the result of one.

Every replica gets the same whole batch and runs a method's whole step on it, but for the networks: these are sharded by
rows. A replica feeds its own rows, and an all-gather gives it the outputs of all replicas. A method thus sees whole
batches everywhere, so that any loss (over pairs of a batch, a covariance, a norm) and any random draw are those of one
device. A network that does not treat rows one by one (BatchNorm) is computed whole by each replica. In the backward
pass a replica's gradient of a weight is that of its own rows; `summed` over the replicas it is that of the batch.
(Megatron-LM splits its layers by the same pair of operations: Shoeybi et al. 2019, figure 3.)
"""
import contextlib
import functools
import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from typing import Any

import tensorflow as tf

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.engine import slurm


def start(options: Any) -> tf.distribute.Strategy:
    """The strategy of a run, made once a process: it must come before anything else uses TensorFlow.

    Args:
      options: tfxmr.runs.options.RunOptions.

    Returns:
      tf.distribute.Strategy; TensorFlow's default one for "none".

    Raises:
      InputError: TensorFlow was used before.
    """
    kind, devices, workers, index = options.strategy, options.logical_devices, options.workers, options.worker_index
    if kind == "none":
        return tf.distribute.get_strategy()
    try:
        return _mirrored(devices) if kind == "mirrored" else _multi_worker(tuple(workers), index)
    except RuntimeError as error:
        raise InputError(f"--strategy={kind}: must be set up before TensorFlow is used ({error})") from error


@functools.cache  # a second strategy would take the keys of the first one's collective operations
def _mirrored(logical_devices: int) -> tf.distribute.Strategy:
    if logical_devices:
        parts = [tf.config.LogicalDeviceConfiguration()] * logical_devices
        tf.config.set_logical_device_configuration(tf.config.list_physical_devices("CPU")[0], parts)
    gpus = [] if logical_devices else tf.config.list_logical_devices("GPU")
    devices = gpus or tf.config.list_logical_devices("CPU")
    return tf.distribute.MirroredStrategy([device.name for device in devices])


@functools.cache
def _multi_worker(workers: tuple[str, ...], index: int | None) -> tf.distribute.Strategy:
    if workers == (slurm.NAME,):
        if index is not None:
            raise InputError(f"--worker_index={index}: Slurm tells it with --workers=slurm; omit it")
        workers, index = slurm.workers(os.environ)
    if workers:
        place = f"give this process's place in --workers, 0 to {len(workers) - 1}"
        if index is None:
            raise InputError(f"--worker_index is missing: {place}")
        if not 0 <= index < len(workers):
            raise InputError(f"--worker_index={index}: {place}")
        cluster = {"cluster": {"worker": list(workers)}, "task": {"type": "worker", "index": index}}
        os.environ["TF_CONFIG"] = json.dumps(cluster)
    try:
        config = json.loads(os.environ.get("TF_CONFIG", "{}"))
        known = config["cluster"]["worker"] and config["task"]["type"] in ("chief", "worker")
    except (ValueError, KeyError, TypeError):
        known = False
    if not known:
        raise InputError(
            "--strategy=multi_worker: name the processes with --workers=HOST:PORT,HOST:PORT --worker_index=0 (1 in the "
            "second process, and so on), in the environment variable TF_CONFIG, or by --workers=slurm under srun"
        )
    return tf.distribute.MultiWorkerMirroredStrategy()


def describe(strategy: tf.distribute.Strategy) -> str:
    """A line on who takes part in a training."""
    replicas = counted(strategy.num_replicas_in_sync, "replica")
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        devices = ", ".join(strategy.extended.worker_devices)
        return f"strategy   mirrored, {replicas}: {devices}"
    resolver = strategy.cluster_resolver
    role = "" if is_chief(strategy) else ", which writes nothing: see the first worker"
    return f"strategy   multi_worker, {replicas}; this is {resolver.task_type} {resolver.task_id}{role}"


def is_chief(strategy: tf.distribute.Strategy) -> bool:
    """True if this process evaluates and writes: always, but for all workers after the first of several."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return True
    resolver = strategy.cluster_resolver
    first = "chief" if "chief" in resolver.cluster_spec().jobs else "worker"
    return (resolver.task_type, resolver.task_id) == (first, 0)


def from_chief(strategy: tf.distribute.Strategy, value: Any) -> Any:
    """The chief's value of a truth value, number or tensor that every worker gives; `value` itself without others.

    Every worker must come here equally often and in the same order.
    """
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return value
    if isinstance(value, bool):
        return bool(from_chief(strategy, int(value)))
    value = tf.convert_to_tensor(value)
    return _from_first(strategy, tf.reshape(value, (-1,))).numpy().reshape(value.shape)


def text_from_chief(strategy: tf.distribute.Strategy, text: str) -> str:
    """The chief's value of a text that every worker gives; as `from_chief`."""
    if not isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        return text
    codes = list(text.encode())
    size = int(from_chief(strategy, len(codes)))
    codes = (codes + [0] * size)[:size]
    return bytes(from_chief(strategy, tf.constant(codes, tf.int32)).tolist()).decode()


@tf.function(autograph=False, reduce_retracing=True)
def _from_first(strategy: tf.distribute.Strategy, value: Any) -> tf.Tensor:
    def total() -> tf.Tensor:
        replica = tf.distribute.get_replica_context()
        given = tf.where(replica.replica_id_in_sync_group == 0, value, tf.zeros_like(value))
        return replica.all_reduce(tf.distribute.ReduceOp.SUM, given)

    return strategy.experimental_local_results(strategy.run(total))[0]


def synchronise(strategy: tf.distribute.Strategy, variables: Iterable[tf.Variable]) -> None:
    """Gives all workers the chief's values of variables, of a checkpoint that it alone may have read, say."""
    if isinstance(strategy, tf.distribute.MultiWorkerMirroredStrategy):
        for variable in variables:
            variable.assign(from_chief(strategy, variable.read_value()))


@contextlib.contextmanager
def loss_explained() -> Iterator[None]:
    """Turns TensorFlow's errors on the loss of another worker into an InputError that says what to do."""
    try:
        yield
    except (tf.errors.UnavailableError, tf.errors.AbortedError, tf.errors.CancelledError) as error:
        raise InputError(
            "--strategy=multi_worker: another worker is gone. Start all of them again with the same flags: the run "
            "resumes from its last checkpoint"
        ) from error


def require_same(strategy: tf.distribute.Strategy, facts: Any) -> None:
    """Raises InputError if this worker's facts, JSON or what has a `repr`, are not the chief's."""
    digest = hashlib.sha256(json.dumps(facts, sort_keys=True, default=repr).encode()).digest()
    mine = int.from_bytes(digest[:7], "big")
    if mine != int(from_chief(strategy, tf.constant(mine, tf.int64))):
        raise InputError(
            f"--worker_index={strategy.cluster_resolver.task_id}: settings or features differ from the first "
            "worker's; start all workers with the same flags but for --worker_index"
        )


def shard(networks: Any) -> frozenset[int]:
    """Makes each replica compute its own rows of the networks alone, as far as these treat rows one by one.

    A layer says so by its attribute `row_axis`, the axis of the rows in its positional arguments and in what it gives;
    without it, it is computed whole by every replica. A layer that draws between its own layers, as dropout does, says
    by `row_parts()` which of these are sharded in its place, so that what is drawn is that of the whole batch.

    Args:
      networks: network name -> layer.

    Returns:
      The ids of the weights of which each replica knows its own rows' gradient alone; with one replica none.
    """
    if tf.distribute.get_strategy().num_replicas_in_sync == 1:
        return frozenset()
    shared: set[int] = set()
    for network in networks.values():
        parts = network.row_parts() if hasattr(network, "row_parts") else [network]
        for part in parts:
            if getattr(part, "row_axis", None) is not None:
                shared.update(map(id, part.trainable_variables))
                part.call = _by_rows(part.call, part.row_axis)
    return frozenset(shared)


def _by_rows(call: Callable, axis: int) -> Callable:
    def shared(*parts: tf.Tensor, **arguments: Any) -> tf.Tensor:
        if replicas() == 1:  # retrieval
            return call(*parts, **arguments)
        rows = parts[0].shape[axis]
        own = (part if part is None else _own_rows(part, axis) for part in parts)
        return tf.nest.map_structure(lambda x: _gathered(x, rows, axis), call(*own, **arguments))

    return shared


def replicas() -> int:
    """How many replicas run the present code."""
    context = tf.distribute.get_replica_context()
    return context.num_replicas_in_sync if context else 1


def _bounds(rows: Any) -> tuple[Any, Any]:
    """This replica's first row of `rows`, and one past its last."""
    number = int(tf.get_static_value(tf.distribute.get_replica_context().replica_id_in_sync_group))
    return number * rows // replicas(), (number + 1) * rows // replicas()


def _cut(x: tf.Tensor, axis: int) -> tf.Tensor:
    first, last = _bounds(x.shape[axis])
    places = [slice(None)] * x.shape.rank
    places[axis] = slice(first, last)
    return x[tuple(places)]


def _put_together(part: tf.Tensor, rows: Any, axis: int) -> tf.Tensor:
    first, last = _bounds(rows)
    padding = [[0, 0]] * part.shape.rank
    padding[axis] = [first, rows - last]
    return tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, tf.pad(part, padding))


def _own_rows(x: tf.Tensor, axis: int) -> tf.Tensor:
    """This replica's rows of x, which is the same on all replicas; so is its gradient."""
    if not x.dtype.is_floating:
        return _cut(x, axis)

    @tf.custom_gradient
    def own(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return _cut(x, axis), lambda upstream: _put_together(upstream, x.shape[axis], axis)

    return own(x)


def _gathered(part: tf.Tensor, rows: Any, axis: int) -> tf.Tensor:
    """The whole of the replicas' parts, `rows` long; its gradient is the same on all replicas."""
    @tf.custom_gradient
    def whole(part: tf.Tensor) -> tuple[tf.Tensor, Callable]:
        return _put_together(part, rows, axis), lambda upstream: _cut(upstream, axis)

    return whole(part)


def summed(gradients: Any, whole: Any = ()) -> list[Any]:
    """The gradients of a batch from those of the replicas, in a list; None stays None.

    Args:
      gradients: list of tensors.
      whole: for each, True if a replica's gradient is the batch's already, and not that of its own rows; () is False.
    """
    if replicas() == 1:
        return gradients
    if whole:
        share = 1 / replicas()
        gradients = [share * g if w and g is not None else g for g, w in zip(gradients, whole, strict=True)]
    known = [g for g in gradients if g is not None]
    sums = iter(tf.distribute.get_replica_context().all_reduce(tf.distribute.ReduceOp.SUM, known))
    return [g if g is None else next(sums) for g in gradients]


def take_sums(optimizer: Any) -> None:
    """Tells a Keras optimizer that its gradients are `summed` already; it would sum them a second time."""
    optimizer._all_reduce_sum_gradients = lambda gradients_and_variables: gradients_and_variables


@tf.custom_gradient
def counted_once(x: tf.Tensor) -> tuple[tf.Tensor, Callable]:
    """x, for a loss of weights themselves: every replica has its whole gradient, which `summed` would count again."""
    return tf.identity(x), lambda upstream: upstream / replicas()
