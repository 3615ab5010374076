"""The word decoder, by a slow step-by-step reference, and the feature generator."""
import math

import numpy as np
import pytest
import tensorflow as tf

from tfxmr.engine import randomness
from tfxmr.engine.parts.feature_generator import FeatureGenerator
from tfxmr.engine.parts.word_decoder import WordDecoder

START, END, WORDS, UNITS = 1, 2, 7, 6
SENTENCES = np.array([[1, 5, 3, 2, 0], [1, 2, 0, 0, 0], [1, 7, 7, 4, 2]], np.int32)
SEED = randomness.step_seed(3, 4)


@pytest.fixture
def condition():
    return np.random.default_rng(0).normal(size=(3, UNITS)).astype("f")


@pytest.fixture
def decoder():
    return WordDecoder(WORDS, UNITS, start=START, end=END, seed=1, word_dim=4)


def log_probabilities(decoder, condition, words):
    """log p of every next word after the `words` of one sentence, by single steps."""
    states = decoder.lstm.first_states(1, tf.constant(condition[None]))
    for word in words:
        states = decoder.lstm.step(tf.constant(decoder.table.numpy()[[word]]), states)
    logits = (states[0].numpy() @ decoder.output_layer.kernels[0].numpy() + decoder.output_layer.bias.numpy())[0]
    return logits - np.log(np.exp(logits).sum())


def test_likelihood_word_by_word(decoder, condition):
    """Guards the shift between inputs and targets, ids that begin at 1, the scored end mark and unscored padding."""
    expected = [
        -sum(log_probabilities(decoder, condition[n], s[:t])[s[t] - 1] for t in range(1, 5) if s[t])
        for n, s in enumerate(SENTENCES)
    ]
    np.testing.assert_allclose(decoder(tf.constant(condition), tf.constant(SENTENCES)), expected, rtol=1e-4)


def test_likelihood_of_uniform_words(decoder, condition):
    """ln V for each word and the end mark."""
    decoder.output_layer.kernels[0].assign(tf.zeros((UNITS, WORDS)))
    counts = np.array([3, 1, 4])
    np.testing.assert_allclose(decoder(tf.constant(condition), tf.constant(SENTENCES)), counts * math.log(WORDS), rtol=1e-5)
    np.testing.assert_array_equal(decoder(tf.constant(condition[:1]), tf.zeros((1, 4), tf.int32)), [0])


@pytest.mark.parametrize("traced", [False, True])
def test_greedy_words_are_the_most_likely_ones(decoder, condition, traced):
    """Guards the words after the end mark, the start mark as a word, and padding as a word."""
    decoder.output_layer.bias.assign([9.0, 0, 0, 0, 0, 0, 0])  # the start mark would win
    decoder.output_layer.kernels[0].assign(3 * decoder.output_layer.kernels[0])
    greedy = lambda c: decoder.greedy(c, 6)  # noqa: E731
    ids = (tf.function(greedy) if traced else greedy)(tf.constant(condition)).numpy()
    assert ids.shape == (3, 6)
    for n in range(3):
        words = [START]
        while len(words) < 6 and words[-1] != END:
            scores = log_probabilities(decoder, condition[n], words)
            scores[START - 1] = -np.inf
            words.append(int(scores.argmax()) + 1)
        assert ids[n].tolist() == words + [0] * (6 - len(words))


def test_generation_ends(decoder, condition):
    decoder.output_layer.bias.assign([0, 99.0, 0, 0, 0, 0, 0])
    assert decoder.greedy(tf.constant(condition), 4).numpy().tolist() == [[START, END, 0, 0]] * 3


def test_samples_follow_the_distribution_and_their_seed(decoder):
    """Guards against a greedy sample, one draw for all rows or places, and a hidden generator. 5 standard errors."""
    rows = 4000
    condition = tf.zeros((rows, UNITS))
    sampled = decoder.sample(condition, 3, SEED).numpy()
    np.testing.assert_array_equal(sampled, decoder.sample(condition, 3, SEED))
    assert (sampled != decoder.sample(condition, 3, randomness.step_seed(3, 5)).numpy()).any()
    expected = np.exp(log_probabilities(decoder, np.zeros(UNITS, "f"), [START]))
    expected[START - 1] = 0
    expected /= expected.sum()
    shares = np.bincount(sampled[:, 1], minlength=WORDS + 1)[1:] / rows
    assert (np.abs(shares - expected) <= 5 * np.sqrt(expected * (1 - expected) / rows)).all()
    assert (sampled[:, 1] != sampled[:, 2]).any() and (sampled[sampled[:, 1] == END, 2] == 0).all()


def test_a_given_table_is_kept(condition):
    """Guards against word vectors that training changes, and a table that is one row short."""
    table = np.random.default_rng(0).normal(size=(WORDS + 1, 4)).astype("f")
    decoder = WordDecoder(WORDS, UNITS, start=START, end=END, seed=1, table=table)
    np.testing.assert_array_equal(decoder.table, table)
    assert not any(w is decoder.table for w in decoder.trainable_weights) and any(
        w is decoder.table for w in decoder.non_trainable_weights
    )
    with pytest.raises(ValueError, match="table of 7 rows: must have 8"):
        WordDecoder(WORDS, UNITS, start=START, end=END, seed=1, table=table[1:])
    with pytest.raises(ValueError, match="end=9: must be"):
        WordDecoder(WORDS, UNITS, start=START, end=9, seed=1)


@pytest.mark.parametrize("dtype", ["float32", "mixed_bfloat16"])
def test_gradients_reach_all_weights_and_the_condition(condition, dtype):
    decoder = WordDecoder(WORDS, UNITS, start=START, end=END, seed=1, word_dim=4, dtype=dtype)
    given = tf.constant(condition)
    with tf.GradientTape() as tape:
        tape.watch(given)
        loss = decoder(given, tf.constant(SENTENCES))
    gradients = tape.gradient(loss, [given, *decoder.trainable_weights])
    assert loss.dtype == tf.float32 and len(gradients) == 7
    assert all(np.abs(tf.convert_to_tensor(g)).max() > 0 for g in gradients)


def test_feature_generator(condition):
    """Guards noise that does not depend on the seed, or that makes retrieval random, and negative activations."""
    generator = FeatureGenerator(UNITS, 5, noise_dim=3, units=16, nonnegative=True, seed=0)
    c = tf.constant(condition)
    a = generator(c, SEED, training=True).numpy()
    np.testing.assert_array_equal(a, generator(c, SEED, training=True))
    assert (a != generator(c, randomness.step_seed(3, 5), training=True).numpy()).any() and a.min() >= 0
    np.testing.assert_array_equal(generator(c), generator(c))
    noise = tf.random.stateless_normal((3, 3), SEED).numpy()
    hidden = np.concatenate((condition, noise), 1) @ np.concatenate([k.numpy() for k in generator.hidden.kernels])
    hidden = (hidden - hidden.mean(0)) / np.sqrt(hidden.var(0) + 1e-5)
    hidden = np.where(hidden > 0, hidden, 0.2 * hidden)
    expected = np.maximum(hidden @ generator.output_layer.kernels[0].numpy(), 0)
    np.testing.assert_allclose(a, expected, rtol=1e-3, atol=1e-4)
    assert FeatureGenerator(UNITS, 5, seed=0)(c).numpy().min() < 0
