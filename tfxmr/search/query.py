"""A question to an index, and the answer: what was found, how usual that is, and what is known to be right."""
import dataclasses
import functools
import os
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr import encoding
from tfxmr.core.classes import SEPARATOR
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.encoding import Encoder
from tfxmr.encoding.encoder import Medium
from tfxmr.evaluation.chance import chance_level
from tfxmr.evaluation.ranking import average_precisions
from tfxmr.search import building
from tfxmr.search.index import Filter, Index

MOST_RANKED = 200_000  # items that are ranked whole, for AP and the rank of the pair
SAMPLE = 200  # queries whose best scores say what is usual


@dataclasses.dataclass(frozen=True)
class Query:
    """What is asked.

    Attributes:
      modality: of the query.
      vector: (d,), as the index holds them.
      shown: the sentence, the file's name or the item's id.
      item: the columns of an item of the index, with "id"; None of an own sentence or image, whose class nobody knows.
    """

    modality: str
    vector: NDArray
    shown: str
    item: Mapping[str, str | None] | None = None


@dataclasses.dataclass(frozen=True)
class Hit:
    """One item that was found.

    Attributes:
      rank: from 1.
      ties: (first, last) of the ranks that have this score.
      id, modality, score: of the item.
      columns: of the index.
      right: whether its class is the query's, or of several it shares one; None where nobody knows.
      pair: whether it is the query's own counterpart.
    """

    rank: int
    ties: tuple[int, int]
    id: str
    modality: str
    score: float
    columns: dict[str, str | None]
    right: bool | None = None
    pair: bool = False


@dataclasses.dataclass(frozen=True)
class Answer:
    """What was found.

    Attributes:
      query: Query.
      find: the modalities that were searched.
      where: the filter.
      hits: best first.
      searched: how many items were.
      seconds: that the search took, without the encoding of the query.
      average_precision, chance: of the whole ranking, of an item of the index, where nothing is filtered by class.
      precision: share of the hits that are right; None as above.
      pair_rank: rank of the query's own counterpart; None if there is none.
      usual: share of the test queries, of the same modalities, whose best score is below this one's; None without any.
      classes: whether classes have names that say something; those of data without classes tell counterparts alone.
    """

    query: Query
    find: tuple[str, ...]
    where: dict[str, list[str]]
    hits: list[Hit]
    searched: int
    seconds: float
    average_precision: float | None = None
    chance: float | None = None
    precision: float | None = None
    pair_rank: int | None = None
    usual: float | None = None
    classes: bool = True


