"""Losses as pure functions on tensors: one value per example, reduced by the caller, where not said otherwise.

Discriminators give logits z, never probabilities; D = 1 / (1 + exp(-z)) is the probability of "real".
"""
import itertools
from collections.abc import Callable

import tensorflow as tf

RECOVERIES = ("tf_l2_loss", "l2_sum", "l2_mean", "sq_mean")
GAN_LOSSES = ("nonsaturating", "saturating")
CONTRASTIVE_THIRDS = ("cross", "symmetric", "literal")

# The batch size of DANZCR's published successor, whose recovery terms are sums over a batch.
REFERENCE_BATCH = 64


def real_loss(logits: tf.Tensor) -> tf.Tensor:
    """-log D: what a discriminator pays for a real pair. Logits and result: (..., B).

    >>> round(float(real_loss(0.0)), 4)  # -log 1/2
    0.6931
    """
    return tf.nn.softplus(-logits)


def fake_loss(logits: tf.Tensor) -> tf.Tensor:
    """-log(1 - D): what a discriminator pays for a fake pair. Logits and result: (..., B).

    >>> round(float(fake_loss(0.0)), 4)  # -log 1/2
    0.6931
    """
    return tf.nn.softplus(logits)


def generator_loss(logits: tf.Tensor, kind: str = "nonsaturating") -> tf.Tensor:
    """What a generator pays for a fake that the discriminator scores with `logits` (..., B).

    Args:
      logits: discriminator logits of generated samples.
      kind: "nonsaturating" is -log D (Goodfellow et al. 2014, section 3); "saturating" is log(1 - D).

    Returns:
      (..., B), to be minimised.

    >>> round(float(generator_loss(0.0)), 4), round(float(generator_loss(0.0, "saturating")), 4)
    (0.6931, -0.6931)
    """
    return tf.nn.softplus(-logits) if kind == "nonsaturating" else -tf.nn.softplus(logits)


