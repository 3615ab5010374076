"""Tests of the named metrics: against the ones of a single ranking, scikit-learn, and random rankings."""
import warnings

import numpy as np
import pytest
from sklearn.metrics import ndcg_score

from tfxmr.evaluation import eleven_point, measure, named, ndcg, precision_at, recall_at
from tfxmr.evaluation.chance import chance_level

NAMES = ("P@1", "P@5", "P@40", "R@5", "nDCG", "nDCG@5", "11-point")
EVERY = {form.replace("@k", "@5"): metric for metric in named.METRICS for form in metric.forms}


def problem(rng, queries=9, items=30, ties=False):
    scores = rng.integers(4, size=(queries, items)).astype(float) if ties else rng.normal(size=(queries, items))
    return scores, rng.integers(3, size=queries), rng.integers(3, size=items)


def values(scores, query_labels, gallery_labels, names=NAMES, **choices):
    found = measure(names, None, None, query_labels, gallery_labels, scores, **choices)
    return {name: value for name, (value, _) in found.items()}


@pytest.mark.parametrize("ties", [False, True])
def test_measures_of_single_rankings(ties):
    """Guards against another ranking, or another definition, than the metrics of one ranking have; ties by index."""
    scores, query_labels, gallery_labels = problem(np.random.default_rng(0), ties=ties)
    rankings = [(gallery_labels == y)[np.argsort(-s, kind="stable")] for s, y in zip(scores, query_labels, strict=True)]
    expected = {
        "P@1": [precision_at(r, 1) for r in rankings], "P@5": [precision_at(r, 5) for r in rankings],
        "P@40": [precision_at(r, 40) for r in rankings], "R@5": [recall_at(r, 5) for r in rankings],
        "nDCG": [ndcg(r) for r in rankings], "nDCG@5": [ndcg(r, 5) for r in rankings],
        "11-point": [eleven_point(r).mean() for r in rankings],
    }
    found = values(scores, query_labels, gallery_labels, ties="index")
    assert found == {name: pytest.approx(np.mean(v), rel=1e-12) for name, v in expected.items()}


def test_instance_measures():
    """Guards against a median of means, and ties or the query itself that help. Ranks: 1, 2 (a tie counts), 4."""
    scores = np.array([[9, 1, 2, 3], [5, 5, 1, 0], [4, 3, 2, 1.0]])
    names = ("hit@1", "hit@2", "median_rank")
    assert values(scores, [0, 1, 3], [0, 1, 0, 3], names) == {"hit@1": 1 / 3, "hit@2": 2 / 3, "median_rank": 2}
    assert values(scores, [0, 1, 3], [0, 1, 0, 3], ("nDCG", *names))["median_rank"] == 2
    assert values(scores[:1], [0], [0, 1, 0, 3], ("hit@1", "hit@2"), query_ids=[1], gallery_ids=[1, 2, 3, 4]) == {
        "hit@1": 0, "hit@2": 1}  # fmt: skip
    with warnings.catch_warnings(action="ignore"):
        assert values(scores, [7, 7, 7], [0, 1, 0, 3], names) == {"hit@1": 0, "hit@2": 0, "median_rank": 5}


def test_chance_of_instance_measures():
    """One of 9 in three draws: 1/3. Any of 2 in 4 in two draws: 1 - 2/4 1/3. First of 9: 5 is the middle."""
    problem = None, None, [0, 1], [0, *range(1, 9)], np.ones((2, 9))
    found = measure(["hit@3", "median_rank"], *problem)
    assert found["hit@3"][1] == pytest.approx(1 / 3) and found["median_rank"][1] == 5
    found = measure(["hit@2", "median_rank"], None, None, [0], [0, 0, 1, 2], np.ones((1, 4)))
    assert found["hit@2"][1] == pytest.approx(5 / 6) and found["median_rank"][1] == 1


