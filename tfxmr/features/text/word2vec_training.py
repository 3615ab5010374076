"""Word vectors trained on a text corpus of one's own, where no pretrained ones fit."""
from collections.abc import Iterable

from gensim.models import KeyedVectors, Word2Vec

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.features.text.bag_of_words import split_words


def train_word2vec(sentences: Iterable[str], dim: int = 300, seed: int = 0, epochs: int = 10) -> KeyedVectors:
    """Trains skip-gram word vectors with negative sampling (Mikolov et al., NIPS 2013).

    One thread, so that the same sentences and seed give the same bits in every process.

    Args:
      sentences: iterable of n strings; each is lower-cased and split on non-letters.
      dim: width of the vectors, positive.
      seed: int; the initial vectors and the sampling follow from it.
      epochs: passes over the sentences, positive.

    Returns:
      gensim.models.KeyedVectors of every word that occurs at least twice; float32 (dim,), not normalised.

    Raises:
      InputError: no word occurs twice.
    """
    corpus = [split_words(sentence) for sentence in sentences]
    model = Word2Vec(
        vector_size=dim,
        sg=1,
        negative=5,
        window=5,
        min_count=2,
        sample=1e-3,
        workers=1,
        seed=seed,
    )
    model.build_vocab(corpus)
    if not len(model.wv):
        raise InputError(f"no word occurs twice in {counted(len(corpus), 'sentence')}; word vectors need more text")
    model.train(corpus, total_examples=len(corpus), epochs=epochs)
    return model.wv
