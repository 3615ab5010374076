"""What carried a match: the regions of the image and the words of the text that add to a pair's similarity."""
import math
from collections.abc import Callable, Iterable, Sequence
from typing import Any

import numpy as np
from matplotlib.axes import Axes
from matplotlib.colors import to_rgb
from matplotlib.figure import Figure
from numpy.typing import ArrayLike, NDArray

from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData
from tfxmr.data.views import modality_of
from tfxmr.evaluation.retriever import Retriever
from tfxmr.reports.figures import examples, style, texts
from tfxmr.reports.figures.rankings import Item, Ranking

MATCHES = 2  # of each query, the best ones
ADDS, TAKES = style.PALETTE[4], style.PALETTE[5]
STRENGTH = 0.75  # opacity of what adds most
TEXT_SIZE = 7
TEXT_WIDTH, TEXT_LINES = 110, 11  # points, and lines, that fit into a cell


@style.styled
def draw(
    rankings: Sequence[Ranking], data: MultiModalData, prepared: MultiModalData, retriever: Retriever, title: str,
    queries: int = 3, query_ids: Sequence[str] = (), seed: int = 0, **places: str | None,
) -> dict[str, Figure]:
    """Draws some queries, each with its best matches as pairs of an image and a text: one figure a task.

    Args:
      rankings: list of tfxmr.reports.figures.rankings.Ranking, between images and texts.
      data: MultiModalData.
      prepared: the same, normalised as in training.
      retriever: tfxmr.evaluation.Retriever with `carried`.
      title: of the figures.
      queries, query_ids, seed, places: as in tfxmr.reports.figures.examples.draw.

    Returns:
      {"attention_image_to_text_all": Figure, ...}, of the tasks that have one of the queries.

    Raises:
      InputError: a method without attention, or an id that no task has.
    """
    if retriever.carried is None:
        raise InputError(
            "--figure=attention: this method has no attention over regions and words to show; mcsm has, and "
            "--figure=examples shows what any method finds"
        )
    found = {
        f"attention_{stem}": (ranking, chosen, examples.best(ranking, chosen, MATCHES))
        for stem, ranking, chosen in examples.pick(rankings, data, queries, query_ids, seed)
    }
    shown = examples.media_of(data, found.values(), places)
    return {
        stem: _figure(*parts, data, prepared, retriever.carried, title, shown, not query_ids)
        for stem, parts in found.items()
    }


def _figure(
    ranking: Ranking, chosen: Sequence[int], found: NDArray, data: MultiModalData, prepared: MultiModalData,
    carry: Callable, title: str, shown: dict[Item, Any], drawn: bool,
) -> Figure:
    count = found.shape[1]
    group = "" if ranking.classes == "all" else f", {ranking.classes} classes"
    told = (f"{style.arrow(ranking.task)}{group}: {examples.shown_of(ranking, chosen, drawn)}, each with its {count} "
            f"best of {len(ranking.gallery_labels)}, and what carried the match")
    figure, cells = style.cells(len(chosen), 2 * count, f"{title}\n{told}", [
        "number: the pair's similarity in this branch; orange adds to it, blue takes from it; the fullest colour is "
        "the largest share",
    ])
    pairs = [(ranking.query_items[query], ranking.gallery_items[item])
             for query, items in zip(chosen, found, strict=True) for item in items]
    images, texts = ([next(item for item in pair if item[1] == m) for pair in pairs] for m in ("image", "text"))
    carried = carry(*(features_of(prepared, items) for items in (images, texts)))
    correct = np.concatenate([ranking.right(query, items) for query, items in zip(chosen, found, strict=True)])
    for n, (image, text, right) in enumerate(zip(images, texts, correct, strict=True)):
        row, place = divmod(n, count)
        mark, colour = examples.MARKS[bool(right)]
        for axes, item in zip(cells[row, 2 * place : 2 * place + 2], (image, text), strict=True):
            shares, label = carried[item[1]][n], data.splits[item[0]].labels[item[1]][item[2]]
            is_query = item == ranking.query_items[chosen[row]]
            told = "query" if is_query else f"{place + 1} {mark}"
            heading = f"{told}: {examples.class_of(data, label)}\n{item[1]} branch {shares.sum():.2f}"
            axes.set(xlim=(0, 1), ylim=(1, 0))
            style.frame(axes, heading, "black" if is_query else colour)
            if item[1] == "image":
                _image(axes, shown[item], shares)
            else:
                _text(axes, words_of(data, item), shares)
    return figure


