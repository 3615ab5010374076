"""The table of word vectors: its gradient is whole, as optimizers, clipping and replicas take it."""
import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine.parts.word_table import WordTable


def test_gradient():
    """Against tf.gather's; guards against rows that stand twice and count once, and against IndexedSlices."""
    table, ids = WordTable(6, 3, seed=1), tf.constant([[1, 4, 4], [0, 6, 1]])
    weight = tf.random.stateless_normal((2, 3, 3), (0, 1))
    with tf.GradientTape() as tape:
        made = table(ids)
        loss = tf.reduce_sum(made * weight)
    found = tape.gradient(loss, table.table)
    assert isinstance(found, tf.Tensor) and found.shape == (7, 3)
    plain = tf.Variable(table.table)
    with tf.GradientTape() as tape:
        gathered = tf.gather(plain, ids)
        loss = tf.reduce_sum(gathered * weight)
    np.testing.assert_array_equal(made, gathered)
    np.testing.assert_allclose(found, tf.convert_to_tensor(tape.gradient(loss, plain)), rtol=1e-6)


def test_initial_vectors():
    learned = np.asarray(WordTable(400, 30, seed=1).table)
    assert learned.shape == (401, 30) and np.abs(learned).max() == pytest.approx(0.1, rel=0.01)
    assert np.abs(learned - np.asarray(WordTable(400, 30, seed=2).table)).max() > 0.1
    fixed = np.arange(12.0).reshape(4, 3)
    table = WordTable(3, table=fixed)
    np.testing.assert_array_equal(table(tf.constant([2, 0])), fixed[[2, 0]])
    assert table.trainable_variables == [] and table.width == 3
    with pytest.raises(ValueError, match="table of 4 rows: must have 6, padding first"):
        WordTable(5, table=fixed)
