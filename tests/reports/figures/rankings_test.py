"""Tests of encoded tasks: the right rows, the evaluator's figures, each item encoded once."""
import numpy as np
import pytest

from tfxmr import evaluation
from tfxmr.evaluation import protocol
from tfxmr.reports.figures.rankings import rankings


def encoder(data, calls=None):
    """A random projection of each modality to four dimensions."""
    rng = np.random.default_rng(0)
    maps = {m: rng.normal(size=(d, 4)) for m, d in data.dims.items()}

    def encode(modality, features):
        if calls is not None:
            calls.append((modality, len(features)))
        return features @ maps[modality]

    return evaluation.Retriever(encode)


@pytest.mark.parametrize("name", ["zero_shot", "standard", "dadn", "cm_gan", "acmr@50"])
def test_same_figures_as_the_evaluator(make_data, name):
    """Guards against queries, galleries or labels out of step, and against a normalisation left out."""
    data = make_data(noise=2.0)
    rule = protocol.make(name, data)
    found = rankings(encoder(data), data, None, rule)
    expected = evaluation.evaluate(encoder(data), rule.tasks(data), rule)
    assert [(r.task, r.classes) for r in found] == [(m["task"], m["classes"]) for m in expected]
    for ranking, metric in zip(found, expected, strict=True):
        value = evaluation.mean_average_precision(
            ranking.query, ranking.gallery, ranking.query_labels, ranking.gallery_labels, ranking.similarity, rule.cut,
            rule.denominator, ties=rule.ties,
        )
        assert value == pytest.approx(metric["value"], abs=1e-9)


def test_items_are_rows_of_the_splits(make_data):
    """Guards against pictures of other items than the ranked ones."""
    data = make_data()
    for ranking in rankings(encoder(data), data, None, protocol.make("zero_shot", data)):
        assert {split for split, _, _ in ranking.query_items} == {"test"}
        assert {split for split, _, _ in ranking.gallery_items} == {"train"}
        for items, labels in ((ranking.query_items, ranking.query_labels), (ranking.gallery_items, ranking.gallery_labels)):
            assert [data.splits[split].labels[m][row] for split, m, row in items] == labels.tolist()
            assert "->".join((ranking.query_items[0][1], ranking.gallery_items[0][1])) == ranking.task


def test_each_item_is_encoded_once(make_data):
    """Guards against the work of each task anew: five modalities have twenty tasks."""
    data, calls = make_data(train=60, test=30), []
    rankings(encoder(data, calls), data, None, protocol.make("zero_shot", data))
    for m in ("image", "text"):  # seen and unseen classes, of the test and the training split
        assert sorted(size for modality, size in calls if modality == m) == [12, 18, 24, 36]
