"""Rows of features that were made once, kept for all later commands: `--cache_dir`.

A row is known by what decides it: the bytes of its item, and how the feature made it of them, `recipe_of`. It is kept
of features alone whose rows depend on their item alone; what is fitted to data, as a vocabulary is, is fitted anew by
each command. What stands in the folder of the cache:

  features/<recipe>/recipe.json     how the rows were made
  features/<recipe>/<name>.rows.npy (n, ...): the rows
  features/<recipe>/<name>.keys.npy uint8 (n, 40): of each row the SHA-256 of its item, and 8 bytes of the row's digest

Files are written whole, the keys last, and never changed: processes at once add files of their own, a killed one leaves
what it has written so far. A row that is not what was written, by its digest, is made again.
"""
import contextlib
import dataclasses
import errno
import hashlib
import importlib.metadata
import json
import os
import pathlib
import shutil
import sys
import time
import uuid
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

import tfxmr
from tfxmr.core import display, locks
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, explain, replacing, to_json, write_text
from tfxmr.data.files import packed
from tfxmr.extraction.reading import Recorded

OFF = "none"
LIMIT = 20 * 2**30  # bytes; what was not used for longest goes first
KEY, CHECK = 32, 8  # bytes of an item's and of a row's digest
PENDING = 2**26  # bytes of rows that wait to be written
EVERY = 20.0  # seconds in which they wait: what a kill loses
SMALL, MANY = 2**24, 32  # bytes of a file that is worth joining to others, and how many of them are
RESERVE = 2**30  # bytes that stay free on the disk: a run needs room for what cannot be made again so easily
LEFT = 3600.0  # seconds after which a file that nobody has finished is taken for what a killed process has left
# Of other packages than these, such as those of a function of one's own, the row of a known item tells.
PACKAGES = ("keras", "keras-hub", "numpy", "onnxruntime", "pillow", "scikit-image", "tensorflow", "tokenizers")
ROWS, KEYS = ".rows.npy", ".keys.npy"


def folder(place: Place = None) -> pathlib.Path | None:
    """The folder of the cache: `place`, or by default tfxmr in $XDG_CACHE_HOME or ~/.cache; None of OFF."""
    if place is not None and str(place) == OFF:
        return None
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    return pathlib.Path(place or pathlib.Path(home, "tfxmr")).expanduser().absolute()


def keeps(feature: Any) -> bool:
    """Whether a feature learns of no items or classes, so that a row is of its item alone, and what it is is known."""
    if not getattr(feature, "cached", True):
        return False
    known = getattr(feature, "rule", {}).get("module_sha256", "") is not None  # of a function without a file
    return known and not getattr(feature, "fitted", True) and not getattr(feature, "labels_used", True)


def recipe_of(feature: Any, modality: str) -> dict[str, Any]:
    """JSON facts of all that decides the rows of a feature, but the item.

    The files of a network stand in it by their digests, and so do this package's own sources. A function of one's own
    may read what nobody knows of: the row that the feature makes of a known item, the probe, tells when it changes.

    Args:
      feature: one of which `keeps` is true.
      modality: of its items.
    """
    probe = PROBES[modality]() if modality in PROBES else None
    row = None if probe is None else np.ascontiguousarray(feature.transform([probe])[0])
    versions = {}
    for name in PACKAGES:
        with contextlib.suppress(importlib.metadata.PackageNotFoundError):
            versions[name] = importlib.metadata.version(name)
    return {
        "modality": modality, "name": feature.name, "kind": type(feature).__qualname__, "rule": feature.rule,
        "shape": np.atleast_1d(feature.dim).tolist(), "dtype": str(np.dtype(feature.dtype)),
        "probe": None if row is None else hashlib.sha256(row.data).hexdigest(),
        "tfxmr": tfxmr.__version__, "sources": _sources(), "versions": versions,
    }


def _picture() -> NDArray:
    """An image that is the same everywhere, of colours, edges and noise: uint8 (48, 64, 3)."""
    noise = np.frombuffer(hashlib.shake_256(b"tfxmr").digest(6 * 8 * 3), np.uint8).reshape(6, 8, 3)
    return np.kron(noise, np.ones((8, 8, 1), np.uint8)) // 2 + np.arange(64, dtype=np.uint8)[None, :, None]


PROBES: dict[str, Callable[[], Any]] = {"image": _picture, "text": lambda: "a cat, 1 dog and the red boat's sail"}


def _sources() -> str:
    """Digest of this package's files that decode media and make features of them."""
    root, digest = pathlib.Path(tfxmr.__file__).parent, hashlib.sha256()
    for path in [*sorted(root.glob("features/**/*.py")), *sorted(root.glob("data/files/*_files.py"))]:
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return digest.hexdigest()


