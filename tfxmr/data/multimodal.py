"""Aligned multi-modal arrays: what every method trains on and every protocol selects from."""
import dataclasses
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from tfxmr.core import classes as class_labels
from tfxmr.core.errors import InputError
from tfxmr.core.wording import agreeing
from tfxmr.data import memmap, views
from tfxmr.data.views import modality_of, ordered


@dataclasses.dataclass(frozen=True)
class Split:
    """The items of one split (train, validation or test).

    Attributes:
      features: view -> float32 (n_m, d), (n_m, places, d) or int32 (n_m, T), see tfxmr.data.views: an array or
        tfxmr.data.memmap.MappedMatrix. A modality has one view or more; n_m is one number for all of them.
      labels: modality -> int32 (n_m,), zero-based class of each item; or bool (n_m, C), which classes each item has,
        where an item may have several: in all modalities and splits alike. See tfxmr.core.classes.
      ids: modality -> n_m strings that name the items; modalities without names are skipped.
      unpaired: modalities whose items have no counterpart in another modality, even if the labels agree.
    """

    features: dict
    labels: dict
    ids: dict = dataclasses.field(default_factory=dict)
    unpaired: tuple = ()

    @classmethod
    def of_pairs(cls, features: dict[str, Any], labels: ArrayLike, ids: Sequence[str] | None = None) -> "Split":
        """Builds a split whose item n is the same thing in every modality.

        Args:
          features: view -> (n, ...); whole numbers become tokens, except in a default view.
          labels: (n,), or of several classes an item 0/1 (n, C); shared by all modalities.
          ids: n names shared by all modalities, or None.
        """
        names = ordered({modality_of(view) for view in features})
        labels = class_labels.as_labels(labels)
        return cls(
            features={view: views.typed(view, features[view]) for view in ordered(features)},
            labels={m: labels for m in names},
            ids={m: list(ids) for m in names} if ids is not None else {},
        )

    @property
    def modalities(self) -> list[str]:
        """Modality names in the standard order."""
        return ordered(self.labels)

    @property
    def views(self) -> list:
        """Names of the views in order, see tfxmr.data.views."""
        return ordered(self.features)

    def views_of(self, modality: str) -> list:
        """Names of the views of a modality, its default view first if it has one."""
        return [view for view in self.views if modality_of(view) == modality]

    @property
    def groups(self) -> list[list[str]]:
        """The modalities in groups that share their rows: in a group, item n is the same thing in every modality.

        There is one group of several modalities at most: those not in `unpaired`, if their labels agree.
        """
        shared = [m for m in self.modalities if m not in self.unpaired]
        if not all(np.array_equal(self.labels[shared[0]], self.labels[m]) for m in shared):
            shared = []
        return ([shared] if shared else []) + [[m] for m in self.modalities if m not in shared]

    @property
    def paired(self) -> bool:
        """True if all modalities share their rows (image n belongs to text n)."""
        return len(self.groups) == 1

    def __len__(self) -> int:
        """Number of items of the largest modality; of pairs, where items are paired."""
        return max(len(labels) for labels in self.labels.values())

    def require_classes(self, names: Sequence[str] = ()) -> None:
        """Raises InputError if a modality has no item of a class of which another one has some.

        Args:
          names: the classes' names in label order; without them the message gives the label.
        """
        classes = {m: set(class_labels.present(self.labels[m])) for m in self.modalities}
        for m in self.modalities:
            lacking = sorted(set().union(*classes.values()) - classes[m])
            if lacking:
                found = ", ".join(str(names[c]) if len(names) else f"{c} (counted from 0)" for c in lacking)
                raise InputError(
                    f"there is no {m} item to train on of class {found}, of which another modality has some; add "
                    f"some, or drop the class or all {m} items"
                )

    def permute(self, rng: np.random.Generator) -> dict[str, NDArray]:
        """Draws an order of the items.

        Args:
          rng: NumPy Generator.

        Returns:
          modality -> its n_m row numbers in random order, the same order for modalities that share their rows.
        """
        orders: dict[str, NDArray] = {}
        for group in self.groups:
            orders |= dict.fromkeys(group, rng.permutation(len(self.labels[group[0]])))
        return orders

    def of_classes(self, classes: Iterable[int]) -> "Split":
        """Keeps the items that have one of `classes` (any iterable of ints); labels are not renumbered."""
        wanted = set(classes)
        keep = {m: np.flatnonzero(class_labels.having(self.labels[m], wanted)) for m in self.modalities}
        return self.take(keep)

    def take(self, rows: Any) -> "Split":
        """Selects items.

        Args:
          rows: integer array of row numbers for all modalities, or modality -> such an array.
        """
        if not isinstance(rows, dict):
            rows = {m: rows for m in self.modalities}
        return Split(
            features={view: memmap.take(self.features[view], rows[modality_of(view)]) for view in self.views},
            labels={m: self.labels[m][rows[m]] for m in self.modalities},
            ids={m: [self.ids[m][i] for i in rows[m]] for m in self.ids},
            unpaired=self.unpaired,
        )

    def of(self, modality: str, rows: Any = None) -> Any:
        """What a method reads of a modality: its matrix, or view -> array where it reads others than the default one.

        Args:
          modality: name.
          rows: integer array of row numbers; None: all.
        """
        held = {view: self.features[view] for view in self.views_of(modality)}
        if rows is not None:
            held = {v: memmap.take(x, rows) for v, x in held.items()}
        return held[modality] if set(held) == {modality} else held

    def items_of(self, modality: str) -> tuple[NDArray, NDArray]:
        """Which rows of a modality with ids are the same item: those of one id.

        Returns:
          (the first row of each item; the item, from 0 in the order of these, of each row (n,)).
        """
        number = {name: i for i, name in enumerate(dict.fromkeys(self.ids[modality]))}
        items = np.array([number[name] for name in self.ids[modality]])
        return np.unique(items, return_index=True)[1], items

    def distinct(self, repeated: Sequence[str]) -> "Split":
        """Keeps one row of each item of the modalities `repeated`, see MultiModalData; then nothing is paired."""
        rows = {m: np.arange(len(self.labels[m])) for m in self.modalities}
        return self.take(rows | {m: self.items_of(m)[0] for m in repeated}) if repeated else self

    def only(self, modalities: Sequence[str]) -> "Split":
        """Keeps some modalities (names)."""
        return Split(
            features={view: x for view, x in self.features.items() if modality_of(view) in modalities},
            labels={m: self.labels[m] for m in modalities},
            ids={m: self.ids[m] for m in modalities if m in self.ids},
            unpaired=tuple(m for m in self.unpaired if m in modalities),
        )


