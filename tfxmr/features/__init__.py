"""Media to vectors, maps and tokens; knows no data set. What is fitted can be saved and made again: `restored`."""
from tfxmr.features.feature import Feature, State
from tfxmr.features.recipes import restored

__all__ = ["Feature", "State", "restored"]
