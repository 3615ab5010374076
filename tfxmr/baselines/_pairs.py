"""What the methods share that learn from pairs of two modalities."""
from tfxmr.baselines._linear import constant
from tfxmr.baselines.base import Baseline
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data.multimodal import MultiModalData


class PairBaseline(Baseline):
    """Base of methods that learn how the paired items of two modalities vary together."""

    least_modalities = most_modalities = 2
    pairs = True

    def check(self, data: MultiModalData) -> None:
        """Raises InputError if `data` are no pairs of two modalities, or the features of one do not vary."""
        super().check(data)
        check_varying(data, type(self).__name__)


def check_varying(data: MultiModalData, method: str) -> None:
    """Raises InputError if a modality's features are the same for all training items, so that nothing correlates."""
    for m in data.modalities:
        if constant(data.splits["train"].features[m]):
            raise InputError(
                f"the {m} features of all {counted(len(data.splits['train'].features[m]), 'training item')} are the "
                f"same, so nothing correlates with them; give {method} other {m} features"
            )
