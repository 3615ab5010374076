"""Semantic correlation matching (Rasiwasia et al., ACM MM 2010)."""
import dataclasses

from tfxmr.baselines.base import Baseline
from tfxmr.baselines.cca import CCA, CCASettings, check_varying
from tfxmr.baselines.sm import SM, SMSettings


@dataclasses.dataclass(frozen=True)
class SCMSettings(CCASettings, SMSettings):
    """Settings of SCM: those of CCA and of SM."""


class SCM(Baseline):
    """Makes each item the vector of its class probabilities, from its CCA projection.

    min over W, b:  - sum over items of log softmax(p W + b)_label + penalty / 2 ||W||^2,  p = (x - mean) A of CCA

    for each modality by itself: SM (tfxmr.baselines.sm) on the projections of CCA (tfxmr.baselines.cca). Retrieval
    compares the probabilities by cosine. (A widely used script divides the inner product by the sum of the norms
    instead of their product; that is not reproduced.)
    """

    Settings = SCMSettings
    paper = "Rasiwasia et al., ACM MM 2010"
    certainty = "textbook; the published figures are met"
    least_modalities = most_modalities = 2
    pairs = True

    def __init__(self, settings=None):
        super().__init__(settings)
        self.cca, self.sm = CCA(self.settings), SM(self.settings)

    def check(self, data):
        """Raises InputError if `data` are no pairs of two modalities that vary, or there is a single class."""
        super().check(data)
        check_varying(data, type(self).__name__)
        self.cca.check(data)
        self.sm.check(data)

    def fit(self, data):
        """Learns projections and classifiers from the training split. Returns self."""
        self.check(data)
        train = data.splits["train"]
        self.cca.fit(data)
        projected = {m: self.cca.transform(m, train.features[m]) for m in data.modalities}
        split = dataclasses.replace(train, features=projected)
        self.sm.fit(dataclasses.replace(data, splits={"train": split}))
        return self

    def transform(self, modality, features):
        """Maps features (n, d) of a modality to class probabilities (n, C)."""
        return self.sm.transform(modality, self.cca.transform(modality, features))

    def arrays(self):
        """The fitted arrays of both parts, by names that say which."""
        parts = {"cca": self.cca.arrays(), "sm": self.sm.arrays()}
        return {f"{part}_{name}": value for part, arrays in parts.items() for name, value in arrays.items()}

    def set_arrays(self, arrays):
        """Restores what `arrays` gave."""
        for part in ("cca", "sm"):
            getattr(self, part).set_arrays(
                {name.removeprefix(f"{part}_"): value for name, value in arrays.items() if name.startswith(f"{part}_")}
            )
