"""Tests of the rows of result tables."""
import pytest
from making import metric, result

from tfxmr.reports.tables.formats import Marked
from tfxmr.reports.tables.rows import by_class_rows, metrics_rows, results_rows, to_text


def test_metrics_table():
    """Guards against averages over the class groups: seen and unseen stand apart."""
    table = to_text(metrics_rows([
        metric("image->text", "unseen", 0.25, 0.21), metric("text->image", "unseen", 0.35, 0.23),
        metric("image->text", "seen", 0.5, 0.1), metric("text->image", "seen", 0.9, 0.1) | {"interval": [0.8, 1.0]},
    ]))
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["task", "classes", "metric", "value", "low", "high", "chance", "queries", "gallery"]
    assert rows[1] == ["image->text", "unseen", "mAP", "0.250", "0.210", "317", "984"]
    assert rows[4] == ["text->image", "seen", "mAP", "0.900", "0.800", "1.000", "0.100", "317", "984"]
    assert rows[5:] == [["average", "unseen", "mAP", "0.300", "0.220"], ["average", "seen", "mAP", "0.700", "0.100"]]


def test_metrics_of_all_modalities_stand_apart():
    """Guards against a mean over tasks with one and with all modalities in the gallery, and over unknown chances."""
    rows = metrics_rows([
        metric("image->text", "all", 0.2, 0.1), metric("text->image", "all", 0.4, 0.1),
        metric("image->all", "all", 0.9, 0.1), metric("text->all", "all", 0.7, 0.1),
        metric("image->text", "all", 0.5, None) | {"metric": "11-point"},
    ])
    assert [(r["task"], r["metric"], r["value"], r["chance"]) for r in rows[5:]] == [
        ("average", "mAP", pytest.approx(0.3), pytest.approx(0.1)), ("average->all", "mAP", pytest.approx(0.8), 0.1),
        ("average", "11-point", 0.5, None),
    ]


def test_by_class_rows():
    """Guards against classes of the same name in two groups that overwrite each other."""
    found = by_class_rows([
        metric("image->text", "unseen", 0.2, 0.1) | {"by_class": {"art": 0.1, "sport": 0.3}},
        metric("text->image", "unseen", 0.2, 0.1) | {"by_class": {"art": 0.4}},
        metric("image->text", "seen", 0.2, 0.1) | {"by_class": {"media": 0.5}}, metric("image->text", "seen", 1, 0),
    ])
    assert found == [
        {"class": "art", "classes": "unseen", "mAP image->text": 0.1, "mAP text->image": 0.4},
        {"class": "sport", "classes": "unseen", "mAP image->text": 0.3},
        {"class": "media", "classes": "seen", "mAP image->text": 0.5},
    ]


COLUMN = "mAP image->text all"


def test_results_rows():
    """Guards against unlike protocols in one column: another denominator or cut is marked, each with its footnote."""
    rows, footnotes = results_rows([
        result("cca", 0.2), result("acmr", 0.5, cut=50), result("acmr", 0.25, seed=1),
        result("dscmr", 0.6, cut=50), result("dadn", 0.7, gallery="train", cut=50),
    ])
    assert rows[0] == {"model": "cca", "dataset": "wikipedia", "seed": 0, COLUMN: 0.2}
    assert [row[COLUMN] for row in rows[1:]] == [
        Marked(0.5, "a"), 0.25, Marked(0.6, "a"), Marked(0.7, "b")
    ]
    assert footnotes.splitlines() == [
        "a  cut 50 instead of none", "b  gallery train instead of test; cut 50 instead of none"
    ]


def test_results_rows_across_datasets():
    """Guards against marks for the classes that any other dataset has, and against none where one dataset's differ."""
    rows, footnotes = results_rows([
        result("cca", 0.2, unseen=["art"]), result("cca", 0.3, dataset="pascal", unseen=["cat"]),
        result("danzcr", 0.4, dataset="pascal", unseen=["dog", "bird"]),
    ])
    assert [row[COLUMN] for row in rows] == [0.2, 0.3, Marked(0.4, "a")]
    assert footnotes == "a  unseen dog, bird instead of cat"


def test_results_rows_of_other_sizes():
    """Guards against one name for two splits: Wikipedia is tested on 693 pairs by some and on 462 by others."""
    rows, footnotes = results_rows([
        result("cca", 0.2), result("ms2gan", 0.3, sizes={"num_queries": 462, "gallery_size": 462}),
        result("cca", 0.3, dataset="pascal", sizes={"num_queries": 100}),
    ])
    assert [row[COLUMN] for row in rows] == [0.2, Marked(0.3, "a"), 0.3]
    assert footnotes == "a  queries 462 instead of 317; gallery items 462 instead of 984"


def test_results_rows_unstated():
    """Guards against an old results.json that lacks an entry passing as equal."""
    older = result("cca", 0.2)
    del older["protocol"]["cut"]
    _, footnotes = results_rows([result("cca", 0.2), older])
    assert footnotes == "a  cut not stated instead of none"
    _, footnotes = results_rows([older, result("cca", 0.2)])
    assert footnotes == "a  cut none instead of not stated"


def test_results_rows_columns():
    """Guards against mAP and mAP@50, or seen and unseen, in one column."""
    metrics = [metric("image->text", c, v, 0.1) for c, v in (("unseen", 0.2), ("seen", 0.4))]
    cut = metric("image->text", "seen", 0.6, 0.1) | {"metric": "mAP@50"}
    rows, _ = results_rows([result("cca", 0, metrics=[*metrics, cut])])
    assert list(rows[0])[3:] == ["mAP image->text unseen", "mAP image->text seen", "mAP@50 image->text seen"]
    with pytest.raises(ValueError, match="'mAP image->text unseen' is there twice"):
        results_rows([result("cca", 0, metrics=metrics[:1] * 2)])


def test_marks_beyond_z():
    many = [result("cca", 0.1)] + [result("cca", 0.1, cut=k) for k in range(1, 30)]
    marks = [row[COLUMN].mark for row in results_rows(many)[0][1:]]
    assert marks[0] == "a" and marks[25:28] == ["z", "aa", "ab"]
