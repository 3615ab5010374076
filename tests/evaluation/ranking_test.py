"""Tests of ranking and average precision against hand-worked examples, a slow loop and scikit-learn."""
import itertools
import warnings

import numpy as np
import pytest
from sklearn.metrics import average_precision_score
from sklearn.metrics.pairwise import cosine_similarity

from tfxmr.evaluation import average_precision, average_precisions, chance_level, mean_average_precision, ranking
from tfxmr.evaluation import similarity as similarity_module
from tfxmr.evaluation.ranking import DENOMINATORS

# Under "dot" and with the unit vectors as gallery, a query's numbers are its similarities to the 8 items.
GALLERY = np.eye(8)
GALLERY_LABELS = [0, 1, 0, 1, 2, 0, 1, 2]
QUERY = [
    [8, 7, 6, 5, 4, 3, 2, 1],  # ranks the items 0..7; its class 0 is at ranks 1, 3, 6: (1/1 + 2/3 + 3/6) / 3 = 13/18
    [1, 2, 3, 4, 5, 6, 7, 8],  # ranks them 7..0; its class 1 is at ranks 2, 5, 7: (1/2 + 2/5 + 3/7) / 3 = 31/70
    [5, 5, 5, 5, 5, 5, 5, 5],  # all tie, so 0..7; its class 2 is at ranks 5, 8: (1/5 + 2/8) / 2 = 9/40
    [1, 0, 2, 0, 3, 0, 4, 0],  # its class 3 is nowhere: 0
]
QUERY_LABELS = [0, 1, 2, 3]


def random_problem(rng, queries=23, items=37, width=5, classes=4):
    return (
        rng.normal(size=(queries, width)), rng.normal(size=(items, width)),
        rng.integers(classes, size=queries), rng.integers(classes, size=items),
    )


def slow_average_precisions(scores, query_labels, gallery_labels):
    """The definition in plain loops: from the best score down, equal scores by index."""
    found = []
    for row, label in zip(scores, query_labels, strict=True):
        hits, total = 0, 0.0
        for rank, item in enumerate(sorted(range(len(row)), key=lambda i: (-row[i], i)), 1):
            if gallery_labels[item] == label:
                hits += 1
                total += hits / rank
        found.append(total / hits if hits else 0.0)
    return found


def test_hand_worked_example():
    """Guards against another R, another order of ties, and dropping queries that have nothing to find."""
    for ties, third in (("index", 9 / 40), ("group", 2 / 8)):  # as a group, all eight share rank 8: 2 hits of 8
        problem = QUERY, GALLERY, QUERY_LABELS, GALLERY_LABELS, "dot"
        with pytest.warns(UserWarning, match="1 of 4 queries has no relevant item in the gallery; counted as 0"):
            values = average_precisions(*problem, ties=ties)
        np.testing.assert_allclose(values, [13 / 18, 31 / 70, third, 0], rtol=1e-12)
        with pytest.warns(UserWarning):
            assert mean_average_precision(*problem, ties=ties) == pytest.approx(np.mean(values), rel=1e-12)
        with pytest.warns(UserWarning, match="1 of 4 queries has no relevant item in the gallery; skipped"):
            mean = mean_average_precision(*problem, ties=ties, no_relevant="drop")
        assert mean == pytest.approx((13 / 18 + 31 / 70 + third) / 3, rel=1e-12)


@pytest.mark.parametrize("denominator, divisors", [
    ("relevant", (3, 3)), ("min(relevant, k)", (2, 2)), ("hits", (1, 1)),
])
def test_hand_worked_cut(denominator, divisors):
    """Guards against hits beyond the cut: of the first 2, rank 1 is relevant to query 0, rank 2 to query 1."""
    values = average_precisions(
        QUERY[:2], GALLERY, QUERY_LABELS[:2], GALLERY_LABELS, "dot", cut=2, denominator=denominator
    )
    np.testing.assert_allclose(values, [1 / divisors[0], (1 / 2) / divisors[1]], rtol=1e-12)
    relevance = [1, 0, 1, 0, 0, 1, 0, 0]
    assert average_precision(relevance, 2, denominator) == pytest.approx(1 / divisors[0])


