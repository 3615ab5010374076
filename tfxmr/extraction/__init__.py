"""Data sets composed with features: by name as matrices, or streamed to a feature folder."""
from tfxmr.extraction.loading import DATASETS, NAMES, OWN_NAMES, describe, load

__all__ = ["DATASETS", "NAMES", "OWN_NAMES", "describe", "load"]
