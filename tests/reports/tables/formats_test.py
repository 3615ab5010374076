"""Tests of the tables in Markdown, LaTeX and CSV."""
import csv
import io

import pytest

from tfxmr.reports.tables import formats

ROWS = [
    {"model": "cm_gan", "seed": 0, "mAP": 0.41249, "time": 9.0},
    {"model": "a|b & <50%>", "seed": 1, "mAP": 0.41251, "time": 8.0},
    {"model": "x", "seed": 2, "mAP": formats.Marked(0.9, "a"), "time": float("nan")},
    {"model": "y", "seed": 3, "mAP": 0.4125},
]
BEST = {"mAP": max, "time": min}


def test_markdown():
    """Guards against a cell that ends its column, a marked value that wins, and NaN that does."""
    assert formats.to_markdown(ROWS, best=BEST, footnotes="a  cut 50 instead of none").splitlines() == [
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
    assert formats.to_markdown(ROWS, ["mAP"], best=BEST, digits=2).count("**0.41**") == 3
    assert "**" not in formats.to_markdown(ROWS)


def test_latex():
    """Guards against special characters that LaTeX takes as commands."""
    assert formats.to_latex(ROWS, best=BEST, footnotes="a  cut 50 instead of none").splitlines() == [
        r"\begin{tabular}{lrrr}", r"\toprule",
        r"model & seed & mAP & time \\", r"\midrule",
        r"cm\_gan & 0 & 0.412 & 9.000 \\",
        r"a\textbar{}b \& \textless{}50\%\textgreater{} & 1 & \textbf{0.413} & \textbf{8.000} \\",
        r"x & 2 & 0.900\textsuperscript{a} & nan \\",
        r"y & 3 & 0.412 &  \\",
        r"\bottomrule", r"\end{tabular}",
        r"\par\textsuperscript{a} cut 50 instead of none",
    ]
    row = formats.to_latex([{"t": "image->text"}, {"t": r"[#1]*{\a}$~^"}]).splitlines()[4:6]
    assert row == [
        r"image$\rightarrow$text \\",
        r"{[}\#1]{*}\{\textbackslash{}a\}\$\textasciitilde{}\textasciicircum{} \\",
    ]


def test_csv():
    """Guards against lost digits, marks glued to numbers, and commas, quotes or line ends that shift cells."""
    text = formats.to_csv([{"model": 'a,"b"\nc', "mAP": 0.1 + 0.2}, {"mAP": formats.Marked(0.5, "b")}])
    assert list(csv.reader(io.StringIO(text))) == [
        ["model", "mAP", "mAP mark"], ['a,"b"\nc', "0.30000000000000004", ""], ["", "0.5", "b"]
    ]


def test_tables_refuse():
    """Guards against a misspelt column that would come out empty."""
    for write in (formats.to_markdown, formats.to_latex, formats.to_csv):
        with pytest.raises(ValueError, match="no row has a column 'map'; there are 'model', 'seed', 'mAP', 'time'"):
            write(ROWS, ["map"])
        with pytest.raises(ValueError, match="rows is empty"):
            write([])
