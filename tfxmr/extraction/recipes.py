"""How the features of a feature folder were made, so that new media get the same."""
import pathlib
import re
from collections.abc import Mapping
from typing import Any

from numpy.typing import NDArray

from tfxmr.core.errors import InputError
from tfxmr.data.files import archive, feature_folder, states, word_tables
from tfxmr.features.feature import State

REMEDY = f"make the features again with {feature_folder.ANEW}"
RANDOM = re.compile(r"RANDOM, seed (\d+):")


def read(folder: pathlib.Path, manifest: dict[str, Any]) -> dict[str, Any]:
    """View -> an object whose `state` gives the state of the feature that made it, where it is known.

    Nothing is read but the manifest. Folders of older versions keep no states; those that follow from their manifest
    and their other files to the bit are made of these.

    Args:
      folder: that `tfxmr extract` wrote.
      manifest: its own, as tfxmr.data.files.feature_folder.read_manifest gives it.
    """
    found: dict[str, Any] = {}
    configuration = manifest.get("configuration")
    extracted = configuration.get("features") if isinstance(configuration, dict) else None  # not of imported matrices
    for view, facts in feature_folder.facts_of_views(manifest).items():
        if f"{feature_folder.STATES}/{states.FACTS.format(view)}" in manifest.get("files", {}):
            found[view] = states.Stored(folder / feature_folder.STATES, view, REMEDY)
        elif isinstance(extracted, dict) and view in extracted and _follows(facts):
            found[view] = Older(folder, view, facts)
    return found


def _follows(facts: Mapping[str, Any]) -> bool:
    """Whether a feature's state follows from its facts in a manifest and the other files of the folder."""
    name = facts.get("name")
    if name == "doc2vec":
        return "model" not in facts  # the seed that inference starts from is a stored model's own, or stands nowhere
    if name == "word2vec":
        return "word_vectors_sha256" in facts
    if "network" in facts:
        return "fine_tuning" not in facts  # whose weights were not kept
    return name in ("descriptor", "descriptor_regions", "pixels", "sequence", "words")


class Older:
    """The state of a feature, of what folders of older versions hold; see `read`."""

    def __init__(self, folder: pathlib.Path, view: str, facts: Mapping[str, Any]) -> None:
        self.folder, self.view, self.facts = folder, view, facts

    def state(self) -> State:
        """See tfxmr.features.Feature; raises InputError if the manifest or a file is damaged."""
        try:
            return self._state()
        except (KeyError, TypeError, AttributeError, IndexError) as error:
            where = f"{self.folder / feature_folder.MANIFEST}: what it says of {self.view} ({self.facts.get('name')})"
            raise InputError(f"{where} is damaged ({type(error).__name__}: {error}); {REMEDY}") from error

    def _state(self) -> State:
        facts, name = self.facts, str(self.facts["name"])
        known: dict[str, Any] = {"name": name, "rule": dict(facts), "seed": 0}
        arrays: dict[str, NDArray] = {}
        if "network" in facts:
            random = RANDOM.match(facts["weights"])
            layer = None if facts["layer"].startswith("input of ") else facts["layer"]
            known |= {"feature": "network", "layer": layer, "whole": False, "seed": int(random[1]) if random else 0,
                      "weights": "none" if random else facts["weights"]}
            return known, arrays
        known["feature"] = name
        if name == "doc2vec":
            arrays = archive.read_npz(self.folder / "doc2vec.npz")
            words, settings = arrays.pop("words").tolist(), arrays.pop("settings").tolist()
            known |= {"words": words, "settings": settings, "seed": settings[-1]}
        elif name == "word2vec":
            known["file"] = facts["word_vectors"]
        elif name in ("sequence", "words"):
            words = word_tables.read_vocabulary(self.folder / word_tables.VOCABULARY.format(self.view))
            known |= {"words": words[1:], "length": facts["max_length"]}
        return known, arrays
