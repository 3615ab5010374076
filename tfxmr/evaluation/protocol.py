"""Protocols: which classes train, who queries, who is searched, and how similarity is measured."""
import dataclasses
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core import classes as class_labels
from tfxmr.core.errors import InputError
from tfxmr.core.settings import Settings, seed_setting, setting
from tfxmr.core.wording import counted
from tfxmr.evaluation.ranking import DENOMINATORS, NO_RELEVANT, TIES
from tfxmr.evaluation.similarity import SIMILARITIES

CLASS_SPLITS = ("parity", "random", "list")
# Share of the classes that are to be unseen -> whether a zero-based label is (the rules of DADN's code). The true
# share differs: at .3, of 10 classes 4 are.
UNSEEN_SHARES = {
    0.1: lambda label: label % 10 == 0,
    0.3: lambda label: label % 3 == 0,
    0.5: lambda label: label % 2 == 0,
    0.7: lambda label: label % 3 != 0,
    0.9: lambda label: label % 10 != 0,
}
ZSCORES = ("none", "train", "group", "query")


# What each published evaluation does. The releases of ACMR, DSCMR and SDML divide a cut ranking by its hits and sort
# stably; ACMR compares by distance; CM-GANs z-scores the queries alone; DADN z-scores every group by itself; the group
# at Peking University searches 462 of Wikipedia's 693 test pairs.
_ZERO_SHOT = {"gallery": "train"}
_STANDARD = {"gallery": "test"}
PRESETS: dict[str, dict[str, Any]] = {
    "zero_shot": _ZERO_SHOT,
    "generalised": _ZERO_SHOT | {"generalised": True},
    "standard": _STANDARD,
    "danzcr": _ZERO_SHOT,
    "dadn": _ZERO_SHOT | {"normalisation": "group_zscore"},
    "ms2gan": _STANDARD,
    "acmr@50": _STANDARD | {"similarity": "l2", "cut": 50, "denominator": "hits", "ties": "index"},
    "dscmr": _STANDARD | {"ties": "index"},
    "sdml@50": _STANDARD | {"cut": 50, "denominator": "hits", "ties": "index"},
    "cm_gan": _STANDARD | {"normalisation": "query_zscore"},
    "pku462": _STANDARD,
}
SPLITS_OF = {"pku462": "pku462"}  # protocol -> the --split that it needs


@dataclasses.dataclass(frozen=True)
class UnseenOptions(Settings):
    """Which classes are unseen."""

    class_split: str = setting(
        "parity",
        "How zero_shot chooses the unseen classes: parity (even zero-based labels), random (a half, by --class_seed), "
        "list (--unseen_classes).",
        choices=CLASS_SPLITS,
    )
    unseen_share: float = setting(
        0.5, "Share of unseen classes, 0.1, 0.3, 0.5, 0.7 or 0.9. With --class_split=parity by DADN's rules: labels "
        "that 10, 3 or 2 divides are unseen, at 0.7 and 0.9 those that 3 or 10 does not; with random that share of "
        "them.", choices=tuple(UNSEEN_SHARES),
    )
    unseen_classes: tuple[str, ...] = setting((), "Names or zero-based labels; implies --class_split=list.")
    class_seed: int = seed_setting("Seed of --class_split=random.")


