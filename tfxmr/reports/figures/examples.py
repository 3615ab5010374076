"""Examples of retrieval: some queries, each with its five best gallery items, marked right or wrong."""
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxmr.core import classes as class_labels
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data import MultiModalData
from tfxmr.evaluation.protocol import Protocol
from tfxmr.evaluation.similarity import scorer
from tfxmr.extraction.media import media, names
from tfxmr.reports.figures import style, texts
from tfxmr.reports.figures.rankings import Item, Ranking

BEST = 5  # items shown of each ranking
MARKS = {True: ("✓ right", style.PALETTE[0]), False: ("✗ wrong", style.PALETTE[1])}
TEXT_SIZE = 6
TEXT_WIDTH, TEXT_LINES = 73, 10  # points, and lines, that fit into a cell


@style.styled
def draw(
    rankings: Sequence[Ranking], data: MultiModalData, protocol: Protocol, title: str, queries: int = 3,
    query_ids: Sequence[str] = (), seed: int = 0, **places: str | None,
) -> dict[str, Figure]:
    """Draws examples, as figure 3 of Wu et al., Pattern Recognition 2020: one figure a task, one row a query.

    Args:
      rankings: list of tfxmr.reports.figures.rankings.Ranking.
      data: MultiModalData.
      protocol: tfxmr.evaluation.protocol.Protocol.
      title: of the figures.
      queries: number of queries of each task, drawn at random, of different classes as far as there are.
      query_ids: ids of the queries instead, or their rows in the test split (from 0) where they have no ids.
      seed: of the draw.
      **places: data_dir and manual_dir, as in `tfxmr.extraction.media.media`.

    Returns:
      {"examples_image_to_text_unseen": Figure, ...}, of the tasks that have one of the queries.

    Raises:
      InputError: an id that no task has.
    """
    found = {
        f"examples_{stem}": (ranking, chosen, best(ranking, chosen))
        for stem, ranking, chosen in pick(rankings, data, queries, query_ids, seed)
    }
    shown = media_of(data, found.values(), places)
    return {stem: _figure(*parts, data, title, shown, not query_ids) for stem, parts in found.items()}


def pick(
    rankings: Sequence[Ranking], data: MultiModalData, queries: int, query_ids: Sequence[str], seed: int
) -> list[tuple[str, Ranking, list[int]]]:
    """The queries of each task that are shown; arguments and errors as of `draw`.

    Returns:
      list of (end of the file's name, Ranking, indices of its queries), of the tasks that have one of them.
    """
    found, missing = [], set(query_ids)
    for number, ranking in enumerate(rankings):
        if query_ids:
            own = {name: i for i, name in enumerate(_names(data, ranking.query_items))}
            chosen = [own[name] for name in query_ids if name in own]
            missing -= own.keys()
        else:
            chosen = choose(ranking.query_labels, queries, np.random.default_rng([seed, number]))
        if chosen:
            found.append((f"{ranking.task.replace('->', '_to_')}_{ranking.classes}", ranking, chosen))
    if missing:
        known = ", ".join(_names(data, rankings[0].query_items[:3]))
        raise InputError(f"--query_ids: no query is called {', '.join(sorted(missing))}; there are {known}, ...")
    return found


def choose(labels: NDArray, count: int, rng: np.random.Generator) -> list[int]:
    """Draws `count` items with labels (n,) or (n, C), of different classes as far as there are; list of indices."""
    order = rng.permutation(len(labels))
    turn = np.zeros(len(labels), int)  # how many of its class come before an item
    for _, having in class_labels.members(labels):
        own = order[having[order]]
        turn[own] = np.maximum(turn[own], np.arange(len(own)))
    return order[np.argsort(turn[order], kind="stable")][:count].tolist()


def best(ranking: Ranking, chosen: Sequence[int], count: int = BEST) -> NDArray[np.int_]:
    """The best items of some queries.

    Args:
      ranking: of a task, with Q queries and G gallery items.
      chosen: indices of c queries, 0..Q-1.
      count: items of each, at most.

    Returns:
      int (c, min(count, G)), gallery indices, best first.
    """
    score, _, _ = scorer(ranking.query[chosen], ranking.gallery, ranking.similarity)
    return np.argsort(-score(slice(None)), axis=1, kind="stable")[:, :count]


