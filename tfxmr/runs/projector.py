"""The common space for TensorBoard's embedding projector: a point for each test item, with what it is."""
import io
import itertools
import math
import pathlib
import textwrap
import warnings
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from google.protobuf import text_format
from PIL import Image, ImageDraw, ImageFont
from tensorboard.plugins.projector import EmbeddingInfo, ProjectorConfig, SpriteMetadata

from tfxmr.core import classes
from tfxmr.core.errors import InputError
from tfxmr.core.files import write_bytes, write_text
from tfxmr.data import MultiModalData
from tfxmr.evaluation.retriever import Retriever
from tfxmr.extraction import catalogue
from tfxmr.extraction.media import media

POINTS = 5000  # at most; the projector runs in a browser
TILE = 48  # pixels of a thumbnail's side; all of POINTS stay within the 8192 pixels that the projector takes
NAME = "common space"


def write(
    folder: pathlib.Path, retriever: Retriever, data: MultiModalData, unseen: Collection[int] = (), seed: int = 0,
    places: Mapping[str, Any] | None = None, records: bool = True,
) -> None:
    """Writes the representations of the test items of all modalities, where TensorBoard looks for them.

    Args:
      folder: pathlib.Path of the run; gets `projector/` and `projector_config.pbtxt`.
      retriever: tfxmr.evaluation.Retriever; one whose representations are no vectors has no points to be shown.
      data: MultiModalData.
      unseen: labels of the classes that were not trained on.
      seed: of the draw of POINTS items where there are more.
      places: "data_dir" and "manual_dir" -> where the images and texts lie; without any there, no thumbnails are made.
      records: False makes none of images that TensorFlow alone reads.
    """
    split = data.splits["test"].distinct(data.repeated)
    found, rows, items = [], [], []
    for m in split.modalities:
        made = retriever.represent(m, split.of(m))
        if retriever.points:
            made = retriever.points(made)
        if isinstance(made, dict):
            return
        found.append(np.asarray(made, np.float32))
        names = split.ids.get(m) or range(len(split.labels[m]))
        of_unseen = classes.having(split.labels[m], unseen)
        for row, (name, label) in enumerate(zip(names, split.labels[m], strict=True)):
            group = "unseen" if of_unseen[row] else "seen"
            rows.append((classes.name(label, data.class_names), m, group, "test", str(name)))
            items.append((m, row))
    points = np.concatenate(found)
    kept = np.arange(len(points))
    if len(points) > POINTS:
        kept = np.sort(np.random.default_rng(seed).permutation(len(points))[:POINTS])
    # The first column is the label that TensorBoard shows unasked.
    table = [("class", "modality", "classes", "split", "id"), *(rows[i] for i in kept)]
    (folder / "projector").mkdir(exist_ok=True)
    write_text(folder / "projector/points.tsv", _lines("\t".join(f"{v:.6g}" for v in points[i]) for i in kept))
    write_text(folder / "projector/items.tsv", _lines("\t".join(map(_cell, row)) for row in table))
    shown = [EmbeddingInfo(
        tensor_name=NAME, tensor_shape=(len(kept), points.shape[1]), tensor_path="projector/points.tsv",
        metadata_path="projector/items.tsv",
    )]
    own = MultiModalData(data.name, {"test": split}, [], media_places=data.media_places)
    known = catalogue.find(data.name)
    wanted = [items[i] for i in kept] if records or not (known and known.records) else []
    tiles = thumbnails(own, wanted, places or {})
    if tiles:
        # Beside the points, not in their place: the projector does not colour thumbnails by class or modality.
        write_bytes(folder / "projector/thumbnails.jpg", sheet(tiles))
        sprite = SpriteMetadata(image_path="projector/thumbnails.jpg", single_image_dim=(TILE, TILE))
        shown.append(EmbeddingInfo(sprite=sprite))
        shown[1].MergeFrom(shown[0])
        shown[1].tensor_name = f"{NAME}, thumbnails"
    # As tensorboard.plugins.projector.visualize_embeddings writes it, but whole or not at all, and without TensorFlow.
    write_text(folder / "projector_config.pbtxt", text_format.MessageToString(ProjectorConfig(embeddings=shown)))


def thumbnails(
    data: MultiModalData, items: Sequence[tuple[str, int]], places: Mapping[str, Any]
) -> list[Image.Image]:
    """A square image of TILE pixels a side of each item; of a text, its first words.

    Args:
      data: MultiModalData.
      items: (modality, row of the test split), in groups of one modality.
      places: as of `write`.

    Returns:
      An image an item; none at all where the data set has no images, or they are not where it looks.
    """
    found: list[np.ndarray | str] = []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that they are not there: a run does not need them
        for modality, group in itertools.groupby(items, key=lambda item: item[0]):
            try:
                found += media(data, "test", modality, [row for _, row in group], **places)
            except (InputError, OSError):
                return []
    if not any(isinstance(medium, np.ndarray) for medium in found):
        return []
    font = ImageFont.load_default(9)
    return [_tile(medium, font) for medium in found]


def sheet(tiles: Sequence[Image.Image]) -> bytes:
    """The thumbnails in rows of a square sheet, as the projector reads them: the content of a JPEG file."""
    columns = math.ceil(math.sqrt(len(tiles)))
    whole = Image.new("RGB", (columns * TILE, columns * TILE))
    for i, tile in enumerate(tiles):
        whole.paste(tile, (i % columns * TILE, i // columns * TILE))
    content = io.BytesIO()
    whole.save(content, "JPEG", quality=80)
    return content.getvalue()


def _tile(medium: np.ndarray | str, font: Any) -> Image.Image:
    """The whole image, or the begin of a text, in the middle of a white square."""
    tile = Image.new("RGB", (TILE, TILE), "white")
    if isinstance(medium, str):
        words = "\n".join(textwrap.wrap(medium, 9)[:4])
        ImageDraw.Draw(tile).multiline_text((2, 1), words, "black", font, spacing=2)
        return tile
    small = Image.fromarray(medium)
    small.thumbnail((TILE, TILE))
    tile.paste(small, ((TILE - small.width) // 2, (TILE - small.height) // 2))
    return tile


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _cell(text: str) -> str:
    """Text without what would end a cell or a line."""
    return " ".join(text.split()) or "-"
