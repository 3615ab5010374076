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
import pyarrow.compute
import pyarrow.parquet
from numpy.typing import NDArray

from tfxmr.core import locks, stopping
from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file, read_json, replacing, to_json, write_text
from tfxmr.core.wording import counted, printable
from tfxmr.data.files import filling, media_files
from tfxmr.encoding import embeddings
from tfxmr.encoding.encoder import Encoder, finite

SCRATCH, PROGRESS, BAD = "scratch", "progress.json", "bad.tsv"
OF_FILES = {"images": "image", "audio": "audio", "videos": "video", "models3d": "shape3d"}  # flag -> modality
OF_MEDIA = OF_FILES | {"texts": "text"}
# Items that a kill loses at most; a function of the user's own may take long for each sound, video or shape.
BLOCK = {"images": 64, "audio": 16, "videos": 16, "models3d": 16, "texts": 1024, "features": 8192}
AT_ONCE = 1024  # items that a method is given, as Method.encode takes them; what is made of more leaves the caches
ANEW = "give another --out"
Made = tuple[dict[str, NDArray], dict[int, str]]  # view -> rows of the good items, place -> what is wrong with one
Report = Callable[[int, int], None]  # is told the number of items done, and of all
RowsOf = Callable[[slice], tuple[NDArray, dict[int, str]]]  # of items: (n, width), NaN for one that cannot be, and why


@dataclasses.dataclass(frozen=True)
class Source:
    """Items to be encoded.

    Attributes:
      kind: one of BLOCK.
      names: of the items, unique.
      identity: JSON of what they are, to know them again.
      asked: JSON of how they are read, by which `again` makes the source in another process.
      block: function of a slice of the items to (view -> raw features of the good ones, place -> what is wrong).
      shown: function of an item's place to what a search shows of it: "file", its absolute path, or "text".
      omitted: how many other files stand among the items'.
    """

    kind: str
    names: Sequence[str]
    identity: Any
    asked: list
    block: Callable[[Encoder, str, slice], Made]
    shown: Callable[[int], dict[str, str]] = lambda place: {}
    omitted: int = 0

    @property
    def digest(self) -> str:
        """Of what the items are."""
        return hashlib.sha256(json.dumps(self.identity).encode(errors="surrogateescape")).hexdigest()


def files(kind: str, place: str | os.PathLike) -> Source:
    """The files below a folder, hidden ones aside, in natural order; their paths in it are their names.

    Of images all are taken: what is none is told by being decoded. Sounds, videos and 3D shapes are for the user's own
    function to read, which may make something of anything: they are the files whose names end as theirs do.

    Args:
      kind: one of OF_FILES.
      place: the folder.

    Raises:
      InputError: no such file is there.
    """
    flag, what = f"--{kind}={place}", f"{OF_FILES[kind]} file"
    root = pathlib.Path(os.path.abspath(pathlib.Path(place).expanduser()))  # as another process calls it
    every = (pathlib.Path(at, name).relative_to(root) for at, _, found in os.walk(root) for name in found)
    seen = sorted((p.as_posix() for p in every if not any(n.startswith(".") for n in p.parts)), key=_natural)
    endings = media_files.FILES.get(OF_FILES[kind])
    names = [name for name in seen if not endings or media_files.kind_of_file(name) == OF_FILES[kind]]
    if not names:
        why = "is no folder" if not root.is_dir() else f"holds no {what} ({', '.join(endings)})" if endings else (
            "holds no file")
        raise InputError(f"{flag}: {why}; give a folder of {what}s")
    if strange := next((n for n in names if not _is_text(str(root / n))), None):
        told = os.fsencode(root / strange).decode(errors="backslashreplace")
        raise InputError(f"{flag}: the name of {told} is no UTF-8 text; rename it")

    def block(encoder: Encoder, modality: str, part: slice) -> Made:
        return encoder.tried(modality, [root / name for name in names[part]], first=part.start)

    def shown(place: int) -> dict[str, str]:
        return {"file": str(root / names[place])}

    identity = [[name, *_state(root / name)] for name in names]
    return Source(kind, names, identity, [kind, str(root)], block, shown, len(seen) - len(names))


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

    identity, asked = [str(path), *_state(path), ids], ["texts", os.path.abspath(path), ids]
    return Source("texts", names, identity, asked, block, lambda place: {"text": held[place]})


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
            if not isinstance(held[view], np.ndarray):
                raise ValueError("it is an archive, .npz")
        except (ValueError, OSError, EOFError) as error:
            raise InputError(f"--features={place}: is no .npy file ({error}); write it by numpy.save") from error
        try:
            encoder.checked(view, held[view][:0])
        except (InputError, IndexError) as error:
            raise InputError(f"--features={place}: {error}") from error
    sizes = {view: len(array) for view, array in held.items()}
    if len(set(sizes.values())) > 1 or not next(iter(sizes.values())):
        told = ", ".join(f"{view} {counted(size, 'row')}" for view, size in sizes.items())
        raise InputError(f"--features={','.join(places)}: the files have {told}; give one row an item in each")

    def block(_: Encoder, __: str, part: slice) -> Made:
        rows = {view: np.asarray(array[part]) for view, array in held.items()}
        fine = np.all([finite(r) for r in rows.values()], axis=0)
        bad = {int(i): f"row {part.start + i} holds NaN or infinite values" for i in np.flatnonzero(~fine)}
        return (rows if fine.all() else {view: r[fine] for view, r in rows.items()}), bad

    paths = {view: pathlib.Path(place).expanduser() for view, place in sorted(given.items())}
    identity = [[view, *_state(path)] for view, path in paths.items()]
    asked = ["features", [f"{view}={os.path.abspath(path)}" for view, path in paths.items()]]
    return Source("features", [str(i) for i in range(next(iter(sizes.values())))], identity, asked, block)


