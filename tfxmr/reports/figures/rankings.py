"""A protocol's tasks, encoded, with the place of every query and gallery item in its split.

The one module here that knows tfxmr.evaluation.protocol.Task.
"""
import dataclasses
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.data import MultiModalData
from tfxmr.evaluation.protocol import Protocol
from tfxmr.evaluation.ranking import is_relevant
from tfxmr.evaluation.retrieval import Representations
from tfxmr.evaluation.retriever import Retriever

Item = tuple[str, str, int]  # split, modality, row in it


@dataclasses.dataclass(frozen=True)
class Ranking:
    """One task's representations, ready to be compared.

    Attributes:
      task: "image->text".
      classes: "seen", "unseen" or "all".
      query, gallery: representations (Q, k), (G, k), normalised as the protocol says; or Rows and Gallery.
      similarity: how they are compared, as tfxmr.evaluation.similarity.scorer takes it.
      query_labels, gallery_labels: (Q,), (G,); or of several classes an item bool (Q, C), (G, C).
      query_items, gallery_items: list of Q and of G (split, modality, row).
    """

    task: str
    classes: str
    query: Any
    gallery: Any
    similarity: str | Callable
    query_labels: NDArray
    gallery_labels: NDArray
    query_items: list[Item]
    gallery_items: list[Item]

    def right(self, query: int, items: NDArray) -> NDArray[np.bool_]:
        """Which gallery items (k,), of their indices, are relevant to a query of its index."""
        return is_relevant(self.query_labels[[query]], self.gallery_labels[items])[0]


def rankings(
    retriever: Retriever, data: MultiModalData, training_data: MultiModalData | None, protocol: Protocol
) -> list[Ranking]:
    """Represents the items of the tasks of a protocol that search one modality.

    Args:
      retriever: tfxmr.evaluation.Retriever.
      data: MultiModalData, normalised as in training.
      training_data: its training part; None where the protocol normalises by no statistics of it.
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
