"""The engine of an index in a folder: exact, by a blocked product over memory-mapped segments.

  manifest.json  what the index is made for, its segments (see segment.py) and how much of each counts
  3.dead         int64 pairs (segment, row): deleted and replaced items
  .lock          held by the process that writes

A change appends to segments and to the list of the dead, then replaces the manifest: that one moment makes it whole. A
process that is killed before leaves bytes beyond what counts, and files that no manifest names; the next writer clears
them. Readers keep what they opened: a manifest's part of a file never changes, and removed files last while mapped.
"""
import contextlib
import dataclasses
import pathlib
from collections import Counter
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from filelock import BaseFileLock
from numpy.typing import NDArray

from tfxmr.core import locks
from tfxmr.core.errors import InputError
from tfxmr.core.files import read_json, to_json, write_text
from tfxmr.search import segment as segment_module
from tfxmr.search.engine import Columns, Engine, Facts, Found, Items, Where
from tfxmr.search.ranking import Best, exact_scores, slack
from tfxmr.search.segment import Entry, Segment

MANIFEST, LOCK = "manifest.json", ".lock"
FORMAT = 1
REMEDY = "index again with another --to"
QUERIES = 256  # in one product
SCORES = 2**20  # of one product; 4 MiB, which a cache holds
SCAN = 8192  # items that a scan yields at once
WASTE = 0.25  # share of dead rows from which on the segments are written anew
BATCHES = 512  # of a segment from which on it is written anew: an add reads through all, some microseconds each


