"""Tests of preconditions: whatever is given, a function of tfxmr.evaluation gives a number or a ValueError that helps."""
import math
import warnings

import hypothesis
import numpy as np
import pytest
import scipy.sparse
from hypothesis import strategies
from hypothesis.extra import numpy as arrays

from tfxmr import evaluation
from tfxmr.evaluation import checks, named, retrieval
from tfxmr.reports.tables import formats

RNG = np.random.default_rng(0)
LABELS, CLASSES = np.array([0, 1, 2, 0, 1, 2]), np.eye(3, dtype=int)[[0, 1, 2, 0, 1, 2]]
PROBLEM = {"query": RNG.normal(size=(6, 3)), "gallery": RNG.normal(size=(6, 3)), "query_labels": LABELS, "gallery_labels": LABELS}
SCORING = PROBLEM | {
    "similarity": "cosine", "block_size": None, "ties": "group", "query_ids": None, "gallery_ids": None, "threads": 1,
    "memory": None,
}
PRECISION = SCORING | {"cut": None, "denominator": "relevant", "no_relevant": "zero"}
ONE = {"relevance": [1, 0, 1]}
# Function -> its arguments, of which some are replaced by odd ones.
CALLS = {
    evaluation.average_precision: ONE | {"cut": None, "denominator": "hits", "num_relevant": None},
    evaluation.average_precisions: PRECISION,
    evaluation.mean_average_precision: PRECISION,
    evaluation.measure: SCORING | {"names": ["P@2", "R@2", "hit@1", "nDCG", "nDCG@2", "11-point", "median_rank"]},
    evaluation.mean_curve: SCORING | {"kind": "11-point"},
    evaluation.chance_curve: {"kind": "uninterpolated", "query_labels": LABELS, "gallery_labels": LABELS, "draws": 3, "seed": 0},
    evaluation.chance_level: {
        "query_labels": LABELS, "gallery_labels": LABELS, "cut": None, "denominator": "hits", "own": True,
    },
    named.chance_of: {"name": "P@2", "query_labels": LABELS, "gallery_labels": LABELS, "own": True},
    evaluation.instance_ranks: {"similarity": np.eye(3), "correct": [[0], [1, 2], 2]},
    evaluation.recall_at_ranks: {"ranks": [1, 3, 2], "k": 2},
    evaluation.median_rank: {"ranks": [1, 3, 2]},
    evaluation.image_sentence_recalls: {
        "image": PROBLEM["query"][:2], "text": PROBLEM["gallery"], "captions_per_image": 3, "folds": 2, "ks": (1, 5),
        "similarity": "cosine",
    },
    evaluation.precision_recall: ONE, evaluation.eleven_point: ONE,
    evaluation.precision_at: ONE | {"k": 2}, evaluation.recall_at: ONE | {"k": 2},
    evaluation.ndcg: {"gains": [1.0, 0, 2], "k": None},
    evaluation.mean_by_class: {"values": [0.1, 0.2, 0.3], "labels": [0, 1, 0]},
    evaluation.harmonic_mean: {"seen": 0.2, "unseen": 0.1},
    evaluation.mean_and_deviation: {"values": [0.1, 0.2]}, evaluation.wilcoxon: {"a": [0.1, 0.2], "b": [0.2, 0.4]},
    evaluation.bonferroni: {"p_values": [0.1, 0.2]},
    evaluation.bonferroni_threshold: {"comparisons": 3, "level": 0.05},
    evaluation.bootstrap_interval: {"values": [0.1, 0.2], "confidence": 0.9, "resamples": 9, "seed": 0},
    retrieval.normalise: {"representations": PROBLEM["query"], "kind": "train_zscore", "side": "query", "training": np.eye(3)},
    formats.to_markdown: {"rows": [{"a": 0.5}], "digits": 3},
}
IN_ONE = {evaluation.average_precision, evaluation.average_precisions, evaluation.mean_average_precision,
          evaluation.chance_level, evaluation.mean_curve, evaluation.chance_curve}
