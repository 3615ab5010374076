"""Tests of the printed tables."""
import csv
import io

import pytest

from tfxmr.data import protocol
from tfxmr.evaluation import tables


def metric(task, classes, value, chance):
    return {"task": task, "classes": classes, "metric": "mAP", "value": value, "chance": chance,
            "num_queries": 317, "gallery_size": 984}


def test_metrics_table():
    """Guards against averages over the class groups: seen and unseen stand apart."""
    table = tables.metrics_table([
        metric("image->text", "unseen", 0.25, 0.21), metric("text->image", "unseen", 0.35, 0.23),
        metric("image->text", "seen", 0.5, 0.1), metric("text->image", "seen", 0.9, 0.1),
    ])
    rows = [line.split() for line in table.splitlines()]
    assert rows[0] == ["task", "classes", "metric", "value", "chance", "queries", "gallery"]
    assert rows[1] == ["image->text", "unseen", "mAP", "0.250", "0.210", "317", "984"]
    assert rows[4] == ["text->image", "seen", "mAP", "0.900", "0.100", "317", "984"]
    assert rows[5:] == [["average", "unseen", "mAP", "0.300", "0.220"], ["average", "seen", "mAP", "0.700", "0.100"]]


def test_describe(make_data):
    data = make_data(train=60, test=30, classes=5)
    text = tables.describe(data, protocol.make("zero_shot", data))
    assert "made up: image image features (6), text text features (4); train 60, test 30" in text
    assert "name zero_shot, gallery train" in text and "similarity cosine" in text
    assert text.splitlines()[-1].split(maxsplit=1) == ["unseen", "class 0, class 2, class 4"]
    standard = tables.describe(data, protocol.make("standard", data))
    assert "gallery test" in standard and "unseen" not in standard


def result(model, value, seed=0, dataset="wikipedia", sizes=None, metrics=None, **protocol_facts):
    facts = {"name": "standard", "gallery": "test", "unseen": [], "cut": None} | protocol_facts
    metrics = metrics or [metric("image->text", "all", value, 0.1) | (sizes or {})]
    return {"model": model, "dataset": dataset, "seed": seed, "protocol": facts, "metrics": metrics}


COLUMN = "mAP image->text all"


def test_results_rows():
    """Guards against unlike protocols in one column: another denominator or cut is marked, each with its footnote."""
    rows, footnotes = tables.results_rows([
        result("cca", 0.2), result("acmr", 0.5, cut=50), result("acmr", 0.25, seed=1),
        result("dscmr", 0.6, cut=50), result("dadn", 0.7, gallery="train", cut=50),
    ])
    assert rows[0] == {"model": "cca", "dataset": "wikipedia", "seed": 0, COLUMN: 0.2}
    assert [row[COLUMN] for row in rows[1:]] == [
        tables.Marked(0.5, "a"), 0.25, tables.Marked(0.6, "a"), tables.Marked(0.7, "b")
    ]
    assert footnotes.splitlines() == [
        "a  cut 50 instead of none", "b  gallery train instead of test; cut 50 instead of none"
    ]


def test_results_rows_across_datasets():
    """Guards against marks for the classes that any other dataset has, and against none where one dataset's differ."""
    rows, footnotes = tables.results_rows([
        result("cca", 0.2, unseen=["art"]), result("cca", 0.3, dataset="pascal", unseen=["cat"]),
        result("danzcr", 0.4, dataset="pascal", unseen=["dog", "bird"]),
    ])
    assert [row[COLUMN] for row in rows] == [0.2, 0.3, tables.Marked(0.4, "a")]
    assert footnotes == "a  unseen dog, bird instead of cat"


def test_results_rows_of_other_sizes():
    """Guards against one name for two splits: Wikipedia is tested on 693 pairs by some and on 462 by others."""
    rows, footnotes = tables.results_rows([
        result("cca", 0.2), result("ms2gan", 0.3, sizes={"num_queries": 462, "gallery_size": 462}),
        result("cca", 0.3, dataset="pascal", sizes={"num_queries": 100}),
    ])
    assert [row[COLUMN] for row in rows] == [0.2, tables.Marked(0.3, "a"), 0.3]
    assert footnotes == "a  queries 462 instead of 317; gallery items 462 instead of 984"


def test_results_rows_unstated():
    """Guards against an old results.json that lacks an entry passing as equal."""
    older = result("cca", 0.2)
    del older["protocol"]["cut"]
    _, footnotes = tables.results_rows([result("cca", 0.2), older])
    assert footnotes == "a  cut not stated instead of none"
    _, footnotes = tables.results_rows([older, result("cca", 0.2)])
    assert footnotes == "a  cut none instead of not stated"