def key_of(content: bytes | str | NDArray | pathlib.Path | packed.Packed) -> bytes:
    """The key of an item: of a file's or a record's bytes, a text, or decoded media; which one it is tells, too."""
    if isinstance(content, pathlib.Path | packed.Packed):
        return bytes.fromhex(packed.digest(content))
    if isinstance(content, np.ndarray):
        digest = hashlib.sha256(f"array {content.dtype} {content.shape}\n".encode())
        digest.update(np.ascontiguousarray(content).data)
        return digest.digest()
    if isinstance(content, str):
        kind, held = "text", content.encode()
    else:
        kind, held = "record" if isinstance(content, Recorded) else "file", content
    digest = hashlib.sha256(f"{kind}\n".encode())
    digest.update(held)
    return digest.digest()


class Rows:
    """The rows of one feature that are kept; a context manager, at whose end what is new is on the disk.

    A folder that cannot be read or written is told once, and the work continues without it.

    Args:
      place: the folder of the cache; None keeps nothing.
      feature: whose rows they are; of one that is fitted nothing is kept.
      modality: of its items.
      limit: bytes that the whole cache takes at most.
    """

    def __init__(self, place: pathlib.Path | None, feature: Any, modality: str, limit: int = LIMIT) -> None:
        self.place, self._limit = place if keeps(feature) else None, limit
        self._dtype, self._wrote = np.dtype(feature.dtype), time.monotonic()
        self._added: dict[bytes, NDArray] = {}
        self._writes = self.place is not None
        self._files: list[tuple[pathlib.Path, NDArray, NDArray]] = []  # (of the keys, keys, rows)
        self._where: dict[bytes, tuple[int, int]] = {}  # key -> (number of its file, row)
        self._used: set[int] = set()
        if self.place is None:
            return
        self._recipe = json.loads(to_json(recipe_of(feature, modality)))
        self._shape = tuple(self._recipe["shape"])
        digest = hashlib.sha256(json.dumps(self._recipe, sort_keys=True).encode()).hexdigest()
        self.path = self.place / "features" / digest[:32]
        with self._continuing():
            self._open()

    def __enter__(self) -> "Rows":
        return self

    def __exit__(self, *_: object) -> None:
        """Writes what waits, also where the work failed: it was made."""
        if self._writes:
            with self._continuing():
                self._write()
        for number in self._used:
            with contextlib.suppress(OSError):  # a folder that is only read
                os.utime(self._files[number][0])
        if self._writes and self.place:
            with self._continuing(), contextlib.suppress(FileNotFoundError):  # another process tidies, too
                _join(self.path)
                trim(self.place, self._limit)

    def get(self, key: bytes) -> NDArray | None:
        """The row of an item, or None: it is not there, or not what was written. Any thread may ask."""
        if key not in self._where:
            return None
        number, place = self._where[key]
        _, keys, rows = self._files[number]
        row = np.array(rows[place])
        if _check(row) != keys[place, KEY:].tobytes():
            return None
        self._used.add(number)
        return row

    def add(self, keys: Sequence[bytes], rows: NDArray) -> None:
        """Keeps the rows (n, ...) of n items; they are written now and then."""
        if not self._writes:
            return
        self._added |= {key: np.array(row, self._dtype) for key, row in zip(keys, rows, strict=True)}
        waiting = len(self._added) * int(np.prod(self._shape)) * self._dtype.itemsize
        if waiting > PENDING or time.monotonic() - self._wrote > EVERY:
            with self._continuing():
                self._write()

    @contextlib.contextmanager
    def _continuing(self) -> Iterator[None]:
        """Says what is wrong with the folder, and writes nothing from then on."""
        try:
            yield
        except OSError as error:
            reason = explain(error).removesuffix(", and give the same command again")
            display.say(f"--cache_dir={self.place}: features are not kept ({reason})", 2, sys.stderr)
            self._writes, self._added = False, {}

    def _open(self) -> None:
        """Lists what is there; files that are damaged are as if they were not."""
        self.path.mkdir(parents=True, exist_ok=True)
        if not (self.path / "recipe.json").exists():
            own = self.path / f"{uuid.uuid4().hex}.json"  # others may write it, too
            write_text(own, to_json(self._recipe))
            os.replace(own, self.path / "recipe.json")
        for path in sorted(self.path.glob(f"*{KEYS}")):
            if read := _read(path, self._shape, self._dtype):
                keys, rows = read
                self._where |= {key.tobytes(): (len(self._files), n) for n, key in enumerate(keys[:, :KEY])}
                self._files.append((path, keys, rows))

    def _write(self) -> None:
        """Writes the rows that wait as one file more."""
        if self._added:
            if shutil.disk_usage(self.path).free < RESERVE:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self.path))
            _write(self.path, list(self._added), np.stack(list(self._added.values())))
        self._added, self._wrote = {}, time.monotonic()


def _check(row: NDArray) -> bytes:
    return hashlib.blake2b(np.ascontiguousarray(row).data, digest_size=CHECK).digest()


