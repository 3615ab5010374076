"""Features of items in loading: threads read and decode, what was made before is read from the cache."""
import dataclasses
import functools
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.core.progress import Progress
from tfxmr.data import memmap
from tfxmr.data.files.media_files import BadItem
from tfxmr.data.memmap import Matrix
from tfxmr.data.multimodal import Split
from tfxmr.extraction import cache
from tfxmr.extraction.ahead import ahead
from tfxmr.extraction.reading import OneByOne, Reader

BLOCK = {"image": 16, "text": 256}  # items that a feature is given at once
OTHERS = 16  # of another modality
Item = TypeVar("Item")


@dataclasses.dataclass(frozen=True)
class Described:
    """Features of n items.

    Attributes:
      rows: (n, ...); zero of an item that is bad.
      keys: of each item the digest of its bytes, or None where they cannot be read.
      bad: place in the items -> what is wrong with that one.
      found: how many rows were read from the cache.
      place: its folder, or None.
    """

    rows: NDArray
    keys: list[bytes | None]
    bad: dict[int, BadItem]
    found: int
    place: Any

    def matrix(self, row_of: Mapping[str, int], split: Split, modality: str, repeated: Sequence[str] = ()) -> Matrix:
        """The rows of a split's items, (n, ...); of those that stand in several rows once in memory.

        Args:
          row_of: id of an item -> its place in the items.
          split: that they are of.
          modality: theirs.
          repeated: as of tfxmr.data.multimodal.MultiModalData.
        """
        if modality not in repeated:
            return _taken(self.rows, [row_of[id_] for id_ in split.ids[modality]])
        first, item_of_row = split.items_of(modality)
        return memmap.repeat(_taken(self.rows, [row_of[split.ids[modality][row]] for row in first]), item_of_row)

    def tell(self, what: str) -> None:
        """Says on the standard error how many rows were read and made; `what` they are, as "images (descriptor)"."""
        count = len(self.keys)
        made = count - self.found - len(self.bad)
        parts = [f"{self.found:,} read from {self.place}" if made else f"read from {self.place}"] * bool(self.found)
        parts += [f"{made:,} described" if self.found else "described"] * bool(made)
        if parts:
            display.say(f"features of {count:,} {what}: {', '.join(parts)}", 2, sys.stderr)


class _Seen(NamedTuple):
    """An item that a thread has looked at: its key, and its row, its medium or what is wrong with it."""

    key: bytes | None
    row: NDArray | None = None
    medium: Any = None
    error: BadItem | None = None
    found: bool = False


def describe(
    feature: Any, modality: str, items: Iterable[Item], count: int, content: Callable[[Item], Any],
    decoded: Callable[[Item, Any], Any], cache_dir: Place = None,
) -> Described:
    """Makes the rows of items by a feature that learns nothing, or reads them from the cache.

    Args:
      feature: tfxmr.features.Feature. Of one that is `alone`, a row is the same whatever else it is given at once, to
        the bit, and threads may make them; others are given a block at a time, in order.
      modality: of the items.
      items: n of them, taken as they are needed.
      count: n.
      content: function of an item -> its bytes, its text, or what is decoded already; may raise BadItem. Threads call
        it, as they do `decoded`.
      decoded: function (item, content) -> what the feature takes; may raise BadItem.
      cache_dir: the option of that name.
    """
    rows = np.zeros((count, *np.atleast_1d(feature.dim)), feature.dtype)
    keys: list[bytes | None] = []
    bad: dict[int, BadItem] = {}
    waiting: dict[int, Any] = {}  # place -> medium
    size, found = BLOCK.get(modality, OTHERS), 0

    def make() -> None:
        if waiting:
            places = list(waiting)
            rows[places] = feature.transform(list(waiting.values()))
            kept.add([key for place in places if (key := keys[place])], rows[places])
            waiting.clear()

    with cache.Rows(cache.folder(cache_dir), feature, modality) as kept, Progress(
        f"{modality} features {feature.name}", "item", count
    ) as progress:
        look = functools.partial(_look, feature, kept, content, decoded)
        for block in ahead(look, items, size):
            for seen in block:
                place = len(keys)
                keys.append(seen.key)
                found += seen.found
                if seen.error:
                    bad[place] = seen.error
                elif seen.row is None:
                    waiting[place] = seen.medium
                else:
                    rows[place] = seen.row
                    if seen.key and not seen.found:
                        kept.add([seen.key], seen.row[None])
            if len(waiting) >= size:
                make()
            progress.update(len(keys))
        make()
        return Described(rows, keys, bad, found, kept.place)


def _look(
    feature: Any, kept: cache.Rows, content: Callable[[Item], Any], decoded: Callable[[Item, Any], Any], item: Item,
) -> _Seen:
    """What a thread does for one item."""
    key = None
    try:
        held = content(item)
        key = cache.key_of(held)
        if (row := kept.get(key)) is not None:
            return _Seen(key, row, found=True)
        medium = decoded(item, held)
    except BadItem as error:
        return _Seen(key, error=error)
    if getattr(feature, "alone", False):
        return _Seen(key, np.asarray(feature.transform([medium]), feature.dtype)[0])
    return _Seen(key, medium=feature.prepared(medium) if hasattr(feature, "prepared") else medium)


def described(
    feature: Any, modality: str, ids: Sequence[str], read: Reader, cache_dir: Place = None,
) -> NDArray:
    """The rows of items by their ids, (n, ...), and a line on where they come from.

    Args:
      feature, modality, cache_dir: as of `describe`.
      ids: of the items.
      read: of the media; what a reader that is no OneByOne gives is known by what it decodes to.

    Raises:
      InputError: there is none of an item, or it cannot be decoded.
    """
    if isinstance(read, OneByOne):
        made = describe(feature, modality, ids, len(ids), lambda id_: _required(read.content(modality, id_)),
                        lambda id_, held: read.decoded(modality, id_, held), cache_dir)
    else:
        made = describe(feature, modality, read(modality, ids), len(ids), _required, lambda _, held: held, cache_dir)
    if made.bad:
        place, error = min(made.bad.items())
        reason = f" ({': '.join(error.args)})" if error.args else ""
        raise InputError(f"there is no {modality} of item {ids[place]!r}{reason}: name the folder of the media by "
                         "--data_dir")
    if cache.keeps(feature):
        made.tell(f"{modality}s ({feature.name})")
    return made.rows


def _required(held: Any) -> Any:
    """What is there; raises BadItem if nothing is."""
    if held is None:
        raise BadItem
    return held


def _taken(rows: NDArray, places: Sequence[int]) -> NDArray:
    """Some rows in an order; those that follow each other without a copy, which of a hundred thousand is a gigabyte."""
    start, stop = places[0], places[0] + len(places)
    return rows[start:stop] if list(places) == list(range(start, stop)) else rows[places]
