"""Semantic matching (Rasiwasia et al., ACM MM 2010)."""
import dataclasses
from typing import Self

import numpy as np
import scipy.special
import sklearn.linear_model
from numpy.typing import NDArray

from tfxmr.baselines.base import BaselineSettings, LinearBaseline
from tfxmr.core.errors import InputError
from tfxmr.core.settings import setting
from tfxmr.data.multimodal import MultiModalData


@dataclasses.dataclass(frozen=True)
class SMSettings(BaselineSettings):
    """Settings of SM."""

    penalty: float = setting(
        1.0, "Weight of the squared norm of W against the sum of cross-entropies.", minimum=1e-9,
        grid=(1e-2, 1e-1, 1.0, 10.0, 100.0),
    )
    iterations: int = setting(1000, "Iterations of the solver (L-BFGS) at most.", minimum=1)


class SM(LinearBaseline):
    """Makes each item the vector of its class probabilities, by a logistic regression of each modality's own.

    min over W, b:  - sum over items of log softmax(x W + b)_label + penalty / 2 ||W||^2

    Of items of several classes each class c has a logistic regression of its own, of the items that have it against the
    rest: - sum over items of log sigma(+-(x w_c + b_c)) + penalty / 2 ||w_c||^2.

    Retrieval compares the probabilities by cosine. Modalities never meet in training, so they need not be paired.

    Example, of the upper and the lower halves of handwritten digits: find the lower halves of the same digit.

    >>> from sklearn.datasets import load_digits
    >>> from tfxmr.evaluation import mean_average_precision
    >>> pixels, digit = load_digits(return_X_y=True)
    >>> upper, lower = pixels[:, :32], pixels[:, 32:]
    >>> method = SM().fit(upper[:900], lower[:900], labels=digit[:900])
    >>> queries, gallery = method.transform(upper[900:], lower[900:])
    >>> round(mean_average_precision(queries, gallery, digit[900:], digit[900:]), 2)  # chance: 0.11
    0.73
    """

    Settings = SMSettings
    settings: SMSettings
    paper = "Rasiwasia et al., ACM MM 2010"
    citation = """
    @inproceedings{rasiwasia2010new,
      author = {Nikhil Rasiwasia and Jose {Costa Pereira} and Emanuele Coviello and Gabriel Doyle and Gert
                R. G. Lanckriet and Roger Levy and Nuno Vasconcelos},
      title = {A New Approach to Cross-Modal Multimedia Retrieval},
      booktitle = {Proceedings of the 18th ACM International Conference on Multimedia},
      pages = {251--260},
      year = {2010},
      doi = {10.1145/1873951.1873987}
    }
    """
    provenance = "textbook; the published figures are met"
    supervised = multi_label = True
    linear = ("weights", "bias")

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if there is a single class, or a modality lacks one."""
        super().check(data)
        if data.num_classes < 2:
            raise InputError("SM needs two or more training classes")
        data.splits["train"].require_classes(data.class_names)

    def learn(self, data: MultiModalData) -> Self:
        """Fits one classifier a modality on the training split. Returns self."""
        self.check(data)
        train = data.splits["train"]
        self._note(data.multi_label)
        for m in data.modalities:
            if data.multi_label:
                weights, bias = self._one_against_rest(train.features[m], train.labels[m])
                self.keep(m, weights=weights, bias=bias)
                continue
            # Of two classes scikit-learn keeps the difference of logits alone; its square is twice ||W||^2.
            two = len(np.unique(train.labels[m])) == 2
            solver = sklearn.linear_model.LogisticRegression(
                C=(2 if two else 1) / self.settings.penalty, max_iter=self.settings.iterations
            )
            solver.fit(train.features[m].astype(np.float64), train.labels[m])
            weights, bias = solver.coef_.T, solver.intercept_
            if two:
                weights, bias = np.pad(weights, ((0, 0), (1, 0))), np.pad(bias, (1, 0))
            self.keep(m, weights=weights, bias=bias)
        return self

    def _note(self, several: bool) -> None:
        """Notes for `represent` that items have several classes."""
        if several:
            self.multi_label_ = np.array(True)
        elif hasattr(self, "multi_label_"):  # of a fit before
            del self.multi_label_

    def _one_against_rest(self, x: NDArray, labels: NDArray[np.bool_]) -> tuple[NDArray, NDArray]:
        """(W (d, C), b (C,)) of a logistic regression for each class; of one that all items have, or none, b alone."""
        weights, bias = np.zeros((x.shape[1], labels.shape[1])), np.zeros(labels.shape[1])
        x = x.astype(np.float64)
        for c, truth in enumerate(labels.T):
            if truth.all() or not truth.any():
                bias[c] = scipy.special.logit((truth.sum() + 0.5) / (len(truth) + 1))
                continue
            solver = sklearn.linear_model.LogisticRegression(
                C=1 / self.settings.penalty, max_iter=self.settings.iterations
            ).fit(x, truth)
            weights[:, c], bias[c] = solver.coef_[0], solver.intercept_[0]
        return weights, bias

    def represent(self, modality: str, features: NDArray) -> NDArray:
        """Maps features (n, d) to class probabilities (n, C), which add up to 1 unless items have several classes."""
        logits = super().represent(modality, features)
        return scipy.special.expit(logits) if self.by_class else scipy.special.softmax(logits, axis=1)

    @property
    def by_class(self) -> bool:
        """True if it was fitted to items of several classes: each class has a probability of its own."""
        return bool(getattr(self, "multi_label_", False))
