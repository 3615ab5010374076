"""Tests of `tfxmr encode --engine=beam`: the folder is that of one process, and what is there is not made again."""
import numpy as np
import pyarrow.parquet
import pytest
from making import MeanColour, Words
from PIL import Image

import tfxmr
from tfxmr import encoding
from tfxmr.__main__ import main
from tfxmr.baselines.cca import CCA, CCASettings
from tfxmr.core.errors import InputError
from tfxmr.encoding import folder, shards, stream
from tfxmr.evaluation import protocol
from tfxmr.extraction import beam
from tfxmr.runs.run import run


@pytest.fixture
def encoder(make_data, tmp_path, monkeypatch):
    """Of a run whose features seem to be made of media; in blocks of few items."""
    data = make_data(dims={"image": 3, "text": 3}, classes=4, train=24, test=8)
    run(CCA, CCASettings(components=2, feature_norm="zscore"), data, protocol.make("standard", data), tmp_path / "run")
    loaded = tfxmr.load(tmp_path / "run")
    held = {"image": MeanColour(), "text": Words("red", "boat", "sky")}
    made = encoding.Encoder(loaded.facts, loaded.method, loaded.normalisations, held.get, {})
    for module in (encoding, folder):
        monkeypatch.setattr(module, "load", lambda *_: made)
    for kind in stream.BLOCK:
        monkeypatch.setitem(stream.BLOCK, kind, 4)
    shards._job.cache_clear()
    return made


@pytest.fixture
def made(monkeypatch):
    """An engine in place of Beam's that makes the shards in this process; the names of those that it made."""
    names = []

    def make(asked, place):
        for name in asked:
            names.append(name)
            shards.make(name, place)

    monkeypatch.setattr(beam, "engine", lambda text, make_one: make)
    return names


@pytest.fixture
def sources(tmp_path):
    """The flags of 30 rows, 11 texts and 6 files, some of which cannot be encoded."""
    rng = np.random.default_rng(0)
    rows = rng.normal(size=(30, 3)).astype(np.float32)
    rows[[4, 29]] = np.nan
    np.save(tmp_path / "x.npy", rows)
    (tmp_path / "t.txt").write_text("red boat\nblue\n" + "red sky\n" * 9)
    (tmp_path / "images").mkdir()
    for number in range(5):
        Image.fromarray(rng.integers(0, 256, (5, 4, 3), np.uint8)).save(tmp_path / f"images/{number}.png")
    (tmp_path / "images/notes.txt").write_text("no image")
    return [["--features=x.npy", "--modality=image"], ["--texts=t.txt"], ["--images=images"]]


def content(place):
    return {p.relative_to(place): p.read_bytes() for p in sorted(place.rglob("*")) if p.is_file()}


def encode(source, out, *more):
    return main(["encode", "--run_dir=run", *source, f"--out={out}", *more])


@pytest.mark.parametrize("which", range(3))
def test_the_folder_is_that_of_one_process(encoder, made, sources, which, tmp_path, monkeypatch):
    """To the bit, with the list of what cannot be encoded; by relative paths, which other processes would not find."""
    monkeypatch.chdir(tmp_path)
    assert encode(sources[which], "local") == 1
    assert encode(sources[which], "sharded", "--engine=beam", "--shards=3") == 1
    assert content(tmp_path / "local") == content(tmp_path / "sharded")
    assert len(made) == 3 and len(list(tmp_path.glob("sharded_shards/*/*.parquet"))) == 3
    assert encode(sources[which], "sharded", "--engine=beam", "--shards=3") == 1 and len(made) == 3


