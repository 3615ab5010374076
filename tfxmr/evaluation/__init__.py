"""Ranking, average precision and protocols' tasks: NumPy in, numbers out, no TensorFlow."""
from tfxmr.evaluation.ranking import average_precision, average_precisions, chance_level, mean_average_precision
from tfxmr.evaluation.retrieval import evaluate

__all__ = [
    "average_precision",
    "average_precisions",
    "chance_level",
    "evaluate",
    "mean_average_precision",
]
