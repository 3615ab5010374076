"""The index in a folder: against a definition in plain Python, over reopening, changes, kills and bad input."""
import doctest
import functools
import json
import multiprocessing
import os
import subprocess
import sys
import threading
import time

import hypothesis
import made
import numpy as np
import pytest
from hypothesis import strategies

from tfxmr.core.errors import InputError
from tfxmr.search import Index, folder, index, ranking


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def fill(path, plain, rng, dimensions=8):
    with Index.open(path, made.encoder(dimensions=dimensions, similarity=plain.similarity)) as opened:
        for modality, count in (("image", 60), ("text", 40)):
            ids, vectors, columns = made.items(rng, count, dimensions, modality)
            if modality == "text":  # columns of its own, and ids that images have, too
                ids[:10] = made.items(rng, 60)[0][:10]
                columns = {"class": columns["class"], "text": [f"sentence {i}" for i in range(count)]}
            assert opened.add(modality, ids, vectors, columns) == count
            plain.add(modality, ids, vectors, columns)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_search_is_the_definition(tmp_path, rng, similarity):
    """Guards ties at the end of the ranking, equal ids of two modalities, zero vectors, columns that one modality lacks."""
    plain = made.Plain(similarity)
    fill(tmp_path / "i", plain, rng)
    opened = Index.open(tmp_path / "i")
    queries = np.vstack([rng.standard_normal((5, 8)), opened.items({"id": "image/000000"}).vectors, np.zeros((1, 8))])
    for where in (None, {"modality": ["text"]}, {"class": ["boat"]}, {"class": "boat", "split": ["test", "none"]},
                  {"media": ["3.jpg", "7.jpg"]}, {"text": ["sentence 5"]}, {"id": ["image/000000"]}, {"class": ["car"]}):
        for k in (1, 10, 99, 1000):
            made.assert_equal(opened.search(queries, k, where), plain.search(queries, k, where))
        assert opened.count(where) == len(plain.chosen(where))


def test_a_query_alone_is_answered_as_in_a_batch(tmp_path, rng, monkeypatch):
    """A product rounds by place and batch: without exact scores a tie of equal vectors breaks in 8 of 100 cases."""
    vectors = rng.standard_normal((3000, 60)).astype(np.float32)
    vectors = vectors[rng.integers(300, size=3000)]  # every vector ten times
    opened = Index.open(tmp_path / "i", made.encoder(dimensions=60))
    opened.add("image", [f"{i:04d}" for i in rng.permutation(3000)], vectors)
    queries = rng.standard_normal((50, 60))
    batch = opened.search(queries, 25)
    assert any(len(np.unique(row)) < 5 for row in batch.scores)
    for i, query in enumerate(queries):
        alone = opened.search([query], 25)
        assert alone.ids.tolist() == [batch.ids[i].tolist()] and (alone.scores == batch.scores[i]).all()
    for name, value in (("SCORES", 2000), ("QUERIES", 7)):  # other blocks, the same answer
        monkeypatch.setattr(folder, name, value)
    again = opened.search(queries, 25)
    assert (again.ids == batch.ids).all() and (again.scores == batch.scores).all()


@hypothesis.settings(deadline=None, max_examples=20)
@hypothesis.given(strategies.lists(strategies.tuples(
    strategies.sampled_from(["add", "add", "delete", "reopen", "search"]), strategies.integers(0, 2**16)), max_size=12))