def test_denominators_agree_without_a_cut():
    """Guards against a denominator that changes full rankings: all three are R there."""
    problem = random_problem(np.random.default_rng(11))
    plain = average_precisions(*problem)
    for denominator in ("min(relevant, k)", "hits"):
        np.testing.assert_array_equal(plain, average_precisions(*problem, denominator=denominator))


def test_a_tied_group_beyond_the_cut_does_not_count():
    """Half of the four tied items would fit; as a group they stand at rank 5."""
    scores = np.array([[9.0, 1, 1, 1, 1]])
    labels = [0, 1, 1, 0, 0]
    assert average_precisions(None, None, [1], labels, scores, cut=3)[0] == 0
    assert average_precisions(None, None, [1], labels, scores, cut=5)[0] == pytest.approx(2 / 5)
    assert average_precisions(None, None, [1], labels, scores, cut=3, ties="index")[0] == pytest.approx(
        (1 / 2 + 2 / 3) / 2
    )


def test_the_query_itself_is_not_ranked():
    """Guards against the released evaluation that puts the query at rank 1 and counts it as a hit."""
    scores = np.array([[5.0, 3, 4], [1, 9, 2]])
    labels = [0, 0, 1]
    plain = average_precisions(None, None, [0, 0], labels, scores)
    np.testing.assert_allclose(plain, [(1 + 2 / 3) / 2, (1 + 2 / 3) / 2])  # both rank themselves first
    own = average_precisions(None, None, [0, 0], labels, scores, query_ids=["a", "b"], gallery_ids=["a", "b", "c"])
    np.testing.assert_allclose(own, [1 / 2, 1 / 2])  # the other item of the class is second of two


def test_several_labels():
    """Relevant means a label in common: query {0, 2} and items {0}, {1}, {1, 2}."""
    values = average_precisions(
        None, None, [[1, 0, 1]], [[1, 0, 0], [0, 1, 0], [0, 1, 1]], np.array([[1.0, 3, 2]])
    )
    assert values[0] == pytest.approx((1 / 2 + 2 / 3) / 2)


def test_similarity_as_matrix_and_as_function():
    query, gallery, *labels = random_problem(np.random.default_rng(12))
    plain = average_precisions(query, gallery, *labels, "dot")
    np.testing.assert_array_equal(plain, average_precisions(None, None, *labels, query @ gallery.T))
    fused = average_precisions(query, gallery, *labels, lambda q, g: q @ g.T, block_size=4)
    np.testing.assert_allclose(plain, fused, rtol=1e-12)


@pytest.mark.parametrize("ties", ["group", "index"])
def test_blocks_and_threads_change_no_bit(ties):
    """Guards against results that depend on the machine: the same similarities give the same bits."""
    rng = np.random.default_rng(13)
    scores = rng.integers(0, 6, size=(40, 60)).astype(float)
    labels = rng.integers(3, size=40), rng.integers(3, size=60)
    plain = average_precisions(None, None, *labels, scores, block_size=40, threads=1, ties=ties)
    for block_size, threads in ((1, 1), (7, 3), (40, 2), (None, None)):
        other = average_precisions(None, None, *labels, scores, block_size=block_size, threads=threads, ties=ties)
        np.testing.assert_array_equal(plain, other)


def test_equal_items_tie_whatever_the_block():
    """Guards against products that round equal gallery rows differently, which moved mAP by tile and block size."""
    rng = np.random.default_rng(14)
    gallery = np.repeat(rng.normal(size=(97, 300)), 3, axis=0)
    labels = np.arange(len(gallery)) % 3
    order = rng.permutation(len(gallery))
    query = rng.normal(size=(33, 300))
    values = [
        mean_average_precision(query, gallery[rows], rng.integers(1, size=33), labels[rows], block_size=size)
        for rows in (np.arange(len(gallery)), order) for size in (1, 8, 33)
    ]
    # Class 0 has one of every three equal items: hits j of rank 3 j, all tied in groups of three.
    np.testing.assert_allclose(values, 1 / 3, rtol=1e-12)


