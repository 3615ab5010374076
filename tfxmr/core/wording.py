"""Words of messages: counts that agree with what they count, and names from files that no terminal takes for orders."""
import re

# Control characters, ends of lines, marks that turn the direction of what follows, and bytes that are no UTF-8.
_NOT_PRINTED = re.compile("[\0-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def printable(text: str, kept: str = "") -> str:
    r"""A name, or a text with some, as a terminal may show it: what orders it about, or ends a line, is escaped.

    >>> print(printable("a red\tboat \x1b[2J é"), printable("1\n2", kept="\n"), sep="; ")
    a red\tboat \x1b[2J é; 1
    2

    Args:
      text: as a file, an archive or a user has it.
      kept: characters that stay as they are; of a text of several lines the ends of lines.
    """
    return _NOT_PRINTED.sub(lambda c: c[0] if c[0] in kept else c[0].encode("unicode_escape").decode(), text)


def plural(noun: str) -> str:
    """The plural of a noun, or of a phrase that ends in one.

    >>> plural("test item"), plural("class"), plural("query"), plural("array"), plural("batch"), plural("epoch")
    ('test items', 'classes', 'queries', 'arrays', 'batches', 'epochs')
    """
    if re.search("(s|x|(?<!epo)ch|sh)$", noun):
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
