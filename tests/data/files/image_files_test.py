"""Tests of image files: every kind that a user may have becomes RGB, every damaged one is refused."""
import concurrent.futures
import io
import warnings

import numpy as np
import pytest
from PIL import Image

from tfxmr.core.errors import InputError
from tfxmr.data.files import image_files
from tfxmr.data.files.image_files import decode


def encoded(image, kind, **options):
    buffer = io.BytesIO()
    image.save(buffer, kind, **options)
    return buffer.getvalue()


def left_red(width=40, height=20):
    """An image whose left half is red and right half blue."""
    pixels = np.zeros((height, width, 3), np.uint8)
    pixels[:, : width // 2, 0], pixels[:, width // 2 :, 2] = 255, 255
    return Image.fromarray(pixels)


def test_modes_become_rgb():
    grey = decode(encoded(Image.new("L", (8, 6), 100), "PNG"), "grey")
    assert grey.shape == (6, 8, 3) and np.all(grey == 100)
    cmyk = decode(encoded(Image.new("CMYK", (8, 6), (0, 255, 255, 0)), "JPEG", quality=95), "cmyk")
    assert abs(cmyk.astype(int) - [255, 0, 0]).max() <= 4
    palette = decode(encoded(left_red().quantize(4), "PNG"), "palette")
    assert palette[0, 0].tolist() == [255, 0, 0]


def test_sixteen_bits_are_scaled():
    """Guards against clipping: every value above 255 would be white."""
    wide = Image.fromarray(np.full((4, 4), 128 * 256 + 7, np.uint16))
    assert np.all(decode(encoded(wide, "PNG"), "wide") == 128)


@pytest.mark.parametrize("values, expected", [
    ([0, 0.5, 1], [0, 128, 255]), ([0, 100, 255], [0, 100, 255]), ([0, 25600, 65535], [0, 100, 255]),
    ([-1, np.nan, 0.2], [0, 0, 51]), ([1e30, np.inf, 1], [255, 0, 0]),
])
def test_real_numbers_are_scaled(values, expected):
    """Guards against a black picture: Pillow clips real numbers to whole ones, and brightness often ends at 1."""
    found = decode(encoded(Image.fromarray(np.array([values], np.float32)), "TIFF"), "real.tif")
    assert found[0].tolist() == [[v] * 3 for v in expected]


def test_transparent_is_white():
    """Guards against the colour that happens to be stored under full transparency, often black."""
    assert np.all(decode(encoded(Image.new("RGBA", (4, 4), (0, 0, 0, 0)), "PNG"), "clear") == 255)


def test_exif_turns_the_picture():
    """Orientation 3 is upside down: what is stored left belongs right."""
    exif = Image.Exif()
    exif[0x0112] = 3
    found = decode(encoded(left_red(), "PNG", exif=exif), "turned")
    assert found[0, 0].tolist() == [0, 0, 255] and found[0, -1].tolist() == [255, 0, 0]


def test_first_frame_of_an_animation():
    red, blue = Image.new("RGB", (8, 8), "red"), Image.new("RGB", (8, 8), "blue")
    content = encoded(red, "GIF", save_all=True, append_images=[blue])
    assert decode(content, "moving")[0, 0].tolist() == [255, 0, 0]


def test_large_pictures_are_reduced():
    assert decode(encoded(Image.new("RGB", (3000, 1500)), "PNG"), "large").shape == (512, 1024, 3)


def test_refuses_what_cannot_be_decoded():
    whole = encoded(Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)), "JPEG")
    for content in (b"", b"GIF89a", whole[:100], whole[: len(whole) // 2], b"%!PS-Adobe-3.0 EPSF-3.0\n"):
        with pytest.raises(InputError, match="broken.jpg: is no readable image"):
            decode(content, "broken.jpg")


@pytest.mark.parametrize("limit", [99, 40])
def test_refuses_decompression_bombs(limit, monkeypatch):
    """Guards against Pillow's warning, which only prints, between the limit and twice the limit."""
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", limit)
    with pytest.raises(InputError, match=f"more pixels than the limit of {limit}"):
        decode(encoded(Image.new("RGB", (10, 10)), "PNG"), "bomb.png")
    assert image_files.FORMATS  # the limit is read at each call, not at import


def test_threads_decode_without_a_filter_of_warnings_for_all(monkeypatch):
    """Guards against a filter that one thread sets for a while, and another finds or loses: an image that is too large
    is taken, or warnings are errors ever after."""
    small, large = (io.BytesIO() for _ in range(2))
    Image.new("L", (40, 40)).save(small, "PNG")
    Image.new("L", (60, 60)).save(large, "PNG")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 2000)
    before = list(warnings.filters)

    def refused(number):
        try:
            image_files.decode((large if number % 2 else small).getvalue(), "x.png")
        except InputError:
            return True
        return False

    with concurrent.futures.ThreadPoolExecutor(8) as threads:
        assert list(threads.map(refused, range(400))) == [False, True] * 200
    assert warnings.filters == before