@dataclasses.dataclass(frozen=True)
class ProtocolOptions(UnseenOptions):
    """What is asked of a protocol; `make` finds what a dataset makes of it. None is the preset's own choice."""

    protocol: str = setting(
        "zero_shot",
        "zero_shot: train on seen classes, query test items against training items within the unseen and within the "
        "seen classes; generalised: the same queries, each against the training items of all classes; standard: train "
        "on all, query test against test, the default for data without word vectors of the class names and for several "
        "classes an item (unless unseen classes are asked for). The others reproduce what the published code of that "
        "name does.",
        choices=tuple(PRESETS), affects="scoring",
    )
    labels_per_class: int = setting(
        0, "Training items of each class whose labels are known; the others are not trained on. 0: all.", minimum=0
    )
    labels_seed: int = seed_setting("Seed of the draw of --labels_per_class.")
    gallery: str | None = setting(
        None, "Split that is searched; default: the protocol's own.", choices=("train", "test"), affects="scoring"
    )
    similarity: str | None = setting(
        None, "How representations are compared; l2: by distance. Default: the protocol's own, as of all flags below, "
        "or where it has none the method's, which is cosine for most.",
        choices=SIMILARITIES, affects="scoring",
    )
    cut: int | None = setting(
        None, "Rank at which average precision stops; 0: none.", minimum=0, affects="scoring"
    )
    denominator: str | None = setting(
        None, "What the sum of precisions is divided by: all relevant items of the gallery, at most the cut, or those "
        "found up to the cut.", choices=DENOMINATORS, affects="scoring",
    )
    ties: str | None = setting(
        None, "Equal similarities. group: they stand together at their last rank; index: in the gallery's order.",
        choices=TIES, affects="scoring",
    )
    no_relevant: str | None = setting(
        None, "Whether a query without a relevant item counts as 0 or is dropped; a warning says how many there are.",
        choices=NO_RELEVANT, affects="scoring",
    )
    normalisation: str | None = setting(
        None, "Z-score the representations before they are compared, by the statistics of the training items (train), "
        "of each group of queries and each gallery by itself (group, as DADN's evaluation), or of the queries and of "
        "them alone (query, as that of CM-GANs).", choices=ZSCORES, affects="scoring", flag="eval_znorm",
    )
    # MSCOCO's "1K" is 5 folds of its 5,000 test images, its "5K" 1 (Faghri et al., BMVC 2018).
    folds: int | None = setting(
        None, "Data without classes: equal parts of the test items that are searched each by itself, the metrics their "
        "means; 5 for the 1K results of mscoco's 5,000 test images. Default 1.", minimum=1, affects="scoring",
    )
    all_modalities: bool = setting(
        False, "Adds tasks that search the items of all modalities together, without the query itself.",
        affects="scoring",
    )

    def make(self, data: Any, method_similarity: str | None = None) -> "Protocol":
        """The Protocol that is asked for; see the function `make`, whose arguments these are."""
        asked = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        if self.unseen_classes:
            asked["class_split"] = "list"
        if self.normalisation not in (None, "none"):
            asked["normalisation"] += "_zscore"
        return make(asked.pop("protocol"), data, method_similarity=method_similarity, **asked)


@dataclasses.dataclass(frozen=True)
class Task:
    """One retrieval task: queries of one modality against a gallery of another, or of all. It holds rows, no features.

    Attributes:
      query_modality: modality name.
      gallery_modalities: names of the modalities that are searched together, often one.
      classes: "seen", "unseen" or "all".
      splits: split name -> Split, whose rows these are.
      query_split: split of the queries.
      query_rows: (Q,).
      gallery_split: split that is searched.
      gallery_rows: modality -> (G_m,).
      query_labels: (Q,), or of several classes an item bool (Q, C).
      gallery_labels: (G,) or (G, C), the modalities' after each other.
      query_ids, gallery_ids: (Q,) and (G,) names of the items where a query could find itself, which is not ranked
        then; else None.
    """

    query_modality: str
    gallery_modalities: tuple
    classes: str
    splits: dict = dataclasses.field(repr=False)
    query_split: str
    query_rows: np.ndarray
    gallery_split: str
    gallery_rows: dict
    query_labels: np.ndarray
    gallery_labels: np.ndarray
    query_ids: list | None = None
    gallery_ids: list | None = None

    @property
    def name(self) -> str:
        """The task as tables call it: "image->text", or "image->all"."""
        other = self.gallery_modalities[0] if len(self.gallery_modalities) == 1 else "all"
        return f"{self.query_modality}->{other}"

    @property
    def query(self) -> Any:
        """The queries' features, as Split.of gives them."""
        return self.splits[self.query_split].of(self.query_modality, self.query_rows)

    @property
    def gallery(self) -> dict[str, Any]:
        """The gallery's features, modality -> as Split.of gives them."""
        return {m: self.splits[self.gallery_split].of(m, self.gallery_rows[m]) for m in self.gallery_modalities}


