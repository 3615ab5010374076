"""Semantic correlation matching (Rasiwasia et al., ACM MM 2010)."""
import dataclasses
from typing import Any, Self

from numpy.typing import NDArray

from tfxmr.baselines._pairs import PairBaseline
from tfxmr.baselines.base import Baseline
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.baselines.sm import SM, SMSettings
from tfxmr.data.multimodal import MultiModalData


@dataclasses.dataclass(frozen=True)
class SCMSettings(CCASettings, SMSettings):
    """Settings of SCM: those of CCA and of SM."""


class SCM(PairBaseline):
    """Makes each item the vector of its class probabilities, from its CCA projection.

    min over W, b:  - sum over items of log softmax(p W + b)_label + penalty / 2 ||W||^2,  p = (x - mean) A of CCA

    for each modality by itself: SM (tfxmr.baselines.sm) on the projections of CCA (tfxmr.baselines.cca). Retrieval
    compares the probabilities by cosine. (A widely used script divides the inner product by the sum of the norms
    instead of their product; that is not reproduced.)

    Example, of the upper and the lower halves of handwritten digits: find the lower halves of the same digit.

    >>> from sklearn.datasets import load_digits
    >>> from tfxmr.evaluation import mean_average_precision
    >>> pixels, digit = load_digits(return_X_y=True)
    >>> upper, lower = pixels[:, :32], pixels[:, 32:]
    >>> method = SCM(components=20, ridge=0.1).fit(upper[:900], lower[:900], labels=digit[:900])
    >>> queries, gallery = method.transform(upper[900:], lower[900:])
    >>> round(mean_average_precision(queries, gallery, digit[900:], digit[900:]), 2)  # chance: 0.11
    0.7
    """

    Settings = SCMSettings
    settings: SCMSettings
    paper = "Rasiwasia et al., ACM MM 2010"
    citation = SM.citation  # of one paper
    provenance = "textbook; the published figures are met"
    supervised = multi_label = True

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if `data` are no pairs of two modalities that vary, or there is a single class."""
        super().check(data)
        for part in self._made().values():
            part.check(data)

    def learn(self, data: MultiModalData) -> Self:
        """Learns projections and classifiers from the training split. Returns self."""
        self.check(data)
        train, self._parts = data.splits["train"], self._made()
        cca = self._parts["cca"].learn(data)
        projected = {m: cca.represent(m, train.features[m]) for m in data.modalities}
        split = dataclasses.replace(train, features=projected)
        self._parts["sm"].learn(dataclasses.replace(data, splits={"train": split}))
        return self

    def represent(self, modality: str, features: NDArray) -> NDArray:
        """Maps features (n, d) of a modality to class probabilities (n, C)."""
        return self.parts["sm"].represent(modality, self.parts["cca"].represent(modality, features))

    @property
    def parts(self) -> dict[str, Baseline]:
        """The fitted parts by name, of which the second takes what the first makes."""
        return getattr(self, "_parts", self._made())

    def arrays(self) -> dict[str, Any]:
        """The fitted arrays of both parts, by names that say which."""
        parts = {part: method.arrays() for part, method in getattr(self, "_parts", {}).items()}
        return {f"{part}_{name}": value for part, arrays in parts.items() for name, value in arrays.items()}

    def set_arrays(self, arrays: dict[str, Any]) -> None:
        """Restores what `arrays` gave."""
        self._parts = self._made()
        for part, method in self._parts.items():
            method.set_arrays(
                {name.removeprefix(f"{part}_"): value for name, value in arrays.items() if name.startswith(f"{part}_")}
            )

    def _made(self) -> dict[str, Baseline]:
        """Both parts, not fitted yet."""
        return {"cca": CCA(self.settings), "sm": SM(self.settings)}
