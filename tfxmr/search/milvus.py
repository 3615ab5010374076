"""The engine of an index in Milvus: a Lite database NAME.db, or a server at http(s)://HOST:PORT[/COLLECTION].

Milvus says which items may be among the best, with some to spare; their vectors come along and are scored and ordered
here, as in a folder. So a flat index gives the same answer, bit for bit, and an approximate one loses only the items
that it does not find.

An item is a row: `_key`, a digest of modality and id; `id`; `modality`; `vector`; and its columns as dynamic fields,
named c_NAME, so that none is a word of Milvus' filters. What the index is made for is a property of the collection.
"""
import contextlib
import hashlib
import json
import logging
import os
import pathlib
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.classes import SEPARATOR
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.search.engine import SETS, Columns, Engine, Facts, Found, Items, Where
from tfxmr.search.ranking import exact_scores, slack

COLLECTION = "tfxmr"
TOKEN = "MILVUS_TOKEN"  # environment variable; a flag would stand in process lists and in flags.cfg
FACTS, NAMES, EFFORT = "tfxmr.facts", "tfxmr.names", "tfxmr.effort"  # properties of a collection
MOST = 16384  # items that Milvus gives for a query
SPARE = 16  # items that are asked for beyond k, for ties and rounding at the end
TEXT = 8192  # bytes of an id or modality
DYNAMIC = 65536  # bytes of an item's columns together
CONNECT, CALL, LOAD = 5.0, 30.0, 600.0  # seconds after which a server is given up
BYTES = 2**24  # of an answer or a batch of items, at most
# Parameters of building an index, and of a search: name, and values from cheap to thorough. IVF's are shares of nlist.
KINDS: dict[str, tuple[dict[str, Any], str, tuple[float, ...]]] = {
    "flat": ({}, "", ()),
    "hnsw": ({"M": 16, "efConstruction": 200}, "ef", (64, 128, 256, 512, 1024)),
    "ivf_sq8": ({}, "nprobe", (1 / 64, 1 / 32, 1 / 16, 1 / 8, 1 / 4, 1 / 2)),
    "diskann": ({}, "search_list", (64, 128, 256, 512, 1024)),
}
_open_lite: Counter[str] = Counter()  # databases that this process serves -> indexes that use them


