"""The rows of `tfxmr encode` in shards that any process makes by itself: what Apache Beam deals out.

What stands in OUT_shards/MODALITY, beside the folder OUT that is made of them:
  job.json                               which encoder encodes which items, and how many shards there are
  image-00000-of-00004.parquet, ...      (row, id, reason, vector), replaced atomically: one that is there is whole, and
                                         is not made again. An item that cannot be encoded has a reason and no vector
  manifest.json                          written last: the shards with their digests
"""
import functools
import itertools
import os
import pathlib

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import digest_file, read_json, replacing, to_json, write_text
from tfxmr.encoding import folder, stream
from tfxmr.extraction import shards

REMEDY = shards.REMEDY


def engine(out: str | os.PathLike, count: int, make_all: shards.Engine) -> stream.Engine:
    """The engine of `stream.encode` that has rows made in shards.

    Args:
      out: the folder of the vectors.
      count: of shards.
      make_all: has shards of these names made in a folder, each by `make`.

    Raises:
      InputError: (the engine) the folder of shards is of another job, or the items were changed meanwhile.
    """
    place = pathlib.Path(out).expanduser().resolve()
    return lambda rows: _Shards(place.with_name(f"{place.name}_shards") / rows.modality, count, make_all, rows)


class _Shards:
    """The shards of some items; makes those that are lacking, and gives rows as `stream.Rows` does."""

    def __init__(self, place: pathlib.Path, count: int, make_all: shards.Engine, rows: stream.Rows) -> None:
        self._place, self._rows, source = place, rows, rows.source
        # Other processes may work in other folders.
        job = {"encoder": os.path.abspath(rows.encoder.facts["folder"]), "digest": rows.encoder.digest,
               "modality": rows.modality, "asked": source.asked, "shards": count,
               "items": stream.again(source.asked, rows.encoder, rows.modality).digest}
        shards.begin(place, job)
        self._shards = _divided(rows, count)
        if lacking := [shard.name for shard in self._shards if not self._file(shard).exists()]:
            make_all(lacking, str(place))
        digests = {self._file(shard).name: digest_file(self._file(shard)) for shard in self._shards}
        write_text(place / "manifest.json", to_json({"job": job, "shards": digests}))

    def _file(self, shard: shards.Shard) -> pathlib.Path:
        return self._place / f"{shard.name}.parquet"

    def __call__(self, part: slice) -> tuple[NDArray, dict[int, str]]:
        """As `stream.Rows`."""
        parts = [s for s in self._shards if s.start < part.stop and s.stop > part.start]
        found = [(s, *self._read(s)) for s in parts]
        rows = [rows[max(0, part.start - s.start) : part.stop - s.start] for s, rows, _ in found]
        bad = {s.start + i - part.start: why for s, _, reasons in found for i, why in reasons.items()
               if part.start <= s.start + i < part.stop}
        return np.concatenate(rows), bad

    def _read(self, shard: shards.Shard) -> tuple[NDArray, dict[int, str]]:
        if getattr(self, "_last", (None,))[0] != shard:  # the blocks of a shard come one after another
            self._last = shard, _read(self._file(shard), shard, self._rows)
        return self._last[1]


def _divided(rows: stream.Rows, count: int) -> list[shards.Shard]:
    """The shards, which begin where a block does: a method is given the batches that it is given by one process."""
    total, size = len(rows.source.names), stream.BLOCK[rows.source.kind]
    ends = [min(total, -(-total // size) * number // count * size) for number in range(count)] + [total]
    return [
        shards.Shard(f"{rows.modality}-{number:05d}-of-{count:05d}", "new", rows.modality, start, stop)
        for number, (start, stop) in enumerate(itertools.pairwise(ends))
    ]


def make(name: str, place: str) -> None:
    """Makes one shard in a folder of shards; in any process that sees the folder, the encoder and the items."""
    rows, divided = _job(place)
    shard = divided[name]
    made = [np.empty((0, rows.width), rows.dtype)]
    reasons: list[str | None] = [None] * (shard.stop - shard.start)
    size = stream.BLOCK[rows.source.kind]
    for start in range(shard.start, shard.stop, size):
        block, bad = rows(slice(start, min(start + size, shard.stop)))
        made.append(block)
        for i, why in bad.items():
            reasons[start - shard.start + i] = why
    flat = pyarrow.array(np.concatenate(made).reshape(-1))
    table = pyarrow.table({
        "row": pyarrow.array(range(shard.start, shard.stop), pyarrow.int64()),
        "id": pyarrow.array(rows.source.names[shard.start : shard.stop], pyarrow.string()),
        "reason": pyarrow.array(reasons, pyarrow.string()),
        "vector": pyarrow.FixedSizeListArray.from_arrays(flat, rows.width),
    })
    with replacing(pathlib.Path(place) / f"{name}.parquet") as file:
        pyarrow.parquet.write_table(table, file)


@functools.lru_cache(maxsize=1)  # a process makes many shards
def _job(place: str) -> tuple[stream.Rows, dict[str, shards.Shard]]:
    """What makes the rows, and the shards by name. Raises InputError if encoder or items are not those of the job."""
    job = read_json(pathlib.Path(place) / "job.json", REMEDY)
    encoder = folder.load(job["encoder"])
    if encoder.digest != job["digest"]:
        raise InputError(f"{job['encoder']}: is another encoder than when the shards were begun; {REMEDY}")
    source = stream.again(job["asked"], encoder, job["modality"])
    if source.digest != job["items"]:
        raise InputError(f"{place}: the items were changed since the shards were begun; {REMEDY}")
    rows = stream.Rows(encoder, job["modality"], source)
    return rows, {shard.name: shard for shard in _divided(rows, job["shards"])}


def _read(path: pathlib.Path, shard: shards.Shard, rows: stream.Rows) -> tuple[NDArray, dict[int, str]]:
    """(Rows, place in the shard -> what is wrong with an item). Raises InputError if it is damaged."""
    table = shards.table_of(path, shard)
    flat = np.array(table["vector"].combine_chunks().flatten(), rows.dtype)
    reasons = table["reason"].to_pylist()
    return flat.reshape(-1, rows.width), {i: why for i, why in enumerate(reasons) if why is not None}
