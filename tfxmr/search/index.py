"""The index that is searched: vectors of an encoder with ids and columns, in a folder or in Milvus."""
import pathlib
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from types import TracebackType
from typing import Any, Protocol

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.wording import counted
from tfxmr.evaluation import checks
from tfxmr.evaluation import similarity as similarity_module
from tfxmr.search.engine import Columns, Engine, Facts, Found, Items
from tfxmr.search.folder import MANIFEST, FolderEngine
from tfxmr.search.milvus import MilvusEngine

RESERVED = ("id", "modality", "vector")  # no names of columns
ROWS = 16384  # vectors that are normalised at once
Filter = Mapping[str, str | Sequence[str]] | None


class Encoder(Protocol):
    """What an index asks of an encoder; it never encodes itself.

    Attributes:
      digest: of all that its vectors depend on.
      dimensions: width of its vectors.
      similarity: by which its vectors are compared.
    """

    @property
    def digest(self) -> str:
        """Of all that its vectors depend on."""

    @property
    def dimensions(self) -> int:
        """Width of its vectors."""

    @property
    def similarity(self) -> str:
        """By which its vectors are compared: "cosine", "dot" or "l2"."""


class Index:
    """Items of any modalities, each a vector with an id and columns of text, found by the similarity of vectors.

    Made by `Index.open`. What returned from `add` and `delete` outlasts a kill at any moment. One process writes at a
    time, from its first `add` or `delete` to `close`; any number search, each what there was when it opened the index.
    Threads may share one that is only searched.

    >>> import tempfile, types
    >>> encoder = types.SimpleNamespace(digest="5e1f", dimensions=2, similarity="cosine")
    >>> folder = tempfile.TemporaryDirectory()
    >>> with Index.open(folder.name, encoder) as index:
    ...     index.add("image", ["a.jpg", "b.jpg"], [[3, 0], [1, 1]], {"class": ["boat", "bird"]})
    ...     index.add("text", ["a.txt"], [[0, 2]], {"class": ["boat"], "text": ["a red boat"]})
    2
    1
    >>> index = Index.open(folder.name)
    >>> ids, scores, columns = index.search([[0, 1]], k=2)
    >>> ids.tolist(), scores, columns["text"].tolist()
    ([['a.txt', 'b.jpg']], array([[1.        , 0.70710677]], dtype=float32), [['a red boat', None]])
    >>> index.search([[0, 1]], k=2, where={"modality": "image", "class": ["boat", "bus"]}).ids.tolist()
    [['a.jpg']]
    >>> index.count(), index.count({"class": ["boat"]})
    (3, 2)
    >>> folder.cleanup()
    """

    def __init__(self, uri: str, engine: Engine) -> None:
        self.uri = uri
        self._engine = engine

    @classmethod
    def open(cls, uri: Place, encoder: Encoder | None = None, create: bool = True) -> "Index":
        """Opens an index, or begins one.

        Args:
          uri: a folder, the default: exact, to about a million items. NAME.db: a database of Milvus Lite.
            http(s)://HOST:PORT[/COLLECTION]: a Milvus server, for more items and many users; its password or token
            comes from the environment variable MILVUS_TOKEN.
          encoder: whose vectors it holds; None opens whichever is there.
          create: begins one where there is none, if an encoder is given.

        Returns:
          The index, which is closed at the end of a `with` statement.

        Raises:
          InputError: there is none and none is to be made; it is another encoder's, damaged, or no index.
        """
        name = str(uri)
        facts = None if encoder is None else _facts(encoder)
        path = pathlib.Path(name).expanduser()
        begun = facts if create else None
        engine: Engine
        if name.endswith(".db") or "://" in name:
            if name.endswith(".db") and begun is None and not path.exists():
                raise InputError(f"{name}: holds no index; make one: tfxmr index --run_dir=RUN --to={name}")
            engine = MilvusEngine(name, begun)
        else:
            if not (path / MANIFEST).exists() and begun is None and not path.is_file():
                raise InputError(f"{name}: holds no index; make one: tfxmr index --run_dir=RUN --to={name}")
            engine = FolderEngine(path, begun)
        if facts is not None and engine.facts != facts:
            engine.close()
            raise InputError(
                f"{name}: holds vectors of the encoder {_short(engine.facts)}, not of {_short(facts)}; search it with "
                "the run that it was made of, or make another: tfxmr index --run_dir=RUN --to=ANOTHER"
            )
        return cls(name, engine)

    @property
    def digest(self) -> str:
        """Digest of the encoder of its vectors."""
        return self._engine.facts.encoder

    @property
    def dimensions(self) -> int:
        """Width d of its vectors."""
        return self._engine.facts.dimensions

    @property
    def similarity(self) -> str:
        """By which it ranks: "cosine", "dot" or "l2"."""
        return self._engine.facts.similarity

    def add(self, modality: str, ids: Sequence[str], vectors: ArrayLike, columns: Columns | None = None) -> int:
        """Takes in items. An id that the modality has already is replaced, so adding the same again changes nothing.

        Args:
          modality: of the items.
          ids: n different ids; other modalities may have the same.
          vectors: (n, d), as the encoder gives them; cosine L2-normalises them.
          columns: name -> n texts, or None where an item has none; e.g. class, split, media. A name is of letters,
            digits and _, and not id, modality or vector.

        Returns:
          How many ids were new.

        Raises:
          InputError: ids or columns that cannot be; another process writes the index.
          ValueError: vectors of another shape, or not finite.
          OSError: it cannot be written.
        """
        ids = [*ids]
        columns = {name: [*values] for name, values in (columns or {}).items()}
        _check_texts("modality", [modality])
        _check_texts("id", ids)
        if len(set(ids)) < len(ids):
            twice = Counter(ids).most_common(1)[0][0]
            raise InputError(f"id {twice!r} comes twice among the items to add; give each item an id of its own")
        for name, values in columns.items():
            if not re.fullmatch("[A-Za-z][A-Za-z0-9_]*", name) or name in RESERVED:
                raise InputError(f"column {name!r}: give it another name, of letters, digits and _, and not "
                                 f"{', '.join(RESERVED)}")
            if len(values) != len(ids):
                raise InputError(f"column {name!r} has {counted(len(values), 'value')} for "
                                 f"{counted(len(ids), 'item')}; give one for each")
            _check_texts(f"column {name!r}", [value for value in values if value is not None])
        if not ids:
            return 0
        rows = self._prepare("vectors", vectors)
        if len(rows) != len(ids):
            raise ValueError(f"vectors has {counted(len(rows), 'row')} for {counted(len(ids), 'id')}; give one for "
                             "each")
        return self._engine.add(modality, ids, rows, columns)

    def search(self, vectors: ArrayLike, k: int, where: Filter = None) -> Found:
        """Finds the items most similar to each query.

        Args:
          vectors: (Q, d) queries, as the encoder gives them.
          k: how many items are wanted, at least 1.
          where: column -> the value, or values of which an item must have one; "modality" and "id" are columns, too. An
            item of several classes, "boat|sea", has each of them as its "class", and both together.
            None searches all.

        Returns:
          `Found`: (ids (Q, r), scores (Q, r), columns); r = k, or less if fewer items are there. Best first, equal
          scores in the order of ids, then of modalities. Scores are cosine or dot products, or, for "l2", minus the
          squared distance; computed in 64 bits, so that equal vectors tie, and rounded to 32.

        Raises:
          InputError: `where` names no column, the index is damaged, or its server is gone.
          ValueError: vectors of another shape, or not finite.
        """
        k = checks.whole("k", k)
        return self._engine.search(self._prepare("vectors", vectors), k, _values(where))

    def delete(self, where: Filter) -> int:
        """Deletes items.

        Args:
          where: as in `search`, of one column at least.

        Returns:
          The number of deleted items.

        Raises:
          InputError: `where` names nothing, or no column; another process writes the index.
          OSError: it cannot be written.
        """
        if not where:
            raise InputError("delete: say which items, e.g. where={'modality': ['image']}")
        return self._engine.delete(_values(where))

    def count(self, where: Filter = None) -> int:
        """The number of items; `where` as in `search`."""
        return self._engine.count(_values(where))

    def items(self, where: Filter = None) -> Items:
        """All items that `where`, as in `search`, names, in no defined order: (ids, vectors (n, d), columns)."""
        blocks = [*self._engine.scan(_values(where))]
        names = {name: None for block in blocks for name in block.columns}
        return Items(
            [i for block in blocks for i in block.ids],
            np.concatenate([np.empty((0, self.dimensions), np.float32), *(block.vectors for block in blocks)]),
            {name: [v for block in blocks for v in block.columns.get(name, [None] * len(block.ids))] for name in names},
        )

    def recall(self, queries: int = 200, k: int = 10, seed: int = 0) -> float:
        """Recall@k of the search against an exact one, which reads all vectors once.

        Args:
          queries: how many of its own items are queries, drawn by `seed`.
          k: how many items are to be found.
          seed: int.

        Returns:
          float in [0, 1]: share of the k best scores that the search finds, or better ones; ties count as found. 1 for
          an empty index.
        """
        sample = self._engine.sample(checks.whole("queries", queries), seed)
        if not len(sample):
            return 1.0
        k = min(checks.whole("k", k), self.count())
        best = np.full((len(sample), k), -np.inf)
        wide = sample.astype(np.float64)
        for block in self._engine.scan({}):
            scores = wide @ block.vectors.astype(np.float64).T
            if self.similarity == "l2":
                scores = 2 * scores - np.sum(block.vectors**2, 1, np.float64) - np.sum(wide**2, 1)[:, None]
            best = np.partition(np.concatenate([best, scores], axis=1), -k, axis=1)[:, -k:]
        return _recall(self._engine.search(sample, k, {}).scores, best.min(axis=1, keepdims=True), k)

    def build(
        self, kind: str = "flat", min_recall: float = 0.95, queries: int = 200, k: int = 10, seed: int = 0,
    ) -> float:
        """Makes the index of Milvus anew, of another kind; until then, and in a folder, it is flat, which is exact.

        An approximate one is searched with as much effort as `min_recall` takes, measured on the index's own items
        against the flat one. Meanwhile the collection cannot be searched.

        Args:
          kind: "flat", "hnsw", "ivf_sq8" or "diskann"; Milvus Lite has no "diskann", a folder "flat" alone.
          min_recall: recall@k that is wanted at least, in [0, 1].
          queries, k, seed: as in `recall`.

        Returns:
          Its recall@k.

        Raises:
          InputError: the engine has no such kind; or its recall is below `min_recall`: then the index is flat again.
        """
        if kind not in self._engine.kinds:
            raise InputError(f"{self.uri}: --kind={kind}: choose {' or '.join(self._engine.kinds)}; other kinds need a "
                             "Milvus server: --to=http://HOST:19530")
        if self._engine.kind != "flat":
            self._engine.set_kind("flat")
        sample = self._engine.sample(checks.whole("queries", queries), seed)
        k = min(checks.whole("k", k), self.count())
        if kind == "flat":
            return 1.0
        if not len(sample):
            raise InputError(f"{self.uri}: --kind={kind}: it is empty, and recall cannot be measured; add items first")
        least = self._engine.search(sample, k, {}).scores[:, -1:]
        recall = 0.0
        try:
            for effort in self._engine.set_kind(kind):
                self._engine.set_effort(effort)
                recall = _recall(self._engine.search(sample, k, {}).scores, least, k)
                if recall >= min_recall:
                    return recall
        except InputError:
            self._engine.set_kind("flat")
            raise
        self._engine.set_kind("flat")
        raise InputError(f"{self.uri}: --kind={kind}: finds {recall:.3f} of the {counted(k, 'best item')}, less than "
                         f"--min_recall={min_recall:g}; take --kind=flat, or lower --min_recall")

    def info(self) -> dict[str, Any]:
        """What it is: uri, engine, kind, items (modality -> number), columns, encoder, dimensions, similarity."""
        facts = self._engine.facts
        return {"uri": self.uri, **self._engine.info(), "encoder": facts.encoder, "dimensions": facts.dimensions,
                "similarity": facts.similarity}

    def close(self) -> None:
        """Lets other processes write."""
        self._engine.close()

    def __enter__(self) -> "Index":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None,
    ) -> None:
        self.close()

    def _prepare(self, name: str, vectors: ArrayLike) -> NDArray:
        """Vectors as engines hold them, float32 (n, d); L2-normalised for cosine, where a zero vector stays one."""
        rows = checks.array(name, vectors, 2, f"give (items, {self.dimensions})")
        if rows.shape[1] != self.dimensions:
            raise ValueError(f"{name} is {rows.shape[1]} wide, the index {self.dimensions}; give the encoder's vectors")
        found = np.empty(rows.shape, np.float32)
        for i in range(0, len(rows), ROWS):  # in blocks: normalisation holds rows in 64 bits
            block = rows[i : i + ROWS].astype(np.result_type(rows, np.float32), copy=False)
            block = similarity_module.unit_rows(block)[0] if self.similarity == "cosine" else block
            if np.einsum("nd,nd->n", block, block, dtype=np.float64).max() > np.finfo(np.float32).max / 4:
                raise ValueError(f"{name}: a row is too large, its products overflow; scale it down")
            found[i : i + ROWS] = block
        return found


