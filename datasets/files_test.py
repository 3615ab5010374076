"""Tests of finding official files in folders and archives."""
import io
import zipfile
from unittest import mock

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from tfxmr_datasets import files

from tfxmr.data import pictures
from tfxmr.errors import InputError


def test_places(tmp_path):
    """Guards against files that are there and not found: in the folder, one deeper, in an archive with or without it."""
    for name in ("here.txt", "unpacked/there.txt", "unpacked/deep/er.txt"):
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(name)
    with zipfile.ZipFile(tmp_path / "unpacked/official.zip", "w") as archive:
        archive.writestr("val2017/1.jpg", "in an archive")
    where = files.Files("d", tmp_path, tmp_path)
    found = [where.find(name) for name in ("here.txt", "there.txt", "deep/er.txt", "val2017/1.jpg", "1.jpg")]
    assert [file.read_bytes().decode() for file in found] == [
        "here.txt", "unpacked/there.txt", "unpacked/deep/er.txt", "in an archive", "in an archive",
    ]  # fmt: skip
    assert str(found[3]) == f"{tmp_path}/unpacked/official.zip: val2017/1.jpg"
    assert list(files.lines(found[3])) == [(1, "in an archive")]
    assert where.find("er.txt") is None and where.find("no.txt", "here.txt") == tmp_path / "here.txt"
    assert files.Files("d", None, "p").find("here.txt") is None


def test_require(tmp_path):
    (tmp_path / "b").write_text("")
    names = ["a", ("c", "b"), *(f"{n}.jpg" for n in range(30))]
    with pytest.raises(InputError) as error:
        files.Files("d", tmp_path, tmp_path).require(*names)
    lines = str(error.value).splitlines()
    assert lines[0] == f"d: 31 file(s) missing. Put them into the folder {tmp_path} (flag --manual_dir):"
    assert lines[1:3] == ["  a", "  0.jpg"] and lines[-1] == "  ... and 11 more"


@pytest.mark.parametrize("name", ["../evil.jpg", "/etc/passwd", "a/../../b", "c:/d", ""])
def test_unsafe_names(tmp_path, name):
    """Guards against paths that lead out of the folder, in an archive or a list."""
    assert not files.safe_name(name)
    if name:
        with zipfile.ZipFile(tmp_path / "evil.zip", "w") as archive:
            archive.writestr(name, "")
        with pytest.raises(InputError, match="evil.zip: holds a file called .* leads out of its folder"):
            files.Files("d", tmp_path, tmp_path)


def test_safe_names():
    assert all(map(files.safe_name, ("a", "a/b.jpg", "a..b/c", "0001_2.jpg", ".hidden/x")))
    assert not files.safe_name("a\\b")


def test_damaged_archive(tmp_path):
    (tmp_path / "cut.zip").write_bytes(b"PK")
    with pytest.raises(InputError, match="cut.zip: is no readable zip archive"):
        files.Files("d", tmp_path, tmp_path)


def test_oversized_member(tmp_path, monkeypatch):
    """Guards against an archive that unpacks to more than the memory."""
    monkeypatch.setattr(files, "MAX_BYTES", 100)
    with zipfile.ZipFile(tmp_path / "bomb.zip", "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("bomb.jpg", bytes(101))
    with pytest.raises(InputError, match="bomb.zip: bomb.jpg: is larger than 100 bytes"):
        files.Files("d", tmp_path, tmp_path).find("bomb.jpg").read_bytes()


def test_lines(tmp_path):
    """Guards against carriage returns, a byte order mark and bytes that are no UTF-8."""
    (tmp_path / "list.txt").write_bytes(b"\xef\xbb\xbfone\r\n\ntw\xe9\n")
    assert list(files.lines(tmp_path / "list.txt")) == [(1, "one"), (2, ""), (3, "tw\N{REPLACEMENT CHARACTER}")]


def encoded(picture, kind, **options):
    content = io.BytesIO()
    picture.save(content, kind, **options)
    return content.getvalue()


def turned():
    exif = PIL.Image.Exif()
    exif[0x0112] = 6  # the right side of what is stored belongs to the bottom
    return exif


NOISE = np.random.default_rng(0).integers(0, 256, (6, 8, 3), np.uint8)
RGB = PIL.Image.fromarray(NOISE)
KINDS = {
    "rgb.jpg": (RGB, "JPEG", {}), "grey.jpg": (RGB.convert("L"), "JPEG", {}), "cmyk.jpg": (RGB.convert("CMYK"), "JPEG", {}),
    "exif.jpg": (RGB, "JPEG", {"exif": turned()}), "webp.jpg": (RGB, "WEBP", {"lossless": True}), "gif.jpg": (RGB, "GIF", {}),
    "palette.png": (RGB.quantize(9), "PNG", {}), "alpha.png": (RGB.convert("RGBA"), "PNG", {}), "1.png": (RGB.convert("1"), "PNG", {}),
    "clear.png": (PIL.Image.new("RGBA", (4, 4), (9, 0, 0, 0)), "PNG", {}), "pixel.png": (RGB.crop((0, 0, 1, 1)), "PNG", {}),
    "tall.png": (RGB.resize((1, 3000)), "PNG", {}), "large.jpg": (RGB.resize((1500, 30)), "JPEG", {}),
    "16.png": (PIL.Image.fromarray((NOISE[..., 0].astype(np.uint16) << 8) + 7), "PNG", {}),
    "real.tif": (PIL.Image.fromarray(NOISE[..., 0] / np.float32(255)), "TIFF", {}),
}  # fmt: skip


@pytest.mark.parametrize("name", KINDS)
def test_every_reader_sees_the_same_picture(tmp_path, name):
    """Guards against two decoders: official images, once TFDS has decoded them, are those of a user's own folder."""
    path = tmp_path / name
    picture, kind, options = KINDS[name]
    path.write_bytes(encoded(picture, kind, **options))
    stored = files.image(path)
    if name in ("rgb.jpg", "grey.jpg"):
        assert stored == path.read_bytes()  # JPEG decoders differ in rounding alone
        return
    seen = tf.image.decode_image(stored, channels=3, expand_animations=False).numpy()
    np.testing.assert_array_equal(seen, pictures.decode(path.read_bytes(), name))


@pytest.mark.parametrize("content", [
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n%%EOF\n", b"<html>gone</html>", b"",
    encoded(RGB, "JPEG")[:-99],
])  # fmt: skip
def test_what_is_no_image_is_refused(tmp_path, content):
    """Guards against EPS files, for which Pillow starts another program, and against half a picture."""
    (tmp_path / "a.jpg").write_bytes(content)
    with mock.patch("subprocess.Popen", side_effect=AssertionError), pytest.raises(InputError, match="a.jpg: is no readable"):
        files.image(tmp_path / "a.jpg")