class MilvusEngine(Engine):
    """An index in Milvus.

    Args:
      uri: NAME.db, or http(s)://HOST:PORT[/COLLECTION].
      facts: what it is to be made for, where there is none; None for one that must be there.

    Raises:
      InputError: pymilvus is missing, nothing answers, or what is there is no index.
    """

    kinds: tuple[str, ...] = ("flat", "hnsw", "ivf_sq8", "diskann")

    def __init__(self, uri: str, facts: Facts | None) -> None:
        self._uri, self._collection = uri, COLLECTION
        self._lite: str | None = None
        if uri.endswith(".db"):
            self.kinds = self.kinds[:-1]  # Lite takes "diskann", and searches flat
            self._lite = os.path.abspath(pathlib.Path(uri).expanduser())
            self._client = self._connect(self._lite)
            _open_lite[self._lite] += 1
        else:
            match = re.fullmatch(r"(https?://[^/@]+)/?([A-Za-z_][A-Za-z0-9_]*)?/?", uri)
            if not match:
                raise InputError(  # without the address: it may hold a password
                    "the address of a Milvus server: give http(s)://HOST:PORT or http(s)://HOST:PORT/COLLECTION; a "
                    f"password comes from the environment alone: {TOKEN}=USER:PASSWORD"
                )
            self._collection = match[2] or COLLECTION
            self._client = self._connect(match[1])
        try:
            self._open(facts)
        except BaseException:
            self.close()
            raise

    def _connect(self, uri: str) -> Any:
        try:
            from pymilvus import MilvusClient, exceptions
            if self._lite:
                import milvus_lite.server_manager  # noqa: F401
        except ImportError as error:
            raise InputError(f"{self._uri}: {error.name} is not installed; pip install 'tfxmr[milvus]'") from None
        # Both print a traceback of what they raise as well, and a warning of what works.
        logging.getLogger("pymilvus").setLevel(logging.CRITICAL)
        cause = _Cause()
        logger = logging.getLogger("milvus_lite")
        logger.addHandler(cause)
        logger.propagate = False
        try:
            return MilvusClient(uri, token=os.environ.get(TOKEN, ""), timeout=CONNECT)
        except exceptions.MilvusException as error:
            if self._lite:
                raise InputError(self._why_not_open(cause.error)) from None
            raise self._explained(error) from None
        finally:
            logger.removeHandler(cause)

    def _why_not_open(self, cause: BaseException | None) -> str:
        if type(cause).__name__ == "DataDirLockedError":
            return (f"{self._uri}: another process has it open, and Milvus Lite allows one; wait for its end, or serve "
                    f"it to many: milvus-lite server --data-dir {self._lite} --host 127.0.0.1, and give "
                    "http://127.0.0.1:19530")
        return f"{self._uri}: Milvus Lite cannot open it ({str(cause).splitlines()[0]}); give another NAME.db"

    def _explained(self, error: Any) -> InputError:
        said = re.sub(r"\s+", " ", str(getattr(error, "message", error)))[:200]
        if re.search("wait for (loading|creating)", said):
            return InputError(f"{self._uri}: Milvus does not come to an end ({said}); its log says why")
        if re.search("(?i)fail connecting|unavailable|refused|timeout|deadline", f"{said} {error.code}"):
            return InputError(f"{self._uri}: no Milvus server answers ({said}); start it, or give another address")
        if re.search("(?i)auth|permission", said):
            return InputError(f"{self._uri}: Milvus wants another user ({said}); set {TOKEN}=USER:PASSWORD")
        return InputError(f"{self._uri}: Milvus refuses ({said})")

    def _call(self, method: str, *args: Any, **options: Any) -> Any:
        """Calls a method of the client for the collection; what Milvus raises becomes an InputError."""
        from pymilvus import exceptions

        try:
            return getattr(self._client, method)(self._collection, *args, **{"timeout": CALL, **options})
        except exceptions.MilvusException as error:
            raise self._explained(error) from None

    # The collection

    def _open(self, facts: Facts | None) -> None:
        if not self._call("has_collection"):
            if facts is None:
                raise InputError(f"{self._uri}: holds no index; make one: tfxmr index --run_dir=RUN --to={self._uri}")
            self._make(facts)
        properties = self._call("describe_collection").get("properties") or {}
        try:
            self.facts = Facts(**json.loads(properties[FACTS]))
            names = json.loads(properties.get(NAMES, '{"modalities": [], "columns": []}'))
            self._modalities, self._columns = set(names["modalities"]), set(names["columns"])
            self._effort = int(properties.get(EFFORT, 0))
        except (KeyError, TypeError, ValueError):
            raise InputError(f"{self._uri}: its collection {self._collection} is no index of tfxmr; give another: "
                             "http://HOST:PORT/COLLECTION, or NAME.db") from None
        indexes = self._call("list_indexes", field_name="vector")
        if indexes:
            self.kind = str(self._call("describe_index", indexes[0])["index_type"]).lower()
        else:  # its maker was killed between two kinds
            self._call("create_index", self._index_params("flat"), timeout=None)
        self._call("load_collection", timeout=LOAD)

    def _make(self, facts: Facts) -> None:
        from pymilvus import DataType

        schema = self._client.create_schema(auto_id=False, enable_dynamic_field=True)
        schema.add_field("_key", DataType.VARCHAR, is_primary=True, max_length=32)
        schema.add_field("id", DataType.VARCHAR, max_length=TEXT)
        schema.add_field("modality", DataType.VARCHAR, max_length=TEXT)
        schema.add_field("vector", DataType.FLOAT_VECTOR, dim=facts.dimensions)
        self.facts = facts
        # Strong: what was added is found by the next search, whichever process asks.
        self._call("create_collection", schema=schema, index_params=self._index_params("flat"),
                   properties={FACTS: json.dumps(facts.__dict__)}, consistency_level="Strong")

    def _index_params(self, kind: str) -> Any:
        params = dict(KINDS[kind][0])
        if kind == "ivf_sq8":
            params["nlist"] = self._cells()
        found = self._client.prepare_index_params()
        # Vectors are L2-normalised for cosine, so that a zero vector has the similarity 0 to all, as elsewhere.
        metric = "L2" if self.facts.similarity == "l2" else "IP"
        found.add_index("vector", index_type=kind.upper(), metric_type=metric, params=params)
        return found

    def _cells(self) -> int:
        """IVF's nlist: 4 sqrt(n), as is usual."""
        return max(1, min(65536, round(4 * self.count({}) ** 0.5)))

    def set_kind(self, kind: str) -> Sequence[int]:
        """As in `Engine`."""
        params = self._index_params(kind)
        self._call("flush", timeout=None)  # an index is made of what is on the disk
        self._call("release_collection")
        for name in self._call("list_indexes", field_name="vector"):
            self._call("drop_index", name)
        self._call("create_index", params, timeout=None)
        self._call("load_collection", timeout=LOAD)
        self.kind = kind
        efforts = KINDS[kind][2]
        if kind == "ivf_sq8":
            efforts = tuple(sorted({max(1, round(share * self._cells())) for share in efforts}))
        self.set_effort(int(efforts[0]) if efforts else 0)
        return [int(effort) for effort in efforts]

    def set_effort(self, effort: int) -> None:
        """As in `Engine`."""
        self._effort = effort
        self._call("alter_collection_properties", {EFFORT: str(effort)})

    def _search_params(self, limit: int) -> dict[str, Any]:
        name = KINDS[self.kind][1]
        if not name:
            return {}
        effort = self._effort if name == "nprobe" else max(self._effort, limit)  # the others may not be below it
        return {"params": {name: effort}}

    # Items

    def _filter(self, where: Where) -> str:
        """Milvus' expression for `where`."""
        known = {"id", "modality", *self._columns}
        parts = []
        for name, values in where.items():
            if name not in known and self._modalities:
                raise InputError(f"{self._uri}: has no column {name!r}; it has {', '.join(sorted(known))}")
            field = name if name in ("id", "modality") else f"c_{name}"
            asked = f"{field} in {json.dumps(list(values), ensure_ascii=False)}"
            parts.append(f"({asked} or {_among(field, values)})" if name == SETS and values else asked)
        return " and ".join(parts)

    def add(self, modality: str, ids: list[str], vectors: NDArray, columns: Columns) -> int:
        """As in `Engine`."""
        self._learn({modality}, set(columns))
        texts = [{c: values[i] for c, values in columns.items()} for i in range(len(ids))]
        rows = [self._row(modality, *item) for item in zip(ids, vectors, texts, strict=True)]
        new, step = 0, max(1, min(1000, BYTES // (8 * self.facts.dimensions)))
        for i in range(0, len(rows), step):
            batch = rows[i : i + step]
            new += len(batch) - len(self._call("get", [row["_key"] for row in batch], output_fields=["_key"]))
            self._call("upsert", batch)
        return new

    def _learn(self, modalities: set[str], columns: set[str]) -> None:
        """Notes new modalities and columns with the collection, before any item has them."""
        if modalities <= self._modalities and columns <= self._columns:
            return
        self._modalities |= modalities
        self._columns |= columns
        names = {"modalities": sorted(self._modalities), "columns": sorted(self._columns)}
        self._call("alter_collection_properties", {NAMES: json.dumps(names)})

    def _row(self, modality: str, name: str, vector: NDArray, columns: dict[str, str | None]) -> dict[str, Any]:
        texts = {f"c_{column}": value for column, value in columns.items() if value is not None}
        size = len(json.dumps(texts, ensure_ascii=False).encode())
        if size > DYNAMIC:
            longest = max(texts, key=lambda column: len(texts[column]))[2:]
            raise InputError(f"{self._uri}: the columns of item {name!r} take {counted(size, 'byte')}, and Milvus "
                             f"takes {DYNAMIC:,} at most; shorten its {longest}")
        if max(len(name.encode()), len(modality.encode())) > TEXT:
            raise InputError(f"{self._uri}: the id {name[:40]!r}... is longer than {TEXT} bytes; give a shorter one")
        return {"_key": _key(modality, name), "id": name, "modality": modality, "vector": vector, **texts}

    def delete(self, where: Where) -> int:
        """As in `Engine`."""
        count = self.count(where)
        if count:
            self._call("delete", filter=self._filter(where))
        return count

    def count(self, where: Where) -> int:
        """As in `Engine`."""
        found = self._call("query", filter=self._filter(where), output_fields=["count(*)"])
        return int(found[0]["count(*)"])

    def scan(self, where: Where) -> Iterator[Items]:
        """As in `Engine`."""
        step = max(1, min(1000, BYTES // (8 * self.facts.dimensions)))
        iterator = self._call(
            "query_iterator", filter=self._filter(where), batch_size=step, output_fields=["*", "vector"],
        )
        try:
            while batch := self._next(iterator):
                columns = self._values(batch)
                ids = [row["id"] for row in batch]
                yield Items(ids, np.array([row["vector"] for row in batch], np.float32), columns)
        finally:
            with contextlib.suppress(Exception):
                iterator.close()

    def _next(self, iterator: Any) -> Any:
        from pymilvus import exceptions

        try:
            return iterator.next()
        except exceptions.MilvusException as error:
            raise self._explained(error) from None

    def _values(self, rows: Sequence[Any]) -> dict[str, list[str | None]]:
        found: dict[str, list[str | None]] = {"modality": [row["modality"] for row in rows]}
        return found | {name: [row.get(f"c_{name}") for row in rows] for name in sorted(self._columns)}

    def sample(self, count: int, seed: int) -> NDArray:
        """As in `Engine`. Keys are digests: those of a range are a fair sample."""
        total = self.count({})
        if not total:
            return np.empty((0, self.facts.dimensions), np.float32)
        width = min(1.0, (1.5 * count + 20) / total)  # so many that hardly ever fewer come
        start = np.random.default_rng(seed).uniform(0, 1 - width)
        low, high = (f"{min(int(end * 2**32), 2**32 - 1):08x}" for end in (start, start + width))
        found = self._call("query", filter=f'_key >= "{low}" and _key <= "{high}~"', limit=MOST,
                           output_fields=["_key", "vector"])
        rows = sorted(found, key=lambda row: str(row["_key"]))[:count]
        return np.array([row["vector"] for row in rows], np.float32).reshape(-1, self.facts.dimensions)

    def info(self) -> dict[str, Any]:
        """As in `Engine`."""
        items = {modality: self.count({"modality": [modality]}) for modality in sorted(self._modalities)}
        return {"engine": "Milvus Lite" if self._lite else "Milvus", "kind": self.kind,
                "items": {modality: size for modality, size in items.items() if size}, "columns": sorted(self._columns)}

    # Search

    def search(self, queries: NDArray, k: int, where: Where) -> Found:
        """As in `Engine`."""
        if k > MOST - SPARE and (k := min(k, self.count(where))) > MOST - SPARE:
            raise InputError(f"{self._uri}: k={k}: Milvus gives {MOST - SPARE} items at most; give a smaller k")
        best: list[list[Any]] = [[] for _ in queries]  # of each query, (exact score, row)
        limit, left = k + SPARE, np.arange(len(queries))
        while k and len(left):
            step = max(1, min(64, BYTES // (8 * limit * self.facts.dimensions)))
            again = []
            for i in range(0, len(left), step):
                some = left[i : i + step]
                for q, rows in zip(some, self._candidates(queries[some], limit, where), strict=True):
                    vectors = np.array([row["vector"] for row in rows], np.float32).reshape(-1, queries.shape[1])
                    exact = exact_scores(np.broadcast_to(queries[q], vectors.shape), vectors, self.facts.similarity)
                    if len(rows) == limit < MOST and self._may_lack(queries[q], vectors, exact, k):
                        again.append(q)
                    ranked = zip(exact, rows, strict=True)
                    best[q] = sorted(ranked, key=lambda e: (-e[0], e[1]["id"], e[1]["modality"]))[:k]
            left, limit = np.array(again, int), min(4 * limit, MOST)
        return self._found(best)

    def _found(self, best: Sequence[list[Any]]) -> Found:
        """What was found, as arrays; where an approximate index found fewer, with gaps at the end."""
        shape = len(best), max(map(len, best), default=0)
        ids, scores = np.full(shape, "", object), np.full(shape, -np.inf, np.float32)
        columns = {name: np.full(shape, None, object) for name in ("modality", *sorted(self._columns))}
        for q, found in enumerate(best):
            rows, n = [row for _, row in found], len(found)
            ids[q, :n], scores[q, :n] = [row["id"] for row in rows], [score for score, _ in found]
            for name, values in self._values(rows).items():
                columns[name][q, :n] = values
        return Found(ids.astype(str), scores, columns)

    def _may_lack(self, query: NDArray, vectors: NDArray, exact: NDArray, k: int) -> bool:
        """Whether an item beyond those that Milvus gave may tie with the k-th best, by its score or by rounding."""
        largest = float(np.linalg.norm(vectors.astype(np.float64), axis=1).max())
        spread = slack(query[None], largest, self.facts.similarity)[0]
        return bool(exact.min() >= np.sort(exact)[-k] - spread)

    def _candidates(self, queries: NDArray, limit: int, where: Where) -> Iterator[list[Any]]:
        """For each query the rows that Milvus finds, with their vectors."""
        found = self._call(
            "search", data=[query.tolist() for query in queries], anns_field="vector", limit=limit,
            filter=self._filter(where), output_fields=["*", "vector"], search_params=self._search_params(limit),
        )
        for hits in found:
            yield [hit["entity"] for hit in hits]

    def close(self) -> None:
        """As in `Engine`."""
        self._client.close()
        if self._lite:
            _open_lite[self._lite] -= 1
            if not _open_lite[self._lite]:  # a closed client leaves its server, and the lock, to the process's end
                from milvus_lite.server_manager import server_manager_instance

                server_manager_instance.release_server(self._lite)
            self._lite = None


class _Cause(logging.Handler):
    """Keeps the error that Milvus Lite logs in place of raising it."""

    error: BaseException | None = None

    def emit(self, record: logging.LogRecord) -> None:
        """Keeps a record's error."""
        self.error = record.exc_info[1] if record.exc_info else self.error


def _among(field: str, values: Sequence[str]) -> str:
    """Milvus' expression for one of some values that stands with others in a field, SEPARATOR between them."""
    plain = [re.sub(r"([\\%_])", r"\\\1", value) for value in values]
    bar = SEPARATOR
    patterns = [p for v in plain for p in (f"{v}{bar}%", f"%{bar}{v}", f"%{bar}{v}{bar}%")]
    return " or ".join(f"{field} like {json.dumps(pattern, ensure_ascii=False)}" for pattern in patterns)


def _key(modality: str, name: str) -> str:
    """The key of an item. A digest: Milvus writes keys into filters of its own, and does not escape them."""
    return hashlib.blake2b(f"{modality}\0{name}".encode(), digest_size=16).hexdigest()