def recovery(generated: tf.Tensor, target: tf.Tensor, kind: str = "tf_l2_loss") -> tf.Tensor:
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

    >>> made, target = tf.constant([[3.0, 4.0]]), tf.zeros((1, 2))
    >>> [float(recovery(made, target, kind)[0]) for kind in ("l2_mean", "sq_mean", "tf_l2_loss")]
    [5.0, 12.5, 800.0]
    """
    squares = tf.reduce_sum(tf.square(generated - target), axis=-1)
    distance = tf.sqrt(squares + 1e-12) if kind.startswith("l2") else 0.5 * squares
    return distance * REFERENCE_BATCH if kind in ("tf_l2_loss", "l2_sum") else distance


def semantic_discrimination(logits: tf.Tensor, labels: tf.Tensor) -> tf.Tensor:
    """L_sd of MS2GAN, eq. 1: the cross-entropy of an item's class, summed over its modalities.

    Args:
      logits: (M, B, C), the classifier's output on each modality.
      labels: int (B,), classes 0..C-1; or of several classes an item float (B, C) of 0 and 1, whose cross-entropy is
        the mean over them.

    Returns:
      (B,), at least 0; M ln C at equal logits.

    >>> round(float(semantic_discrimination(tf.zeros((2, 1, 4)), [3])[0]), 4)  # 2 ln 4
    2.7726
    """
    labels = tf.convert_to_tensor(labels)
    if labels.shape.rank == 2:
        shares = tf.broadcast_to(tf.math.divide_no_nan(labels, tf.reduce_sum(labels, -1, True)), tf.shape(logits))
        return tf.reduce_sum(tf.nn.softmax_cross_entropy_with_logits(shares, logits), axis=0)
    labels = tf.broadcast_to(labels, tf.shape(logits)[:2])
    return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits), axis=0)


def label_vectors(labels: tf.Tensor, num_classes: int) -> tf.Tensor:
    """Label vectors float (B, C) of labels int (B,), one-hot; those of items of several classes, (B, C), are such.

    >>> label_vectors(tf.constant([1]), 3).numpy().tolist()
    [[0.0, 1.0, 0.0]]
    """
    return labels if len(labels.shape) == 2 else tf.one_hot(labels, num_classes)


def share_class(labels: tf.Tensor) -> tf.Tensor:
    """Which items of a batch match, bool (B, B): of labels int (B,) the equal ones, of (B, C) those that share a class.

    >>> share_class(tf.constant([[1.0, 1.0], [0.0, 1.0], [1.0, 0.0]])).numpy()[1].tolist()
    [True, True, False]
    """
    if len(labels.shape) == 2:
        return tf.matmul(labels, labels, transpose_b=True) > 0
    return labels[:, None] == labels[None, :]


def squared_distances(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """||a_u - b_v||^2 of all rows, by ||a||^2 + ||b||^2 - 2ab; rounding below 0 is cut off.

    Args:
      a: (..., U, d).
      b: (..., V, d).

    Returns:
      (..., U, V), at least 0.

    >>> squared_distances(tf.constant([[0.0, 0.0]]), tf.constant([[3.0, 4.0], [1.0, 0.0]])).numpy().tolist()
    [[25.0, 1.0]]
    """
    squares = tf.reduce_sum(a**2, axis=-1)[..., :, None] + tf.reduce_sum(b**2, axis=-1)[..., None, :]
    return tf.maximum(squares - 2 * tf.matmul(a, b, transpose_b=True), 0.0)


def row_distances(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """||a - b|| of corresponding rows, with a finite gradient where they are equal.

    Args:
      a: (..., d).
      b: (..., d); the leading axes broadcast, so that a[:, None] and b[None] give all pairs.

    Returns:
      (...), at least 1e-6.

    >>> float(row_distances(tf.constant([3.0, 4.0]), tf.zeros(2)))
    5.0
    """
    return tf.sqrt(tf.reduce_sum((a - b) ** 2, axis=-1) + 1e-12)


def contrastive_distances(specific: tf.Tensor, shared: tf.Tensor, third: str = "cross") -> tf.Tensor:
    """d_c(u, v) of MS2GAN, eq. 2, for all ordered pairs of a batch.

    With f the specific and s the shared features of the modalities m, and the pairs a < b of modalities in their
    order,

        d_c(u, v) = sum over m of ||m_u^f - m_v^f||^2 + sum over a < b of third(a, b)

    | third | third(a, b) |
    |---|---|
    | cross | ||a_u^s - b_v^s||^2 |
    | symmetric | half of ||a_u^s - b_v^s||^2 + ||b_u^s - a_v^s||^2 |
    | literal | ||a_u^s - a_v^s||^2: eq. 2 as printed, of the pair's first modality |

    For images and texts (a = i, b = t) this is eq. 2 itself; "cross" is what its prose says, an inter-modal distance
    of shared features. The generalisation to more than two modalities is this project's.

    Args:
      specific: (M, B, d).
      shared: (M, B, d').
      third: one of CONTRASTIVE_THIRDS.

    Returns:
      (B, B), at least 0; row u, column v.

    >>> shared = tf.constant([[[0.0], [1.0]], [[0.0], [3.0]]])  # of two modalities, two items
    >>> contrastive_distances(tf.zeros((2, 2, 1)), shared).numpy().tolist()
    [[0.0, 9.0], [1.0, 4.0]]
    """
    first, second = zip(*itertools.combinations(range(shared.shape[0]), 2), strict=True)
    a, b = tf.gather(shared, first), tf.gather(shared, second)
    between = squared_distances(a, a if third == "literal" else b)
    if third == "symmetric":
        between = (between + tf.linalg.matrix_transpose(between)) / 2
    return tf.reduce_sum(squared_distances(specific, specific), axis=0) + tf.reduce_sum(between, axis=0)


def contrastive(distances: tf.Tensor, labels: tf.Tensor, threshold: float, margin: float = 0.0) -> tf.Tensor:
    """L_c of MS2GAN, eq. 3: items of one class nearer than a threshold, of different classes farther.

    The mean of max(0, d_c - tau) over the ordered pairs (u, v) of equal labels, (u, u) among them, plus the mean of
    max(0, tau - d_c) over those of different labels; a kind of which the batch has no pair adds 0. A loss of a whole
    batch: on several devices, each device's own batch gives its own value.

    A margin m keeps the two kinds apart, at most tau - m and at least tau + m: the constraint of deep metric learning
    (Hu, Lu and Tan, CVPR 2014), whose m is 1.

    Args:
      distances: (B, B), d_c(u, v).
      labels: int (B,).
      threshold: tau > 0.
      margin: m, at least 0.

    Returns:
      A scalar, at least 0.

    >>> distances = tf.constant([[0.0, 1.0], [1.0, 0.0]])
    >>> float(contrastive(distances, tf.constant([0, 1]), threshold=3.0))  # both pairs of two classes are 2 too near
    2.0
    """
    same = tf.cast(labels[:, None] == labels[None, :], distances.dtype)
    other = 1 - same
    near = tf.reduce_sum(same * tf.nn.relu(distances - threshold + margin))
    far = tf.reduce_sum(other * tf.nn.relu(threshold + margin - distances))
    return near / tf.maximum(tf.reduce_sum(same), 1) + far / tf.maximum(tf.reduce_sum(other), 1)


def margin_contrastive(distances: tf.Tensor, labels: tf.Tensor, margin: float) -> tf.Tensor:
    """Contrastive loss of all pairs of a batch (Hadsell et al., CVPR 2006, eq. 4; between modalities in CCL).

    Row u pays the sum over columns v of d^2 / 2 where the labels agree, and of max(0, margin - d)^2 / 2 where they
    differ, d the distance.

    Args:
      distances: (B, B), squared distances d^2, such as those of images (rows) to texts (columns).
      labels: int (B,), of the rows and of the columns.
      margin: distance from which two classes count as apart, > 0.

    Returns:
      (B,), at least 0.

    >>> distances = tf.constant([[4.0, 1.0], [1.0, 4.0]])
    >>> margin_contrastive(distances, tf.constant([0, 1]), 3.0).numpy().tolist()  # 4/2 + (3 - 1)^2 / 2
    [4.0, 4.0]
    """
    same = labels[:, None] == labels[None, :]
    short = tf.nn.relu(margin - tf.sqrt(distances + 1e-12))  # the square root has no slope at 0
    return tf.reduce_sum(tf.where(same, distances, short**2), axis=1) / 2


@tf.custom_gradient
def trace_norm(matrix: tf.Tensor) -> tuple[tf.Tensor, Callable[[tf.Tensor], tf.Tensor]]:
    """Sum of the singular values of a matrix (m, n), a scalar.

    Its gradient is U V', without the division by differences of singular values that the gradient of a general
    singular value decomposition needs.

    >>> round(float(trace_norm(tf.constant([[3.0, 0.0], [0.0, -4.0]]))), 4)
    7.0
    """
    values, left, right = tf.linalg.svd(matrix)
    return tf.reduce_sum(values), lambda upstream: upstream * tf.matmul(left, right, transpose_b=True)


def total_correlation(x: tf.Tensor, y: tf.Tensor, ridge: float) -> tf.Tensor:
    """Sum of the canonical correlations of two views, what deep CCA maximises (Andrew et al., ICML 2013, eq. 10).

    With S the covariances (divisor n - 1) and S_xx + ridge I = L L', S_yy + ridge I = M M', it is the trace norm of
    L^-1 S_xy M'^-1. The paper's symmetric square roots differ from L and M by rotations, which change no trace norm.

    Args:
      x: (n, k).
      y: (n, l), of the same n > 1 items.
      ridge: > 0, in squared units of x and y; both are whitened in float64.

    Returns:
      A scalar in [0, min(k, l)], of x's type.

    >>> x = tf.constant([[1.0], [2.0], [4.0]])
    >>> round(float(total_correlation(x, -2 * x, ridge=1e-9)), 4)
    1.0
    """
    kind, divisor = x.dtype, tf.cast(tf.shape(x)[0] - 1, tf.float64)
    x, y = (v - tf.reduce_mean(v, axis=0) for v in (tf.cast(x, tf.float64), tf.cast(y, tf.float64)))

    def whiten(view: tf.Tensor, columns: tf.Tensor) -> tf.Tensor:
        covariance = tf.matmul(view, view, transpose_a=True) / divisor
        factor = tf.linalg.cholesky(covariance + ridge * tf.eye(view.shape[-1], dtype=tf.float64))
        return tf.linalg.triangular_solve(factor, columns)

    half = whiten(x, tf.matmul(x, y, transpose_a=True) / divisor)  # L^-1 S_xy
    return tf.cast(trace_norm(whiten(y, tf.transpose(half))), kind)


def large_margin(specific: tf.Tensor, shared: tf.Tensor, threshold: float) -> tf.Tensor:
    """L_lm of MS2GAN, eq. 4 and 5: max(0, zeta - ||m^f - m^s||^2), summed over an item's modalities m.

    It pushes an item's specific and shared features apart.

    Args:
      specific: (M, B, d).
      shared: (M, B, d).
      threshold: zeta > 0.

    Returns:
      (B,), at least 0.

    >>> large_margin(tf.zeros((2, 1, 1)), tf.constant([[[1.0]], [[3.0]]]), 4.0).numpy().tolist()  # 4 - 1, and 0
    [3.0]
    """
    distances = tf.reduce_sum((specific - shared) ** 2, axis=-1)
    return tf.reduce_sum(tf.nn.relu(threshold - distances), axis=0)


def modality_classification(logits: tf.Tensor) -> tf.Tensor:
    """L_adv of MS2GAN, eq. 7: the cross-entropy of the modality of each of an item's features, summed over them.

    Args:
      logits: (M, B, M), the modality classifier's output on each modality; modality m is class m.

    Returns:
      (B,), at least 0; M ln M at equal logits.

    >>> round(float(modality_classification(tf.zeros((2, 1, 2)))[0]), 4)  # 2 ln 2
    1.3863
    """
    modalities = tf.repeat(tf.range(tf.shape(logits)[0])[:, None], tf.shape(logits)[1], axis=1)
    return tf.reduce_sum(tf.nn.sparse_softmax_cross_entropy_with_logits(modalities, logits), axis=0)


def pairwise_l2(a: tf.Tensor, b: tf.Tensor) -> tf.Tensor:
    """||a_n - b_n||^2 / 2 of the rows of (B, d) and (B, d), >= 0: Caffe's contrastive loss of pairs that all match.

    >>> float(pairwise_l2(tf.constant([3.0, 4.0]), tf.zeros(2)))
    12.5
    """
    return recovery(a, b, "sq_mean")


def sigmoid_modality(logits: tf.Tensor, modalities: tf.Tensor) -> tf.Tensor:
    """Sigmoid cross-entropy of M outputs against the one-hot modality, summed over the outputs (MHTN).

    Args:
      logits: (B, M).
      modalities: int (B,), in 0..M-1.

    Returns:
      (B,), >= 0; M ln 2 at zero logits.

    >>> round(float(sigmoid_modality(tf.zeros((1, 2)), [0])[0]), 4)  # 2 ln 2
    1.3863
    """
    targets = tf.one_hot(modalities, logits.shape[-1], dtype=logits.dtype)
    return tf.reduce_sum(tf.nn.sigmoid_cross_entropy_with_logits(targets, logits), axis=-1)


def least_squares_domain(outputs: tf.Tensor, domain: float | tf.Tensor) -> tf.Tensor:
    """(o - domain)^2 / 2: a discriminator of domains as TPCKT trains it.

    Args:
      outputs: o (...), linear.
      domain: 1 for source items, 0 for target items; float, or a tensor of o's shape.

    Returns:
      (...), >= 0.

    >>> float(least_squares_domain(tf.constant(3.0), 1.0))
    2.0
    """
    return tf.square(outputs - domain) / 2
