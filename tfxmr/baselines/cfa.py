"""Cross-modal factor analysis (Li et al., ACM Multimedia 2003)."""
import dataclasses

from tfxmr.baselines._linear import View, leading_svd
from tfxmr.baselines.base import Baseline, CommonSpaceSettings
from tfxmr.baselines.cca import check_varying


@dataclasses.dataclass(frozen=True)
class CFASettings(CommonSpaceSettings):
    """Settings of CFA."""


class CFA(Baseline):
    """Turns both modalities so that paired items come close.

    min ||X A - Y B||_F^2  subject to  A'A = B'B = I

    for centred X and Y: with the singular value decomposition X'Y = U S V', A = U and B = V minimise it as square
    matrices; the leading `components` columns are kept. Retrieval compares X A and Y B by cosine.

    No code is public; the equation is known with a certainty of 90 %, and the paper's data are others, so width and
    normalisation are choices.
    """

    Settings = CFASettings
    paper = "Li et al., ACM Multimedia 2003"
    certainty = "90 %: no code is public"
    least_modalities = most_modalities = 2
    pairs = True

    def check(self, data):
        """Raises InputError if `data` are no pairs of two modalities, or the features of one do not vary."""
        super().check(data)
        check_varying(data, type(self).__name__)

    def fit(self, data):
        """Learns both rotations from the pairs of the training split. Returns self."""
        self.check(data)
        views = [View(data.splits["train"].features[m]) for m in data.modalities]
        product = views[0].cross(views[1])
        u, self.singular_values_, v = leading_svd(product, min(self.settings.width(data), *product.shape))
        for m, view, directions in zip(data.modalities, views, (u, v.T), strict=True):
            setattr(self, f"{m}_mean_", view.mean)
            setattr(self, f"{m}_weights_", view.lift(directions))
        return self

    def transform(self, modality, features):
        """Projects features (n, d) of a modality to (n, components)."""
        mean, weights = self.fitted(modality, "mean", "weights")
        return (self.check_width(modality, features, len(mean)) - mean) @ weights
