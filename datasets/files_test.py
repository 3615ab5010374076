"""Tests of finding official files in folders and archives."""
import io
import zipfile

import numpy as np
import PIL.Image
import pytest
from tfxmr_datasets import files

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


@pytest.mark.parametrize("mode, kind", [("CMYK", "JPEG"), ("P", "PNG"), ("RGBA", "PNG"), ("L", "GIF"), ("RGB", "JPEG")])
def test_image(tmp_path, mode, kind):
    """Guards against pictures of other kinds than their names say, which TensorFlow decodes to other shapes."""
    path = tmp_path / "a.jpg"
    PIL.Image.new("RGB", (4, 3), (200, 30, 90)).convert(mode).save(path, kind)
    decoded = PIL.Image.open(io.BytesIO(files.image(path)))
    assert decoded.mode == "RGB" and np.asarray(decoded).shape == (3, 4, 3)
    if (mode, kind) == ("RGB", "JPEG"):
        assert files.image(path) == path.read_bytes()
