"""An encoder, items and an independent ranking for the tests of the index."""
import types

import numpy as np


def encoder(digest="5e1f" * 16, dimensions=8, similarity="cosine"):
    return types.SimpleNamespace(digest=digest, dimensions=dimensions, similarity=similarity)


def items(rng, count, dimensions=8, modality="image", start=0):
    """(ids, vectors, columns): ids in no order, some vectors equal and one zero, a column with gaps."""
    vectors = rng.standard_normal((count, dimensions)).astype(np.float32)
    vectors[rng.integers(count, size=count // 5)] = vectors[0]
    if count > 2:
        vectors[1] = 0
    ids = [f"{modality}/{(i * 7919) % 100003:06d}" for i in range(start, start + count)]
    return ids, vectors, {
        "class": [("boat", "bird", "bus", "boat|big bus", "bird|bus|bo_t", "bo%t")[i % 6] for i in range(count)],
        "split": ["test" if i % 2 else "train" for i in range(count)],
        "media": [None if i % 4 == 0 else f"{i}.jpg" for i in range(count)],
    }


class Plain:
    """The index by its definition: a dict of rows, and for each query a sorted list."""

    def __init__(self, similarity):
        self.similarity, self.rows = similarity, {}

    def add(self, modality, ids, vectors, columns):
        for i, name in enumerate(ids):
            values = {c: v[i] for c, v in columns.items()} | {"modality": modality, "id": name}
            self.rows[name, modality] = self.unit(vectors[i]), values

    def unit(self, vector):
        wide = np.asarray(vector, np.float64)
        if self.similarity == "cosine" and wide.any():
            wide = wide / np.sqrt(wide @ wide)
        return wide.astype(np.float32).astype(np.float64)

    def chosen(self, where):
        def has(values, column, wanted):
            own = values.get(column)
            every = {own, *own.split("|")} if column == "class" and own else {own}  # of several, each
            return not every.isdisjoint([wanted] if isinstance(wanted, str) else wanted)

        return {key: row for key, row in self.rows.items() if all(has(row[1], c, v) for c, v in (where or {}).items())}

    def delete(self, where):
        gone = self.chosen(where)
        self.rows = {key: row for key, row in self.rows.items() if key not in gone}
        return len(gone)

    def search(self, vectors, k, where=None):
        """((ids, scores, columns as a list of dicts) of the best for each query)."""
        chosen, found = self.chosen(where), []
        for query in vectors:
            q = self.unit(query)
            scored = []
            for key, (vector, values) in chosen.items():
                score = -np.sum((q - vector) ** 2) if self.similarity == "l2" else np.sum(q * vector)
                scored.append((-np.float32(score) + 0, key, values))
            scored.sort(key=lambda entry: entry[:2])
            found.append([(key[0], -score, values) for score, key, values in scored[:k]])
        return found


def assert_equal(found, expected):
    """What an index found is what the plain one did: ids in their order, scores to the last bits, columns."""
    assert found.ids.tolist() == [[e[0] for e in row] for row in expected]
    np.testing.assert_allclose(found.scores, [[e[1] for e in row] for row in expected], rtol=1e-6, atol=1e-7)
    for name, values in found.columns.items():
        assert values.tolist() == [[e[2].get(name) for e in row] for row in expected], name
