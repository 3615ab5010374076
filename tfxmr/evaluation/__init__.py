"""Ranking, metrics and statistics: NumPy in, numbers out, no TensorFlow."""
from tfxmr.evaluation.chance import chance_level
from tfxmr.evaluation.curves import chance_curve, mean_curve
from tfxmr.evaluation.instance import image_sentence_recalls, instance_ranks, median_rank, recall_at_ranks
from tfxmr.evaluation.metrics import (
    eleven_point,
    harmonic_mean,
    mean_by_class,
    ndcg,
    precision_at,
    precision_recall,
    recall_at,
)
from tfxmr.evaluation.named import measure
from tfxmr.evaluation.ranking import average_precision, average_precisions, mean_average_precision
from tfxmr.evaluation.retrieval import evaluate
from tfxmr.evaluation.retriever import Retriever
from tfxmr.evaluation.statistics import (
    bonferroni,
    bonferroni_threshold,
    bootstrap_interval,
    holm,
    mean_and_deviation,
    runs_needed,
    wilcoxon,
)

__all__ = [
    "Retriever",
    "average_precision",
    "average_precisions",
    "bonferroni",
    "bonferroni_threshold",
    "bootstrap_interval",
    "chance_curve",
    "chance_level",
    "eleven_point",
    "evaluate",
    "harmonic_mean",
    "holm",
    "image_sentence_recalls",
    "instance_ranks",
    "mean_and_deviation",
    "mean_average_precision",
    "mean_by_class",
    "mean_curve",
    "measure",
    "median_rank",
    "ndcg",
    "precision_at",
    "precision_recall",
    "recall_at",
    "recall_at_ranks",
    "runs_needed",
    "wilcoxon",
]
