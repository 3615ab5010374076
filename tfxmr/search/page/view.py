"""What templates show: items, cards of results, and one panel for each run, all in words and addresses."""
import dataclasses
from collections.abc import Sequence
from typing import Any, Protocol

from tfxmr.search.page import wording
from tfxmr.search.page.media import Item, Kept
from tfxmr.search.query import Answer, Hit, Searcher

LONGEST = 600  # letters of a sentence on a card


class Links(Protocol):
    """Addresses, of a page that asks back or of a file that holds all."""

    def thumbnail(self, run: int, item: Item, side: int) -> str | None:
        """Of the image of an item of a run, of `side` pixels; None if it has none."""

    def player(self, run: int, item: Item) -> str | None:
        """Of an item's sound or video; None if it has none."""

    def ask(self, item: Item) -> str | None:
        """Of the search by an item; None where nothing can be asked."""


@dataclasses.dataclass(frozen=True)
class Shown:
    """An item as it is shown.

    Attributes:
      id, modality, name: of the item.
      facts: (what, how) of its class, split, and whether its class is seen.
      text: its sentence, of a text; else None.
      image, player, href: addresses, or None.
      alt: what its image shows: its sentence, or name and class.
    """

    id: str
    modality: str
    name: str
    facts: list[tuple[str, str]]
    text: str | None
    image: str | None
    player: str | None
    href: str | None
    alt: str


@dataclasses.dataclass(frozen=True)
class Card:
    """A result. Attributes as Hit's, in words; `item` as it is shown."""

    item: Shown
    anchor: str
    rank: int
    score: str
    ties: str
    mark: str
    right: bool | None
    pair: bool


@dataclasses.dataclass(frozen=True)
class Panel:
    """An answer of one run, or why there is none.

    Attributes:
      title: of the run.
      refused: why there is no answer, "" if there is one.
      answer: Answer, or None.
      query: the item that asked, or None of a query of one's own.
      cards: of the results.
      pair, pair_href: the query's counterpart, and where it stands; None if it has none.
    """

    title: str
    refused: str = ""
    answer: Answer | None = None
    query: Shown | None = None
    cards: Sequence[Card] = ()
    pair: Shown | None = None
    pair_href: str | None = None


class Viewer:
    """Makes Panels.

    Args:
      media: Kept.
      links: Links.
      side: pixels of a card's image.
    """

    def __init__(self, media: Kept, links: Links, side: int = 320) -> None:
        self._media, self._links, self._side = media, links, side

    def panel(self, run: int, title: str, answer: Answer, searcher: Searcher | None) -> Panel:
        """The panel of an answer.

        Args:
          run: number of the run on the page, from 0.
          title: of the run.
          answer: Answer.
          searcher: that gave it; None shows no counterparts.

        Returns:
          Panel.
        """
        items = [item_of(hit) for hit in answer.hits]
        shown = self.items(run, items, searcher)
        cards = [_card(run, hit, item) for hit, item in zip(answer.hits, shown, strict=True)]
        asked = answer.query.item
        query = self.items(run, [asked], searcher, 2 * self._side)[0] if asked is not None else None
        pair = self._pair(run, answer, searcher)
        there = next((f"#{card.anchor}" for card in cards if pair and (card.item.modality, card.item.id) == (
            pair.modality, pair.id)), pair.href if pair else None)
        return Panel(title, "", answer, query, cards, pair, there)

    def items(
        self, run: int, items: Sequence[Item], searcher: Searcher | None, side: int | None = None
    ) -> list[Shown]:
        """Items as they are shown.

        Args:
          run: number of the run on the page.
          items: n.
          searcher: of the run; None tells no sentences of other modalities.
          side: pixels of the images; None: as of a card.

        Returns:
          n Shown.
        """
        sentences = self._sentences(items, searcher)
        if searcher is not None and not searcher.classes:
            items = [{name: value for name, value in item.items() if name != "class"} for item in items]
        return [self._shown(run, item, s, side or self._side) for item, s in zip(items, sentences, strict=True)]

    def _shown(self, run: int, item: Item, sentence: str | None, side: int) -> Shown:
        modality, name = str(item["modality"]), item.get("name") or str(item["id"])
        known = item.get("class")
        facts = [(what, value) for what in ("class", "split") if (value := item.get(what)) is not None]
        if item.get("seen") == "no":
            facts.append(("", "unseen in training"))
        return Shown(
            str(item["id"]), modality, name, facts, sentence if modality == "text" else None,
            self._links.thumbnail(run, item, side) if modality != "text" else None, self._links.player(run, item),
            self._links.ask(item), sentence or f"{modality} {name}{f', {known}' if known else ''}",
        )

    def _sentences(self, items: Sequence[Item], searcher: Searcher | None) -> list[str | None]:
        """The sentence of each item: its own, or that of the text which is one thing with it."""
        found = [self._media.text(item, str(item["modality"])) for item in items]
        wanted = {str(item["pair"]) for item, own in zip(items, found, strict=True) if not own and item.get("pair")}
        if searcher is not None and wanted and "text" in searcher.modalities:
            texts = rows(searcher, {"modality": ["text"], "pair": sorted(wanted)})
            told = {text["pair"]: self._media.text(text, "text") for text in texts}
            found = [own or told.get(item.get("pair")) for item, own in zip(items, found, strict=True)]
        return found

    def _pair(self, run: int, answer: Answer, searcher: Searcher | None) -> Shown | None:
        """The best ranked counterpart of the query."""
        if answer.pair_rank is None or searcher is None or answer.query.item is None:
            return None
        asked = answer.query.item
        where = answer.where | {"modality": list(answer.find), "pair": [str(asked["pair"])]}
        found = searcher.index.search(answer.query.vector[None], 2, where)  # 2: the query may be one of them
        for place, id_ in enumerate(found.ids[0]):
            item: Any = {name: values[0][place] for name, values in found.columns.items()} | {"id": str(id_)}
            if (item["modality"], item["id"]) != (asked["modality"], asked["id"]):
                return self.items(run, [item], searcher)[0]
        return None


def item_of(hit: Hit) -> Item:
    """The columns of what was found, as those of an item."""
    return hit.columns | {"id": hit.id, "modality": hit.modality}


def rows(searcher: Searcher, where: dict[str, list[str]]) -> list[Item]:
    """The items of an index that `where` names."""
    found = searcher.index.items(where)
    return [{name: values[i] for name, values in found.columns.items()} | {"id": id_}
            for i, id_ in enumerate(found.ids)]


def _card(run: int, hit: Hit, item: Shown) -> Card:
    return Card(item, f"r{run}-{hit.rank}", hit.rank, wording.score(hit.score), wording.ties(hit), wording.mark(hit),
                hit.right, hit.pair)