def test_similarities_differ():
    """Guards against a similarity that ranks by another one: query 1, items 3, -1, 2, 0.5 on a line."""
    line, labels = [[3], [-1], [2], [0.5]], [1, 0, 1, 0]

    def value(similarity):
        return mean_average_precision([[1.0]], line, [1], labels, similarity, ties="index")

    assert value("l2") == pytest.approx((1 / 2 + 2 / 3) / 2)  # distances 2, 2, 1, .5: items 3, 2, 0, 1
    assert value("dot") == 1  # products 3, -1, 2, .5: items 0, 2, 3, 1
    assert value("cosine") == 1  # 1, -1, 1, 1: items 0, 2, 3 (by index), 1
    assert mean_average_precision([[1.0]], line[::-1], [1], labels[::-1], "cosine", ties="index") == pytest.approx(
        (1 / 2 + 2 / 3) / 2  # now the irrelevant 0.5 comes first of the three that tie
    )


def test_one_ranking():
    assert average_precision([1, 0, 1, 0, 0, 1, 0, 0]) == pytest.approx(13 / 18)
    assert average_precision([1, 0, 1, 0, 0, 1, 0, 0], cut=3) == pytest.approx(5 / 9)
    assert average_precision([1, 0, 1], num_relevant=3) == pytest.approx(5 / 9)
    assert average_precision([0, 0, 0]) == 0


@pytest.mark.parametrize("similarity", ["dot", "l2"])
def test_slow_loop_with_ties(similarity):
    """Guards against an unstable sort: small whole numbers tie often, and their similarities are exact."""
    rng = np.random.default_rng(1)
    _, _, query_labels, gallery_labels = random_problem(rng)
    query, gallery = rng.integers(-2, 3, size=(23, 2)), rng.integers(-2, 3, size=(37, 2))
    scores = query @ gallery.T
    if similarity == "l2":
        scores = -np.sum((query[:, None] - gallery) ** 2, axis=2)
    assert len(np.unique(scores)) < 30  # of 851: there are many ties
    values = average_precisions(query, gallery, query_labels, gallery_labels, similarity, ties="index")
    np.testing.assert_allclose(values, slow_average_precisions(scores, query_labels, gallery_labels), rtol=1e-12)
    values = average_precisions(query, gallery, query_labels, gallery_labels, similarity, ties="group")
    expected = [average_precision_score(gallery_labels == y, s) for y, s in zip(query_labels, scores, strict=True)]
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_slow_loop_on_cosine():
    query, gallery, query_labels, gallery_labels = random_problem(np.random.default_rng(2))
    scores = [[q @ g / np.sqrt((q @ q) * (g @ g)) for g in gallery] for q in query]
    values = average_precisions(query, gallery, query_labels, gallery_labels)
    np.testing.assert_allclose(values, slow_average_precisions(scores, query_labels, gallery_labels), rtol=1e-12)


def test_repeated_items_tie_under_cosine():
    """Guards against ties that rounding breaks: every item occurs five times, once for each class of 5."""
    rng = np.random.default_rng(3)
    items = rng.normal(size=(11, 30))
    gallery, labels = np.repeat(items, 5, axis=0), np.tile(np.arange(5), 11)
    values = average_precisions(rng.normal(size=(7, 30)), gallery, [2] * 7, labels, ties="index")
    ranks = 3 + 5 * np.arange(11)  # class 2 is always the third of the five equal items
    np.testing.assert_allclose(values, np.mean(np.arange(1, 12) / ranks), rtol=1e-12)


@pytest.mark.parametrize("similarity", ["cosine", "dot", "l2"])
def test_scikit_learn(similarity):
    query, gallery, query_labels, gallery_labels = random_problem(np.random.default_rng(4))
    if similarity == "cosine":
        scores = query @ (gallery / np.linalg.norm(gallery, axis=1, keepdims=True)).T
    elif similarity == "dot":
        scores = query @ gallery.T
    else:
        scores = -np.linalg.norm(query[:, None] - gallery, axis=2)
    expected = [average_precision_score(gallery_labels == y, s) for y, s in zip(query_labels, scores, strict=True)]
    values = average_precisions(query, gallery, query_labels, gallery_labels, similarity)
    np.testing.assert_allclose(values, expected, rtol=1e-12)


