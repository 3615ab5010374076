"""From a trained run to use: the index of its vectors, and questions to it. NumPy in, no TensorFlow."""
from tfxmr.search.engine import Found, Items
from tfxmr.search.index import Index
from tfxmr.search.query import Answer, Hit, Query, Searcher

__all__ = ["Answer", "Found", "Hit", "Index", "Items", "Query", "Searcher"]
