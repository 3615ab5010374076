"""`tfxmr encode`: the vectors of any number of new items, block by block, in a folder that `embeddings.read` reads.

What stands in a folder that is being written:
  progress.json          what is encoded, and by which encoder
  scratch/image.npy      a row for each item, NaN for one that cannot be encoded; image.rows says which are safe
  scratch/image.bad      what is wrong with those
  image.npy, items.parquet, bad.tsv
                         made of these at the end; embeddings.json last, then progress.json and scratch/ go
"""
import contextlib
import dataclasses
import fcntl
import hashlib
import json
import os
import pathlib
import re
import shutil
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import read_json, replacing, to_json, write_text
from tfxmr.data.files import filling
from tfxmr.encoding import embeddings
from tfxmr.encoding.encoder import Encoder, finite

SCRATCH, PROGRESS, BAD = "scratch", "progress.json", "bad.tsv"
BLOCK = {"images": 64, "texts": 1024, "features": 8192}  # items that a kill loses at most
ANEW = "give another --out"
Made = tuple[dict[str, NDArray], dict[int, str]]  # view -> rows of the good items, place -> what is wrong with one
Report = Callable[[int, int], None]  # is told the number of items done, and of all


@dataclasses.dataclass(frozen=True)
class Source:
    """Items to be encoded.

    Attributes:
      kind: one of BLOCK.
      names: of the items, unique.
      identity: JSON of what they are, to know them again.
      block: function of a slice of the items to (view -> raw features of the good ones, place -> what is wrong).
      shown: function of an item's place to what a search shows of it: "file", the absolute path of an image, or "text".
    """

    kind: str
    names: Sequence[str]
    identity: Any
    block: Callable[[Encoder, str, slice], Made]
    shown: Callable[[int], dict[str, str]] = lambda place: {}


def images(place: str | os.PathLike) -> Source:
    """All files below a folder, hidden ones aside, in natural order; their paths in it are their names.

    Raises:
      InputError: no file is there.
    """
    root = pathlib.Path(place).expanduser()
    every = (pathlib.Path(at, name).relative_to(root) for at, _, found in os.walk(root) for name in found)
    names = sorted((p.as_posix() for p in every if not any(n.startswith(".") for n in p.parts)), key=_natural)
    if not names:
        why = "holds no file" if root.is_dir() else "is no folder"
        raise InputError(f"--images={place}: {why}; give a folder of images")

    def block(encoder: Encoder, modality: str, part: slice) -> Made:
        return encoder.tried(modality, [root / name for name in names[part]], first=part.start)

    def shown(place: int) -> dict[str, str]:
        return {"file": os.path.abspath(root / names[place])}

    return Source("images", names, [[name, *_state(root / name)] for name in names], block, shown)


def texts(place: str | os.PathLike, ids: bool = False) -> Source:
    """The texts of a file in UTF-8, one a line; their line numbers, from 1, are their names.

    Args:
      place: of the file.
      ids: its lines are NAME, a tab, and the text.

    Raises:
      InputError: it cannot be read, is empty, or a name is missing or there twice.
    """
    path = _file("--texts", place)
    try:
        lines = path.read_text(encoding="utf-8-sig").split("\n")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise InputError(f"--texts={place}: line {line} is no UTF-8 text; save the file as UTF-8") from error
    lines = [line.removesuffix("\r") for line in (lines[:-1] if lines[-1] == "" else lines)]
    if not lines:
        raise InputError(f"--texts={place}: is empty; give a file with a text a line")
    names, held = [str(number) for number in range(1, len(lines) + 1)], lines
    if ids:
        bare = next((number for number, line in enumerate(lines, 1) if "\t" not in line), None)
        if bare:
            raise InputError(f"--texts={place}: line {bare} has no tab; with --ids each is an id, a tab and a text")
        names, held = ([line.partition("\t")[part] for line in lines] for part in (0, 2))
        _require_unique(names, f"--texts={place}: id")

    def block(encoder: Encoder, modality: str, part: slice) -> Made:
        return encoder.tried(modality, held[part], first=part.start)

    return Source("texts", names, [str(path), *_state(path), ids], block, lambda place: {"text": held[place]})