ODD = [
    None, "", "a", "cosine", "hits", "drop", "index", True, False, 0, 1, 3, -1, 1.5, 2.0, math.nan, math.inf, -math.inf, 2**80,
    10**400, 1j, [], [[]], [[1], [2, 3]], [None, 1, 2], ["x", math.nan, "y", "x", "y", "z"], ["x"] * 6, [b"x"] * 6, {}, {1, 2},
    object(), np.array(2), np.bool_(True), np.int8(2), np.float32(2), np.zeros(6, complex), np.zeros((6, 3), complex),
    np.full(6, np.nan), np.array([1, None, 2, 1, 2, 1], object), np.array([1, 2, 3] * 2, object), LABELS[:, None], LABELS[None],
    CLASSES, CLASSES.astype(bool), CLASSES * 2, CLASSES[:, :1], CLASSES[:, :, None], LABELS + 0.5, LABELS.astype(np.float16),
    np.full(6, "2026-01-01", "datetime64[D]"), np.ma.masked_equal(LABELS, 1), scipy.sparse.eye(6).tocsr(), np.empty((0, 3)),
    np.empty((6, 0)), np.zeros((6, 3)), np.full((6, 3), 1e300), np.full((6, 3), 1e25, np.float32), np.eye(6, 3, dtype=np.longdouble),
    PROBLEM["query"].astype(np.float16), PROBLEM["query"] > 0, np.full((6, 6), "a"), np.eye(6), np.ones((6, 6), int), range(6),
    lambda query, gallery: None, lambda query, gallery: np.ones((len(query), 1)), lambda query, gallery: np.ones((len(query), 6)),
    lambda query, gallery: np.full((len(query), 6), 1j), LABELS > 0, np.eye(6, dtype=np.longdouble), 1e-320, ["P@1"], ["P@0"],
    ["P@99999999999999999999"], [7], "P@9", np.array([2**63, 1, 2, 3, 4, 5], np.uint64), -LABELS,
]
ANY = strategies.sampled_from(ODD) | arrays.arrays(
    strategies.sampled_from([np.int64, np.float64, np.float32, np.bool_, np.complex64, np.uint8, "U2", object]),
    strategies.sampled_from([(), (1,), (6,), (6, 1), (1, 6), (6, 2), (6, 3), (0,), (2, 3, 1)]),
)


def values_of(found):
    """All numbers in what a function returned."""
    if isinstance(found, dict):
        found = list(found.values())
    if isinstance(found, (list, tuple)):
        return [value for part in found for value in values_of(part)]
    return [] if found is None or isinstance(found, str) else np.ravel(found).tolist()


@hypothesis.settings(deadline=None, max_examples=500)
@hypothesis.given(strategies.data())
def test_a_number_or_a_value_error(data):
    """Guards against TypeError, ZeroDivisionError, OverflowError and IndexError over what is no array or no number, and
    against a NaN, or a precision above 1, without a word."""
    function = data.draw(strategies.sampled_from(list(CALLS)))
    arguments = dict(CALLS[function])
    for name in data.draw(strategies.lists(strategies.sampled_from(list(arguments)), min_size=1, max_size=2)):
        arguments[name] = data.draw(ANY)
    if arguments.get("rows") is not CALLS[function].get("rows"):
        arguments["rows"] = CALLS[function]["rows"]
    with warnings.catch_warnings(action="ignore"):
        try:
            found = values_of(function(**arguments))
        except ValueError as error:
            assert str(error)
            return
    dropped = arguments.get("no_relevant") == "drop"
    single = function is evaluation.mean_and_deviation and len(arguments["values"]) == 1
    assert all(isinstance(value, (int, float)) and (math.isfinite(value) or dropped or single) for value in found)
    if function in IN_ONE:
        assert all(0 <= value <= 1 or dropped for value in found)


