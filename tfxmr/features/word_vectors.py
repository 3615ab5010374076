"""Class names to word vectors: reads word2vec and GloVe files, and finds a vector for every class name."""
import array
import gzip
import hashlib
import io
import os
import pathlib
import re
import warnings
import zlib
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.core.files import explain
from tfxmr.core.wording import agreeing, counted

if TYPE_CHECKING:
    from gensim.models import KeyedVectors  # which takes a second to be imported

# Names that datasets use -> words that large English word2vec tables have.
ALIASES = {
    "aeroplane": "airplane", "autobike": "motorbike", "cityscape": "skyline", "cloud(s)": "clouds",
    "diningtable": "dining table", "flower(s)": "flowers", "motorbike": "motorcycle",
    "pottedplant": "potted plant", "tvmonitor": "tv monitor", "television": "tv",
    "armour": "armor", "centre": "center", "colour": "color", "grey": "gray", "harbour": "harbor",
    "jewellery": "jewelry", "theatre": "theater", "tyre": "tire",
}
HEADER = re.compile(rb"(?:\xef\xbb\xbf)?\s*(\d{1,18})\s+(\d{1,18})\s*\n")
MAX_TOKEN = 10_000  # bytes; what is longer is no word, and the file not what it says
MAX_RATIO = 100  # of what a .gz file unpacks to; tables of numbers shrink to a third at best
MIN_WIDTH = 2  # of a table without a header, which a list of words and counts is not
_File = gzip.GzipFile | io.BufferedReader  # which can look ahead


def load(path: str | os.PathLike) -> "KeyedVectors":
    """Reads a table of word vectors; its format is told by its content.

    Vectors are as they stand in the file: those of published tables have different lengths (of Google News 2 to 4 for
    frequent words), unless somebody has scaled them to unit norm, as some excerpts are.

    Args:
      path: a file in word2vec's binary or text format or in GloVe's, which is the text without the first line, perhaps
        compressed by gzip. A word of a text may hold spaces.

    Returns:
      gensim KeyedVectors. Bytes of a word that are no UTF-8 are replaced, with a warning.

    Raises:
      InputError: there is no such file, it is cut off, or it is in another format (also gensim's own, which is a pickle
        and could run code: it is never unpickled).
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"word vectors: there is no file {path}. Name a word2vec or GloVe file.")
    try:
        with open(path, "rb") as file:
            start = file.read(2)
        if start == b"PK":
            raise ValueError("it is an archive, to be unpacked first")
        with (gzip.open if start == b"\x1f\x8b" else open)(path, "rb") as file:
            return _read(file, path, MAX_RATIO * path.stat().st_size + 2**20 if start == b"\x1f\x8b" else None)
    except PermissionError as error:
        raise InputError(f"word vectors: {explain(error)}") from error
    except (OSError, EOFError, ValueError, zlib.error) as error:
        raise InputError(
            f"word vectors: {path} is no complete word2vec file, binary or text, nor GloVe's ({error}). A "
            "table in gensim's own format is refused: write it again with KeyedVectors.save_word2vec_format."
        ) from error


def _read(file: _File, path: pathlib.Path, limit: int | None) -> "KeyedVectors":
    """KeyedVectors of an open file that holds `limit` bytes at most, or what its size says; raises ValueError."""
    # By hand: gensim's load_word2vec_format must be told the format, and allocates whatever a header claims.
    count, width, binary = _format(file)
    # A header may claim any size: nothing is allocated by it, and what cannot be is refused before it is read.
    least, size = (4 if binary else 2) * width + 2, limit or path.stat().st_size
    if width == 0 or (count or 1) * least > size + 2:
        raise ValueError(f"its first line claims {counted(count or 1, 'word')} of width {width:,}, for which it is too "
                         "short")
    words: dict[str, int] = {}
    numbers, damaged, repeated = array.array("f"), 0, 0
    records = (_binary_records if binary else _text_records)(file, width)
    while True:
        read = len(words) + repeated
        try:
            token, row = next(records, (None, None))
        except ValueError as error:
            if count is None or read < count:
                raise ValueError(f"{error} after {counted(read, 'word')}") from error
            warnings.warn(f"{path}: what follows the {counted(count, 'word')} that its first line counts is no word "
                          "with a vector, and is skipped", stacklevel=3)
            break
        if token is None or row is None:
            break
        if limit and file.tell() > limit:
            raise ValueError(f"it unpacks to more than {MAX_RATIO} times its size")
        word = token.decode(errors="replace")
        damaged += word.encode() != token
        if word in words:
            repeated += 1  # the first is kept
            continue
        words[word] = len(words)
        numbers.frombytes(row.tobytes())
    if count is not None and read < count:
        raise ValueError(f"it holds {read:,} of {counted(count, 'word')}")
    if count is not None and read > count:
        warnings.warn(f"{path}: its first line counts {counted(count, 'word')}, and it holds {read:,}; all are taken",
                      stacklevel=3)
    if damaged:
        warnings.warn(f"{path}: {damaged:,} of {counted(read, 'word')} {agreeing(damaged, 'is', 'are')} no UTF-8; what "
                      "is wrong is replaced by \N{REPLACEMENT CHARACTER}, and no name of a class finds them",
                      stacklevel=3)
    from gensim.models import KeyedVectors

    vectors = KeyedVectors(width)
    vectors.index_to_key, vectors.key_to_index = list(words), words
    vectors.vectors = np.frombuffer(numbers, np.float32).reshape(-1, width)
    return vectors


def _format(file: _File) -> tuple[int | None, int, bool]:
    """(Word count or None, width, whether numbers are binary) by the first two lines; goes to the first word."""
    first = file.readline(100)
    header = HEADER.fullmatch(first)
    if header is None:
        file.seek(0)
        fields = file.readline(2**20).split()
        file.seek(0)
        width = next((n for n, field in enumerate(reversed(fields[1:])) if not _is_number(field)), len(fields[1:]))
        if width < MIN_WIDTH:
            raise ValueError("the first line is neither <number of words> <width> nor a word and its vector")
        return None, width, False
    count, width = int(header[1]), int(header[2])
    fields = file.readline(1000 + 100 * min(width, 10**6)).split()
    file.seek(len(first))
    return count, width, len(fields) < width or not all(map(_is_number, fields[-width:]))


def _is_number(field: bytes) -> bool:
    try:
        float(field)
        return True
    except ValueError:
        return False


def _text_records(file: _File, width: int) -> Iterator[tuple[bytes, NDArray]]:
    """Yields (word as bytes, float32 (width,)) of the lines of a text."""
    for line in file:
        token, *numbers = line.strip(b" \t\r\n").rsplit(None, width) or [b""]
        if len(numbers) < width and not token and not numbers:
            continue  # an empty line
        if len(numbers) < width or len(token) > MAX_TOKEN:
            raise ValueError(f"a line is no word and {counted(width, 'number')}")
        yield token, np.array(numbers, np.float32)


def _binary_records(file: _File, width: int) -> Iterator[tuple[bytes, NDArray]]:
    """Yields (word as bytes, float32 (width,)) of word2vec's binary format: word, space, numbers, perhaps a newline."""
    while True:
        token = b""
        while not token.endswith(b" "):
            ahead = file.peek(1)
            if not ahead and not token.strip():
                return
            if not ahead or len(token) > MAX_TOKEN:
                raise ValueError("there is no word")
            token += file.read(ahead.find(b" ") + 1 or len(ahead))
        row = file.read(4 * width)
        if len(row) < 4 * width:
            raise ValueError("it ends")
        yield token[:-1].lstrip(b"\n"), np.frombuffer(row, "<f4")