def test_any_changes(tmp_path_factory, steps):
    """Adds, replacements, deletions and reopening in any order; guards places that a compaction or a new segment moves."""
    path, plain = tmp_path_factory.mktemp("changes"), made.Plain("cosine")
    opened = Index.open(path, made.encoder())
    for what, seed in steps:
        rng = np.random.default_rng(seed)
        if what == "add":
            modality = ("image", "text", "audio")[seed % 3]
            ids, vectors, columns = made.items(rng, seed % 23 + 1, modality=modality, start=seed % 11)
            if seed % 5 == 0:
                columns = {"class": columns["class"]}
            before = set(plain.rows)
            new = opened.add(modality, ids, vectors, columns)
            plain.add(modality, ids, vectors, columns)
            assert new == len(set(plain.rows) - before)
        elif what == "delete" and plain.rows:
            where = {"class": [("boat", "bird")[seed % 2]]}
            assert opened.delete(where) == plain.delete(where)
        elif what == "reopen" and plain.rows:
            opened.close()
            opened = Index.open(path)
        queries = rng.standard_normal((3, 8))
        made.assert_equal(opened.search(queries, 7), plain.search(queries, 7))
        assert opened.count() == len(plain.rows)
    opened.close()


def test_compaction(tmp_path, rng, monkeypatch):
    """Guards against an index that grows for ever by replacements, and one that a compaction changes."""
    monkeypatch.setattr(folder, "SCAN", 64)
    plain = made.Plain("cosine")
    fill(tmp_path / "i", plain, rng)
    ids, vectors, columns = made.items(rng, 600)
    with Index.open(tmp_path / "i") as opened:
        for i in range(8):
            opened.add("image", ids, vectors + i, columns)
            plain.add("image", ids, vectors + i, columns)
            queries = rng.standard_normal((3, 8))
            made.assert_equal(opened.search(queries, 50), plain.search(queries, 50))
        size = sum(path.stat().st_size for path in (tmp_path / "i").iterdir())
    assert size < 3 * 640 * 100
    made.assert_equal(Index.open(tmp_path / "i").search(queries, 50), plain.search(queries, 50))
    assert opened.delete({"modality": ["image", "text"]}) == len(plain.rows)
    assert Index.open(tmp_path / "i").count() == 0


def test_the_same_again_writes_nothing(tmp_path, rng):
    fill(tmp_path / "i", made.Plain("cosine"), np.random.default_rng(0))
    before = {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in (tmp_path / "i").iterdir()}
    with Index.open(tmp_path / "i", made.encoder()) as opened:
        rng = np.random.default_rng(0)
        assert opened.add("image", *made.items(rng, 60)) == 0
    after = {path.name: (path.stat().st_mtime_ns, path.stat().st_size) for path in (tmp_path / "i").iterdir()}
    assert {n: v for n, v in after.items() if n != ".lock"} == {n: v for n, v in before.items() if n != ".lock"}


def test_readers_see_what_they_opened(tmp_path, rng):
    """Guards against a reader that a writer's appends, replacements or compaction change or break."""
    plain = made.Plain("cosine")
    fill(tmp_path / "i", plain, rng)
    reader, queries = Index.open(tmp_path / "i"), rng.standard_normal((3, 8))
    with Index.open(tmp_path / "i") as writer:
        for i in range(5):
            writer.add("image", *made.items(np.random.default_rng(i), 1000))
        writer.delete({"class": ["boat"]})
    made.assert_equal(reader.search(queries, 20), plain.search(queries, 20))