@pytest.mark.parametrize("shape", ["column", "row"])
def test_labels_as_matlab_has_them(shape):
    """Guards against class numbers of shape (n, 1) or (1, n), counted from 1, taken for 0/1 labels that all share: mAP
    and chance were 1.0 without a word."""
    labels = 1 + LABELS
    odd = labels[:, None] if shape == "column" else labels[None]
    for bad in (odd, odd.astype(float), odd > 1):  # also of 0/1: one column says nothing of several labels
        problem = PROBLEM | {"query_labels": bad, "gallery_labels": bad}
        for function in (evaluation.mean_average_precision, evaluation.average_precisions):
            with pytest.raises(ValueError, match=rf"query_labels has the shape .*, a {shape}; .*query_labels\.ravel\(\)"):
                function(**problem)
        for function in (evaluation.chance_level, lambda q, g: evaluation.chance_curve("11-point", q, g)):
            with pytest.raises(ValueError, match=rf"a {shape}; .*\.ravel\(\)"):
                function(bad, bad)
        with pytest.raises(ValueError, match=rf"gallery_labels has the shape .*, a {shape}; .*gallery_labels\.ravel\(\)"):
            evaluation.mean_average_precision(**PROBLEM | {"gallery_labels": bad})
    ravelled = PROBLEM | {"query_labels": odd.ravel(), "gallery_labels": odd.ravel()}
    assert evaluation.mean_average_precision(**ravelled) == evaluation.mean_average_precision(**PROBLEM)


def test_several_labels_are_0_or_1():
    """Guards against scores or class numbers taken for 0/1: any product above 0 counted as a common label."""
    for values in (CLASSES * 2, CLASSES - 1, CLASSES + 0.5, CLASSES.astype(str)):
        with pytest.raises(ValueError, match=r"holds other values than 0 and 1; .*\.argmax\(axis=1\)"):
            evaluation.chance_level(values, values)
    one = evaluation.mean_average_precision(**PROBLEM)
    for values in (CLASSES, CLASSES.astype(bool), CLASSES.astype(float), CLASSES.tolist()):
        assert evaluation.mean_average_precision(**PROBLEM | {"query_labels": values, "gallery_labels": values}) == one
    single = {"query": [[1.0, 0]], "query_labels": [[1, 0, 1]], "gallery": np.eye(2), "gallery_labels": CLASSES[:2]}
    assert evaluation.mean_average_precision(**single) == 1  # one query of several labels is no row of class numbers


@pytest.mark.parametrize(
    "labels, message",
    [
        ([0, 1, math.nan, 0, math.nan, 2], "query_labels holds NaN or infinite values in row 2; drop items without a"),
        (["a", "b", math.nan, "a", "b", "c"], "query_labels holds Python objects"),
        ([0, 1, None, 0, 1, 2], "query_labels holds Python objects"),
        (LABELS * 1j, "query_labels holds complex numbers; give whole numbers or texts"),
        (np.array(["a", "b", "c"] * 2), "query_labels holds texts and gallery_labels numbers, so none are equal"),
        (LABELS[:, None, None], r"query_labels has the shape \(6, 1, 1\); query has 6 rows"),
        ([[0], [1, 2]], "query_labels: rows of unlike lengths or kinds make no array"),
        (np.ma.masked_equal(LABELS, 1), "query_labels has masked entries"),
        (2.0**53 + 2 * LABELS, "gallery_labels holds numbers above 2\\^53"),
    ],
)
def test_labels_that_are_none(labels, message):
    """Guards against NaN as a class of its own, and against numbers that never equal texts."""
    gallery = 2**53 + 1 + LABELS if "gallery" in message[:8] else LABELS
    with pytest.raises(ValueError, match=message):
        evaluation.mean_average_precision(**PROBLEM | {"query_labels": labels, "gallery_labels": gallery})


@pytest.mark.parametrize("cut", [2.5, True, False, 0, -3, math.nan, math.inf, "5", [5], 1j])
def test_cuts_that_are_none(cut):
    """Guards against a cut that slices from the end, or counts True as 1."""
    for call in (
        lambda: evaluation.mean_average_precision(**PROBLEM, cut=cut), lambda: evaluation.average_precision([1, 0], cut),
        lambda: evaluation.chance_level(LABELS, LABELS, cut),
    ):
        with pytest.raises(ValueError, match="^cut=.*: give a whole number from 1 on$"):
            call()


