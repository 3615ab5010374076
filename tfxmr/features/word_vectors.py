"""Class names to word vectors: reads word2vec files, and finds a vector for every class name."""
import gzip
import hashlib
import pathlib
import re
import warnings

import gensim
import numpy as np

from tfxmr.errors import InputError

# Names that datasets use -> words that large English word2vec tables have.
ALIASES = {
    "aeroplane": "airplane", "autobike": "motorbike", "cityscape": "skyline", "cloud(s)": "clouds",
    "diningtable": "dining table", "flower(s)": "flowers", "motorbike": "motorcycle",
    "pottedplant": "potted plant", "tvmonitor": "tv monitor", "television": "tv",
    "armour": "armor", "centre": "center", "colour": "color", "grey": "gray", "harbour": "harbor",
    "jewellery": "jewelry", "theatre": "theater", "tyre": "tire",
}
HEADER = re.compile(rb"(\d+) (\d+)\s*\n")


def load(path):
    """Reads a word2vec table; whether it is binary or text is told by its content.

    Args:
      path: a file in word2vec's binary or text format, perhaps gzipped as `.gz`.
    Returns:
      gensim KeyedVectors.
    Raises:
      InputError: there is no such file, or it is in another format (also gensim's own, which is a pickle and
        could run code: it is never unpickled).
    """
    path = pathlib.Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"word vectors: there is no file {path}. Name a word2vec file, binary or text.")
    try:
        return gensim.models.KeyedVectors.load_word2vec_format(str(path), binary=_is_binary(path))
    except (OSError, EOFError, ValueError, UnicodeDecodeError) as error:
        raise InputError(
            f"word vectors: {path} is no complete word2vec file, binary or text ({error}). A table in gensim's "
            "own format is refused: write it again with KeyedVectors.save_word2vec_format.") from error


def class_embeddings(class_names, vectors):
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
    length = _mean_length(vectors.vectors) if hashed else None
    rows = [np.mean([vectors[word] for word in d["words"]], axis=0) if d["words"]
            else _hash_vector(d["class"], vectors.vector_size, length) for d in decisions]
    return np.asarray(rows, np.float32), decisions


def _is_binary(path):
    """Tells the two formats apart by the first record: in text, the rest of the line is e numbers."""
    opener = gzip.open if path.suffix == ".gz" else open
    with opener(path, "rb") as file:
        header = HEADER.fullmatch(file.readline(100))
        if header is None:
            raise ValueError("the first line is not <number of words> <width>")
        width = int(header[2])
        fields = file.readline(1000 + 100 * width).split()
    try:
        return len([float(field) for field in fields[-width:]]) != width
    except ValueError:
        return True


def _decide(name, vectors):
    """Returns the decision for one class name."""
    words = _look_up(name, vectors)
    if words:
        return {"class": name, **words, "missing": []}
    alias = ALIASES.get(name) or ALIASES.get(name.lower())
    parts = _split(alias or name)
    found = [_look_up(part, vectors) for part in parts]
    words = [word for hit in found if hit for word in hit["words"]]
    missing = [part for part, hit in zip(parts, found, strict=True) if not hit]
    how = "hash" if not words else "alias" if alias else "words"
    return {"class": name, "how": how, "words": words, "missing": missing}


def _look_up(word, vectors):
    """Returns {"how", "words"} for one word, or None. A zero or non-finite vector counts as missing."""
    alias = ALIASES.get(word.lower(), "")
    for how, candidate in (("exact", word), ("lower", word.lower()), ("alias", alias)):
        if candidate in vectors and np.isfinite(vectors[candidate]).all() and vectors[candidate].any():
            return {"how": how, "words": [candidate]}
    return None


def _split(name):
    """Splits at spaces, underscores, hyphens, other punctuation, and where camelCase turns to upper case."""
    return re.findall(r"[^\W_]+", re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name))


def _mean_length(matrix):
    """Returns the mean length of the rows that are usable, without a temporary of the matrix's size."""
    lengths = np.sqrt(np.einsum("ij,ij->i", matrix, matrix))
    return lengths[np.isfinite(lengths) & (lengths > 0)].mean()


def _hash_vector(name, size, length):
    """A normal draw seeded by the name; RandomState because its stream is frozen over NumPy's versions."""
    seed = np.frombuffer(hashlib.sha256(name.encode()).digest(), "<u4")
    vector = np.random.RandomState(seed).standard_normal(size)
    return vector * (length / np.linalg.norm(vector))
