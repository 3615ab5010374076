"""From a trained run to use: the index of its vectors. NumPy in, no TensorFlow."""
from tfxmr.search.engine import Found, Items
from tfxmr.search.index import Index

__all__ = ["Found", "Index", "Items"]
