"""A protocol's tasks, encoded, with the place of every query and gallery item in its split.

The one module here that knows tfxmr.evaluation.protocol.Task.
"""
import dataclasses
from collections.abc import Callable

import numpy as np

from tfxmr.evaluation.retrieval import Representations


@dataclasses.dataclass(frozen=True)
class Ranking:
    """One task's representations, ready to be compared.

    Attributes:
      task: "image->text".
      classes: "seen", "unseen" or "all".
      query, gallery: representations (Q, k), (G, k), normalised as the protocol says; or Rows and Gallery.
      similarity: how they are compared, as tfxmr.evaluation.similarity.scorer takes it.
      query_labels, gallery_labels: (Q,), (G,).
      query_items, gallery_items: list of Q and of G (split, modality, row).
    """

    task: str
    classes: str
    query: np.ndarray
    gallery: np.ndarray
    similarity: str | Callable
    query_labels: np.ndarray
    gallery_labels: np.ndarray
    query_items: list
    gallery_items: list


def rankings(retriever, data, training_data, protocol):
    """Represents the items of the tasks of a protocol that search one modality.

    Args:
      retriever: tfxmr.evaluation.Retriever.
      data: MultiModalData, normalised as in training.
      training_data: its training part.
      protocol: tfxmr.evaluation.protocol.Protocol.

    Returns:
      list of Ranking.
    """
    represented = Representations(retriever, protocol, training_data and training_data.splits["train"])
    found = []
    for task in dataclasses.replace(protocol, all_modalities=False).tasks(data):
        (other,) = task.gallery_modalities
        query = represented.query(task)
        found.append(
            Ranking(
                task.name,
                task.classes,
                query,
                represented.gallery(task),
                represented.similarity(task, query),
                task.query_labels,
                task.gallery_labels,
                [(task.query_split, task.query_modality, int(row)) for row in task.query_rows],
                [(task.gallery_split, other, int(row)) for row in task.gallery_rows[other]],
            )
        )
    return found
