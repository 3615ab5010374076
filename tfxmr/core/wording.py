"""Words of messages: counts that agree with what they count."""
import re


def plural(noun: str) -> str:
    """The plural of a noun, or of a phrase that ends in one.

    >>> plural("test item"), plural("class"), plural("query"), plural("array")
    ('test items', 'classes', 'queries', 'arrays')
    """
    if re.search("(s|x|ch|sh)$", noun):
        return f"{noun}es"
    return f"{noun[:-1]}ies" if re.search("[^aeiou]y$", noun) else f"{noun}s"


def agreeing(count: int, one: str, many: str | None = None) -> str:
    """The word or phrase that goes with a count.

    >>> agreeing(1, "has", "have"), agreeing(0, "has", "have"), agreeing(2, "image")
    ('has', 'have', 'images')

    Args:
      count: how many there are.
      one: with 1.
      many: with any other number; None: the plural of `one`.
    """
    return one if count == 1 else plural(one) if many is None else many


def counted(count: int, one: str, many: str | None = None) -> str:
    """A count with what it counts.

    >>> counted(1, "class"), counted(1200, "query"), counted(0, "item is", "items are")
    ('1 class', '1,200 queries', '0 items are')

    Args:
      count, one, many: as of `agreeing`.
    """
    return f"{count:,} {agreeing(count, one, many)}"
