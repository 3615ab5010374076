"""WebDataset: tar files with `<id>.jpg` or `<id>.wav` and `<id>.txt`, `<id>.json` or `<id>.cls`, where they stay."""
import collections
import dataclasses
import io
import json
import os
import pathlib
import tarfile
from collections.abc import Iterator
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data.files.layouts import rows
from tfxmr.data.files.layouts.found import Asked, Found, inside, left_out
from tfxmr.data.files.layouts.rows import SPLIT_NAMES, Row
from tfxmr.data.files.layouts.tables import split_of
from tfxmr.data.files.media_files import FILES, KINDS, MAX_TEXT, BadItem, Problem, place

PIECE = 2**20  # bytes of a medium in memory, where it is copied


@dataclasses.dataclass(frozen=True)
class Part:
    """A medium that is a part of a file.

    Attributes:
      file: path relative to the root.
      name: of the medium there.
      start, size: bytes.
    """

    file: str
    name: str
    start: int
    size: int

    def __str__(self) -> str:
        return f"{self.file}/{self.name}"

    def read(self, root: pathlib.Path) -> bytes:
        """Its bytes; raises BadItem."""
        return b"".join(self.pieces(root))

    def pieces(self, root: pathlib.Path) -> Iterator[bytes]:
        """Its bytes, PIECE at a time; raises BadItem."""
        try:
            with open(place(root, self.file), "rb") as file:
                if self.start + self.size > os.fstat(file.fileno()).st_size:  # a size that is only claimed
                    raise BadItem("cut off archive", str(self))
                file.seek(self.start)
                for done in range(0, self.size, PIECE):
                    yield file.read(min(PIECE, self.size - done))
        except OSError as error:
            raise BadItem("unreadable file", f"{self.file} ({error})") from error

    def length(self, root: pathlib.Path) -> int:
        """How many bytes it has; raises BadItem if the file is shorter."""
        if self.start + self.size > place(root, self.file).stat().st_size:
            raise BadItem("cut off archive", str(self))
        return self.size

    def called(self, root: pathlib.Path) -> str:
        """Its name in the file."""
        return self.name


def fits(path: pathlib.Path) -> bool:
    """True of a tar file, and of a folder with some at its top or in the folder of a split."""
    return bool(_shards(path))


def find(path: pathlib.Path, asked: Asked) -> Found:
    """The items of the shards, by the order of their names; raises InputError."""
    found: list[Row] = []
    problems: list[Problem] = []
    others: collections.Counter[str] = collections.Counter()  # samples with a modality that nothing describes
    shards = rows_of(path, asked, problems)
    for where, row in shards.rows:
        if "image" in row and "text" in row:
            found.append((where, row))
        elif "image" in row or "text" in row:
            problems.append(("image without a text" if "image" in row else "text without an image", where))
        others.update(m for m in FILES if m in row)
    said = [left_out(path, m, others[m]) for m in FILES if others[m]]
    if not found and said:
        raise InputError(f"--data_dir={said[0]}")
    classes = any((row or {}).get("class") is not None for _, row in found)
    items, more = rows.items(found, classes, asked)
    columns = {"image": "image", "text": "text"} | ({"class": "class"} if classes else {})
    told = "; ".join([f"{shards.told}, {rows.told(columns)}", *said])
    return Found(shards.root, items, problems + more, "webdataset", told, shards.files)


@dataclasses.dataclass(frozen=True)
class Shards:
    """What tar files hold.

    Attributes:
      root: the folder that they stand in.
      rows: (where, meaning -> value) of each sample.
      told: what was read, in words.
      files: that were read.
    """

    root: pathlib.Path
    rows: list[tuple[str, dict[str, Any]]]
    told: str
    files: tuple[pathlib.Path, ...]


def rows_of(path: pathlib.Path, asked: Asked, problems: list[Problem]) -> Shards:
    """The samples of tar files.

    Args:
      path: of a tar file, or of a folder with some.
      asked: as of `find`.
      problems: gets what is no sample.

    Raises:
      InputError: there is no tar file.
    """
    shards = _shards(path)
    if not shards:
        raise InputError(f"--data_dir={path}: holds no .tar file (packed ones, .tar.gz, are unpacked by gunzip first)")
    root = path if path.is_dir() else path.parent
    found = []
    for split, shard in shards:
        for key, sample in _samples(root, shard, problems):
            where = f"{shard.name} {key}"
            try:
                found.append((where, {"split": split, **_row(where, sample, asked)}))
            except BadItem as error:
                problems.append(error.args)
    return Shards(root, found, counted(len(shards), "tar file"), tuple(file for _, file in shards))


