"""What a method generates for test items: a sentence from the image, an image from the sentence."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.data import MultiModalData, Split
from tfxmr.data.memmap import Matrix, blocks
from tfxmr.data.views import PIXELS, is_default
from tfxmr.evaluation.retriever import Retriever
from tfxmr.extraction import media
from tfxmr.reports.figures import examples, style
from tfxmr.reports.figures.attention import features_of

ITEMS = 2  # in a row, of three cells each
MADE = {"captions": "sentences of images", "generated": "images of sentences"}


@style.styled
def draw(
    kind: str, data: MultiModalData, prepared: MultiModalData, retriever: Retriever, model: str, title: str,
    queries: int = 3, query_ids: Sequence[str] = (), seed: int = 0, **places: str | None,
) -> dict[str, Figure]:
    """Draws test items with what is generated for them: one figure, two items a row.

    An image that is generated as features alone cannot be shown: in its place stands the training image whose features
    are nearest by Euclidean distance.

    Args:
      kind: "captions", of each image its own sentence and the one made from it; "generated", of each sentence its own
        image and the one made from it.
      data: MultiModalData, of pairs of images and texts.
      prepared: the same, normalised as in training.
      retriever: tfxmr.evaluation.Retriever with `captions` or `drawings`.
      model: the method's name, for the message.
      title: of the figure.
      queries, query_ids, seed, places: as in tfxmr.reports.figures.examples.draw.

    Returns:
      {"captions": Figure} or {"generated": Figure}.

    Raises:
      InputError: a method (or a run of it) that does not generate these, or an id that no test item has.
    """
    make = {"captions": retriever.captions, "generated": retriever.drawings}[kind]
    if not make:
        raise InputError(
            f"--figure={kind}: {model} generates no {MADE[kind]}; c3l does, and --figure=examples shows what any "
            "method finds"
        )
    rows = pick(data.splits["test"], queries, query_ids, seed)
    given = {"captions": "image", "generated": "text"}[kind]
    made = make(features_of(prepared, [("test", given, row) for row in rows]))
    images, texts = (media.media(data, "test", m, rows, **places) for m in ("image", "text"))
    if kind == "captions":
        cells = zip(images, texts, (" ".join(words) for words in made), strict=True)
        told = [("its sentence", "generated sentence")] * len(rows)
        notes: list[str] = []
    else:
        shown, how, notes = generated_images(made, data, prepared, places)
        cells = zip(texts, images, shown, strict=True)
        told = [("its image", made_by) for made_by in how]
    labels = data.splits["test"].labels[given][rows]
    headings = [(examples.class_of(data, c), *rest) for c, rest in zip(labels, told, strict=True)]
    what = {"captions": "test images and the sentences generated from them",
            "generated": "test sentences and the images generated from them"}[kind]
    drawn = f"{len(rows)} of {len(data.splits['test'].labels[given])} ({'named' if query_ids else 'drawn at random'})"
    return {kind: _figure(list(cells), headings, f"{title}\n{what}: {drawn}", notes)}


def pick(split: Split, count: int, ids: Sequence[str], seed: int) -> list[int]:
    """Rows of a split that are shown: those of some ids (rows where it has none), or `count` drawn by class.

    Args:
      split: of pairs of images and texts.
      count: how many are drawn where there are no ids.
      ids: of items; () draws.
      seed: of the draw.

    Returns:
      Rows of the split, in the order of the ids or of the draw.

    Raises:
      InputError: an id that the split has not.
    """
    labels = split.labels["image"]
    if not ids:
        return examples.choose(labels, count, np.random.default_rng(seed))
    own = split.ids.get("image")
    known = {name: row for row, name in enumerate(map(str, range(len(labels)) if own is None else own))}
    missing = [name for name in ids if name not in known]
    if missing:
        raise InputError(
            f"--query_ids: no test item is called {', '.join(missing)}; there are {', '.join(list(known)[:3])}, ..."
        )
    return [known[name] for name in ids]


def generated_images(
    made: Mapping[str, NDArray], data: MultiModalData, prepared: MultiModalData, places: dict[str, Any]
) -> tuple[list[Any], list[str], list[str]]:
    """What stands for generated images: (list of images or names, their headings, notes below the figure).

    Args:
      made: view -> array (n, ...): pixels, or features.
      data, prepared, places: as of `draw`.
    """
    (view, found), = made.items()
    if not is_default(view):
        return [(255 * np.clip(x, 0, 1)).round().astype(np.uint8) for x in found.reshape(-1, *_square())], [
            "generated image"] * len(found), []
    nearest = nearest_rows(found, prepared.splits["train"].features[view])
    labels = data.splits["train"].labels["image"][nearest]
    shown = media.media(data, "train", "image", nearest.tolist(), **places)
    note = "generated are features; shown is the training image that has the nearest ones"
    return shown, [f"nearest: {examples.class_of(data, label)}" for label in labels], [note]


def nearest_rows(found: NDArray, features: Matrix) -> NDArray[np.int_]:
    """The row of `features` (m, d), maybe a MappedMatrix, that is nearest to each of `found` (n, d): int (n,)."""
    # |a - b|^2 without |a|^2, which is the same for all rows
    distances = [(block**2).sum(1) - 2 * found @ block.T for block in map(np.asarray, blocks(features))]
    return np.concatenate(distances, axis=1).argmin(1)


def _square() -> tuple[int, int, int]:
    side = int(PIXELS[0] ** 0.5)
    return side, side, PIXELS[1]


def _figure(cells: Sequence[tuple], headings: Sequence[tuple], title: str, notes: Sequence[str]) -> Figure:
    rows = -(-len(cells) // ITEMS)
    figure, grid = style.cells(rows, 3 * ITEMS, title, notes)
    for axes in grid.ravel()[3 * len(cells) :]:
        axes.set_axis_off()
    for n, (media_of_item, told) in enumerate(zip(cells, headings, strict=True)):
        row, place = divmod(n, ITEMS)
        for axes, medium, heading in zip(grid[row, 3 * place : 3 * place + 3], media_of_item, told, strict=True):
            examples.cell(axes, medium, heading, "black")
    return figure
