"""What the items of a run look like and say, to show beside their vectors; from the data set, while it is there."""
import dataclasses
import functools
import io
import mimetypes
import os
import pathlib
import warnings
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from tfxmr.core.errors import InputError
from tfxmr.core.files import Place
from tfxmr.data.files import image_files
from tfxmr.data.files.media_files import FILES
from tfxmr.data.files.packed import Packed
from tfxmr.encoding.encoder import Encoder

CACHED = 4096  # media in memory


@dataclasses.dataclass(frozen=True)
class File:
    """A sound or video that a browser plays.

    Attributes:
      file: where it is.
      kind: MIME type.
      size: bytes.
    """

    file: pathlib.Path | Packed
    kind: str
    size: int

    @property
    def path(self) -> pathlib.Path | None:
        """Absolute path; None of what lies inside another file."""
        return self.file.absolute() if isinstance(self.file, pathlib.Path) else None

    def read(self) -> bytes:
        """Its content; raises OSError."""
        return self.file.read_bytes()


class Media:
    """Sentences and images of a run's items, by the names that the data set gives them.

    Args:
      encoder: of the run; it says which data set that was, and where.
      data_dir, manual_dir: where it is now; None: where it was, or where it is now as seen from the run's folder, if
        both were moved together.
    """

    def __init__(self, encoder: Encoder, data_dir: Place = None, manual_dir: Place = None) -> None:
        self.source = dict(encoder.facts.get("source", {}))
        self.run_dir = pathlib.Path(encoder.facts.get("folder", ".")).parent
        self.places = {"data_dir": data_dir or self._place("data_dir"),
                       "manual_dir": manual_dir or self._place("manual_dir")}
        self._medium = functools.lru_cache(CACHED)(self._found)

    def _place(self, name: str) -> Place:
        absolute, relative = self.source.get(name), self.source.get(f"{name}_from_run")
        if absolute and relative and not os.path.exists(absolute):
            return self.run_dir / relative
        return absolute

    def text(self, columns: Mapping[str, Any], modality: str) -> str | None:
        """The sentence of a text item, by its columns in an index; None of others, or if the data set is gone."""
        if columns.get("text"):
            return str(columns["text"])
        found = None if columns.get("file") else self._medium(modality, str(columns.get("name")))
        return found if isinstance(found, str) else None

    def image(self, columns: Mapping[str, Any], modality: str) -> NDArray | None:
        """The image of an item, uint8 (height, width, 3); None as above."""
        if columns.get("text"):
            return None
        found = self._medium(modality, str(columns.get("name")), columns.get("file"))
        return found if isinstance(found, np.ndarray) else None

    def thumbnail(self, columns: Mapping[str, Any], modality: str, side: int = 160) -> bytes | None:
        """The image of an item as a JPEG that fits into a square of `side` pixels; None as above."""
        image = self.image(columns, modality)
        return None if image is None else jpeg(image, side)

    def file(self, columns: Mapping[str, Any], modality: str) -> File | None:
        """An item's file that a browser plays; None of others, or if it is gone."""
        if modality not in FILES:
            return None
        file = self._medium(modality, str(columns.get("name")), columns.get("file"))
        if not isinstance(file, pathlib.Path | Packed):
            return None
        try:
            kind = mimetypes.guess_type(file.name)[0]
            if kind is None or not kind.startswith(("audio/", "video/")):
                return None
            return File(file, kind, file.size if isinstance(file, Packed) else file.stat().st_size)
        except OSError:
            return None

    def prepare(self) -> None:
        """Imports the data set's reader, which the first medium would else wait for."""
        _ = self._read

    @functools.cached_property
    def _read(self) -> Any:
        """The data set's reader of media, or None."""
        from tfxmr.extraction import Request, catalogue  # above what searches alone need
        from tfxmr.extraction.dataset import reading

        dataset = catalogue.find(self.source.get("name", ""))
        if dataset is None or not dataset.has_media:
            return None
        try:
            return dataset.reader(Request(self.places["data_dir"], self.places["manual_dir"], **reading(self.source)))
        except InputError as error:
            warnings.warn(f"images and texts are not shown: {error}", stacklevel=2)
            return None

    def _found(self, modality: str, name: str, file: str | None = None) -> Any:
        if file:  # of an item that `tfxmr encode` was given
            if modality in FILES:
                return pathlib.Path(file)
            try:
                return image_files.decode(pathlib.Path(file).read_bytes(), file)
            except (InputError, OSError):
                return None
        if self._read is None:
            return None
        try:
            return next(iter(self._read(modality, [name])), None)
        except (InputError, OSError, KeyError):  # an item that was removed since
            return None


def jpeg(image: NDArray, side: int) -> bytes:
    """An image, uint8 (height, width, 3), as the content of a JPEG file that fits into a square of `side` pixels."""
    small, content = Image.fromarray(image), io.BytesIO()
    if max(small.size) < side:  # 28 pixels of a digit are not to be looked for
        factor = side // max(small.size)
        small = small.resize((small.width * factor, small.height * factor), Image.Resampling.NEAREST)
    small.thumbnail((side, side), Image.Resampling.LANCZOS)
    small.save(content, "JPEG", quality=85)
    return content.getvalue()