def features(places: Sequence[str], encoder: Encoder, modality: str) -> Source:
    """Raw features as .npy files, which stay there; row numbers, from 0, are their names.

    Args:
      places: of the file; or VIEW=FILE for each view that the method reads of the modality.
      encoder, modality: that they are for.

    Raises:
      InputError: a file is no matrix of that width, or the files have different numbers of rows.
    """
    wanted = encoder.views_of(modality)
    if len(places) == len(wanted) == 1 and not re.match(rf"{modality}(\.\w+)?=", places[0]):
        places = [f"{wanted[0]}={places[0]}"]
    given = {view: place for view, _, place in (part.partition("=") for part in places)}
    if set(given) != set(wanted):
        files = ",".join(f"{view}=FILE.npy" for view in wanted)
        raise InputError(f"--features={','.join(places)}: {encoder.model} reads --features={files}")
    held = {}
    for view, place in given.items():
        path = _file("--features", place)
        try:
            held[view] = np.load(path, mmap_mode="r", allow_pickle=False)
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"--features={place}: is no .npy file ({error}); write it by numpy.save") from error
        try:
            encoder.checked(view, held[view][:0])
        except (InputError, IndexError) as error:
            raise InputError(f"--features={place}: {error}") from error
    sizes = {view: len(array) for view, array in held.items()}
    if len(set(sizes.values())) > 1 or not next(iter(sizes.values())):
        told = ", ".join(f"{view} {size}" for view, size in sizes.items())
        raise InputError(f"--features={','.join(places)}: the files have {told} rows; give one row an item in each")

    def block(_: Encoder, __: str, part: slice) -> Made:
        rows = {view: np.asarray(array[part]) for view, array in held.items()}
        fine = np.all([finite(r) for r in rows.values()], axis=0)
        bad = {int(i): f"row {part.start + i} holds NaN or infinite values" for i in np.flatnonzero(~fine)}
        return (rows if fine.all() else {view: r[fine] for view, r in rows.items()}), bad

    identity = [[view, *_state(pathlib.Path(place).expanduser())] for view, place in sorted(given.items())]
    return Source("features", [str(i) for i in range(next(iter(sizes.values())))], identity, block)


def encode(encoder: Encoder, modality: str, source: Source, out: str | os.PathLike, report: Report) -> tuple[int, int]:
    """Writes the vectors of items into a folder; killed at any moment, it resumes at the block that was not finished.

    A folder takes several modalities of one encoder, one after the other.

    Args:
      encoder: encodes.
      modality: of the items.
      source: the items.
      out: the folder.
      report: see Report.

    Returns:
      (number of items that were encoded, of those that could not be, which bad.tsv names).

    Raises:
      InputError: the folder holds something else, or none of the items can be encoded.
    """
    source.block(encoder, modality, slice(0, 0))  # an encoder that cannot make features of media says so now
    folder = pathlib.Path(out).expanduser()
    items = hashlib.sha256(json.dumps(source.identity).encode(errors="surrogateescape")).hexdigest()
    asked = {"encoder": encoder.digest, "modality": modality, "items": items}
    with _claimed(folder):
        facts = _facts_of(folder, encoder)
        if facts["sources"].get(modality) == items:
            left_out = sum(line.startswith(f"{modality}\t") for line in _lines(folder / BAD))
            return len(source.names) - left_out, left_out
        if modality in facts["modalities"]:
            raise InputError(f"--out={out}: holds the vectors of other {modality} items; {ANEW}")
        if (folder / PROGRESS).exists() and read_json(folder / PROGRESS, ANEW) != asked:
            raise InputError(f"--out={out}: was begun with other items or another encoder; {ANEW}")
        write_text(folder / PROGRESS, to_json(asked))
        shapes = _shapes(encoder, modality)
        array, bad = _filled(folder / SCRATCH, encoder, modality, source, shapes, report)
        good = [i for i in range(len(source.names)) if i not in bad]
        if not good:
            raise InputError(f"--out={out}: none of the {len(bad)} items can be encoded: {bad[min(bad)]}")
        _split(folder, modality, array, shapes, good)
        facts["modalities"][modality], facts["sources"][modality] = sorted(shapes), items
        _finish(folder, facts, modality, source, good, bad)
    return len(good), len(bad)


