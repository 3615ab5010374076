"""Tests of finding official files in folders and archives."""
import contextlib
import io
import json
import zipfile
from unittest import mock

import numpy as np
import PIL.Image
import pytest
import tensorflow as tf
from tfxmr_datasets import captions, files
from tfxmr_datasets.flickr30k_xmr import official_files as flickr30k
from tfxmr_datasets.mscoco_xmr import official_files as mscoco

from tfxmr.core.errors import InputError
from tfxmr.data.files import image_files


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
    assert lines[0] == f"d: 31 files missing. Put them into the folder {tmp_path} (flag --manual_dir):"
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


def everything(where):
    """Reads all that archives hold, in all ways."""
    for member in where._members.values():
        for read in (member.read_bytes, lambda m=member: list(files.lines(m)), lambda m=member: captions.read_json(m)):
            with contextlib.suppress(InputError):
                read()


@pytest.mark.parametrize("method", [zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_damage_anywhere_in_an_archive(tmp_path, method):
    """Guards against zlib.error, LZMAError, BadZipFile, struct.error and others: every byte in turn is damaged."""
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w", method) as archive:
        archive.writestr("a/list.txt", "a line\n" * 40)
    whole, refused = content.getvalue(), 0
    for place in range(len(whole)):
        damaged = whole[:place] + bytes([whole[place] ^ (place % 255 + 1)]) + whole[place + 1 :]
        for content in (damaged, whole[:place]):
            (tmp_path / "a.zip").write_bytes(content)
            try:
                everything(files.Files("d", tmp_path, tmp_path))
            except InputError:
                refused += 1
    assert refused > len(whole)  # at least what is cut off
    (tmp_path / "a.zip").write_bytes(whole[:40] + bytes(4) + whole[44:])
    member = files.Files("d", tmp_path, tmp_path).find("list.txt")
    for read in (member.read_bytes, lambda: list(files.lines(member)), lambda: captions.read_json(member)):
        with pytest.raises(InputError, match="a.zip: a/list.txt: cannot be read"):
            read()


def test_encrypted_member(tmp_path):
    with zipfile.ZipFile(tmp_path / "a.zip", "w") as archive:
        archive.writestr("a.txt", "text")
    content = (tmp_path / "a.zip").read_bytes()
    places = [content.index(b"PK\1\2") + 8, 6]  # of the flags in the list of files, and before the file
    (tmp_path / "a.zip").write_bytes(bytes(b | 1 if n in places else b for n, b in enumerate(content)))
    with pytest.raises(InputError, match="a.zip: a.txt: cannot be read .*encrypted"):
        files.Files("d", tmp_path, tmp_path).find("a.txt").read_bytes()


def test_endless_lines(tmp_path, monkeypatch):
    """Guards against an archive of a few bytes that unpacks to one line of a gigabyte."""
    monkeypatch.setattr(files, "MAX_LINE", 50)
    (tmp_path / "a.txt").write_text("short\n" + 60 * "x")
    with pytest.raises(InputError, match="a.txt: line 2 is longer than 50 bytes"):
        list(files.lines(tmp_path / "a.txt"))


@pytest.mark.parametrize("entry", [
    None, 3, [], {}, {"split": None}, {"split": []}, {"cocoid": float("nan")}, {"cocoid": float("inf")},
    {"cocoid": "x"}, {"sentences": None}, {"sentences": [None]}, {"sentences": [{"raw": 5}]}, {"sentences": []},
    {"filename": "../evil.jpg"}, {"filename": None}, {"id": float("nan")}, {"id": []}, {"annotations": None},
    {"annotations": [{"image_id": [], "caption": "x"}]}, {"annotations": [{"image_id": 1, "caption": None}]},
])  # fmt: skip
def test_malformed_captions(tmp_path, entry):
    """Guards against tracebacks of numbers that are none and texts that are none."""
    good = {"split": "train", "cocoid": 1, "filename": "1.jpg", "sentences": [{"raw": "a"}], "id": 1}
    image = good | entry if isinstance(entry, dict) and entry else entry
    annotations = (entry or {}).get("annotations", [{"image_id": 1, "caption": "a"}]) if isinstance(entry, dict) else []
    path = tmp_path / "captions.json"
    path.write_text(json.dumps({"images": [image], "annotations": annotations}))
    names = {"coco": lambda e: mscoco._names(int(e["cocoid"])), "flickr": lambda e: flickr30k._names(e["filename"])}
    refused = []
    for read in (lambda: captions.read_karpathy(path, names["coco"]), lambda: captions.read_karpathy(path, names["flickr"]),
                 lambda: captions.read_coco(path, lambda e: mscoco._names(int(e["id"])))):  # fmt: skip
        try:
            read()
        except InputError as error:
            refused.append(str(error))
    assert refused and all(str(path) in message for message in refused)


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
    np.testing.assert_array_equal(seen, image_files.decode(path.read_bytes(), name))


@pytest.mark.parametrize("content", [
    b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\nshowpage\n%%EOF\n", b"<html>gone</html>", b"",
    encoded(RGB, "JPEG")[:-99],
])  # fmt: skip
def test_what_is_no_image_is_refused(tmp_path, content):
    """Guards against EPS files, for which Pillow starts another program, and against half a picture."""
    (tmp_path / "a.jpg").write_bytes(content)
    with mock.patch("subprocess.Popen", side_effect=AssertionError), pytest.raises(InputError, match="a.jpg: is no readable"):
        files.image(tmp_path / "a.jpg")
