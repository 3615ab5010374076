"""Zero training: given embeddings compared as they are (CLIP's zero-shot row: Radford et al., ICML 2021)."""
import dataclasses
from typing import Self

import numpy as np
from numpy.typing import NDArray

from tfxmr.baselines.base import Baseline, BaselineSettings
from tfxmr.core.errors import InputError
from tfxmr.core.settings import setting
from tfxmr.data.multimodal import MultiModalData
from tfxmr.features.citations import CLIP


@dataclasses.dataclass(frozen=True)
class ZeroTrainingSettings(BaselineSettings):
    """Settings of zero training."""

    # Without the other two, whose statistics are of training items.
    feature_norm: str = setting("none", "How embeddings are normalised.", choices=("none", "l2"))


class ZeroTraining(Baseline):
    """Compares embeddings that others have trained, of one space for all modalities, as they are.

    similarity(x, y) = cos(x, y), x and y the features themselves

    Nothing is learned, so that no training item is used: the row of a table that shows what training adds. Features of
    spaces that were not trained together give chance.

    Example, of two noisy copies of the same vectors:

    >>> from tfxmr.evaluation import mean_average_precision
    >>> rng = np.random.default_rng(0)
    >>> label = np.arange(60) % 6
    >>> means = rng.normal(size=(6, 8))
    >>> images, texts = (means[label] + rng.normal(size=(60, 8)) for _ in range(2))
    >>> queries, gallery = ZeroTraining().fit(images, texts).transform(images, texts)
    >>> round(mean_average_precision(queries, gallery, label, label), 2)  # chance: 0.22
    0.54
    """

    Settings = ZeroTrainingSettings
    settings: ZeroTrainingSettings
    paper = "Radford et al., ICML 2021"
    citation = CLIP
    provenance = "the definition: cosine similarity of the given embeddings"
    least_modalities = 2
    one_space = multi_label = True

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if the modalities' features have different widths."""
        super().check(data)
        widths = {m: data.dims[m] for m in data.modalities}
        if len(set(widths.values())) > 1:
            told = ", ".join(f"{m} {width}" for m, width in widths.items())
            raise InputError(
                f"ZeroTraining compares embeddings of one space, and their widths differ ({told}): give those of the "
                "two towers of one encoder, such as --image_features=hub:clip_vit_base_patch32 "
                "--text_features=hub:clip_vit_base_patch32, or learn from these by another method, such as --model=cca"
            )

    def learn(self, data: MultiModalData) -> Self:
        """Keeps the widths alone. Returns self."""
        self.check(data)
        for m in data.modalities:
            self.keep(m, width=np.int64(data.dims[m]))
        return self

    def represent(self, modality: str, features: NDArray) -> NDArray:
        """Returns features (n, d) as they are."""
        (width,) = self.fitted(modality, "width")
        return self.check_width(modality, features, int(width))
