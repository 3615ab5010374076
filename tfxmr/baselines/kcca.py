"""Kernel canonical correlation analysis (Akaho 2001; Hardoon et al., Neural Computation 2004)."""
import dataclasses
import functools
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np
import scipy.linalg
import sklearn.metrics
from numpy.typing import NDArray

from tfxmr.baselines._linear import BLOCK, View, gram_root
from tfxmr.baselines._pairs import PairBaseline
from tfxmr.baselines.base import CommonSpaceSettings
from tfxmr.baselines.cca import canonical_directions
from tfxmr.core.settings import setting
from tfxmr.data.multimodal import MultiModalData

DISTANCES = 1000  # items whose distances give the median


@dataclasses.dataclass(frozen=True)
class KCCASettings(CommonSpaceSettings):
    """Settings of KCCA."""

    kernel: str = setting("rbf", "exp(-|x - y|^2 / (2 s^2)), or x'y.", choices=("rbf", "linear"))
    bandwidth: float = setting(
        1.0, "s of the rbf kernel in medians of the distance of two training items.", minimum=1e-3,
        grid=(0.25, 0.5, 1.0, 2.0),
    )
    ridge: float = setting(
        1e-2, "Added to each covariance's diagonal in the kernel's space, relative to the total variance there.",
        minimum=1e-9, grid=(1e-4, 1e-3, 1e-2, 1e-1),
    )
    landmarks: int = setting(
        3000, "Training items at most whose span holds the directions; of more items, so many are drawn.", minimum=2
    )
    landmark_seed: int = setting(0, "Seed of that draw.", minimum=0)

    def resolved(self, num_classes: int, instances: bool = False, widths: Sequence[int] = ()) -> Self:
        """As of other methods, but for the features' widths: a kernel's space is as wide as there are landmarks."""
        return super().resolved(num_classes, instances)


class KCCA(PairBaseline):
    """Finds functions a, b of a kernel's space in which paired items correlate most.

    max corr(a(x), b(y)),  a(x) = sum_i alpha_i k(x, x_i),  b(y) = sum_i beta_i l(y, y_i), with a ridge on their norms:

    max alpha' Kx Ky beta / n  subject to  alpha' (Kx Kx / n + r Kx) alpha = beta' (Ky Ky / n + r Ky) beta = 1

    for centred kernel matrices. With the Cholesky factor K = L L', the rows k(x, .) L'^-1 have the kernel's products,
    and the problem is that of CCA on them. Of more items than `landmarks`, i runs over a random draw (Nystroem;
    Williams and Seeger, NIPS 2000), and all pairs give the covariances. Retrieval compares a(x) and b(y) by cosine.
    Kernel and ridge are open in the papers; the median distance as bandwidth is a common choice.

    Example, of the upper and the lower halves of handwritten digits: find the lower halves of the same digit.

    >>> from sklearn.datasets import load_digits
    >>> from tfxmr.evaluation import mean_average_precision
    >>> pixels, digit = load_digits(return_X_y=True)
    >>> upper, lower = pixels[:, :32], pixels[:, 32:]
    >>> method = KCCA(components=5).fit(upper[:900], lower[:900])
    >>> queries, gallery = method.transform(upper[900:], lower[900:])
    >>> round(mean_average_precision(queries, gallery, digit[900:], digit[900:]), 2)  # chance: 0.11
    0.46
    """

    Settings = KCCASettings
    settings: KCCASettings
    paper = "Akaho 2001; Hardoon et al., Neural Computation 2004"
    citation = r"""
    @inproceedings{akaho2001kernel,
      author = {Shotaro Akaho},
      title = {A Kernel Method for Canonical Correlation Analysis},
      booktitle = {Proceedings of the International Meeting of the Psychometric Society},
      year = {2001}
    }
    @article{hardoon2004canonical,
      author = {David R. Hardoon and S{\'a}ndor Szedm{\'a}k and John Shawe-Taylor},
      title = {Canonical Correlation Analysis: An Overview with Application to Learning Methods},
      journal = {Neural Computation},
      volume = {16},
      number = {12},
      pages = {2639--2664},
      year = {2004}
    }
    """
    provenance = "textbook"
    multi_label = True  # it looks at no class

    def learn(self, data: MultiModalData) -> Self:
        """Learns both functions from the pairs of the training split. Returns self."""
        self.check(data)
        features = data.splits["train"].features
        items = len(features[data.modalities[0]])
        chosen = np.arange(items)
        if items > self.settings.landmarks:
            chosen = np.sort(
                np.random.default_rng(self.settings.landmark_seed).permutation(items)[: self.settings.landmarks]
            )
        views, roots = [], []
        for m in data.modalities:
            landmarks = features[m][chosen].astype(np.float64)
            self.keep(m, landmarks=landmarks, gamma=self._gamma(landmarks))
            root = gram_root(self._kernel(m, landmarks))
            roots.append(root)
            views.append(View(self._blocks(m, features[m], functools.partial(_whitened, root))))
        weights, self.correlations_ = canonical_directions(views, self.settings.width(data), self.settings.ridge)
        for m, view, root, directions in zip(data.modalities, views, roots, weights, strict=True):
            self.keep(m, weights=_solve(root, directions, trans="T"), offset=view.mean @ directions)
        return self

    def represent(self, modality: str, features: NDArray) -> NDArray:
        """Maps features (n, d) of a modality to (n, components)."""
        landmarks, weights, offset = self.fitted(modality, "landmarks", "weights", "offset")
        features = self.check_width(modality, features, landmarks.shape[1])
        return self._blocks(modality, features, lambda kernel: kernel @ weights) - offset

    def _gamma(self, landmarks: NDArray) -> float:
        """1 / (2 s^2) of the rbf kernel."""
        sample = landmarks[np.linspace(0, len(landmarks) - 1, min(DISTANCES, len(landmarks))).astype(int)]
        squares = sklearn.metrics.pairwise.euclidean_distances(sample, squared=True)
        median = np.median(squares[np.triu_indices_from(squares, 1)])
        return 1 / (2 * self.settings.bandwidth**2 * (median or 1.0))

    def _kernel(self, modality: str, rows: NDArray) -> NDArray:
        landmarks = getattr(self, f"{modality}_landmarks_")
        if self.settings.kernel == "linear":
            return rows @ landmarks.T
        return sklearn.metrics.pairwise.rbf_kernel(rows, landmarks, gamma=float(getattr(self, f"{modality}_gamma_")))

    def _blocks(self, modality: str, features: NDArray, function: Callable[[NDArray], NDArray]) -> NDArray:
        """function(k(x, landmarks)), in blocks of rows."""
        blocks = range(0, max(len(features), 1), BLOCK)
        return np.concatenate(
            [function(self._kernel(modality, features[i : i + BLOCK].astype(np.float64))) for i in blocks]
        )


def _whitened(root: NDArray, kernel: NDArray) -> NDArray:
    """k(x, .) L'^-1 of rows of the kernel, whose products are the kernel's."""
    return _solve(root, kernel.T).T


def _solve(root: NDArray, right: NDArray, trans: str = "N") -> NDArray:
    return scipy.linalg.solve_triangular(root, right, lower=True, trans=trans)
