"""Tests of word vectors on small tables made by hand, and on Google News vectors where present."""
import gzip
import pathlib
import struct
import tracemalloc

import gensim
import numpy as np
import pytest

from tfxmr.core.errors import InputError
from tfxmr.features import word_vectors

REAL = pathlib.Path(__file__).parents[3] / "shared/data/word_vectors/google_news_categories.bin"
TABLE = {"airplane": (3, 4), "dining": (1, 0), "table": (0, 2), "sport": (6, 8), "color": (2, 2), "nothing": (0, 0)}
real_vectors = pytest.mark.skipif(not REAL.is_file(), reason=f"the Google News vectors are not at {REAL}")


def text_file(path):
    lines = [f"{len(TABLE)} 2", *(f"{word} {x} {y}" for word, (x, y) in TABLE.items())]
    path.write_text("\n".join(lines) + "\n")
    return path


def binary_file(path):
    records = [word.encode() + b" " + struct.pack("<2f", *vector) for word, vector in TABLE.items()]
    path.write_bytes(f"{len(TABLE)} 2\n".encode() + b"\n".join(records) + b"\n")
    return path


@pytest.fixture
def vectors(tmp_path):
    return word_vectors.load(text_file(tmp_path / "table.txt"))


def embed(name, vectors):
    matrix, (decision,) = word_vectors.class_embeddings([name], vectors)
    assert matrix.dtype == np.float32
    return matrix[0].tolist(), decision["how"], decision["words"]


@pytest.mark.parametrize("write", [text_file, binary_file])
@pytest.mark.parametrize("name", ["table.txt", "table.bin", "table.anything", "table.gz"])
def test_format_is_told_by_content(tmp_path, write, name):
    """Guards against a text table called .bin, which gensim would read as nonsense without an error."""
    path = write(tmp_path / name)
    if name.endswith(".gz"):
        path.write_bytes(gzip.compress(path.read_bytes()))
    vectors = word_vectors.load(path)
    assert {word: tuple(vectors[word]) for word in vectors.key_to_index} == TABLE


def test_refuses_other_files(tmp_path, vectors):
    """Guards against unpickling gensim's own format, and against half a table taken for a whole one."""
    vectors.save(str(tmp_path / "pickle.kv"))
    (tmp_path / "cut.bin").write_bytes(binary_file(tmp_path / "table.bin").read_bytes()[:-20])
    (tmp_path / "cut.txt").write_bytes(text_file(tmp_path / "table.txt").read_bytes()[:-20])
    (tmp_path / "counts.txt").write_text("the 12345\nof 2345\n")
    (tmp_path / "no.gz").write_bytes(b"6 2\n")
    (tmp_path / "empty.bin").write_bytes(b"")
    for name in ("pickle.kv", "cut.bin", "cut.txt", "counts.txt", "no.gz", "empty.bin"):
        with pytest.raises(InputError, match=f"{name} is no complete word2vec file"):
            word_vectors.load(tmp_path / name)
    with pytest.raises(InputError, match="there is no file .*nowhere"):
        word_vectors.load(tmp_path / "nowhere.bin")


def read(path, content):
    path.write_bytes(content)
    vectors = word_vectors.load(path)
    return {word: tuple(vectors[word].tolist()) for word in vectors.key_to_index}


def test_glove_has_no_first_line(tmp_path):
    """Guards against the refusal of GloVe's files, and against words with spaces that shift the numbers."""
    lines = b"the 0.5 1 -2e-1\nat name@domain.com 1 2 3\n. . . 4 5 6\n2 7 8 9\n"
    expected = {"the": (0.5, 1, np.float32(-0.2)), "at name@domain.com": (1, 2, 3), ". . .": (4, 5, 6), "2": (7, 8, 9)}
    assert read(tmp_path / "glove.txt", lines) == expected
    assert read(tmp_path / "table.txt", b"4 3\r\n" + lines.replace(b"\n", b" \r\n")) == expected
    assert read(tmp_path / "bom.txt", b"\xef\xbb\xbf4\t3\n" + lines + b"\n") == expected
    assert read(tmp_path / "packed", gzip.compress(lines)) == expected


@pytest.mark.parametrize("write", [text_file, binary_file])
def test_a_word_that_is_no_utf8_is_replaced(write, tmp_path):
    """Guards against a whole table refused for one word of it."""
    content = write(tmp_path / "table").read_bytes().replace(b"table", b"t\xe4ble")
    with pytest.warns(UserWarning, match="table: 1 of 6 words is no UTF-8"):
        found = read(tmp_path / "table", content)
    assert found == {word.replace("table", "t\ufffdble"): vector for word, vector in TABLE.items()}


@pytest.mark.parametrize("write", [text_file, binary_file])
def test_a_first_line_that_counts_too_few(write, tmp_path):
    """Guards against words that are left out without a word."""
    content = write(tmp_path / "table").read_bytes()
    with pytest.warns(UserWarning, match="its first line counts 4 words, and it holds 6; all are taken"):
        assert read(tmp_path / "table", b"4" + content[1:]) == TABLE
    with pytest.warns(UserWarning, match="what follows the 6 words that its first line counts .* is skipped"):
        assert read(tmp_path / "table", content + b"x" * 20) == TABLE
    with pytest.raises(InputError, match="it holds 6 of 7 words"):
        read(tmp_path / "table", b"7" + content[1:])