def class_embeddings(class_names: Sequence[str], vectors: "KeyedVectors") -> tuple[NDArray, list[dict[str, Any]]]:
    """Finds a word vector for every class name; never a zero vector.

    Tried in this order: the name itself ("exact"), in lower case ("lower"), its alias ("alias"), the mean of
    the vectors of its words, split at spaces, punctuation and camelCase ("words"), and last a random vector
    that depends on the name alone, scaled to the mean length of the table's vectors ("hash", with a warning).
    Each word of a compound name or alias is looked up by the first three steps; the mean skips missing words.

    Args:
      class_names: C strings.
      vectors: gensim KeyedVectors of width e.
    Returns:
      matrix: float32 (C, e).
      decisions: for each class a dict with "class", "how", the table's "words" that its vector is made of, and
        the "missing" words that the table lacks.
    """
    if len(class_names) == 0:
        raise InputError("word vectors: the dataset has no class names. Give them (npz: in classes.txt).")
    decisions = [_decide(name, vectors) for name in class_names]
    hashed = [d["class"] for d in decisions if d["how"] == "hash"]
    if hashed:
        warnings.warn(f"no word vector for {', '.join(hashed)}: a random one stands in, which tells nothing "
                      "about the meaning of the class", stacklevel=2)
    length = _mean_length(vectors.vectors) if hashed else 0.0
    rows = [np.mean([vectors[word] for word in d["words"]], axis=0) if d["words"]
            else _hash_vector(d["class"], vectors.vector_size, length) for d in decisions]
    return np.asarray(rows, np.float32), decisions


def _decide(name: str, vectors: "KeyedVectors") -> dict[str, Any]:
    """Returns the decision for one class name."""
    hit = _look_up(name, vectors)
    if hit:
        return {"class": name, **hit, "missing": []}
    alias = ALIASES.get(name) or ALIASES.get(name.lower())
    parts = _split(alias or name)
    found = [_look_up(part, vectors) for part in parts]
    words = [word for hit in found if hit for word in hit["words"]]
    missing = [part for part, hit in zip(parts, found, strict=True) if not hit]
    how = "hash" if not words else "alias" if alias else "words"
    return {"class": name, "how": how, "words": words, "missing": missing}


def _look_up(word: str, vectors: "KeyedVectors") -> dict[str, Any] | None:
    """Returns {"how", "words"} for one word, or None. A zero or non-finite vector counts as missing."""
    alias = ALIASES.get(word.lower(), "")
    for how, candidate in (("exact", word), ("lower", word.lower()), ("alias", alias)):
        if candidate in vectors and np.isfinite(vectors[candidate]).all() and vectors[candidate].any():
            return {"how": how, "words": [candidate]}
    return None


def _split(name: str) -> list[str]:
    """Splits at spaces, underscores, hyphens, other punctuation, and where camelCase turns to upper case."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name))


def _mean_length(matrix: NDArray) -> float:
    """Returns the mean length of the rows that are usable, without a temporary of the matrix's size."""
    lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    return lengths[np.isfinite(lengths) & (lengths > 0)].mean()


def _hash_vector(name: str, size: int, length: float) -> NDArray:
    """A normal draw seeded by the name; RandomState because its stream is frozen over NumPy's versions."""
    seed = np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4")
    vector = np.random.RandomState(seed).standard_normal(size)
    return vector * (length / np.linalg.norm(vector))
