"""Fonts that have the characters of a figure: names and texts are not all in Latin letters."""
import functools
import unicodedata
import warnings
from collections.abc import Sequence

from matplotlib import font_manager, ft2font
from matplotlib.figure import Figure
from matplotlib.text import Text

from tfxmr.core.wording import counted

FIRST = "DejaVu Sans"  # comes with matplotlib
NO_LETTERS = ("Last Resort", "Noto Color", "Apple Color")  # draws boxes with codes; bitmaps, which do not scale
_named: set[str] = set()  # characters that a warning has named already


def families(text: str) -> tuple[list[str], set[str]]:
    """Names of fonts that together have the characters of a text, as far as any installed one has them.

    Args:
      text: of any script.

    Returns:
      (list of font families, DejaVu Sans first, the others as few as it takes; set of the characters that none has).
    """
    missing, found = needed(text) - _characters(font_manager.findfont(FIRST)), [FIRST]
    if missing:
        candidates = {name: _characters(path) for name, path in _installed().items()}
        while missing:
            best = max(sorted(candidates), key=lambda name: _merit(name, missing & candidates[name]))
            if not missing & candidates[best]:
                break
            found.append(best)
            missing -= candidates[best]
    return found, missing


def _merit(name: str, characters: set[str]) -> tuple[int, bool]:
    """More characters are better, then a sans-serif face, which looks like the rest."""
    return len(characters), "Sans" in name


def needed(text: str) -> set[str]:
    """The characters of a text that leave ink."""
    return {c for c in text if unicodedata.category(c)[0] not in "CZ" and unicodedata.category(c) != "Mn"}


def fit(figures: Sequence[Figure]) -> None:
    """Gives all texts of some figures fonts that have their characters; says once which characters none has.

    Args:
      figures: list of matplotlib Figures; those in Latin letters stay as they are.
    """
    texts = [text for figure in figures for text in figure.findobj(Text)]
    chosen, missing = families("".join(text.get_text() for text in texts))
    if len(chosen) > 1:
        for text in texts:
            text.set_fontfamily(chosen)
    new = sorted(missing - _named)
    if new:
        _named.update(new)
        shown = " ".join(f"{c} ({unicodedata.name(c, f'U+{ord(c):04X}').title()})" for c in new[:3])
        warnings.warn(
            f"no installed font has {counted(len(new), 'character')} of these figures, such as {shown}; boxes stand "
            "instead. Install a font of that script, such as Noto Sans CJK for Chinese, Japanese and Korean (Debian "
            "and Ubuntu: apt install fonts-noto-cjk), and draw again",
            stacklevel=2,
        )


def quiet() -> None:
    """Ignores matplotlib's own warnings, one a character and size, inside `warnings.catch_warnings()`."""
    warnings.filterwarnings("ignore", message="Glyph .* missing from")


@functools.cache
def _installed() -> dict[str, str]:
    """Family -> path of its upright face of normal weight, of every font of this machine that draws outlines."""
    known = {entry.fname for entry in font_manager.fontManager.ttflist}
    for path in font_manager.findSystemFonts():
        if path not in known:  # installed since matplotlib last looked
            try:
                font_manager.fontManager.addfont(path)
            except Exception:  # a damaged font, of which there are many kinds
                continue
    return {
        entry.name: entry.fname for entry in font_manager.fontManager.ttflist
        if entry.style == "normal" and entry.weight == 400 and not entry.name.startswith(NO_LETTERS)
    }


@functools.cache
def _characters(path: str) -> frozenset[str]:
    """The characters that a font file has, as a set."""
    try:
        font = ft2font.FT2Font(path)
        return frozenset(map(chr, font.get_charmap())) if font.scalable else frozenset()
    except (RuntimeError, OSError, ValueError):  # damaged, or gone
        return frozenset()
