"""Datasets as aligned matrices, their splits, and the protocols that decide who queries and who is searched."""
from tfxmr.data.loading import DATASETS, NAMES, OWN_NAMES, describe, load
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.splits import SplitRule
from tfxmr.data.views import MODALITIES

__all__ = ["DATASETS", "MODALITIES", "NAMES", "OWN_NAMES", "MultiModalData", "Split", "SplitRule", "describe", "load"]