def test_perfect_and_reversed_ranking():
    """Guards against sorting upwards: the best is 1, the worst (1/R) sum_j j / (n - R + j)."""
    n, relevant = 9, 4
    labels = [1] * relevant + [0] * (n - relevant)
    gallery = np.arange(n, 0, -1)[:, None]
    assert mean_average_precision([[1.0]], gallery, [1], labels, "dot") == 1
    worst = sum(j / (n - relevant + j) for j in range(1, relevant + 1)) / relevant
    assert mean_average_precision([[-1.0]], gallery, [1], labels, "dot") == pytest.approx(worst, rel=1e-12)


def test_scale_means_nothing_to_cosine():
    rng = np.random.default_rng(5)
    query, gallery, *labels = random_problem(rng)
    expected = average_precisions(query, gallery, *labels)
    scaled = average_precisions(
        query * rng.uniform(1e-3, 1e3, (len(query), 1)), gallery * rng.uniform(1e-3, 1e3, (len(gallery), 1)), *labels
    )
    np.testing.assert_allclose(scaled, expected, rtol=1e-12)


def test_order_of_the_gallery_means_nothing():
    rng = np.random.default_rng(6)
    query, gallery, query_labels, gallery_labels = random_problem(rng)
    order = rng.permutation(len(gallery))
    np.testing.assert_allclose(
        average_precisions(query, gallery[order], query_labels, gallery_labels[order]),
        average_precisions(query, gallery, query_labels, gallery_labels),
        rtol=1e-12,
    )


@pytest.mark.parametrize("block_size", [1, 5, 23, 1000])
def test_block_size_means_nothing(block_size):
    """Guards against queries that a last, partial block loses; 5 does not divide 23."""
    problem = random_problem(np.random.default_rng(7))
    np.testing.assert_allclose(
        average_precisions(*problem, block_size=block_size), average_precisions(*problem, block_size=22), rtol=1e-12
    )


def bad(query=((1.0, 0.0),), gallery=((1.0, 0.0), (0.0, 1.0)), query_labels=(0,), gallery_labels=(0, 1), **options):
    return lambda: mean_average_precision(query, gallery, query_labels, gallery_labels, **options)


@pytest.mark.parametrize("call, message", [
    (bad(gallery=[[1, 0], [0, np.nan]]), "gallery holds NaN or infinite values in row 1"),
    (bad(query=[[np.inf, 0]], similarity="dot"), "query holds NaN or infinite values in row 0"),
    (bad(query=[[1, 0, 0]]), "query is 3 wide and gallery 2"),
    (bad(query=[1, 0]), r"query has the shape \(2,\)"),
    (bad(query_labels=[0, 1]), r"query_labels has the shape \(2,\); query has 1 row"),
    (bad(gallery_labels=[0]), r"gallery_labels has the shape \(1,\); gallery has 2 rows"),
    (bad(query=np.zeros((0, 2)), query_labels=[]), "query is empty"),
    (bad(gallery=np.zeros((0, 2)), gallery_labels=[]), "gallery is empty"),
    (bad(similarity="euclid"), "similarity='euclid': choose one of cosine, dot, l2"),
    (bad(ties="first"), "ties='first': choose one of group, index"),
    (bad(no_relevant="skip"), "no_relevant='skip': choose one of zero, drop"),
    (bad(similarity=np.array([[1, np.nan]])), "similarity holds NaN"),
    (bad(similarity=np.array([1.0, 2.0])), r"similarity has the shape \(2,\)"),
    (bad(gallery_labels=[[0, 1], [1, 0]]), r"query_labels is \(1,\) and gallery_labels \(2, 2\)"),
    (bad(query_labels=[5], no_relevant="drop"), "no query has a relevant item"),
    (bad(denominator="all"), "denominator='all': choose one of relevant"),
    (bad(cut=0), "cut=0: give a whole number from 1 on"),
    (bad(block_size=-1), "block_size=-1: give a whole number from 1 on"),
    (lambda: average_precision([1], denominator="all"), "denominator='all': choose one of relevant"),
    (lambda: average_precision([1], cut=-1), "cut=-1: give a whole number from 1 on"),
])
@pytest.mark.filterwarnings("ignore:.*no relevant item")
def test_refuses(call, message):
    with pytest.raises(ValueError, match=message):
        call()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("ties", ["group", "index"])