@dataclasses.dataclass(frozen=True)
class Protocol:
    """How a result is measured; it is printed, logged and stored with every value.

    Attributes that ProtocolOptions has, too, are told there; beside them:

    Attributes:
      name: one of PRESETS. Those with unseen classes train on the seen ones, and query with items of the seen and with
        items of the unseen ones; the others train on all classes and search the test split.
      unseen: labels of the unseen classes; empty for the standard protocol.
      class_split: how the unseen classes were chosen.
      similarity: "own" where the method compares by itself.
      cut: None ranks the full gallery.
      normalisation: "none", "train_zscore" and so on, see tfxmr.evaluation.retrieval.normalise.
      generalised: True if queries of seen and of unseen classes search the gallery of all classes; else each group of
        classes is searched by itself.
      selected_on: what the training step was chosen on; "none" means the last step.
      held_out: share of the training items that was held out for validation; 0: none.
    """

    name: str
    gallery: str
    unseen: tuple = ()
    class_split: str = "none"
    similarity: str = "cosine"
    cut: int | None = None
    denominator: str = "relevant"
    ties: str = "group"
    no_relevant: str = "zero"
    normalisation: str = "none"
    generalised: bool = False
    all_modalities: bool = False
    folds: int = 1
    selected_on: str = "none"
    held_out: float = 0.0
    labels_per_class: int = 0
    labels_seed: int = 0

    def training_data(self, data: Any, validation_fraction: float = 0.0, seed: int = 0) -> Any:
        """Restricts data to what a method may train on.

        Unseen classes are gone altogether: their items, names and class embeddings. The seen ones are numbered
        anew, 0..S-1 in their old order.

        Args:
          data: MultiModalData.
          validation_fraction: share of the training pairs held out as split "validation", in [0, 1); 0 keeps
            the dataset's own validation split, if it has one. tfxmr.runs.selection.held_out gives a run's.
          seed: of the draw of the held-out pairs.

        Returns:
          MultiModalData with the splits "train" and perhaps "validation".

        Raises:
          InputError: a share to hold out beside the dataset's own validation split, or one that leaves nothing.
        """
        if validation_fraction and "validation" in data.splits:
            raise InputError(
                f"--validation_fraction={validation_fraction}: dataset {data.name} has a validation split of its own "
                f"({data.size('validation')}), which is used; omit the flag, or give --validation_fraction=0"
            )
        seen = [c for c in range(data.num_classes) if c not in self.unseen]
        splits = {}
        for name in ("train", "validation"):
            if name in data.splits:
                kept = data.splits[name].of_classes(seen)
                labels = {m: class_labels.renumbered(y, seen, data.num_classes) for m, y in kept.labels.items()}
                splits[name] = dataclasses.replace(kept, labels=labels)
        if self.labels_per_class:
            names = [data.class_names[c] if data.class_names else str(c) for c in seen]
            splits["train"] = few(splits["train"], self.labels_per_class, self.labels_seed, names)
        if validation_fraction:
            splits["train"], splits["validation"] = hold_out(splits["train"], validation_fraction, seed, data.repeated)
        return dataclasses.replace(
            data,
            splits=splits,
            class_names=[data.class_names[c] for c in seen] if data.class_names else [],
            class_embeddings=None if data.class_embeddings is None else data.class_embeddings[seen],
            features={view: facts for view, facts in data.features.items() if view in data.views},
        )

    def tasks(self, data: Any, queries: str = "test") -> list[Task]:
        """Lists the retrieval tasks on `data`: every ordered pair of modalities, within each class group.

        Args:
          data: MultiModalData.
          queries: split of the queries.

        Returns:
          list of Task.
        """
        groups: dict[str, Iterable[int]] = {"all": range(data.num_classes)}
        if self.unseen:
            seen = [c for c in range(data.num_classes) if c not in self.unseen]
            groups = {"unseen": self.unseen, "seen": seen}
        found: list[Task] = []
        for group, classes in groups.items():
            searched = range(data.num_classes) if self.generalised else classes
            query = _rows(data.splits[queries], classes, data.repeated)
            gallery = _rows(data.splits[self.gallery], searched, data.repeated)
            for m in data.modalities:
                others = [(other,) for other in data.modalities if other != m]
                others += [tuple(data.modalities)] if self.all_modalities else []
                found.extend(
                    self._task(data.splits, m, modalities, group, queries, query, gallery) for modalities in others
                )
        return found

    def _task(
        self, splits: dict[str, Any], modality: str, modalities: tuple[str, ...], group: str, queries: str, query: Any,
        gallery: Any,
    ) -> Task:
        query_labels = splits[queries].labels[modality][query[modality]]
        labels = np.concatenate([splits[self.gallery].labels[m][gallery[m]] for m in modalities])
        if not len(query_labels) or not len(labels):
            raise InputError(
                f"protocol {self.name}: no {group} items to search ({counted(len(query_labels), f'{modality} query')} "
                f"in the {queries} split, {counted(len(labels), ' or '.join(modalities) + ' item')} in the "
                f"{self.gallery} split); choose other --unseen_classes"
            )
        ids = {}
        if self.gallery == queries and modality in modalities:  # not all data have ids
            ids["query_ids"] = _names(modality, query)
            ids["gallery_ids"] = [name for m in modalities for name in _names(m, gallery)]
        rows = query[modality], {m: gallery[m] for m in modalities}
        return Task(
            modality, modalities, group, splits, queries, rows[0], self.gallery, rows[1], query_labels, labels, **ids
        )

    def facts(self, data: Any) -> dict[str, Any]:
        """What results.json stores of the protocol; class names stand for labels where they are known."""
        facts = dataclasses.asdict(self)
        facts["split"] = data.split_facts.get("name", "official")
        if not self.labels_per_class:
            del facts["labels_per_class"], facts["labels_seed"]
        facts["unseen"] = [data.class_names[c] if data.class_names else int(c) for c in self.unseen]
        return facts


