"""What commands say of files and archives whose names are made to deceive."""
import io
import re
import tarfile
import unicodedata
import warnings

import numpy as np
import pytest
from PIL import Image

from tfxmr.__main__ import main
from tfxmr.core import display

HOSTILE = "\x1b]0;owned\x07\x1b[2J\u202e"
FORGED = "x\n  empty text: 0, such as none\n"  # a second line of a list


def jpeg(number):
    content = io.BytesIO()
    Image.fromarray(np.full((9, 9, 3), 20 * number, np.uint8)).save(content, "JPEG")
    return content.getvalue()


def contents(prefix):
    """(Name, content) of six good items, and of some that are bad each in another way."""
    for n in range(6):
        yield f"{prefix}{n}.jpg", jpeg(n)
        yield f"{prefix}{n}.txt", f"a red boat {n}".encode()
    yield from ((f"{prefix}a.jpg", b"no image"), (f"{prefix}a.txt", b"a"), (f"{prefix}b.jpg", jpeg(7)), (f"{prefix}b.txt", b" "),
                (f"{prefix}c.jpg", jpeg(8)), (f"{prefix}d.jpg", jpeg(9)), (f"{prefix}d.txt", b"\xff"))


def archive(root):
    for split in ("train", "test"):
        with tarfile.open(root / f"{split}.tar", "w") as file:
            for name, content in contents(HOSTILE + FORGED):
                member = tarfile.TarInfo(name)
                member.size = len(content)
                file.addfile(member, io.BytesIO(content))


def files(root):
    for split in ("train", "test"):
        (root / split / "boat").mkdir(parents=True)
        for name, content in contents(HOSTILE + FORGED):
            (root / split / "boat" / name).write_bytes(content)


def table(root):
    for split in ("train", "test"):
        lines = ["image\ttext"]
        for name, content in contents(HOSTILE):
            if name.endswith(".jpg"):
                (root / f"{split}{name}").write_bytes(content)
                lines.append(f"{split}{name}\ta boat" if "c.jpg" not in name else f"{split}{name}\t")
        (root / f"{split}.tsv").write_text("\n".join([*lines, f"lost{HOSTILE}.jpg\ta lost boat"]) + "\n")


@pytest.mark.parametrize("make", [archive, files, table])
def test_names_of_bad_items(make, tmp_path, capsys, monkeypatch):
    """Guards against names that order a terminal about, or write lines of their own into a list of problems."""
    monkeypatch.setattr(warnings, "formatwarning", warnings.formatwarning)
    monkeypatch.setattr(warnings, "showwarning", lambda message, category, *_: print(warnings.formatwarning(message, category, "", 1)))
    display.show_warnings()  # as the console script does
    make(tmp_path)
    data = ["--dataset=folder", f"--data_dir={tmp_path}", "--items_only"]
    for flags, status in (["--bad_items=refuse"], 2), (["--bad_items=skip"], 0):
        assert main(["describe", *data, *flags]) == status
        printed = capsys.readouterr()
        told = printed.out + printed.err
        assert "unreadable image: 2, such as" in told and r"\x1b]0;owned\x07\x1b[2J\u202e" in told
        assert {c for c in told if unicodedata.category(c) in ("Cc", "Cf") and c != "\n"} == set()
        assert not re.search("^  empty text: 0", told, re.M)