def test_whole_numbers_of_any_type():
    """Guards against refusing more than must be: NumPy's numbers, and 2.0, are whole; a huge cut is none."""
    plain = evaluation.mean_average_precision(**PROBLEM, cut=2)
    for cut in (np.int64(2), np.uint8(2), 2.0, np.float32(2), np.array(2)):
        assert evaluation.mean_average_precision(**PROBLEM, cut=cut) == plain
    assert evaluation.mean_average_precision(**PROBLEM, cut=2**62) == evaluation.mean_average_precision(**PROBLEM)


def test_texts_and_objects_as_labels():
    """Guards against refusing what pandas gives: texts and whole numbers as Python objects."""
    one = evaluation.mean_average_precision(**PROBLEM)
    for labels in (["a", "b", "c"] * 2, np.array(["a", "b", "c"] * 2, object), np.array([1, 2, 3] * 2, object)):
        assert evaluation.mean_average_precision(**PROBLEM | {"query_labels": labels, "gallery_labels": labels}) == one


def test_a_gallery_of_the_query_alone():
    """Guards against a division by the zero items that are left, and a negative chance of items without any label."""
    assert evaluation.chance_level([1], [1], own=True) == 0
    for name in ("P@1", "R@1", "hit@1", "nDCG"):
        assert named.chance_of(name, [1], [1], own=True) == 0
    assert evaluation.chance_level([[0, 0], [1, 0]], [[0, 0], [1, 0]], own=True) == 0


def test_number_of_relevant_items():
    """Guards against an average precision above 1."""
    with pytest.raises(ValueError, match="num_relevant=1: give a whole number from 2 on"):
        evaluation.average_precision([1, 1], num_relevant=1)
    with pytest.raises(ValueError, match="0s and 1s"):
        evaluation.average_precision([0.5, 1])


def test_similarities_that_overflow():
    """Guards against rankings of infinite products, which all tie."""
    for size, dtype in ((1e200, np.float64), (1e25, np.float32)):
        huge = np.full((2, 3), size, dtype)
        for name in ("dot", "l2"):
            if dtype is np.float64 or name != "l2":  # which takes float64
                with pytest.raises(ValueError, match="query row 0 is too large: its products overflow; scale it down"):
                    evaluation.average_precisions(huge, np.ones((2, 3)), [0, 1], [0, 1], name)


def test_ties_are_checked_everywhere():
    """Guards against an unknown choice that means another one."""
    for function, name in ((evaluation.measure, ["P@1"]), (evaluation.mean_curve, "11-point")):
        with pytest.raises(ValueError, match="ties='last': choose one of group, index"):
            function(name, **PROBLEM, ties="last")


def test_normalise_names_its_choices():
    """Guards against an unknown z-score, or one without training items, that is the group's own without a word."""
    with pytest.raises(ValueError, match="kind='zscore': choose one of none, train_zscore"):
        retrieval.normalise(np.eye(2), "zscore", "query")
    with pytest.raises(ValueError, match="needs the training items"):
        retrieval.normalise(np.eye(2), "train_zscore", "query")
    with pytest.raises(ValueError, match="representations are 2 wide and training 3"):
        retrieval.normalise(np.eye(2), "train_zscore", "query", np.eye(3))


def test_a_function_as_similarity_gives_all_scores():
    """Guards against one column of scores that is broadcast to all items."""
    for found in (np.ones((6, 1)), np.ones(6), None, np.ones((6, 6)) * 1j):
        with pytest.raises(ValueError, match="similarity"):
            evaluation.average_precisions(**PROBLEM, similarity=lambda q, g, found=found: found)


def test_short():
    assert checks.short(np.float64(0.5)) == "0.5" and checks.short("a" * 99) == "'" + "a" * 36 + "..."
    assert checks.short(np.zeros((3, 3))).count("\n") == 0
