"""Runs a protocol's retrieval tasks with a trained method."""
import dataclasses
import warnings
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.progress import Progress
from tfxmr.core.wording import counted
from tfxmr.evaluation import checks, named, statistics
from tfxmr.evaluation.chance import chance_level
from tfxmr.evaluation.metrics import harmonic_mean, mean_by_class
from tfxmr.evaluation.protocol import Protocol, Task
from tfxmr.evaluation.ranking import average_precisions
from tfxmr.evaluation.retriever import OWN, Gallery, Retriever, Rows
from tfxmr.evaluation.similarity import Similarity, ZeroVectors

NORMALISATIONS = ("none", "train_zscore", "group_zscore", "query_zscore")


def evaluate(
    retriever: Retriever, tasks: Sequence[Task], protocol: Protocol, training: Any = None, metrics: Sequence[str] = (),
    memory: int | None = None,
) -> list[dict[str, Any]]:
    """Measures mean average precision, and further metrics, of every task.

    Args:
      retriever: Retriever.
      tasks: list of tfxmr.evaluation.protocol.Task.
      protocol: tfxmr.evaluation.protocol.Protocol; its similarity, cut, denominator, ties and normalisation apply.
      training: Split of the training items; needed by the normalisation "train_zscore" alone.
      metrics: names of further metrics, see tfxmr.evaluation.named.
      memory: bytes for the similarities of a block, see tfxmr.evaluation.ranking.average_precisions.

    Returns:
      One dict a task and metric: task ("image->text"), classes ("seen", "unseen" or "all"), metric, value, chance
      (None where unknown), num_queries, gallery_size; with mAP, if it is no mean over folds, also interval (95 %
      bootstrap over the queries) and by_class (label -> mAP of its queries). Under a generalised protocol the harmonic
      means of seen and unseen follow, as classes "harmonic mean".

    Raises:
      InputError: representations that cannot be ranked (NaN, infinite or of different widths); names the task.
    """
    represented, results = Representations(retriever, protocol, training), []
    passes = 1 + bool(metrics)  # over all queries
    told = Progress("evaluate", "query", passes * sum(len(task.query_labels) for task in tasks))
    for task in tasks:
        query, gallery = represented.query(task), represented.gallery(task)
        try:
            with told:
                results.extend(_measure_folds(task, query, gallery, protocol, represented, metrics, memory))
        except InputError:
            raise
        except ValueError as error:
            raise InputError(f"{task.name}, {task.classes} classes: {error}") from error
    if represented.zero and protocol.similarity == "cosine":
        warnings.warn(
            f"zero vectors, whose cosine similarity to everything is 0: {'; '.join(represented.zero)}", ZeroVectors,
            stacklevel=2,
        )
    return results + (harmonic_means(results) if protocol.generalised else [])


