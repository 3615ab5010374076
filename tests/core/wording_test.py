"""Tests of the words of messages, and that no message counts but by them."""
import ast
import itertools
import re

import pytest
from messages_test import ROOT, SOURCES, messages

from tfxmr.core.wording import agreeing, counted, plural

# What is counted somewhere, in the plural, up to two words after a number.
NOUNS = "|".join((
    "arrays bytes captions characters classes columns entries features files ids images items lines modalities nodes numbers "
    "others pairs problems queries replicas rows runs seeds sentences steps strings tables tasks texts trials values vectors "
    "views words"
).split())
AFTER = re.compile(rf"( [\w-]+){{0,2}}? ({NOUNS})\b")
# An expression that gives a number, as far as its words tell: lengths and sums, and names of counts, but no constants.
NUMBER = re.compile(r"\blen\(|\.sum\(|\.size\b|\.shape\[|\bnum_\w+$|\b(\w+_)?(counts?|size|number|total|items|steps|good|bad|empty|done|lost|read)$")


def uncounted(source):
    """The texts "{number} noun" of a source in which a plural stands behind whatever number there is."""
    for text in ast.walk(ast.parse(source)):
        if isinstance(text, ast.JoinedStr):
            for value, after in itertools.pairwise(text.values):
                if isinstance(value, ast.FormattedValue) and isinstance(after, ast.Constant):
                    shown, spec = ast.unparse(value.value), ast.unparse(value.format_spec) if value.format_spec else ""
                    agrees = re.match(r"(counted|agreeing)\(", shown) or shown.isupper()
                    if not agrees and (NUMBER.search(shown) or "," in spec) and AFTER.match(after.value):
                        yield ast.unparse(text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_counts_agree_with_their_nouns(path):
    """Guards against "1 classes" and "1 image(s)" in messages and displays: tfxmr.core.wording.counted says "1 class"."""
    assert [*uncounted(path.read_text(encoding="utf-8"))] == []
    assert [text for text in messages(path) if re.search(r"[a-z]\(s\) ", text)] == []


@pytest.mark.parametrize("source, found", [
    ('f"has {len(x)} classes"', True), ('f"{count:,} training items left"', True), ('f"of {data.num_classes} classes"', True),
    ('f"{counted(len(x), \'class\')} of files"', False), ('f"{count:,} of {counted(total, \'row\')} hold it"', False),
    ('f"more than {MOST:,} items"', False), ('f"the {modality} items"', False), ('f"{name}: rows"', False),
])
def test_the_rule_bites(source, found):
    """Guards against a rule that nothing can break, and against one that refuses what is right."""
    assert bool([*uncounted(source)]) is found


@pytest.mark.parametrize("one, many", [
    ("item", "items"), ("class", "classes"), ("query", "queries"), ("array", "arrays"), ("index", "indexes"), ("batch", "batches"),
])
def test_plural(one, many):
    assert plural(one) == many and counted(1, one) == f"1 {one}" and counted(0, one) == f"0 {many}" and counted(1234, one) == f"1,234 {many}"


def test_verbs():
    assert [agreeing(n, "has", "have") for n in (0, 1, 2)] == ["have", "has", "have"]
    assert counted(1, "item without a class", "items without a class") == "1 item without a class"
