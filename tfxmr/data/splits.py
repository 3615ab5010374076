"""Which items train, validate and test: as the dataset is published, or re-split."""
import dataclasses
import itertools
import math
import pathlib
import warnings
from collections.abc import Collection, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import classes
from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, seed_setting, setting
from tfxmr.core.wording import counted
from tfxmr.data import memmap
from tfxmr.data.multimodal import MultiModalData, Split
from tfxmr.data.views import ordered

PARTS = ("train", "validation", "test")
PKU_TEST, PKU_VALIDATION = 693, 231  # Wikipedia's official test items, and how many of them validate


@dataclasses.dataclass(frozen=True)
class SplitRule(Settings):
    """How a dataset's items are divided.

    "official" keeps the dataset's own splits. "random" pools all items, permutes them by the seed and cuts the
    row into training, validation and test items; modalities that share their rows are permuted together, any
    other by itself, and pairs that share an item (sentences of one image) stay together: their items are cut.
    "pku462" is the division of Wikipedia that most deep methods report on: the 2,173 official training items, and of
    the 693 official test items the first 231 of a permutation for validation, the last 462 for test. The permutation
    is no part of this project; without a file it is drawn by the seed. Any other name is one of several splits that a
    dataset is published with, which the dataset itself knows; see tfxmr.extraction.dataset.Dataset, which refuses the
    names that it does not.

    Raises:
      InputError: arguments that contradict each other, or a file that is not there.
    """

    name: str | None = setting(
        None,
        "official (default): the dataset's own; random: all items re-split by --split_seed; pku462: "
        "Wikipedia's 693 test items as 231 for validation and 462 for test, by --split_file or --split_seed; or one "
        "of those that the dataset is published with, see `tfxmr datasets`.", flag="split",
    )
    seed: int | None = seed_setting("Seed of --split=random and pku462, from 0; default 0.", None, flag="split_seed")
    sizes: tuple[str, ...] | None = setting(
        None,
        "Training, validation and test items of --split=random: numbers that add up to all items (of each modality), "
        "such as 2173,231,462, or fractions that add up to 1, such as 0.8,0.1,0.1; default: the official sizes.",
        flag="split_sizes",
    )
    file: str | None = setting(
        None,
        "Permutation for --split=pku462: 693 lines, on each the row (from 0) or the id of an official test item.",
        affects="nothing", flag="split_file",
    )

    def __post_init__(self) -> None:
        """Checks what can be checked without the data; the name becomes "official" for None, the sizes numbers."""
        super().__post_init__()
        sizes = ",".join(map(str, self.sizes or ()))
        object.__setattr__(self, "name", self.name or "official")
        object.__setattr__(self, "sizes", _numbers(sizes) if sizes else ())
        for flag, value, valid in (
            ("split_seed", self.seed, ("random", "pku462")),
            ("split_sizes", sizes or None, ("random",)),
            ("split_file", self.file, ("pku462",)),
        ):
            if value is not None and self.name not in valid:
                raise InputError(f"--{flag}={value} goes with --split={' or '.join(valid)}, not with {self.name}")
        if self.seed is not None and self.file is not None:
            raise InputError(f"--split_seed={self.seed}: --split_file={self.file} holds the order; give one of the two")
        if self.file is not None and not pathlib.Path(self.file).expanduser().is_file():
            raise InputError(f"--split_file={self.file}: there is no such file")

    @property
    def holds_out(self) -> bool:
        """True if the rule itself asks for validation items."""
        return self.name == "pku462" or bool(self.sizes and self.sizes[1])

    def published(self, splits: Sequence[str]) -> str | None:
        """The name of the split that a dataset is to be read in.

        Args:
          splits: names of the splits that it is published with, its "official" one first; () if it has only one.

        Returns:
          This rule's, the first if this is no published one, or None of ().
        """
        return self.name if self.name in splits else next(iter(splits), None)

    def require_test(self, name: str, splits: Collection[str]) -> None:
        """Raises InputError if a dataset (its name) with these splits has no test items, nor gets some by this rule."""
        if "test" not in splits and not self.sizes:
            raise InputError(
                f"dataset {name} has no test items; divide its items, for instance with --split=random "
                "--split_sizes=0.8,0,0.2, or name those that test in a column or folder of the split"
            )

    def apply(self, data: MultiModalData, fitted_on: str = "", published: Sequence[str] = ()) -> MultiModalData:
        """Divides the items of a dataset.

        Args:
          data: with its official splits, or one of those that it is published with.
          fitted_on: what is known of the items that its features were fitted on, in words.
          published: names of the splits that it is published with, as of `published`.

        Returns:
          MultiModalData; if re-split, `split_facts` holds the name, the seed or the file, and the sizes.

        Raises:
          InputError: the data cannot be divided in this way, or a class of the test items has no training item.
        """
        self.require_test(data.name, data.splits)
        if self.name not in ("random", "pku462"):
            found = data.split_facts.get("name", next(iter(published), ""))
            if self.name not in ("official", found):
                raise InputError(f"--split={self.name}: these data of {data.name} are of --split={found or 'official'}")
            _check(data, drawn=False)
            return data
        if len(data.repeated) > 1 or (data.repeated and self.name != "random"):
            raise InputError(
                f"--split={self.name}: the rows of dataset {data.name} are pairs that share items (texts of one "
                f"{data.repeated[0]}) and are not re-split; use its own split, or --text_items=joined"
            )
        rng = np.random.default_rng(self.seed or 0)
        facts: dict[str, Any] = {"name": self.name}
        facts |= {"source": str(self.file)} if self.file else {"seed": self.seed or 0}
        if self.name == "random":
            splits = self._random(data, rng)
            facts["features_fitted_on"] = fitted_on or "not known: the matrices are taken as they are"
            if fitted_on:
                warnings.warn(
                    f"--split=random: the features may be fitted on what are test items now; fitted on: {fitted_on}",
                    stacklevel=2,
                )
        else:
            splits = self._pku462(data, rng)
            facts["name"] += "" if self.file else " (drawn, not the published one)"
        facts["sizes"] = {m: {part: len(s.labels[m]) for part, s in splits.items()} for m in data.modalities}
        divided = dataclasses.replace(data, splits=splits, split_facts=facts)
        _check(divided, drawn=True)
        return divided

    def _random(self, data: MultiModalData, rng: np.random.Generator) -> dict[str, Split]:
        pool = _pool([data.splits[part] for part in PARTS if part in data.splits])
        if data.repeated:
            return self._random_items(data, pool, rng)
        pieces = {
            m: np.split(order, np.cumsum(self._counts(data, m, len(order)))[:2])
            for m, order in pool.permute(rng).items()
        }
        splits = {part: pool.take({m: rows[i] for m, rows in pieces.items()}) for i, part in enumerate(PARTS)}
        return {part: split for part, split in splits.items() if len(split)}

    def _random_items(self, data: MultiModalData, pool: Split, rng: np.random.Generator) -> dict[str, Split]:
        """As `_random` of pairs that share items, of which none is to stand in two parts; rows keep their order."""
        m = data.repeated[0]
        first, item_of_row = pool.items_of(m)
        distinct = {part: split.distinct(data.repeated) for part, split in data.splits.items()}
        counts = self._counts(dataclasses.replace(data, splits=distinct), m, len(first))
        if sum(counts) != len(first):
            raise InputError(
                f"--split=random: of dataset {data.name} some {m} stand in two splits, so that the official sizes do "
                "not fit; give --split_sizes=0.8,0.1,0.1"
            )
        part_of_item = np.empty(len(first), int)
        part_of_item[rng.permutation(len(first))] = np.repeat(np.arange(len(PARTS)), counts)
        splits = {part: pool.take(np.flatnonzero(part_of_item[item_of_row] == i)) for i, part in enumerate(PARTS)}
        return {part: split for part, split in splits.items() if len(split)}

    def _counts(self, data: MultiModalData, modality: str, total: int) -> list[int]:
        """The numbers of training, validation and test items of a modality with `total` items."""
        if not self.sizes:
            return [len(data.splits[part].labels[modality]) if part in data.splits else 0 for part in PARTS]
        sizes: Any = self.sizes  # numbers, since the rule was made
        said = f"--split_sizes={','.join(map(str, sizes))}"
        if all(isinstance(size, int) for size in sizes):
            counts = sizes
            if sum(counts) != total:
                raise InputError(
                    f"{said}: adds up to {sum(counts):,}, and dataset {data.name} has "
                    f"{counted(total, f'{modality} item')} in all. Every item belongs to one part: give numbers that "
                    "add up to it, or fractions such as 0.8,0.1,0.1"
                )
        else:
            ends = np.cumsum((0, *sizes))
            counts = np.diff(np.rint(ends / ends[-1] * total).astype(int)).tolist()
        for part, size, count in zip(PARTS, sizes, counts, strict=True):
            if size and not count:
                raise InputError(f"{said}: leaves no {part} item of {counted(total, f'{modality} item')}; give a "
                                 "larger share")
        return counts

    def _pku462(self, data: MultiModalData, rng: np.random.Generator) -> dict[str, Split]:
        test = data.splits["test"]
        if "validation" in data.splits or not test.paired or len(test) != PKU_TEST:
            raise InputError(
                f"--split=pku462: divides the {PKU_TEST} pairs of Wikipedia's official test split; dataset {data.name} "
                f"has {counted(len(test), 'test item')}{'' if test.paired else ', not in pairs'}"
                + (", and validation items already" if "validation" in data.splits else "")
            )
        order = rng.permutation(PKU_TEST) if self.file is None else _read_order(self.file, test)
        return {
            "train": data.splits["train"],
            "validation": test.take(order[:PKU_VALIDATION]),
            "test": test.take(order[PKU_VALIDATION:]),
        }


