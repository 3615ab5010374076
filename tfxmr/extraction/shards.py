"""The rows of features in shards that any process makes by itself: what Apache Beam deals out, see beam.py.

What stands in the folder of shards, beside the feature folder that is made of them:
  job.json                                   what decides the rows, the data set, how it is read; there from the start
  shards.json, items.json                    which rows each has; split -> view -> [ids, labels], a row each
  preprocessing/                             the states of the fitted features, of which each process makes its own
  train.image-00000-of-00004.parquet, ...    (row, id, label, split, vector), replaced atomically: one that is there is
                                             whole, and is not made again
  bad.tsv                                    split, view, id and what is wrong, of items whose media cannot be read
  manifest.json                              written last: the shards with their digests
"""
import dataclasses
import functools
import json
import os
import pathlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import classes
from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file, read_json, replacing, to_json, write_text
from tfxmr.core.wording import agreeing, counted, printable
from tfxmr.data.files import states
from tfxmr.data.files.media_files import FILES
from tfxmr.data.multimodal import Split
from tfxmr.data.views import modality_of
from tfxmr.extraction import catalogue
from tfxmr.extraction.dataset import Request
from tfxmr.features import restored

DEFAULT = 16  # shards of each view and split
STATES = "preprocessing"
REMEDY = "move the folder of shards elsewhere, and the same command makes it anew"
PLACES = ("data_dir", "manual_dir")
BLOCK = {"image": 16, "text": 256} | dict.fromkeys(FILES, 16)  # items that a feature is given at once
Engine = Callable[[Sequence[str], str], None]  # has shards of these names made in a folder


@dataclasses.dataclass(frozen=True)
class Shard:
    """The rows from `start` to before `stop` of a view and split.

    Attributes:
      name: of its file, without the suffix.
      split, view: names.
      start, stop: row numbers.
    """

    name: str
    split: str
    view: str
    start: int
    stop: int


def block(view: str, feature: Any) -> int:
    """Items that a feature is given at once: those of BLOCK, or more where its network takes more."""
    return max(BLOCK[modality_of(view)], getattr(feature, "batch", 0))