def _filled(
    scratch: pathlib.Path, encoder: Encoder, modality: str, source: Source, shapes: dict[str, tuple], report: Report,
) -> tuple[NDArray, dict[int, str]]:
    """Fills scratch/MODALITY.npy. Returns (it, place of an item -> what is wrong with it)."""
    path, notes, total = scratch / f"{modality}.npy", scratch / f"{modality}.bad", len(source.names)
    scratch.mkdir(exist_ok=True)
    width = sum(int(np.prod(shape)) for shape, _ in shapes.values())
    dtype = np.result_type(*(dtype for _, dtype in shapes.values()))
    filling.allocate(path, (total, width), dtype)

    def rows_from(done: int) -> Iterator[tuple[NDArray, bytes]]:
        kept = [line for line in _lines(notes) if int(line.partition("\t")[0]) < done]  # a block writes them first
        write_text(notes, "".join(f"{line}\n" for line in kept))
        report(done, total)
        for start in range(done, total, BLOCK[source.kind]):
            part = slice(start, min(start + BLOCK[source.kind], total))
            rows, bad = source.block(encoder, modality, part)
            with open(notes, "a", encoding="utf-8", errors="surrogateescape") as file:
                file.writelines(f"{start + place}\t{' '.join(why.split())}\n" for place, why in bad.items())
                file.flush()
                os.fsync(file.fileno())
            made = np.full((part.stop - start, width), np.nan, dtype)
            if len(bad) < len(made):
                found = encoder.encode_features(modality, rows)
                parts = found if isinstance(found, dict) else {"": found}
                flat = [parts[name].reshape(len(parts[name]), -1) for name in sorted(parts)]
                made[[i for i in range(len(made)) if i not in bad]] = np.concatenate(flat, axis=1)
            yield made, b""
            report(part.stop, total)

    filling.fill(path, scratch / f"{modality}.rows", rows_from)
    places = (line.partition("\t") for line in _lines(notes))
    return np.load(path, mmap_mode="r"), {int(place): why for place, _, why in places}


def _split(folder: pathlib.Path, modality: str, array: NDArray, shapes: dict[str, tuple], good: list[int]) -> None:
    """Writes the rows of the good items, each part of what represents them into a file of its own."""
    start = 0
    for part in sorted(shapes):
        shape, dtype = shapes[part]
        width = int(np.prod(shape))
        path = folder / f"{modality}{'.' if part else ''}{part}.npy"
        filling.allocate(path, (len(good), *shape), dtype)
        target = np.lib.format.open_memmap(path, "r+")
        for i in range(0, len(good), BLOCK["features"]):
            rows = good[i : i + BLOCK["features"]]
            target[i : i + len(rows)] = array[rows, start : start + width].reshape(len(rows), *shape)
        target.flush()
        start += width


