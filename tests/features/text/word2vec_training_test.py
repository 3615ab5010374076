"""Tests of word vectors trained on one's own corpus."""
import hashlib
import os
import subprocess
import sys

import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.features.text.word2vec_training import train_word2vec

DIGEST = """
import hashlib, numpy as np
from tfxmr.features.text.word2vec_training import train_word2vec
rng = np.random.default_rng(0)
words = [chr(97 + i) * 3 for i in range(26)]
vectors = train_word2vec([" ".join(rng.choice(words, 8)) for _ in range(300)], dim=24, seed=3)
print(" ".join(vectors.index_to_key), hashlib.sha256(vectors.vectors.tobytes()).hexdigest())
"""


def two_topics():
    """Sentences on the sea and on the farm; "boat" and "ship" never meet, but keep the same company."""
    rng = np.random.default_rng(0)
    pairs = [a + b for a in "abcdef" for b in "abcdef"]
    sea, farm = ([topic + pair for pair in pairs] for topic in ("sea", "farm"))
    topics = (("boat", "ship"), sea), (("cow", "horse"), farm)
    sentences = []
    for _ in range(2000):
        things, company = topics[rng.integers(2)]
        sentences.append(f"The {rng.choice(things)}: {' '.join(rng.permutation(company)[:8])}.")
    return sentences


def test_same_bits_in_every_process():
    """Guards against hash() and threads: both give other vectors in each process."""
    outputs = set()
    for hash_seed in ("0", "1"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        command = [sys.executable, "-c", DIGEST]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
        outputs.add(done.stdout)
    assert len(outputs) == 1


def test_words_of_like_company_are_near():
    """Guards against untrained vectors: of random ones, any pair would be as near as any other."""
    vectors = train_word2vec(two_topics(), dim=50, seed=1, epochs=20)
    assert vectors.similarity("boat", "ship") > vectors.similarity("boat", "cow") + 0.3
    assert vectors.similarity("cow", "horse") > vectors.similarity("ship", "horse") + 0.3


def test_width_vocabulary_and_seed():
    sentences = [*two_topics(), "Hapax-legomenon"]
    first, again, other = (train_word2vec(iter(sentences), dim=20, seed=seed, epochs=1) for seed in (0, 0, 1))
    assert first.vectors.shape == (4 + 36 + 36 + 1, 20) and first.vectors.dtype == np.float32
    assert "boat" in first and "the" in first and "The" not in first and "hapax" not in first
    digests = [hashlib.sha256(v.vectors.tobytes()).digest() for v in (first, again, other)]
    assert digests[0] == digests[1] != digests[2]


@pytest.mark.parametrize("sentences", [[], ["", "..."], ["one two three"]])
def test_too_little_text_is_refused(sentences):
    with pytest.raises(InputError, match=f"no word occurs twice in {len(sentences)} sentences?;"):
        train_word2vec(sentences)
