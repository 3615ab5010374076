"""Data sets composed with features: by name as matrices, or streamed to a feature folder."""
from tfxmr.extraction.catalogue import OWN_NAMES, datasets, find, get, load, names
from tfxmr.extraction.dataset import Dataset, Request

__all__ = ["OWN_NAMES", "Dataset", "Request", "datasets", "find", "get", "load", "names"]