class Searcher:
    """An encoder and the index of its vectors.

    Args:
      index: Index.
      encoder: of the index; None asks by items of the index alone.
    """

    def __init__(self, index: Index, encoder: Encoder | None = None) -> None:
        if encoder is not None and encoder.digest != index.digest:
            raise InputError(
                f"{index.uri}: holds vectors of another encoder; search it with the run that it was made of, or make "
                "another: tfxmr index --run_dir=RUN --to=ANOTHER"
            )
        self.index, self.encoder = index, encoder
        self._usual: dict[tuple[str, tuple[str, ...]], NDArray] = {}

    @classmethod
    def of(cls, run_dir: str | os.PathLike, index: Place = None) -> "Searcher":
        """The searcher of a finished run, whose index is made where it is missing.

        Args:
          run_dir: of the run or its encoder.
          index: as `Index.open` takes it; None: RUN/index.

        Raises:
          InputError: as tfxmr.load and tfxmr.search.building.build.
        """
        encoder = encoding.load(run_dir)
        return cls(building.of_run(encoder, run_dir, index, again=False), encoder)

    def prepare(self) -> None:
        """Imports the encoder's method and reads its weights, which the first question would else wait for."""
        _ = self.encoder and self.encoder.method

    @functools.cached_property
    def modalities(self) -> list[str]:
        """Those of the items."""
        return list(self.index.info()["items"])

    def text(self, sentence: str) -> Query:
        """Asks by a sentence of one's own. Raises InputError as Encoder.encode."""
        return Query("text", self._encoded("text", sentence), sentence)

    def image(self, image: Medium, shown: str = "your image") -> Query:
        """Asks by an image of one's own, as Encoder.encode takes one. Raises InputError as that."""
        return self.file("image", image, shown)

    def file(self, modality: str, file: Medium, shown: str) -> Query:
        """Asks by a file of one's own, of any modality, as Encoder.encode takes one. Raises InputError as that."""
        return Query(modality, self._encoded(modality, file), shown if isinstance(file, bytes) else str(file))

    def item(self, modality: str, id_: str) -> Query:
        """Asks by an item of the index. Raises InputError if it is not there."""
        found = self.index.items({"modality": [modality], "id": [id_]})
        if not found.ids:
            raise InputError(f"--item={id_}: the index holds no {modality} item of this id; its modalities are "
                             f"{', '.join(self.modalities)}")
        columns = {name: values[0] for name, values in found.columns.items()}
        return Query(modality, found.vectors[0], id_, columns | {"id": id_, "modality": modality})

    def ask(
        self, query: Query, find: Sequence[str] = (), k: int = 10, where: Filter = None, whole: bool = True
    ) -> Answer:
        """Searches.

        Args:
          query: as `text`, `image` or `item` gives it.
          find: modalities that are searched; (): all but the query's, or all if there is no other.
          k: how many items are wanted.
          where: further filter, column -> values, see Index.search.
          whole: ranks all items for AP and the rank of the pair, of an item's query.

        Returns:
          Answer.

        Raises:
          InputError: a modality or column that the index has not got.
        """
        wanted = tuple(find) or tuple(m for m in self.modalities if m != query.modality) or tuple(self.modalities)
        for m in wanted:
            if m not in self.modalities:
                raise InputError(f"--find={m}: the index holds {', '.join(self.modalities)}")
        asked = {name: [v] if isinstance(v, str) else list(v) for name, v in (where or {}).items()}
        chosen = asked | {"modality": list(wanted)}
        searched = self.index.count(chosen)
        known = query.item is not None and query.item.get("class") is not None and "class" not in asked
        ranked = known and whole and searched <= MOST_RANKED
        start = time.perf_counter()
        # The query itself may be among them, and is no answer.
        most = searched if ranked else min(k + 1, searched)
        found = self.index.search(query.vector[None], most, chosen) if searched else None
        seconds = time.perf_counter() - start
        if found is None:
            return Answer(query, wanted, asked, [], 0, seconds, classes=self.classes)
        ids, scores, columns = found.ids[0], found.scores[0], {name: v[0] for name, v in found.columns.items()}
        item: Mapping[str, str | None] = query.item or {}
        own = (ids == item.get("id", "")) & (columns["modality"] == item.get("modality"))  # it is no answer to itself
        kept = np.flatnonzero(~own & (ids != ""))  # "" where an approximate index found fewer
        ids, scores, columns = ids[kept], scores[kept], {name: v[kept] for name, v in columns.items()}
        right = self._right(str(item["class"]), columns["class"]) if known and "class" in columns else None
        facts: dict[str, Any] = {"classes": self.classes}
        if ranked and right is not None and len(ids):
            blank = np.zeros((1, 1)), np.zeros((len(ids), 1)), [1]
            facts["average_precision"] = float(average_precisions(*blank, right.astype(int), scores[None])[0])
            facts["chance"] = chance_level(np.array([1]), right.astype(int))
            if item.get("pair") is not None:
                facts["pair_rank"] = next((int(i) + 1 for i in np.flatnonzero(columns["pair"] == item["pair"])), None)
        if right is not None and len(ids):
            facts["precision"] = float(right[:k].mean())
        if len(ids) and not asked:
            facts["usual"] = self._share_below(query.modality, wanted, float(scores[0]))
        hits = _hits(ids[:k], scores, {name: v[:k] for name, v in columns.items()}, right, item.get("pair"))
        return Answer(query, wanted, asked, hits, searched - int(own.sum()), seconds, **facts)

    @property
    def classes(self) -> bool:
        """See Answer."""
        return self.encoder is None or not self.encoder.facts.get("instances")

    def _right(self, own: str, found: NDArray) -> NDArray[np.bool_]:
        """Which classes of items (n,), None where there is none, match a query's: equal ones, or of several a part."""
        if self.encoder is not None and not self.encoder.facts.get("multi_label"):
            return found == own
        wanted = {*own.split(SEPARATOR)}
        return np.array([name is not None and not wanted.isdisjoint(name.split(SEPARATOR)) for name in found], bool)

    def _encoded(self, modality: str, medium: Medium) -> NDArray:
        if self.encoder is None:
            raise InputError("--run_dir is missing: the run that the index was made of encodes a sentence or image")
        return self.encoder.points(modality, self.encoder.encode(modality, [medium]))[0]

    def _share_below(self, modality: str, find: tuple[str, ...], score: float) -> float | None:
        """The share of test queries of a modality whose best score is below `score`; None if there are none."""
        key = modality, find
        if key not in self._usual:
            where = {"modality": [modality], "split": ["test"]}
            columns = self.index.info()["columns"]
            vectors = self.index.items(where).vectors if "split" in columns else np.zeros((0, 1))
            vectors = vectors[np.random.default_rng(0).permutation(len(vectors))[:SAMPLE]]
            if len(vectors):  # two are searched where an item finds itself first
                scores = self.index.search(vectors, 2 if modality in find else 1, {"modality": list(find)}).scores
                self._usual[key] = np.sort(scores[:, -1])
            else:
                self._usual[key] = np.zeros(0)
        best = self._usual[key]
        return float(np.searchsorted(best, score) / len(best)) if len(best) else None


def _hits(
    ids: NDArray, scores: NDArray, columns: dict[str, NDArray], right: NDArray | None, pair: str | None
) -> list[Hit]:
    """Hits of ids (k,), of all scores (n,), n >= k, descending; which are right (n,), and what is the query's pair."""
    first = np.searchsorted(-scores, -scores[: len(ids)], side="left") + 1
    last = np.searchsorted(-scores, -scores[: len(ids)], side="right")
    hits = []
    for place, id_ in enumerate(ids):
        own = {name: values[place] for name, values in columns.items() if name != "modality"}
        hits.append(Hit(
            place + 1, (int(first[place]), int(last[place])), str(id_), str(columns["modality"][place]),
            float(scores[place]), own, None if right is None else bool(right[place]),
            pair is not None and own.get("pair") == pair,
        ))
    return hits
