"""Data as aligned matrices, and their splits."""
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.splits import SplitRule
from tfxmr.data.views import MODALITIES

__all__ = ["MODALITIES", "MultiModalData", "Split", "SplitRule"]