def again(asked: list, encoder: Encoder, modality: str) -> Source:
    """The source of items that another process has made; raises InputError as that did."""
    kind, places, *more = asked
    if kind == "features":
        return features(places, encoder, modality)
    return texts(places, *more) if kind == "texts" else files(kind, places)


class Rows:
    """Makes the rows of items: each holds the numbers that represent one, flat, part after part.

    Args:
      encoder: encodes.
      modality: of the items.
      source: the items.

    Attributes:
      encoder, modality, source: as given.
      shapes: part -> (shape, type) of what represents an item; "" where it is one array.
      width, dtype: of a row.
    """

    def __init__(self, encoder: Encoder, modality: str, source: Source) -> None:
        self.encoder, self.modality, self.source = encoder, modality, source
        sizes = {view: encoder.views[view] for view in encoder.views_of(modality)}
        zeros = {view: np.zeros((1, *np.atleast_1d(d).tolist()), np.float32) for view, d in sizes.items()}
        self.shapes = {part: (a.shape[1:], a.dtype) for part, a in self._parts(zeros).items()}
        self.width = sum(int(np.prod(shape)) for shape, _ in self.shapes.values())
        self.dtype = np.result_type(*(dtype for _, dtype in self.shapes.values()))

    def _parts(self, features: dict[str, NDArray]) -> dict[str, NDArray]:
        with stopping.held():  # native code answers an exception of Python's with a traceback of its own
            made = self.encoder.encode_features(self.modality, features)
        return made if isinstance(made, dict) else {"": made}

    def __call__(self, part: slice) -> tuple[NDArray, dict[int, str]]:
        """The rows of a slice of the items, (n, width), NaN for one that cannot be encoded; its place -> why not."""
        features, bad = self.source.block(self.encoder, self.modality, part)
        rows = np.full((part.stop - part.start, self.width), np.nan, self.dtype)
        good = [i for i in range(len(rows)) if i not in bad] if bad else range(len(rows))
        for start in range(0, len(good), AT_ONCE):
            made = self._parts({view: array[start : start + AT_ONCE] for view, array in features.items()})
            flat = [made[name].reshape(len(made[name]), -1) for name in sorted(made)]
            places = good[start : start + AT_ONCE]
            rows[places if bad else slice(places[0], places[-1] + 1)] = np.concatenate(flat, axis=1)
        return rows, bad


Engine = Callable[[Rows], RowsOf]


def here(rows: Rows) -> RowsOf:
    """The engine that makes rows in this process."""
    return rows


