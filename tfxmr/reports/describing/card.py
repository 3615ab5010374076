"""A data set's card: tables of what is in it, findings in words, and the commands that come next.

The order: items and classes, then ids and media, then the numbers of each view, then duplicates, at last what a run
would say of it: protocols with chance levels, methods with their refusals.
"""
import dataclasses
import hashlib
import itertools
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from tfxmr.core import classes
from tfxmr.core.errors import InputError
from tfxmr.core.progress import Progress
from tfxmr.core.wording import agreeing, counted
from tfxmr.data import MultiModalData, views
from tfxmr.data.memmap import Matrix
from tfxmr.evaluation.protocol import UnseenOptions
from tfxmr.extraction.dataset import Dataset
from tfxmr.extraction.options import DataOptions
from tfxmr.reports.describing import duplicates, fitting, quantities
from tfxmr.reports.describing.options import CardOptions
from tfxmr.reports.describing.quantities import Texts

Row = dict[str, Any]
UNEQUAL = 3  # times as many items in the largest class as in the smallest: from there on it is told
COMMON = 0.1  # share of near duplicates from which on a view tells items badly apart, and finds no copies
MANY = 10  # and so many of them
TOGETHER = 10  # pairs of classes that are told
FEW = 10  # columns of a view so narrow that unrelated items come near each other in it


@dataclasses.dataclass(frozen=True)
class Section:
    """A table of the card.

    Attributes:
      key: as JSON calls it.
      title: as text and HTML call it.
      rows: column -> cell each; one or more.
      note: what the table cannot say, in a sentence or two.
    """

    key: str
    title: str
    rows: list[Row]
    note: str = ""


@dataclasses.dataclass
class Card:
    """What is told of a data set.

    Attributes:
      dataset: what tables call it.
      description: of the data set, a line.
      warnings: what makes results wrong or weak, in words, a sentence each.
      facts: what is good to know, likewise.
      sections: the tables.
      commands: lines that can be given next.
    """

    dataset: str
    description: str
    warnings: list[str] = dataclasses.field(default_factory=list)
    facts: list[str] = dataclasses.field(default_factory=list)
    sections: list[Section] = dataclasses.field(default_factory=list)
    commands: list[str] = dataclasses.field(default_factory=list)

    def add(self, key: str, title: str, rows: Sequence[Row], note: str = "") -> None:
        """Adds a table, if it has rows.

        Args:
          key, title, rows, note: of the Section.
        """
        if rows:
            self.sections.append(Section(key, title, [*rows], note))

    def as_json(self) -> dict[str, Any]:
        """The card as JSON has it: the tables by their keys."""
        told = {name: getattr(self, name) for name in ("dataset", "description", "warnings", "facts", "commands")}
        return told | {section.key: section.rows for section in self.sections}


def load(dataset: Dataset, asked: DataOptions, items_only: bool) -> MultiModalData:
    """The data that a card is made of: with the features of a run, leaking ones too, or without columns.

    Raises:
      InputError: they cannot be loaded; or features come as files, so that items cannot be had without.
    """
    if not items_only:
        return dataclasses.replace(asked, allow_leaks=True).load_data()
    if not dataset.has_media:
        raise InputError(f"--items_only: dataset {dataset.name} has features and no media; omit the flag")
    return dataset.items(asked)


def make(
    dataset: Dataset, asked: DataOptions, options: CardOptions, unseen: UnseenOptions, flags: Sequence[str] = (),
) -> Card:
    """Makes the card of a data set.

    Args:
      dataset: the one that is asked.
      asked: which data of it.
      options: how much is looked at.
      unseen: which classes are unseen under zero-shot protocols.
      flags: that name the data, for commands.

    Raises:
      InputError: the data cannot be loaded.
    """
    data = load(dataset, asked, options.items_only)
    card = Card(data.shown, dataset.description)
    _items(card, data)
    _classes(card, data)
    _ids(card, data)
    if dataset.has_media:
        _media(card, data, dataset, asked)
    if not options.items_only:
        _views(card, data)
        _duplicates(card, data, options.near)
        _fitted(card, data)
    _uses(card, data, unseen, flags, options.items_only)
    return card


