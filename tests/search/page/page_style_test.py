"""The style sheet: what a browser would show wrongly, without a browser."""
import re

import pytest

from tfxmr.search.page.sheet import STYLE

THEMES = [dict(re.findall(r"--([\w-]+): (#\w{6})", block)) for block in re.findall(r":root \{(.*?)\}", STYLE.read_text(), re.S)]


def luminance(colour):
    """Relative luminance by WCAG 2."""
    parts = [int(colour[i : i + 2], 16) / 255 for i in (1, 3, 5)]
    linear = [p / 12.92 if p <= 0.03928 else ((p + 0.055) / 1.055) ** 2.4 for p in parts]
    return 0.2126 * linear[0] + 0.7152 * linear[1] + 0.0722 * linear[2]


def contrast(one, other):
    low, high = sorted([luminance(one), luminance(other)])
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("theme", THEMES, ids=["light", "dark"])
def test_contrast(theme):
    """WCAG 2 AA: 4.5 of text, 3 of the edges of controls."""
    for name, least in (("ink", 4.5), ("faint", 4.5), ("accent", 4.5), ("right", 4.5), ("wrong", 4.5), ("edge", 3)):
        assert min(contrast(theme[name], theme[ground]) for ground in ("ground", "card")) >= least, name
    assert contrast(theme["accent"], theme["on-accent"]) >= 4.5
    assert round(contrast("#000000", "#ffffff")) == 21


def test_a_chosen_option_hides_nothing():
    """Guards against `[value=text]:checked`, which is also true of an option of a list: the sentence's field was gone."""
    rules = re.findall(r"#ask:has\(([^)]*:checked)\)", STYLE.read_text())
    assert len(rules) == 3 and all(rule.startswith("[name=by]") for rule in rules)