def encode(
    encoder: Encoder, modality: str, source: Source, out: str | os.PathLike, report: Report,
    engine: Engine = here,
) -> tuple[int, int]:
    """Writes the vectors of items into a folder; killed at any moment, it resumes at the block that was not finished.

    A folder takes several modalities of one encoder, one after the other.

    Args:
      encoder: encodes.
      modality: of the items.
      source: the items.
      out: the folder.
      report: see Report.
      engine: gives what makes the rows; by default this process.

    Returns:
      (number of items that were encoded, of those that could not be, which bad.tsv names).

    Raises:
      InputError: the folder holds something else, or none of the items can be encoded.
    """
    source.block(encoder, modality, slice(0, 0))  # an encoder that cannot make features of media says so now
    folder = pathlib.Path(out).expanduser()
    items = source.digest
    asked = {"encoder": encoder.digest, "modality": modality, "items": items}
    with _claimed(folder):
        facts = _facts_of(folder, encoder)
        begun = read_json(folder / PROGRESS, ANEW) if (folder / PROGRESS).exists() else asked
        if facts["sources"].get(modality) == items:
            if begun == asked:
                _clear(folder)  # after a command that was killed at its very end
            left_out = sum(line.startswith(f"{modality}\t") for line in _lines(folder / BAD))
            return len(source.names) - left_out, left_out
        if modality in facts["modalities"]:
            raise InputError(f"--out={out}: holds the vectors of other {modality} items; {ANEW}")
        if begun != asked:
            raise InputError(f"--out={out}: was begun with other items or another encoder; {ANEW}")
        write_text(folder / PROGRESS, to_json(asked))
        rows = Rows(encoder, modality, source)
        path, digest, bad = _filled(folder / SCRATCH, rows, engine(rows), report)
        good = [i for i in range(len(source.names)) if i not in bad] if bad else range(len(source.names))
        if not good:
            raise InputError(f"--out={out}: none of the {counted(len(bad), 'item')} can be encoded: {bad[min(bad)]}")
        facts["files"] = facts.get("files", {}) | _split(folder, rows, path, digest, good)
        facts["modalities"][modality], facts["sources"][modality] = sorted(rows.shapes), items
        _finish(folder, facts, modality, source, good, bad)
    return len(good), len(bad)


def _filled(
    scratch: pathlib.Path, rows: Rows, made: RowsOf, report: Report,
) -> tuple[pathlib.Path, str, dict[int, str]]:
    """Fills scratch/MODALITY.npy. Returns (its path, digest of its rows, place of an item -> what is wrong with it)."""
    path, notes = scratch / f"{rows.modality}.npy", scratch / f"{rows.modality}.bad"
    total, size = len(rows.source.names), BLOCK[rows.source.kind]
    scratch.mkdir(exist_ok=True)
    filling.allocate(path, (total, rows.width), rows.dtype)

    def rows_from(done: int) -> Iterator[tuple[NDArray, bytes]]:
        kept = [line for line in _lines(notes) if int(line.partition("\t")[0]) < done]  # a block writes them first
        write_text(notes, "".join(f"{line}\n" for line in kept))
        report(done, total)
        for start in range(done, total, size):
            part = slice(start, min(start + size, total))
            block, bad = made(part)
            if bad:
                with open(notes, "a", encoding="utf-8", errors="surrogateescape") as file:
                    file.writelines(f"{start + place}\t{' '.join(why.split())}\n" for place, why in bad.items())
                    file.flush()
                    os.fsync(file.fileno())
            yield block, b""
            report(part.stop, total)

    _, digest = filling.fill(path, scratch / f"{rows.modality}.rows", rows_from)
    places = (line.partition("\t") for line in _lines(notes))
    return path, digest, {int(place): why for place, _, why in places}


def _split(folder: pathlib.Path, rows: Rows, path: pathlib.Path, digest: str, good: Sequence[int]) -> dict[str, str]:
    """Writes the rows of the good items, each part of what represents them into a file of its own: name -> digest."""
    array, start, files = np.load(path, mmap_mode="r"), 0, {}
    for part, (shape, dtype) in sorted(rows.shapes.items()):
        target, width = folder / f"{rows.modality}{'.' if part else ''}{part}.npy", int(np.prod(shape))
        target.unlink(missing_ok=True)  # of a command that was killed here
        if array.shape == (len(good), *shape) and _linked(path, target):
            return {target.name: _digest(target, digest)}
        filling.allocate(target, (len(good), *shape), dtype)
        made = np.lib.format.open_memmap(target, "r+")
        for i in range(0, len(good), BLOCK["features"]):
            some = good[i : i + BLOCK["features"]]
            made[i : i + len(some)] = array[some, start : start + width].reshape(len(some), *shape)
        made.flush()
        start, files[target.name] = start + width, _digest(target)
    return files