def test_zero_vectors_tie_at_similarity_0(dtype, ties):
    """Guards against refusing an item without known words after training, and against ranking it first or last."""
    rng = np.random.default_rng(3)
    query, gallery = rng.normal(size=(9, 4)).astype(dtype), rng.normal(size=(20, 4)).astype(dtype)
    query[2], gallery[[5, 11]] = 0, 0
    labels = np.arange(9) % 3, np.arange(20) % 3
    expected = average_precisions(None, None, *labels, cosine_similarity(query, gallery), ties=ties)
    with pytest.warns(UserWarning, match="1 of 9 rows is a zero vector, the first is row 2.*is 0"):
        found = average_precisions(query, gallery, *labels, ties=ties)
    np.testing.assert_allclose(found, expected, rtol=1e-12)
    assert ties == "index" or found[2] == pytest.approx(6 / 20)  # all 20 stand at rank 20, 6 of them relevant


def test_extreme_lengths():
    """Guards against squares beyond the range of numbers, by which a vector passes for zero, or its unit vector is 0."""
    rows = np.array([[3e-200, 4e-200], [3e200, -4e200], [0, 0]])
    scaled, zero = similarity_module.unit_rows(rows)
    np.testing.assert_allclose(scaled, [[0.6, 0.8], [0.6, -0.8], [0, 0]], rtol=1e-15)
    assert zero.tolist() == [False, False, True] and rows[0, 0] == 3e-200  # the caller's rows stay


@pytest.mark.filterwarnings("error")
def test_zero_vectors_under_other_similarities():
    """The origin has products and distances, so there is nothing to warn of."""
    assert bad(query=[[0, 0]], similarity="dot", ties="index")() == 1
    assert bad(query=[[0, 0]], similarity="l2", ties="index")() == 1


@pytest.mark.parametrize("n, relevant", [(1, 1), (6, 1), (7, 3), (8, 5), (5, 5)])
def test_chance_is_the_mean_over_all_rankings(n, relevant):
    """Guards against a wrong closed form: every placing of the relevant items is as likely, so their mean is it."""
    for cut, denominator in itertools.product((None, 1, 3, 20), DENOMINATORS):
        values = [
            average_precision([k in places for k in range(n)], cut, denominator)
            for places in itertools.combinations(range(n), relevant)
        ]
        found = chance_level([1], [1] * relevant + [0] * (n - relevant), cut, denominator)
        assert found == pytest.approx(np.mean(values), rel=1e-9), (cut, denominator)


def test_chance_against_random_representations():
    """Queries of unequal classes, one of them absent from the gallery.

    One draw's mAP of these 50 queries scatters by about 0.013, the mean of 400 draws by 0.00065; 0.004 is six of those.
    """
    rng = np.random.default_rng(8)
    query_labels, gallery_labels = np.repeat([0, 1, 2, 3], [20, 15, 10, 5]), np.repeat([0, 1, 2], [5, 10, 25])
    with warnings.catch_warnings(action="ignore"):  # of the class that the gallery lacks
        draws = [
            mean_average_precision(rng.normal(size=(50, 8)), rng.normal(size=(40, 8)), query_labels, gallery_labels)
            for _ in range(400)
        ]
    assert chance_level(query_labels, gallery_labels) == pytest.approx(np.mean(draws), abs=0.004)


# Wikipedia's items a class: art, biology, geography, history, literature, media, music, royalty, sport, warfare.
TRAIN = np.array([138, 272, 244, 248, 202, 178, 186, 144, 214, 347])
TEST = np.array([34, 88, 96, 85, 65, 58, 51, 41, 71, 104])


