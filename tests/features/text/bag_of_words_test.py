"""Tests of the bag-of-words vectors."""
import math
import warnings

import numpy as np
import pytest
from sklearn.exceptions import NotFittedError
from sklearn.feature_extraction.text import CountVectorizer, TfidfVectorizer

from tfxmr.core.errors import InputError
from tfxmr.features.text.bag_of_words import TextVectorizer, split_words, warn_of_phrases

TEXTS = ["The Boat, the boat and a ship!", "A ship2shore radio; boat.", "radio-ship", "zebra"]


def test_split_words():
    assert split_words("It's 3 O'Clock: Ship2shore, naïve_t") == ["it", "clock", "ship", "shore", "naïve"]


def test_counts_by_hand():
    vectorizer = TextVectorizer("counts").fit(TEXTS)
    assert vectorizer.words == ["boat", "radio", "ship"]  # "shore" and "zebra" are in one text only
    rows = vectorizer.transform(TEXTS)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, [[2, 0, 1], [1, 1, 1], [0, 1, 1], [0, 0, 0]])


def test_tfidf_by_hand():
    """Guards against another weighting: tf * (ln((1 + n) / (1 + n_word)) + 1), unit-norm rows."""
    rows = TextVectorizer("tfidf").fit(TEXTS).transform(TEXTS)
    boat, ship = math.log(5 / 3) + 1, math.log(5 / 4) + 1
    length = math.hypot(2 * boat, ship)
    np.testing.assert_allclose(rows[0], [2 * boat / length, 0, ship / length], rtol=1e-6)
    np.testing.assert_array_equal(rows[3], 0)  # no known word: zero, not NaN


@pytest.mark.parametrize("kind", ["counts", "tfidf"])
def test_rows_are_scikit_learns(kind):
    """Guards against rows that differ in the last bit from those of scikit-learn's vectorizers, which earlier runs have."""
    rng = np.random.default_rng(0)
    known = [f"w{chr(97 + i)}{chr(97 + j)}" for i in range(26) for j in range(26)] + ["Straße", "İstanbul", "ΣΊΣΥΦΟΣ", "the", "ﬁne"]
    texts = [" ".join(rng.choice(known, rng.integers(1, 60), p=rng.dirichlet(np.full(len(known), .2)))) for _ in range(500)]
    texts += ["", "zzz", "THE the", "a1b2 c_d e-f"]
    feature = TextVectorizer(kind, max_words=300).fit(texts[:300])
    theirs = {"counts": CountVectorizer, "tfidf": TfidfVectorizer}[kind](
        vocabulary=feature.words, token_pattern=r"[^\W\d_]{2,}", stop_words="english").fit(texts[:300])
    assert np.array_equal(feature.transform(texts), theirs.transform(texts).toarray().astype(np.float32))


def test_max_words_keeps_the_most_frequent_and_breaks_ties_by_alphabet():
    """Guards against a vocabulary that depends on the processor's sort: boat and ship 3 times, radio 2."""
    assert TextVectorizer("counts", max_words=2).fit(TEXTS).words == ["boat", "ship"]
    assert TextVectorizer("counts", max_words=1).fit(TEXTS).words == ["boat"]
    many = [" ".join(f"zz{chr(97 + i)}{chr(97 + j)}" for i in range(20) for j in range(20))] * 2
    words = TextVectorizer("counts", max_words=50).fit(many).words
    assert words == sorted(split_words(many[0]))[:50]


def test_vocabulary_and_weights_come_from_the_training_texts():
    """Guards against test texts changing the features: their words and their frequencies must not count."""
    vectorizer = TextVectorizer().fit(TEXTS)
    alone = vectorizer.transform(["boat ship zeppelin"])
    together = vectorizer.transform(["boat ship zeppelin"] + ["boat boat radio zeppelin"] * 50)
    np.testing.assert_array_equal(alone[0], together[0])
    assert vectorizer.words == ["boat", "radio", "ship"]


@pytest.mark.parametrize("texts", [[], [""], ["the of and", "12 34"], ["boat", "ship"]])
def test_empty_vocabulary_is_refused(texts):
    with pytest.raises(InputError, match=f"vocabulary in {len(texts)} training texts?: .*min_documents"):
        TextVectorizer().fit(texts)


@pytest.mark.parametrize("arguments, message", [
    ({"kind": "lda"}, "'lda'; choose one of tfidf, counts"),
    ({"max_words": 0}, "max_words is 0"),
    ({"min_documents": 0}, "min_documents is 0"),
])
def test_bad_arguments_are_refused_at_once(arguments, message):
    with pytest.raises(InputError, match=message):
        TextVectorizer(**arguments)


@pytest.mark.parametrize("text, phrases", [
    ("一只红球在草地上，孩子拿着", True), ("草地 上 有 一只 红球", False), ("เด็กผู้ชายกำลังเล่นฟุตบอลในสนาม", True),
    ("プログラミング の 本", False), ("красный мяч", False), ("빨간 공이 잔디밭에 있습니다", False), ("a ball 球 on grass", False), ("", False),
])
def test_texts_without_spaces_are_told(text, phrases):
    """Guards against whole phrases that are taken as words without a word: nothing is shared between two texts."""
    with warnings.catch_warnings(record=True) as found:
        warnings.simplefilter("always")
        warn_of_phrases(["a red ball", text], "train")
    assert [str(w.message)[:49] for w in found] == ["train: 1 of 2 texts has no spaces between words ("] * phrases


def test_transform_needs_fit():
    with pytest.raises(NotFittedError):
        TextVectorizer().transform(TEXTS)