@pytest.mark.parametrize("write", [text_file, binary_file])
@pytest.mark.parametrize("header", [b"1000000000 2", b"6 99999999999", b"6 99999999999999999999", b"6 0", b"9" * 5000 + b" 2"])
def test_a_first_line_that_claims_too_much(header, write, tmp_path):
    """Guards against gigabytes that a file of a hundred bytes has asked for, and an overflow of the numbers."""
    content = header + write(tmp_path / "table").read_bytes()[3:]
    for packed in (content, gzip.compress(content)):
        tracemalloc.start()
        with pytest.raises(InputError, match="is no complete word2vec file"):
            read(tmp_path / "table", packed)
        assert tracemalloc.get_traced_memory()[1] < 2**24
        tracemalloc.stop()


def test_damaged_archives(tmp_path):
    """Guards against zlib's own error, and a few bytes that unpack to gigabytes."""
    whole = gzip.compress(b"the 1 2\n" + b"".join(b"%x 1 2\n" % n for n in range(5000)))
    for content in (whole[:-30], whole[:500] + bytes(50) + whole[550:], gzip.compress(b"the 1 2\n" * 10**6), b"PK\3\4 1 2"):
        with pytest.raises(InputError, match="is no complete word2vec file"):
            read(tmp_path / "table.gz", content)


def test_reads_what_gensim_reads(tmp_path):
    """Against an independent reader, bit by bit."""
    table = gensim.models.KeyedVectors(50)
    words = [f"wörd_{n}" for n in range(300)]
    table.add_vectors(words, np.random.default_rng(0).standard_normal((300, 50), np.float32))
    for binary in (True, False):
        path = tmp_path / f"{binary}"
        table.save_word2vec_format(path, binary=binary)
        expected = gensim.models.KeyedVectors.load_word2vec_format(path, binary=binary)
        found = word_vectors.load(path)
        assert found.index_to_key == words and np.array_equal(found.vectors, expected.vectors)
        assert found.most_similar(words[0]) == expected.most_similar(words[0])


@pytest.mark.parametrize("name, expected", [
    ("sport", ([6, 8], "exact", ["sport"])),
    ("Sport", ([6, 8], "lower", ["sport"])),
    ("aeroplane", ([3, 4], "alias", ["airplane"])),
    ("Aeroplane", ([3, 4], "alias", ["airplane"])),
    ("diningtable", ([0.5, 1], "alias", ["dining", "table"])),
    ("dining table", ([0.5, 1], "words", ["dining", "table"])),
    ("dining_table", ([0.5, 1], "words", ["dining", "table"])),
    ("dining-table", ([0.5, 1], "words", ["dining", "table"])),
    ("DiningTable", ([0.5, 1], "alias", ["dining", "table"])),
    ("sportTable", ([3, 5], "words", ["sport", "table"])),
    ("table colour", ([1, 2], "words", ["table", "color"])),
])
def test_fallback_order(vectors, name, expected):
    """The vectors are worked out by hand from TABLE."""
    assert embed(name, vectors) == expected


def test_missing_components_are_reported(vectors):
    """Guards against counting a missing word as a zero vector in the mean."""
    matrix, decisions = word_vectors.class_embeddings(["potted_table", "table"], vectors)
    assert decisions[0] == {"class": "potted_table", "how": "words", "words": ["table"], "missing": ["potted"]}
    assert matrix.tolist() == [[0, 2], [0, 2]]


@pytest.mark.parametrize("name", ["xyzzy", "nothing"])
def test_hash_vector(vectors, name):
    """Guards against silent zeros, for an unknown word and for one that the table itself stores as zeros."""
    with pytest.warns(UserWarning, match=f"no word vector for {name}"):
        matrix, decisions = word_vectors.class_embeddings([name, "sport"], vectors)
    with pytest.warns(UserWarning):
        again, _ = word_vectors.class_embeddings(["other", name], vectors)
    assert decisions[0]["how"] == "hash" and decisions[0]["words"] == []
    mean_length = (5 + 1 + 2 + 10 + np.sqrt(8)) / 5  # of the five vectors that are not zero
    assert np.linalg.norm(matrix[0]) == pytest.approx(mean_length, rel=1e-6)
    np.testing.assert_array_equal(matrix[0], again[1])
    assert not np.allclose(again[0], again[1])


def test_hash_vector_is_frozen():
    """Guards against a stand-in that changes from one process, machine or version to the next."""
    vectors = gensim.models.KeyedVectors(vector_size=3)
    vectors.add_vectors(["unit"], np.array([[0, 0, 1]], np.float32))
    with pytest.warns(UserWarning):
        matrix, _ = word_vectors.class_embeddings(["abc"], vectors)
    # SHA-256 of "abc" from FIPS 180-2, its bytes taken as little-endian words
    digest = bytes.fromhex("ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
    draw = np.random.RandomState(struct.unpack("<8I", digest)).standard_normal(3)
    np.testing.assert_allclose(matrix[0], draw / np.sqrt((draw ** 2).sum()), rtol=1e-6)


def test_no_class_names(vectors):
    with pytest.raises(InputError, match="no class names"):
        word_vectors.class_embeddings([], vectors)


@real_vectors
def test_google_news():
    """Guards against a name list or a table read in another way than METHODS expects."""
    vectors = word_vectors.load(REAL)
    wikipedia = ["art", "biology", "geography", "history", "literature", "media", "music", "royalty", "sport",
                 "warfare"]
    matrix, decisions = word_vectors.class_embeddings(wikipedia, vectors)
    assert matrix.shape == (10, 300) and {d["how"] for d in decisions} == {"exact"}
    np.testing.assert_allclose(np.linalg.norm(matrix, axis=1), 1, rtol=1e-3)
    _, decisions = word_vectors.class_embeddings(["aeroplane", "diningtable", "pottedplant"], vectors)
    assert [d["words"] for d in decisions] == [["airplane"], ["dining", "table"], ["plant"]]
    assert {d["how"] for d in decisions} == {"alias"} and decisions[2]["missing"] == ["potted"]
