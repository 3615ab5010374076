"""States of fitted features in files: JSON facts, and arrays of numbers beside them; never a pickle."""
import os
import pathlib
from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from tfxmr.core.files import read_json, replacing, to_json, write_text
from tfxmr.data.files import archive

FACTS, ARRAYS = "{}.json", "{}.npz"  # of a view


class Stored:
    """A feature's state in files, which are read when it is asked for: networks and word vectors are large.

    Args:
      folder: where they are.
      view: that the feature makes.
      remedy: what to do if they are damaged, for the message.
    """

    def __init__(self, folder: str | os.PathLike, view: str, remedy: str) -> None:
        self.folder, self.view, self.remedy = pathlib.Path(folder), view, remedy

    def state(self) -> tuple[dict[str, Any], dict[str, NDArray]]:
        """The (facts, arrays) that were written, see tfxmr.features.Feature; raises InputError if they are damaged."""
        facts = read_json(self.folder / FACTS.format(self.view), self.remedy)
        arrays = self.folder / ARRAYS.format(self.view)
        return facts, archive.read_npz(arrays) if arrays.exists() else {}


def write(folder: pathlib.Path, view: str, facts: Mapping[str, Any], arrays: Mapping[str, NDArray]) -> None:
    """Writes the state of the feature of a view, as `Stored` reads it.

    Args:
      folder: pathlib.Path; made if missing.
      view: its name.
      facts, arrays: of the state; without arrays there is no file of them.
    """
    folder.mkdir(exist_ok=True)
    if arrays:
        stored: dict[str, Any] = dict(arrays)
        with replacing(folder / ARRAYS.format(view)) as file:
            np.savez(file, **stored)
    write_text(folder / FACTS.format(view), to_json(facts))