def _write(place: pathlib.Path, keys: Sequence[bytes], rows: NDArray) -> pathlib.Path:
    """Writes rows (n, ...) and then their keys. Returns the path of the keys."""
    noted = np.frombuffer(b"".join(key + _check(row) for key, row in zip(keys, rows, strict=True)), np.uint8)
    path = place / f"{time.time_ns():020d}-{uuid.uuid4().hex[:12]}{KEYS}"  # a later one counts, if a row is damaged
    for own, array in ((_rows_of(path), rows), (path, noted.reshape(-1, KEY + CHECK))):
        with replacing(own) as file:
            np.save(file, array, allow_pickle=False)
    return path


def _rows_of(keys: pathlib.Path) -> pathlib.Path:
    return keys.with_name(keys.name.removesuffix(KEYS) + ROWS)


def _read(path: pathlib.Path, shape: tuple[int, ...], dtype: np.dtype) -> tuple[NDArray, NDArray] | None:
    """(Keys, rows, mapped) of a file; None if it is damaged, or another process has just removed it."""
    try:
        keys = np.load(path, allow_pickle=False)
        rows = np.load(_rows_of(path), mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError, SyntaxError):
        return None
    fits = keys.dtype == np.uint8 and keys.ndim == 2 and keys.shape[1] == KEY + CHECK
    return (keys, rows) if fits and rows.shape == (len(keys), *shape) and rows.dtype == dtype else None


def _join(place: pathlib.Path) -> None:
    """Makes one file of many small ones, which slow work leaves; one process does."""
    small = [p for p in sorted(place.glob(f"*{KEYS}")) if _rows_of(p).exists() and _rows_of(p).stat().st_size < SMALL]
    if len(small) < MANY:
        return
    try:
        lock = locks.take(place / ".lock", str(place))
    except InputError:
        return  # another process does
    try:
        kept: dict[bytes, NDArray] = {}
        for path in small:
            rows = np.load(_rows_of(path), allow_pickle=False)
            read = _read(path, rows.shape[1:], rows.dtype)
            for key, row in zip(*read, strict=True) if read else ():
                if _check(row) == key[KEY:].tobytes():
                    kept[key[:KEY].tobytes()] = np.array(row)
        if kept:
            _write(place, list(kept), np.stack(list(kept.values())))
        for path in small:
            _remove(path)
    except (ValueError, EOFError, SyntaxError):
        pass  # damaged ones stay as they are, and are not read
    finally:
        lock.release()


def _remove(path: pathlib.Path) -> None:
    """Removes rows by the path of their keys, which go first: rows without keys are nothing."""
    for own in (path, _rows_of(path)):
        own.unlink(missing_ok=True)


@dataclasses.dataclass(frozen=True)
class Held:
    """What the cache holds of one recipe.

    Attributes:
      path: of its folder.
      recipe: as `recipe_of` gives it; {} if that is damaged.
      rows: how many.
      size: bytes.
      used: seconds since 1970 when rows of it were last read or written.
    """

    path: pathlib.Path
    recipe: dict[str, Any]
    rows: int
    size: int
    used: float


def held(place: pathlib.Path) -> list[Held]:
    """What a cache holds, the last used first."""
    found = []
    for path in sorted((place / "features").glob("*/")):
        recipe: Any = {}
        with contextlib.suppress(OSError, ValueError):
            recipe = json.loads((path / "recipe.json").read_text(encoding="utf-8"))
        keys = list(path.glob(f"*{KEYS}"))
        states = [p.stat() for p in path.iterdir() if p.is_file()]
        used = max([p.stat().st_mtime for p in keys], default=path.stat().st_mtime)
        rows = sum(max(0, p.stat().st_size - 128) // (KEY + CHECK) for p in keys)  # 128: NumPy's header
        found.append(Held(path, recipe if isinstance(recipe, dict) else {}, rows, sum(s.st_size for s in states), used))
    return sorted(found, key=lambda one: -one.used)


def trim(place: pathlib.Path, limit: int = LIMIT) -> None:
    """Removes what killed processes left, and what was not used for longest until at most `limit` bytes are left."""
    every = []
    for path in (place / "features").glob("*/*.npy*"):
        with contextlib.suppress(OSError):  # another process removes it
            state = path.stat()
            whole = path.name.endswith(KEYS) or (path.name.endswith(ROWS) and _keys_of(path).exists())
            if not whole and time.time() - state.st_mtime > LEFT:
                path.unlink()
            elif path.name.endswith(KEYS):
                every.append((state.st_mtime, state.st_size + _rows_of(path).stat().st_size, path))
    size = sum(own for _, own, _ in every)
    for _, own, path in sorted(every):
        if size <= limit:
            break
        _remove(path)
        size -= own


def _keys_of(rows: pathlib.Path) -> pathlib.Path:
    return rows.with_name(rows.name.removesuffix(ROWS) + KEYS)


def clear(place: pathlib.Path) -> None:
    """Removes all rows of a cache, and nothing else in that folder."""
    if (place / "features").exists():
        shutil.rmtree(place / "features")


