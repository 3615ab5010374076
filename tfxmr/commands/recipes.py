"""Lists the recipes, flagfiles that --recipe=NAME takes; of words, those that have them all; of a name, the file."""
import re
import textwrap
from collections.abc import Sequence

from tfxmr_flags import parsing, recipes
from tfxmr_flags.recipes import Recipe

from tfxmr.core import display
from tfxmr.core.errors import InputError
from tfxmr.core.names import meant

WIDEST = 110
COLUMN = 26  # of the text beside a name on a terminal
WIDE = 48  # of the names elsewhere


def main(arguments: Sequence[str]) -> None:
    """Runs `tfxmr recipes [WORD ...]`, such as `tfxmr recipes scenes dscmr` or `tfxmr recipes danzcr_scenes`."""
    _, words = parsing.parse_with_words("recipes [WORD ...]", arguments, lambda values: None)
    if len(words) == 1 and words[0] in recipes.paths():
        print(recipes.find(words[0]).read_text(encoding="utf-8").rstrip())
        return
    every = [recipes.read(name) for name in recipes.paths()]
    found = [r for r in every if all(word in (r.model, r.dataset, r.command) or word in r.name for word in words)]
    if not found:
        known = {word for r in every for word in (r.name, r.model, r.dataset)}
        wrong = next((word for word in words if not any(word in other for other in known)), " ".join(words))
        raise InputError(f"tfxmr recipes {wrong}: there is none{meant(wrong, known)}; `tfxmr recipes` lists them all")
    if not display.is_terminal():
        print(*(f"{recipe.name:{WIDE}} {_told(recipe)}" for recipe in found), sep="\n")
        return
    width = min(display.width(), WIDEST)
    for dataset in dict.fromkeys(r.dataset for r in found):
        print(f"{dataset}")
        for recipe in found:
            if recipe.dataset == dataset:
                print(_lines(recipe, width))
    use = (
        "tfxmr train --recipe=NAME --run_dir=RUN trains one; compare takes them, too, and extract those that begin "
        "with extract_. `tfxmr recipes NAME` prints one: paper, table, expected values, time and flags."
    )
    print("", *textwrap.wrap(use, width), sep="\n")


def _told(recipe: Recipe) -> str:
    """What a recipe is expected to give, and how long it takes."""
    # What follows a semicolon, but within brackets, goes into detail.
    facts = [re.split(r"; (?![^(]*\))", recipe.facts.get(name, ""))[0].rstrip(".") for name in ("Expected", "Time")]
    return "; ".join(filter(None, facts)) or recipe.about


def _lines(recipe: Recipe, width: int) -> str:
    """A recipe's name and what is told of it beside, in lines of a terminal."""
    beside = textwrap.wrap(_told(recipe), width - COLUMN, break_on_hyphens=False)
    first = f"  {recipe.name:{COLUMN - 3}} "
    if len(first) > COLUMN:
        return "\n".join([first.rstrip(), *(" " * COLUMN + line for line in beside)])
    return "\n".join([first + beside[0], *(" " * COLUMN + line for line in beside[1:])])
