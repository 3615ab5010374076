"""Lists the methods, a line each: year, modalities, views, classes, paper, page, and where its details come from."""
import pathlib
import re
from collections.abc import Sequence
from typing import Any

from tfxmr.core import registry

ROOT = pathlib.Path(__file__).parents[2]  # of a checkout, where the pages are


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr models`."""
    rows = [_row(name, method) for name, method in registry.methods()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{word:{width}}" for word, width in zip(row, widths, strict=True)).rstrip())


def _row(name: str, method: type[Any]) -> tuple[str, ...]:
    """What is said of a method, a string a column; the views are those of its default settings."""
    page = f"docs/methods/{name}.md"
    return (
        name,
        min(re.findall(r"\b(?:19|20)\d\d\b", method.paper), default="-"),  # of its first paper
        "-".join(method.modalities) or ("any two" if method.most_modalities == 2 else "any"),
        " ".join(method.reads(method.Settings())) or "matrices",
        "zero-shot" if method.zero_shot else "seen classes",
        method.paper,
        page if (ROOT / page).is_file() else "-",
        method.provenance,
    )
