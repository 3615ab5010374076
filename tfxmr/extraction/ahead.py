"""Media read and decoded by threads while a network is at work with those before them."""
import collections
import concurrent.futures
import itertools
import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

from tfxmr.extraction.reading import OneByOne, Reader

AHEAD = 2  # blocks that are ready, or being made, beside the one that is worked with
Item = TypeVar("Item")
Result = TypeVar("Result")


def ahead(
    function: Callable[[Item], Result], items: Iterable[Item], size: int, threads: int | None = None,
) -> Iterator[list[Result]]:
    """A function's results for items, in their order, while the caller is at work with those before.

    >>> list(ahead(len, ["a", "bb", "ccc"], size=2))
    [[1, 2], [3]]

    Args:
      function: is called by threads.
      items: of which no more than AHEAD blocks are taken before their turn, so that these alone are in memory.
      size: results in a block.
      threads: how many; None: one a core.

    Raises:
      Exception: that the function raised, of the first item in order, when its turn comes.
    """
    waiting: collections.deque[concurrent.futures.Future[Result]] = collections.deque()
    rest = iter(items)
    with concurrent.futures.ThreadPoolExecutor(threads or cores()) as pool:
        try:
            while True:
                more = itertools.islice(rest, (AHEAD + 1) * size - len(waiting))
                waiting.extend(pool.submit(function, item) for item in more)
                if not waiting:
                    return
                yield [waiting.popleft().result() for _ in range(min(size, len(waiting)))]
        finally:
            pool.shutdown(wait=True, cancel_futures=True)


def cores() -> int:
    """The cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def media(
    read: Reader, modality: str, ids: Sequence[str], size: int, work: Callable[[Any], Any] | None = None,
) -> Iterator[list[tuple[Any, Any]]]:
    """Pairs (medium or None, `work` of it), `size` at a time, in the order of the ids.

    Args:
      read: a reader; of one that is no OneByOne, which reads in order, one thread reads a block at a time.
      modality, ids: of the items.
      size: items in a block.
      work: function of a medium that a thread calls, such as a resizing; None: the medium itself.
    """
    def both(medium: Any) -> tuple[Any, Any]:
        return medium, medium if medium is None or work is None else work(medium)

    if isinstance(read, OneByOne) and (work or modality != "text"):  # a text is there sooner than a thread
        yield from ahead(lambda id_: both(read.medium(modality, id_)), ids, size)
        return
    blocks = (ids[start : start + size] for start in range(0, len(ids), size))
    for (block,) in ahead(lambda chosen: [both(medium) for medium in read(modality, chosen)], blocks, 1, threads=1):
        yield block


def rows(
    feature: Any, read: Reader, modality: str, ids: Sequence[str], size: int,
    refuse: Callable[[str], None],
) -> Iterator[tuple[NDArray, list[Any]]]:
    """Pairs (rows (k, ...), their media) of items by a feature, `size` at a time: the same, to the bit, as one by one.

    Args:
      feature: see tfxmr.features.Feature. Of one that is `alone`, threads make the rows; of others they do `prepared`.
      read, modality, ids, size: as of `media`.
      refuse: is called with the id of an item that has no medium; raises an error.
    """
    alone = getattr(feature, "alone", False)
    work = (lambda medium: feature.transform([medium])[0]) if alone else getattr(feature, "prepared", None)
    rest = iter(ids)
    for block in media(read, modality, ids, size, work):
        for (medium, _), id_ in zip(block, rest, strict=False):
            if medium is None:
                refuse(id_)
        done = [made for _, made in block]
        yield np.stack(done) if alone else feature.transform(done), [medium for medium, _ in block]