class FolderEngine(Engine):
    """An index in a folder.

    Args:
      folder: pathlib.Path of it.
      facts: what it is to be made for, where there is none; None for one that must be there.

    Raises:
      InputError: there is none, or it is damaged.
    """

    def __init__(self, folder: pathlib.Path, facts: Facts | None) -> None:
        self._folder = folder
        self._lock: BaseFileLock | None = None
        self._places: dict[str, dict[str, int]] = {}  # modality -> id -> its place, once a writer needs it
        if folder.exists() and not folder.is_dir():
            raise InputError(f"{folder}: is a file; give a folder, or NAME.db for Milvus Lite")
        if (folder / MANIFEST).exists() or facts is None:
            self._load()
            return
        names = {path.name for path in folder.glob("*")} - {LOCK, f"{MANIFEST}.tmp"} if folder.exists() else set()
        if any(not _is_own(name) for name in names):
            raise InputError(f"{folder}: holds other files ({', '.join(sorted(names)[:3])}); give a new folder")
        self.facts = facts
        self._next, self._dead_file, self._num_dead = 1, 0, 0
        self._segments: list[Segment] = []

    # Reading

    def _load(self) -> None:
        """Reads the manifest and opens what it names; anew, if a writer has just replaced it and removed files."""
        for attempt in range(4):
            manifest = read_json(self._folder / MANIFEST, REMEDY)
            try:
                if manifest["format"] != FORMAT:
                    raise InputError(f"{self._folder}: is of the format {manifest['format']}, of a newer version of "
                                     "tfxmr; update that: pip install --upgrade tfxmr")
                self.facts = Facts(**{field.name: manifest[field.name] for field in dataclasses.fields(Facts)})
                self._next, (self._dead_file, self._num_dead) = manifest["next"], manifest["dead"]
                entries = [Entry(**entry) for entry in manifest["segments"]]
                dead = self._read_dead()
                self._segments = [self._open(entry, dead) for entry in entries]
                return
            except FileNotFoundError as error:
                if attempt == 3:
                    raise segment_module.damaged(pathlib.Path(error.filename), "it is missing") from error
            except (KeyError, TypeError, ValueError) as error:
                if isinstance(error, InputError):
                    raise
                raise segment_module.damaged(self._folder / MANIFEST, f"{error!r}") from error

    def _read_dead(self) -> NDArray:
        """(segment, row) of the dead, int64 (n, 2)."""
        if not self._num_dead:
            return np.empty((0, 2), np.int64)
        path = self._folder / f"{self._dead_file}.dead"
        found = np.fromfile(path, "<i8", 2 * self._num_dead)
        if len(found) < 2 * self._num_dead:
            raise segment_module.damaged(path, "it is too short")
        return found.reshape(-1, 2)

    def _open(self, entry: Entry, dead: NDArray, checked: bool = False) -> Segment:
        rows = dead[dead[:, 0] == entry.number, 1]
        if len(rows) and not 0 <= rows.min() <= rows.max() < entry.rows:
            raise segment_module.damaged(self._folder / f"{self._dead_file}.dead", "it names rows that are not there")
        return Segment(self._folder, entry, self.facts.dimensions, rows, checked)

    def _select(self, where: Where) -> list[tuple[Segment, NDArray | None, int]]:
        """(segment, its rows that `where` names as bool or None for all, their number) of segments with such rows."""
        self._check(where)
        chosen = []
        for segment in self._segments:
            if "modality" not in where or segment.entry.modality in where["modality"]:
                mask = segment.select(where)
                count = segment.entry.rows if mask is None else int(np.count_nonzero(mask))
                if count:
                    chosen.append((segment, mask, count))
        return chosen

    def _check(self, where: Where) -> None:
        known = {"id", "modality", *self._columns()}
        for name in where:
            if name not in known and self._segments:
                raise InputError(f"{self._folder}: has no column {name!r}; it has {', '.join(sorted(known))}")

    def _columns(self) -> list[str]:
        return sorted({name for segment in self._segments for name in segment.entry.columns})

    def count(self, where: Where) -> int:
        """As in `Engine`."""
        return sum(count for _, _, count in self._select(where))

    def scan(self, where: Where) -> Iterator[Items]:
        """As in `Engine`."""
        names = ["modality", *self._columns()]
        for segment, mask, count in self._select(where):
            rows = np.arange(count) if mask is None else np.flatnonzero(mask)
            for block in np.split(rows, range(SCAN, count, SCAN)):
                ids, columns = segment.look_up(block, names)
                yield Items(ids, segment.vectors[block], columns)

    def sample(self, count: int, seed: int) -> NDArray:
        """As in `Engine`."""
        parts = self._select({})
        total = sum(size for _, _, size in parts)
        drawn = np.sort(np.random.default_rng(seed).choice(total, min(count, total), replace=False))
        found, start = [], 0
        for segment, mask, size in parts:
            mine = drawn[(drawn >= start) & (drawn < start + size)] - start
            found.append(segment.vectors[mine if mask is None else np.flatnonzero(mask)[mine]])
            start += size
        return np.concatenate([np.empty((0, self.facts.dimensions), np.float32), *found])

    def info(self) -> dict[str, Any]:
        """As in `Engine`."""
        items: Counter[str] = Counter()
        for segment, _, size in self._select({}):
            items[segment.entry.modality] += size
        return {"engine": "folder", "kind": "flat", "items": dict(sorted(items.items())), "columns": self._columns()}

    # Search

    def search(self, queries: NDArray, k: int, where: Where) -> Found:
        """As in `Engine`."""
        parts = self._select(where)
        k = min(k, sum(count for _, _, count in parts))
        names = ["modality", *self._columns()]
        if not k:
            empty = np.empty((len(queries), 0), object)
            return Found(empty.astype(str), empty.astype(np.float32), dict.fromkeys(names, empty))
        block = max(1, min(QUERIES, SCORES // k))
        ranked = [self._search(queries[i : i + block], k, parts) for i in range(0, len(queries), block)]
        places, scores = (np.concatenate(part).reshape(-1, k) for part in zip(*ranked, strict=True))
        ids, columns = self._look_up(places.ravel(), names)
        return Found(
            np.array(ids, str).reshape(places.shape), scores,
            {name: np.array(values, object).reshape(places.shape) for name, values in columns.items()},
        )

    def _search(self, queries: NDArray, k: int, parts: Sequence[tuple[Segment, NDArray | None, int]]) -> Any:
        """(places, scores) of the k best of each query, one query after the other."""
        similarity = self.facts.similarity
        largest = max(segment.entry.largest for segment, _, _ in parts)
        best = Best(
            len(queries), k, slack(queries, largest, similarity),
            lambda which, places: exact_scores(queries[which], self._vectors(places), similarity), self._names,
        )
        squares = np.einsum("qd,qd->q", queries, queries)[:, None]
        longest = max(segment.entry.rows for segment, _, _ in parts)
        rows = min(longest, max(1024, SCORES // len(queries)))
        buffer = np.empty((len(queries), rows), np.float32)
        for segment, mask, _ in parts:
            start = self._place(segment)
            for i in range(0, segment.entry.rows, rows):
                block = slice(i, min(i + rows, segment.entry.rows))
                chosen = _chosen(block, mask)
                if chosen is None:
                    continue
                vectors = segment.vectors[chosen]
                scores = np.matmul(queries, vectors.T, out=buffer.ravel()[: len(queries) * len(vectors)].reshape(
                    len(queries), len(vectors)))
                if similarity == "l2":
                    scores *= 2
                    scores -= segment.squares()[chosen]
                    scores -= squares
                if mask is not None and isinstance(chosen, slice):
                    scores[:, ~mask[block]] = -np.inf
                if isinstance(chosen, slice):
                    best.offer(scores, start + i)
                else:
                    best.offer(scores, start, chosen)
        places, scores = best.ranked()
        if len(places) != len(queries) * k:  # NaN is above and below nothing
            raise InputError(f"{self._folder}: is damaged (vectors hold NaN); {REMEDY}")
        return places, scores

    def _place(self, segment: Segment) -> int:
        """The place of a segment's first row. A place says where an item is: 2^32 x segment + row."""
        return self._segments.index(segment) << 32

    def _split(self, places: NDArray) -> Iterator[tuple[Segment, NDArray, NDArray]]:
        """(segment, which of the places are in it, their rows there)."""
        owner = places >> 32
        for number in np.unique(owner):
            which = np.flatnonzero(owner == number)
            yield self._segments[number], which, places[which] - (int(number) << 32)

    def _vectors(self, places: NDArray) -> NDArray:
        found = np.empty((len(places), self.facts.dimensions), np.float32)
        for segment, which, rows in self._split(places):
            found[which] = segment.vectors[rows]
        return found

    def _look_up(self, places: NDArray, names: Sequence[str]) -> tuple[list[str], dict[str, list[str | None]]]:
        """Ids and columns of some places."""
        ids: list[str] = [""] * len(places)
        columns: dict[str, list[str | None]] = {name: [None] * len(places) for name in names}
        for segment, which, rows in self._split(places):
            found_ids, found = segment.look_up(rows, names)
            if len(which) == len(places):  # one segment, mostly
                return found_ids, found
            for i, item in zip(which.tolist(), found_ids, strict=True):
                ids[i] = item
            for name in names:
                for i, value in zip(which.tolist(), found[name], strict=True):
                    columns[name][i] = value
        return ids, columns

    def _names(self, places: NDArray) -> list[str]:
        """What orders equal scores: the id, then the modality."""
        ids, columns = self._look_up(places, ["modality"])
        return [f"{a}\0{b}" for a, b in zip(ids, columns["modality"], strict=True)]

    # Writing

    def add(self, modality: str, ids: list[str], vectors: NDArray, columns: Columns) -> int:
        """As in `Engine`. Items that are there just so are not written again."""
        self._begin()
        known = self._known(modality)
        old = np.array([known.get(name, -1) for name in ids], np.int64)
        new = int(np.count_nonzero(old < 0))
        change = ~self._is_same(old, vectors, columns)
        if not change.any():
            return new
        chosen = np.flatnonzero(change)
        names = sorted(columns)
        fitting = [s.entry for s in self._segments if (s.entry.modality, s.entry.columns) == (modality, names)]
        entry = fitting[0] if fitting else Entry(self._next, modality, names)
        self._next += not fitting
        added_ids, added = _pick(ids, chosen), {name: _pick(columns[name], chosen) for name in names}
        grown = segment_module.append(self._folder, entry, added_ids, vectors[chosen], added)
        self._commit(grown, self._pairs(old[chosen][old[chosen] >= 0]))
        start = self._place(next(s for s in self._segments if s.entry.number == grown.number))
        known.update(zip(added_ids, range(start + entry.rows, start + grown.rows), strict=True))
        self._compact()
        return new

    def _is_same(self, old: NDArray, vectors: NDArray, columns: Columns) -> NDArray:
        """Which items, at the places `old` (-1: nowhere), are there with these vectors and columns, bool (n,)."""
        same = old >= 0
        for i in range(0, len(old), SCAN):
            part = np.flatnonzero(same[i : i + SCAN]) + i
            same[part] = (self._vectors(old[part]) == vectors[part]).all(axis=1)
        which = np.flatnonzero(same)
        names = sorted({*columns, *self._columns()})
        there = self._look_up(old[which], names)[1]
        for name in names:
            here = _pick(columns[name], which) if name in columns else [None] * len(which)
            same[which] &= np.array([a == b for a, b in zip(there[name], here, strict=True)], bool)
        return same

    def delete(self, where: Where) -> int:
        """As in `Engine`."""
        self._begin()
        places = [np.empty(0, np.int64)]
        for segment, mask, count in self._select(where):
            rows = np.arange(count) if mask is None else np.flatnonzero(mask)
            places.append(rows + self._place(segment))
        gone = np.concatenate(places)
        if len(gone):
            self._commit(None, self._pairs(gone))
            self._places = {}
            self._compact()
        return len(gone)

    def close(self) -> None:
        """As in `Engine`."""
        if self._lock:
            self._lock.release()
            self._lock = None

    def _begin(self) -> None:
        """Takes the folder for this process alone, with what others wrote meanwhile, and clears torn writes."""
        if self._lock:
            return
        self._folder.mkdir(parents=True, exist_ok=True)
        lock = locks.take(
            self._folder / LOCK, f"{self._folder}: another process is writing this index; wait for its end"
        )
        try:
            facts = getattr(self, "facts", None)
            if (self._folder / MANIFEST).exists():
                self._load()
                if self.facts != facts:
                    raise InputError(f"{self._folder}: another process has made an index of another encoder there; "
                                     "give another --to")
            else:
                self._write_manifest([], 0, 0)
        except BaseException:
            lock.release()
            raise
        self._lock = lock
        self._places = {}
        self._clear()

    def _clear(self) -> None:
        """Removes files that no manifest names: of killed writes, and of segments that were written anew."""
        named = {path.name for s in self._segments for path in s.entry.files(self._folder)}
        named.add(f"{self._dead_file}.dead")
        for path in self._folder.glob("*"):
            if _is_own(path.name) and path.name not in named:
                with contextlib.suppress(OSError):
                    path.unlink()

    def _known(self, modality: str) -> dict[str, int]:
        """Id -> place of a modality's live items."""
        if modality not in self._places:
            known: dict[str, int] = {}
            for segment, mask, count in self._select({"modality": [modality]}):
                rows = np.arange(count) if mask is None else np.flatnonzero(mask)
                places = (rows + self._place(segment)).tolist()
                known.update(zip(segment.look_up(rows)[0], places, strict=True))
            self._places[modality] = known
        return self._places[modality]

    def _pairs(self, places: NDArray) -> NDArray:
        """(segment, row) of places, int64 (n, 2)."""
        found = [np.column_stack([np.full(len(rows), s.entry.number), rows]) for s, _, rows in self._split(places)]
        return np.concatenate([np.empty((0, 2), np.int64), *found])

    def _commit(self, grown: Entry | None, dead: NDArray) -> None:
        """Makes a change whole: a segment that has grown (None: none has), and rows that are dead now, int64 (n, 2)."""
        entries = [s.entry for s in self._segments if not grown or s.entry.number != grown.number]
        changed = set(dead[:, 0].tolist())
        if grown:
            place = next((i for i, s in enumerate(self._segments) if s.entry.number == grown.number), len(entries))
            entries.insert(place, grown)
            changed.add(grown.number)
        dead_file = self._dead_file
        if len(dead):
            if not dead_file:
                dead_file, self._next = self._next, self._next + 1
            content = np.ascontiguousarray(dead, "<i8").tobytes()
            path = self._folder / f"{dead_file}.dead"
            segment_module.write_at(path, 16 * self._num_dead, lambda file: file.write(content))
        self._write_manifest(entries, dead_file, self._num_dead + len(dead))
        there = {s.entry.number: s for s in self._segments}
        all_dead = self._read_dead()
        self._segments = [
            self._open(e, all_dead, checked=True) if e.number in changed else there[e.number] for e in entries
        ]

    def _write_manifest(self, entries: Sequence[Entry], dead_file: int, num_dead: int) -> None:
        """The moment that makes a change whole; this object follows it, so that a full disk changes nothing."""
        write_text(self._folder / MANIFEST, to_json({
            "format": FORMAT, **dataclasses.asdict(self.facts), "next": self._next, "dead": [dead_file, num_dead],
            "segments": [dataclasses.asdict(entry) for entry in entries],
        }))
        self._dead_file, self._num_dead = dead_file, num_dead

    def _compact(self) -> None:
        """Writes the live rows anew if many are dead, or came in many pieces."""
        rows = sum(s.entry.rows for s in self._segments)
        if self._num_dead <= max(1000, WASTE * rows) and all(s.entry.batches <= BATCHES for s in self._segments):
            return
        names: dict[str, set[str]] = {}  # of each modality's columns
        for segment, _, _ in self._select({}):
            names.setdefault(segment.entry.modality, set()).update(segment.entry.columns)
        entries: dict[str, Entry] = {}
        for items in self.scan({}):
            modality = str(items.columns["modality"][0])
            if modality not in entries:
                entries[modality] = Entry(self._next, modality, sorted(names[modality]))
                self._next += 1
            entries[modality] = segment_module.append(
                self._folder, entries[modality], items.ids, items.vectors, items.columns,
            )
        self._write_manifest(list(entries.values()), 0, 0)
        self._segments = [self._open(entry, self._read_dead(), checked=True) for entry in entries.values()]
        self._places = {}
        self._clear()


def _is_own(name: str) -> bool:
    """Whether a file's name is one that segments or the list of the dead have."""
    stem, _, ending = name.partition(".")
    return stem.isdecimal() and ending in ("vectors", "items", "dead")


def _pick(values: Sequence[Any], which: NDArray) -> list[Any]:
    return [values[i] for i in which.tolist()]


def _chosen(block: slice, mask: NDArray | None) -> Any:
    """What a product takes of a block of rows: a slice if most of it counts, else rows, int (n,); None if none does."""
    if mask is None:
        return block
    rows = np.flatnonzero(mask[block])
    if 2 * len(rows) > block.stop - block.start:  # a copy of rows costs as much as the products that it saves
        return block
    return rows + block.start if len(rows) else None
