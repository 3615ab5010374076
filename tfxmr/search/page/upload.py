"""An image that a browser sent: checked, made small, and kept for as long as it is among the newest."""
import dataclasses
import io
import secrets
import threading
import warnings

from PIL import Image, UnidentifiedImageError

from tfxmr.core.errors import InputError
from tfxmr.data.files import image_files

MOST_BYTES = 8 * 10**6
MOST_PIXELS = 50 * 10**6
LEAST_SIDE = 8  # pixels; smaller ones are counting pixels of pages, and say nothing
KEPT = 16  # at most 1024 x 1024 pixels each
PREVIEW = 640


class TooLarge(InputError):
    """A file of too many bytes."""


@dataclasses.dataclass(frozen=True)
class Upload:
    """An image of one's own.

    Attributes:
      name: of the file.
      bmp: its pixels as the encoder reads them, at most 1024 a side, in a format that takes no time to write and read.
    """

    name: str
    bmp: bytes

    def preview(self) -> bytes:
        """JPEG of at most 640 pixels a side."""
        content = io.BytesIO()
        with Image.open(io.BytesIO(self.bmp)) as image:
            image.thumbnail((PREVIEW, PREVIEW))
            image.save(content, "JPEG", quality=85)
        return content.getvalue()


class Uploads:
    """The newest images that were sent, in memory alone, by a key that nobody guesses."""

    def __init__(self) -> None:
        self._kept: dict[str, Upload] = {}
        self._lock = threading.Lock()

    def keep(self, upload: Upload) -> str:
        """Keeps an image; returns its key."""
        key = secrets.token_urlsafe(12)
        with self._lock:
            self._kept[key] = upload
            while len(self._kept) > KEPT:
                del self._kept[next(iter(self._kept))]
        return key

    def get(self, key: str) -> Upload | None:
        """The image of a key, None if it is kept no more."""
        return self._kept.get(key)


def read(content: bytes, name: str) -> Upload:
    """Reads what was sent.

    Args:
      content: of the file.
      name: of the file, as the browser calls it.

    Returns:
      Upload.

    Raises:
      TooLarge: above MOST_BYTES.
      InputError: it is none of image_files.FORMATS, is cut off, has too many pixels, or hardly any.
    """
    name = name.replace("\\", "/").rpartition("/")[2][:80] or "your image"
    if len(content) > MOST_BYTES:
        raise TooLarge(f"{name} has {len(content) / 1e6:.1f} MB, more than {MOST_BYTES // 10**6}: save it smaller")
    if not content:
        raise InputError(f"{name} is empty: choose another image")
    if b"<svg" in content[:1024].lower():
        raise InputError(f"{name} is an SVG drawing, which is not read: save it as PNG")
    width, height = _size(content, name)
    if width * height > MOST_PIXELS:
        raise InputError(f"{name} has {width * height / 1e6:.0f} megapixels, more than {MOST_PIXELS // 10**6}: save it "
                         "smaller")
    if min(width, height) < LEAST_SIDE:
        raise InputError(f"{name} has {width} x {height} pixels, which show nothing: choose one of {LEAST_SIDE} x "
                         f"{LEAST_SIDE} at least")
    bmp = io.BytesIO()
    Image.fromarray(image_files.decode(content, name)).save(bmp, "BMP")
    return Upload(name, bmp.getvalue())


def _size(content: bytes, name: str) -> tuple[int, int]:
    """(width, height) as the file's head says: nothing is decoded yet."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", Image.DecompressionBombWarning)  # MOST_PIXELS is stricter
            with Image.open(io.BytesIO(content), formats=image_files.FORMATS) as image:
                return image.size
    except UnidentifiedImageError:
        raise InputError(f"{name} is no image that is read here: choose one of "
                         f"{', '.join(image_files.FORMATS)}") from None
    except Image.DecompressionBombError:
        raise InputError(f"{name} has far more than {MOST_PIXELS // 10**6} megapixels: save it smaller") from None
    except Exception as error:  # Pillow's readers raise a dozen different types on damaged files
        raise InputError(f"{name} is no readable image, or is cut off ({error}): choose another") from error