class LookedAt(SplitRule):
    """A rule for items that are not evaluated: none needs to test."""

    def require_test(self, name: str, splits: Collection[str]) -> None:
        """Nothing is refused."""


class _TrainingItems(LookedAt):
    """The data set's own splits, of which the training items alone are wanted."""

    def apply(self, data: MultiModalData, fitted_on: str = "", published: Sequence[str] = ()) -> MultiModalData:
        """As of any split; of what the test items lack or share nothing is said."""
        return super().apply(dataclasses.replace(data, splits={"train": data.splits["train"]}), fitted_on, published)


OFFICIAL = SplitRule()
TRAINING_ITEMS = _TrainingItems()  # of a second domain


def class_counts(data: MultiModalData) -> str:
    """A text table of the items a class: a line a class; a column a split and group of modalities that share rows."""
    columns = {}
    for name, split in data.splits.items():
        for group in split.groups:
            title = name if split.paired else f"{name} {'+'.join(group)}"
            columns[title] = classes.counts(split.labels[group[0]], data.num_classes)
    names = data.class_names or [f"class {c}" for c in range(data.num_classes)]
    width = max(map(len, names))
    lines = [" " * width + "".join(f"  {title}" for title in columns)]
    for c, name in enumerate(names):
        lines.append(f"{name:{width}}" + "".join(f"  {counts[c]:{len(title)}}" for title, counts in columns.items()))
    return "\n".join(lines)