@pytest.mark.parametrize("classes, gallery, hits, harmonic, known", [
    (np.arange(10), TEST, 53069, 7.11897, 0.119),  # standard: 693 queries and items
    (np.arange(0, 10, 2), TRAIN, 65926, 7.46944, 0.214),  # zero-shot, unseen: 317 queries, 984 items
    (np.arange(1, 10, 2), TRAIN, 97332, 7.65851, 0.221),  # zero-shot, seen: 376 queries, 1,189 items
])
def test_chance_on_wikipedia(classes, gallery, hits, harmonic, known):
    """Worked out on paper: the share p = hits / (Q n) of relevant pairs, and a small term for the hit itself.

    hits = sum_c q_c R_c = p Q n. A hit at rank k counts itself, which adds (n - R)(H_n - 1) / (n (n - 1)) to R / n;
    H_n = ln n + 0.57722 + 1 / 2n. That gives .1184, .2165 and .2221. The known levels are of one draw of random
    vectors each, rounded (their .214 is a low one: draws scatter by .0007 about .2165).
    """
    query, gallery = TEST[classes], gallery[classes]
    n = gallery.sum()
    p = hits / (query.sum() * n)
    value = chance_level(np.repeat(classes, query), np.repeat(classes, gallery))
    assert value == pytest.approx(p + (1 - p) * (harmonic - 1) / (n - 1), abs=1e-6)
    assert value == pytest.approx(known, abs=0.003)


@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_compiled_figures_equal_plain_ones(similarity, monkeypatch):
    """Guards against a fast path that ranks otherwise: float32, ids, several labels, cuts, both tie rules."""
    pytest.importorskip("numba", reason="numba (the extra `fast`) is not installed")
    rng = np.random.default_rng(15)
    query, gallery = rng.integers(-2, 3, size=(2, 41, 6)).astype(np.float32)
    query[:, 0] = gallery[:, 0] = 1  # no zero vectors
    labels = rng.integers(2, size=(2, 41, 3))
    ids = {"query_ids": range(41), "gallery_ids": range(41)}
    for options in ({}, {"ties": "index"}, {"cut": 7, "denominator": "hits"}, ids, {"block_size": 5, "threads": 3}):
        for of_queries, of_gallery in (labels, labels[..., 0]):
            found = []
            for threshold in (1e9, 0):
                monkeypatch.setattr(ranking, "COMPILE_FROM", threshold)
                with warnings.catch_warnings(action="ignore"):
                    found.append(average_precisions(query, gallery, of_queries, of_gallery, similarity, **options))
            np.testing.assert_array_equal(*found)


def test_float32_in_blocks():
    """Guards against mAP that the block size decides: products round differently, by 1e-7 of a cosine."""
    rng = np.random.default_rng(16)
    query, gallery = rng.normal(size=(2, 300, 300)).astype(np.float32)
    gallery[150:] = gallery[:150]
    labels = rng.integers(4, size=(2, 300))
    values = [mean_average_precision(query, gallery, *labels, block_size=size) for size in (1, 7, 300)]
    assert max(values) - min(values) < 1e-6
    assert values[0] == pytest.approx(mean_average_precision(query.astype(float), gallery.astype(float), *labels), abs=1e-5)


def test_memory_bounds_the_blocks():
    """Guards against a block that outgrows the memory given; one query at least is scored at once."""
    sizes = [b.stop - b.start for b in similarity_module.blocks(100, 1000, memory=80_000)]
    assert sizes == [10] * 10
    assert similarity_module.blocks(2, 1000, memory=1) == [slice(0, 1), slice(1, 2)]


@pytest.mark.parametrize("ids", [{"query_ids": [1]}, {"query_ids": [1], "gallery_ids": [1]}])
def test_refuses_half_the_ids(ids):
    """Guards against ids that exclude nothing without a word."""
    with pytest.raises(ValueError, match=r"gallery_ids has the shape .*gallery has 2 rows"):
        average_precisions(None, None, [0], [0, 1], np.ones((1, 2)), **ids)