def _finish(
    folder: pathlib.Path, facts: dict[str, Any], modality: str, source: Source, good: list[int], bad: dict[int, str],
) -> None:
    """Writes what says whose the vectors are, and removes what they were made by."""
    items = folder / embeddings.ITEMS
    before = pyarrow.parquet.read_table(items).to_pylist() if (folder / embeddings.FACTS).exists() else []
    held = [row for row in before if row["modality"] != modality]  # of a finish that was killed
    unknown = dict.fromkeys(("label", "class", "seen", "pair", "file", "text"))
    held += [
        {"modality": modality, "id": source.names[row], "name": source.names[row], "split": "new", "row": row}
        | unknown | source.shown(row)
        for row in good
    ]
    with replacing(items) as file:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(held), file)
    told = [line for line in _lines(folder / BAD) if not line.startswith(f"{modality}\t")]
    told += [f"{modality}\t{_plain(source.names[i])}\t{why}" for i, why in sorted(bad.items())]
    if told:
        write_text(folder / BAD, "".join(f"{line}\n" for line in told))
    write_text(folder / embeddings.FACTS, to_json(facts))
    shutil.rmtree(folder / SCRATCH)
    (folder / PROGRESS).unlink()


def _shapes(encoder: Encoder, modality: str) -> dict[str, tuple]:
    """Part -> (shape, type) of what represents an item, by one of zeros; "" where it is one array."""
    sizes = {view: encoder.views[view] for view in encoder.views_of(modality)}
    zeros = {view: np.zeros((1, *(d if isinstance(d, tuple) else (d,))), np.float32) for view, d in sizes.items()}
    made = encoder.encode_features(modality, zeros)
    return {part: (a.shape[1:], a.dtype) for part, a in (made if isinstance(made, dict) else {"": made}).items()}


def _facts_of(folder: pathlib.Path, encoder: Encoder) -> dict[str, Any]:
    """What embeddings.json of a folder holds, empty where there is none. Raises InputError if it is of another one."""
    path = folder / embeddings.FACTS
    if not path.exists():
        return {"encoder": encoder.digest, "modalities": {}, "sources": {}}
    facts = read_json(path, ANEW)
    if facts.get("encoder") != encoder.digest or "sources" not in facts:
        raise InputError(f"--out={folder}: holds the vectors of another encoder, or of a run's own items; {ANEW}")
    return facts


@contextlib.contextmanager
def _claimed(folder: pathlib.Path) -> Iterator[None]:
    """Makes a folder, or takes one of a command before, for this process alone. Raises InputError for any other."""
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--out={folder}: this is a file; give a folder")
    names = {p.name for p in folder.glob("*")} if folder.exists() else set()
    if names - {".lock", f"{PROGRESS}.tmp"} and not names & {PROGRESS, embeddings.FACTS}:
        raise InputError(f"--out={folder}: holds other files ({', '.join(sorted(names)[:3])}); give a new folder")
    folder.mkdir(parents=True, exist_ok=True)
    with open(folder / ".lock", "w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise InputError(f"--out={folder}: another process is writing this folder") from None
        yield


def _file(flag: str, place: str | os.PathLike) -> pathlib.Path:
    path = pathlib.Path(place).expanduser()
    if not path.is_file():
        raise InputError(f"{flag}={place}: {'is a folder' if path.is_dir() else 'is not there'}; give a file")
    return path


def _state(path: pathlib.Path) -> tuple[int, int]:
    """Size and time of change, by which a file is known again without being read; (0, 0) of one that is gone."""
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_size, found.st_mtime_ns


def _natural(name: str) -> list:
    """A key that sorts image2 before image10."""
    return [(not part.isdecimal(), int(part) if part.isdecimal() else 0, part) for part in re.split(r"(\d+)", name)]


def _require_unique(names: Sequence[str], what: str) -> None:
    seen: set[str] = set()
    for number, name in enumerate(names, 1):
        if not name.strip() or name in seen:
            why = "there twice" if name.strip() else "empty"
            raise InputError(f"{what} {name!r} in line {number} is {why}; give each item an id of its own")
        seen.add(name)


def _plain(name: str) -> str:
    """A name without what would break a line of a table."""
    return name if name.isprintable() else repr(name)


def _lines(path: pathlib.Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    return text.split("\n")[:-1]  # what a kill cut off has no end of line
