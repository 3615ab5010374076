"""A sentence classifier's last hidden layer (Kim, EMNLP 2014)."""
import pathlib
from collections.abc import Mapping, Sequence
from typing import Any, Self

import keras
import numpy as np
from numpy.typing import NDArray

from tfxmr.core.files import Place
from tfxmr.features.feature import State, floats_of
from tfxmr.features.text.word_sequences import WordSequence

WIDTHS, MAPS = (3, 4, 5), 100  # the filters; 3 x 100 = 300 features
BATCH, EPOCHS, DROPOUT, MAX_NORM = 50, 10, 0.5, 3.0


class SentenceNetwork(WordSequence):
    """sentence_cnn: c_h = max over positions of relu(W_h x[i : i + h] + b_h), h = 3, 4, 5 words, 100 maps each; 300-d.

    Trained by a softmax layer on the labels of the fitted texts, with dropout .5 and rows of its weights of norm 3 at
    most. Word vectors are fixed (CNN-static).

    Differs from the paper: Adam rather than Adadelta, and no early stopping.
    """

    kind = "sentence_cnn"
    view, dtype = "", np.float32  # word numbers are its input, not what it makes
    labels_used = True

    def fit(self, texts: Sequence[str], labels: Sequence[int] | None = None) -> Self:
        """Trains the network on texts and their labels (n,)."""
        super().fit(texts)
        self.rule = {key: value for key, value in self.rule.items() if key not in ("table", "vocabulary")}  # not saved
        self._length = max(self.length, max(WIDTHS))
        epochs, targets = self.options.epochs or EPOCHS, np.asarray(labels)
        self.rule |= {"widths": WIDTHS, "maps": MAPS, "epochs": epochs, "batch": BATCH, "seed": self.options.seed}
        keras.utils.set_random_seed(self.options.seed)
        self._network = self._built(self.table)
        dropped = keras.layers.Dropout(DROPOUT)(self._network.output)
        constraint = keras.constraints.MaxNorm(MAX_NORM)
        classes = keras.layers.Dense(int(targets.max()) + 1, kernel_constraint=constraint)(dropped)
        classifier = keras.Model(self._network.input, classes)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        classifier.compile(keras.optimizers.Adam(1e-3), loss, jit_compile=False)
        numbers = self.numbered(texts, self._length)
        classifier.fit(numbers, targets, batch_size=BATCH, epochs=epochs, verbose=0)
        return self

    def _built(self, table: NDArray) -> keras.Model:
        """The network from word numbers (n, T) to features (n, 300), of a table of word vectors (V + 1, e)."""
        self.dim = len(WIDTHS) * MAPS
        words = keras.Input((self._length,))
        vectors = keras.layers.Embedding(*table.shape, trainable=False)
        inside = vectors(words)
        vectors.set_weights([table])
        maps = [keras.layers.Conv1D(MAPS, width, activation="relu")(inside) for width in WIDTHS]
        return keras.Model(words, keras.layers.Concatenate()([keras.layers.GlobalMaxPooling1D()(m) for m in maps]))

    def save(self, folder: pathlib.Path) -> None:
        """Writes nothing: the table of vectors belongs to no column of this matrix."""

    def _learned(self) -> State:
        """The words and the network. The vectors of these words are its first layer, also where they are of a file."""
        facts, _ = super()._learned()
        arrays = {f"weights.{number}": weights for number, weights in enumerate(self._network.get_weights())}
        return facts | {"length": self._length}, arrays

    def _take(self, facts: Mapping[str, Any], arrays: Mapping[str, NDArray], word_vectors: Place) -> None:
        """Builds the network, and takes its weights."""
        super()._take(facts, arrays, word_vectors)
        self._length = self.length
        ranks = [2, *[3, 1] * len(WIDTHS)]  # the table of word vectors, and of each width the filters and their biases
        table, *filters = (floats_of(arrays, f"weights.{number}", rank) for number, rank in enumerate(ranks))
        if len(table) != len(self.words) + 1 or self._length < max(WIDTHS):
            raise ValueError("its words have not one vector each, or its texts no place for a filter")
        self._network = self._built(table)
        self._network.set_weights([table, *filters])

    def transform(self, texts: Sequence[str]) -> NDArray:
        """Returns float32 (n, 300)."""
        return self._network.predict(self.numbered(texts, self._length), batch_size=BATCH, verbose=0)