class Representations:
    """What a retriever makes of the items of tasks, each once, normalised as the protocol says.

    Args:
      retriever, protocol, training: as of `evaluate`.

    Attributes:
      zero: how many zero vectors there are, in words, for each group of items that has some.
    """

    def __init__(self, retriever: Retriever, protocol: Protocol, training: Any = None) -> None:
        self.retriever, self.protocol, self.training = retriever, protocol, training
        self.zero: list[str] = []
        self._found: dict[Any, Any] = {}

    def query(self, task: Task) -> NDArray | Rows:
        """The queries of a Task: (Q, k), or Rows if the retriever compares in a way of its own."""
        made = self._of(task, task.query_split, task.query_modality, task.query_rows, "query")
        return Rows(made) if self.own else made

    def gallery(self, task: Task) -> NDArray | Gallery:
        """The gallery of a Task: (G, k), or Gallery."""
        # where all modalities are searched, CM-GANs' evaluation z-scores both sides, each modality by itself
        side = "gallery" if len(task.gallery_modalities) == 1 else "query"
        made = [self._of(task, task.gallery_split, m, task.gallery_rows[m], side) for m in task.gallery_modalities]
        return Gallery([Rows(part) for part in made]) if self.own else np.concatenate(made)

    @property
    def own(self) -> bool:
        """True if the retriever's own similarity compares."""
        return self.protocol.similarity == OWN

    def similarity(self, task: Task, queries: Any) -> str | Callable:
        """How a Task compares, as tfxmr.evaluation.ranking takes it. Raises InputError if the retriever cannot.

        Args:
          task: Task.
          queries: all that are asked, as `query` gives them, or those of a fold.

        Returns:
          A name, or a function of queries and gallery to (q, G).
        """
        if not self.own:
            return self.protocol.similarity
        if self.retriever.similarity is None:
            raise InputError("the protocol leaves the comparison to the method, and it has none of its own")
        return self.retriever.comparison(task.query_modality, task.gallery_modalities, queries)

    def _of(self, task: Task, split: str, modality: str, rows: NDArray, side: str) -> Any:
        items = id(task.splits[split]), modality, rows.tobytes()
        key = *items, side
        if key not in self._found:
            if items not in self._found:
                self._found[items] = self.retriever.represent(modality, task.splits[split].of(modality, rows))
            self._found[key] = made = self._normalised(self._found[items], modality, side)
            if not isinstance(made, dict) and (count := np.count_nonzero(~np.any(made, axis=1))):
                what = ["query"] if side == "query" else ["item of the gallery", "items of the gallery"]
                self.zero.append(f"{count:,} of {counted(len(made), *(f'{modality} {w}' for w in what))} "
                                 f"({task.classes} classes)")
        return self._found[key]

    def _normalised(self, made: Any, modality: str, side: str) -> Any:
        kind, reference = self.protocol.normalisation, None
        if isinstance(made, dict):
            if not self.own:
                raise InputError(
                    f"--similarity={self.protocol.similarity}: the method represents an item by several arrays "
                    f"({', '.join(made)}), which it compares itself; omit the flag, and take a --protocol that "
                    "does not prescribe it"
                )
            if kind != "none":
                raise InputError(
                    f"--eval_znorm={kind.removesuffix('_zscore')}: the method represents an item by several arrays "
                    f"({', '.join(made)}), which it compares itself; take --eval_znorm=none"
                )
            return made
        if kind == "train_zscore":
            if self.training is None:
                raise ValueError("normalisation train_zscore needs the training items: evaluate(..., training=)")
            if modality not in self._found:
                self._found[modality] = self.retriever.represent(modality, self.training.of(modality))
            reference = self._found[modality]
        return normalise(made, kind, side, reference)


def _measure_folds(
    task: Task, query: Any, gallery: Any, protocol: Protocol, represented: Representations, metrics: Sequence[str],
    memory: int | None,
) -> list[dict[str, Any]]:
    """The metrics of one task, whose queries and gallery are encoded; of several folds their means."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ZeroVectors)  # `evaluate` counts them once, with their modality
        folds = _folds(task, protocol.folds)
        parts = [
            _measure(part, query[q], gallery[g], protocol, represented.similarity(task, query[q]), metrics, memory)
            for part, q, g in folds
        ]
    return parts[0] if protocol.folds == 1 else _mean_of_folds(parts)


def _folds(task: Task, folds: int) -> Iterator[tuple[Task, Any, Any]]:
    """Yields each fold's labels and ids as a Task, its rows of the queries and of the gallery."""
    if folds == 1:
        yield task, slice(None), slice(None)
        return
    for labels in np.array_split(np.unique(task.query_labels), folds):
        q, g = (np.flatnonzero(np.isin(own, labels)) for own in (task.query_labels, task.gallery_labels))
        part = dataclasses.replace(
            task,
            query_labels=task.query_labels[q],
            gallery_labels=task.gallery_labels[g],
            query_ids=task.query_ids and [task.query_ids[i] for i in q],
            gallery_ids=task.gallery_ids and [task.gallery_ids[i] for i in g],
        )
        yield part, q, g


def _measure(
    task: Task, query: Any, gallery: Any, protocol: Protocol, similarity: Similarity, metrics: Sequence[str],
    memory: int | None,
) -> list[dict[str, Any]]:
    """The metrics of one task, or fold of one, whose queries and gallery are encoded."""
    problem = query, gallery, task.query_labels, task.gallery_labels, similarity
    choices: dict[str, Any] = {"ties": protocol.ties, "memory": memory}
    choices |= {"query_ids": task.query_ids, "gallery_ids": task.gallery_ids}
    values = average_precisions(*problem, cut=protocol.cut, denominator=protocol.denominator,
                                no_relevant=protocol.no_relevant, **choices)
    kept = np.flatnonzero(~np.isnan(values))
    if not len(kept):
        raise InputError(f"{task.name} {task.classes}: no query has a relevant item, and --no_relevant=drop")
    if len(kept) < len(values):
        values, query = values[kept], query[kept]
        problem = query, gallery, task.query_labels[kept], task.gallery_labels, similarity
        choices["query_ids"] = task.query_ids and [task.query_ids[i] for i in kept]
    labels = problem[2]
    chance = chance_level(
        labels, task.gallery_labels, protocol.cut, protocol.denominator, own=task.query_ids is not None
    )
    facts = {"num_queries": len(query), "gallery_size": len(gallery)}
    results = [{
        "task": task.name, "classes": task.classes, "metric": map_name(protocol),
        "value": float(np.mean(values)), "chance": chance, **facts,
        "interval": list(statistics.bootstrap_interval(values)),
        "by_class": mean_by_class(values, labels),
    }]
    for name, (value, by_chance) in (named.measure(metrics, *problem, **choices) if metrics else {}).items():
        results.append({"task": task.name, "classes": task.classes, "metric": name, "value": value,
                        "chance": by_chance, **facts})
    return results