def _recall(found: NDArray, least: NDArray, k: int) -> float:
    """Share of k scores, (Q, r) with r <= k, that are as good as the k-th best, (Q, 1); ties count as found."""
    enough = found >= least - 1e-6 * np.maximum(1, np.abs(least))  # found ones are rounded to 32 bits
    return float(np.sum(enough) / (len(found) * k))


def _facts(encoder: Encoder) -> Facts:
    if encoder.similarity not in similarity_module.SIMILARITIES:
        raise InputError(
            f"similarity {encoder.similarity!r}: an index ranks by {', '.join(similarity_module.SIMILARITIES)}; this "
            "run compares otherwise and is scored by tfxmr evaluate alone"
        )
    return Facts(str(encoder.digest), int(encoder.dimensions), str(encoder.similarity))


def _short(facts: Facts) -> str:
    return f"{facts.encoder[:12]} ({facts.dimensions} wide, {facts.similarity})"


def _values(where: Filter) -> dict[str, list[str]]:
    """A filter with lists of values."""
    found = {name: [values] if isinstance(values, str) else [*values] for name, values in (where or {}).items()}
    for name, values in found.items():
        _check_texts(f"where={{{name!r}: ...}}", values)
    return found


def _check_texts(name: str, values: Sequence[Any]) -> None:
    """Refuses what is no text, or none that can be stored: halves of characters, as of file names that are no UTF-8."""
    for value in values:
        try:
            good = bool(value.encode()) or name not in ("id", "modality")
        except (AttributeError, UnicodeEncodeError):
            good = False
        if not good:
            what = "text" if "column" in name else "text that is not empty"
            raise InputError(f"{name} {value!r}: give {what}, in UTF-8")
