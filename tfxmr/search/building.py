"""An index of the items of a run, filled from the vectors that the run kept."""
import dataclasses
import os
import pathlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np

from tfxmr import encoding
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place, write_bytes
from tfxmr.encoding import Encoder, embeddings
from tfxmr.search.index import Index

BLOCK = 8192  # items added at once
NAME = "index"  # of the folder in the run's, the default place
FILLED = "filled"  # file in it, once it has all items: what was deleted since is not to come back by a search
COLUMNS = ("name", "class", "split", "seen", "row", "pair", "file", "text")


@dataclasses.dataclass(frozen=True)
class Indexed:
    """What an index asks of an encoder.

    Attributes:
      encoder: Encoder.
      dimensions: width of its points.
    """

    encoder: Encoder
    dimensions: int

    @property
    def digest(self) -> str:
        """Of all that decides the vectors."""
        return self.encoder.digest

    @property
    def similarity(self) -> str:
        """By which points are compared."""
        return self.encoder.vector_similarity


def indexed(encoder: Encoder, vectors: dict[str, embeddings.Embeddings]) -> Indexed:
    """An Encoder as `Index.open` takes it, the width that of the vectors that its run kept."""
    modality, found = next(iter(vectors.items()))
    return Indexed(encoder, encoder.points(modality, _rows(found.made, slice(0, 1))).shape[1])


def build(
    encoder: Encoder, folder: pathlib.Path, uri: Place, told: Callable[[int, int], None] = lambda done, total: None
) -> Index:
    """Fills an index with the items of a folder; what is there already stays, and a killed one is completed.

    Args:
      encoder: of the run.
      folder: of the encoder, with the vectors that were kept, or one that `tfxmr encode` has written.
      uri: of the index, as `Index.open` takes it.
      told: is called with the items done and all of them, after every block.

    Returns:
      The open Index.

    Raises:
      InputError: the run kept no vectors, or the index holds another encoder's.
    """
    vectors = embeddings.read(folder, encoder)
    index = Index.open(uri, indexed(encoder, vectors))
    total, done = sum(len(found.columns["id"]) for found in vectors.values()), 0
    try:
        for modality, found in vectors.items():
            ids = found.columns["id"]
            known = {name: found.columns[name] for name in COLUMNS if name in found.columns}
            for block in _blocks(len(ids)):  # to add the same again changes nothing
                points = encoder.points(modality, _rows(found.made, block))
                columns = {name: [told_text(v) for v in values[block]] for name, values in known.items()}
                index.add(modality, ids[block], points, columns)
                told(done + block.stop, total)
            done += len(ids)
    except BaseException:
        index.close()
        raise
    return index


def _blocks(count: int) -> Iterator[slice]:
    return (slice(start, min(start + BLOCK, count)) for start in range(0, count, BLOCK))


def _rows(made: Any, rows: slice) -> Any:
    if isinstance(made, dict):
        return {name: np.asarray(array[rows]) for name, array in made.items()}
    return np.asarray(made[rows])


def told_text(value: Any) -> str | None:
    """A column's value as text: "yes" and "no" for True and False, None for None."""
    if value is None:
        return None
    return ("yes" if value else "no") if isinstance(value, bool) else str(value)


def of_run(
    encoder: Encoder, run_dir: str | os.PathLike, uri: Place = None,
    told: Callable[[int, int], None] = lambda done, total: None, places: Sequence[str | os.PathLike] = (),
    again: bool = True,
) -> Index:
    """The index of a run, filled where items are missing: `build`, and where things are.

    Args:
      encoder: of the run.
      run_dir: of the run or its encoder.
      uri: of the index; None: RUN/index.
      told: as of `build`.
      places: folders that `tfxmr encode` has written, whose items are indexed instead of the run's own.
      again: takes in once more what was deleted since; False leaves RUN/index as it is, if it had all items once.
    """
    if uri is not None and not str(uri):
        raise InputError("--to=: name a folder, NAME.db or http://HOST:PORT")
    if places:
        if uri is None:
            raise InputError("--embeddings: name an index of its own for these items, --to=DIR")
        for place in places[:-1]:
            build(encoder, pathlib.Path(place).expanduser(), uri, told).close()
        return build(encoder, pathlib.Path(places[-1]).expanduser(), uri, told)
    folder = encoding.folder.folder_of(pathlib.Path(run_dir).expanduser())
    run = folder.parent if folder.name == encoding.folder.NAME else folder
    if uri is not None:
        return build(encoder, folder, uri, told)
    note, digest = run / NAME / FILLED, encoder.digest.encode()
    if not again and note.exists() and note.read_bytes() == digest:
        return Index.open(run / NAME)
    index = build(encoder, folder, run / NAME, told)
    write_bytes(note, digest)
    return index
