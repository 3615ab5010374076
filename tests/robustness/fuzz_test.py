"""The fuzzer counts what is planted: it must not be a check that cannot fail."""
import contextlib
import io
import json
import os
import random
import signal
import tarfile
import time

import feed
import feed_media
import fuzz
import mutations
import parsers
import pytest

from tfxmr.core.errors import InputError
from tfxmr.data.files import layouts

TREE = {"a.json": b'{"a": [1, 2], "b": {"c": "text"}}', "b.txt": b"one 1\ntwo 2\n"}


def make(folder):
    for name, content in TREE.items():
        (folder / name).write_bytes(content)


def planted(fault):
    """A parser that refuses what is damaged, but has the fault where its first byte is odd."""
    def read(folder, name):
        content = (folder / name).read_bytes()
        if content != TREE[name]:
            if len(content) % 2:
                fault()
            raise InputError("damaged")

    return feed.Parser("planted", make, read)


def hold_memory():
    held = bytearray(200 * 2**20)
    for place in range(0, len(held), 4096):
        held[place] = 1


@pytest.mark.parametrize("kind, fault", [
    ("other", lambda: {}["missing"]),
    ("crashes", lambda: os.kill(os.getpid(), signal.SIGSEGV)),
    ("hangs", lambda: time.sleep(60)),
    ("hangs", lambda: [None for _ in iter(int, 1)]),
    ("memory", hold_memory),
])
def test_a_planted_fault_is_found_and_kept(tmp_path, kind, fault):
    """Guards against faults that are counted as refusals or lost with the child that dies of them."""
    usual = fuzz.fuzz(planted(lambda: None), 1, 0, tmp_path)["peak MiB"]
    limits = fuzz.Limits(seconds=0.3 if kind == "hangs" else 10, mib=usual + 100)
    row = fuzz.fuzz(planted(fault), 6, 0, tmp_path, limits)
    others = sum(row[name] for name in fuzz.FAULTS if name != kind)
    assert row[kind] > 0 and others == 0 and row["refused"] > 0, row
    assert row["inputs"] == 6
    (kept, *_) = sorted(tmp_path.glob("planted/*"))
    (path,) = (p for p in kept.iterdir() if p.name != "WHAT")
    assert len(path.read_bytes()) % 2 and path.read_bytes() != TREE[path.name]
    assert fuzz.report([row]) is False


def test_a_good_parser_passes_and_the_inputs_repeat(tmp_path):
    limits = fuzz.Limits(mib=2**20)  # the tests before may have filled the process that is forked
    row = fuzz.fuzz(planted(lambda: None), 40, 0, tmp_path, limits)
    assert row["refused"] > 20 and row["inputs"] == 40 and fuzz.report([row])
    made = [[fuzz.Inputs(planted(None), TREE, seed)[n] for n in range(20)] for seed in (1, 1, 2)]
    assert made[0] == made[1] != made[2]
    assert len({content for _, content in made[0]}) > 14


def test_good_files_that_are_refused_stop_the_fuzzer(tmp_path):
    """Guards against a parser that refuses all, of which nothing would be learned."""
    refusing = feed.Parser("refusing", make, lambda folder, name: 1 / 0)
    with pytest.raises(RuntimeError, match="its good files are not read"):
        fuzz.fuzz(refusing, 5, 0, tmp_path)


def test_documents_stay_documents():
    """Guards against damage to JSON that only ever makes it unreadable, so that no reader looks further."""
    content, valid = TREE["a.json"], 0
    for number in range(300):
        try:
            valid += json.loads(mutations.document(content, random.Random(number))) != json.loads(content)
        except RecursionError:
            pass
    assert valid > 200


def test_every_layout_is_fed(tmp_path):
    """Guards against a way in which images and texts lie that is read, and never damaged."""
    found = set()
    for parser in parsers.PARSERS:
        if parser.read in (feed_media._items, feed_media._skipping):
            folder = tmp_path / parser.name
            folder.mkdir()
            parser.make(folder)
            one = next((folder / name for name in ("items.csv", "items.tsv", "train.parquet") if (folder / name).exists()), folder)
            found.add(layouts.find(one).layout)
    assert found == set(layouts.LAYOUTS)


def test_archives_stay_archives(tmp_path):
    """Guards against damage to tar files that only ever makes their first header unreadable, or none at all."""
    feed_media._webdataset(tmp_path)
    content, valid = (tmp_path / "train-0.tar").read_bytes(), 0
    for number in range(100):
        damaged = mutations.tape(content, random.Random(number))
        with contextlib.suppress(tarfile.TarError, OverflowError), tarfile.open(fileobj=io.BytesIO(damaged)) as stored:
            valid += damaged != content and len(list(stored)) > 1
    assert valid > 60


def test_every_part_of_the_parsers_is_fed():
    assert len({parser.name for parser in parsers.PARSERS}) == len(parsers.PARSERS) > 30
