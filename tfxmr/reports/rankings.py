"""A protocol's tasks, encoded, with the place of every query and gallery item in its split.

The one module here that knows tfxmr.data.protocol.Task.
"""
import dataclasses
import functools

import numpy as np

from tfxmr.evaluation.retrieval import normalise


@dataclasses.dataclass(frozen=True)
class Ranking:
    """One task's representations, ready to be compared.

    Attributes:
      task: "image->text".
      classes: "seen", "unseen" or "all".
      query, gallery: representations (Q, k), (G, k), normalised as the protocol says.
      query_labels, gallery_labels: (Q,), (G,).
      query_items, gallery_items: list of Q and of G (split, modality, row).
    """

    task: str
    classes: str
    query: np.ndarray
    gallery: np.ndarray
    query_labels: np.ndarray
    gallery_labels: np.ndarray
    query_items: list
    gallery_items: list


def rankings(encode, data, training_data, protocol):
    """Encodes the tasks of a protocol that search one modality; every item once, whatever the number of tasks.

    Args:
      encode: function (modality, features (n, d)) -> representations (n, k).
      data: MultiModalData, normalised as in training.
      training_data: its training part.
      protocol: tfxmr.data.protocol.Protocol.

    Returns:
      list of Ranking.
    """

    @functools.cache
    def encoded(split, modality):
        return encode(modality, data.splits[split].features[modality])

    def normalised(representations, side, modality):
        training = None
        if protocol.normalisation == "train_zscore":
            training = encode(modality, training_data.splits["train"].features[modality])
        return normalise(representations, protocol.normalisation, side, training)

    found = []
    for task in dataclasses.replace(protocol, all_modalities=False).tasks(_numbered(data)):
        (other,) = task.gallery_modalities
        rows = {"query": task.query[:, 0], "gallery": task.gallery[other][:, 0]}
        found.append(
            Ranking(
                task.name,
                task.classes,
                normalised(encoded("test", task.query_modality)[rows["query"]], "query", task.query_modality),
                normalised(encoded(protocol.gallery, other)[rows["gallery"]], "gallery", other),
                task.query_labels,
                task.gallery_labels,
                [("test", task.query_modality, int(row)) for row in rows["query"]],
                [(protocol.gallery, other, int(row)) for row in rows["gallery"]],
            )
        )
    return found


def _numbered(data):
    """The data with row numbers (n, 1) for features: a protocol's tasks on them say which rows it takes."""
    splits = {
        name: dataclasses.replace(split, features={m: np.arange(len(x))[:, None] for m, x in split.features.items()})
        for name, split in data.splits.items()
    }
    return dataclasses.replace(data, splits=splits)