def _items(card: Card, data: MultiModalData) -> None:
    rows, several = [], []
    for name, split in data.splits.items():
        row: Row = {"split": name}
        for m in data.modalities:
            row[m] = len(split.items_of(m)[0]) if m in data.repeated else len(split.labels[m])
        rows.append(row | {"pairs": len(split) if split.paired else 0})
        for m in data.repeated:
            counts = quantities.several(split.ids[m])
            several.append({
                "split": name, "items": f"{m}s", "counterparts": int(counts.sum()), "least": int(counts.min()),
                "median": float(np.median(counts)), "most": int(counts.max()),
            })
    card.add("items", "Items", rows)
    card.add("sentences", "Counterparts of an item, such as sentences of an image", several)
    if not all(split.paired for split in data.splits.values()):
        groups = " | ".join("+".join(group) for group in data.splits["train"].groups)
        card.facts.append(f"Items share no rows but within {groups}: methods that learn from pairs need those.")
    if "test" not in data.splits:
        card.warnings.append("There are no test items: divide them by --split=random --split_sizes=0.8,0,0.2, or name "
                             "those that test in a column or folder of the split.")


def _class_name(data: MultiModalData, c: int) -> str:
    return str(data.class_names[c]) if data.class_names else str(c)


def _classes(card: Card, data: MultiModalData) -> None:
    """Items by class, split and modality, and how unequal classes are."""
    if data.instances:
        card.facts.append("There are no classes: an item is found by its counterparts alone, and hit@k is measured.")
        return
    counts = {}
    for name, split in data.splits.items():
        for group in split.groups:
            title = name if split.paired else f"{name} {'+'.join(group)}"
            counts[title] = classes.counts(split.labels[group[0]], data.num_classes)
    rows = [{"class": _class_name(data, c), **{title: int(n[c]) for title, n in counts.items()}}
            for c in range(data.num_classes)]
    summary = []
    for title, n in counts.items():
        ratio, even = quantities.balance(n)
        summary.append({"items": title, "classes": int((n > 0).sum()), "least": int(n.min()), "most": int(n.max()),
                        "most/least": round(ratio, 2), "as even classes": round(even, 2)})
        lacking = [_class_name(data, c) for c in np.flatnonzero(n == 0).tolist()]
        if lacking:
            card.warnings.append(f"{counted(len(lacking), 'class has', 'classes have')} no {title} items: "
                                 f"{_some(lacking)}.")
        if ratio >= UNEQUAL and title.startswith("train"):
            card.facts.append(
                f"Classes are unequal: the largest has {ratio:.1f} times the {title} items of the smallest one "
                f"({_class_name(data, int(n.argmax()))} {n.max()}, least {n[n > 0].min()}). Compare mAP with chance, "
                "and look at mAP by class (`tfxmr evaluate --by_class`)."
            )
    card.add("balance", "Balance of classes", summary, "As even classes: exp of the entropy of the classes' shares.")
    card.add("classes", "Items by class", rows)
    if data.multi_label:
        _several(card, data)


def _several(card: Card, data: MultiModalData) -> None:
    """How many classes items have, and which classes stand together most often."""
    card.facts.append("Items have several classes, and match if they share one, which raises chance.")
    rows, together = [], np.zeros((data.num_classes, data.num_classes), int)
    for name, split in data.splits.items():
        for group in split.groups:
            labels = split.labels[group[0]]
            each = labels.sum(axis=1)
            rows.append({
                "items": name if split.paired else f"{name} {'+'.join(group)}", "mean": round(float(each.mean()), 2),
                "median": float(np.median(each)), "most": int(each.max()), "of one class": int((each == 1).sum()),
                "different sets": len(np.unique(labels, axis=0)),
            })
            if name == "train":
                together += labels.T.astype(int) @ labels.astype(int)
    card.add("classes_each", "Classes an item", rows)
    of_class = np.diag(together)
    pairs = sorted(itertools.combinations(range(data.num_classes), 2), key=lambda pair: -together[pair])
    card.add("together", "Classes that stand together", [
        {"class": _class_name(data, a), "with": _class_name(data, b), "training items": int(together[a, b]),
         "of the rarer one's": round(float(together[a, b] / min(of_class[a], of_class[b])), 2)}
        for a, b in pairs[:TOGETHER] if together[a, b]
    ], f"The {TOGETHER} most frequent pairs.")