def test_columns_of_a_shard(encoder, made, sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode(sources[1], "out", "--engine=beam", "--shards=2")
    tables = [pyarrow.parquet.read_table(path) for path in sorted(tmp_path.glob("out_shards/text/*.parquet"))]
    rows = [row for table in tables for row in table.to_pylist()]
    assert [row["row"] for row in rows] == list(range(11)) and [row["id"] for row in rows][:2] == ["1", "2"]
    assert "none of its words is known" in rows[1]["reason"] and rows[0]["reason"] is None
    assert np.isnan(rows[1]["vector"]).all()


def test_what_is_there_is_not_made_again(capsys, encoder, made, sources, tmp_path, monkeypatch):
    """Guards against a killed job that begins anew, and against the shards of other items in the same place."""
    monkeypatch.chdir(tmp_path)
    encode(sources[0], "local")
    real = stream.Rows.__call__

    def killed(self, part):
        if part.start == 16:
            raise KeyboardInterrupt
        return real(self, part)

    monkeypatch.setattr(stream.Rows, "__call__", killed)
    assert encode(sources[0], "out", "--engine=beam", "--shards=4") == 130
    monkeypatch.setattr(stream.Rows, "__call__", real)
    before = len(made)
    assert encode(sources[0], "out", "--engine=beam", "--shards=4") == 1
    assert 0 < len(made) - before < 4 and content(tmp_path / "local") == content(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "aside")
    capsys.readouterr()
    assert encode(sources[0], "out", "--engine=beam", "--shards=2") == 2
    assert "out_shards/image: holds shards of another job; give another --out" in capsys.readouterr().err


def test_a_damaged_shard_is_named(capsys, encoder, made, sources, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    encode(sources[1], "out", "--engine=beam", "--shards=2")
    (tmp_path / "out").rename(tmp_path / "aside")
    path = tmp_path / "out_shards/text/text-00001-of-00002.parquet"
    path.write_bytes(path.read_bytes()[:100])
    assert encode(sources[1], "out", "--engine=beam", "--shards=2") == 2
    assert f"{path}: is damaged" in capsys.readouterr().err
    path.unlink()
    assert encode(sources[1], "out", "--engine=beam", "--shards=2") == 1
    assert content(tmp_path / "aside") == content(tmp_path / "out")


def test_items_that_change_meanwhile(encoder, sources, tmp_path, monkeypatch):
    """Guards against shards of the old items beside those of the new ones."""
    monkeypatch.chdir(tmp_path)

    def change(names, place):
        (tmp_path / "t.txt").write_text("red boat\n" * 12)
        shards.make(names[0], place)

    monkeypatch.setattr(beam, "engine", lambda text, make_one: change)
    with pytest.raises(InputError, match="the items were changed since the shards were begun"):
        stream.encode(encoder, "text", stream.texts("t.txt"), "out", lambda done, total: None,
                      shards.engine("out", 2, change))


def test_by_beam_itself(encoder, sources, tmp_path, monkeypatch):
    """In this process; processes of its own are seen by tests/engines/engines.py."""
    pytest.importorskip("apache_beam", reason="apache_beam is not installed; pip install 'tfxmr[beam]'")
    monkeypatch.chdir(tmp_path)
    encode(sources[2], "local")
    options = "--beam_options=--direct_running_mode=in_memory"
    assert encode(sources[2], "out", "--engine=beam", "--shards=2", options) == 1
    assert content(tmp_path / "local") == content(tmp_path / "out")


def test_what_a_worker_of_beam_refuses(capsys, encoder, sources, tmp_path, monkeypatch):
    """Guards against Beam's words in place of the worker's one line."""
    pytest.importorskip("apache_beam", reason="apache_beam is not installed; pip install 'tfxmr[beam]'")
    monkeypatch.chdir(tmp_path)

    def refuse(place):
        raise InputError(f"{place}: is damaged; mend it")

    monkeypatch.setattr(folder, "load", refuse)
    options = "--beam_options=--direct_running_mode=in_memory"
    assert encode(sources[1], "out", "--engine=beam", "--shards=2", options) == 2
    assert capsys.readouterr().err.endswith(f"tfxmr: error: {tmp_path}/run/encoder: is damaged; mend it\n")


@pytest.mark.parametrize(("flags", "told"), [
    (["--shards=2"], "--shards=2: goes with --engine=beam"),
    (["--engine=beam", "--beam_options='"], "--beam_options=': No closing quotation"),
])
def test_refusals(capsys, encoder, sources, tmp_path, monkeypatch, flags, told):
    monkeypatch.chdir(tmp_path)
    assert encode(sources[1], "out", *flags) == 2
    assert told in capsys.readouterr().err and not (tmp_path / "out").exists()