def _figure(
    ranking: Ranking, chosen: Sequence[int], found: NDArray, data: MultiModalData, title: str, shown: dict[Item, Any],
    drawn: bool,
) -> Figure:
    group = "" if ranking.classes == "all" else f", {ranking.classes} classes"
    told = (
        f"{style.arrow(ranking.task)}{group}: {shown_of(ranking, chosen, drawn)}, and the {found.shape[1]} best of "
        f"{len(ranking.gallery_labels)} in the gallery"
    )
    figure, cells = style.cells(len(chosen), 1 + found.shape[1], f"{title}\n{told}")
    for row, query, items in zip(cells, chosen, found, strict=True):
        label = ranking.query_labels[query]
        cell(row[0], shown[ranking.query_items[query]], f"query\n{class_of(data, label)}", "black")
        right = ranking.right(query, items)
        for place, (axes, item) in enumerate(zip(row[1:], items, strict=True), 1):
            mark, colour = MARKS[bool(right[place - 1])]
            heading = f"{place} {mark}\n{class_of(data, ranking.gallery_labels[item])}"
            cell(axes, shown[ranking.gallery_items[item]], heading, colour)
    return figure


def shown_of(ranking: Ranking, chosen: Sequence[int], drawn: bool) -> str:
    """Which queries of a ranking a figure shows, such as "3 of 60 queries (drawn at random)".

    Args:
      ranking: with all queries.
      chosen: indices of those that are shown.
      drawn: True if they were drawn, False if they were named.
    """
    queries = counted(len(ranking.query_labels), "query")
    return f"{len(chosen):,} of {queries} ({'drawn at random' if drawn else 'named'})"


def cell(axes: Axes, medium: NDArray | str, heading: str, colour: str) -> None:
    """Shows an image or a text in a frame, under a heading.

    Args:
      axes: the cell, one of style.cells.
      medium: uint8 (height, width, 3), or a text.
      heading: of a line or two.
      colour: of the heading and the frame.
    """
    style.frame(axes, heading, colour)
    if isinstance(medium, str):
        text = "\n".join(texts.wrap(medium, TEXT_SIZE, TEXT_WIDTH, TEXT_LINES))
        shown = axes.text(0.04, 0.96, text, transform=axes.transAxes, fontsize=TEXT_SIZE, va="top", clip_on=True)
        shown.set_in_layout(False)  # else the cells shrink to make room for it
    else:
        axes.imshow(medium)


def media_of(
    data: MultiModalData, found: Iterable[tuple[Ranking, Sequence[int], NDArray]], places: dict[str, Any]
) -> dict[Item, Any]:
    """(split, modality, row) -> image, text or name of all items to be shown; each dataset's files are read once.

    Args:
      data, places: as of `draw`.
      found: of each figure a Ranking, its queries, and the gallery items (queries, n) shown with each.
    """
    items: dict[tuple[str, str], dict[Item, Any]] = {}
    for ranking, chosen, best_items in found:
        for item in [ranking.query_items[i] for i in chosen] + [ranking.gallery_items[i] for i in best_items.ravel()]:
            items.setdefault(item[:2], {})[item] = None
    for (split, modality), own in items.items():
        own.update(zip(own, media(data, split, modality, [row for _, _, row in own], **places), strict=True))
    return {item: medium for own in items.values() for item, medium in own.items()}


def _names(data: MultiModalData, items: Iterable[Item]) -> list[str]:
    return [names(data, split, modality, [row])[0] for split, modality, row in items]


def class_of(data: MultiModalData, label: Any) -> str:
    """What a figure calls a label, int or bool (C,): the names of its classes, or their numbers."""
    told = class_labels.name(label, data.class_names, "item " if data.instances else "class ")
    return told.replace(class_labels.SEPARATOR, ", ") if np.ndim(label) else told  # lines are broken at spaces
