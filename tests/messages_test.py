"""What no message may say."""
import ast
import pathlib
import re

import pytest

ROOT = pathlib.Path(__file__).parents[1]
SOURCES = [p for name in ("tfxmr", "flags", "datasets") for p in sorted((ROOT / name).rglob("*.py")) if "_test" not in p.name]
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