def _shards(path: pathlib.Path) -> list[tuple[str, pathlib.Path]]:
    """(Split, file) of the tar files: by the name of the file, or of its folder; "" where neither tells."""
    if path.is_file():
        return [(split_of(path.stem), path)] if path.suffix == ".tar" else []
    own = [(split_of(file.stem), file) for file in sorted(path.glob("*.tar")) if inside(file, path)]
    folders = sorted(e for e in path.iterdir() if e.is_dir() and e.name.lower() in SPLIT_NAMES)
    return own or [(SPLIT_NAMES[f.name.lower()], file) for f in folders for file in sorted(f.glob("*.tar"))
                   if inside(file, path)]


class _Bounded(io.FileIO):
    """A tar file of which no piece longer than a text is read at once: tarfile reads names as long as they claim."""

    def read(self, size: int | None = -1, /) -> bytes:
        """As of any file; raises tarfile.ReadError."""
        if size is not None and size > MAX_TEXT:
            raise tarfile.ReadError(f"a header claims {counted(size, 'byte')}")
        return super().read(size) or b""


def _samples(
    root: pathlib.Path, shard: pathlib.Path, problems: list[Problem],
) -> Iterator[tuple[str, dict[str, Part | bytes]]]:
    """(Key, modality -> where a medium is, extension -> the bytes of anything else) of files that follow each other."""
    key, sample = "", {}  # type: tuple[str, dict[str, Part | bytes]]
    name = os.path.relpath(shard, root)
    try:
        with _Bounded(shard) as file, tarfile.open(fileobj=file, mode="r:") as archive:
            for member in archive:
                folder, _, base = member.name.rpartition("/")
                stem, _, suffix = base.partition(".")
                if member.isdir() or not stem or not suffix:
                    continue
                if not member.isreg() or member.issparse():
                    problems.append(("no plain file", f"{name}/{member.name}"))
                    continue
                own = f"{folder}/{stem}" if folder else stem
                if own != key:
                    if sample:
                        yield key, sample
                    key, sample = own, {}
                suffix = suffix.lower()
                if (kind := KINDS.get(f".{suffix}", "text")) != "text":
                    sample[kind] = Part(name, member.name, member.offset_data, member.size)
                elif suffix in ("txt", "caption", "json", "cls"):
                    if member.size > MAX_TEXT:
                        problems.append(("text is too long", f"{name}/{member.name}"))
                        continue
                    content = archive.extractfile(member)
                    sample[suffix] = content.read() if content else b""
            # An archive ends with blocks of zeros; tarfile takes one that was cut off for finished.
            if shard.stat().st_size - archive.offset < tarfile.BLOCKSIZE:
                problems.append(("cut off or damaged archive", name))
    except (tarfile.TarError, OSError, EOFError, ValueError, OverflowError) as error:  # the last by a size of 2^63
        problems.append(("cut off or damaged archive", f"{name} ({error})"))
    if sample:
        yield key, sample


def _row(where: str, sample: dict[str, Part | bytes], asked: Asked) -> dict[str, Any]:
    """Meaning -> value of a sample; of its JSON the columns by their names, which a file of its own goes before."""
    found: dict[str, Any] = {}
    content = sample.get("json")
    if isinstance(content, bytes):
        try:
            facts = json.loads(content)
        except (ValueError, RecursionError):
            facts = None
        if isinstance(facts, dict):
            columns = rows.recognised(list(facts), asked)
            found = {m: facts.get(columns[m]) for m in ("text", "class", "split") if m in columns}
    for name, meaning in (("caption", "text"), ("txt", "text"), ("cls", "class")):
        content = sample.get(name)
        if isinstance(content, bytes):
            try:
                found[meaning] = content.decode("utf-8-sig").strip()
            except UnicodeDecodeError as error:
                raise BadItem("text is not UTF-8", f"{where} ({error})") from error
    found |= {m: sample[m] for m in ("image", *FILES) if m in sample}
    return {meaning: value for meaning, value in found.items() if value is not None}
