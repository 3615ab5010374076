"""Maximum mean discrepancy (Gretton et al., JMLR 2012) of two samples."""
import tensorflow as tf

from tfxmr.losses import squared_distances


def mmd(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """Biased quadratic MMD^2 under one RBF kernel: mean K(a, a) + mean K(b, b) - 2 mean K(a, b).

    K(x, y) = exp(-gamma ||x - y||^2), gamma = (N^2 - N) / sum of ||x - y||^2 over the N rows of both: one over the mean
    squared distance of distinct rows. It counts as a constant in the gradient, as in MHTN's code.

    Args:
      a: (B, d).
      b: (B', d).

    Returns:
      A scalar, >= 0 up to rounding; 0 of equal samples.
    """
    rows = tf.concat((a, b), axis=0)
    distances = squared_distances(rows, rows)
    count = tf.cast(tf.shape(rows)[0], distances.dtype)
    total = tf.reduce_sum(distances)
    gamma = tf.stop_gradient((count**2 - count) / tf.maximum(total, 1e-12))  # rows that are all equal: K = 1
    kernel = tf.exp(-gamma * distances)
    size = tf.shape(a)[0]
    within = tf.reduce_mean(kernel[:size, :size]) + tf.reduce_mean(kernel[size:, size:])
    return within - 2 * tf.reduce_mean(kernel[:size, size:])