def _mean_of_folds(parts: list[list[dict[str, Any]]]) -> list[dict[str, Any]]:
    """One list of metrics from those of each fold: means, without an interval; the gallery is that of a fold."""
    results = []
    for same in zip(*parts, strict=True):
        means = {
            key: None if same[0][key] is None else float(np.mean([m[key] for m in same])) for key in ("value", "chance")
        }
        kept = {key: same[0][key] for key in ("task", "classes", "metric", "gallery_size")}
        results.append(kept | means | {"num_queries": sum(m["num_queries"] for m in same)})
    return results


def map_name(protocol: Protocol) -> str:
    """What a table calls the protocol's mean average precision: "mAP", or "mAP@50" with a cut."""
    return "mAP" if protocol.cut is None else f"mAP@{protocol.cut}"


def harmonic_means(results: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The harmonic mean of each metric on seen and on unseen classes, of results as `evaluate` gives them."""
    groups: dict[tuple[str, str], dict[str, Any]] = {}
    for result in results:
        groups.setdefault((result["task"], result["metric"]), {})[result["classes"]] = result
    found = []
    for (task, metric), by_classes in groups.items():
        if not {"seen", "unseen"} <= set(by_classes):
            continue  # validation knows seen classes alone
        seen, unseen = by_classes["seen"], by_classes["unseen"]
        value, chance = (
            None if seen[key] is None else harmonic_mean(seen[key], unseen[key]) for key in ("value", "chance")
        )
        found.append({"task": task, "classes": "harmonic mean", "metric": metric, "value": value, "chance": chance,
                      "num_queries": seen["num_queries"] + unseen["num_queries"], "gallery_size": seen["gallery_size"]})
    return found


def normalise(representations: NDArray, kind: str, side: str, training: NDArray | None = None) -> NDArray:
    """Normalises representations (n, k) before they are compared.

    Args:
      representations: (n, k).
      kind: "none"; or a z-score, that is each column is centred and scaled by a mean and a population standard
        deviation (0 counts as 1). "train_zscore": those of the training items of the modality. "group_zscore": the
        group's own, as the evaluation of DANZCR's successor DADN does for each of its groups {query, gallery} x
        {modality} x {seen, unseen}. "query_zscore": the same, of the queries alone, as the evaluation of CM-GANs does;
        `evaluate` calls a gallery of all modalities "query", too, as that does.
      side: "query" or "gallery".
      training: representations of the training items (t, k), for "train_zscore".

    Returns:
      (n, k); float64 if normalised.

    Raises:
      ValueError: an unknown kind or side, representations that are no matrix of real numbers, or no training items.
    """
    checks.choice("kind", kind, NORMALISATIONS)
    checks.choice("side", side, ("query", "gallery"))
    if kind == "train_zscore" and training is None:
        raise ValueError("kind='train_zscore' needs the training items: normalise(..., training=)")
    if kind == "none" or (kind == "query_zscore" and side == "gallery"):
        return representations
    representations = checks.array("representations", representations, 2).astype(np.float64)
    reference = representations if kind != "train_zscore" else checks.array("training", training, 2).astype(np.float64)
    if reference.shape[1] != representations.shape[1]:
        raise ValueError(
            f"representations are {representations.shape[1]} wide and training {reference.shape[1]}; they must agree"
        )
    constant = np.ptp(reference, axis=0) == 0  # where rounding may leave a deviation above 0
    deviation = np.where(constant, 1.0, np.std(reference, axis=0))
    return (representations - np.mean(reference, axis=0)) / deviation