def _ids(card: Card, data: MultiModalData) -> None:
    """Ids, and by them sources, that stand in two splits."""
    rows = []
    for m in data.modalities:
        ids = {name: list(dict.fromkeys(split.ids[m])) for name, split in data.splits.items() if m in split.ids}
        found = duplicates.sources(ids, 0 if data.instances else data.num_classes) if ids else None
        for a, b in itertools.combinations(ids, 2):
            same = sorted({*ids[a]} & {*ids[b]})
            if same:
                card.warnings.append(f"{counted(len(same), f'{m} id stands', f'{m} ids stand')} in both {a} and {b}, "
                                     f"such as {same[0]!r}: unless they are different items, what trains is tested.")
            row: Row = {"modality": m, "splits": f"{a}, {b}", "ids in both": len(same)}
            if found:
                separator, source = found
                shared = {*source[a]} & {*source[b]}
                touched = sum(name in shared for name in source[b])
                row |= {"by": f"before {separator}", "sources in both": len(shared), f"items of {b}": touched}
                if shared:
                    card.warnings.append(
                        f"{counted(len(shared), f'source of {m} items stands', f'sources of {m} items stand')} in both "
                        f"{a} and {b}, by what ids have before the last {separator!r}, such as {min(shared)!r}: "
                        f"{touched:,} of {counted(len(source[b]), f'{b} item')} {agreeing(touched, 'comes', 'come')} "
                        "from something that the other split holds parts of."
                    )
            rows.append(row)
    card.add("ids", "Ids and sources in two splits", rows)


def _some(names: Sequence[str], shown: int = 5) -> str:
    return ", ".join(names[:shown]) + (f" and {len(names) - shown} more" if len(names) > shown else "")


def _media(card: Card, data: MultiModalData, dataset: Dataset, asked: DataOptions) -> None:
    """Texts by their words and image files by their bytes, where they are at hand."""
    if "text" in data.modalities and all("text" in split.ids for split in data.splits.values()):
        _texts(card, data, dataset, asked)
    for m in data.modalities:
        if all(m in split.ids for split in data.splits.values()) and m != "text":
            _files(card, data, m, dataset, asked)


def _texts(card: Card, data: MultiModalData, dataset: Dataset, asked: DataOptions) -> None:
    read, rows = dataset.reader(asked), []
    found: dict[str, Texts] = {}
    for name, split in data.splits.items():
        with Progress(f"texts of {name}", "text", len(split.ids["text"])) as told:
            texts = _told(read("text", split.ids["text"]), told)
            first = next(texts, None)
            if first is None:  # no text is at hand, and none follows
                return
            found[name] = texts_of = Texts(
                (text or "" for text in itertools.chain([first], texts)),
                None if name == "train" else found["train"].words,
            )
        rows.append({"split": name, **texts_of.facts()})
        if texts_of.empty:
            card.warnings.append(f"{texts_of.empty:,} of {counted(texts_of.count, f'{name} text')} "
                                 f"{agreeing(texts_of.empty, 'has', 'have')} no word.")
        if texts_of.strange:
            card.warnings.append(
                f"{texts_of.strange:,} of {counted(texts_of.count, f'{name} text')} "
                f"{agreeing(texts_of.strange, 'has', 'have')} no word of a training text."
            )
    for a, b in itertools.combinations(found, 2):
        same = duplicates.exact(found[a].digests, found[b].digests).count
        if same:
            card.facts.append(f"{same:,} of {counted(found[b].count, f'{b} text')} {agreeing(same, 'has', 'have')} the "
                              f"words of a {a} text, in order.")
    card.add("texts", "Texts", rows, "Words of two letters or more. Words unknown: share of the vocabulary that no "
             "training text has.")


def _told(items: Any, told: Progress) -> Iterator[Any]:
    for number, item in enumerate(items, 1):
        told.update(number)
        yield item


