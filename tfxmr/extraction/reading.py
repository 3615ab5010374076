"""Readers of media: what every data set with media gives, and one that reads each item by itself, in any thread."""
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Any

from tfxmr.data.files.media_files import BadItem

# (modality, ids) -> of each item uint8 (height, width, 3) or str, as the modality is, or None where there is none
Reader = Callable[[str, Sequence[str]], Iterable[Any]]
Content = bytes | str | None


class Recorded(bytes):
    """An image as it stands in a TFDS record: decoded by TFDS, whose JPEG decoder rounds otherwise than that of files.

    So that its features are not taken for those of a file of the same bytes.
    """


class OneByOne:
    """A Reader whose items are read each by itself, and which tells of their bytes before it decodes them.

    Args:
      content: function (modality, id) -> the bytes of the item's file, or its text; None if there is none. May raise
        BadItem.
      decoded: function (modality, id, content) -> the medium. May raise BadItem.
    """

    def __init__(
        self, content: Callable[[str, str], Content], decoded: Callable[[str, str, bytes | str], Any],
    ) -> None:
        self.content, self.decoded = content, decoded

    def __call__(self, modality: str, ids: Sequence[str]) -> Iterator[Any]:
        """Yields the medium of each item, or None where there is none that can be read."""
        return (self.medium(modality, id_) for id_ in ids)

    def medium(self, modality: str, id_: str) -> Any:
        """The medium of an item, or None."""
        try:
            content = self.content(modality, id_)
            return None if content is None else self.decoded(modality, id_, content)
        except BadItem:
            return None
