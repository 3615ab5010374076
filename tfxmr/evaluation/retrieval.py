"""Runs a protocol's retrieval tasks with a method's encoder."""
import numpy as np

from tfxmr.evaluation.chance import chance_level
from tfxmr.evaluation.ranking import mean_average_precision


def evaluate(encode, tasks, protocol):
    """Measures mean average precision of every task.

    Args:
      encode: function (modality, features (n, d)) -> representations (n, k).
      tasks: list of tfxmr.data.protocol.Task.
      protocol: tfxmr.data.protocol.Protocol; its similarity, cut, denominator and normalisation apply.

    Returns:
      One dict a task: task ("image->text"), classes ("seen", "unseen" or "all"), metric, value, chance,
      num_queries, gallery_size.
    """
    results = []
    for task in tasks:
        query = normalise(encode(task.query_modality, task.query), protocol.normalisation, "query")
        gallery = normalise(encode(task.gallery_modality, task.gallery), protocol.normalisation, "gallery")
        value = mean_average_precision(
            query,
            gallery,
            task.query_labels,
            task.gallery_labels,
            similarity=protocol.similarity,
            cut=protocol.cut,
            denominator=protocol.denominator,
            ties=protocol.ties,
        )
        results.append(
            {
                "task": task.name,
                "classes": task.classes,
                "metric": "mAP" if protocol.cut is None else f"mAP@{protocol.cut}",
                "value": value,
                "chance": chance_level(task.query_labels, task.gallery_labels, protocol.cut, protocol.denominator),
                "num_queries": len(task.query_labels),
                "gallery_size": len(task.gallery_labels),
            }
        )
    return results


def normalise(representations, kind, side):
    """Normalises representations (n, k) before they are compared.

    Args:
      representations: (n, k).
      kind: "none"; or "group_zscore": each column is centred and scaled by the group's own mean and population
        standard deviation (0 counts as 1), as the evaluation of DANZCR's successor DADN does for each of its
        groups {query, gallery} x {modality} x {seen, unseen}; or "query_zscore": the same, of the queries alone, as the
        evaluation of CM-GANs does.
      side: "query" or "gallery".
    """
    if kind == "none" or (kind == "query_zscore" and side == "gallery"):
        return representations
    representations = np.asarray(representations, np.float64)
    constant = np.ptp(representations, axis=0) == 0  # where rounding may leave a deviation above 0
    deviation = np.where(constant, 1.0, np.std(representations, axis=0))
    return (representations - np.mean(representations, axis=0)) / deviation