def _files(card: Card, data: MultiModalData, modality: str, dataset: Dataset, asked: DataOptions) -> None:
    digested: dict[str, list[bytes | None]] = {}
    for name, split in data.splits.items():
        places = dataset.places(modality, list(dict.fromkeys(split.ids[modality])), asked)
        if not any(places):
            return
        with Progress(f"{modality} files of {name}", "file", len(places)) as told:
            digested[name] = [None if path is None else hashlib.file_digest(path.open("rb"), "sha256").digest()
                              for path in _told(places, told)]
    rows = [{"split": name, "files": len(d) - d.count(None), "of equal bytes": duplicates.repeated(d)}
            for name, d in digested.items()]
    for a, b in itertools.combinations(digested, 2):
        same = duplicates.exact(digested[a], digested[b]).count
        rows.append({"split": f"{a}, {b}", "files": len(digested[b]), "of equal bytes": same})
        if same:
            card.warnings.append(f"{same:,} of {counted(len(digested[b]), f'{b} {modality} file')} "
                                 f"{agreeing(same, 'is', 'are')}, byte by byte, {agreeing(same, 'a file', 'files')} of "
                                 f"{a}.")
    card.add(f"{modality}_files", f"Files of {modality}s", rows)


def _views(card: Card, data: MultiModalData) -> None:
    """Width, rank, zeros and constants of each view."""
    rows = []
    for view in data.views:
        held = {name: _distinct(data, name, view) for name in data.splits}
        train, zeros = held["train"], {name: quantities.zero_rows(x) for name, x in held.items()}
        kind, dim = views.kind(train), views.dim(train)
        row: Row = {"view": view, "kind": kind, "width": str(dim) if isinstance(dim, tuple) else dim}
        if kind != "tokens":
            row["constant"] = quantities.constant_columns(train)
        if kind == "vector":
            row["effective rank"] = round(quantities.effective_rank(train), 1)
            # Closed-form methods invert covariances of as many rows and columns as a view has.
            if isinstance(dim, int) and dim > len(train):
                card.facts.append(f"The view {view} has more features than training items ({dim} > {len(train)}): "
                                  "methods without regularisation fit them exactly.")
        rows.append(row | {f"zero in {name}": count for name, count in zeros.items()})
        for name, count in zeros.items():
            if count:
                what = "no known word" if views.modality_of(view) == "text" else "nothing but zeros"
                card.warnings.append(f"{count:,} of {counted(len(held[name]), f'{name} row')} of the view {view} "
                                     f"{agreeing(count, 'holds', 'hold')} {what}: nothing tells such items apart.")
        if row.get("constant"):
            card.facts.append(f"{counted(row['constant'], 'column')} of the view {view} "
                              f"{agreeing(row['constant'], 'has', 'have')} one value in all training rows.")
    card.add("views", "Views", rows, "Effective rank: exp of the entropy of the shares of the singular values, of at "
             f"most {quantities.SAMPLE} training rows. Constant: columns of one value in all training rows.")


def _distinct(data: MultiModalData, split: str, view: str) -> Matrix:
    """A view's array, each item once."""
    m, held = views.modality_of(view), data.splits[split]
    if m not in data.repeated:
        return held.features[view]
    return held.only([m]).take(held.items_of(m)[0]).features[view]


def _duplicates(card: Card, data: MultiModalData, least: float) -> None:
    """Equal and near rows across splits, of each view and of whole pairs."""
    vectors = [view for view in data.views if views.kind(data.splits["train"].features[view]) == "vector"]
    default = [m for m in data.modalities if m in data.views]
    paired = all(split.paired for split in data.splits.values()) and len(default) > 1
    groups = [(view, [view]) for view in data.views] + ([("whole pairs", default)] if paired else [])
    rows = []
    for title, group in groups:
        whole = len(group) > 1
        held = {name: [split.features[v] if whole else _distinct(data, name, v) for v in group]
                for name, split in data.splits.items()}
        digested = {name: duplicates.digests(x) for name, x in held.items()}
        within = {f"again in {name}": duplicates.repeated(d) for name, d in digested.items()}
        for a, b in list(itertools.combinations(held, 2)) or [(next(iter(held)), "")]:
            row: Row = {"view": title, **within}
            if b:
                equal = duplicates.exact(digested[a], digested[b])
                row |= {"splits": f"{a}, {b}", "items": len(equal.twin), "equal": equal.count}
                if {*group} <= {*vectors}:
                    with Progress(f"near duplicates of {title}", "row", len(equal.twin)) as told:
                        close = duplicates.near(held[a], held[b], least, told.update)
                    row["near"] = int(((close.twin >= 0) & (equal.twin < 0)).sum())
                _warn_of(card, data, title, group, (a, b), equal, row)
            rows.append(row)
    order = ("view", "splits", "items", "equal", "near")
    rows = [{k: row[k] for k in (*order, *row) if k in row} for row in rows]
    card.add("duplicates", "Duplicates", rows, "Equal: items of the second split with the row of an item of the first. "
             f"Near: further ones with a cosine above {least:g}. Again: items with the row of an earlier one in their "
             "own split. Rows of zeros are skipped.")


