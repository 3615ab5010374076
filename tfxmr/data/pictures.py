"""Image files as RGB arrays: whatever a user's folder may hold, or a clear refusal."""
import io
import warnings

import numpy as np
from PIL import Image, ImageOps

from tfxmr.errors import InputError

FORMATS = ("JPEG", "PNG", "GIF", "BMP", "WEBP", "TIFF")  # no format whose reader runs another program
SUFFIXES = (".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp", ".tif", ".tiff")
MAX_SIDE = 1024  # pixels; larger pictures are reduced to it, so that a batch of them fits into memory


def decode(content, name):
    """Decodes an image file.

    A picture that a camera's EXIF tag says to turn is turned; of an animation the first frame is taken; grey,
    palette and CMYK pictures become RGB; what is transparent becomes white; 16 bits become the upper 8.

    Args:
      content: bytes of the file, in one of FORMATS.
      name: of the file, for messages.

    Returns:
      uint8 (height, width, 3), neither side longer than MAX_SIDE.

    Raises:
      InputError: no such image, cut off, or with more pixels than Pillow's limit, PIL.Image.MAX_IMAGE_PIXELS (a small
        file can claim any number of them).
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(content), formats=FORMATS) as image:
                image.load()
                image = ImageOps.exif_transpose(image)
                image.thumbnail((MAX_SIDE, MAX_SIDE), Image.Resampling.LANCZOS)
                return np.asarray(_to_rgb(image))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(
            f"{name}: has more pixels than the limit of {Image.MAX_IMAGE_PIXELS:,}; save it smaller"
        ) from error
    except Exception as error:  # Pillow's decoders raise a dozen different types on damaged files
        raise InputError(f"{name}: is no readable image, or is cut off ({error})") from error


def _to_rgb(image):
    if image.mode.startswith("I"):  # 16 bits, which convert() would clip rather than scale
        wide = np.asarray(image, np.int64)
        return Image.fromarray((np.clip(wide, 0, 65535) // 256).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        image = image.convert("RGBA")
        return Image.alpha_composite(Image.new("RGBA", image.size, "white"), image).convert("RGB")
    return image.convert("RGB")
