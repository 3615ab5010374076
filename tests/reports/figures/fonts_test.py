"""Tests of the choice of fonts, with a font made up for two Chinese characters."""
import warnings

import pytest
from fontTools.fontBuilder import FontBuilder
from fontTools.pens.ttGlyphPen import TTGlyphPen
from matplotlib import font_manager
from matplotlib.figure import Figure
from matplotlib.text import Text

from tfxmr.reports.figures import fonts, style, texts

SQUARE = ((0, 0), (0, 800), (800, 800), (800, 0))


@pytest.fixture
def made_up_font(tmp_path):
    """Installs a font of 中 and 文, each a square, for matplotlib alone."""
    builder = FontBuilder(1000, isTTF=True)
    names = [".notdef", "one", "two"]
    pen = TTGlyphPen(None)
    pen.moveTo(SQUARE[0])
    for corner in SQUARE[1:]:
        pen.lineTo(corner)
    pen.closePath()
    glyph = pen.glyph()
    builder.setupGlyphOrder(names)
    builder.setupCharacterMap({ord("中"): "one", ord("文"): "two"})
    builder.setupGlyf(dict.fromkeys(names, glyph))
    builder.setupHorizontalMetrics(dict.fromkeys(names, (1000, 0)))
    builder.setupHorizontalHeader(ascent=800, descent=-200)
    builder.setupNameTable({"familyName": "Made Up Sans", "styleName": "Regular"})
    builder.setupOS2(usWeightClass=400)
    builder.setupPost()
    path = tmp_path / "made_up.ttf"
    builder.save(path)
    before = list(font_manager.fontManager.ttflist)
    font_manager.fontManager.addfont(str(path))
    fonts._installed.cache_clear()
    yield "Made Up Sans"
    font_manager.fontManager.ttflist[:] = before
    fonts._installed.cache_clear()


@pytest.fixture(autouse=True)
def unnamed(monkeypatch):
    monkeypatch.setattr(fonts, "_named", set())


def figure_of(*texts):
    figure = Figure(figsize=(2, 2))
    for i, text in enumerate(texts):
        figure.text(0.1, i / len(texts), text)
    return figure


@pytest.mark.filterwarnings("error")
def test_latin_letters_stay_as_they_are(tmp_path):
    figure = figure_of("cat → Katze, αβγ, Кот, ✓ right")
    families = [text.get_fontfamily() for text in figure.findobj(Text)]
    style.save(figure, tmp_path, "name")
    assert [text.get_fontfamily() for text in figure.findobj(Text)] == families
    assert fonts.families("cat\n\u200b 1") == (["DejaVu Sans"], set())


@pytest.mark.filterwarnings("error")
def test_a_font_that_has_the_characters_is_chosen(made_up_font, tmp_path):
    """Guards against boxes in place of class names and texts where a font of the machine has them."""
    assert fonts.families("a中") == (["DejaVu Sans", made_up_font], set())
    figure = figure_of("class 中", "文")
    style.save(figure, tmp_path, "name")
    assert {tuple(text.get_fontfamily()) for text in figure.findobj(Text)} == {("DejaVu Sans", made_up_font)}
    # As wide as that font has them, not as wide as a box.
    assert texts.wrap("中文" * 20, 6, 36) == ["中文" * 3] * 6 + ["中文" * 2]


def test_characters_that_no_font_has_are_said_once(tmp_path):
    """Guards against a page of warnings, one a character and size, and against none: Tangut is in no usual font."""
    tangut = "\U00017000\U00017001"
    if not fonts.families(tangut)[1]:
        pytest.skip("a font of this machine has Tangut letters")
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        fonts.fit([figure_of(tangut), figure_of(tangut[:1])])
        for name in ("one", "two"):
            style.save(figure_of(tangut), tmp_path, name)
        texts.wrap(tangut * 99, 6, 36)
    assert len(caught) == 1
    assert str(caught[0].message).startswith("no installed font has 2 characters of these figures, such as \U00017000 (")
    assert "Install a font of that script" in str(caught[0].message)
