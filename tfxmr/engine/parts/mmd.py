"""Maximum mean discrepancy (Gretton et al., JMLR 2012) of two samples."""
import tensorflow as tf

from tfxmr.engine.losses import squared_distances


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


def linear_mmd(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """The unbiased estimate of MMD^2 of two samples of N rows, in time that is linear in N, under the kernel of `mmd`.

    The mean over u = 0, 2, ... of K(a_u, a_u+1) + K(b_u, b_u+1) - K(a_u, b_u+1) - K(a_u+1, b_u) (Gretton et al., lemma
    14), as MHTN's code has it of rows that it draws. The rows of a batch are in random order as they are.

    Args:
      a, b: (N, d) each; rows without a partner count only in the kernel's width.

    Returns:
      A scalar, which may be negative.
    """
    rows = tf.concat((a, b), axis=0)
    count = tf.cast(tf.shape(rows)[0], rows.dtype)
    # the sum of all squared distances without their matrix: 2 N sum of ||x||^2 - 2 ||sum of x||^2
    total = 2 * count * tf.reduce_sum(rows**2) - 2 * tf.reduce_sum(tf.reduce_sum(rows, axis=0) ** 2)
    gamma = tf.stop_gradient((count**2 - count) / tf.maximum(total, 1e-12))
    half = tf.minimum(tf.shape(a)[0], tf.shape(b)[0]) // 2

    def kernel(x: tf.Tensor, y: tf.Tensor) -> tf.Tensor:
        return tf.exp(-gamma * tf.reduce_sum((x - y) ** 2, axis=-1))

    (a, a_next), (b, b_next) = ((x[: 2 * half : 2], x[1 : 2 * half : 2]) for x in (a, b))
    return tf.reduce_mean(kernel(a, a_next) + kernel(b, b_next) - kernel(a, b_next) - kernel(a_next, b))


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

    def mean_kernel(distances: tf.Tensor) -> tf.Tensor:
        kernel = sum(tf.exp(-distances / (2 * sigma**2)) for sigma in bandwidths)
        return tf.reduce_mean(kernel, axis=(-2, -1))

    return mean_kernel(within_a) + mean_kernel(within_b) - 2 * mean_kernel(between)
