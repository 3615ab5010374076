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


def mixture_mmd(
    within_a: tf.Tensor, within_b: tf.Tensor, between: tf.Tensor, bandwidths: tuple[float, ...]
) -> tf.Tensor:
    """Biased quadratic MMD^2 under a sum of RBF kernels of fixed widths, exp(-||x - y||^2 / (2 sigma^2)) each.

    Of squared distances: those of parts of the rows may be added up, and what two samples share be computed once.

    Args:
      within_a: (..., B, B), ||a_u - a_v||^2.
      within_b: (..., B', B').
      between: (..., B, B').
      bandwidths: sigma of each kernel, > 0.

    Returns:
      (...), >= 0 up to rounding, at most 2 len(bandwidths); 0 of equal samples.
    """

    def mean_kernel(distances):
        kernel = sum(tf.exp(-distances / (2 * sigma**2)) for sigma in bandwidths)
        return tf.reduce_mean(kernel, axis=(-2, -1))

    return mean_kernel(within_a) + mean_kernel(within_b) - 2 * mean_kernel(between)