@pytest.mark.parametrize("name", ["P@2", "R@2", "hit@2", "median_rank", "nDCG"])
def test_chance_of_labels_that_are_texts(name):
    """Guards against a TypeError: one of NumPy's texts takes no index."""
    as_texts, as_numbers = (["boat", "bird"], ["boat", "boat", "bus"]), ([0, 1], [0, 0, 2])
    assert named.chance_of(name, *as_texts) == named.chance_of(name, *as_numbers)
    assert chance_level(*as_texts) == chance_level(*as_numbers)


def test_tied_items_share_their_places():
    """Guards against figures that the gallery's order decides: all tie, two of four relevant, so half of any head."""
    found = values(np.ones((1, 4)), [1], [1, 1, 0, 0], ("P@1", "P@3", "R@1", "R@2"))
    assert found == {"P@1": 1 / 2, "P@3": 1 / 2, "R@1": 1 / 4, "R@2": 1 / 2}
    scores, query_labels, gallery_labels = problem(np.random.default_rng(1), ties=True)
    for k in (None, 5):
        expected = np.mean([ndcg_score([gallery_labels == y], [s], k=k)
                            for s, y in zip(scores, query_labels, strict=True)])
        name = "nDCG" if k is None else f"nDCG@{k}"
        assert values(scores, query_labels, gallery_labels, (name,))[name] == pytest.approx(expected, rel=1e-12)
    order = np.random.default_rng(2).permutation(30)
    assert values(scores, query_labels, gallery_labels) == pytest.approx(
        values(scores[:, order], query_labels, gallery_labels[order]))


def test_chance_against_random_rankings():
    """The mean of 400 random rankings of each query lies within six of its deviations of every closed form."""
    rng = np.random.default_rng(3)
    query_labels, gallery_labels = np.repeat([0, 1, 2], [5, 3, 1]), np.repeat([0, 1], [4, 16])
    means = [name for name, metric in EVERY.items() if metric.chance and metric.summary is np.mean]
    names = dict.fromkeys((*(n for n in NAMES if n != "11-point"), *means))
    with warnings.catch_warnings(action="ignore"):
        draws = [values(rng.normal(size=(9, 20)), query_labels, gallery_labels, names) for _ in range(400)]
    for name, (_, chance) in measure(names, None, None, query_labels, gallery_labels, np.ones((9, 20))).items():
        drawn = [d[name] for d in draws]
        assert abs(np.mean(drawn) - chance) < 6 * np.std(drawn) / 20 + 1e-12, name
    assert measure(["11-point"], None, None, query_labels, gallery_labels, np.ones((9, 20)))["11-point"][1] is None


@pytest.mark.parametrize("ties", ["group", "index"])
def test_a_metric_beside_others(ties):
    """Guards against a value that depends on the metrics asked beside it, which share the sort, or on the blocks."""
    problem_of_ties = problem(np.random.default_rng(4), queries=40, ties=True)
    together = values(*problem_of_ties, list(EVERY), ties=ties, threads=1)
    alone = {name: values(*problem_of_ties, (name,), ties=ties, block_size=7)[name] for name in EVERY}
    assert together == alone == values(*problem_of_ties, [*EVERY][::-1], ties=ties)


def test_the_query_itself_is_not_ranked():
    """Guards against a query that finds itself first."""
    scores, labels = np.eye(3) + [[0, 0.1, 0.2], [0.1, 0, 0.2], [0.1, 0.2, 0]], [0, 0, 1]
    found = measure(["P@1"], None, None, labels, labels, scores, query_ids=[1, 2, 3], gallery_ids=[1, 2, 3])
    assert found["P@1"] == (0, pytest.approx((1 / 2 + 1 / 2 + 0) / 3))


@pytest.mark.parametrize("name", ["mAP", "P", "P@0", "R@-1", "nDCG@1.5", "p@5", "11 point"])
def test_refuses(name):
    with pytest.raises(ValueError, match=rf"no metric '{name}'; there are P@k"):
        measure([name], None, None, [0], [0], np.ones((1, 1)))
