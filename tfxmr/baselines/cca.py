"""Canonical correlation analysis (Hotelling 1936; for image-text retrieval: Rasiwasia et al., ACM MM 2010)."""
import dataclasses

import numpy as np
import scipy.linalg

from tfxmr.baselines.base import Baseline, BaselineSettings
from tfxmr.errors import InputError
from tfxmr.settings import setting


@dataclasses.dataclass(frozen=True)
class CCASettings(BaselineSettings):
    """Settings of CCA."""

    components: int = setting(
        10, "Width of the common space; at most the narrower feature's width.", minimum=1, grid=(2, 3, 5, 10, 20, 50)
    )
    ridge: float = setting(
        1e-2, "Added to each covariance's diagonal, relative to its mean variance.", minimum=0.0,
        grid=(1e-3, 1e-2, 1e-1, 1.0, 10.0, 100.0),
    )


class CCA(Baseline):
    """Finds directions A, B in which paired items correlate most.

    max tr(A' Sxy B)  subject to  A' (Sxx + r I) A = B' (Syy + r I) B = I

    With the Cholesky factors Sxx + r I = L L' and Syy + r I = M M', the singular vectors U, V of
    L^-1 Sxy M'^-1 give A = L'^-1 U and B = M'^-1 V. Retrieval compares X A and Y B by cosine.
    """

    Settings = CCASettings
    paper = "Hotelling 1936; Rasiwasia et al., ACM MM 2010"

    def check(self, data):
        """Raises InputError if `data` has no image-text pairs."""
        super().check(data)
        data.require_pairs(self.modalities, type(self).__name__)

    def fit(self, data):
        """Learns both projections from the pairs of the training split. Returns self."""
        self.check(data)
        train = data.splits["train"]
        x, y = (train.features[m].astype(np.float64) for m in self.modalities)
        self.image_mean_, self.text_mean_ = x.mean(axis=0), y.mean(axis=0)
        x, y = x - self.image_mean_, y - self.text_mean_
        lower_x, lower_y = self._factor(x), self._factor(y)
        whitened = scipy.linalg.solve_triangular(lower_x, x.T @ y / len(x), lower=True)
        whitened = scipy.linalg.solve_triangular(lower_y, whitened.T, lower=True).T
        u, correlations, v = np.linalg.svd(whitened, full_matrices=False)
        k = min(self.settings.components, len(correlations))
        self.image_weights_ = scipy.linalg.solve_triangular(lower_x, u[:, :k], lower=True, trans="T")
        self.text_weights_ = scipy.linalg.solve_triangular(lower_y, v[:k].T, lower=True, trans="T")
        self.correlations_ = correlations[:k]
        return self

    def _factor(self, x):
        """Cholesky factor of the ridged covariance of centred rows (n, d)."""
        covariance = x.T @ x / len(x)
        ridge = self.settings.ridge * np.trace(covariance) / len(covariance)
        try:
            return np.linalg.cholesky(covariance + ridge * np.eye(len(covariance)))
        except np.linalg.LinAlgError:
            raise InputError(
                f"--ridge={self.settings.ridge}: a covariance of width {len(covariance)} is singular (features that "
                "depend on each other); take a larger ridge, such as 1e-3"
            ) from None

    def transform(self, modality, features):
        """Projects features (n, d) of "image" or "text" to (n, components)."""
        mean, weights = getattr(self, f"{modality}_mean_"), getattr(self, f"{modality}_weights_")
        return (self.check_width(modality, features, len(mean)) - mean) @ weights
