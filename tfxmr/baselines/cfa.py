"""Cross-modal factor analysis (Li et al., ACM Multimedia 2003)."""
import dataclasses
from typing import Self

from tfxmr.baselines._linear import View, leading_svd
from tfxmr.baselines._pairs import PairBaseline
from tfxmr.baselines.base import CommonSpaceSettings, LinearBaseline
from tfxmr.data.multimodal import MultiModalData


@dataclasses.dataclass(frozen=True)
class CFASettings(CommonSpaceSettings):
    """Settings of CFA."""


class CFA(PairBaseline, LinearBaseline):
    """Turns both modalities so that paired items come close.

    min ||X A - Y B||_F^2  subject to  A'A = B'B = I

    for centred X and Y: with the singular value decomposition X'Y = U S V', A = U and B = V minimise it as square
    matrices; the leading `components` columns are kept. Retrieval compares X A and Y B by cosine.

    No code is public; the equation is known with a provenance of 90 %, and the paper's data are others, so width and
    normalisation are choices.

    Example, of the upper and the lower halves of handwritten digits: find the lower halves of the same digit.

    >>> from sklearn.datasets import load_digits
    >>> from tfxmr.evaluation import mean_average_precision
    >>> pixels, digit = load_digits(return_X_y=True)
    >>> upper, lower = pixels[:, :32], pixels[:, 32:]
    >>> method = CFA(components=5).fit(upper[:900], lower[:900])
    >>> queries, gallery = method.transform(upper[900:], lower[900:])
    >>> round(mean_average_precision(queries, gallery, digit[900:], digit[900:]), 2)  # chance: 0.11
    0.42
    """

    Settings = CFASettings
    settings: CFASettings
    paper = "Li et al., ACM Multimedia 2003"
    citation = """
    @inproceedings{li2003multimedia,
      author = {Dongge Li and Nevenka Dimitrova and Mingkun Li and Ishwar K. Sethi},
      title = {Multimedia Content Processing through Cross-Modal Association},
      booktitle = {Proceedings of the 11th ACM International Conference on Multimedia},
      pages = {604--611},
      year = {2003}
    }
    """
    provenance = "90 %: no code is public"
    multi_label = True  # it looks at no class
    linear = ("mean", "weights")

    def learn(self, data: MultiModalData) -> Self:
        """Learns both rotations from the pairs of the training split. Returns self."""
        self.check(data)
        views = [View(data.splits["train"].features[m]) for m in data.modalities]
        product = views[0].cross(views[1])
        u, self.singular_values_, v = leading_svd(product, min(self.settings.width(data), *product.shape))
        for m, view, directions in zip(data.modalities, views, (u, v.T), strict=True):
            self.keep(m, mean=view.mean, weights=view.lift(directions))
        return self