def _numbers(sizes: str) -> tuple[float, ...]:
    """Three whole numbers or fractions from the text of --split_sizes."""
    try:
        numbers = tuple(float(size) for size in sizes.split(","))
    except ValueError:
        numbers = ()
    if len(numbers) != 3 or not all(math.isfinite(n) and n >= 0 for n in numbers) or 0 in (numbers[0], numbers[2]):
        raise InputError(
            f"--split_sizes={sizes}: give three numbers with commas between them, the training, validation and test "
            "items, such as 2173,231,462 or 0.8,0.1,0.1; only the validation items may be 0"
        )
    if all(n.is_integer() for n in numbers):
        return tuple(int(n) for n in numbers)
    if abs(sum(numbers) - 1) > 1e-6:
        raise InputError(f"--split_sizes={sizes}: the fractions add up to {sum(numbers):g}; make them add up to 1")
    return numbers


def _pool(splits: Sequence[Split]) -> Split:
    """One Split of the items of several with the same modalities, in their order."""
    modalities = splits[0].modalities
    named = [m for m in modalities if all(m in split.ids for split in splits)]
    return Split(
        features={v: memmap.concatenate([split.features[v] for split in splits]) for v in splits[0].views},
        labels={m: np.concatenate([split.labels[m] for split in splits]) for m in modalities},
        ids={m: [name for split in splits for name in split.ids[m]] for m in named},
        unpaired=tuple(ordered(set().union(*(split.unpaired for split in splits)))),
    )


def _read_order(path: str, split: Split) -> NDArray:
    """Reads a permutation of the items of a split of pairs from a file: an (n,) array of their rows."""
    try:
        text = pathlib.Path(path).expanduser().read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"--split_file={path}: cannot be read as UTF-8 text ({error})") from error
    lines = [line.strip() for line in text.splitlines()]
    namings = [[str(row) for row in range(len(split))], *split.ids.values()]
    rows_of = [{name: row for row, name in enumerate(naming)} for naming in namings]
    row_of = max(rows_of, key=lambda rows: sum(line in rows for line in lines))  # the naming that the file means
    first: dict[str, int] = {}
    for number, line in enumerate(lines, 1):
        if line not in row_of:
            raise InputError(
                f"--split_file={path}: line {number}: {line!r} is no row, 0 to {len(split) - 1}, and no id of a test "
                "item, in the way of the other lines"
            )
        if line in first:
            raise InputError(f"--split_file={path}: line {number}: {line!r} stands in line {first[line]} already")
        first[line] = number
    if len(lines) != len(split):
        raise InputError(f"--split_file={path}: has {counted(len(lines), 'item')}, expected {len(split):,}: each test "
                         "item once")
    return np.array([row_of[line] for line in lines])


def _check(data: MultiModalData, drawn: bool) -> None:
    """Refuses a drawn split, and warns of an official one, that tests classes which it does not train.

    Warns of items with one name in two splits: an item that trains may not test.
    """
    untrained = []
    for m in data.modalities:
        trained, tested = (
            set(classes.present(data.splits[part].labels[m])) if part in data.splits else set()
            for part in ("train", "test")
        )
        if tested - trained and not data.instances:
            lacking = ", ".join(str(data.class_names[c] if data.class_names else c) for c in sorted(tested - trained))
            untrained.append(f"no {m} item trains class {lacking}, which has test items")
        names = [set(split.ids.get(m, ())) for split in data.splits.values()]
        repeated = set().union(*(a & b for a, b in itertools.combinations(names, 2)))
        if repeated:
            warnings.warn(
                f"dataset {data.name}: {counted(len(repeated), f'{m} id stands', f'{m} ids stand')} in two splits, "
                f"such as {min(repeated)!r}; unless they are different items, training items are tested", stacklevel=3,
            )
    if untrained and drawn:
        raise InputError(
            f"--split={data.split_facts['name']}: {'; '.join(untrained)}; draw by another --split_seed, or give the "
            "training split more items"
        )
    if untrained:
        warnings.warn(f"dataset {data.name}: {'; '.join(untrained)}", stacklevel=3)
