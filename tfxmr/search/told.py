"""Answers as text and JSON."""
from collections.abc import Callable, Mapping
from typing import Any

from tfxmr.core.wording import counted
from tfxmr.search.query import Answer, Hit

Shown = Callable[[Mapping[str, Any], str], str | None]  # (columns of an item, modality) -> its sentence, if it has one


def facts(answer: Answer, sentence: Shown = lambda columns, modality: None) -> dict[str, Any]:
    """An Answer as JSON holds it."""
    query = answer.query
    own = None if query.item is None else {
        name: value for name, value in query.item.items() if value is not None and _tells(name, answer)
    }
    found = {
        "query": {"modality": query.modality, "shown": query.shown, "item": own},
        "find": list(answer.find), "where": answer.where, "searched": answer.searched,
        "seconds": round(answer.seconds, 6),
    }
    for name in ("average_precision", "chance", "precision", "pair_rank", "usual"):
        if (value := getattr(answer, name)) is not None:
            found[name] = value
    hits = []
    for hit in answer.hits:
        row = {"rank": hit.rank, "score": hit.score, "id": hit.id, "modality": hit.modality, "ties": list(hit.ties)}
        row |= {name: value for name, value in hit.columns.items() if value is not None and _tells(name, answer)}
        row |= {} if hit.right is None else {"right": hit.right}
        row |= {"pair": True} if hit.pair else {}
        if text := sentence(hit.columns, hit.modality):
            row["text"] = text
        hits.append(row)
    return found | {"hits": hits}


def head(answer: Answer) -> str:
    """What was asked, in a line."""
    query, among = answer.query, " and ".join(answer.find)
    known = query.item.get("class") if query.item and _tells("class", answer) else None
    own = "" if known is None else f" ({known})"
    kept = "".join(f", {name} {' or '.join(values)}" for name, values in answer.where.items())
    return (
        f"{query.modality} {query.shown!r}{own}: the best of {counted(answer.searched, f'{among} item')}{kept}, "
        f"{1000 * answer.seconds:.1f} ms"
    )


def notes(answer: Answer) -> list[str]:
    """What is known of how good the answer is, a sentence a line."""
    lines = []
    if answer.average_precision is not None and answer.chance is not None:
        lines.append(f"AP {answer.average_precision:.3f} of the whole ranking (chance {answer.chance:.3f})")
    if answer.precision is not None:
        lines.append(f"P@{len(answer.hits)} {answer.precision:.3f}")
    if answer.pair_rank is not None:
        lines.append(f"its pair: rank {answer.pair_rank:,} of {answer.searched:,}")
    if answer.query.item is None and answer.hits:
        lines.append("what is relevant to a query of your own is not known")
    if "class" in answer.where:
        lines.append("no AP, since --class chooses what is found")
    if answer.usual is not None:
        lines.append(f"the best score is above that of {answer.usual:.0%} of the test queries")
    return lines


def rows(answer: Answer, sentence: Shown = lambda columns, modality: None) -> list[dict[str, Any]]:
    """The hits as rows of a table: rank, score with four significant digits, id, class, split, right, text."""
    found = []
    for hit in answer.hits:
        row: dict[str, Any] = {"rank": rank(hit), "score": f"{hit.score:#.4g}"}
        if len(answer.find) > 1:
            row["modality"] = hit.modality
        row |= {"id": hit.id, **{n: hit.columns.get(n) for n in ("class", "split") if _tells(n, answer)}}
        if hit.right is not None:
            row["right"] = "pair" if hit.pair else "yes" if hit.right else "no"
        if text := sentence(hit.columns, hit.modality):
            row["text"] = " ".join(text.split())
        found.append(row)
    return found


def _tells(column: str, answer: Answer) -> bool:
    """Whether a column says something to a reader."""
    return column != "class" or answer.classes


def rank(hit: Hit) -> str:
    """A hit's rank, with those that tie: "2", "1-8"."""
    first, last = hit.ties
    return str(hit.rank) if first == last else f"{first}-{last}"