def test_results_rows_columns():
    """Guards against mAP and mAP@50, or seen and unseen, in one column."""
    metrics = [metric("image->text", c, v, 0.1) for c, v in (("unseen", 0.2), ("seen", 0.4))]
    cut = metric("image->text", "seen", 0.6, 0.1) | {"metric": "mAP@50"}
    rows, _ = tables.results_rows([result("cca", 0, metrics=[*metrics, cut])])
    assert list(rows[0])[3:] == ["mAP image->text unseen", "mAP image->text seen", "mAP@50 image->text seen"]
    with pytest.raises(ValueError, match="'mAP image->text unseen' is there twice"):
        tables.results_rows([result("cca", 0, metrics=metrics[:1] * 2)])


def test_marks_beyond_z():
    results = [result("cca", 0.1)] + [result("cca", 0.1, cut=k) for k in range(1, 30)]
    marks = [row[COLUMN].mark for row in tables.results_rows(results)[0][1:]]
    assert marks[0] == "a" and marks[25:28] == ["z", "aa", "ab"]


ROWS = [
    {"model": "cm_gan", "seed": 0, "mAP": 0.41249, "time": 9.0},
    {"model": "a|b & <50%>", "seed": 1, "mAP": 0.41251, "time": 8.0},
    {"model": "x", "seed": 2, "mAP": tables.Marked(0.9, "a"), "time": float("nan")},
    {"model": "y", "seed": 3, "mAP": 0.4125},
]
BEST = {"mAP": max, "time": min}


def test_markdown():
    """Guards against a cell that ends its column, a marked value that wins, and NaN that does."""
    assert tables.to_markdown(ROWS, best=BEST, footnotes="a  cut 50 instead of none").splitlines() == [
        "| model | seed | mAP | time |",
        "| :-- | --: | --: | --: |",
        "| cm_gan | 0 | 0.412 | 9.000 |",
        r"| a\|b & \<50%> | 1 | **0.413** | **8.000** |",
        "| x | 2 | 0.900<sup>a</sup> | nan |",
        "| y | 3 | 0.412 |  |",
        "",
        "<sup>a</sup> cut 50 instead of none",
    ]
    # With two decimals all three show .41, and none is said to be better.
    assert tables.to_markdown(ROWS, ["mAP"], best=BEST, digits=2).count("**0.41**") == 3
    assert "**" not in tables.to_markdown(ROWS)


def test_latex():
    """Guards against special characters that LaTeX takes as commands."""
    assert tables.to_latex(ROWS, best=BEST, footnotes="a  cut 50 instead of none").splitlines() == [
        r"\begin{tabular}{lrrr}", r"\toprule",
        r"model & seed & mAP & time \\", r"\midrule",
        r"cm\_gan & 0 & 0.412 & 9.000 \\",
        r"a\textbar{}b \& \textless{}50\%\textgreater{} & 1 & \textbf{0.413} & \textbf{8.000} \\",
        r"x & 2 & 0.900\textsuperscript{a} & nan \\",
        r"y & 3 & 0.412 &  \\",
        r"\bottomrule", r"\end{tabular}",
        r"\par\textsuperscript{a} cut 50 instead of none",
    ]
    row = tables.to_latex([{"t": "image->text"}, {"t": r"[#1]*{\a}$~^"}]).splitlines()[4:6]
    assert row == [
        r"image$\rightarrow$text \\",
        r"{[}\#1]{*}\{\textbackslash{}a\}\$\textasciitilde{}\textasciicircum{} \\",
    ]


def test_csv():
    """Guards against lost digits, marks glued to numbers, and commas, quotes or line ends that shift cells."""
    text = tables.to_csv([{"model": 'a,"b"\nc', "mAP": 0.1 + 0.2}, {"mAP": tables.Marked(0.5, "b")}])
    assert list(csv.reader(io.StringIO(text))) == [
        ["model", "mAP", "mAP mark"], ['a,"b"\nc', "0.30000000000000004", ""], ["", "0.5", "b"]
    ]


def test_tables_refuse():
    """Guards against a misspelt column that would come out empty."""
    for write in (tables.to_markdown, tables.to_latex, tables.to_csv):
        with pytest.raises(ValueError, match="no row has a column 'map'; there are 'model', 'seed', 'mAP', 'time'"):
            write(ROWS, ["map"])
        with pytest.raises(ValueError, match="rows is empty"):
            write([])