def _rows(split: Any, classes: Any, repeated: Sequence[str]) -> dict[str, NDArray]:
    """The rows of a split's items of some classes, modality -> (n,); one row of each item that is `repeated`."""
    found = {}
    for m in split.modalities:
        rows = split.items_of(m)[0] if m in repeated else np.arange(len(split.labels[m]))
        found[m] = rows[class_labels.having(split.labels[m][rows], classes)]
    return found


def _names(modality: str, rows: NDArray) -> list[str]:
    return [f"{modality} {row}" for row in rows[modality]]


def few(split: Any, count: int, seed: int, names: Any) -> Any:
    """Draws `count` items of each class of a split, of each modality where they are no pairs.

    Items of several classes count for each of them: of each class the first `count` of one random order are taken, so
    that a class may have more.

    Args:
      split: Split.
      count: at least 1.
      seed: of the draw.
      names: of the classes.

    Returns:
      Split.

    Raises:
      InputError: a class has fewer items, or one item is several rows.
    """
    rng, rows = np.random.default_rng(seed), {}
    for m, order in split.permute(rng).items():
        labels = split.labels[m][order]
        counts = class_labels.counts(labels, len(names))
        if (counts < count).any():
            c = int(np.argmin(counts))
            raise InputError(
                f"--labels_per_class={count}: class {names[c]} has {counted(counts[c], f'training {m} item')}; give "
                "that at most"
            )
        rows[m] = np.unique(np.concatenate([order[having][:count] for _, having in class_labels.members(labels)]))
    return split.take(rows)


def hold_out(split: Any, fraction: float, seed: int, repeated: Sequence[str] = ()) -> tuple[Any, Any]:
    """Splits off a random share of the items, of each modality where they are no pairs.

    Of items that are no pairs, none is held out that would be missed: a class keeps an item in each modality, or it
    could not train.

    Args:
      split: Split.
      fraction: the share, in (0, 1).
      seed: of the draw.
      repeated: modalities, see MultiModalData, of whose items it is a share; their rows stay together.

    Returns:
      (rest, held-out), Splits.
    """
    # By hand, as `few`: scikit-learn's train_test_split knows no modalities with items of their own.
    rng = np.random.default_rng(seed)
    orders = split.permute(rng)
    if repeated:
        _, items = split.items_of(repeated[0])
        orders = dict.fromkeys(split.modalities, rng.permutation(items.max() + 1))
    rest, held = {}, {}
    for m, order in orders.items():
        size = round(fraction * len(order))
        if not 0 < size < len(order):
            what = "training pair" if split.paired else f"training {m} item"
            raise InputError(
                f"--validation_fraction={fraction}: leaves {size:,} of {counted(len(order), what)} to hold out; give "
                "another share, or --select=last with --validation_fraction=0"
            )
        rest[m], held[m] = np.sort(order[size:]), np.sort(order[:size])
        if repeated:
            rest[m], held[m] = (np.flatnonzero(np.isin(items, part)) for part in (rest[m], held[m]))
        elif not split.paired:
            labels = split.labels[m]
            lost = set(class_labels.present(labels)).difference(class_labels.present(labels[rest[m]]))
            missed = class_labels.having(labels[held[m]], lost)
            rest[m], held[m] = np.sort(np.append(rest[m], held[m][missed])), held[m][~missed]
    return split.take(rest), split.take(held)


