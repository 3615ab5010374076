"""What no message may say, and which words stand for one thing each."""
import ast
import itertools
import pathlib
import re

import pytest

from tfxmr.core.errors import InputError
from tfxmr.extraction import catalogue
from tfxmr.extraction.options import SecondDomain

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = [p for name in ("tfxmr", "flags", "datasets") for p in sorted((ROOT / name).rglob("*.py")) if "_test" not in p.name]
OTHER_WORDS = {  # what is written in its place -> what is not
    "skipped, dropped": r"left out",
    "omit": r"\b(leav(e|es|ing) out|(leave|leaves|leaving) (it|them|one|(the|this|that|those) \w+) out)\b",
    "closed-form methods do not support": r"fitted in one piece",
    "resumes, continues": r"\b(goes|go|went) on\b",
    "L2-normalised": r"\bunit length\b|\bof length 1\b",
    "image": r"\bpictures?\b",
    "metrics": r"\b(a|the|no|each|further|unknown) measures?\b",
    "free, ignored": r"(?i:\bharmless\b)|\bSCORING\b",
    "provenance": r"\bcertainty\b|\bhow sure\b",
    "re-split": r"\bdivided anew\b",
}
REMOVAL = re.compile(r"\b(remove|delete) (it|this|that|them|one|its|the)\b", re.IGNORECASE)


def messages(path):
    """The texts of a module that are no docstrings, f-strings with {} in the place of what is put in."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    silent = {id(node.value) for node in ast.walk(tree) if isinstance(node, ast.Expr)}
    for node in ast.walk(tree):
        if isinstance(node, ast.JoinedStr):
            silent |= {id(part) for part in node.values}
            yield "".join(part.value if isinstance(part, ast.Constant) else "{}" for part in node.values)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and id(node) not in silent:
            yield node.value


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_advises_removal(path):
    """Guards against advice that throws away what may be good: a checkpoint, a trial, a build, a user's own file.

    "Move it elsewhere" helps as well, and loses nothing.
    """
    assert [text for text in messages(path) if REMOVAL.search(text)] == []


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_one_word_for_each_thing(path):
    """Guards against a second word for what the field, and the rest of the code, call otherwise."""
    text = re.sub(r"\s*\n\s*#?\s*", " ", path.read_text(encoding="utf-8"))
    found = {right: re.search(wrong, text) for right, wrong in OTHER_WORDS.items()}
    assert {right: match[0] for right, match in found.items() if match} == {}


def told_though_missing(source):
    """The messages "--flag={x}" that stand under `if not x` or `if x is None`: of a flag that was not given, "=None"."""
    for branch in ast.walk(ast.parse(source)):
        if isinstance(branch, ast.If):
            missing = {ast.unparse(n.operand) for n in ast.walk(branch.test) if isinstance(n, ast.UnaryOp) and isinstance(n.op, ast.Not)
                       and isinstance(n.operand, ast.Name)}  # settings of a method always have a value
            missing |= {ast.unparse(n.left) for n in ast.walk(branch.test)
                        if isinstance(n, ast.Compare) and ast.unparse(n).endswith(" is None")}
            for text in (n for line in branch.body for n in ast.walk(line) if isinstance(n, ast.JoinedStr)):
                for before, part in itertools.pairwise(text.values):
                    if isinstance(part, ast.FormattedValue) and ast.unparse(part.value) in missing:
                        if re.search(r"--\w+=$", getattr(before, "value", "")):
                            yield ast.unparse(text)


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_message_shows_a_flag_that_was_not_given(path):
    """Guards against "--data_dir=None is no folder" to those who gave no --data_dir."""
    assert [*told_though_missing(path.read_text(encoding="utf-8"))] == []


@pytest.mark.parametrize("name", (*catalogue.OWN_NAMES[:2], "features"))
@pytest.mark.parametrize("load, flag", [
    (lambda name: catalogue.load(name), "--"), (lambda name: SecondDomain(source_dataset=name).load_data(), "--source_"),
])  # fmt: skip
def test_a_missing_place_is_named(name, load, flag):
    """Guards against the same, of your own data and of a second domain."""
    with pytest.raises(InputError) as told:
        load(name)
    assert "None" not in str(told.value) and f"{flag}{'features' if name == 'features' else 'data_dir'}=DIR" in str(told.value)


def test_the_glossary_bites():
    """Guards against patterns that match nothing."""
    for wrong, said in zip(OTHER_WORDS.values(), (
        "is left out", "leave the flag out", "cca is fitted in one piece", "the run goes on", "rows of unit length", "a picture",
        "no measure 'x'", "HARMLESS", "how sure", "divided anew",
    ), strict=True):
        assert re.search(wrong, said), wrong
    assert [*told_though_missing('if not x or y is None:\n  f"--x={x} --y={y} {x}"')] == ["f'--x={x} --y={y} {x}'"] * 2
    assert len(SOURCES) > 250