def _digest(path: pathlib.Path, rows: str = "") -> str:
    """Digest of a file; of an array that of its header and of the digest of its rows, which may be known already.

    Raises:
      OSError, ValueError, EOFError: it is not there, or no array.
    """
    if path.suffix != ".npy":
        return digest_file(path)
    with open(path, "rb") as file:
        header = file.read(np.load(path, mmap_mode="r").offset)
        rows = rows or hashlib.file_digest(file, "sha256").hexdigest()
    return hashlib.sha256(header + rows.encode()).hexdigest()


def _linked(path: pathlib.Path, target: pathlib.Path) -> bool:
    """Gives a file a second name, by which it needs not be copied; False where the file system has no such names."""
    try:
        os.link(path, target)
    except OSError:
        return False
    return True


def _finish(
    folder: pathlib.Path, facts: dict[str, Any], modality: str, source: Source, good: Sequence[int],
    bad: dict[int, str],
) -> None:
    """Writes what says whose the vectors are, and removes what they were made by."""
    items, names = folder / embeddings.ITEMS, [source.names[row] for row in good]
    shown = [source.shown(row) for row in good]
    table = pyarrow.table({
        "modality": [modality] * len(good), "id": names, "name": names, "split": ["new"] * len(good), "row": list(good),
        **{column: [None] * len(good) for column in ("label", "class", "seen", "pair")},
        **{column: [found.get(column) for found in shown] for column in ("file", "text")},
    })
    if (folder / embeddings.FACTS).exists():
        held = embeddings.items(folder, ANEW)
        held = held.filter(pyarrow.compute.field("modality") != modality)  # of a finish that was killed
        table = pyarrow.concat_tables([held, table], promote_options="permissive")
    with replacing(items) as file:
        pyarrow.parquet.write_table(table, file)
    told = [line for line in _lines(folder / BAD) if not line.startswith(f"{modality}\t")]
    told += [f"{modality}\t{printable(source.names[i])}\t{printable(why)}" for i, why in sorted(bad.items())]
    if told:
        write_text(folder / BAD, "".join(f"{line}\n" for line in told))
    facts["files"] |= {path.name: _digest(path) for path in (items, folder / BAD) if path.exists()}
    write_text(folder / embeddings.FACTS, to_json(facts))
    _clear(folder)


def _clear(folder: pathlib.Path) -> None:
    """Removes what a folder needs no longer once it is written; the note of progress last."""
    shutil.rmtree(folder / SCRATCH, ignore_errors=True)
    (folder / PROGRESS).unlink(missing_ok=True)


def _facts_of(folder: pathlib.Path, encoder: Encoder) -> dict[str, Any]:
    """What embeddings.json of a folder holds, empty where there is none. Raises InputError if it is of another one."""
    path = folder / embeddings.FACTS
    if not path.exists():
        return {"encoder": encoder.digest, "modalities": {}, "sources": {}}
    facts = read_json(path, ANEW)
    if facts.get("encoder") != encoder.digest or "sources" not in facts:
        raise InputError(f"--out={folder}: holds the vectors of another encoder, or of a run's own items; {ANEW}")
    # A kill between these two and FACTS leaves them new; folders of older versions have no digests.
    changing = {embeddings.ITEMS, BAD} if (folder / PROGRESS).exists() else set()
    for name, digest in facts.get("files", {}).items():
        if name in changing:
            continue
        try:
            whole = _digest(folder / name) == digest
        except (OSError, ValueError, EOFError):
            whole = False
        if not whole:
            raise InputError(f"{folder / name}: is damaged or missing; {ANEW}")
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
    lock = locks.take(folder / ".lock", f"--out={folder}: another process is writing this folder")
    try:
        yield
    finally:
        lock.release()


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


def _is_text(name: str) -> bool:
    """Whether a name can be written as UTF-8, as a table of items does."""
    try:
        name.encode()
    except UnicodeEncodeError:
        return False
    return True


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


def _lines(path: pathlib.Path) -> list[str]:
    text = path.read_text(encoding="utf-8", errors="surrogateescape") if path.exists() else ""
    return text.split("\n")[:-1]  # what a kill cut off has no end of line
