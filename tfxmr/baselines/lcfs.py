"""Learning coupled feature spaces (Wang et al., ICCV 2013)."""
import dataclasses

import numpy as np

from tfxmr.baselines._linear import Regression, project
from tfxmr.baselines.base import Baseline, BaselineSettings
from tfxmr.core.settings import setting

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


class LCFS(Baseline):
    """Regresses every modality to the labels with few features and a common low rank.

    min over U_m:  1/2 sum_m ||X_m U_m - Y||_F^2 + lambda_sparse sum_m ||U_m||_2,1
                   + lambda_rank ||[X_1 U_1, X_2 U_2 ...]||_*

    Y is one-hot (n, C). Both norms are smoothed, sum_i (||u_i||^2 + e^2)^1/2 and tr (A A' + e^2 I)^1/2 for the matrix A
    of all projections; with R = diag (||u_i||^2 + e^2)^-1/2 and S = (A A' + e^2 I)^1/2 of the iterate before, each step

    (X_m' X_m + lambda_sparse R_m + lambda_rank X_m' S^-1 X_m) U_m = X_m' Y

    lowers the smoothed objective. S^-1 comes from the singular vectors of A, which has C columns a modality; features
    wider than many are solved in the dimension of the items (tfxmr.baselines._linear.Regression). Retrieval
    compares X U by cosine.

    No code is public; the equation is known with a certainty of 90 %. The paper's R has a factor 1/2 more, so its
    lambda_1 is twice this lambda_sparse. Two or more modalities, paired; the paper has two.
    """

    Settings = LCFSSettings
    paper = "Wang et al., ICCV 2013"
    certainty = "90 %: no code is public"
    pairs = True

    def fit(self, data):
        """Learns one projection a modality from the training split. Returns self."""
        self.check(data)
        train = data.splits["train"]
        targets = np.eye(data.num_classes)[train.labels[data.modalities[0]]]
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
            setattr(self, f"{m}_weights_", weights[m])
        return self

    def transform(self, modality, features):
        """Projects features (n, d) of a modality to (n, C)."""
        (weights,) = self.fitted(modality, "weights")
        return self.check_width(modality, features, len(weights)) @ weights
