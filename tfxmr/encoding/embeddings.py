"""The vectors of a run's items, beside the encoder that made them: what an index is filled with."""
import dataclasses
import pathlib
from collections.abc import Iterator
from typing import Any

import numpy as np
import pyarrow
import pyarrow.parquet
from numpy.typing import NDArray

from tfxmr.core import classes
from tfxmr.core.errors import InputError
from tfxmr.core.files import read_json, replacing, to_json, write_text
from tfxmr.data import MultiModalData
from tfxmr.encoding.encoder import Encoder
from tfxmr.evaluation.protocol import Protocol

NAME, ITEMS, FACTS = "embeddings", "items.parquet", "embeddings.json"
AGAIN = "make them by `tfxmr export --run_dir=RUN`; those of `tfxmr encode` with another --out"


@dataclasses.dataclass(frozen=True)
class Embeddings:
    """The vectors of one modality's items.

    Attributes:
      made: (n, k), or name -> (n, ...) of a method that compares by itself.
      columns: of the n items: "id" (unique in the modality), "class", "label", "split", "seen", "name" (as the data
        set calls it), "row" in its split, and "pair", the same of items of two modalities that are one thing, or None.
    """

    made: Any
    columns: dict[str, list]


def write(folder: pathlib.Path, encoder: Encoder, data: MultiModalData, protocol: Protocol) -> None:
    """Encodes all items of a run, each once, and keeps their vectors in the encoder's folder.

    Args:
      folder: of the encoder.
      encoder: what encodes.
      data: what the method reads, normalised.
      protocol: of the run, which says what is unseen.
    """
    target = folder / NAME
    target.mkdir(exist_ok=True)
    rows, sizes = [], {}
    paired = {name for name, split in data.splits.items() if split.paired and not data.instances}
    distinct = {name: split.distinct(data.repeated) for name, split in data.splits.items()}
    for m in data.modalities:
        made = [encoder.method.represent(m, split.of(m)) for split in distinct.values() if len(split.labels[m])]
        held = _joined(made)
        for part, array in held.items():
            with replacing(target / f"{m}{'.' if part else ''}{part}.npy") as file:
                np.save(file, array, allow_pickle=False)
        sizes[m] = sorted(held)
        rows += [{"modality": m, **columns} for columns in _items(distinct, m, data, protocol, paired)]
    with replacing(target / ITEMS) as file:
        pyarrow.parquet.write_table(pyarrow.Table.from_pylist(rows), file)
    write_text(target / FACTS, to_json({"encoder": encoder.digest, "modalities": sizes}))


def read(folder: pathlib.Path, encoder: Encoder) -> dict[str, Embeddings]:
    """The kept vectors, modality -> Embeddings, whose arrays stay in their files.

    Args:
      folder: of the encoder, or that `tfxmr encode` has written.
      encoder: by which they were made.

    Raises:
      InputError: none were kept, or they do not fit together.
    """
    target = folder if (folder / FACTS).exists() else folder / NAME
    if not (target / FACTS).exists():
        raise InputError(f"{target}: this run kept no vectors (--nokeep_embeddings); {AGAIN}")
    facts = read_json(target / FACTS, AGAIN)
    if facts.get("encoder") != encoder.digest:
        raise InputError(f"{target}: holds vectors of another encoder; {AGAIN}")
    table = items(target, AGAIN).to_pydict()
    places: dict[str, list[int]] = {}
    for place, modality in enumerate(table["modality"]):
        places.setdefault(modality, []).append(place)
    found = {}
    for m, parts in facts["modalities"].items():
        held = {p: _array(target / f"{m}{'.' if p else ''}{p}.npy") for p in parts}
        own = places.get(m, [])
        columns = {name: [column[i] for i in own] for name, column in table.items() if name != "modality"}
        if any(len(array) != len(own) for array in held.values()):
            raise InputError(f"{target}: the vectors of {m} do not fit {ITEMS}; {AGAIN}")
        found[m] = Embeddings(held[""] if parts == [""] else held, columns)
    return found


def items(folder: pathlib.Path, remedy: str) -> pyarrow.Table:
    """The table of a folder's items. Raises InputError, with a remedy in words, if it is damaged or missing."""
    try:
        table = pyarrow.parquet.read_table(folder / ITEMS)
        if not {"modality", "id"} <= set(table.column_names):
            raise ValueError("it has other columns")
        return table
    except (pyarrow.ArrowException, OSError, ValueError) as error:
        why = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise InputError(f"{folder / ITEMS}: is {why}; {remedy}") from error


def _array(path: pathlib.Path) -> NDArray:
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError, EOFError) as error:
        why = "missing" if isinstance(error, FileNotFoundError) else "damaged"
        raise InputError(f"{path}: is {why}; {AGAIN}") from error


def _joined(made: list[Any]) -> dict[str, NDArray]:
    """The representations of all splits under each other, name -> array; "" of a method that gives one array."""
    parts = [block if isinstance(block, dict) else {"": block} for block in made]
    return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


def _items(
    splits: dict[str, Any], modality: str, data: MultiModalData, protocol: Protocol, paired: set[str]
) -> Iterator[dict[str, Any]]:
    """The columns of each item, in the order of the vectors."""
    every = [name for split in splits.values() for name in split.ids.get(modality, ())]
    unique = len(set(every)) == len(every)  # an id may stand in two splits
    names = () if data.instances else data.class_names
    for name, split in splits.items():
        ids, labels = split.ids.get(modality), split.labels[modality]
        of_unseen = classes.having(labels, protocol.unseen).tolist()
        for row, number in enumerate(classes.numbers(labels)):
            own = ids[row] if ids else str(row)
            yield {
                "id": own if ids and unique else f"{name}/{own}", "name": own, "split": name, "row": row,
                "label": number, "class": classes.name(labels[row], names), "seen": not of_unseen[row],
                "pair": f"{name}/{row}" if name in paired else None,
            }