def make(
    name: str, data: Any, class_split: str = "parity", unseen_classes: Sequence = (), class_seed: int = 0,
    method_similarity: str | None = None, unseen_share: float = 0.5, **changes: Any,
) -> Protocol:
    """Makes a protocol for a dataset.

    Args:
      name: one of PRESETS.
      data: MultiModalData.
      class_split: how a zero-shot protocol chooses the unseen classes. "parity": those of even zero-based label (the
        rule of DADN's code at 50 %); "random": a seeded random half; "list": `unseen_classes`.
      unseen_classes: names or labels, for class_split "list".
      class_seed: of the random half.
      unseen_share: one of UNSEEN_SHARES: another rule than "parity", or "random" in that share of the classes.
      method_similarity: how a method's representations are compared where neither the preset nor `changes` say it;
        None: by cosine.
      **changes: fields of Protocol that differ from the preset's, see ProtocolOptions. None takes the preset's; a cut
        of 0 is none.

    Returns:
      Protocol.

    Raises:
      InputError: unknown names, or classes that leave nothing seen or unseen.
    """
    if name not in PRESETS:
        raise InputError(f"--protocol={name}: no such protocol; there are {', '.join(PRESETS)}")
    if unseen_share not in UNSEEN_SHARES or class_split == "list" and unseen_share != 0.5:
        which = f"give one of {', '.join(map(str, UNSEEN_SHARES))}"
        which = "omit the flag: there is a list" if class_split == "list" else which
        raise InputError(f"--unseen_share={unseen_share}: {which}")
    fields = {"similarity": method_similarity or "cosine"} | PRESETS[name]
    fields |= {key: value for key, value in changes.items() if value is not None}
    fields["cut"] = fields.get("cut") or None
    needed, split = SPLITS_OF.get(name), data.split_facts.get("name", "official")
    if needed and not split.startswith(needed):
        raise InputError(f"--protocol={name}: needs --split={needed}, and the data are of --split={split}")
    _check_folds(fields.get("folds", 1), data)
    if PRESETS[name]["gallery"] == "test":
        return Protocol(name, **fields)
    if data.instances:
        raise InputError(
            f"--protocol={name}: dataset {data.name} has no classes, each item is found by its counterpart alone; use "
            "--protocol=standard"
        )
    if data.multi_label:
        raise InputError(
            f"--protocol={name}: items of dataset {data.name} have several classes, seen and unseen ones at once; use "
            "--protocol=standard"
        )
    unseen, class_split = _unseen(data, class_split, unseen_classes, class_seed, unseen_share)
    if not 0 < len(unseen) < data.num_classes - 1:
        raise InputError(
            f"--protocol={name}: {len(unseen):,} of {counted(data.num_classes, 'class')} would be unseen; at least one "
            "must be unseen and two seen (--class_split, --unseen_share, --unseen_classes)"
        )
    return Protocol(name, unseen=unseen, class_split=class_split, **fields)


def _unseen(
    data: Any, class_split: str, unseen_classes: Sequence, class_seed: int, unseen_share: float,
) -> tuple[tuple[int, ...], str]:
    """(The unseen classes, how they were chosen in words); arguments as of `make`."""
    if class_split == "parity":
        chosen: Iterable[int] = [c for c in range(data.num_classes) if UNSEEN_SHARES[unseen_share](c)]
    elif class_split == "random":
        count = int(unseen_share * data.num_classes + 1e-9)  # 0.7 x 90 is 62.99...
        chosen = np.random.default_rng(class_seed).permutation(data.num_classes)[:count]
        class_split = f"random, seed {class_seed}"
    else:
        chosen = data.labels_of(unseen_classes, "--unseen_classes")
    if unseen_share != 0.5:
        class_split += f", share {unseen_share}"
    return tuple(sorted({int(c) for c in chosen})), class_split


def _check_folds(folds: int, data: Any) -> None:
    if folds == 1:
        return
    if not data.instances:
        raise InputError(f"--folds={folds}: for data without classes, such as mscoco; dataset {data.name} has classes")
    items = len(np.unique(next(iter(data.splits["test"].labels.values()))))
    if items % folds:
        raise InputError(f"--folds={folds}: does not divide the {counted(items, 'test item')} into equal parts")