def divided(split: str, view: str, count: int, shards: int, size: int = BLOCK["image"]) -> list[Shard]:
    """The shards of so many rows. They begin where a block does, so that a network is given what it is given locally.

    >>> [(shard.start, shard.stop) for shard in divided("train", "image", 100, 3)]
    [(0, 32), (32, 64), (64, 100)]
    >>> [(shard.start, shard.stop) for shard in divided("train", "image", 100, 3, size=64)]
    [(0, 0), (0, 64), (64, 100)]
    """
    ends = [min(count, -(-count // size) * number // shards * size) for number in range(shards)] + [count]
    return [
        Shard(f"{split}.{view}-{number:05d}-of-{shards:05d}", split, view, ends[number], ends[number + 1])
        for number in range(shards)
    ]


def begin(place: pathlib.Path, job: Mapping[str, Any]) -> None:
    """Makes a folder of shards, or finds the one of the same job.

    Args:
      place: the folder.
      job: what decides the rows and how they are divided, as JSON has it.

    Raises:
      InputError: the folder holds something else.
    """
    place.mkdir(parents=True, exist_ok=True)
    path = place / "job.json"
    if not path.exists():
        if any(held.suffix != ".tmp" for held in place.iterdir()):  # of a command killed at once
            raise InputError(f"{place}: holds other files, and is to hold the shards; give another --out")
        write_text(path, to_json(job))
    elif read_json(path, REMEDY) != json.loads(to_json(job)):
        raise InputError(f"{place}: holds shards of another job; give another --out, or {REMEDY}")


class Shards:
    """The shards of a feature folder.

    Args:
      out: the feature folder; the shards are in OUT_shards.
      shards: of each view and split.
      engine: makes them.
      dataset: its name.
      asked: fields of tfxmr.extraction.Request by which its items are read.
    """

    def __init__(
        self, out: str | os.PathLike, shards: int, engine: Engine, dataset: str, asked: Mapping[str, Any]
    ) -> None:
        out = pathlib.Path(out).expanduser().resolve()
        self.path, self._engine, self._count = out.with_name(f"{out.name}_shards"), engine, shards
        # Other processes may work in other folders.
        places = {name: str(pathlib.Path(asked[name]).expanduser().resolve()) for name in PLACES if asked.get(name)}
        self._source = {"dataset": dataset, "asked": {**asked, **places}}
        self._shards: dict[tuple[str, str], list[Shard]] = {}

    def make(self, features: Mapping[str, Any], splits: Mapping[str, Split], configuration: dict[str, Any]) -> None:
        """Has the shards made that are not there.

        Args:
          features: view -> feature, fitted.
          splits: each item once.
          configuration: JSON dict of what decides the rows.

        Raises:
          InputError: the folder is of other features, a feature has no state, or media cannot be read: see bad.tsv.
        """
        begin(self.path, {"configuration": configuration, "shards": self._count, **self._source})
        items: dict[str, dict[str, Any]] = {}
        for view, feature in features.items():
            if not hasattr(feature, "state"):
                raise InputError(f"--engine=beam: {feature.name} cannot be made again elsewhere; take --engine=local")
            states.write(self.path / STATES, view, *feature.state())
            for name, split in splits.items():
                ids, labels = split.ids[modality_of(view)], split.labels[modality_of(view)]
                items.setdefault(name, {})[view] = [list(ids), classes.numbers(labels)]
                self._shards[name, view] = divided(name, view, len(ids), self._count, block(view, feature))
        write_text(self.path / "items.json", to_json(items))
        every = [shard for of_view in self._shards.values() for shard in of_view]
        write_text(self.path / "shards.json", to_json([dataclasses.astuple(shard) for shard in every]))
        if lacking := [shard.name for shard in every if not self._file(shard).exists()]:
            self._engine(lacking, str(self.path))
        self._refuse_bad()
        digests = {self._file(shard).name: digest_file(self._file(shard)) for shard in every}
        write_text(self.path / "manifest.json", to_json({"configuration": configuration, "shards": digests}))

    def rows(self, split: str, view: str, start: int, stop: int) -> NDArray:
        """The rows from `start` to before `stop`, as the feature's `transform` makes them."""
        parts = [s for s in self._shards[split, view] if s.start < stop and s.stop > start]
        return np.concatenate([self._read(s)[max(0, start - s.start) : stop - s.start] for s in parts])

    def _file(self, shard: Shard) -> pathlib.Path:
        return self.path / f"{shard.name}.parquet"

    def _read(self, shard: Shard) -> NDArray:
        if getattr(self, "_last", (None,))[0] != shard:
            self._last = shard, read(self._file(shard), shard)
        return self._last[1]

    def _refuse_bad(self) -> None:
        """Raises InputError if there are items whose media cannot be read; bad.tsv lists them."""
        found = sorted(line for path in self.path.glob("*.bad") for line in path.read_text("utf-8").splitlines())
        write_text(self.path / "bad.tsv", "".join(f"{line}\n" for line in ["split\tview\tid\treason", *found]))
        for path in self.path.glob("*.bad"):
            path.unlink()
        if found:
            split, view, id_, reason = found[0].split("\t")
            raise InputError(
                f"{counted(len(found), 'item')} cannot be read, such as {view} {id_!r} of {split} ({reason}); all are "
                f"in {self.path / 'bad.tsv'}; mend {agreeing(len(found), 'it', 'them')}, and the same command makes "
                "the shards that are lacking"
            )


def make(name: str, folder: str) -> None:
    """Makes one shard in a folder of shards; in any process that sees the folder and the media.

    Items whose media cannot be read are noted in NAME.bad, and there is no shard then.
    """
    place = pathlib.Path(folder)
    known, items, job = _job(folder)
    shard, modality = known[name], modality_of(known[name].view)
    ids, labels = (part[shard.start : shard.stop] for part in items[shard.split][shard.view])
    feature = _feature(folder, shard.view)
    read_items = _reader(job["dataset"], json.dumps(job["asked"]))
    blocks, bad = [], []
    size = block(shard.view, feature)
    for start in range(0, len(ids), size):
        media = []
        for id_ in ids[start : start + size]:
            medium, reason = _medium(read_items, modality, id_)
            media.append(medium)
            bad += [(shard.split, shard.view, id_, reason)] if reason else []
        if not bad:
            blocks.append(np.ascontiguousarray(feature.transform(media), feature.dtype))
    if bad:
        lines = ("\t".join(printable(" ".join(part.split())) for part in line) for line in bad)
        write_text(place / f"{name}.bad", "".join(f"{line}\n" for line in lines))
        return
    shape = tuple(np.atleast_1d(feature.dim).tolist())
    rows = np.concatenate(blocks) if blocks else np.zeros((0, *shape), feature.dtype)
    write(place / f"{name}.parquet", shard, ids, labels, rows)


def _medium(read_items: Callable, modality: str, id_: str) -> tuple[Any, str]:
    """(An item's medium, ""), or (None, what is wrong with it)."""
    try:
        medium, = read_items(modality, [id_])
    except (InputError, OSError, ValueError) as error:
        return None, str(error) or type(error).__name__
    return medium, f"there is no {modality}" if medium is None else ""


@functools.lru_cache(maxsize=1)  # a process makes many shards
def _job(folder: str) -> tuple[dict[str, Shard], dict[str, Any], dict[str, Any]]:
    place = pathlib.Path(folder)
    known = [Shard(*facts) for facts in read_json(place / "shards.json", REMEDY, list)]
    items, job = (read_json(place / name, REMEDY) for name in ("items.json", "job.json"))
    return {shard.name: shard for shard in known}, items, job


@functools.lru_cache(maxsize=4)
def _feature(folder: str, view: str) -> Any:
    return restored(*states.Stored(pathlib.Path(folder) / STATES, view, REMEDY).state())


@functools.lru_cache(maxsize=1)
def _reader(dataset: str, asked: str) -> Callable[[str, Sequence[str]], Iterable[Any]]:
    return catalogue.get(dataset).reader(Request(**json.loads(asked)))


def write(path: pathlib.Path, shard: Shard, ids: Sequence[str], labels: Sequence[Any], rows: NDArray) -> None:
    """Writes a shard as Parquet: row, id, label or list of labels, split, and vector, the row's numbers in order."""
    import pyarrow
    from pyarrow import parquet

    flat = pyarrow.array(rows.reshape(-1))
    width = int(np.prod(rows.shape[1:]))
    kind = pyarrow.list_(pyarrow.int64()) if labels and isinstance(labels[0], list) else pyarrow.int64()
    table = pyarrow.table({
        "row": pyarrow.array(range(shard.start, shard.stop), pyarrow.int64()),
        "id": pyarrow.array(ids, pyarrow.string()), "label": pyarrow.array(labels, kind),
        "split": pyarrow.array([shard.split] * len(ids), pyarrow.string()),
        "vector": pyarrow.FixedSizeListArray.from_arrays(flat, width),
    })
    table = table.replace_schema_metadata({"shape": json.dumps(rows.shape[1:])})
    with replacing(path) as file:
        parquet.write_table(table, file)


def read(path: pathlib.Path, shard: Shard) -> NDArray:
    """The rows of a shard, sorted by their numbers. Raises InputError if it is damaged."""
    table = table_of(path, shard)
    shape = json.loads(table.schema.metadata[b"shape"])
    return np.array(table["vector"].combine_chunks().flatten()).reshape(-1, *shape)


def table_of(path: pathlib.Path, shard: Shard) -> Any:
    """A shard's pyarrow.Table, sorted by the numbers of its rows. Raises InputError if it is damaged."""
    import pyarrow
    from pyarrow import parquet

    try:
        table = parquet.read_table(path).sort_by("row")
        if table["row"].to_pylist() != list(range(shard.start, shard.stop)):
            raise ValueError("rows are missing")
        return table
    except (pyarrow.ArrowException, OSError, KeyError, ValueError) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{path}: is damaged ({reason}); move it elsewhere, and the same command makes it again"
        ) from error
