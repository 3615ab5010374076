"""Policy gradient (Williams 1992) and the reward of a translation between modalities."""
import tensorflow as tf


def cosine_reward(a: tf.Tensor, b: tf.Tensor, damping: tuple[float, float] = (0.0, 0.0)) -> tf.Tensor:
    """log(cos(a, b) / 2 + 1/2) of corresponding vectors: 0 of equal directions, log(1/2) of orthogonal ones.

    Args:
      a: (..., d).
      b: (..., d).
      damping: >= 0, added to the squared norms of a and of b; CBT's code has .1.

    Returns:
      (...), in [log 1e-6, 0]: opposite vectors would have -infinity. A zero vector counts as orthogonal to all.
    """
    norms = [tf.sqrt(tf.reduce_sum(x**2, axis=-1) + extra + 1e-12) for x, extra in zip((a, b), damping, strict=True)]
    cosine = tf.reduce_sum(a * b, axis=-1) / (norms[0] * norms[1])
    return tf.math.log(tf.clip_by_value(cosine / 2 + 0.5, 1e-6, 1.0))


def reinforce(log_prob: tf.Tensor, reward: tf.Tensor) -> tf.Tensor:
    """-(1/K) sum over k of (r_k - b_k) log p_k, b_k the mean reward of the other K - 1 samples of the same item.

    Its gradient is an unbiased estimate of that of -E[r]; the baseline of all K would shrink it by (K - 1) / K.

    Args:
      log_prob: (K, B), log-probability of each sample, the sample itself a constant.
      reward: (K, B); not differentiated.

    Returns:
      (B,), to be minimised; its value means nothing.

    Raises:
      ValueError: fewer than two samples.
    """
    samples = reward.shape[0]
    if samples < 2:
        raise ValueError(f"{samples} sample: the leave-one-out baseline needs >= 2")
    advantage = (reward - tf.reduce_mean(reward, axis=0)) * samples / (samples - 1)
    # advantages add up to 0: a constant less in all log-probabilities, which may be large, costs no digits
    log_prob -= tf.stop_gradient(tf.reduce_mean(log_prob, axis=0))
    return -tf.reduce_mean(tf.stop_gradient(advantage) * log_prob, axis=0)
