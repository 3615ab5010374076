"""What docstrings hold of the library: every argument, what comes back, the shapes of arrays, and examples that run."""
import ast
import doctest
import importlib
import inspect
import pathlib
import re

import pytest

from tfxmr import evaluation
from tfxmr.engine import losses

ROOT = pathlib.Path(__file__).parents[1]
LIBRARY = (
    "core", "evaluation", "baselines", "data", "engine", "models", "search", "runs", "reports", "tuning", "testing.py",
)  # what other people's code calls
ARRAYS = ("evaluation", "baselines", "engine/losses.py", "models", "search")  # whose arguments are arrays above all
APART = ("sandbox_child.py",)  # a program of its own
SHAPE = re.compile(r"\((\.\.\.|[A-Za-z_]+'?|[0-9]+)(, (\.\.\.|[\w' +/-]+))*,?\)|scalar")
ELSEWHERE = re.compile(r"\b[Aa]s (in |of |to )?[`A-Za-z]|likewise|[Ss]ee `|Arguments")  # it points to where it is said


def files(*parts):
    for part in parts:
        path = ROOT / "tfxmr" / part
        yield from sorted(path.rglob("*.py")) if path.is_dir() else [path]


def public(*parts):
    """Each public function and method of some folders or files, with its full name."""
    def walk(node, name):
        for child in ast.iter_child_nodes(node):
            if isinstance(child, (ast.ClassDef, ast.FunctionDef)) and not child.name.startswith("_"):
                here = f"{name}.{child.name}"
                yield from walk(child, here) if isinstance(child, ast.ClassDef) else [(here, child)]

    for path in files(*parts):
        if path.name not in APART:
            yield from walk(ast.parse(path.read_text()), ".".join(path.relative_to(ROOT).with_suffix("").parts))


def arguments(function):
    a = function.args
    found = [*a.posonlyargs, *a.args, *([a.vararg] if a.vararg else []), *a.kwonlyargs, *([a.kwarg] if a.kwarg else [])]
    return [x for x in found if x.arg not in ("self", "cls")]


def fault(function, of_arrays=False):
    """What a function's docstring lacks, in words; "" if nothing."""
    doc, taken = ast.get_docstring(function) or "", arguments(function)
    if not doc:
        return "no docstring"
    if ELSEWHERE.search(doc):
        return ""
    untold = [x.arg for x in taken if not re.search(rf"\b{x.arg}\b", doc)]
    if untold and (len(taken) > 2 or "Args:" in doc):
        return f"it does not name {', '.join(untold)}"
    if not of_arrays:
        return ""
    if any(x.annotation and re.search("ArrayLike|NDArray|Tensor", ast.unparse(x.annotation)) for x in taken):
        if not SHAPE.search(doc):
            return "no shape of an array"
    if "Args:" in doc and function.returns and ast.unparse(function.returns) != "None":
        return "" if re.search("Returns:|Yields:", doc) else "Args without Returns"
    return ""


def test_arguments():
    """A docstring names its function's arguments, of more than two or where it lists them, or says where they stand."""
    found = dict(public(*LIBRARY))
    assert len(found) > 300
    assert {name: fault(function) for name, function in found.items() if fault(function)} == {}


def test_shapes_and_returns():
    found = dict(public(*ARRAYS))
    assert len(found) > 100
    assert {name: fault(f, of_arrays=True) for name, f in found.items() if fault(f, of_arrays=True)} == {}


@pytest.mark.parametrize("doc, said", [
    ("", "no docstring"), ("Adds.\n\nArgs:\n  a: (n,).", "it does not name b"),
    ("Adds.\n\nArgs:\n  a: it.\n  b: it.", "no shape of an array"), ("Adds.\n\nArgs:\n  a: (n,).\n  b: it.", "Args without Returns"),
    ("Adds.\n\nArgs:\n  a: (n,).\n  b: it.\n\nReturns:\n  (n,).", ""), ("As `minus`.", ""), ("a (n,) and b.", ""),
])
def test_the_rule_bites(doc, said):
    """Guards against a rule that nothing can break."""
    source = f'def plus(a: NDArray, b) -> NDArray:\n    """{doc}"""\n'.replace("\n\n", "\n\n    ").replace("\n  ", "\n      ")
    assert fault(ast.parse(source).body[0], of_arrays=True) == said


def test_functions_are_short():
    """Guards against functions that nobody sees as a whole: more than 60 lines beside the docstring."""
    found = {}
    for folder in ("tfxmr", "flags", "datasets", "benchmarks", "tests"):
        for path in sorted((ROOT / folder).rglob("*.py")):
            for node in ast.walk(ast.parse(path.read_text())):
                if isinstance(node, ast.FunctionDef):
                    doc = (ast.get_docstring(node, clean=False) or "").count("\n") + bool(ast.get_docstring(node))
                    found[f"{path.relative_to(ROOT)}:{node.name}"] = node.end_lineno - node.lineno + 1 - doc
    assert len(found) > 3000 and {name: lines for name, lines in found.items() if lines > 60} == {}


def test_examples():
    """Every function of tfxmr.evaluation and every loss shows itself in an example; all examples of these folders hold.

    Those of the closed-form methods run in tests/baselines/plain_arrays_test.py, each by itself.
    """
    shown = [getattr(evaluation, name) for name in evaluation.__all__ if name != "evaluate"]  # which takes a run's objects
    shown += [f for name, f in vars(losses).items() if inspect.isfunction(f) and f.__module__ == losses.__name__]
    assert [f.__name__ for f in shown if ">>> " not in f.__doc__] == []
    ran = 0
    for path in files("evaluation", "engine/losses.py", "data", "core", "search"):
        if ">>> " in path.read_text():
            name = ".".join(path.relative_to(ROOT).with_suffix("").parts)
            result = doctest.testmod(importlib.import_module(name))
            assert not result.failed, name
            ran += result.attempted
    assert ran > 50
