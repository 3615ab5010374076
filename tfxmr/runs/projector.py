"""The common space for TensorBoard's embedding projector: a point for each test item, with what it is."""
import pathlib
from collections.abc import Collection, Iterable

import numpy as np

from tfxmr.data import MultiModalData
from tfxmr.evaluation.retriever import Retriever
from tfxmr.runs.run_folder import write_text

POINTS = 5000  # at most; the projector runs in a browser


def write(
    folder: pathlib.Path, retriever: Retriever, data: MultiModalData, unseen: Collection[int] = (), seed: int = 0
) -> None:
    """Writes the representations of the test items of all modalities, where TensorBoard looks for them.

    Args:
      folder: pathlib.Path of the run; gets `projector/` and `projector_config.pbtxt`.
      retriever: tfxmr.evaluation.Retriever; one whose representations are no vectors has no points to be shown.
      data: MultiModalData.
      unseen: labels of the classes that were not trained on.
      seed: of the draw of POINTS items where there are more.
    """
    split = data.splits["test"].distinct(data.repeated)
    found, rows = [], []
    for m in split.modalities:
        made = retriever.represent(m, split.of(m))
        if retriever.points:
            made = retriever.points(made)
        if isinstance(made, dict):
            return
        found.append(np.asarray(made, np.float32))
        names = split.ids.get(m) or range(len(split.labels[m]))
        for name, label in zip(names, split.labels[m].tolist(), strict=True):
            group = "unseen" if label in unseen else "seen"
            rows.append((m, data.class_names[label] if data.class_names else str(label), group, "test", str(name)))
    points = np.concatenate(found)
    kept = np.arange(len(points))
    if len(points) > POINTS:
        kept = np.sort(np.random.default_rng(seed).permutation(len(points))[:POINTS])
    table = [("modality", "class", "classes", "split", "id"), *(rows[i] for i in kept)]
    (folder / "projector").mkdir(exist_ok=True)
    write_text(folder / "projector/points.tsv", _lines("\t".join(f"{v:.6g}" for v in points[i]) for i in kept))
    write_text(folder / "projector/items.tsv", _lines("\t".join(map(_cell, row)) for row in table))
    write_text(folder / "projector_config.pbtxt", f"""embeddings {{
  tensor_name: "common space"
  tensor_shape: {len(kept)}
  tensor_shape: {points.shape[1]}
  tensor_path: "projector/points.tsv"
  metadata_path: "projector/items.tsv"
}}
""")


def _lines(lines: Iterable[str]) -> str:
    return "".join(f"{line}\n" for line in lines)


def _cell(text: str) -> str:
    """Text without what would end a cell or a line."""
    return " ".join(text.split()) or "-"