@dataclasses.dataclass(frozen=True)
class MultiModalData:
    """A dataset as matrices.

    Attributes:
      name: the dataset's name, as in `--dataset`.
      splits: split name ("train", "test", perhaps "validation") -> Split.
      class_names: C names in label order; or an empty list when they are not known.
      class_embeddings: float32 (C, e), the word vector of each class name; or None.
      features: view -> facts on how its array was made (name, dimension, ...), kept with every result.
      split_facts: how the items were divided, where it is not the dataset's own way; see tfxmr.data.splits. In
        "fitted_anew" stand the views that were fitted on the training items of this division.
      instances: True if a label is the number of an item, shared by nothing but its counterpart in another modality:
        data without classes, such as images and their sentences.
      repeated: modalities of pairs of which an item stands in several rows, one for each counterpart, by one id: the
        images, where each of their five sentences is an item. In training a row is a pair; in retrieval an item is
        one item.
      source: MultiModalData of a second domain with classes of its own, of which the training split alone is used; or
        None.
      title: what tables and figures call the data, where that is another name than `name`: own data have one.
      tables: view of tokens -> float32 (V + 1, e), the vector of each word; row 0, of the padding, is zero.
      vocabularies: view of tokens -> its V + 1 words, the padding's "" first. A view has a table, or a vocabulary, or
        both.
      normalisations: view -> (kind, centre, scale), what was done to raw features, see tfxmr.data.normalisation; a view
        that is not there is as it came.
      origin: the flags, as they are typed, by which tfxmr.load_data loaded them; () of others.
      recipes: view -> the feature that made its arrays of media, or one with its `state` alone, see
        tfxmr.features.Feature; a view of which that is not known is not there.
      media: True if `tfxmr extract --dataset=<name>` reads images and texts of these items.
      media_places: "data_dir" and "manual_dir" -> where these lay when features were made of them, as far as they were
        given; "layout" and "columns" -> how media are read there, where that was given.
    """

    name: str
    splits: dict
    class_names: list
    class_embeddings: np.ndarray | None = None
    features: dict = dataclasses.field(default_factory=dict)
    split_facts: dict = dataclasses.field(default_factory=dict)
    instances: bool = False
    repeated: tuple = ()
    title: str = ""
    source: "MultiModalData | None" = None
    tables: dict = dataclasses.field(default_factory=dict)
    vocabularies: dict = dataclasses.field(default_factory=dict)
    normalisations: dict = dataclasses.field(default_factory=dict)
    origin: tuple = ()
    # How arrays came to be makes no two data sets different.
    recipes: Mapping[str, Any] = dataclasses.field(default_factory=dict, compare=False, repr=False)
    media: bool = False
    media_places: Mapping[str, str] = dataclasses.field(default_factory=dict, compare=False, repr=False)

    @property
    def shown(self) -> str:
        """What tables and figures call the data: the title, or else the name."""
        return self.title or self.name

    @property
    def modalities(self) -> list[str]:
        """Modality names in the standard order."""
        return self.splits["train"].modalities

    @property
    def views(self) -> list:
        """Names of the views in order, see tfxmr.data.views."""
        return self.splits["train"].views

    def views_of(self, modality: str) -> list:
        """Names of the views of a modality, its default view first if it has one."""
        return self.splits["train"].views_of(modality)

    @property
    def dims(self) -> dict[str, Any]:
        """View -> the shape of one item: the width d of a vector, (places, d) of a map, (T,) of tokens."""
        return {view: views.dim(self.splits["train"].features[view]) for view in self.views}

    @property
    def num_classes(self) -> int:
        """C: the number of class names, or else one more than the largest label."""
        if self.class_names:
            return len(self.class_names)
        every = [labels for s in self.splits.values() for labels in s.labels.values()]
        return every[0].shape[1] if self.multi_label else 1 + max(int(labels.max()) for labels in every)

    @property
    def multi_label(self) -> bool:
        """True if items may have several classes: labels are bool (n, C), and items match that share a class."""
        return class_labels.several(next(iter(next(iter(self.splits.values())).labels.values())))

    def only(self, modalities: Sequence[str]) -> "MultiModalData":
        """Keeps some modalities. Raises InputError if it has not got one, or for fewer than two."""
        unknown = [m for m in modalities if m not in self.modalities]
        if unknown or len(set(modalities)) < 2:
            raise InputError(
                f"--modalities={','.join(modalities)}: name two or more of {', '.join(self.modalities)}, which dataset "
                f"{self.name} has"
            )
        splits = {name: split.only(ordered(modalities)) for name, split in self.splits.items()}
        return self._with(splits)

    def reading(self, wanted: Sequence[str] = (), method: str = "this method") -> "MultiModalData":
        """Keeps the views that a method reads, and the modalities that they are of.

        Args:
          wanted: names of views; () is the default view of each modality.
          method: the method's name, for the message.

        Returns:
          MultiModalData.

        Raises:
          InputError: the data lack one of the views; says how it is made.
        """
        named = ordered(wanted or self.modalities)
        for view in named:
            if view not in self.views:
                others = ", ".join(self.views_of(view))
                raise views.refusal(self, view, named, method, f" ({others} is no matrix of vectors)" if others else "")
        kept = {modality_of(view) for view in named}
        splits = {
            name: dataclasses.replace(split, features={view: split.features[view] for view in named}).only(
                [m for m in self.modalities if m in kept])
            for name, split in self.splits.items()
        }
        return self._with(splits)

    def _with(self, splits: dict[str, Split]) -> "MultiModalData":
        """The data with splits of fewer modalities or views, and without the facts and tables of the others."""
        dropped = {*self.views, *self.modalities}.difference(splits["train"].views)

        def remaining(entries: Mapping[str, Any]) -> dict[str, Any]:
            return {name: entry for name, entry in entries.items() if name not in dropped}

        repeated = tuple(m for m in self.repeated if m in splits["train"].modalities)
        return dataclasses.replace(
            self, splits=splits, features=remaining(self.features), repeated=repeated, tables=remaining(self.tables),
            vocabularies=remaining(self.vocabularies), recipes=remaining(self.recipes),
        )

    def of_classes(self, classes: Iterable[int]) -> "MultiModalData":
        """The items of some classes (labels), which are numbered anew in their order; other classes are forgotten."""
        kept, total, splits = sorted(set(classes)), self.num_classes, {}
        for name, split in self.splits.items():
            split = split.of_classes(kept)
            labels = {m: class_labels.renumbered(y, kept, total) for m, y in split.labels.items()}
            splits[name] = dataclasses.replace(split, labels=labels)
        return dataclasses.replace(
            self, splits=splits, class_names=[self.class_names[c] for c in kept] if self.class_names else [],
            class_embeddings=None if self.class_embeddings is None else self.class_embeddings[kept],
        )

    def labels_of(self, names: Sequence[str | int], flag: str) -> list[int]:
        """The labels of classes by their names or zero-based labels; raises InputError, naming `flag`, for others."""
        found = set()
        for name in map(str.strip, map(str, names)):
            if name in self.class_names:
                found.add(self.class_names.index(name))
            elif name.isdecimal() and int(name) < self.num_classes:
                found.add(int(name))
            else:
                valid = ", ".join(self.class_names) or f"0..{self.num_classes - 1}"
                raise InputError(f"{flag}: no class {name!r}; dataset {self.shown} has {valid}")
        return sorted(found)

    def as_instances(self) -> "MultiModalData":
        """The same pairs without their classes: an item is found by its counterparts alone.

        Returns:
          MultiModalData with `instances`; labels number the items over all splits.

        Raises:
          InputError: items of different modalities are no pairs.
        """
        if self.instances:
            return self
        splits, start = {}, 0
        for name, split in self.splits.items():
            if not split.paired:
                raise InputError(
                    f"--instances: the {name} items of dataset {self.name} are no pairs, so that none has a "
                    "counterpart; omit the flag, or choose --modalities that are"
                )
            items = split.items_of(self.repeated[0])[1] if self.repeated else np.arange(len(split))
            labels = (start + items).astype(np.int32)
            splits[name] = dataclasses.replace(split, labels=dict.fromkeys(split.modalities, labels))
            start += 1 + int(items.max())
        return dataclasses.replace(
            self, splits=splits, class_names=[], class_embeddings=None, instances=True,
            features={view: facts for view, facts in self.features.items() if view != "class_embeddings"},
        )

    def size(self, split: str) -> str:
        """How many items a split (a name) has: "800 items", or "4000 pairs (800 image items)" if some are repeated."""
        found = self.splits[split]
        sizes = ((len(found.items_of(m)[0]), f"{m} item") for m in self.repeated)
        distinct = ", ".join(f"{count} {agreeing(count, noun)}" for count, noun in sizes)
        whole = f"{len(found)} {agreeing(len(found), 'pair' if distinct else 'item')}"
        return f"{whole} ({distinct})" if distinct else whole

    def require(self, modalities: Sequence[str], method: str) -> None:
        """Raises InputError if one of the modalities that `method` (a name) needs is missing."""
        missing = [m for m in modalities if m not in self.modalities]
        if missing:
            raise InputError(
                f"{method} needs the modalities {', '.join(modalities)}; dataset {self.name} has "
                f"{', '.join(self.modalities)}. Use another --model or add {', '.join(missing)}."
            )

    def require_pairs(self, modalities: Sequence[str], method: str) -> None:
        """Raises InputError if the training items of the modalities that `method` (a name) needs are no pairs."""
        if not any(set(modalities) <= set(group) for group in self.splits["train"].groups):
            raise InputError(
                f"{method} learns from items that have all of {', '.join(modalities)}; in dataset {self.name} the rows "
                "of these do not belong together. Use another --model."
            )
