"""Losses as pure functions on tensors: one value per example, reduced by the caller.

Discriminators give logits z, never probabilities; D = 1 / (1 + exp(-z)) is the probability of "real".
"""
import tensorflow as tf

RECOVERIES = ("tf_l2_loss", "l2_sum", "l2_mean", "sq_mean")
GAN_LOSSES = ("nonsaturating", "saturating")

# The batch size of DANZCR's published successor, whose recovery terms are sums over a batch.
REFERENCE_BATCH = 64


def real_cost(logits):
    """-log D: what a discriminator pays for a real pair. Logits and result: (..., B)."""
    return tf.nn.softplus(-logits)


def fake_cost(logits):
    """-log(1 - D): what a discriminator pays for a fake pair. Logits and result: (..., B)."""
    return tf.nn.softplus(logits)


def generator_cost(logits, kind="nonsaturating"):
    """What a generator pays for a fake that the discriminator scores with `logits` (..., B).

    Args:
      logits: discriminator logits of generated samples.
      kind: "nonsaturating" is -log D (Goodfellow et al. 2014, section 3); "saturating" is log(1 - D).

    Returns:
      (..., B), to be minimised.
    """
    return tf.nn.softplus(-logits) if kind == "nonsaturating" else -tf.nn.softplus(logits)


def recovery(generated, target, kind="tf_l2_loss"):
    """Distance of generated vectors to their targets, DANZCR eq. 3, in one of four readings.

    The paper writes E||a - b||_2; the code of its successor sums half squares over the batch, which at the
    same weight is a far stronger pull. With a batch mean over n outside:

    | kind | value for example n |
    |---|---|
    | tf_l2_loss | 64 * ||a_n - b_n||^2 / 2: the batch sum at batch 64, whatever the batch is |
    | l2_sum | 64 * ||a_n - b_n|| |
    | l2_mean | ||a_n - b_n||: eq. 3 as printed |
    | sq_mean | ||a_n - b_n||^2 / 2 |

    Args:
      generated: (B, d).
      target: (B, d).
      kind: one of RECOVERIES.

    Returns:
      (B,), at least 0.
    """
    squares = tf.reduce_sum(tf.square(generated - target), axis=-1)
    distance = tf.sqrt(squares + 1e-12) if kind.startswith("l2") else 0.5 * squares
    return distance * REFERENCE_BATCH if kind in ("tf_l2_loss", "l2_sum") else distance
