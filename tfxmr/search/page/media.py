"""What the page asks of the media that items lie in."""
import base64
import pathlib
import threading
from collections.abc import Mapping
from typing import Any, Protocol

from tfxmr.core.errors import InputError

Item = Mapping[str, Any]  # the columns of an item of the index, with "id" and "modality"
PLAYED = ("audio", "video")  # modalities that a browser plays
KINDS = {b"\x89PNG": "image/png", b"\xff\xd8\xff": "image/jpeg"}  # first bytes of a thumbnail -> MIME type
KEPT = 1024  # thumbnails; a page asks twice for each, to know whether there is one and to show it


class File(Protocol):
    """A sound or video, of which nothing is read before it is played."""

    @property
    def kind(self) -> str:
        """MIME type."""

    @property
    def size(self) -> int:
        """Bytes."""

    @property
    def path(self) -> pathlib.Path | None:
        """Absolute path; None of what lies inside another file."""

    def read(self) -> bytes:
        """Its content; raises OSError."""


class Media(Protocol):
    """Where the media of items are found, by their columns; a medium that is not there is None."""

    def prepare(self) -> None:
        """Does what the first medium would else wait for."""

    def text(self, columns: Item, modality: str) -> str | None:
        """The sentence of an item of a modality."""

    def thumbnail(self, columns: Item, modality: str, side: int = 160) -> bytes | None:
        """PNG or JPEG of an item, by its columns and modality, no side longer than `side` pixels."""

    def file(self, columns: Item, modality: str) -> File | None:
        """The file of an item of a modality."""


class Kept:
    """Media, with the newest thumbnails in memory; a medium that cannot be read is shown by its name, as a missing one.

    Args:
      media: Media; None: there are none.
    """

    def __init__(self, media: Media | None) -> None:
        self._media = media
        self._thumbnails: dict[tuple[object, ...], bytes | None] = {}
        self._lock = threading.Lock()

    def text(self, columns: Item, modality: str) -> str | None:
        """As in Media."""
        try:
            return self._media.text(columns, modality) if self._media else None
        except (OSError, InputError):
            return None

    def thumbnail(self, columns: Item, modality: str, side: int = 160) -> bytes | None:
        """As in Media; None also for what is neither PNG nor JPEG, which might be a page of its own (SVG)."""
        key = (modality, columns.get("id"), columns.get("split"), columns.get("row"), side)
        if key not in self._thumbnails:
            try:
                found = self._media.thumbnail(columns, modality, side) if self._media else None
            except (OSError, InputError):
                found = None
            found = found if found and kind_of(found) else None
            with self._lock:
                self._thumbnails[key] = found
                while len(self._thumbnails) > KEPT:
                    del self._thumbnails[next(iter(self._thumbnails))]
            return found
        return self._thumbnails.get(key)

    def file(self, columns: Item, modality: str) -> File | None:
        """As in Media; None also for what a browser does not play, such as a page."""
        try:
            found = self._media.file(columns, modality) if self._media else None
        except (OSError, InputError):
            return None
        return found if found and found.kind.partition("/")[0] in PLAYED else None


def kind_of(content: bytes) -> str | None:
    """MIME type of a thumbnail, None if it is neither PNG nor JPEG."""
    return next((kind for start, kind in KINDS.items() if content.startswith(start)), None)


def data_uri(content: bytes, kind: str) -> str:
    """A medium as an address that holds it."""
    return f"data:{kind};base64,{base64.b64encode(content).decode()}"
