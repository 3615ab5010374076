"""Tests of features made in shards: the feature folder is that of one process, and what is there is not made again."""
import numpy as np
import pytest
from making import write_media
from pyarrow import parquet

from tfxmr.__main__ import main
from tfxmr.core.errors import InputError
from tfxmr.extraction import beam, shards


@pytest.fixture
def media(tmp_path):
    """70 training and 20 test pairs of two classes."""
    return write_media(tmp_path / "media", train=35, test=10)


@pytest.fixture
def made(monkeypatch):
    """An engine in place of Beam's that makes the shards in this process; the names of those that it made."""
    names = []

    def make(asked, folder):
        for name in asked:
            names.append(name)
            shards.make(name, folder)

    monkeypatch.setattr(beam, "engine", lambda text: make)
    for cache in (shards._job, shards._feature, shards._reader):
        cache.cache_clear()
    return names


def run(media, out, *more):
    return main(["extract", "--dataset=folder", "--image_features=descriptor,descriptor_regions",
                 "--text_features=bow20,words", "--min_documents=1", f"--data_dir={media}", f"--out={out}", *more])


def content(folder):
    return {p.relative_to(folder): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def test_the_folder_is_that_of_one_process(media, tmp_path, made, monkeypatch):
    """To the bit, with its manifest; and the union of the shards are the local matrices."""
    monkeypatch.chdir(tmp_path)
    assert run("media", tmp_path / "local") == 0
    assert run("media", "sharded", "--engine=beam", "--shards=3") == 0
    assert content(tmp_path / "local") == content(tmp_path / "sharded")
    folder = tmp_path / "sharded_shards"
    assert len(made) == 2 * 4 * 3 and (folder / "bad.tsv").read_text() == "split\tview\tid\treason\n"
    for view in ("image", "image.regions", "text", "text.words"):
        tables = [parquet.read_table(path) for path in sorted(folder.glob(f"train.{view}-*.parquet"))]
        local = np.load(tmp_path / f"local/train/{view}.npy")
        vectors = [vector for table in tables for vector in table["vector"].to_pylist()]
        assert np.array_equal(np.array(vectors, local.dtype).reshape(local.shape), local)
    assert tables[0].column_names == ["row", "id", "label", "split", "vector"]
    assert sum((table["label"].to_pylist() for table in tables), []) == [0] * 35 + [1] * 35


def test_what_is_there_is_not_made_again(media, tmp_path, made, monkeypatch):
    """Guards against a killed job that begins anew, and against shards of other features in the same place."""
    assert run(media, tmp_path / "local") == 0
    kill = tmp_path / "out_shards/test.image-00001-of-00002.parquet"
    whole = shards.write

    def killed(path, *more):
        if path == kill:
            raise KeyboardInterrupt
        whole(path, *more)

    monkeypatch.setattr(shards, "write", killed)
    assert run(media, tmp_path / "out", "--engine=beam", "--shards=2") == 130
    monkeypatch.setattr(shards, "write", whole)
    before = len(made)
    assert run(media, tmp_path / "out", "--engine=beam", "--shards=2") == 0
    assert len(made) - before == 2 * 4 * 2 - (before - 1) < 2 * 4 * 2
    assert content(tmp_path / "local") == content(tmp_path / "out")
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    assert run(media, tmp_path / "out", "--engine=beam", "--shards=3") == 2


def test_bad_items_are_named(media, tmp_path, made, capsys, monkeypatch):
    """A file that breaks while the job runs: all such are listed, and the rest needs not be made again."""
    reader, broken = shards._reader, {"train/cat/3", "test/dog/7"}

    def breaking(*arguments):
        read = reader(*arguments)

        def read_one(modality, ids):
            if modality == "image" and ids[0] in broken:
                raise InputError(f"{ids[0]}.png: is no image")
            return read(modality, ids)

        return read_one

    monkeypatch.setattr(shards, "_reader", breaking)
    assert run(media, tmp_path / "out", "--engine=beam", "--shards=2") == 2
    told, bad = capsys.readouterr().err, (tmp_path / "out_shards/bad.tsv").read_text().splitlines()
    assert "4 items cannot be read" in told and f"all are in {tmp_path}/out_shards/bad.tsv" in told
    assert "train\timage.regions\ttrain/cat/3\ttrain/cat/3.png: is no image" in bad and len(bad) == 5
    assert not (tmp_path / "out/manifest.json").exists() and not (tmp_path / "out_shards/manifest.json").exists()
    broken.clear()
    before = len(made)
    assert run(media, tmp_path / "out", "--engine=beam", "--shards=2") == 0 and len(made) - before == 4
    assert (tmp_path / "out_shards/bad.tsv").read_text() == "split\tview\tid\treason\n"


def test_a_damaged_shard_is_named(media, tmp_path, made, capsys):
    assert run(media, tmp_path / "out", "--engine=beam", "--shards=1") == 0
    (tmp_path / "out").rename(tmp_path / "elsewhere")
    path = tmp_path / "out_shards/train.text-00000-of-00001.parquet"
    path.write_bytes(path.read_bytes()[:200])
    assert run(media, tmp_path / "out", "--engine=beam", "--shards=1") == 2
    assert f"{path}: is damaged" in capsys.readouterr().err
    path.rename(tmp_path / "aside")
    assert run(media, tmp_path / "out", "--engine=beam", "--shards=1") == 0
    assert content(tmp_path / "elsewhere") == content(tmp_path / "out")


@pytest.mark.parametrize(("flags", "told"), [
    (["--shards=2"], "--shards=2: goes with --engine=beam"),
    (["--beam_options=--x"], "--beam_options=--x: goes with --engine=beam"),
    (["--engine=beam", "--beam_options='"], "--beam_options=': No closing quotation"),
])
def test_refusals(media, tmp_path, capsys, flags, told):
    assert run(media, tmp_path / "out", *flags) == 2
    assert told in capsys.readouterr().err


def test_flags_of_a_pipeline():
    """Guards against Beam's own runner making all in one process, and against its flags at a cluster's."""
    assert beam.flags("") == ["--runner=DirectRunner", "--direct_running_mode=multi_processing",
                              "--direct_num_workers=0"]
    assert beam.flags("--runner=DirectRunner --direct_num_workers=3") == [
        "--direct_running_mode=multi_processing", "--runner=DirectRunner", "--direct_num_workers=3"
    ]
    assert beam.flags("--runner=FlinkRunner") == ["--runner=FlinkRunner"]


def test_without_beam(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "apache_beam", None)
    with pytest.raises(InputError, match="needs Apache Beam .*pip install 'tfxmr\\[beam\\]'"):
        beam.engine("")