def test_threads_share_an_index(tmp_path, rng):
    plain = made.Plain("cosine")
    fill(tmp_path / "i", plain, rng)
    opened, queries, faults = Index.open(tmp_path / "i"), rng.standard_normal((4, 8)), []

    def search():
        try:
            for _ in range(20):
                made.assert_equal(opened.search(queries, 9, {"class": ["boat"]}), expected)
        except AssertionError as error:
            faults.append(error)

    expected = plain.search(queries, 9, {"class": ["boat"]})
    threads = [threading.Thread(target=search) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not faults


def add_overlapping(path, told, count=150):
    """Adds `count` times 30 items, 10 of them anew, and tells each time that came back."""
    with Index.open(path, made.encoder()) as opened:
        for i in range(count):
            ids, vectors, columns = made.items(np.random.default_rng(i), 30, start=20 * i)
            opened.add("image", ids, vectors, columns)
            os.write(told, b".")


def test_killed_at_random_moments(tmp_path):
    """What was acknowledged is there, nothing twice, and the same command goes on: ten kills, then an undisturbed end."""
    path, rng, context = tmp_path / "i", np.random.default_rng(), multiprocessing.get_context("fork")
    batches = [made.items(np.random.default_rng(i), 30, start=20 * i) for i in range(150)]
    batches = [dict(zip(ids, (made.Plain("cosine").unit(v).tolist() for v in vectors), strict=True))
               for ids, vectors, _ in batches]
    state = {}
    for life in range(11):
        ends = os.pipe()
        process = context.Process(target=add_overlapping, args=(path, ends[1]))
        process.start()
        os.close(ends[1])
        first = os.read(ends[0], 1)
        if life < 10:
            time.sleep(rng.uniform(0, 0.2))
            process.kill()
        process.join()
        acknowledged = len(first + os.read(ends[0], 1000))
        os.close(ends[0])
        before = functools.reduce(lambda a, b: a | b, batches[:acknowledged], state)
        after = before | batches[acknowledged] if acknowledged < 150 else before  # of an add that was on its way
        items = Index.open(path).items()
        state = dict(zip(items.ids, items.vectors.tolist(), strict=True))
        assert len(items.ids) == len(state)
        assert state in (before, after)
    assert acknowledged == 150 and len(state) == 20 * 149 + 30
    assert [file.suffix for file in path.iterdir()].count(".vectors") == 1  # nothing of killed writes stays


def test_torn_writes_are_cleared(tmp_path, rng):
    plain = made.Plain("cosine")
    fill(tmp_path / "i", plain, rng)
    with open(tmp_path / "i/1.vectors", "ab") as file:
        file.write(b"torn")
    (tmp_path / "i/99.items").write_bytes(b"of a killed process")
    with Index.open(tmp_path / "i") as opened:
        ids, vectors, columns = made.items(rng, 5, start=500)
        opened.add("image", ids, vectors, columns)
        plain.add("image", ids, vectors, columns)
    assert not (tmp_path / "i/99.items").exists()
    queries = rng.standard_normal((3, 8))
    made.assert_equal(Index.open(tmp_path / "i").search(queries, 200), plain.search(queries, 200))


def test_a_full_disk_loses_nothing(tmp_path, rng, monkeypatch):
    """Guards against a replaced item that is dead although its successor was never written."""
    plain = made.Plain("cosine")
    fill(tmp_path / "i", plain, rng)

    def full(*_):
        raise OSError(28, "No space left on device")

    with Index.open(tmp_path / "i") as opened:
        ids, vectors, columns = made.items(rng, 60)
        with monkeypatch.context() as patch:
            patch.setattr(folder, "write_text", full)
            with pytest.raises(OSError):
                opened.add("image", ids, -vectors, columns)
        extra = made.items(rng, 5, start=900)
        opened.add("image", *extra)
        plain.add("image", *extra)
        queries = rng.standard_normal((3, 8))
        made.assert_equal(opened.search(queries, 200), plain.search(queries, 200))
    made.assert_equal(Index.open(tmp_path / "i").search(queries, 200), plain.search(queries, 200))


def write_and_wait(path, begun, end):
    with Index.open(path) as opened:
        opened.delete({"id": ["image/000000"], "modality": "image"})
        begun.set()
        end.wait(30)


def test_a_second_writer_is_told(tmp_path, rng):
    fill(tmp_path / "i", made.Plain("cosine"), rng)
    context = multiprocessing.get_context("fork")
    begun, end = context.Event(), context.Event()
    process = context.Process(target=write_and_wait, args=(tmp_path / "i", begun, end))
    process.start()
    try:
        assert begun.wait(30)
        opened = Index.open(tmp_path / "i", made.encoder())
        assert opened.count() == 99  # searching goes on
        with pytest.raises(InputError, match="another process is writing this index"):
            opened.add("image", ["x"], np.ones((1, 8)))
    finally:
        end.set()
        process.join()
    assert opened.add("image", ["x"], np.ones((1, 8))) == 1
    opened.close()


def test_another_encoder_is_refused(tmp_path, rng):
    fill(tmp_path / "i", made.Plain("cosine"), rng)
    with pytest.raises(InputError, match=r"holds vectors of the encoder 5e1f5e1f5e1f.*, not of abcabcabcabc") as error:
        Index.open(tmp_path / "i", made.encoder("abc" * 20))
    assert "tfxmr index" in str(error.value) and "\n" not in str(error.value)


def test_no_index_there(tmp_path):
    for arguments in ((), (made.encoder(), False)):
        with pytest.raises(InputError, match="holds no index; make one: tfxmr index"):
            Index.open(tmp_path / "none", *arguments)
    assert not (tmp_path / "none").exists()
    (tmp_path / "file").write_text("")
    with pytest.raises(InputError, match="is a file; give a folder"):
        Index.open(tmp_path / "file", made.encoder())
    with pytest.raises(InputError, match="holds other files"):
        Index.open(tmp_path, made.encoder())


@pytest.mark.parametrize("arguments, said", [
    (("image", ["a", "a"], [[1, 2], [3, 4]]), "id 'a' comes twice"),
    (("image", ["a", ""], [[1, 2], [3, 4]]), "id '': give text that is not empty"),
    (("", ["a"], [[1, 2]]), "modality '': give text that is not empty"),
    (("image", ["a\udcff"], [[1, 2]]), "in UTF-8"),
    (("image", [3], [[1, 2]]), "id 3: give text"),
    (("image", ["a"], [[1, 2]], {"class": ["x", "y"]}), "2 values for 1 item;"),
    (("image", ["a"], [[1, 2]], {"id": ["x"]}), "column 'id': give it another name"),
    (("image", ["a"], [[1, 2]], {"the class": ["x"]}), "column 'the class': give it another name"),
    (("image", ["a"], [[1, 2]], {"class": [1]}), "column 'class' 1: give text"),
    (("image", ["a"], [[1, 2, 3]]), "vectors is 3 wide, the index 2"),
    (("image", ["a"], [[1, np.nan]]), "NaN"),
    (("image", ["a"], [1, 2]), "shape"),
    (("image", ["a", "b"], [[1, 2]]), "1 row for 2 ids"),
    (("image", ["a"], [[1e30, 2]]), "too large"),
])
def test_what_cannot_be_added(tmp_path, arguments, said):
    opened = Index.open(tmp_path / "i", made.encoder(dimensions=2, similarity="dot"))
    with pytest.raises(ValueError, match=said) as error:
        opened.add(*arguments)
    assert "\n" not in str(error.value)
    assert not (tmp_path / "i").exists()


def test_what_cannot_be_asked(tmp_path, rng):
    fill(tmp_path / "i", made.Plain("cosine"), rng)
    opened = Index.open(tmp_path / "i")
    with pytest.raises(InputError, match="has no column 'clas'; it has class, id, media"):
        opened.search(np.ones((1, 8)), 3, {"clas": ["boat"]})
    with pytest.raises(ValueError, match="vectors is 9 wide"):
        opened.search(np.ones((1, 9)), 3)
    with pytest.raises(ValueError, match="k"):
        opened.search(np.ones((1, 8)), 0)
    with pytest.raises(InputError, match="say which items"):
        opened.delete({})
    with pytest.raises(InputError, match="similarity 'made up': an index ranks by cosine, dot, l2"):
        Index.open(tmp_path / "j", made.encoder(similarity="made up"))


@pytest.mark.parametrize("name, damage", [
    ("manifest.json", lambda content: content[:50]),
    ("manifest.json", lambda content: content.replace(b'"rows"', b'"lines"')),
    ("manifest.json", lambda content: b"[]"),
    ("manifest.json", lambda content: content.replace(b'"format": 1', b'"format": 2')),
    ("1.vectors", lambda content: content[:-4]),
    ("1.items", lambda content: content[:-8]),
    ("1.items", lambda content: content[:100] + bytes(len(content) - 100)),
    ("2.items", None),
])
def test_damaged(tmp_path, rng, name, damage):
    fill(tmp_path / "i", made.Plain("cosine"), rng)
    path = tmp_path / "i" / name
    content = path.read_bytes()
    path.unlink()
    if damage:
        path.write_bytes(damage(content))
    with pytest.raises(InputError, match=r"damaged|newer version") as error:
        Index.open(tmp_path / "i")
    assert "\n" not in str(error.value)


def test_vectors_that_became_nan(tmp_path, rng):
    fill(tmp_path / "i", made.Plain("cosine"), rng)
    path = tmp_path / "i/1.vectors"
    path.write_bytes(b"\xff" * path.stat().st_size)
    with pytest.raises(InputError, match="vectors hold NaN"):
        Index.open(tmp_path / "i").search(np.ones((1, 8)), 90)


def test_recall(tmp_path, rng):
    """1 for a search that is exact; a search that misses every third item has about 2/3."""
    fill(tmp_path / "i", made.Plain("l2"), rng)
    opened = Index.open(tmp_path / "i")
    assert opened.recall(queries=50, k=5) == 1
    whole = opened._engine.search

    def worse(queries, k, where):
        return whole(queries, k, {"class": ["boat", "bird"]})

    opened._engine.search = worse
    assert 0.5 < opened.recall(queries=50, k=5) < 0.8


def test_info_and_items(tmp_path, rng):
    fill(tmp_path / "i", made.Plain("cosine"), rng)
    opened = Index.open(tmp_path / "i")
    assert opened.info() == {
        "uri": str(tmp_path / "i"), "engine": "folder", "kind": "flat", "items": {"image": 60, "text": 40},
        "columns": ["class", "media", "split", "text"], "encoder": "5e1f" * 16, "dimensions": 8, "similarity": "cosine",
    }
    found = opened.items({"modality": "text", "class": "bird"})
    assert set(found.columns["modality"]) == {"text"} and set(found.columns["class"]) == {"bird", "bird|bus|bo_t"}
    assert found.vectors.shape == (len(found.ids), 8) and found.columns["media"] == [None] * len(found.ids)


def test_texts_are_kept_as_they_are(tmp_path):
    texts = ["", "\n", "日本語 🛶", "a,\"b\"", "x" * 100_000]
    with Index.open(tmp_path / "i", made.encoder()) as opened:
        opened.add("text", texts[1:], np.eye(8)[:4], {"text": texts[1:]})
    found = Index.open(tmp_path / "i").search(np.eye(8)[:4], 1)
    assert found.ids[:, 0].tolist() == found.columns["text"][:, 0].tolist() == texts[1:]


def test_exact_scores_do_not_depend_on_the_place(rng):
    """Guards against a sum whose order, and so whose last bits, depend on how many rows there are."""
    for width in (1, 7, 300, 4096):
        rows, query = rng.standard_normal((37, width)).astype(np.float32), rng.standard_normal(width).astype(np.float32)
        for similarity in ("dot", "l2"):
            together = ranking.exact_scores(np.broadcast_to(query, rows.shape), rows, similarity)
            alone = [ranking.exact_scores(query[None], row[None], similarity)[0] for row in rows]
            assert together.tolist() == alone


def test_manifest_is_small(tmp_path, rng):
    """It is written with each add: guards against one that grows with the items."""
    with Index.open(tmp_path / "i", made.encoder()) as opened:
        for i in range(20):
            opened.add("image", *made.items(rng, 30, start=10 * i))
    assert len((tmp_path / "i/manifest.json").read_text()) < 700
    assert len(json.loads((tmp_path / "i/manifest.json").read_text())["segments"]) == 1


def test_examples():
    for module in (index, ranking):
        result = doctest.testmod(module)
        assert result.attempted and not result.failed


def test_import_is_quick():
    """Guards against half a second of SciPy's statistics, or TensorFlow, before each search."""
    code = "import sys, tfxmr.search; print(*({'tensorflow', 'keras', 'scipy.stats', 'pymilvus', 'pandas'} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == ""
