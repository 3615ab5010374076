"""Triplet losses: an item's partner is to be more similar to it than items that are no match, by a margin."""
import tensorflow as tf

NEGATIVES = ("one", "all", "hardest")


def different(ids: tf.Tensor) -> tf.Tensor:
    """Which pairs may serve as negatives: bool (B, B), True where the classes (or items) of row and column differ.

    Args:
      ids: int (B,), class labels, or ids of images where several sentences belong to one image.
    """
    return ids[:, None] != ids[None, :]


def triplet(
    similarities: tf.Tensor, allowed: tf.Tensor, margin: float | tf.Tensor, negatives: str = "all",
    seed: tf.Tensor | None = None,
) -> tf.Tensor:
    """max(0, margin - S[n, n] + S[n, v]) of each row n, v its negatives.

    The other direction is `triplet` of both transposed matrices. A row without an allowed column pays 0.

    Args:
      similarities: S (B, B), query n against all items; its partner is column n.
      allowed: bool (B, B), which columns may be negatives of a row; the diagonal never is.
      margin: > 0.
      negatives: "one" drawn uniformly among the allowed columns; the sum over "all" of them; the "hardest", the most
        similar one (Faghri et al., BMVC 2018, eq. 6), which collapses from random weights.
      seed: int32 (2,), of the draws of "one".

    Returns:
      (B,), >= 0.

    Raises:
      ValueError: unknown `negatives`, or "one" without a seed.
    """
    if negatives not in NEGATIVES:
        raise ValueError(f"negatives={negatives}: must be one of {', '.join(NEGATIVES)}")
    if negatives == "one" and seed is None:
        raise ValueError("negatives=one: needs a seed")
    size = tf.shape(similarities)[0]
    allowed = allowed & ~tf.eye(size, dtype=tf.bool)
    hinges = tf.nn.relu(margin - tf.linalg.diag_part(similarities)[:, None] + similarities)
    hinges = tf.where(allowed, hinges, 0.0)
    if negatives == "all":
        return tf.reduce_sum(hinges, axis=1)
    if negatives == "hardest":
        return tf.reduce_max(hinges, axis=1)
    # the largest of independent uniform numbers is at each allowed column with equal probability
    draws = tf.where(allowed, tf.random.stateless_uniform(tf.shape(allowed), seed), -1.0)
    return tf.gather(hinges, tf.argmax(draws, axis=1), axis=1, batch_dims=1)
