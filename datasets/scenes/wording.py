"""From a scene's facts to sentences that leave things out, and a free text corpus about the same world."""
import re
from collections.abc import Sequence
from typing import Any

import numpy as np
from tfxmr_datasets.scenes.world import COLOURS, COUNTS, LIGHTS, PLACES, SIZES, THINGS

# How a scene's sentence calls the thing: by its name, by a word of its own, or by one shared with relatives.
NOUN_ODDS = {"name": 0.30, "own": 0.10, "generic": 0.60}
SENTENCE_ODDS = (0.20, 0.35, 0.30, 0.15)  # of one, two, three and four sentences
NEAR = {"ground": ("by the", "near the", "in the"), "water": ("on the", "across the"),
        "air": ("over the", "above the"), "deep": ("in the", "under the")}


def describe(scene: Any, rng: np.random.Generator) -> str:
    """Writes one to four sentences on a scene.

    The first is about the thing (or, three times in ten, only about its parts); the others each take one of:
    parts, place, light, an extra, size. Lower case, English.

    Args:
      scene: generator.Scene.
      rng: np.random.Generator.

    Returns:
      The sentences as one string.
    """
    facets = [_parts, _place, _light, _extra, _size]
    first = _subject if rng.random() < .7 else _parts
    others = [facets[i] for i in rng.permutation(len(facets)) if facets[i] is not first]
    count = 1 + rng.choice(4, p=SENTENCE_ODDS)
    return _with_articles(" ".join(facet(scene, rng) for facet in [first, *others[: count - 1]]))


def _subject(scene: Any, rng: np.random.Generator) -> str:
    where = f"{_pick(NEAR[scene.thing.habitat], rng)} {_pick(PLACES[scene.place], rng)}"
    be = "is" if COUNTS[scene.count] == 1 else "are"
    doing = _pick(scene.thing.doing, rng)
    who = _noun_phrase(scene, rng)
    return _pick((f"{who} {be} {doing} {where}.", f"{who} {doing}.", f"there {be} {who} {where}.",
                  f"we see {who}.", f"here {be} {who} {doing} {where}."), rng)


def _noun_phrase(scene: Any, rng: np.random.Generator) -> str:
    kind = rng.choice(list(NOUN_ODDS), p=list(NOUN_ODDS.values()))
    one = COUNTS[scene.count] == 1
    if kind == "name":
        noun = scene.thing.name if one else scene.thing.plural
    else:
        noun = _pick(getattr(scene.thing, kind), rng)
        if not one:
            noun = f"kinds of {noun}"
    size = scene.size if rng.random() < .4 else ""
    colour = scene.colour if rng.random() < .5 else ""
    return " ".join(word for word in (scene.count, size, colour, noun) if word)


def _parts(scene: Any, rng: np.random.Generator) -> str:
    first, second = (scene.thing.parts[i] for i in rng.permutation(len(scene.thing.parts))[:2])
    return _pick((f"it has {first} and {second}.", f"one can see {first}.",
                  f"look at the {scene.accent} {first}.", f"note the {first} and the {second}."), rng)


def _place(scene: Any, rng: np.random.Generator) -> str:
    word = _pick(PLACES[scene.place], rng)
    return _pick((f"here one finds the {word}.", f"the {word} can be seen.", f"a view of the {word}."), rng)


def _light(scene: Any, rng: np.random.Generator) -> str:
    return _pick(LIGHTS[scene.light], rng) + "."


def _extra(scene: Any, rng: np.random.Generator) -> str:
    if not scene.extras:
        return "nothing else is in view."
    return f"a {_pick(scene.extras, rng)} is in view."


def _size(scene: Any, rng: np.random.Generator) -> str:
    return f"it looks {scene.size}." if scene.size else "it is of common size."


def corpus_sentence(rng: np.random.Generator) -> str:
    """Writes one sentence about the world at large: what a kind of thing is, has, does, and is like.

    Args:
      rng: np.random.Generator.

    Returns:
      One sentence, lower case.
    """
    label = int(rng.integers(len(THINGS)))
    thing, relative = THINGS[label], THINGS[label ^ 1]
    noun = thing.name if rng.random() < .75 else _pick((*thing.own, *thing.generic), rng)
    generic, doing = _pick(thing.generic, rng), _pick(thing.doing, rng)
    first, second = (thing.parts[i] for i in rng.permutation(len(thing.parts))[:2])
    weights = list(thing.places.values())
    place = _pick(PLACES[rng.choice(list(thing.places), p=[w / sum(weights) for w in weights])], rng)
    near = _pick(NEAR[thing.habitat], rng)
    colour = _pick(tuple(COLOURS), rng)
    return _with_articles(_pick((
        f"a {noun} is a {generic} with {first} and {second}.",
        f"a {noun} is like a {relative.name}, for both have {first}." if first in relative.parts
        else f"a {noun} is like a {relative.name}, but a {noun} has {first}.",
        f"the {noun} has {first} and {second}.",
        f"a {colour} {noun} is {doing} {near} {place}.",
        f"{thing.plural} are often seen {doing} {near} {place}.",
        f"the {first} of the {noun} are {colour}.",
        f"a {_pick(tuple(s for s in SIZES if s), rng)} {noun} is {doing}.",
        f"{near} {place} a {noun} is {doing}.",
        f"a {_pick(thing.own, rng)} is a kind of {thing.name}.",
    ), rng))


def _with_articles(text: str) -> str:
    """Writes "an" where "a" stands before a vowel."""
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def _pick(items: Sequence[str], rng: np.random.Generator) -> str:
    return items[int(rng.integers(len(items)))]