def _warn_of(
    card: Card, data: MultiModalData, title: str, group: Sequence[str], names: tuple[str, str],
    equal: duplicates.Twins, row: Row,
) -> None:
    """Says in words what a row of the table of duplicates means."""
    a, b = names
    if equal.example:
        second, first = equal.example
        m = views.modality_of(group[0])
        ids = [data.splits[s].ids.get(m) if m not in data.repeated else None for s in (b, a)]
        which = f" ({ids[0][second]} and {ids[1][first]})" if ids[0] and ids[1] else f" (rows {second} and {first})"
        # Short texts may well be those of two items; one image, or a whole pair, is not.
        told = card.facts if title == "text" else card.warnings
        told.append(f"{equal.count:,} of {counted(row['items'], f'{b} item')} {agreeing(equal.count, 'has', 'have')}, "
                    f"by {title}, the features of a {a} item{which}.")
    count = row.get("near", 0)
    if not count:
        return
    widths = [data.dims[v] for v in group]
    if count > max(MANY, COMMON * row["items"]) or max(widths) <= FEW:
        card.facts.append(f"{count:,} of {counted(row['items'], f'{b} item')} {agreeing(count, 'comes', 'come')} near "
                          f"a {a} item by {title}, of {counted(max(widths), 'column')}: unrelated items do so there, "
                          "and these are hardly copies.")
    else:
        what = counted(count, f"more {b} item is a near duplicate", f"more {b} items are near duplicates")
        card.warnings.append(f"{what} of {a} items by {title}.")


def _fitted(card: Card, data: MultiModalData) -> None:
    """What features learned from, as far as their makers say it."""
    resplit = data.split_facts.get("name", "official") == "random"
    for view in data.views:
        facts = data.features.get(view, {})
        fitted = facts.get("fitted_on") or []
        if isinstance(fitted, list) and ("test" in fitted or fitted and resplit):
            card.warnings.append(f"The features of the view {view} were fitted on {', '.join(fitted)} items, of which "
                                 "some test now: `tfxmr train` refuses them without --allow_leaks.")
        if facts.get("labels_used"):
            card.facts.append(f"The features of the view {view} learned by labels: for zero-shot protocols, extract "
                              "them with the same --class_split or --unseen_classes.")


def _uses(
    card: Card, data: MultiModalData, unseen: UnseenOptions, flags: Sequence[str], items_only: bool,
) -> None:
    """Which protocols fit, with chance levels; which methods, with why not; what to type."""
    protocols = fitting.protocols(data, unseen)
    card.add("protocols", "Protocols", [
        {"protocol": ", ".join(names), "fits": "yes" if protocol else "no",
         "unseen": ", ".join(_class_name(data, c) for c in protocol.unseen) if protocol else "", "why": why}
        for names, protocol, why in protocols
    ])
    fitting_ones = [(names, protocol) for names, protocol, _ in protocols if protocol]
    for names, protocol in fitting_ones:
        card.add(f"chance_{names[0]}", f"Chance level: {', '.join(names)}", fitting.chances(protocol, data))
    if not fitting_ones:
        return
    zero_shot = data.class_embeddings is not None and any("zero_shot" in names for names, _ in fitting_ones)
    wanted = "zero_shot" if zero_shot else "standard"
    name, protocol = next(((wanted, p) for names, p in fitting_ones if wanted in names),
                          (fitting_ones[0][0][0], fitting_ones[0][1]))
    if items_only:
        card.facts.append("Methods and duplicates are told without --items_only.")
        return
    rows = fitting.methods(data, protocol)
    card.add("methods", f"Methods, by their default settings, under --protocol={name}", rows)
    card.commands += fitting.commands(flags, name, rows, data.instances)
    if data.instances:
        card.facts.append("Methods that learn from classes and fit all the same take each item for a class of its own.")
    if data.class_embeddings is None and not (data.instances or data.multi_label):
        card.facts.append("There are no word vectors of the class names: methods that map into their space, and so "
                          "classify what they never saw, need --word_vectors=FILE.")
