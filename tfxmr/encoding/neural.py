"""What is kept of a neural method: its configuration, and the weights of the networks that encoding runs through."""
import functools
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.data.views import modality_of
from tfxmr.engine import keras_model
from tfxmr.models.base import Method


def stored(method: Method) -> tuple[dict[str, Any], dict[str, NDArray]]:
    """See tfxmr.encoding.folder.stored. The arrays are called NETWORK/NUMBER, and as in `_apart`."""
    arrays: dict[str, NDArray] = {}
    config = _apart(method.get_config(), "shapes", arrays)
    used = encoding_networks(method)
    for name, variables in method.network_state().items():
        if name in used:
            arrays |= {f"{name}/{number}": variable.numpy() for number, variable in enumerate(variables)}
    return config | {"networks": sorted(used)}, arrays


def restored(method_class: type[Method], config: dict[str, Any], arrays: dict[str, NDArray]) -> Method:
    """See tfxmr.encoding.folder.restored.

    Raises:
      InputError: the arrays are not those of the method's networks, as of another version.
    """
    networks = config["networks"]
    method: Any = method_class.from_config(_joined({k: v for k, v in config.items() if k != "networks"}, arrays))
    state = method.network_state()
    for name in networks:
        held = [arrays.get(f"{name}/{number}") for number in range(len(state.get(name, ())))]
        if not held or any(a is None or a.shape != tuple(v.shape) for a, v in zip(held, state[name], strict=True)):
            raise InputError(f"the kept weights of network {name!r} are not those of this version's {method.name}")
        for variable, array in zip(state[name], held, strict=True):
            variable.assign(array)
    functions = _functions(method)
    method._embed = lambda modality, held: functions[modality](held)
    return method


def encoding_networks(method: Method) -> set[str]:
    """Names of the networks that represent items: those whose variables stand in the graph of `embed`."""
    graphs = [function.get_concrete_function().graph for function in _functions(method).values()]
    used = {id(variable.handle) for graph in graphs for variable in graph.variables}
    return {
        name for name, network in method.networks.items()
        if any(id(part.handle) in used for v in network.variables for part in getattr(v.value, "values", (v.value,)))
    }


def _functions(method: Method) -> dict[str, Any]:
    """Modality -> `embed` as a tf.function of any number of items, which is traced once."""
    found = {}
    for modality in method.shapes.modalities:
        views = [view for view in method.shapes.views if modality_of(view) == modality]
        tokens = {view: view in method.shapes.tables or view in method.shapes.vocabularies for view in views}
        asked = {
            view: tf.TensorSpec(
                (None, *np.atleast_1d(method.dims[view]).tolist()), tf.int32 if tokens[view] else tf.float32
            )
            for view in views
        }
        signature = [asked if method.reads(method.settings) else asked[modality]]
        # Of a partial, TensorFlow counts the traces by itself; of functions of one code together, and then warns.
        found[modality] = tf.function(functools.partial(method.embed, modality), input_signature=signature)
    return found


def _apart(value: Any, place: str, arrays: dict[str, NDArray]) -> Any:
    """A configuration without its packed arrays, which go to `arrays` under names of their places."""
    if not isinstance(value, dict):
        return value
    if set(value) == {"shape", "float32"}:
        arrays[place] = np.asarray(keras_model.unpacked(value))
        return {"array": place}
    return {key: _apart(part, f"{place}.{key}", arrays) for key, part in value.items()}


def _joined(value: Any, arrays: dict[str, NDArray]) -> Any:
    """What `_apart` has taken apart."""
    if not isinstance(value, dict):
        return value
    if set(value) == {"array"}:
        return keras_model.packed(arrays[value["array"]])
    return {key: _joined(part, arrays) for key, part in value.items()}
