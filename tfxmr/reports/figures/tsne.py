"""t-SNE maps of the test items: before, in each modality's original features; after, in the common representation."""
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import threadpoolctl
from matplotlib import patheffects
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.data import MultiModalData, Split
from tfxmr.evaluation.protocol import Protocol
from tfxmr.evaluation.retriever import Retriever
from tfxmr.evaluation.similarity import prepare
from tfxmr.reports.figures import style, texts

FEWEST = 5  # items that a map needs
HEIGHT = 2.0  # inches of a map
NAME_SIZE, LONGEST = 6, 55  # points, of the letters and of a name on a map


@style.styled
def draw(
    data: MultiModalData, prepared: MultiModalData, retriever: Retriever, protocol: Protocol, title: str,
    items: int = 1000, perplexity: float = 30.0, seed: int = 0,
) -> dict[str, Figure]:
    """Draws the maps side by side, as figure 4 of Wu et al., Pattern Recognition 2020; colour is class.

    The marker is modality. The common representation is L2-normalised where the protocol compares by cosine.
    Each class's name stands where its items lie closest, or its number as in the legend, where there is no room.

    Args:
      data: MultiModalData with the features as loaded.
      prepared: the same, normalised as in training.
      retriever: tfxmr.evaluation.Retriever.
      protocol: tfxmr.evaluation.protocol.Protocol.
      title: of the figure.
      items: of each modality at most; of more, so many are drawn at random.
      perplexity: of t-SNE, about the number of neighbours that matter; less than the number of items.
      seed: of the draw and of t-SNE.

    Returns:
      {"tsne": Figure}.

    Raises:
      InputError: the perplexity does not fit the number of items, or data without classes.
    """
    if data.instances:
        raise InputError(f"--figure=tsne: shows classes, and dataset {data.name} has none; draw --figure=examples")
    if data.multi_label:
        raise InputError(
            f"--figure=tsne: its colour is the class, and items of dataset {data.name} have several; draw "
            "--figure=examples"
        )
    test, ready = (part.splits["test"].distinct(data.repeated) for part in (data, prepared))
    counts = test.permute(np.random.default_rng(seed))
    rows = {m: np.sort(order[:items]) for m, order in counts.items()}
    labels = {m: test.labels[m][rows[m]] for m in rows}
    _check(perplexity, min(map(len, rows.values())))
    vectors = [m for m in test.modalities if m in test.features]  # a method may read maps or tokens alone
    maps = {f"{m}\noriginal features ({data.dims[m]}-d)": {m: test.features[m][rows[m]]} for m in vectors}
    common = _common(ready, rows, retriever, protocol)
    width = next(iter(common.values())).shape[1]
    maps[f"{' and '.join(common)}\ncommon representation ({width}-d)"] = common

    colours = style.class_colours(data.num_classes)
    names = data.class_names or [f"class {c}" for c in range(data.num_classes)]
    shares = ", ".join(
        f"{len(rows[m])} {m}" + (f" of {len(order)}, drawn at random" if len(rows[m]) < len(order) else "")
        for m, order in counts.items()
    )
    told = f"test items: {shares}; colour: class; perplexity {perplexity:g}"
    figure, axes = style.panels(len(maps), f"{title}\n{told}", columns=3, panel=HEIGHT)
    numbered = False
    for panel, (heading, parts) in zip(axes, maps.items(), strict=True):
        points = embed(np.concatenate(list(parts.values())), perplexity, seed)
        classes = np.concatenate([labels[m] for m in parts])
        for m, part in zip(parts, np.split(points, np.cumsum([len(x) for x in parts.values()])[:-1]), strict=True):
            faces = [colours[c] for c in labels[m]]
            marker = _marker(m, test.modalities)
            panel.scatter(part[:, 0], part[:, 1], s=5, c=faces, marker=marker, linewidths=0, label=m)
        panel.margins(0.1)
        numbered |= _names(panel, points, classes, names)
        panel.set(title=heading, xlabel="t-SNE 1 (no unit)", ylabel="t-SNE 2 (no unit)", xticks=[], yticks=[])
    shown = [f"{c} {name}" if numbered and data.class_names else name for c, name in enumerate(names)]
    entries = [(shown[c] + "*" * (c in protocol.unseen), "o", colours[c]) for c in np.unique(classes)]
    entries += [(m, _marker(m, test.modalities), "0.5") for m in test.modalities]
    entries += [("* unseen class", "", "black")] * bool(protocol.unseen)
    handles = [Line2D([], [], linestyle="", marker=marker, color=c, label=name) for name, marker, c in entries]
    style.legend_below(figure, handles, handle=0.8)
    return {"tsne": figure}


