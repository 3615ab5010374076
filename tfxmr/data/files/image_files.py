"""Image files as RGB arrays: whatever a user's folder or an official archive may hold, or a clear refusal.

Every reader of images goes through here, so that an image is the same image everywhere.
"""
import io
import warnings

import numpy as np
from numpy.typing import NDArray
from PIL import ExifTags, Image, ImageOps, UnidentifiedImageError

from tfxmr.core.errors import InputError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")  # no format whose reader runs another program
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
# `decode` refuses these. Threads call it, so that a filter that is set there for a while would be set for all of them.
warnings.filterwarnings("ignore", category=Image.DecompressionBombWarning)
MAX_SIDE = 1024  # pixels; larger images are reduced to it, so that a batch of them fits into memory


def decode(content: bytes, name: str) -> NDArray:
    """Decodes an image file.

    An image that a camera's EXIF tag says to turn is turned; of an animation the first frame is taken; grey, palette
    and CMYK images become RGB; what is transparent becomes white; 16 bits become the upper 8. Real numbers are
    brightness from 0 to 1, or as in files of 8 or 16 bits if the largest of them is above 1 or above 255.

    Args:
      content: bytes of the file, in one of FORMATS.
      name: of the file, for messages.

    Returns:
      uint8 (height, width, 3), neither side longer than MAX_SIDE.

    Raises:
      InputError: no such image, cut off, or with more pixels than Pillow's limit, PIL.Image.MAX_IMAGE_PIXELS (a small
        file can claim any number of them).
    """
    return _decode(content, name)[0]


def encode(content: bytes, name: str) -> bytes:
    """The bytes of an image file that every decoder of 8-bit JPEG and PNG reads as `decode` does; arguments as there.

    A JPEG that needs no more than decoding stays as it is; others become PNG.
    """
    image, plain = _decode(content, name)
    if plain:
        return content
    png = io.BytesIO()
    Image.fromarray(image).save(png, "PNG")
    return png.getvalue()


def _decode(content: bytes, name: str) -> tuple[NDArray, bool]:
    """(uint8 (height, width, 3), whether it is a JPEG that needs no more than decoding)."""
    try:
        with Image.open(io.BytesIO(content), formats=FORMATS) as image:
            if Image.MAX_IMAGE_PIXELS and image.width * image.height > Image.MAX_IMAGE_PIXELS:
                raise Image.DecompressionBombError
            image.load()
            plain = image.format == "JPEG" and image.mode in ("RGB", "L") and max(image.size) <= MAX_SIDE
            plain = plain and image.getexif().get(ExifTags.Base.Orientation, 1) == 1
            upright = _to_8_bits(ImageOps.exif_transpose(image))
            upright.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
            return np.asarray(_to_rgb(upright)), plain
    except Image.DecompressionBombError as error:
        raise InputError(
            f"{name}: has more pixels than the limit of {Image.MAX_IMAGE_PIXELS:,}; save it smaller"
        ) from error
    except MemoryError:  # the image may be whole
        raise
    except Exception as error:  # Pillow's decoders raise a dozen different types on damaged files
        reason = f"none of {', '.join(FORMATS)}" if isinstance(error, UnidentifiedImageError) else error
        raise InputError(f"{name}: is no readable image, or is cut off ({reason})") from error


def _to_8_bits(image: Image.Image) -> Image.Image:
    """Scales 16 bits and real numbers, which convert() would clip: an image from 0 to 1 would be black."""
    if image.mode.startswith("I"):
        return Image.fromarray((np.clip(np.asarray(image), 0, 65535) // 256).astype(np.uint8))
    if image.mode == "F":
        values = np.nan_to_num(np.asarray(image), posinf=0, neginf=0)
        scale = 255 if values.max() <= 1 else 1 if values.max() <= 255 else 1 / 256
        return Image.fromarray(np.clip(np.rint(values * scale), 0, 255).astype(np.uint8))
    return image


def _to_rgb(image: Image.Image) -> Image.Image:
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
