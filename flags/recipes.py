"""Recipes: the flagfiles of this folder by name, installed with tfxmr; a file of --recipe=NAME is a --flagfile."""
import dataclasses
import functools
import pathlib
import re

from tfxmr.core.errors import InputError
from tfxmr.core.names import meant

FOLDER = pathlib.Path(__file__).parent


@dataclasses.dataclass(frozen=True)
class Recipe:
    """What a flagfile says of itself.

    Attributes:
      name: as --recipe takes it, METHOD_DATASET, METHOD_VARIANT_DATASET or extract_DATASET: danzcr_small_scenes.
      path: pathlib.Path of the file.
      command: of tfxmr, that takes it: train or extract.
      model: the method; "" of an extraction.
      dataset: the folder that it is in, called as the data set.
      about: what it is, the first words of its header.
      facts: Paper, Table, Expected, Time, Command and, where others must go before, Features.
    """

    name: str
    path: pathlib.Path
    command: str
    model: str
    dataset: str
    about: str
    facts: dict[str, str]


@functools.cache
def paths() -> dict[str, pathlib.Path]:
    """Name -> path of every recipe, by data set and method."""
    return {f"{path.stem}_{path.parent.name}": path for path in sorted(FOLDER.glob("*/*.cfg"))}


def find(name: str) -> pathlib.Path:
    """The path of a recipe. Raises InputError if there is none."""
    if name not in paths():
        raise InputError(f"--recipe={name}: no such recipe{meant(name, paths())}; `tfxmr recipes` lists them")
    return paths()[name]


def read(name: str) -> Recipe:
    """What a recipe says of itself. Raises InputError if there is none of that name."""
    path = find(name)
    text = path.read_text(encoding="utf-8")
    comments = [line.removeprefix("#").strip() for line in text.splitlines() if line.startswith("#")]
    parts = re.split(r"(?:^| )(Paper|Table|Expected|Time|Rate|Features|Command): +", " ".join(comments))
    facts = {key: value.strip() for key, value in zip(parts[1::2], parts[2::2], strict=True)}
    model = re.search(r"^--model=(.+)$", text, re.MULTILINE)
    command = "extract" if path.stem.startswith("extract") else "train"
    return Recipe(name, path, command, model[1] if model else "", path.parent.name, parts[0].strip(), facts)
