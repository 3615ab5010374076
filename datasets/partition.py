"""Splits as data: seeded draws that do not depend on the order of the files, and the check of every split."""
import hashlib
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted


def draw(names: Iterable[str], counts: Mapping[str, int], seed: int) -> dict[str, list[str]]:
    """Divides names at random.

    A name's place in the draw is the SHA-256 of "<seed>/<name>": the same on every machine and library version,
    whatever the order in which the names come.

    Args:
      names: distinct strings.
      counts: part -> how many names it gets, in the order of the draw; together all of them.
      seed: int.

    Returns:
      part -> list of its names, sorted.

    Raises:
      InputError: the counts do not add up to the number of names.
    """
    names = list(names)
    if sum(counts.values()) != len(names):
        raise InputError(f"{counted(len(names), 'item')} to divide, expected {' + '.join(map(str, counts.values()))}")
    order = sorted(names, key=lambda name: hashlib.sha256(f"{seed}/{name}".encode()).digest())
    parts, start = {}, 0
    for part, count in counts.items():
        parts[part] = sorted(order[start : start + count])
        start += count
    return parts


def check(dataset: str, splits: Mapping[str, Sequence], sizes: Mapping[str, int | None]) -> None:
    """Checks that splits are disjoint and complete.

    Args:
      dataset: its name, for the message.
      splits: split -> list of the names of its items.
      sizes: split -> the number of items that it must have; None for any number but 0.

    Raises:
      InputError: an item twice, or a wrong number of them.
    """
    where: dict[Any, str] = {}
    for split, names in splits.items():
        if (len(names) != sizes[split]) if sizes[split] is not None else not names:
            raise InputError(
                f"{dataset}: found {counted(len(names), 'item')} of split {split}, expected {sizes[split] or 'some'}. "
                "Copy its list or annotation file again."
            )
        for name in names:
            if name in where:
                raise InputError(f"{dataset}: item {name!r} stands twice, in split {where[name]} and in {split}.")
            where[name] = split
