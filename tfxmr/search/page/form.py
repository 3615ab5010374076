"""The form of the page: what was asked, as it stands in an address, and as it is shown again."""
import dataclasses
from collections.abc import Mapping

from tfxmr.core.classes import SEPARATOR
from tfxmr.core.errors import InputError
from tfxmr.core.wording import counted
from tfxmr.search.index import Index
from tfxmr.search.page.upload import Upload
from tfxmr.search.query import Answer, Query, Searcher

KINDS = ("text", "image", "item")  # of queries
ALL = "any"  # modalities are searched
FILTERS = ("class", "split", "seen")
MOST = 1000  # results on one page
LONGEST = 10_000  # letters of a sentence
SPLITS = ("train", "validation", "test")  # that a large index is asked for
READ = 50_000  # items that are read for the values of their columns
LISTED = 500  # values of one filter; a class of one item each is no filter


@dataclasses.dataclass(frozen=True)
class Form:
    """The fields as they were filled in, right or wrong.

    Attributes:
      by: one of KINDS.
      text: the sentence.
      item, of: id and modality of an item.
      upload: key of an image that was sent.
      find: modalities joined by commas, ALL, or "" for the others than the query's.
      k: how many results.
      filters: name of FILTERS -> value, of those that are set.
      asked: whether there is a query at all, good or not.
    """

    by: str = "text"
    text: str = ""
    item: str = ""
    of: str = ""
    upload: str = ""
    find: str = ""
    k: str = "10"
    filters: Mapping[str, str] = dataclasses.field(default_factory=dict)
    asked: bool = False

    @classmethod
    def read(cls, values: Mapping[str, str]) -> "Form":
        """The form that an address or a sent form holds; `by` says which field counts, or that which is there."""
        given = [kind for kind, name in (("text", "text"), ("image", "upload"), ("item", "item")) if name in values]
        by = values.get("by", "")
        return cls(
            by=by if by in KINDS else given[0] if given else "text",
            **{name: values.get(name, "") for name in ("text", "item", "of", "upload", "find")},
            k=values.get("k", "").strip() or cls.k,
            filters={name: values[name] for name in FILTERS if values.get(name)},
            asked=bool(given or by in KINDS),
        )

    def address(self) -> dict[str, str]:
        """The shortest address whose `read` asks the same."""
        query = {
            "text": {"text": self.text}, "item": {"item": self.item, "of": self.of},
            "image": {"upload": self.upload} if self.upload else {"by": "image"},
        }[self.by]
        rest = {"find": self.find, "k": "" if self.k == Form.k else self.k, **self.filters}
        return (query if self.asked else {}) | {name: value for name, value in rest.items() if value}

    def query(self, searcher: Searcher, upload: Upload | None) -> Query:
        """What is asked of a run.

        Args:
          searcher: of the run.
          upload: the image that was sent; None if it is kept no more, or is none.

        Returns:
          Query.

        Raises:
          InputError: it cannot be asked, in words for the page.
        """
        if self.by == "text":
            if not self.text.strip():
                raise InputError("The sentence is empty: type what you look for")
            if len(self.text) > LONGEST:
                raise InputError(f"The sentence has {counted(len(self.text), 'letter')}, more than {LONGEST:,}: "
                                 "shorten it")
            return searcher.text(self.text.strip())
        if self.by == "item":
            if not self.item.strip():
                raise InputError("The item's id is empty: type one, or choose an item of a list")
            return searcher.item(self.of or searcher.modalities[0], self.item.strip())
        if upload is None:
            raise InputError("The image is kept no more: choose it again" if self.upload else
                             "No image was chosen: choose one")
        return dataclasses.replace(searcher.image(upload.bmp), shown=upload.name)

    def answer(self, searcher: Searcher, upload: Upload | None = None) -> Answer:
        """Asks a run; arguments and errors as of `query`."""
        query = self.query(searcher, upload)
        find = searcher.modalities if self.find == ALL else [m for m in self.find.split(",") if m]
        return searcher.ask(query, find, self.number(), {name: [value] for name, value in self.filters.items()})

    def number(self) -> int:
        """How many results are wanted. Raises InputError if it is no number from 1 to MOST."""
        if not (self.k.isascii() and self.k.isdecimal() and 1 <= int(self.k[:9]) <= MOST):
            raise InputError(f"{self.k[:20]!r} results: give a number from 1 to {MOST:,}")
        return int(self.k)


def choices(index: Index, class_names: list[str]) -> dict[str, list[str]]:
    """The values that the filters have, name of FILTERS -> values.

    Args:
      index: Index.
      class_names: of the encoder, in whose order classes are listed.

    Returns:
      dict of the filters that choose among two values or more, to LISTED.
    """
    info = index.info()
    names = [name for name in FILTERS if name in info["columns"]]
    if sum(info["items"].values()) <= READ:
        columns = index.items().columns
        found = {name: sorted({value for value in columns[name] if value is not None}) for name in names}
    else:
        wanted = {"class": class_names, "split": SPLITS, "seen": ("yes", "no")}
        found = {name: [v for v in wanted[name] if name == "class" or index.count({name: v})] for name in names}
    order = {name: place for place, name in enumerate(map(str, class_names))}
    if "class" in found:  # each class of items of several
        found["class"] = [*{p for v in found["class"] for p in ([v] if v in order else v.split(SEPARATOR))}]
        found["class"] = sorted(found["class"], key=lambda name: (order.get(name, len(order)), name))
    return {name: values for name, values in found.items() if 1 < len(values) <= LISTED}
