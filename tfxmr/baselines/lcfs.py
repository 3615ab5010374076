"""Learning coupled feature spaces (Wang et al., ICCV 2013)."""
import dataclasses
from typing import Self

import numpy as np

from tfxmr.baselines._linear import Regression, project
from tfxmr.baselines.base import BaselineSettings, LinearBaseline
from tfxmr.core.classes import vectors
from tfxmr.core.settings import setting
from tfxmr.data.multimodal import MultiModalData

EPSILON = 1e-3  # smooths both norms where they have a kink


@dataclasses.dataclass(frozen=True)
class LCFSSettings(BaselineSettings):
    """Settings of LCFS."""

    lambda_sparse: float = setting(
        50.0, "Weight of the row norms, which drop features; chosen on hold-outs of Wikipedia.", minimum=1e-9,
        grid=(0.5, 5.0, 50.0, 500.0),
    )
    lambda_rank: float = setting(
        0.1, "Weight of the trace norm of all projections side by side.", minimum=0.0, grid=(1e-3, 1e-2, 1e-1)
    )
    iterations: int = setting(10, "Half-quadratic iterations.", minimum=1)


class LCFS(LinearBaseline):
    """Regresses every modality to the labels with few features and a common low rank.

    min over U_m:  1/2 sum_m ||X_m U_m - Y||_F^2 + lambda_sparse sum_m ||U_m||_2,1
                   + lambda_rank ||[X_1 U_1, X_2 U_2 ...]||_*

    Y (n, C) is one-hot, or has a 1 for each of an item's classes. Both norms are smoothed, sum_i (||u_i||^2 + e^2)^1/2
    and tr (A A' + e^2 I)^1/2 for the matrix A of all projections; with R = diag (||u_i||^2 + e^2)^-1/2 and
    S = (A A' + e^2 I)^1/2 of the iterate before, each step

    (X_m' X_m + lambda_sparse R_m + lambda_rank X_m' S^-1 X_m) U_m = X_m' Y

    lowers the smoothed objective. S^-1 comes from the singular vectors of A, which has C columns a modality; features
    wider than many are solved in the dimension of the items (tfxmr.baselines._linear.Regression). Retrieval
    compares X U by cosine.

    No code is public; the equation is known with a provenance of 90 %. The paper's R has a factor 1/2 more, so its
    lambda_1 is twice this lambda_sparse. Two or more modalities, paired; the paper has two.

    Example, of the upper and the lower halves of handwritten digits: find the lower halves of the same digit.

    >>> from sklearn.datasets import load_digits
    >>> from tfxmr.evaluation import mean_average_precision
    >>> pixels, digit = load_digits(return_X_y=True)
    >>> upper, lower = pixels[:, :32], pixels[:, 32:]
    >>> method = LCFS(lambda_sparse=5.0).fit(upper[:900], lower[:900], labels=digit[:900])
    >>> queries, gallery = method.transform(upper[900:], lower[900:])
    >>> round(mean_average_precision(queries, gallery, digit[900:], digit[900:]), 2)  # chance: 0.11
    0.52
    """

    Settings = LCFSSettings
    settings: LCFSSettings
    paper = "Wang et al., ICCV 2013"
    citation = """
    @inproceedings{wang2013learning,
      author = {Kaiye Wang and Ran He and Wei Wang and Liang Wang and Tieniu Tan},
      title = {Learning Coupled Feature Spaces for Cross-Modal Matching},
      booktitle = {Proceedings of the 14th IEEE International Conference on Computer Vision},
      pages = {2088--2095},
      year = {2013}
    }
    """
    provenance = "90 %: no code is public"
    pairs = supervised = multi_label = True

    def learn(self, data: MultiModalData) -> Self:
        """Learns one projection a modality from the training split. Returns self."""
        self.check(data)
        train = data.splits["train"]
        targets = vectors(train.labels[data.modalities[0]], data.num_classes)
        views = {m: Regression(train.features[m]) for m in data.modalities}
        weights = {m: views[m].solve(targets, np.full(d, self.settings.lambda_sparse)) for m, d in data.dims.items()}
        for _ in range(self.settings.iterations):
            projected = np.hstack([project(train.features[m], weights[m]) for m in views])
            basis, values, _ = np.linalg.svd(projected, full_matrices=False)
            outside = self.settings.lambda_rank / EPSILON  # of S^-1 where A has no part
            gains = self.settings.lambda_rank / np.hypot(values, EPSILON) - outside
            for m, view in views.items():
                penalties = self.settings.lambda_sparse / np.sqrt(np.sum(weights[m] ** 2, axis=1) + EPSILON**2)
                weights[m] = view.solve(targets, penalties, 1 + outside, basis, gains)
        for m in views:
            self.keep(m, weights=weights[m])
        return self
