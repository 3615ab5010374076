"""Canonical correlation analysis (Hotelling 1936; for image-text retrieval: Rasiwasia et al., ACM MM 2010)."""
import dataclasses
from collections.abc import Sequence
from typing import Self

import numpy as np
import scipy.linalg
from numpy.typing import NDArray

from tfxmr.baselines._linear import View, leading_svd
from tfxmr.baselines._pairs import PairBaseline
from tfxmr.baselines.base import CommonSpaceSettings, LinearBaseline
from tfxmr.core.errors import InputError
from tfxmr.core.settings import setting
from tfxmr.data.multimodal import MultiModalData

SINGULAR = 100 * np.finfo(float).eps  # share of the total variance that is no more than rounding and jitter
ENOUGH = 1e-3  # a ridge that makes any covariance regular


@dataclasses.dataclass(frozen=True)
class CCASettings(CommonSpaceSettings):
    """Settings of CCA."""

    ridge: float = setting(
        1e-2, "Added to each covariance's diagonal, relative to its mean variance.", minimum=0.0,
        grid=(1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0),
    )
    weighting: str = setting(
        "none", "Modality whose projections are multiplied by the correlations, such as text; or none."
    )


class CCA(PairBaseline, LinearBaseline):
    """Finds directions A, B in which paired items correlate most.

    max tr(A' Sxy B)  subject to  A' (Sxx + r I) A = B' (Syy + r I) B = I

    With the Cholesky factors Sxx + r I = L L' and Syy + r I = M M', the singular vectors U, V of
    L^-1 Sxy M'^-1 give A = L'^-1 U and B = M'^-1 V. Retrieval compares X A and Y B by cosine. A modality that is wider
    than there are items is solved in as many dimensions as items, with the same result (tfxmr.baselines._linear.View).

    Example, of the upper and the lower halves of handwritten digits: find the lower halves of the same digit.

    >>> from sklearn.datasets import load_digits
    >>> from tfxmr.evaluation import mean_average_precision
    >>> pixels, digit = load_digits(return_X_y=True)
    >>> upper, lower = pixels[:, :32], pixels[:, 32:]
    >>> method = CCA(components=5).fit(upper[:900], lower[:900])
    >>> queries, gallery = method.transform(upper[900:], lower[900:])
    >>> round(mean_average_precision(queries, gallery, digit[900:], digit[900:]), 2)  # chance: 0.11
    0.35
    """

    Settings = CCASettings
    settings: CCASettings
    paper = "Hotelling 1936; Rasiwasia et al., ACM MM 2010"
    citation = """
    @article{hotelling1936relations,
      author = {Harold Hotelling},
      title = {Relations Between Two Sets of Variates},
      journal = {Biometrika},
      volume = {28},
      number = {3/4},
      pages = {321--377},
      year = {1936}
    }
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
    provenance = "textbook"
    multi_label = True  # it looks at no class
    linear = ("mean", "weights")

    def check(self, data: MultiModalData) -> None:
        """Raises InputError as PairBaseline, or if `weighting` names no modality of `data`."""
        super().check(data)
        if self.settings.weighting not in ("none", *data.modalities):
            raise InputError(
                f"--weighting={self.settings.weighting}: the modalities are {', '.join(data.modalities)}; take one of "
                "them, or none"
            )

    def learn(self, data: MultiModalData) -> Self:
        """Learns both projections from the pairs of the training split. Returns self."""
        self.check(data)
        views = [View(data.splits["train"].features[m]) for m in data.modalities]
        weights, self.correlations_ = canonical_directions(
            views, self.settings.width(data), self.settings.ridge, [view.width for view in views]
        )
        for m, view, directions in zip(data.modalities, views, weights, strict=True):
            scale = self.correlations_ if self.settings.weighting == m else 1.0
            self.keep(m, mean=view.mean, weights=directions * scale)
        return self


def canonical_directions(
    views: Sequence[View], components: int, ridge: float, parts: Sequence[float] = (1, 1), flag: str = "ridge",
) -> tuple[list[NDArray], NDArray]:
    """Solves the problem of CCA for two views of the same n items.

    Args:
      views: two of tfxmr.baselines._linear.View.
      components: directions at most.
      ridge: r of each view is `ridge` times its total variance divided by its part.
      parts: two numbers; the widths make the ridge relative to the mean variance.
      flag: name of the ridge's flag, for the error.

    Returns:
      ([directions of the first features (d, k), of the second], correlations (k,) in falling order).

    Raises:
      InputError: a covariance is singular and the ridge too small.
    """
    # By hand: scikit-learn's CCA iterates, one direction after the other, and has no ridge.
    items = len(views[0].rows)
    lowers = [_factor(view.cross(view) / items, ridge, part, flag) for view, part in zip(views, parts, strict=True)]
    whitened = scipy.linalg.solve_triangular(lowers[0], views[0].cross(views[1]) / items, lower=True)
    whitened = scipy.linalg.solve_triangular(lowers[1], whitened.T, lower=True).T
    u, correlations, v = leading_svd(whitened, min(components, *whitened.shape))
    sides = [
        view.lift(scipy.linalg.solve_triangular(lower, vectors, lower=True, trans="T"))
        for view, lower, vectors in zip(views, lowers, (u, v.T), strict=True)
    ]
    return sides, correlations


def _factor(covariance: NDArray, ridge: float, part: float, flag: str) -> NDArray:
    """Cholesky factor of a covariance with `ridge` times its trace / `part` on the diagonal."""
    total = np.trace(covariance)
    try:
        lower = np.linalg.cholesky(covariance + ridge * total / part * np.eye(len(covariance)))
    except np.linalg.LinAlgError:
        lower = np.zeros((1, 1))
    if np.min(np.diag(lower)) ** 2 <= SINGULAR * total:
        raise InputError(
            f"--{flag}={ridge:g}: a covariance of width {len(covariance)} is singular (features that depend on each "
            f"other); take a larger one, such as --{flag}={max(10 * ridge, ENOUGH):g}"
        )
    return lower
