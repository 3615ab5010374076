"""A card as text, JSON and one HTML file."""
import contextlib
import functools
import io
import json
import pathlib
import re

import jinja2
import markupsafe

from tfxmr.core import display
from tfxmr.core.wording import counted
from tfxmr.reports.describing.card import Card, Section
from tfxmr.reports.tables.rows import show

LONG = 30  # letters of a cell that may be broken into lines: names and tasks may not
CODE = re.compile(r"`([^`]+)`|(?<!\S)(--\w[\w=@]*)")  # a command, or a flag as it is typed
ROWS = 40  # of a table as text, where the rest is left to the other formats


def to_json(card: Card) -> str:
    """The card as an object of JSON: its tables by their keys, with all rows."""
    return json.dumps(card.as_json(), indent=1, ensure_ascii=False)


def to_html(card: Card) -> str:
    """The card as one page, which asks nothing of anybody."""
    return _environment().get_template("card.html").render(
        card=card, columns=columns, cell=cell, marked=marked, is_long=lambda value: len(str(value or "")) > LONG
    )


def to_text(card: Card) -> str:
    """The card as lines, as `print_text` prints them elsewhere than on a terminal."""
    text = io.StringIO()
    with contextlib.redirect_stdout(text):
        print_text(card)
    return text.getvalue()


def print_text(card: Card) -> None:
    """Prints the card: what is wrong first, then the tables, at last the commands."""
    display.say(f"{card.dataset}: {card.description}", 2)
    for title, told in (("Look at this first", card.warnings), ("Good to know", card.facts)):
        if told:
            print(f"\n{title}")
            for line in told:
                display.say(f"- {line}", 2)
    for section in card.sections:
        print(f"\n{section.title}")
        show([{name: row.get(name) for name in columns(section)} for row in section.rows[:ROWS]])
        if len(section.rows) > ROWS:
            print(f"... {counted(len(section.rows) - ROWS, 'more row')} in --format=json")
        if section.note:
            display.say(section.note, 2)
    if card.commands:
        print("\nNext")
        for line in card.commands:
            display.say_command(line)


def columns(section: Section) -> list[str]:
    """The columns of a table that are filled somewhere."""
    names = dict.fromkeys(name for row in section.rows for name in row)
    return [name for name in names if any(row.get(name) not in (None, "") for row in section.rows)]


def cell(value: object) -> object:
    """A cell as it is shown: nothing where there is nothing, and no digits beyond those that a number has."""
    if isinstance(value, float):
        return f"{value:.3f}" if abs(value) < 1 else f"{value:.1f}"
    return "" if value is None else value


def marked(text: object) -> markupsafe.Markup:
    """A text as HTML, whose commands in `...` and flags are code, which no line breaks."""
    escaped = str(markupsafe.escape(text))
    return markupsafe.Markup(CODE.sub(lambda found: f"<code>{found[1] or found[2]}</code>", escaped))


@functools.cache
def _environment() -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.FileSystemLoader(pathlib.Path(__file__).parent / "templates"), autoescape=True,
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined,
    )
