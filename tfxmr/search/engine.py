"""What an engine that holds an index must do; `tfxmr.search.Index` checks what users give and asks one of these."""
import abc
import dataclasses
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from numpy.typing import NDArray

Where = Mapping[str, Sequence[str]]  # column -> the values of which an item must have one
# The column of the classes of an item, of which there may be several, with tfxmr.core.classes.SEPARATOR between them:
# it has each of them, and all together, as a value.
SETS = "class"
Columns = Mapping[str, Sequence[str | None]]  # column -> a value for each item; None where it has none


@dataclasses.dataclass(frozen=True)
class Facts:
    """What an index is made for, and keeps.

    Attributes:
      encoder: digest of the encoder of its vectors.
      dimensions: width d of the vectors.
      similarity: "cosine", "dot" or "l2".
    """

    encoder: str
    dimensions: int
    similarity: str


class Found(NamedTuple):
    """The best r items of each of Q queries, best first.

    Attributes:
      ids: str (Q, r).
      scores: float32 (Q, r), a higher one is better; -inf, with id "", where an approximate index found fewer.
      columns: "modality" and each column -> object array (Q, r) of str, or None where an item has no value.
    """

    ids: NDArray
    scores: NDArray
    columns: dict[str, NDArray]


class Items(NamedTuple):
    """Some n items.

    Attributes:
      ids: n ids.
      vectors: float32 (n, d), L2-normalised if the similarity is cosine.
      columns: "modality" and each column -> n values.
    """

    ids: list[str]
    vectors: NDArray
    columns: dict[str, list[str | None]]


class Engine(abc.ABC):
    """An index's engine. Vectors come checked: float32 (n, d), L2-normalised if the similarity is cosine."""

    facts: Facts
    kinds: tuple[str, ...] = ("flat",)  # of indexes that it can make; all but "flat" are approximate
    kind: str = "flat"  # of the index that it has

    @abc.abstractmethod
    def add(self, modality: str, ids: list[str], vectors: NDArray, columns: Columns) -> int:
        """Takes in n items, as `Index.add` does: different ids, vectors (n, d), columns; returns how many were new."""

    @abc.abstractmethod
    def search(self, queries: NDArray, k: int, where: Where) -> Found:
        """The k best of the items that `where` names for each of the queries, (Q, d); ties by id, then modality."""

    @abc.abstractmethod
    def delete(self, where: Where) -> int:
        """Deletes the items that `where` names; returns their number."""

    @abc.abstractmethod
    def count(self, where: Where) -> int:
        """The number of the items that `where` names."""

    @abc.abstractmethod
    def scan(self, where: Where) -> Iterator[Items]:
        """The items that `where` names, in blocks."""

    @abc.abstractmethod
    def sample(self, count: int, seed: int) -> NDArray:
        """Vectors (n, d) of n <= `count` items, drawn by `seed`."""

    def set_kind(self, kind: str) -> Sequence[int]:
        """Makes an index of a kind; returns the efforts that a search of it can take, from cheap to thorough."""
        return []  # flat, and exact with the only effort that it can make

    def set_effort(self, effort: int) -> None:
        """Sets, and keeps, the effort of a search: one of those that `set_kind` returned."""
        raise NotImplementedError(effort)

    @abc.abstractmethod
    def info(self) -> dict[str, Any]:
        """What it is, for people: engine, kind, modalities, columns."""

    @abc.abstractmethod
    def close(self) -> None:
        """Frees what others wait for."""
