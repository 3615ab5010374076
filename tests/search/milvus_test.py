"""The index in Milvus Lite, beside the same definition as the folder's; what goes wrong with Milvus, in one line each."""
import socket
import subprocess
import sys
import time

import index_checks
import made
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.search import Index


@pytest.fixture
def lite(tmp_path):
    """The address of a database of Milvus Lite."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed; pip install 'tfxmr[milvus]'")
    pytest.importorskip("milvus_lite", reason="milvus_lite is not installed; pip install 'tfxmr[milvus]'")
    return str(tmp_path / "items.db")


def said(error):
    assert "\n" not in str(error.value)
    return str(error.value)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_a_folder_answers_as_the_definition(tmp_path, similarity):
    """What index_checks.py asks of every engine."""
    index_checks.answers(str(tmp_path / "index"), similarity)


def test_lite_answers_as_the_definition(lite):
    index_checks.answers(lite, "cosine")


def test_lite_makes_approximate_indexes(lite):
    assert set(index_checks.approximate(lite)) == {"hnsw", "ivf_sq8"}


def test_a_folder_has_no_approximate_index(tmp_path):
    with Index.open(tmp_path / "i", made.encoder()) as index:
        with pytest.raises(InputError, match="--kind=hnsw: choose flat; other kinds need a Milvus server"):
            index.build("hnsw")
        assert index.build() == 1


def test_more_ties_than_are_asked_for(lite):
    """Guards against ties that end where the items end that Milvus gives: 200 equal vectors, of which 5 are wanted."""
    vectors = np.ones((200, 4))
    with Index.open(lite, made.encoder(dimensions=4)) as index:
        index.add("image", [f"{i:03d}" for i in range(200)][::-1], vectors)
        assert index.search([[1, 1, 1, 1], [0, 0, 0, 0]], 5).ids.tolist() == [["000", "001", "002", "003", "004"]] * 2


def test_an_index_killed_between_two_kinds(lite):
    """Guards against a collection that nobody can open again, as the kill came after the old index had gone."""
    with Index.open(lite, made.encoder(dimensions=4)) as index:
        index.add("image", ["a"], np.ones((1, 4)))
        index._engine._call("release_collection")
        index._engine._call("drop_index", "vector")
    with Index.open(lite) as index:
        assert index.search(np.ones((1, 4)), 3).ids.tolist() == [["a"]] and index.info()["kind"] == "flat"


def test_two_indexes_of_one_database(lite):
    """Guards against a first one that, closed, takes the database from the second."""
    with Index.open(lite, made.encoder(dimensions=4)) as first:
        second = Index.open(lite)
        first.add("image", ["a"], np.ones((1, 4)))
    assert second.count() == 1
    second.close()


def test_another_process_has_it_open(lite):
    code = "import sys, time; from pymilvus import MilvusClient; MilvusClient(sys.argv[1]); print(flush=True); time.sleep(60)"
    process = subprocess.Popen([sys.executable, "-c", code, lite], stdout=subprocess.PIPE)
    try:
        process.stdout.readline()
        with pytest.raises(InputError, match=rf"milvus-lite server --data-dir {lite} --host 127.0.0.1") as error:
            Index.open(lite)
        assert "another process has it open" in said(error)
    finally:
        process.kill()
        process.wait()
    with Index.open(lite, made.encoder()) as index:
        assert index.count() == 0


def test_what_is_no_index(lite, tmp_path):
    with pytest.raises(InputError, match="holds no index; make one: tfxmr index") as error:
        Index.open(lite)
    (tmp_path / "file.db").write_text("")
    with pytest.raises(InputError, match=r"file.db: Milvus Lite cannot open it \(.*File exists.*give another NAME.db") as error:
        Index.open(tmp_path / "file.db", made.encoder())
    said(error)
    from pymilvus import MilvusClient

    client = MilvusClient(lite)
    client.create_collection("tfxmr", dimension=4)
    client.close()
    with pytest.raises(InputError, match="its collection tfxmr is no index of tfxmr; give another") as error:
        Index.open(lite, made.encoder())
    said(error)


def test_a_server_that_is_not_there():
    """Guards against a client that waits for minutes, or a traceback of gRPC's."""
    pytest.importorskip("pymilvus", reason="pymilvus is not installed; pip install 'tfxmr[milvus]'")
    with socket.create_server(("127.0.0.1", 0)) as listening:  # takes connections and says nothing
        silent = listening.getsockname()[1]
        for port in (silent, 1):
            start = time.monotonic()
            with pytest.raises(InputError, match="no Milvus server answers .*; start it, or give another address") as error:
                Index.open(f"http://127.0.0.1:{port}", made.encoder())
            assert time.monotonic() - start < 10 and f"http://127.0.0.1:{port}: " in said(error)


def test_a_server_that_ends(lite, tmp_path, monkeypatch):
    monkeypatch.setattr("tfxmr.search.milvus.CALL", 2)
    with index_checks.lite_server(tmp_path) as address:
        index = Index.open(f"{address}/items", made.encoder())
        index.add("image", ["a"], np.ones((1, 8)))
    for ask in (lambda: index.search(np.ones((1, 8)), 1), index.items, lambda: index.add("image", ["b"], np.ones((1, 8)))):
        with pytest.raises(InputError, match="no Milvus server answers") as error:
            ask()
        said(error)


@pytest.mark.parametrize("uri", [
    "http://me:secret@127.0.0.1:19530", "http://127.0.0.1:19530/a/b", "ftp://127.0.0.1:19530", "http://127.0.0.1:19530/a-b",
])
def test_addresses(uri):
    """Guards against a password in an address, and then in messages and logs."""
    with pytest.raises(InputError, match="MILVUS_TOKEN=USER:PASSWORD") as error:
        Index.open(uri, made.encoder())
    assert "secret" not in said(error)


@pytest.mark.parametrize("uri", ["items.db", "http://127.0.0.1:19530"])
def test_without_pymilvus(tmp_path, monkeypatch, uri):
    monkeypatch.setitem(sys.modules, "pymilvus", None)
    monkeypatch.chdir(tmp_path)
    with pytest.raises(InputError, match=r"pip install 'tfxmr\[milvus\]'") as error:
        Index.open(uri, made.encoder())
    said(error)


def test_texts_that_are_too_long(lite):
    with Index.open(lite, made.encoder()) as index:
        with pytest.raises(InputError, match="the columns of item 'a' take 70.* bytes.*; shorten its text"):
            index.add("text", ["a"], np.ones((1, 8)), {"text": ["x" * 70_000], "class": ["boat"]})
        with pytest.raises(InputError, match="the id 'xxx.*longer than 8192 bytes"):
            index.add("text", ["x" * 9000], np.ones((1, 8)))
        with pytest.raises(InputError, match="has no column 'clas'"):
            index.add("text", ["a"], np.ones((1, 8)), {"class": ["boat"]})
            index.search(np.ones((1, 8)), 1, {"clas": ["boat"]})
        assert index.count() == 1
