"""What somebody meant who typed a name that there is not."""
import difflib
from collections.abc import Iterable


def closest(name: str, known: Iterable[str]) -> list[str]:
    """The names that `name` may stand for, the likeliest first, three at most.

    >>> closest("dscm", ["cca", "dscmr", "danzcr"]), closest("wiki", ["scenes", "wikipedia"]), closest("x", ["cca"])
    (['dscmr'], ['wikipedia'], [])

    Args:
      name: what was typed.
      known: the names that there are.
    """
    by_lower = {other.lower(): other for other in known}
    typed = name.lower()
    if not any(letter.isalpha() for letter in typed):
        return []  # of a number none is meant more than another
    found = difflib.get_close_matches(typed, by_lower, n=3)
    alike = [difflib.SequenceMatcher(None, other, typed).ratio() for other in found]
    found = [other for other, ratio in zip(found, alike, strict=True) if ratio > alike[0] - 0.1]
    # Of names whose ends were not typed, which are not close by their letters.
    found = found or [other for other in by_lower if len(typed) > 2 and other.startswith(typed)]
    return [by_lower[other] for other in found[:3]]


def meant(name: str, known: Iterable[str], before: str = "") -> str:
    """The question of what was meant, to follow a wrong name in a message; "" if nothing is close.

    >>> meant("stepz", ["steps", "model"], "--")
    ' (did you mean --steps?)'

    Args:
      name: what was typed.
      known: the names that there are.
      before: precedes each name that is proposed.
    """
    found = [f"{before}{other}" for other in closest(name, known)]
    return f" (did you mean {' or '.join(found)}?)" if found else ""


def format_of(path: str | None, formats: Iterable[str]) -> str:
    """The format that a file's ending names.

    >>> format_of("card.html", ("text", "html")), format_of(None, ("text",)), format_of("a.txt", ("text", "html"))
    ('html', 'text', 'text')

    Args:
      path: of the file; None: what is made is printed.
      formats: those that there are, "text" among them, which any other ending stands for.
    """
    ending = (path or "").rpartition(".")[2].lower()
    return ending if ending in formats else "text"