def features_of(prepared: MultiModalData, items: Sequence[Item]) -> dict[str, NDArray]:
    """View -> array (n, ...) of items (split, modality, row) of one modality.

    Args:
      prepared: MultiModalData.
      items: list of items, which may be of several splits.
    """
    views = [view for view in prepared.views if modality_of(view) == items[0][1]]
    return {
        view: np.stack([np.asarray(prepared.splits[split].features[view][row]) for split, _, row in items])
        for view in views
    }


def words_of(data: MultiModalData, item: Item) -> list[str]:
    """The words of a text as the method reads them, "" at padding; their numbers where there is no vocabulary."""
    split, modality, row = item
    view = next(v for v in data.views if modality_of(v) == modality and v.endswith(".words"))
    known = data.vocabularies.get(view)
    numbers = np.asarray(data.splits[split].features[view][row]).tolist()
    return [(known[n] if known else str(n)) if n else "" for n in numbers]


def _image(axes: Axes, medium: NDArray | str, shares: NDArray) -> None:
    """An image in grey, or a name, under its regions in colours."""
    if isinstance(medium, str):
        text = "\n".join(texts.wrap(medium, TEXT_SIZE, TEXT_WIDTH, TEXT_LINES))
        axes.text(0.04, 0.04, text, fontsize=TEXT_SIZE, va="top").set_in_layout(False)
    else:
        axes.imshow(np.mean(medium, axis=2), cmap="gray", vmin=0, vmax=255, extent=(0, 1, 1, 0), aspect="auto")
    axes.imshow(colours(shares).reshape(*grid(len(shares)), 4), extent=(0, 1, 1, 0), aspect="auto", zorder=1)


def _text(axes: Axes, words: Sequence[str], shares: NDArray) -> None:
    """The words, each on its colour."""
    laid = lay_out(words, TEXT_WIDTH, TEXT_LINES)
    for (n, x, line), colour in zip(laid, colours(shares)[[n for n, _, _ in laid]], strict=True):
        shown = axes.text(
            0.04 + 0.92 * x / TEXT_WIDTH, (line + 0.5) / TEXT_LINES, words[n], fontsize=TEXT_SIZE, va="center",
            clip_on=True, bbox={"facecolor": colour, "edgecolor": "none", "pad": 0.8},
        )
        shown.set_in_layout(False)  # else the cells shrink to make room for it


def grid(places: int) -> tuple[int, int]:
    """(rows, columns) of the places of a map, rows first: a square if they make one, else one row."""
    side = math.isqrt(places)
    return (side, side) if side**2 == places else (1, places)


def colours(shares: ArrayLike) -> NDArray[np.float64]:
    """Red, green, blue and opacity (n, 4) of what places add: of the largest, either way, STRENGTH."""
    shares = np.asarray(shares, float)
    largest = np.abs(shares).max(initial=0) or 1.0
    made = np.where((shares >= 0)[:, None], to_rgb(ADDS), to_rgb(TAKES))
    return np.concatenate([made, STRENGTH * np.abs(shares)[:, None] / largest], axis=1)


def lay_out(words: Iterable[str], width: float, lines: int) -> list[tuple[int, float, int]]:
    """Breaks words into lines of at most `width` points: list of (number of the word, points from the left, line).

    Padding, "", is skipped, and so is what comes after `lines` lines.
    """
    found, x, line = [], 0.0, 0
    for n, word in enumerate(words):
        if not word:
            continue
        long = texts.width(f"{word} ", TEXT_SIZE)
        if x and x + long > width:
            x, line = 0.0, line + 1
        if line == lines:
            break
        found.append((n, x, line))
        x += long + 1.5
    return found
