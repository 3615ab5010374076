"""Numbers and facts of an answer as words."""
import re
from collections.abc import Mapping
from typing import Any

from tfxmr.core.errors import InputError
from tfxmr.core.wording import agreeing
from tfxmr.search.query import MOST_RANKED, Answer, Hit

NAMES = {"image": "image", "text": "text", "video": "video", "audio": "sound", "shape3d": "3D shape"}
SEEN: dict[tuple[str, ...], str] = {  # filters
    ("seen", "yes"): "classes seen in training", ("seen", "no"): "classes unseen in training",
}
UNUSUAL = 0.05  # share of the test queries below which a best score is remarked upon


def score(value: float) -> str:
    """Four significant digits: of class posteriors, all scores of a page begin with the same two."""
    return f"{value:#.4g}".rstrip(".")


def figure(value: float | None) -> str:
    """A metric or its chance, as in the tables; "" for none."""
    return "" if value is None else f"{value:.3f}"


def plural(modality: str, count: int = 2) -> str:
    """What so many items of a modality are called."""
    return agreeing(count, NAMES.get(modality, f"{modality} item"))


def one(modality: str) -> str:
    """"an image", "a sound"."""
    name = NAMES.get(modality, modality)
    return f"{'an' if name[0] in 'aeiou' else 'a'} {name}"


def listed(names: list[str]) -> str:
    """"images, texts and videos"."""
    return " and ".join([*([", ".join(names[:-1])] if names[:-1] else []), *names[-1:]])


def ties(hit: Hit) -> str:
    """"ranks 1-8 tie", "" if no other item has the score."""
    first, last = hit.ties
    return f"ranks {first}–{last} tie" if first < last else ""


def mark(hit: Hit) -> str:
    """"relevant", "not relevant", or "" where nobody knows."""
    return "" if hit.right is None else "relevant" if hit.right else "not relevant"


def searched(answer: Answer) -> str:
    """What was searched, and how long that took."""
    what = listed([plural(m, answer.searched) for m in answer.find])
    filters = "; ".join(SEEN.get((name, *values), f"{name} {', '.join(values)}")
                        for name, values in answer.where.items())
    return (f"{answer.searched:,} {what}{f' ({filters})' if filters else ''} searched in "
            f"{1000 * answer.seconds:.1f} ms")


def pair(answer: Answer) -> str:
    """"rank 106 of 400", "" if the query has no pair there."""
    return "" if answer.pair_rank is None else f"rank {answer.pair_rank:,} of {answer.searched:,}"


def usual(answer: Answer) -> str:
    """Where the best score lies among those of the test queries; "" if that is not known."""
    if answer.usual is None or not answer.hits:
        return ""
    told = (f"The best score, {score(answer.hits[0].score)}, is above that of {100 * answer.usual:.0f} % of the test "
            "queries")
    if answer.usual < UNUSUAL:
        return f"{told}: hardly any finds so little. The run may know nothing like this."
    return f"{told}."


def notes(answer: Answer) -> list[str]:
    """What the answer does not say, and why."""
    if not answer.hits:
        return ["No item passes these filters."]
    if answer.query.item is None:
        return ["Nobody has said what is relevant to a query of your own, so nothing is marked, and there is no AP."]
    if answer.query.item.get("class") is None:
        return ["The index does not know the class of this item, so nothing is marked, and there is no AP."]
    if "class" in answer.where:
        return ["Under a filter by class nothing is marked, and AP and chance would mean something else."]
    if answer.average_precision is None:
        return [f"More than {MOST_RANKED:,} items are not ranked whole, so there is no AP, and no rank of the pair."]
    return []


def refusal(error: InputError) -> str:
    """An error's message without the flags, which a page has not."""
    told = re.sub(r"^--(\w)(\w*)=", lambda m: f"{m[1].upper()}{m[2]} ", str(error))
    told = re.sub(r"--(\w+)=", r"\1 ", told)
    told = re.sub(r"^(text|image) 1(, |: | is )", lambda m: f"This {m[1]}{' is ' if m[2] == ' is ' else ' '}", told)
    return told if told.endswith(".") else f"{told}."


def facts(encoder: Any, info: Mapping[str, Any]) -> list[tuple[str, str]]:
    """(what, how) of a run, for people: method, data set, protocol, and what the index holds.

    Args:
      encoder: Encoder of the run, or None.
      info: as Index.info gives it.
    """
    found = []
    if encoder is not None:
        protocol = encoder.facts["protocol"]
        gallery = f"; {protocol['gallery']} items are searched" if "gallery" in protocol else ""
        unseen = f", {len(encoder.unseen)} of them unseen in training" if encoder.unseen else ""
        found += [
            ("Method", encoder.model), ("Data set", encoder.dataset), ("Protocol", f"{protocol['name']}{gallery}"),
            ("Classes", f"{len(encoder.class_names)}{unseen}"), ("Seed", str(encoder.facts["seed"])),
        ]
    items = listed([f"{count:,} {plural(m, count)}" for m, count in info["items"].items()]) or "nothing"
    kind = "" if info["kind"] == "flat" else f", {info['kind']}"
    found.append(("Index", f"{items}, by {info['similarity']}, exact" if not kind else f"{items}, by "
                  f"{info['similarity']}{kind}"))
    found.append(("Encoder", info["encoder"][:12]))
    return found


def figures(encoder: Any) -> list[Mapping[str, Any]]:
    """The metrics of a run as results.json holds them; none without an encoder."""
    return [] if encoder is None else list(encoder.facts["metrics"])
