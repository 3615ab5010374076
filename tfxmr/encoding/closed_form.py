"""What closed-form methods compute of features, in TensorFlow: for files that other programs read."""
import functools

import numpy as np
import tensorflow as tf

from tfxmr.baselines.base import Baseline, LinearBaseline
from tfxmr.baselines.jrl import JRL
from tfxmr.baselines.kcca import KCCA
from tfxmr.baselines.scm import SCM
from tfxmr.baselines.sm import SM
from tfxmr.baselines.zero_training import ZeroTraining
from tfxmr.core.errors import InputError


@functools.singledispatch
def represent(method: Baseline, modality: str, rows: tf.Tensor) -> tf.Tensor:
    """As the method's own `represent`, of float64 (n, d) to (n, k).

    Args:
      method: fitted.
      modality: of the items.
      rows: normalised.

    Raises:
      InputError: nothing is known of the method but its NumPy code.
    """
    raise InputError(
        f"{type(method).__name__} computes by NumPy, of which no graph can be made; subclass LinearBaseline, or add "
        "its function to tfxmr/encoding/closed_form.py"
    )


@represent.register
def linear(method: LinearBaseline, modality: str, rows: tf.Tensor) -> tf.Tensor:
    """(x - mean) W + bias, of a method that leaves it at that."""
    held = dict(zip(method.linear, method.fitted(modality, *method.linear), strict=True))
    made = (rows - held["mean"] if "mean" in held else rows) @ tf.constant(held["weights"], tf.float64)
    return made + held["bias"] if "bias" in held else made


@represent.register
def _(method: ZeroTraining, modality: str, rows: tf.Tensor) -> tf.Tensor:
    return rows


@represent.register
def _(method: SM, modality: str, rows: tf.Tensor) -> tf.Tensor:
    logits = linear(method, modality, rows)
    return tf.nn.sigmoid(logits) if method.by_class else tf.nn.softmax(logits)


@represent.register
def _(method: SCM, modality: str, rows: tf.Tensor) -> tf.Tensor:
    for part in method.parts.values():
        rows = represent(part, modality, rows)
    return rows


@represent.register
def _(method: KCCA, modality: str, rows: tf.Tensor) -> tf.Tensor:
    landmarks, gamma, weights, offset = method.fitted(modality, "landmarks", "gamma", "weights", "offset")
    kernel = rows @ tf.constant(landmarks.T)
    if method.settings.kernel == "rbf":
        squares = _squares(rows) - 2 * kernel + np.sum(landmarks**2, axis=1)
        kernel = tf.exp(-float(gamma) * tf.maximum(squares, 0.0))
    return kernel @ tf.constant(weights) - offset


@represent.register
def _(method: JRL, modality: str, rows: tf.Tensor) -> tf.Tensor:
    made = linear(method, modality, rows)
    if method.settings.similarity_form == "projection":
        norms = tf.sqrt(_squares(made))
        return made / tf.where(norms > 0, norms, 1.0)
    known = method.training_
    squares = _squares(made) - 2 * made @ tf.constant(known.T) + np.sum(known**2, axis=1)
    near = tf.math.top_k(-squares, min(method.settings.neighbours, len(known))).indices
    distances = tf.sqrt(tf.reduce_sum((made[:, None] - tf.gather(tf.constant(known), near)) ** 2, axis=2))
    votes = tf.nn.softmax(-tf.nn.softplus(distances))
    return tf.reduce_sum(votes[:, :, None] * tf.gather(tf.constant(method.training_labels_), near), axis=1)


def _squares(rows: tf.Tensor) -> tf.Tensor:
    """The squared norms of (n, d), (n, 1)."""
    return tf.reduce_sum(rows * rows, axis=1, keepdims=True)