def _common(
    ready: Split, rows: Mapping[str, NDArray], retriever: Retriever, protocol: Protocol,
) -> dict[str, NDArray]:
    """Modality -> the common representations (n, d) of some rows; raises InputError if they are no vectors."""
    common = {m: retriever.represent(m, ready.of(m, rows[m])) for m in ready.modalities}
    if retriever.points:
        common = {m: retriever.points(made) for m, made in common.items()}
    if any(isinstance(made, dict) for made in common.values()):
        raise InputError(
            "--figure=tsne: this method represents an item by several arrays, which it compares in a way of its own: "
            "there is no common space to show; draw --figure=precision_recall or examples"
        )
    if protocol.similarity == "cosine":
        common = {m: prepare(m, vectors, "cosine") for m, vectors in common.items()}
    return common


def embed(features: NDArray, perplexity: float, seed: int) -> NDArray:
    """t-SNE (van der Maaten and Hinton, JMLR 2008).

    Args:
      features: (n, d).
      perplexity: about the number of neighbours that matter, in (0, n).
      seed: of the start and the optimisation.

    Returns:
      float (n, 2), the same for the same seed.
    """
    import sklearn.manifold  # takes a second, which other figures need not wait for

    start = "pca" if features.shape[1] > 1 else "random"
    method = sklearn.manifold.TSNE(perplexity=perplexity, init=start, random_state=seed)
    with threadpoolctl.threadpool_limits(1):  # several threads add up in an order of their own
        return method.fit_transform(np.asarray(features, np.float32))


def _check(perplexity: float, fewest: int) -> None:
    if fewest < FEWEST or not 0 < perplexity < fewest:
        raise InputError(
            f"--perplexity={perplexity:g}: a map of {counted(fewest, 'item')} needs one above 0 and below {fewest}, "
            f"and {FEWEST} items or more (--items)"
        )


def _marker(modality: str, modalities: Sequence[str]) -> str:
    return style.MARKERS[modalities.index(modality) % len(style.MARKERS)]


def _names(panel: Axes, points: NDArray, labels: NDArray, names: Sequence[str]) -> bool:
    """Writes each class's name, or its beginning, at its item with the closest neighbours of its class that has room.

    Where no item of a class has room for its name, its number stands there, or beside with a line to the closest item:
    colours alone do not tell twenty classes apart.

    Returns:
      Whether there are numbers.
    """
    outline = [patheffects.withStroke(linewidth=1.5, foreground="white")]
    grid = panel.get_subplotspec()
    inches = style.WIDTH / (grid.get_gridspec().ncols if grid else 1) - style.BESIDE, HEIGHT
    low, high = np.transpose([panel.get_xlim(), panel.get_ylim()])
    unit = (high - low) / np.multiply(texts.POINTS, inches)  # of the axes, a point
    taken: list[tuple[NDArray, NDArray]] = []  # (centre, half size) of the names so far

    def free(places: NDArray, half: NDArray) -> NDArray | None:
        return next((
            p for p in places if ((p - half >= low) & (p + half <= high)).all()
            and not any((abs(p - q) < half + h).all() for q, h in taken)
        ), None)

    found = np.unique(labels)
    closest = {c: _by_closeness(points[labels == c]) for c in found}
    lacking = []
    for c in found:
        (name,) = texts.wrap(names[c], NAME_SIZE, LONGEST, lines=1) or [""]
        half = unit * (texts.width(name, NAME_SIZE) / 2 + 1, 0.65 * NAME_SIZE)
        place = free(closest[c], half)
        if place is None:
            lacking.append(c)
        else:
            taken.append((place, half))
            _write(panel, place, name, path_effects=outline)
    cells = np.stack(np.meshgrid(*np.linspace(low, high, 25)[1:-1].T), axis=-1).reshape(-1, 2)
    for c in lacking:
        half = unit * (texts.width(str(c), NAME_SIZE) / style.BOLD / 2 + 1, 0.65 * NAME_SIZE)
        own = closest[c]
        around = cells[np.linalg.norm((cells - own[0]) / unit, axis=1).argsort(kind="stable")]
        place = free(np.concatenate([own, around]), half)
        if place is not None:
            taken.append((place, half))
            _write(panel, place, str(c), path_effects=outline, fontweight="bold")
            line = np.transpose([place, own[0]])
            panel.plot(*line, color="black", linewidth=0.4, zorder=0.5, scalex=False, scaley=False)
    return bool(lacking)


def _by_closeness(points: NDArray) -> NDArray:
    """The points of a class, first those whose third of the class is nearest."""
    distances = np.sort(np.linalg.norm(points[:, None] - points, axis=2), axis=1)
    return points[np.argsort(distances[:, : len(points) // 3 + 1].sum(axis=1), kind="stable")]


def _write(panel: Axes, place: NDArray, text: str, **looks: Any) -> None:
    x, y = place.tolist()
    written = panel.text(x, y, text, fontsize=NAME_SIZE, ha="center", va="center", **looks)
    written.set_in_layout(False)  # it has room in the panel, which is not to make more
