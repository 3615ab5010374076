"""New items to the vectors that retrieval compares: media, features, normalisation, method."""
import dataclasses
import functools
import io
import os
import pathlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from PIL import Image

from tfxmr.core.errors import InputError
from tfxmr.data import normalisation
from tfxmr.data.files import image_files
from tfxmr.data.files.media_files import FILES
from tfxmr.data.views import modality_of
from tfxmr.evaluation.retriever import OWN, Retriever

Medium = str | os.PathLike | bytes | NDArray | Image.Image  # a text; an image as path, content, pixels or of Pillow
BLOCK = {"image": 16, "text": 256}  # media in memory at once
RAW = "published ones, --dataset=npz, or a feature folder of an older version"


@dataclasses.dataclass(frozen=True)
class Normalisation:
    """How the raw features of a view become what the method reads; see tfxmr.data.normalisation.

    Attributes:
      kind: "none", "l2", "zscore" or "minmax".
      centre, scale: (d,) of the training items; None of "none" and "l2".
    """

    kind: str = "none"
    centre: NDArray | None = None
    scale: NDArray | None = None

    def __call__(self, rows: Any) -> Any:
        """Normalises (n, ...)."""
        return normalisation.apply(rows, self.kind, self.centre, self.scale)


class Encoder:
    """A trained method and the chain of steps before it, from raw media or raw features to vectors.

    encode = method . normalise . features, each as the run had it, so that an item of the run's data set gets the same
    vector as there. It needs no data set. `tfxmr.load(RUN)` makes one.

    Args:
      facts: what RUN/encoder/encoder.json holds, see tfxmr.encoding.folder.
      represent: function (modality, normalised features) -> representations, see Retriever.
      retriever: the method's Retriever, whose `represent` takes normalised features, or a function that makes it: a
        question by an item of an index needs none, and TensorFlow takes seconds.
      normalisations: view -> Normalisation.
      recipe: function of a view -> the feature that makes it of media, or None if that is not known.
      comparison: modality -> (mean, deviation), each (k,), of the training items' representations, where the protocol
        z-scores by them; else {}.

    Attributes:
      model, dataset, similarity, class_names, unseen: names, as of the run; similarity "own" is the method's.
      modalities: names.
      views: view -> the shape of one item, d or a tuple.
      recipe: function of a view -> the feature that makes it of media, or None.
      digest: of all that decides the vectors.
    """

    def __init__(
        self, facts: Mapping[str, Any], retriever: Retriever | Callable[[], Retriever],
        normalisations: Mapping[str, Normalisation], recipe: Callable[[str], Any],
        comparison: Mapping[str, tuple[NDArray, NDArray]],
    ) -> None:
        self.facts, self.normalisations, self.comparison = facts, normalisations, comparison
        self._retriever = retriever
        self.recipe = recipe
        self.model, self.dataset, self.digest = facts["model"], facts["dataset"], facts["digest"]
        self.similarity: str = facts["similarity"]
        self.class_names: list[str] = facts["class_names"]
        self.unseen: list[str] = facts["unseen"]
        self.modalities: list[str] = facts["modalities"]
        self.views = {view: tuple(d) if isinstance(d, list) else d for view, d in facts["views"].items()}

    @functools.cached_property
    def method(self) -> Retriever:
        """The method on normalised features."""
        return self._retriever if isinstance(self._retriever, Retriever) else self._retriever()

    def __repr__(self) -> str:
        views = ", ".join(self.views)
        return f"Encoder({self.model} trained on {self.dataset}: {views}; {self.digest[:12]})"

    def encode(self, modality: str, media: Sequence[Medium]) -> Any:
        """Maps raw media to what retrieval compares.

        Args:
          modality: one of `modalities`.
          media: n sentences; or n images, each a path, a file's content as bytes, pixels uint8 (height, width, 3), or
            of Pillow; or the paths of n files of sounds, videos or 3D shapes.

        Returns:
          (n, k); or name -> (n, ...) of a method that compares several arrays by itself, for which `points` gives
          vectors.

        Raises:
          InputError: the run's features were given as matrices, so that nothing is known of how to make them; or an
            item that is no image, is empty, or holds no word that the features know. The message names it.
        """
        return self.encode_features(modality, self.features(modality, media))

    def features(self, modality: str, media: Sequence[Medium], strict: bool = True) -> dict[str, NDArray]:
        """The raw features of media.

        Args:
          modality, media: as of `encode`.
          strict: refuses texts without a known word; else they are what they are in a training, all alike.

        Returns:
          View -> (n, ...).

        Raises:
          InputError: as of `encode`.
        """
        made, bad = self.tried(modality, media, strict)
        if bad:
            raise InputError(bad[min(bad)])
        return made

    def tried(
        self, modality: str, media: Sequence[Medium], strict: bool = True, first: int = 0,
    ) -> tuple[dict[str, NDArray], dict[int, str]]:
        """The raw features of the media that have some, and what is wrong with the others.

        Args:
          modality, media, strict: as of `features`.
          first: number of the first, from 0, for messages.

        Returns:
          (view -> (n, ...) of the good ones in order, place in `media` -> message of each other one).

        Raises:
          InputError: the run's features were given as matrices.
        """
        wanted, size = self.views_of(modality), BLOCK.get(modality, 16)
        if isinstance(media, str | bytes | os.PathLike):
            raise InputError(f"encode({modality!r}, ...) takes a list of items; write [item] for one")
        recipes = {view: self.recipe(view) for view in wanted}
        lacking = [view for view, recipe in recipes.items() if recipe is None]
        if lacking:
            raise InputError(
                f"this run of {self.model} learned from {', '.join(lacking)} features that were given as matrices "
                f"({RAW}): how they are made of {modality} items is not known; make them as for the training and take "
                f"encode_features, or tfxmr encode --features=FILE.npy --modality={modality}"
            )
        made: dict[str, list[NDArray]] = {view: [] for view in wanted}
        bad: dict[int, str] = {}
        for start in range(0, len(media), size):
            read = {}
            for place, item in enumerate(media[start : start + size], start):
                try:
                    read[place] = self._read(modality, item, first + place)
                except InputError as error:
                    bad[place] = str(error)
            rows = _described(recipes, read, bad if modality in FILES else None)
            known = np.ones(len(read), bool)
            for view, recipe in recipes.items() if strict and read and modality == "text" else ():
                for unknown in np.flatnonzero(known & ~(found := recipe.known(rows[view]))):
                    number, text = list(read.items())[unknown]
                    bad[number] = (
                        f"text {first + number + 1}, {shown(text)}: none of its words is known to the features of this "
                        f"run ({recipe.name}); say it with other words"
                    )
                known &= found
            for view, array in rows.items():
                made[view].append(array if known.all() else array[known])
        shapes = {view: (0, *np.atleast_1d(self.views[view])) for view in wanted}  # of no media
        return {v: np.concatenate(rows) if rows else np.zeros(shapes[v], np.float32) for v, rows in made.items()}, bad

    def encode_features(self, modality: str, features: ArrayLike | Mapping[str, ArrayLike]) -> Any:
        """Maps raw features, not normalised, to what retrieval compares.

        Args:
          modality: one of `modalities`.
          features: (n, d) where the method reads one view of the modality, else view -> (n, ...).

        Returns:
          As `encode`.

        Raises:
          InputError: another modality, view or width than the run's, or values that are not finite.
        """
        wanted = self.views_of(modality)
        if not isinstance(features, Mapping):
            if len(wanted) > 1:
                raise InputError(f"{self.model} reads {', '.join(wanted)} of {modality} items: give view -> array")
            features = {wanted[0]: features}
        if set(features) != set(wanted):
            raise InputError(f"{self.model} reads {', '.join(wanted)} of {modality} items, not {', '.join(features)}")
        rows = {view: self.normalisations[view](self.checked(view, features[view])) for view in wanted}
        return self.method.represent(modality, rows[modality] if wanted == [modality] else rows)

    def points(self, modality: str, made: Any) -> NDArray:
        """Vectors (n, k) whose similarity is what the run compares, of what `encode` gives; for an index or a map.

        Args:
          modality: of the items.
          made: as `encode` gives it.

        Raises:
          InputError: the method compares in a way that no vectors stand for.
        """
        if isinstance(made, dict):
            if self.method.points is None:
                raise InputError(f"{self.model} compares {', '.join(made)} by itself; no vectors stand for that")
            return self.method.points(made)
        if modality in self.comparison:
            mean, deviation = self.comparison[modality]
            return (np.asarray(made, np.float64) - mean) / deviation
        return np.asarray(made)

    @property
    def vector_similarity(self) -> str:
        """How `points` are compared: the run's similarity, or "dot" where the method compares by itself."""
        return "dot" if self.similarity == OWN else self.similarity

    @property
    def retriever(self) -> Retriever:
        """The method as evaluation takes it, on raw features."""
        return dataclasses.replace(self.method, represent=self.encode_features)

    def views_of(self, modality: str) -> list[str]:
        """Names of the views that the method reads of a modality; raises InputError if the run has no such modality."""
        found = [view for view in self.views if modality_of(view) == modality]
        if not found:
            known = ", ".join(self.modalities)
            raise InputError(f"unknown modality {modality!r}; this run of {self.model} has {known}")
        return found

    def checked(self, view: str, rows: Any) -> Any:
        """Raw features of a view; raises InputError unless they are finite numbers (n, ...) of the run's width."""
        shape = np.atleast_1d(self.views[view]).tolist()
        rows = rows if hasattr(rows, "map") else np.asarray(rows)  # a MappedMatrix is checked where it is read
        if list(rows.shape[1:]) != shape or rows.dtype.kind not in "iuf":
            raise InputError(
                f"{view} features are {rows.dtype} {tuple(rows.shape)}; {self.model} reads "
                f"(n, {', '.join(map(str, shape))}) of them"
            )
        if isinstance(rows, np.ndarray) and rows.dtype.kind == "f":
            rows = np.asarray(rows, np.float32)
            if len(bad := np.flatnonzero(~finite(rows))):
                raise InputError(f"{view} features: row {bad[0]} (counted from 0) holds NaN or infinite values")
        return rows

    def _read(self, modality: str, item: Medium, number: int) -> Any:
        """A text, an image as uint8 (height, width, 3), or a file's path. Raises InputError that names the item."""
        if modality in FILES:
            return _file(modality, item, number)
        if modality != "image":
            if not isinstance(item, str):
                raise InputError(f"{modality} {number + 1} is a {type(item).__name__}; give sentences as str")
            if not item.strip():
                raise InputError(f"{modality} {number + 1} is empty; give a sentence")
            return item
        if isinstance(item, np.ndarray):
            if item.dtype != np.uint8 or item.ndim not in (2, 3) or not item.size:
                raise InputError(f"image {number + 1} is {item.dtype} {item.shape}; give uint8 (height, width, 3)")
            item = Image.fromarray(item)
        if isinstance(item, Image.Image):
            content = io.BytesIO()  # through the same decoder as every image, which turns and flattens it
            plain = item if item.mode in ("1", "L", "LA", "P", "RGB", "RGBA") else item.convert("RGB")
            plain.save(content, "PNG")
            return image_files.decode(content.getvalue(), f"image {number + 1}")
        if isinstance(item, bytes):
            return image_files.decode(item, f"image {number + 1}")
        path = pathlib.Path(item).expanduser()
        try:
            return image_files.decode(path.read_bytes(), str(path))
        except OSError as error:
            raise InputError(f"{path}: cannot be read ({error.strerror}); give the path of an image") from error


