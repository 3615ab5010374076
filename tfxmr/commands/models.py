"""Lists the methods, or tells of those that are named: paper, views, classes, settings, where details come from."""
import ast
import dataclasses
import importlib.util
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any

from tfxmr.core import display, registry
from tfxmr.core.errors import InputError

ROOT = pathlib.Path(__file__).resolve().parents[2]  # of a checkout, where the pages are
BRIEF = ("name", "year", "modalities", "views", "zero-shot", "paper")  # the columns that fit a terminal


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr models [NAME ...]`."""
    words = names(arguments, "models")
    for place, name in enumerate(words):
        print(end="\n" * (place > 0))
        show(details(name, registry.outline(name)))
    if words:
        return
    rows = [_row(name, method) for name, method in registry.methods()]
    if display.is_terminal():
        display.table(BRIEF, [_brief(row) for row in rows])
        display.say("\n`tfxmr models NAME` tells all of a method.", 0)
        return
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        print("  ".join(f"{word:{width}}" for word, width in zip(row, widths, strict=True)).rstrip())


def names(arguments: Sequence[str], command: str) -> list[str]:
    """The words of a command that takes names alone. Raises InputError for a flag, prints --help and ends."""
    if any(argument.startswith("-") for argument in arguments):
        from tfxmr_flags import parsing  # which takes longer than the command

        _, rest = parsing.parse_with_words(f"{command} [NAME ...]", arguments, lambda values: None, known_only=True)
        flags = [word for word in rest if word.startswith("-")]
        if flags:
            raise InputError(f"tfxmr {command}: {flags[0]}: takes no flags; give names alone")
    return [*arguments]


def show(facts: Mapping[str, str]) -> None:
    """Prints facts, one a line after its name; those that are "" are skipped."""
    for name, text in facts.items():
        if text:
            display.say(f"{f'{name} ':{display.LABEL}}{text}")


def details(name: str, method: type[Any]) -> dict[str, str]:
    """Label -> text of all that is said of a method, its name and title first."""
    _, year, modalities, views, _, paper, page, provenance, labels = _row(name, method)
    path = importlib.util.find_spec(method.__module__).origin  # type: ignore[union-attr]
    title = (ast.get_docstring(ast.parse(pathlib.Path(str(path)).read_text(encoding="utf-8"))) or "").splitlines()[0]
    settings = len(dataclasses.fields(method.Settings))
    return {
        name: title.partition(f" ({paper}")[0].rstrip("."),
        "paper": paper,
        "modalities": f"{modalities}; {'two' if method.most_modalities == 2 else 'two or more'} at a time",
        "views": "one vector an item" if views == "matrices" else ", ".join(views.split()),
        "classes": f"seen {'and unseen ones (zero-shot)' if method.zero_shot else 'ones alone'}; {labels} an item",
        "settings": f"{settings}; `tfxmr train --model={name} --help` lists them",
        "provenance": provenance,
        "page": "" if page == "-" else page,
    }


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
        "one or several" if method.multi_label else "one",
    )


def _brief(row: Sequence[str]) -> list[str]:
    """The columns BRIEF of a row: of the paper who wrote the first one, as the year stands beside it."""
    name, year, modalities, views, classes, paper, *_ = row
    first = paper.partition(";")[0]
    authors = first.rpartition(", ")[0] or re.sub(r" \d{4}$", "", first)
    return [name, year, modalities, views.replace(" ", "\n"), "yes" if classes == "zero-shot" else "no", authors]
