"""Tests of texts by their measure: widths, lines, and the columns of legends."""
import pytest
from matplotlib.font_manager import FontProperties
from matplotlib.textpath import text_to_path

from tfxmr.reports.figures import texts

SIZE, POINTS = 6, 73


def test_wrap():
    """Guards against texts beyond their frame, lost words, and a loop without end on a word wider than a line."""
    font = FontProperties(size=SIZE)
    text = "Wide WWWWWWWWWWWWWWWWWWWWWWWWW and narrow iiiiiiiiiiiiiiiiiiiii,\n\n costs $5  and 6"
    lines = texts.wrap(text, SIZE, POINTS)
    assert "".join(lines).replace(" ", "") == "".join(text.split())
    widths = [text_to_path.get_text_width_height_descent(line, font, ismath=False)[0] for line in lines]
    assert max(widths) <= POINTS and len(lines) > 3
    cut = texts.wrap("word " * 10000, SIZE, POINTS, lines=10)
    assert len(cut) == 10 and cut[-1].endswith("…") and "…" not in "".join(cut[:-1])
    assert max(texts.width(line, SIZE) for line in cut) <= POINTS
    assert texts.wrap("", SIZE, POINTS) == [] and texts.wrap("W", SIZE, 1) == ["W"]
    assert texts.wrap("one two three", SIZE, 30, indent="  ") == ["one two", "  three"]


def test_columns():
    """Guards against a legend that is wider than its panel, and against a column a label where there is room for more."""
    assert texts.columns(["a", "b", "c"], SIZE, 3.0) == (3, ["a", "b", "c"])
    inches = 2.0
    labels = [f"a label of some length {i}" for i in range(7)]
    count, shown = texts.columns(labels, SIZE, inches)
    width = texts.width(labels[0], SIZE) + (texts.HANDLE + texts.AFTER) * SIZE
    assert shown == labels and count == int((72 * inches - texts.EDGES * SIZE + SIZE * texts.GAP) / (width + SIZE * texts.GAP))
    count, shown = texts.columns(["short", "W" * 40], SIZE, inches)
    assert count == 1 and shown[0] == "short" and shown[1].count("\n") == 1


@pytest.mark.parametrize("labels", [[], ["one"]])
def test_columns_of_nothing(labels):
    assert texts.columns(labels, SIZE, 1.0) == (1, labels)