def _described(
    recipes: Mapping[str, Any], read: dict[int, Any], bad: dict[int, str] | None,
) -> dict[str, NDArray]:
    """View -> raw features of media, by their places; of no media {}.

    Args:
      recipes: view -> the feature.
      read: place -> medium.
      bad: gets what is wrong with each medium that the features cannot be made of, which `read` then lacks; None: one
        such is an error.
    """
    try:
        return {view: recipe.transform(list(read.values())) for view, recipe in recipes.items() if read}
    except InputError as error:
        if bad is None:
            raise
        if len(read) == 1:
            place, _ = read.popitem()
            bad[place] = str(error)
            return {}
    each = []
    for place in list(read):
        one = {place: read[place]}
        each.append(_described(recipes, one, bad))
        if not one:
            del read[place]
    return {view: np.concatenate([rows[view] for rows in each if rows]) for view in recipes if read}


def _file(modality: str, item: Any, number: int) -> pathlib.Path:
    """The absolute path of a file that a function of the user's own describes; raises InputError if there is none."""
    if not isinstance(item, str | os.PathLike):
        raise InputError(f"{modality} {number + 1} is a {type(item).__name__}; give the path of a file")
    path = pathlib.Path(item).expanduser().absolute()
    if not path.is_file():
        raise InputError(f"{path}: there is no such file; give the path of {modality} {number + 1}")
    if not path.stat().st_size:
        raise InputError(f"{path}: is empty; give another file as {modality} {number + 1}")
    return path


def finite(rows: NDArray) -> NDArray[np.bool_]:
    """Whether each row (n, ...) holds neither NaN nor infinite values, (n,)."""
    flat = rows.reshape(-1)
    if np.isfinite(np.dot(flat, flat)):  # at the memory's speed; where it overflows each is asked
        return np.ones(len(rows), bool)
    return np.isfinite(rows).all(axis=tuple(range(1, rows.ndim)))


def shown(text: str) -> str:
    """A text for a message, cut after 60 letters."""
    return repr(text if len(text) <= 60 else f"{text[:60]}...")
