"""What no message may say, and which words stand for one thing each."""
import ast
import pathlib
import re

import pytest

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


def test_the_glossary_bites():
    """Guards against patterns that match nothing."""
    for wrong, said in zip(OTHER_WORDS.values(), (
        "is left out", "leave the flag out", "cca is fitted in one piece", "the run goes on", "rows of unit length", "a picture",
        "no measure 'x'", "HARMLESS", "how sure", "divided anew",
    ), strict=True):
        assert re.search(wrong, said), wrong
    assert len(SOURCES) > 250
