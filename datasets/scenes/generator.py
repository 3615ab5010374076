"""Generates `scenes`: images of 20 kinds of thing, sentences about them, and a text corpus beside them.

Every item has a random generator of its own, seeded by (seed, stream, label, number): the same numbers
give the same item in any process, in any order, and the splits and the corpus never share one.
"""
import dataclasses
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
from tfxmr_datasets.scenes import drawing, wording, world

SEED = 2024
STREAMS = {"train": 0, "test": 1, "corpus": 2}
CLASSES = world.CLASSES


@dataclasses.dataclass(frozen=True)
class Scene:
    """What is to be seen; the image shows all of it, the sentences tell some of it.

    Attributes:
      thing: world.Thing, the class.
      place, colour, accent, size, count, light: keys of the tables in world.py.
      extras: up to two of world.EXTRAS.
    """

    thing: world.Thing
    place: str
    colour: str
    accent: str
    size: str
    count: str
    light: str
    extras: tuple


def sample_scene(label: int, rng: np.random.Generator) -> Scene:
    """Draws a scene of a class.

    Args:
      label: zero-based class, 0..19.
      rng: np.random.Generator.

    Returns:
      Scene.
    """
    thing = world.THINGS[label]
    colours = world.USUAL_COLOURS.get(thing.name, " ".join(world.COLOURS)).split()
    place = _choose(thing.places, rng)
    extras = world.NO_GROUND.get(place, world.EXTRAS)
    return Scene(
        thing=thing,
        place=place,
        colour=colours[rng.integers(len(colours))],
        accent=list(world.COLOURS)[rng.integers(len(world.COLOURS))],
        size=_choose({"small": 1, "": 2, "large": 1}, rng),
        count=_choose({"a": 8, "two": 1, "three": 1}, rng),
        light=_choose({"day": 7, "sunset": 1, "night": 1, "fog": 1}, rng),
        extras=tuple(str(name) for name in rng.choice(extras, rng.integers(3), replace=False)),
    )


def example(split: str, label: int, number: int, seed: int = SEED) -> dict[str, Any]:
    """Makes one item.

    Args:
      split: "train" or "test".
      label: zero-based class, 0..19.
      number: non-negative int, which item of that class.
      seed: non-negative int, another world of items.

    Returns:
      Dict with "image" uint8 (64, 64, 3), "text" str, "label" int and "id" str, unique over both splits.
    """
    rng = np.random.default_rng([seed, STREAMS[split], label, number])
    scene = sample_scene(label, rng)
    return {
        "image": drawing.render(scene, rng),
        "text": wording.describe(scene, rng),
        "label": label,
        "id": f"{split}_{CLASSES[label]}_{number:03d}",
    }


def by_id(name: str, seed: int = SEED) -> dict[str, Any]:
    """Makes the item of an id such as "train_cat_003"; see `example`."""
    split, kind, number = name.split("_")
    return example(split, CLASSES.index(kind), int(number), seed)


def examples(split: str, per_class: int, seed: int = SEED) -> Iterator[dict[str, Any]]:
    """Yields `per_class` items of every class, class after class; see `example`."""
    for label in range(len(CLASSES)):
        for number in range(per_class):
            yield example(split, label, number, seed)


def corpus(num_sentences: int = 6000, seed: int = SEED) -> list[str]:
    """Writes free sentences about the same world, for word vectors: no item of the dataset, all 20 names.

    Args:
      num_sentences: how many.
      seed: non-negative int.

    Returns:
      List of lower-case sentences.
    """
    rng = np.random.default_rng([seed, STREAMS["corpus"]])
    return [wording.corpus_sentence(rng) for _ in range(num_sentences)]


def _choose(weights: Mapping[str, int], rng: np.random.Generator) -> str:
    """Draws a key of a dict key -> weight."""
    total = sum(weights.values())
    return str(rng.choice(list(weights), p=[weight / total for weight in weights.values()]))
