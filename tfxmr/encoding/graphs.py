"""An encoder as TensorFlow functions, from raw features to embeddings: normalisation and method in one graph."""
from collections.abc import Callable
from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray
from tensorflow.python.eager import record

from tfxmr.encoding import closed_form, naming, neural
from tfxmr.encoding.encoder import Encoder, Normalisation
from tfxmr.models.base import Method


def function(encoder: Encoder, method: Any, modality: str) -> Any:
    """The graph of a modality.

    Args:
      encoder: whose views and normalisations it has.
      method: its method, a tfxmr.models.base.Method or tfxmr.baselines.base.Baseline.
      modality: name.

    Returns:
      tf.function of the arguments `specs`, raw features, to "embedding" (n, k), or to "embedding_NAME" (n, ...) each
      where the method represents an item by several arrays.
    """
    names, represent = naming.inputs(encoder.views, modality), _represent(method)

    @tf.function(autograph=False)
    def encode(**features: tf.Tensor) -> dict[str, tf.Tensor]:
        rows = {view: _normalised(encoder.normalisations[view], features[name]) for name, view in names.items()}
        with record.stop_recording():  # recurrent layers have tapes, for which every place would keep what it came by
            made = represent(modality, rows)
        return {naming.output(part): array for part, array in (made if isinstance(made, dict) else {"": made}).items()}

    return encode


def specs(encoder: Encoder, modality: str) -> dict[str, tf.TensorSpec]:
    """Name of an input -> its type and shape."""
    found = {}
    for name, view in naming.inputs(encoder.views, modality).items():
        shape = encoder.views[view]
        size = shape if isinstance(shape, tuple) else (shape,)
        found[name] = tf.TensorSpec((None, *size), tf.int32 if _of_tokens(shape) else tf.float32, name=name)
    return found


def variables(method: Any) -> list[tf.Variable]:
    """Those that encoding needs; closed-form methods are constants."""
    if not isinstance(method, Method):
        return []
    state, used = method.network_state(), neural.encoding_networks(method)
    return [variable for name in sorted(used) for variable in state[name]]


def random_features(encoder: Encoder, method: Any, modality: str, items: int, seed: int = 0) -> dict[str, NDArray]:
    """Features like those of the training, as their normalisations tell, view -> (items, ...)."""
    rng, found = np.random.default_rng(seed), {}
    for view in naming.inputs(encoder.views, modality).values():
        shape, how = encoder.views[view], encoder.normalisations[view]
        size = (items, *(shape if isinstance(shape, tuple) else (shape,)))
        if _of_tokens(shape):
            words = method.shapes.tables[view] if view in method.shapes.tables else method.shapes.vocabularies[view]
            found[view] = rng.integers(0, len(words), size, np.int32)
        else:
            rows = rng.random(size) if how.kind == "minmax" else rng.normal(size=size)
            found[view] = np.asarray(rows if how.scale is None else rows * how.scale + how.centre, np.float32)
    return found


def _of_tokens(shape: int | tuple) -> bool:
    return isinstance(shape, tuple) and len(shape) == 1


def _represent(method: Any) -> Callable[[str, Any], Any]:
    """A function of a modality and its normalised features, view -> tensor."""
    if isinstance(method, Method):
        named = method.reads(method.settings)
        return lambda modality, rows: method.embed(modality, rows if named else rows[modality])
    return lambda modality, rows: closed_form.represent(method, modality, tf.cast(rows[modality], tf.float64))


def _normalised(how: Normalisation, rows: tf.Tensor) -> tf.Tensor:
    """As tfxmr.data.normalisation.apply."""
    if how.kind == "none":
        return rows
    if how.centre is None:
        norms = tf.norm(rows, axis=-1, keepdims=True)
        return rows / tf.where(norms > 0, norms, 1.0)
    return tf.cast((tf.cast(rows, tf.float64) - how.centre) / how.scale, tf.float32)
